"""The development people of a study, and who of them each resample draws.

They are all but the test rows. Nothing here is written anywhere.

Shapes: R resamples, n development rows, N all rows.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from pipeline.data import Cohort, Draws, ResampleDesign, draw_resamples
from pipeline.search_space import SearchSpace

TRAIN, VALIDATION, LEFT_OUT, TEST = "train", "val", "left_out", "test"


class Resampled:
    """Development rows of a cohort, sorted, with the draws of a study's resamples.

    order  (N,) rows of the table: development rows, then test rows.
    """

    def __init__(self, cohort: Cohort, draws: Draws):
        self.development = development_rows(cohort)
        self.draws = draws
        self.order = np.concatenate([self.development, cohort.split.test])
        self._outcome = cohort.outcome[self.order]

    def digest(self, resample: int) -> str:
        """Of who trains and who picks the best epoch in a resample, whatever its number."""
        times = np.ascontiguousarray(self.draws.times[resample], "<u2")
        validation = np.packbits(self.draws.validation[resample])
        return hashlib.sha256(times.tobytes() + validation.tobytes()).hexdigest()

    def parts(self, resample: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Part → its positions in a network's predictions, each row once, and its outcomes.

        `left_out` are development people without a say, where the kind of resample has any.
        """
        times, validation = self.draws.times[resample], self.draws.validation[resample]
        parts = {
            TRAIN: np.flatnonzero((times > 0) & ~validation),
            VALIDATION: np.flatnonzero(validation),
            LEFT_OUT: np.flatnonzero((times == 0) & ~validation),
            TEST: np.arange(len(times), len(self.order)),
        }
        return {name: (rows, self._outcome[rows]) for name, rows in parts.items() if len(rows)}


def development_rows(cohort: Cohort) -> np.ndarray:
    """(n,) all rows but those of the test, sorted."""
    return np.sort(np.concatenate([cohort.split.train, cohort.split.validation]))


def resampled_people(space: SearchSpace, cohort: Cohort, at_least: int = 0) -> Resampled | None:
    """The people whom a study's resamples draw, `at_least` so many of these; None without any.

    Raises InputError where a part of a resample would have too few people of a class.
    """
    settings = space.resamples
    if settings is None:
        return None
    rows = development_rows(cohort)
    design = ResampleDesign(**settings.model_dump())
    if at_least > design.draws:
        repeats = -(-at_least // design.folds)
        design = replace(design, count=at_least + at_least % 2, repeats=repeats)
    draws = draw_resamples(
        design,
        cohort.outcome[rows],
        cohort.task,
        None if cohort.people is None else cohort.people[rows],
        space.split.validation_fraction / (1.0 - space.split.test_fraction),
    )
    return Resampled(cohort, draws)
