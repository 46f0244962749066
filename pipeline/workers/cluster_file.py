"""A cluster file: which class of dask-jobqueue or dask-kubernetes starts the workers, and how.

    cluster: SLURMCluster
    workers: 20
    options: {queue: short, cores: 4, memory: 16GB, walltime: 02:00:00}

`options` are the parameters of the class, whose names are checked before anything is started.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import InputError
from pipeline.process import private_folder
from pipeline.search_space import Source, yaml12
from pipeline.workers.kubernetes import start_kubernetes

JOBQUEUE, KUBERNETES = "dask_jobqueue", "dask_kubernetes.operator"
MODULE_OF = {
    **dict.fromkeys(
        ("SLURMCluster", "PBSCluster", "SGECluster", "LSFCluster", "HTCondorCluster",
         "MoabCluster", "OARCluster"),
        JOBQUEUE,
    ),
    "KubeCluster": KUBERNETES,
}  # fmt: skip
"""Class → where it is."""

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_OURS = ("n_workers", "asynchronous", "loop", "quiet", "job_cls", "scheduler_cls", "name", "self")
"""Parameters of the classes that are not for a file to give; a Kubernetes cluster has its name."""


class ClusterFile(BaseModel):
    """The keys of a cluster file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    cluster: Literal[tuple(MODULE_OF)] = Field(  # type: ignore[valid-type]
        description=f"one of {', '.join(MODULE_OF)}"
    )
    workers: int = Field(description="a whole number of at least 1", ge=1)
    options: dict[str, Any] = Field(
        default_factory=dict, description="a mapping such as {queue: short, cores: 4, memory: 8GB}"
    )

    def start(self, keys: Path, say: Callable[[str], None]) -> Any:
        """The cluster, with its workers on their way.

        keys: a folder, made where it is needed, in which its jobs find the keys of this start.
        say(sentence) is told what is waited for.
        """
        options, workers = dict(self.options), self.workers
        made = _class_of(self.cluster)
        if MODULE_OF[self.cluster] != JOBQUEUE:
            return start_kubernetes(made, workers, options, say)
        # Whoever reaches a scheduler without TLS runs programs as this user.
        options.setdefault("security", True)
        if options["security"] is True:
            private_folder(keys.parent)
            options.setdefault("shared_temp_directory", str(private_folder(keys)))
        scheduler_options = {
            "dashboard": False,
            "dashboard_address": "127.0.0.1:0",
            **options.pop("scheduler_options", {}),
        }
        cluster = made(scheduler_options=scheduler_options, **options)
        cluster.adapt(minimum=workers, maximum=workers)  # jobs that end are submitted again
        return cluster


def read_cluster_file(path: Path) -> ClusterFile:
    """A cluster file, checked. Raises InputError for anything that is wrong in it."""
    if not path.is_file():
        raise InputError(f"a cluster file must exist, but there is no {yaml12.shown(path)}")
    _, content = yaml12.read_study(path)
    source = Source(yaml12.shown(path))
    try:
        file = ClusterFile.model_validate(content)
    except ValidationError as error:
        raise source.translated(error, ClusterFile, what="a cluster file") from None
    known = parameters_of(_class_of(file.cluster), file.cluster)
    for key in file.options:
        if key not in known:
            near = yaml12.did_you_mean(key, known)
            raise InputError(
                f"{source.file}: `options.{key}` is no parameter of {file.cluster}: expected one "
                f"of {', '.join(known)}{near or '.'}"
            )
    if file.cluster == "KubeCluster" and not {"image", "custom_cluster_spec"} & set(file.options):
        raise InputError(
            f"{source.file}: `options.image` must name an image with Lariat in it, but there is "
            "none; docker/Containerfile makes one"
        )
    return file


def _class_of(name: str) -> Any:
    module = MODULE_OF[name]
    package = module.partition(".")[0].replace("_", "-")
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        raise InputError(
            f"{name} needs the package {package}, which is not installed: "
            "pip install -r requirements-cluster.txt"
        )
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    made = getattr(importlib.import_module(module), name)
    for number, handler in handlers.items():  # dask-jobqueue has Ctrl-C call sys.exit
        signal.signal(number, handler)
    return made


def parameters_of(made: Any, name: str = "") -> list[str]:
    """Names of the keyword parameters of a cluster's class and of its jobs'."""
    classes = [*made.__mro__, *getattr(getattr(made, "job_cls", None), "__mro__", ())]
    names: dict[str, None] = {}
    for each in classes:
        if each.__module__.partition(".")[0] not in ("dask_jobqueue", "dask_kubernetes"):
            continue
        for parameter in inspect.signature(each.__init__).parameters.values():
            if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                names[parameter.name] = None
    hidden = set(_OURS) - ({"name"} if name == "KubeCluster" else set())
    return sorted(set(names) - hidden - {"scheduler", "config_name"})
