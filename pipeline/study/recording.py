"""Finished networks → the tracking store and the trials: the one place where results leave."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.report import HeatMap
from pipeline.results import NetworkResult, StudyRecord
from pipeline.tracking import StudyRun

RECORDED_WEIGHTS = 10_000_000
"""First-layer weights whose files are written together: some 20 bytes each."""


def _units(result: NetworkResult) -> int:
    """h, or 0 without weights."""
    return 0 if result.first_layer is None else result.first_layer.shape[1]


class Recorder:
    """Draws and records networks; a heat map's frame is laid out once for each kind of input."""

    def __init__(self, run: StudyRun, record: StudyRecord):
        self._run, self._record = run, record
        self._frames: dict[tuple, HeatMap] = {}

    def record(self, results: Sequence[NetworkResult]) -> None:
        """All networks of a population, in one transaction where the store has them; in several
        where their weights are many, since their files are made in memory."""
        weights = max(len(r.inputs.columns) * _units(r) for r in results)
        at_once = max(1, RECORDED_WEIGHTS // max(weights, 1))
        for start in range(0, len(results), at_once):
            some = results[start : start + at_once]
            self._run.record_all([(result, self._heat_maps(result)) for result in some])

    def _heat_maps(self, result: NetworkResult) -> dict[str, bytes]:
        if result.first_layer is None:
            return {}
        units = _units(result)
        key = result.inputs, units
        if key not in self._frames:
            self._frames[key] = HeatMap(result.inputs, units, self._record.simulated)
        frame = self._frames[key]
        best, last = int(result.metrics["best_epoch"]), int(result.metrics["final_epoch"])
        return {
            "first_layer.png": frame.png(result.first_layer, f"{result.name} · best epoch {best}"),
            "first_layer_final.png": frame.png(
                result.first_layer_final, f"{result.name} · last epoch {last}"
            ),
        }
