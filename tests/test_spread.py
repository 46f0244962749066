"""Calls spread over processes: the same results in order, whatever happens to a process."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from loky import get_reusable_executor
from small_data import small, spec, train

from pipeline.process import spread
from pipeline.training import final_state


def square_elsewhere(number: int, parent: int) -> tuple[int, bool]:
    return number**2, os.getpid() != parent


def dies_elsewhere(number: int, parent: int) -> tuple[int, bool]:
    if number == 2 and os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return square_elsewhere(number, parent)


def fails(number: int) -> int:
    if number == 3:
        raise ValueError("three")
    return number


def test_results_are_in_order_and_made_here_and_elsewhere() -> None:
    here = os.getpid()
    squares, elsewhere = zip(*spread(square_elsewhere, lambda i: (i, here), 20, 3), strict=True)
    assert squares == tuple(i**2 for i in range(20))
    assert set(elsewhere) == {True, False}


def test_one_process_is_this_one() -> None:
    here = os.getpid()
    assert spread(square_elsewhere, lambda i: (i, here), 3, 1) == [
        (0, False), (1, False), (4, False),
    ]  # fmt: skip


def test_where_a_process_dies_all_results_are_there_all_the_same() -> None:
    here = os.getpid()
    found = spread(dies_elsewhere, lambda i: (i, here), 8, 2)
    assert [square for square, _ in found] == [i**2 for i in range(8)]
    assert not found[2][1]


def test_what_a_call_raises_is_raised() -> None:
    with pytest.raises(ValueError, match="three"):
        spread(fails, lambda i: (i,), 8, 2)


def processes_here_of(_: int) -> int:
    from pipeline.process import processes_here

    return processes_here()


def test_a_worker_of_others_has_no_processes_of_its_own() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(processes_here_of, [0]) == [1]
    assert spread(processes_here_of, lambda i: (i,), 4, 2).count(1) >= 3


@pytest.mark.parametrize("genetic", [False, True])
def test_first_layers_finished_elsewhere_have_the_same_bits(
    genetic: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = small(genetic_dimensions=3 if genetic else 0)
    specs = [spec(seed, lambda_group=0.01) for seed in range(5)]
    found = []
    for processes in (1, 2):
        monkeypatch.setattr(final_state, "finishing_processes", lambda *_, p=processes: p)
        found.append(train(data, specs, epochs=3))
    for here, elsewhere in zip(*found, strict=True):
        assert here.kkt_residual == elsewhere.kkt_residual
        assert here.objective == elsewhere.objective
        assert np.array_equal(here.first_layer_final, elsewhere.first_layer_final)
        assert np.array_equal(here.final_predictions, elsewhere.final_predictions)


def blas_threads(parent: int) -> int:
    """Of another process the number, of this one 1."""
    import scipy.linalg  # noqa: F401 — its BLAS is another one
    from threadpoolctl import threadpool_info

    threads = max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
    return 1 if os.getpid() == parent else threads


def test_a_process_has_one_blas_thread_on_a_machine_of_many_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    get_reusable_executor().shutdown()
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")  # as many as there are, otherwise
    here = os.getpid()
    assert set(spread(blas_threads, lambda _: (here,), 8, 2)) == {1}


SCRIPT = """
import os, time
from pathlib import Path
from pipeline.process import spread

def waits(i, parent):
    if os.getpid() != parent:
        Path("begun").touch()
    time.sleep(600)

spread(waits, lambda i: (i, os.getpid()), 4, 2)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_processes_end_with_the_one_that_started_them(
    number: signal.Signals, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])},
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / "begun").exists():
        assert process.poll() is None
        time.sleep(0.1)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)  # their error output is this pipe too
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive
    assert "resource_tracker" not in errors
