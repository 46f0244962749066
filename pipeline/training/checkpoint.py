"""A population in training, kept on disk: a stopped study loses at most about EVERY_SECONDS of it.

The file holds all that the next epoch depends on: weights, moments, the scale of encoders, best and
last states, curves, patience (by the best epochs) and the generator of the order of rows. So a
population that goes on ends in the same numbers, to the last bit, and so do some of its networks
without the others. Dual coefficients have a row a person: the file is readable by its owner alone.

Shapes: K networks, n training rows, p columns, d encoder outputs, T epochs.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from pipeline.networks import optimizer
from pipeline.process import OWNER_ONLY, whole_file
from pipeline.training.population import Part

if TYPE_CHECKING:
    from pipeline.networks import Architecture, Schedule, TrainingData
    from pipeline.training.training import Population

EVERY_SECONDS = 30.0
SHARE_OF_TIME = 0.05
"""Of training, at most, that goes into writing: large populations are kept less often."""

BEFORE_THE_END = 0.8
"""Share of EVERY_SECONDS by which writing is due sooner after the last epoch."""

_PROGRAM = ("networks", "training", "metrics", "serving")
"""Rooms whose code decides an epoch's numbers."""

_LIBRARIES = ("tensorflow", "numpy", "scipy", "scikit-learn")
"""Libraries that compute them, the score by which patience ends a network among them."""

_ENCODER_AXES = optimizer.Encoder(1, 1, 0, 0)
"""Where the networks are in each tensor of an encoder; they are first in all others."""


@dataclass
class Checkpoint:
    """The one population in training of a folder; the next one takes its place."""

    folder: Path
    every_seconds: float = field(default_factory=lambda: EVERY_SECONDS)
    _due: float = field(default=0.0, init=False)
    _key: str = field(default="", init=False)

    @property
    def path(self) -> Path:
        return Path(self.folder) / "population.npz"

    def resume(self, population: Population) -> int:
        """Give its networks their stored state; the last epoch they have trained, 0 where no stored
        population fits."""
        setting = population.setting
        self._key = _key(setting.data, setting.architecture, setting.schedule)
        self._due = time.monotonic() + self.every_seconds
        with suppress(Exception):  # none, damaged, or of another form: then from the beginning
            with np.load(self.path, allow_pickle=False) as stored:
                arrays = dict(stored)
            header = json.loads(arrays.pop("told").tobytes())
            wanted = _told(population)
            if header["key"] == self._key and all(spec in header["specs"] for spec in wanted):
                stored_networks = np.array([header["specs"].index(spec) for spec in wanted])
                _restore(population, header, arrays, stored_networks)
                return int(header["epoch"])
        return 0

    def keep(self, population: Population, epoch: int) -> None:
        """Write the population as it is after this epoch, where that is due.

        Where all networks have stopped, their last states are still to be finished: then it is due
        sooner.
        """
        started = time.monotonic()
        sooner = 0.0 if population.training else self.every_seconds * BEFORE_THE_END
        if started < self._due - sooner:
            return
        header, arrays = _content(population)
        header |= {"key": self._key, "epoch": epoch}
        with whole_file(self.path, OWNER_ONLY) as handle:
            arrays["told"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
            np.savez(handle, **arrays)  # type: ignore[arg-type]
        ended = time.monotonic()
        self._due = ended + max(self.every_seconds, (ended - started) / SHARE_OF_TIME)

    def remove(self) -> None:
        """The population's results are kept elsewhere now."""
        self.path.unlink(missing_ok=True)


def _key(data: TrainingData, architecture: Architecture, schedule: Schedule) -> str:
    """What decides a network's epochs besides its spec."""
    digest = hashlib.sha256(_program().encode())
    digest.update(repr((architecture, schedule, data.task, data.rows, data.rank)).encode())
    parts = (data.columns, data.target, data.group_index, data.penalty_factor, data.row_weights)
    for part in (*parts, data.relationship, data.relationship_factor, data.missing):
        array = np.ascontiguousarray(part if part is not None else [])
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _told(population: Population) -> list[dict]:
    """What decides each network's epochs besides the key; of a resample, who is in it."""
    resamples, told = population.setting.data.resamples, []
    for spec in population.specs:
        told.append(asdict(spec))
        if resamples is not None and spec.resample is not None:
            digest = hashlib.sha256(repr((resamples.standardize, resamples.balanced)).encode())
            for each in (resamples.weights, resamples.validation):
                digest.update(np.ascontiguousarray(each[spec.resample]).tobytes())
            told[-1]["resample"] = digest.hexdigest()
    return told


@cache
def _program() -> str:
    """The code and the libraries, so that no network is trained by two programs."""
    digest = hashlib.sha256(" ".join(f"{name} {version(name)}" for name in _LIBRARIES).encode())
    for room in _PROGRAM:
        for path in sorted((Path(__file__).parents[1] / room).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _named_tensors(state: optimizer.State) -> list[tuple[str, tf.Tensor, int]]:
    """(name, tensor, axis of the networks) of every tensor of a state."""
    tensors = [(name, getattr(state, name), 0) for name in state._fields if name != "encoder"]
    if isinstance(state.encoder, optimizer.Encoder):
        each = zip(state.encoder._fields, state.encoder, _ENCODER_AXES, strict=True)
        tensors += [(f"encoder_{name}", tensor, axis) for name, tensor, axis in each]
    return tensors


def _content(population: Population) -> tuple[dict, dict[str, np.ndarray]]:
    """(header, which is stored as JSON; arrays) of a population between two epochs."""
    parts, results = population.parts, population.results
    arrays: dict[str, np.ndarray] = {
        "training": np.concatenate([part.networks for part in parts] or [np.zeros(0, int)]),
        "scores": population.scores,
        "epochs": np.array([(r.best_epoch, r.final_epoch) for r in results]),
        "lengths": np.array([len(r.kept) for r in results]),
        "train_loss": _joined(r.curves["train_loss"] for r in results),
        "score": _joined(r.curves["score"] for r in results),
    }
    kept = [row for result in results for row in result.kept]
    arrays["kept"] = np.packbits(np.array(kept, bool), axis=1) if kept else np.zeros((0, 0))
    for tensors in zip(*(_named_tensors(part.gathered()) for part in parts), strict=True):
        of_parts = [
            np.take(tensor.numpy(), np.arange(len(part.networks)), axis)
            for part, (_, tensor, axis) in zip(parts, tensors, strict=True)
        ]
        name, _, axis = tensors[0]
        arrays[f"state_{name}"] = np.concatenate(of_parts, axis)
    for name, snapshots in (("best", population.best), ("final", population.final)):
        for network, state in enumerate(snapshots.kept):
            if state is not None:
                first, later, learned = state
                arrays |= {f"{name}_{network}_first": first, f"{name}_{network}_later": later}
                arrays |= {f"{name}_{network}_learned_{i}": a for i, a in enumerate(learned)}
    return {
        "specs": _told(population),
        "failures": [result.failure for result in results],
        "order": population.order.bit_generator.state,
        "columns": len(kept[0]) if kept else 0,
    }, arrays


def _joined(curves: Iterable[Sequence[float]]) -> np.ndarray:
    return np.array([value for curve in curves for value in curve], np.float64)


def _restore(
    population: Population, header: dict, arrays: dict, stored_networks: np.ndarray
) -> None:
    """Put these networks of a stored header and arrays into a population that has not begun."""
    kept = np.unpackbits(arrays["kept"], axis=1, count=header["columns"]).astype(bool)
    ends = np.cumsum(arrays["lengths"])
    network_of = {int(stored): network for network, stored in enumerate(stored_networks)}
    population.scores[:] = arrays["scores"][stored_networks]
    population.order.bit_generator.state = header["order"]
    for result, stored in zip(population.results, stored_networks, strict=True):
        rows = slice(int(ends[stored] - arrays["lengths"][stored]), int(ends[stored]))
        result.best_epoch, result.final_epoch = (int(e) for e in arrays["epochs"][stored])
        result.failure = header["failures"][stored]
        result.curves = {name: arrays[name][rows].tolist() for name in ("train_loss", "score")}
        result.kept = list(kept[rows])
    for name, snapshots in (("best", population.best), ("final", population.final)):
        for stored, network in network_of.items():
            if (first := arrays.get(f"{name}_{stored}_first")) is not None:
                learned = [arrays.get(f"{name}_{stored}_learned_{i}") for i in range(2)]
                encoder = () if learned[0] is None else tuple(learned)
                snapshots.kept[network] = (first, arrays[f"{name}_{stored}_later"], encoder)
    rows_of = {
        network_of[int(s)]: i for i, s in enumerate(arrays["training"]) if int(s) in network_of
    }
    population.parts = _parts(population, arrays, rows_of)


def _parts(population: Population, arrays: dict, rows_of: dict[int, int]) -> list[Part]:
    """Networks that still train → parts of them, with the state in these rows of the arrays."""
    setting, initial_parts = population.setting, population.parts
    networks = np.array(sorted(rows_of), int)
    parts = []
    for group in setting.split(networks) if len(networks) else ():
        part = Part.regrouped(initial_parts, group)
        rows = [rows_of[int(network)] for network in setting.filled(group)]
        tensors = {
            name: tf.constant(np.take(arrays[f"state_{name}"], rows, axis))
            for name, _, axis in _named_tensors(part.state)
        }
        encoder = part.state.encoder
        if isinstance(encoder, optimizer.Encoder):
            encoder = optimizer.Encoder(*(tensors.pop(f"encoder_{f}") for f in encoder._fields))
        part.state = optimizer.State(**tensors, encoder=encoder)
        parts.append(part)
    return parts
