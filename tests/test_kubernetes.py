"""A cluster file's KubeCluster, by the real dask-kubernetes against a stand-in for Kubernetes that
runs what its pods would as processes: the study's workers are used, and nothing of it is left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from kubernetes_server import Kubernetes
from small_jobs import die, wait
from tiny_study import assert_same_tables_there

from pipeline.errors import InputError
from pipeline.workers import kubernetes, open_crew
from pipeline.workers.cluster_file import read_cluster_file

IMAGE = "registry.example/lariat:1"
CLUSTER = f"""
cluster: KubeCluster
workers: 2
options:
  image: {IMAGE}
  namespace: heart
  env: {{OPENBLAS_CORETYPE: Haswell}}
  resources: {{limits: {{cpu: "4", memory: 16Gi}}}}
  scheduler_service_type: LoadBalancer
"""


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kubernetes]:
    there = Kubernetes(tmp_path / "kubernetes", (IMAGE,))
    monkeypatch.setenv("KUBECONFIG", str(there.kubeconfig))
    monkeypatch.chdir(tmp_path)
    try:
        yield there
    finally:
        there.close()


def test_pods_are_workers_by_a_cluster_file_and_are_gone_at_the_end(there: Kubernetes) -> None:
    Path("cluster.yaml").write_text(CLUSTER)
    with open_crew("cluster.yaml", print) as crew:
        done = list(crew.each(wait, {"matrix": np.zeros(3)}, range(6)))
        assert sorted(d.job for d in done) == list(range(6))
        assert crew.size == 2
    assert not there.processes and not there.resources
    (made,) = there.created
    assert there.deleted == [made["metadata"]["name"]]
    assert made["metadata"]["namespace"] == "heart"
    assert made["spec"]["idleTimeout"] == kubernetes.IDLE_SECONDS
    assert made["spec"]["worker"]["replicas"] == 2
    for part in ("scheduler", "worker"):
        (container,) = made["spec"][part]["spec"]["containers"]
        assert container["image"] == IMAGE
        assert container["resources"] == {"limits": {"cpu": "4", "memory": "16Gi"}}
        assert {"name": "OPENBLAS_CORETYPE", "value": "Haswell"} in container["env"]
        # An image that starts something by itself would take arguments for that program's.
        assert container["command"][:2] == ["dask", part]
        assert "args" not in container
    assert made["spec"]["scheduler"]["service"]["type"] == "LoadBalancer"


def test_a_study_in_kubernetes_gives_the_tables_of_this_process(
    there: Kubernetes, tmp_path: Path
) -> None:
    assert_same_tables_there(tmp_path, CLUSTER.replace("workers: 2", "workers: 1"))
    assert len(there.deleted) == 1


def test_pods_that_die_of_a_job_give_it_up_at_the_first_word_of_the_scheduler(
    there: Kubernetes,
) -> None:
    """Its settings reach the scheduler: else Dask itself would try three times for each of ours."""
    Path("cluster.yaml").write_text(CLUSTER)
    told: list[str] = []
    with open_crew("cluster.yaml", told.append) as crew:
        done = {d.job: d for d in crew.each(die, {"fatal": 1}, range(4))}
    assert sorted(done) == [0, 1, 2, 3]
    assert "died 3 times" in str(done[1].given_up)
    assert len([line for line in told if "is done again" in line]) == 2


def test_an_image_that_is_not_there_is_told_and_ends_in_a_sentence(
    there: Kubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes, "SAY_FIRST_SECONDS", 0.2)
    monkeypatch.setattr(kubernetes, "READY_SECONDS", 3.0)
    Path("cluster.yaml").write_text(CLUSTER.replace(":1\n", ":2\n"))
    told: list[str] = []
    with (
        pytest.raises(InputError, match="its scheduler did not run within 3 seconds; `kubectl -n"),
        open_crew("cluster.yaml", told.append) as crew,
    ):
        list(crew.each(wait, {"matrix": np.zeros(3)}, range(2)))
    assert told[0].startswith("waiting for a scheduler in Kubernetes: `kubectl -n heart get pods")
    assert not there.resources


def test_a_cluster_of_that_name_is_left_alone(there: Kubernetes) -> None:
    """It is somebody's: the end of this study would remove it under their work."""
    text = CLUSTER.replace("namespace: heart", "namespace: heart\n  name: lariat")
    Path("cluster.yaml").write_text(text)
    there.resources["daskclusters", "lariat"] = {"metadata": {"name": "lariat"}, "spec": {}}
    with (
        pytest.raises(InputError, match="Cluster lariat already exists"),
        open_crew("cluster.yaml", print) as crew,
    ):
        list(crew.each(wait, {"matrix": np.zeros(3)}, range(2)))
    assert ("daskclusters", "lariat") in there.resources


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ("{namespace: heart}", "`options.image` must name an image with Lariat in it"),
        ("{imge: a}", "`options.imge` is no parameter of KubeCluster"),
    ],
)
def test_a_wrong_cluster_file_for_kubernetes_is_told(
    tmp_path: Path, options: str, part: str
) -> None:
    (tmp_path / "c.yaml").write_text(f"cluster: KubeCluster\nworkers: 2\noptions: {options}\n")
    with pytest.raises(InputError, match=part):
        read_cluster_file(tmp_path / "c.yaml")


def test_no_kubernetes_at_hand_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    Path("cluster.yaml").write_text(CLUSTER)
    with (
        pytest.raises(InputError, match=r"the cluster of cluster\.yaml must start, but"),
        open_crew("cluster.yaml", print) as crew,
    ):
        list(crew.each(wait, {"matrix": np.zeros(3)}, range(2)))
