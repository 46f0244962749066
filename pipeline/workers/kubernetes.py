"""A cluster file's KubeCluster: scheduler and workers in Kubernetes, by dask-kubernetes's operator.

What the class makes of its parameters would not run here: its containers ask for the programs
`dask-scheduler` and `dask-worker`, which Dask no longer has, as arguments of whatever the image
starts by itself. So its specification is made first, and its commands are put right.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from pipeline.process import Beside

READY_SECONDS = 900.0
"""How long a scheduler may take to run: a cloud adds a machine, which loads the image first."""

SAY_FIRST_SECONDS, SAY_SECONDS, CLOSE_SECONDS = 15.0, 120.0, 5.0

IDLE_SECONDS = 3600
"""The operator removes a cluster that had no work for so long, as one whose parent was killed."""

WORKER = ("dask", "worker", "--nworkers=1", "--memory-limit=0")
"""Kubernetes' own limit of memory counts: Dask's would take TensorFlow's caches for a leak."""

SCHEDULER = ("dask", "scheduler", "--host=0.0.0.0")
OF_THE_SCHEDULER = {
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "None",
    "DASK_DISTRIBUTED__SCHEDULER__ACTIVE_MEMORY_MANAGER__START": "False",
}
"""As `scheduler` sets them for those that it starts itself, and says why."""

OF_THE_SPECIFICATION = (
    "name", "image", "resources", "env", "worker_command", "scheduler_service_type",
    "idle_timeout", "jupyter",
)  # fmt: skip
"""Parameters that say what runs; the others, how it is reached."""


def start_kubernetes(
    made: Callable[..., Any], workers: int, options: Mapping[str, Any], say: Callable[[str], None]
) -> Any:
    """A KubeCluster whose scheduler runs; its workers are on their way.

    made: the class. options: its parameters; a `custom_cluster_spec` is taken as it is. What takes
    long is said. TimeoutError where its scheduler does not run within READY_SECONDS.
    """
    from dask_kubernetes.operator.kubecluster.kubecluster import CreateMode

    others = dict(options)
    of_spec = {key: others.pop(key) for key in OF_THE_SPECIFICATION if key in others}
    spec = others.pop("custom_cluster_spec", None) or specification(workers, of_spec)
    if isinstance(spec, str):  # a file's name
        spec = yaml.safe_load(Path(spec).read_text("utf-8"))
    # Whoever connects to one that is there would remove it at the end, and another's work with it.
    mode = CreateMode(others.pop("create_mode", CreateMode.CREATE_ONLY.value))
    # It waits without an end for a pod that never starts, as one whose image there is not.
    start = partial(made, custom_cluster_spec=spec, create_mode=mode, quiet=True, **others)
    starting = Beside(start)
    try:
        _wait(starting, _look(spec, others), say)
        return starting.result()
    except BaseException as error:
        for unfinished in list(made._instances):  # type: ignore[attr-defined]
            if unfinished.name == spec["metadata"]["name"]:
                # It refuses one that is there, and would remove that one at the process's end.
                unfinished.shutdown_on_close = not isinstance(error, ValueError)
                with suppress(Exception):
                    unfinished.close(timeout=CLOSE_SECONDS)
        raise


def _wait(starting: Beside, look: str, say: Callable[[str], None]) -> None:
    began = time.monotonic()
    next_word = began + SAY_FIRST_SECONDS
    while not starting.is_done:
        now = time.monotonic()
        if now > began + READY_SECONDS:
            raise TimeoutError(
                f"its scheduler did not run within {READY_SECONDS:.0f} seconds; {look} says why"
            )
        if now > next_word:
            next_word = now + SAY_SECONDS
            say(f"waiting for a scheduler in Kubernetes: {look} shows it")
        time.sleep(0.1)


def specification(workers: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """The DaskCluster resource, whose containers run what they name, whatever their image does."""
    from dask_kubernetes.operator import make_cluster_spec

    given = {
        "name": f"lariat-{uuid.uuid4().hex[:10]}",
        "idle_timeout": IDLE_SECONDS,
        "env": {},
        "resources": {},
        "worker_command": list(WORKER),
        **options,
    }
    spec = make_cluster_spec(n_workers=workers, **given)
    (worker,) = spec["spec"]["worker"]["spec"]["containers"]
    (scheduler,) = spec["spec"]["scheduler"]["spec"]["containers"]
    worker["command"] = worker.pop("args")
    scheduler["command"] = [*SCHEDULER, *scheduler.pop("args")[3:]]
    own = {each["name"] for each in scheduler["env"]}
    scheduler["env"] = [
        *scheduler["env"],
        *({"name": k, "value": v} for k, v in OF_THE_SCHEDULER.items() if k not in own),
    ]
    return spec


def _look(spec: dict[str, Any], options: Mapping[str, Any]) -> str:
    """What a person types to see the pods."""
    space = f" -n {options['namespace']}" if options.get("namespace") else ""
    return f"`kubectl{space} get pods -l dask.org/cluster-name={spec['metadata']['name']}`"
