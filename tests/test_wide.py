"""Wide and tall tables: memory grows linearly, and what does not fit is said before work starts."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted_study import record
from study_runs import run_here, working_in

from pipeline.data import load_cohort
from pipeline.errors import InputError
from pipeline.metrics import bootstrap
from pipeline.networks import TrainedNetwork, Weights
from pipeline.networks.network import Layer
from pipeline.report.summary import summarize
from pipeline.report.tables import MOST_DEATHS, death_rows
from pipeline.results import Inputs, NetworkResult, StudyResults
from pipeline.search_space.sampling import Configuration
from pipeline.search_space.schema import NetworkSettings, TrainingSettings
from pipeline.solvers import kinks
from pipeline.solvers.problem import Problem, objective
from pipeline.solvers.subspace import descended
from pipeline.study.evaluation import network_result
from pipeline.study.replicates import Replicate
from pipeline.tracking import format as run_format
from pipeline.tracking.reader import load_study

EPOCHS, UNITS, LEFT = 12, 4, 20
GROWTH = 2.5
"""Of memory at most where a table has twice as many columns: with a square it would be 4."""


def peak_bytes(run: Callable[[], object]) -> int:
    """Held at most by what `run` makes; what is kept for later calls is not counted."""
    run()
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def trained(columns: int) -> TrainedNetwork:
    """All columns are kept at the best epoch, LEFT at the end."""
    first = np.random.default_rng(0).standard_normal((UNITS, columns + 1)).astype(np.float32)
    left = np.arange(columns)[:, None] < LEFT
    kept = np.arange(columns) < np.linspace(columns, LEFT, EPOCHS)[:, None]
    later = (Layer(np.ones((1, UNITS), np.float32), np.zeros((1, 1), np.float32)),)
    return TrainedNetwork(
        best_epoch=1,
        final_epoch=EPOCHS,
        first_layer=first[:, :columns].T,
        first_layer_final=np.where(left, first[:, :columns].T, np.float32(0)),
        weights=Weights(first, later),
        curves={"train_loss": [0.7] * EPOCHS, "score": [0.5] * EPOCHS},
        kept=list(kept),
    )


def wide_result(columns: int, seed: int = 0) -> NetworkResult:
    names = tuple(f"gene_{i}" for i in range(columns))
    inputs = Inputs(names, names, ("clinical",) * columns)
    params = {"regularizer": "group_lasso", "lambda_group": 0.01, "inputs": "clinical"}
    settings = NetworkSettings(hidden_layer_sizes=(UNITS,)), TrainingSettings(epochs=EPOCHS)
    replicate = Replicate(Configuration(0, params, ("clinical",), *settings), seed)
    measured = {"val_auroc": 0.7, "test_auroc": 0.7}
    return network_result(replicate, inputs, trained(columns), measured, "val_auroc")


def wide_study(columns: int) -> StudyResults:
    return StudyResults(record(), tuple(wide_result(columns, seed) for seed in range(2)))


def table(rows: int, columns: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((rows, columns)).round(3)
    frame = pd.DataFrame(values, columns=[f"gene_{i}" for i in range(columns)])
    return frame.assign(outcome=(values[:, 0] > 0).astype(int))


def test_a_network_s_result_and_files_take_memory_in_proportion_to_its_columns() -> None:
    def recorded(columns: int) -> int:
        return peak_bytes(lambda: run_format.files_of(wide_result(columns), {}))

    assert recorded(4_000) <= GROWTH * recorded(2_000)


def test_a_cohort_takes_memory_in_proportion_to_its_columns(tmp_path: Path) -> None:
    def read(columns: int) -> int:
        path = tmp_path / f"{columns}.csv"
        table(60, columns).to_csv(path, index=False)
        return peak_bytes(lambda: load_cohort(path, "outcome"))

    assert read(400) <= GROWTH * read(200)


def test_a_summary_takes_memory_in_proportion_to_the_columns() -> None:
    small, large = wide_study(1_000), wide_study(2_000)
    assert peak_bytes(lambda: summarize(large)) <= GROWTH * peak_bytes(lambda: summarize(small))


def test_the_resamples_of_many_rows_are_drawn_a_few_at_a_time() -> None:
    rows, draw = 4_000, bootstrap.resamples.__wrapped__
    assert peak_bytes(lambda: draw(rows)) <= 1.5 * draw(rows).nbytes


def test_names_of_variables_are_looked_up_once() -> None:
    inputs = wide_result(50).inputs
    assert inputs.family_of is inputs.family_of
    assert inputs.group_index is inputs.group_index
    with pytest.raises(ValueError, match="read-only"):
        inputs.group_index[0] = 1


@pytest.mark.parametrize("columns", [run_format.MOST_CSV_COLUMNS, 1_500])
def test_a_network_s_files_hold_all_its_weights(columns: int) -> None:
    result = wide_result(columns)
    files = run_format.files_of(result, {})
    own = {Path(path).name: content for path, content in files.items()}
    inputs, best, final = run_format.first_layers(own)
    assert inputs == result.inputs
    assert np.array_equal(best, result.first_layer)
    assert np.array_equal(final, result.first_layer_final)
    assert run_format.died_from_csv(own["variables.csv"]) == result.died


def test_csv_files_of_many_columns_have_the_strongest_that_are_not_zeroed() -> None:
    result = wide_result(1_500)
    own = {Path(path).name: content for path, content in run_format.files_of(result, {}).items()}
    shown, weights = run_format.weights_from_csv(own["first_layer.csv"])
    norms = np.linalg.norm(result.first_layer, axis=1)
    strongest = np.sort(np.argsort(-norms)[: run_format.MOST_CSV_COLUMNS])
    assert shown.columns == tuple(result.inputs.columns[i] for i in strongest)
    assert np.array_equal(weights, result.first_layer[strongest])
    final, _ = run_format.weights_from_csv(own["first_layer_final.csv"])
    assert final.columns == result.inputs.columns[:LEFT]


def test_a_failed_network_of_many_columns_keeps_their_names() -> None:
    result = replace(wide_result(1_500), first_layer=None, first_layer_final=None, layers=())
    own = {Path(path).name: content for path, content in run_format.files_of(result, {}).items()}
    assert run_format.first_layers(own) == (result.inputs, None, None)


def test_the_page_tells_of_the_variables_that_live_longest_and_counts_the_others() -> None:
    focus = summarize(wide_study(1_000)).focus[0]
    head, rows = death_rows(focus)
    assert len(rows) == MOST_DEATHS + 1
    assert [row[0] for row in rows[:LEFT]] == [f"gene_{i}" for i in range(LEFT)]
    assert rows[-1][0] == f"{1_000 - MOST_DEATHS} more, in selection_frequencies.csv"
    assert len(rows[-1]) == len(head)


def test_what_does_not_fit_is_said_before_work_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table(60, 200).to_csv(tmp_path / "wide.csv", index=False)

    def said(available: int) -> str:
        monkeypatch.setattr("pipeline.process.memory.available_bytes", lambda root: available)
        options = {"data": str(tmp_path / "wide.csv"), "target": "outcome", "genotypes": "none"}
        with pytest.raises(InputError) as error:
            run_here(tmp_path, "group_lasso", **options)
        return str(error.value)

    needed_and_there = r"needs [\d.,]+ GB and there are {} GB"
    reading = said(100_000)
    assert reading.startswith("the table wide.csv must fit into memory")
    assert re.search(needed_and_there.format("0.0001"), reading)
    training = said(20_000_000)
    assert training.startswith("a study of 160 networks on 60 rows and 200 columns must fit")
    assert re.search(needed_and_there.format("0.02"), training)
    assert {path.name for path in tmp_path.iterdir()} == {"wide.csv"}


def wide_problem(columns: int) -> tuple[np.ndarray, Problem]:
    """A first layer that keeps LEFT of its columns and the bias, the last one, and its problem."""
    rng = np.random.default_rng(0)
    rows, units = 40, 8
    x = np.ones((rows, columns + 1))
    x[:, :columns] = rng.standard_normal((rows, columns))
    factor = np.ones(columns + 1)
    factor[columns] = 0.0
    problem = Problem(
        columns=x,
        target=(x[None, :, 0] + x[None, :, 1] > 0).astype(float),
        share=np.full(rows, 1 / rows),
        task="binary",
        activation="relu",
        later=((rng.standard_normal((1, units)), np.zeros((1, 1))),),
        lambdas=(0.0, 0.0, 0.02),
        group=np.arange(columns + 1),
        size=np.ones(columns + 1),
        factor=factor,
    )
    first = np.zeros((units, columns + 1))
    first[:, :LEFT] = 0.1 * rng.standard_normal((units, LEFT))
    return descended(first, problem, 1e-6, 200).first, problem


def test_kinks_of_many_columns_are_followed_on_those_that_are_not_zero_or_ask(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, problem = wide_problem(1_500)
    settled = kinks.onto_kinks(first, 1e-6, problem)
    zero = ~first.any(axis=0)
    zero[-1] = False
    came_back = int(settled.best[:, zero].any(axis=0).sum())
    assert zero.sum() > 1_000 and came_back <= 5, "only those whose residual asks for it"
    assert settled.certificate < kinks.kkt_residual(first, problem)
    assert peak_bytes(lambda: kinks.onto_kinks(first, 1e-6, problem)) <= 20 * first.nbytes
    # Found on a few columns, it holds for all: beside what following all of them gives.
    monkeypatch.setattr(kinks, "MANY_COLUMNS", 10_000)
    whole = kinks.kkt_residual(settled.best, problem)
    assert settled.certificate.relative == pytest.approx(whole.relative, rel=0.5)
    with_all = kinks.onto_kinks(first, 1e-6, problem).best
    assert objective(settled.best, problem) <= objective(with_all, problem) * (1 + 1e-3)


def test_a_study_of_many_columns_is_recorded_read_and_reported(tmp_path: Path) -> None:
    table(60, 1_100).to_csv(tmp_path / "wide.csv", index=False)
    (tmp_path / "wide.yaml").write_text(
        "target: outcome\ninputs: [clinical]\ngenotypes: none\nconfigurations: 1\nseeds: 2\n"
        "space: {regularizer: [group_lasso], lambda_group: [0.05]}\n"
        "network: {hidden_layer_sizes: [4]}\ntraining: {epochs: 2}\n"
    )
    printed = run_here(tmp_path, str(tmp_path / "wide.yaml"), data=str(tmp_path / "wide.csv"))
    assert "1100 clinical" in printed or "1,100 clinical" in printed
    with working_in(tmp_path):
        networks = load_study("wide").networks
    for network in networks:
        assert network.first_layer.shape == network.first_layer_final.shape == (1_100, 4)
        assert network.first_layer is network.layers[0][0]
        assert network.inputs is networks[0].inputs
        for prefix, layer in (("", network.first_layer), ("final_", network.first_layer_final)):
            zeroed = int(np.sum(~np.any(layer != 0.0, axis=1)))
            assert network.metrics[f"{prefix}zeroed_variables"] == zeroed
    page = (tmp_path / "reports" / "wide" / "report.html").read_text(encoding="utf-8")
    assert "more, in selection_frequencies.csv" in page
