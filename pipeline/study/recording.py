"""Finished networks → the tracking store and the trials: the one place where results are written.

A run is recorded before its trial is added, so a stop between the two leaves a run without a trial;
the next start adds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial

from pipeline.errors import InputError
from pipeline.inspection import solution_label
from pipeline.process import Beside, cores
from pipeline.provenance import made_with, processor
from pipeline.report import HeatMap
from pipeline.results import NetworkResult, ReplicateKey, StudyRecord
from pipeline.study.replicates import Replicate
from pipeline.study.scores import Outcome, Scores, score_of
from pipeline.study.trials import Trials
from pipeline.tracking import (
    StoredRun,
    StudyRun,
    attempts,
    params_from_texts,
    read_network,
    server_trouble,
)

WEIGHTS_AT_ONCE = 10_000_000
"""First-layer weights whose files are written together: some 20 bytes each."""


def _units(result: NetworkResult) -> int:
    """h, or 0 without weights."""
    return 0 if result.first_layer is None else result.first_layer.shape[1]


class Recorder:
    """Records a study's networks, and knows which are recorded."""

    def __init__(
        self,
        run: StudyRun,
        record: StudyRecord,
        trials: Trials,
        scores: Scores,
        check: Callable[[], None] = lambda: None,
    ):
        """check raises where the study is another process's by now; nothing is recorded then."""
        self._check = check
        self._run, self._record, self._trials, self.scores = run, record, trials, scores
        self._frames: dict[tuple, HeatMap] = {}
        self._waiting: set[ReplicateKey] = set()  # networks whose runs a server lacks
        self._without_trials: list[Outcome] = []  # where the storage is away
        self._telling: Beside[None] | None = None
        self._made_with = made_with(record.facts)
        self.study_id = record.study_id

    def restore(self) -> int:
        """Take up what earlier starts recorded; trials that the storage lacks are added.

        Returns how many networks are to be tried again, which were given up.
        """
        self._run.discard_unfinished()
        self._run.delivery.take_up()
        runs = self._run.recorded()
        given_up = [run for run in runs if _was_given_up(run)]
        self._run.discard(given_up)
        objective = self.scores.space.objective
        kept = [run for run in runs if not _was_given_up(run)]
        self._keep([outcome_of_run(run, objective) for run in kept])
        return len(given_up)

    def adopt(self, replicates: Iterable[tuple[Replicate, str]]) -> int:
        """Record networks that some study of this store has already; returns how many.

        replicates come with their keys. The runs are this study's; their tag `copied_from` names
        the one that was trained.
        """
        wanted_by_key = {key: replicate for replicate, key in replicates}
        copies = []
        for run in self._run.known_networks(list(wanted_by_key)) if wanted_by_key else ():
            replicate = wanted_by_key.pop(run.tags.get("network_key", ""), None)
            if replicate is None:
                continue
            try:
                copies.append(self._copy(run, replicate))
            except InputError:  # its weights are lost: it is trained again
                continue
        self.record(sorted(copies, key=lambda copy: copy.replicate_key))
        return len(copies)

    def _copy(self, run: StoredRun, replicate: Replicate) -> NetworkResult:
        network = read_network(self._run.store, run)
        return replace(
            network,
            params=replicate.params,
            copied_from=network.copied_from or run.run_id,
            trial=None,
        )

    def record(self, results: Sequence[NetworkResult]) -> None:
        """All networks of a population, in one transaction where the store has them; in several
        where their weights are many, since their files are made in memory."""
        most_weights = max((len(r.inputs.columns) * _units(r) for r in results), default=1)
        at_once = max(1, WEIGHTS_AT_ONCE // max(most_weights, 1))
        for start in range(0, len(results), at_once):
            self._record_some(results[start : start + at_once])

    def _record_some(self, results: Sequence[NetworkResult]) -> None:
        self._check_lock()
        self._wait_for_trials()
        numbered = [
            replace(
                result,
                trial=self._trials.next_number + i,
                made_with=result.made_with or self._made_with,
                processor=_processor_of(result),
                solution=None if result.failure is not None else solution_label(result),
            )
            for i, result in enumerate(results)
        ]
        ids = self._run.record_all(list(zip(numbered, self._pictures(numbered), strict=True)))
        outcomes = [
            outcome_of(result, run_id, self.scores.space.objective)
            for result, run_id in zip(numbered, ids, strict=True)
        ]
        for outcome in (each for each in outcomes if not each.run_id):
            self.scores.add(outcome)
            self._waiting.add(outcome.replicate_key)
        self._keep([outcome for outcome in outcomes if outcome.run_id])
        if self._waiting and not self._run.delivery.trouble:
            self._keep_what_arrived()

    def _check_lock(self) -> None:
        try:
            self._check()
        except Exception as error:
            if server_trouble(error) is None:  # else it is checked when the storage is back
                raise

    def _keep_what_arrived(self) -> None:
        """Networks whose runs had to wait; where none had, no run is read."""
        if not self._waiting:
            return
        objective = self.scores.space.objective
        arrived = [outcome_of_run(run, objective) for run in self._run.recorded()]
        arrived = [outcome for outcome in arrived if outcome.replicate_key in self._waiting]
        self._waiting -= {outcome.replicate_key for outcome in arrived}
        self._keep(arrived)

    def deliver(self, on_wait: Callable[[str], None]) -> None:
        """Wait until the tracking server has every run, calling on_wait with why; InputError where
        it stays away, and then the next start delivers them."""
        self._run.delivery.finish(lambda trouble: on_wait(f"the tracking server, which {trouble}"))
        self._keep_what_arrived()

    def finish(self, on_wait: Callable[[str], None]) -> None:
        """The same of the storage and the trials, of which no report says anything."""
        self._wait_for_trials()
        for attempt in attempts():
            if not self._without_trials:
                break
            self._check_lock()
            self._keep([])
            self._wait_for_trials()
            if self._without_trials and attempt == 0:
                on_wait(f"the Optuna storage, which {self._storage_trouble}")
        if self._without_trials:
            raise InputError(
                f"the Optuna storage must answer, but {self._storage_trouble}; no network is lost, "
                "and the same command adds their trials when it does"
            )

    def _keep(self, outcomes: Sequence[Outcome]) -> None:
        """Add their trials, in a thread: the next population trains meanwhile.

        One batch at a time, so that trials come in the order of their runs. What is not added when
        the process dies is at the next start.
        """
        for outcome in outcomes:
            self.scores.add(outcome)
        self._wait_for_trials()
        self._telling = Beside(partial(self._tell, [*self._without_trials, *outcomes]))

    def _wait_for_trials(self) -> None:
        """Until the trials of all that was kept are there; what went wrong is raised."""
        if self._telling is not None:
            try:
                self._telling.result()
            finally:
                if self._telling.is_done:  # else a signal came, and `close` waits
                    self._telling = None

    def look(self) -> None:
        """Raise what went wrong with trials, where that is known already."""
        if self._telling is not None and self._telling.is_done:
            self._wait_for_trials()

    def close(self) -> None:
        """Add no trial after the one that is being added, where the study ends early."""
        self._trials.leave()
        with suppress(Exception):  # the study ends for another reason
            self._wait_for_trials()

    def _tell(self, outcomes: Sequence[Outcome]) -> None:
        try:
            numbers = self._trials.add(outcomes)
        except Exception as error:
            trouble = server_trouble(error)
            if trouble is None:
                raise
            self._storage_trouble, self._without_trials = trouble, list(outcomes)
            return
        self._without_trials = []
        known = [o for o in outcomes if o.run_id in numbers]  # not all, where the study is left
        renumbered = {o.run_id: numbers[o.run_id] for o in known if numbers[o.run_id] != o.trial}
        self._run.store.set_tag("trial", {run_id: str(n) for run_id, n in renumbered.items()})

    def _pictures(self, results: Sequence[NetworkResult]) -> list[dict[str, bytes]]:
        """Heat maps of each; pictures are packed without Python's lock, several at once."""
        with ThreadPoolExecutor(cores()) as pool:
            return list(pool.map(self._heat_maps, results))

    def _heat_maps(self, result: NetworkResult) -> dict[str, bytes]:
        if result.first_layer is None or result.first_layer_final is None:
            return {}
        units = _units(result)
        key = result.inputs, units
        if key not in self._frames:
            self._frames[key] = HeatMap(result.inputs, units, self._record.simulated)
        frame = self._frames[key]
        best, last = int(result.metrics["best_epoch"]), int(result.metrics["final_epoch"])
        pictures = {
            "first_layer.png": frame.png(result.first_layer, f"{result.name} · best epoch {best}"),
            "first_layer_final.png": frame.png(
                result.first_layer_final, f"{result.name} · last epoch {last}"
            ),
        }
        return {name: png for name, png in pictures.items() if png is not None}


def _processor_of(result: NetworkResult) -> str:
    """This machine's, unless a worker's is known or the network was trained in an earlier study."""
    return result.processor or ("" if result.copied_from else processor())


def outcome_of(result: NetworkResult, run_id: str, objective: str) -> Outcome:
    """What is remembered of a network that was just recorded."""
    score = None
    if result.failure is None:
        variables = result.inputs.penalized
        score = score_of(result.metrics, objective, result.solution or "", variables)
    given_up = result.failure is not None and not result.key
    return Outcome(result.params, score, result.failure, run_id, result.trial, given_up)


def _was_given_up(run: StoredRun) -> bool:
    """Whether no worker lived to train it: it failed, and has no key, since nothing is known of the
    network itself."""
    return "failure" in run.tags and "network_key" not in run.tags


def outcome_of_run(run: StoredRun, objective: str) -> Outcome:
    """The same of a network that an earlier start recorded."""
    tags, score = run.tags, None
    if "failure" not in tags:
        variables = int(tags.get("variables", 0))
        score = score_of(run.metrics, objective, tags.get("solution", ""), variables)
    params = params_from_texts(run.params, tags.get("text_params", ""))
    trial = int(tags["trial"]) if "trial" in tags else None
    return Outcome(params, score, tags.get("failure"), run.run_id, trial, _was_given_up(run))
