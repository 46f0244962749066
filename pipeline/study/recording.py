"""Finished networks → the tracking store and the trials: the one place where results leave."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.report import HeatMap
from pipeline.results import NetworkResult, StudyRecord
from pipeline.tracking import StudyRun


class Recorder:
    """Draws and records networks; a heat map's frame is laid out once for each kind of input."""

    def __init__(self, run: StudyRun, record: StudyRecord):
        self._run, self._record = run, record
        self._frames: dict[tuple, HeatMap] = {}

    def record(self, results: Sequence[NetworkResult]) -> None:
        """All networks of a population, in one transaction where the store has them."""
        self._run.record_all([(result, self._heat_maps(result)) for result in results])

    def _heat_maps(self, result: NetworkResult) -> dict[str, bytes]:
        if result.first_layer is None:
            return {}
        units = result.first_layer.shape[1]
        frame = self._frames.setdefault(
            (result.inputs, units), HeatMap(result.inputs, units, self._record.simulated)
        )
        best, last = int(result.metrics["best_epoch"]), int(result.metrics["final_epoch"])
        return {
            "first_layer.png": frame.png(result.first_layer, f"{result.name} · best epoch {best}"),
            "first_layer_final.png": frame.png(
                result.first_layer_final, f"{result.name} · last epoch {last}"
            ),
        }
