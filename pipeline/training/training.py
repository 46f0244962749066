"""The compiled training of a population of networks.

All networks of a population share architecture, rows, batches and epochs, and differ in initial
weights, lambdas and rates. They train in parts, one a core, by one compiled program; after every
epoch each network's validation score decides whether this is its best state so far and whether its
patience is over, in which case it stops, and the others are put into fewer parts.

Shapes: K networks, N people (n training rows first, then validation, then test), p first-layer
columns without the bias.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

import numpy as np
import tensorflow as tf

from pipeline.metrics import metrics
from pipeline.networks import (
    Architecture,
    Epoch,
    EpochResult,
    NetworkSpec,
    Schedule,
    TrainedNetwork,
    TrainingData,
    Weights,
    cores,
    networks_at_once,
    optimizer,
    split_networks,
)
from pipeline.process import make_ready, one_blas_thread
from pipeline.solvers import finished
from pipeline.training import tensors
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.final_state import Ending, finishing_processes
from pipeline.training.own_rows import Ownership
from pipeline.training.population import Part, Setting, Snapshots

__all__ = [
    "NetworkSpec",
    "Schedule",
    "TrainedNetwork",
    "TrainingData",
    "networks_at_once",
    "split_networks",
    "train_population",
]

DIVERGED = 100.0
"""A network whose last training loss is more than so many times that of predictions of 0 failed."""


def train_population(
    data: TrainingData,
    architecture: Architecture,
    specs: Sequence[NetworkSpec],
    schedule: Schedule,
    on_epoch: Callable[[int, int, float], None] | None = None,
    initial: Weights | None = None,
    checkpoint: Checkpoint | None = None,
) -> list[TrainedNetwork]:
    """Train one network a spec, all together; results in the order of specs.

    A network's numbers are the same to the last bit alone, beside any others, and in any order.

    initial: weights of all networks to start from, (K, …) arrays; None: as the seeds have them.

    on_epoch(epoch, networks still training, best validation score so far) is called after every
    epoch. A network whose loss or weights stop being finite ends with a failure and its reason;
    the others are not affected.

    checkpoint: where networks that were stopped in training go on from, and are kept as they train.
    """
    started = time.perf_counter()
    keep_freed_memory()
    give_memory_back()
    if reason := tensors.unusable(data.columns):
        return [TrainedNetwork(failure=reason) for _ in specs]
    with one_blas_thread(), _threads() as threads:  # a thread for each core is there already
        population = Population(data, architecture, specs, schedule, initial)
        population.prepare_finish()
        epochs_done = 0 if checkpoint is None else checkpoint.resume(population)
        for epoch in range(epochs_done + 1, schedule.epochs + 1):
            if not population.training:
                break
            population.epoch(epoch, threads.map)
            if checkpoint is not None:
                checkpoint.keep(population, epoch)
            if on_epoch is not None:
                on_epoch(epoch, population.training, population.best_score)
        results = population.finish(threads.map)
    for result in results:
        result.train_seconds = (time.perf_counter() - started) / len(specs)
    return results


@contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    """One thread a core; where the block ends by an exception they are not waited for."""
    threads = ThreadPoolExecutor(cores())
    try:
        yield threads
    except BaseException:
        threads.shutdown(wait=False, cancel_futures=True)
        raise
    threads.shutdown()


class Population:
    """Networks, their results so far, and the parts in which they train.

    map is the built-in one, or a pool's, which runs parts side by side.
    """

    def __init__(self, data, architecture, specs, schedule, initial=None):
        own = None if data.resamples is None else Ownership(data)
        places = architecture.first_layer.padded
        constants = tensors.constants(data, architecture, places)
        self.setting = Setting(data, architecture, schedule, constants, tensors.uses(specs), own)
        self.specs = specs
        self.parts = [
            Part.start(self.setting, networks, specs, initial)
            for networks in self.setting.split(np.arange(len(specs)))
        ]
        self.results = [TrainedNetwork() for _ in specs]
        self.scores = np.full(len(specs), -np.inf)
        self._sign = 1.0 if metrics.MAXIMIZED[schedule.objective] else -1.0
        self.best = Snapshots(self.setting, len(specs))
        self.final = Snapshots(self.setting, len(specs))
        self.order = np.random.default_rng([schedule.batch_seed, 1])
        self._with_best = np.array([self.setting.keeps_best_epoch(spec) for spec in specs], bool)
        self._losses_of_predicting_zero = tensors.losses_of_predicting_zero(
            constants, data.task, specs, own
        )

    @property
    def training(self) -> int:
        """Number of networks that still train."""
        return sum(len(part.networks) for part in self.parts)

    @property
    def best_score(self) -> float:
        """The best validation score of any network so far, or nan."""
        best = self.scores.max()
        return float(self._sign * best) if np.isfinite(best) else float("nan")

    def epoch(self, epoch: int, map: Callable = map) -> None:
        """Train all networks that have not stopped, score them, and regroup those that go on."""
        for part in self.parts:  # compiled once, before several threads need it
            self.setting.program(len(part.state.first))
        batches, scored = self._batches(epoch), self._scored_rows
        leaving = list(
            map(
                lambda part: self._judge(part, part.train(batches, scored), scored, epoch),
                self.parts,
            )
        )
        if any(leaves.any() for leaves in leaving):
            staying = [
                part.networks[~leaves] for part, leaves in zip(self.parts, leaving, strict=True)
            ]
            groups = self.setting.split(np.concatenate(staying))
            self.parts = [Part.regrouped(self.parts, group) for group in groups]

    def _batches(self, epoch: int) -> Epoch:
        schedule, n = self.setting.schedule, self.setting.data.rows[0]
        steps = -(-n // schedule.batch_size)
        done = (epoch - 1) * steps
        last = max(schedule.epochs * steps - 1, 1)
        falling = (done + np.arange(steps)) / last
        return Epoch(
            tf.constant(self.order.permutation(n), tf.int32),
            tf.constant(min(schedule.batch_size, n)),
            optimizer.rates(1.0 - (1.0 - schedule.final_learning_rate) * falling, done),
            tf.constant((epoch + 1000 * schedule.batch_seed) % 2**31),
        )

    def _judge(
        self, part: Part, epoch_result: EpochResult, scored: slice, epoch: int
    ) -> np.ndarray:
        """Score a part's networks, keep the best states; which networks stop."""
        schedule, with_best = self.setting.schedule, self._with_best[part.networks]
        finite, score = self._scored(part, epoch_result, scored)
        kept = epoch_result.kept[:, self.setting.places.inputs]
        improved, leaving = (np.zeros(len(part.networks), bool) for _ in range(2))
        for slot, network in enumerate(part.networks):
            result = self.results[network]
            if not finite[slot]:
                leaving[slot] = True
                result.failure = (
                    f"diverged in epoch {epoch}: loss, gradient or weights are no longer finite"
                )
                continue
            result.final_epoch = epoch
            result.curves["train_loss"].append(float(epoch_result.losses[slot]))
            result.curves["score"].append(float(score[slot]))
            result.kept.append(kept[slot])
            # The first epoch is kept whatever its score, which may be undefined (one class only).
            better = self._sign * score[slot] > self.scores[network]
            improved[slot] = not with_best[slot] or better or epoch == 1
            if improved[slot]:
                result.best_epoch = epoch
            if better:
                self.scores[network] = self._sign * score[slot]
            waited = epoch - result.best_epoch
            leaving[slot] = waited >= schedule.patience_epochs or epoch == schedule.epochs
            if leaving[slot]:
                result.failure = self._divergence(network, epoch_result.losses[slot], epoch)
        self.best.keep(part, np.flatnonzero(improved & with_best))
        healthy = [self.results[network].failure is None for network in part.networks]
        self.final.keep(part, np.flatnonzero(leaving & healthy))
        return leaving

    def _divergence(self, network: int, loss: float, epoch: int) -> str | None:
        """Why a network that stops has failed though its numbers are finite, or None."""
        of_zero = self._losses_of_predicting_zero[network]
        if loss <= DIVERGED * of_zero:
            return None
        return (
            f"diverged: its last training loss, {loss:.3g} in epoch {epoch}, is more than "
            f"{DIVERGED:g} times that of predicting 0, {of_zero:.3g}"
        )

    @property
    def _scored_rows(self) -> slice:
        """The rows of which some network's epochs need predictions; with resamples none where no
        best epoch is wanted."""
        n, validation, _ = self.setting.data.rows
        own = self.setting.own
        if own is None:
            return slice(n, n + validation)
        if not self.setting.schedule.keep_best:
            return slice(0, 0)
        resamples = {self.specs[i].resample for part in self.parts for i in part.networks}
        rows = np.concatenate([own.fitted(resample).validation for resample in resamples])
        return slice(int(rows.min()), int(rows.max()) + 1) if len(rows) else slice(0, 0)

    def _scored(
        self, part: Part, epoch_result: EpochResult, scored: slice
    ) -> tuple[np.ndarray, np.ndarray]:
        """Of every slot: whether all its numbers are finite, and its validation score or nan."""
        # An infinite second moment would freeze its variable where it is.
        finite = np.isfinite(epoch_result.losses) & np.isfinite(epoch_result.size)
        score, own, data = np.full(len(finite), np.nan), self.setting.own, self.setting.data
        if scored.start == scored.stop:
            return finite, score
        outcome, objective = data.target[scored], self.setting.schedule.objective

        def judge(slots: np.ndarray, rows: np.ndarray | slice) -> None:
            """Networks whose validation rows are these of the scored."""
            predictions = epoch_result.predictions[slots][:, :, rows]
            finite[slots] &= np.isfinite(predictions).all(axis=(1, 2))
            predictions = np.where(finite[slots][:, None, None], predictions, 0.0)
            score[slots] = metrics.score(objective, outcome[rows], predictions, data.task)

        if own is None:
            judge(np.arange(len(finite)), slice(None))
            return finite, score
        resamples = [self.specs[network].resample for network in part.networks]
        for resample in dict.fromkeys(resamples):
            rows = own.fitted(resample).validation - scored.start
            if len(rows):
                slots = np.array([i for i, each in enumerate(resamples) if each == resample])
                judge(slots, rows)
        return finite, score

    def prepare_finish(self) -> None:
        """Have the processes of the finish start while the networks train."""
        processes = finishing_processes(self.setting, len(self.specs))
        if processes > 1:
            make_ready(finished.__module__, processes)

    def finish(self, map: Callable = map) -> list[TrainedNetwork]:
        """Finish the last states, and predict everyone at the best epoch and at the end."""
        setting = self.setting
        healthy = np.array([i for i, r in enumerate(self.results) if r.failure is None], int)
        ending = Ending(setting, self.best, self.final)
        ending.settle(healthy, self.specs, self.results)
        list(
            map(
                lambda networks: ending.keep(networks, self.specs, self.results),
                setting.split(healthy),
            )
        )
        return self.results


_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -2, -3, -8
"""Parameters of mallopt(3), from glibc's malloc.h."""


@cache
def keep_freed_memory() -> None:
    """Have glibc's malloc keep freed memory, which saves the time of asking the system for it anew;
    once a process, and nothing where the C library is another."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_MMAP_THRESHOLD, 2**30)
    mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(_TOP_PAD, 64 * 2**20)
    mallopt(_ARENA_MAX, 1)


def give_memory_back() -> None:
    """Have glibc's malloc return what earlier populations freed, in pieces of which no new one is
    made: with those of many it came to three times as much. Nothing where the C library is another.
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):
        return
