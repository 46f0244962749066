"""How much memory there is: the machine's, a container's, a batch system's, a shell's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.process.memory import available_bytes, gigabytes, require_memory

GIB = 2**30


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in {"proc/meminfo": f"MemAvailable: {8 * GIB // 1024} kB\n", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_without_limits_it_is_what_the_machine_has(tmp_path: Path) -> None:
    assert available_bytes(tree(tmp_path, {"proc/self/cgroup": "0::/\n"})) == 8 * GIB
    assert available_bytes(tmp_path / "nothing") is None


def test_a_control_group_of_version_2_counts_with_all_above_it(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/batch.slice"
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "0::/batch.slice/job1\n",
            f"{group}/job1/memory.max": "max\n",
            f"{group}/job1/memory.current": f"{GIB}\n",
            f"{group}/memory.max": f"{4 * GIB}\n",
            f"{group}/memory.current": f"{3 * GIB}\n",
            f"{group}/memory.stat": f"anon {GIB}\ninactive_file {GIB}\n",
        },
    )
    assert available_bytes(root) == 2 * GIB  # 4 − (3 − 1 of files that can be dropped)
    (root / group / "job1/memory.max").write_text(f"{GIB + 5}\n")
    assert available_bytes(root) == 5


def test_a_container_of_version_1_that_hides_the_way_counts(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "9:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{3 * GIB}\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{GIB}\n",
            "sys/fs/cgroup/memory/memory.stat": f"total_inactive_file {GIB // 2}\n",
        },
    )
    assert available_bytes(root) == 2 * GIB + GIB // 2
    (root / "sys/fs/cgroup/memory/memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert available_bytes(root) == 8 * GIB


@pytest.mark.skipif(sys.platform != "linux", reason="ulimit -v")
def test_the_address_space_of_a_shell_counts() -> None:
    code = "from pipeline.process.memory import available_bytes; print(available_bytes())"
    limited = f"ulimit -v 2000000; exec {sys.executable} -c '{code}'"
    done = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) < 2_000_000 * 1024


def test_what_does_not_fit_is_said_with_both_numbers(tmp_path: Path) -> None:
    root = tree(tmp_path, {})
    require_memory(8 * GIB, "a table", "take less", root)
    with pytest.raises(InputError) as error:
        require_memory(12 * GIB, "a table of 9 columns", "leave some out", root)
    assert str(error.value) == (
        "a table of 9 columns must fit into memory, but needs 13 GB and there are 8.6 GB; "
        "leave some out"
    )
    assert [gigabytes(x) for x in (3.61e9, 2e7, 1.234e12)] == ["3.6 GB", "0.02 GB", "1,200 GB"]
