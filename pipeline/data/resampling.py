"""Who else might have been in the table: subsamples, bootstrap samples and folds of its people.

What is drawn are people, each with all of their rows, stratified by class (that of a person with
rows of several classes is the rarest of them); plain for quantities. Draw i depends on the rows,
the seed and i alone, so that the first 50 of 100 are those of 50.

subsample  in complementary pairs (Shah and Samworth 2013): draws 2i and 2i + 1 have nobody in
           common, and for fraction ½ everybody is in one of them. Of those who are not drawn one
           half picks the best epoch, and the other has no say.
bootstrap  of each class as many people as it has, with replacement (Efron 1979). Of the people
           drawn a share picks the best epoch, as in the split of the whole table, so that all of
           the procedure happens within the sample; people not drawn have no say.
folds      draw r·folds + k leaves out fold k of the r-th partition, and fold k + 1 (after the last
           the first) picks the best epoch; fold k has no say.

Shapes: n development rows (training and validation of the split), u people, R draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split

from pipeline.data.outcome import REGRESSION
from pipeline.data.split import CASES_PER_PART
from pipeline.errors import InputError

SUBSAMPLE, BOOTSTRAP, FOLDS = "subsample", "bootstrap", "folds"
VALIDATION_SHARE = 0.25
"""Of a bootstrap sample's people, unless the study's split says otherwise."""


@dataclass(frozen=True)
class ResampleDesign:
    """How people are drawn: `count` samples of `fraction`, or `repeats` partitions into `folds`."""

    kind: str
    fraction: float = 0.5
    count: int = 100
    folds: int = 5
    repeats: int = 10
    seed: int = 0

    @property
    def draws(self) -> int:
        """R."""
        return self.folds * self.repeats if self.kind == FOLDS else self.count


@dataclass(frozen=True, eq=False)
class Draws:
    """R draws of n rows.

    times       (R, n) how often each row is in the sample: 0 or 1 but for a bootstrap sample.
    validation  (R, n) rows that pick the best epoch, and are not trained on.
    """

    times: np.ndarray
    validation: np.ndarray

    @property
    def weights(self) -> np.ndarray:
        """(R, n) float32: of a row in training, 0 for one that is not trained on."""
        return np.where(self.validation, 0, self.times).astype(np.float32)

    @property
    def left_out(self) -> np.ndarray:
        """(R, n) rows that have no say at all in a network of the draw."""
        return (self.times == 0) & ~self.validation


def draw_resamples(
    design: ResampleDesign,
    outcome: np.ndarray,
    task: str,
    people: np.ndarray | None = None,
    validation_share: float = VALIDATION_SHARE,
) -> Draws:
    """The draws of a design. Raises InputError where a part would have too few of a class.

    outcome (n,) class positions or quantities of the development rows, people (n,) whose rows they
    are, None for one row each.
    """
    person_of, strata = _strata(outcome, task, people)
    _check_sizes(design, strata, task)
    times = np.zeros((design.draws, len(strata)), np.uint16)
    validation = np.zeros((design.draws, len(strata)), bool)
    try:
        if design.kind == SUBSAMPLE:
            _subsamples(design, strata, times, validation)
        elif design.kind == BOOTSTRAP:
            _bootstrap(design, strata, validation_share, times, validation)
        else:
            _folds(design, strata, times, validation)
    except ValueError:  # scikit-learn's, of a class with too few for a part
        raise _too_few(design, strata, task) from None
    draws = Draws(times[:, person_of], validation[:, person_of])
    _check_parts(design, Draws(times, validation), strata, task)
    return draws


def _strata(
    outcome: np.ndarray, task: str, people: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """((n,) whose row it is, from 0; (u,) stratum of each person, one alone for quantities)."""
    persons = np.arange(len(outcome)) if people is None else people
    person_of = np.unique(persons, return_inverse=True)[1]
    units = int(person_of.max(initial=-1)) + 1
    if task == REGRESSION:
        return person_of, np.zeros(units, int)
    classes = np.asarray(outcome, int)
    counts = np.bincount(classes)
    by_rarity = np.argsort(-counts, kind="stable")  # the rarest last
    rarity = np.empty(len(counts), int)
    rarity[by_rarity] = np.arange(len(counts))
    rarest = np.full(units, -1)
    np.maximum.at(rarest, person_of, rarity[classes])
    return person_of, by_rarity[rarest]


def _state(design: ResampleDesign, number: int) -> int:
    """The seed of a draw, of a pair of draws or of a partition."""
    return int(np.random.SeedSequence([design.seed, number]).generate_state(1)[0])


def _stratify(strata: np.ndarray) -> np.ndarray | None:
    return strata if len(np.unique(strata)) > 1 else None


def _subsamples(
    design: ResampleDesign, strata: np.ndarray, times: np.ndarray, validation: np.ndarray
) -> None:
    size = int(design.fraction * len(strata) + 1e-9)
    everyone = np.arange(len(strata))
    for pair in range(design.count // 2):
        halves = train_test_split(
            everyone,
            train_size=size,
            test_size=size,
            stratify=_stratify(strata),
            random_state=_state(design, pair),
        )
        for i, half in enumerate(halves):
            times[2 * pair + i, half] = 1
            others = np.delete(everyone, half)
            picking, _ = train_test_split(
                others,
                test_size=0.5,
                stratify=_stratify(strata[others]),
                random_state=_state(design, pair),
            )
            validation[2 * pair + i, picking] = True


def _bootstrap(
    design: ResampleDesign,
    strata: np.ndarray,
    validation_share: float,
    times: np.ndarray,
    validation: np.ndarray,
) -> None:
    of_stratum = [np.flatnonzero(strata == s) for s in np.unique(strata)]
    for i in range(design.count):
        state = _state(design, i)
        generator = np.random.default_rng(state)
        for members in of_stratum:
            drawn = generator.integers(len(members), size=len(members))
            times[i, members] = np.bincount(drawn, minlength=len(members))
        sample = np.flatnonzero(times[i])
        _, picking = train_test_split(
            sample,
            test_size=validation_share,
            stratify=_stratify(strata[sample]),
            random_state=state,
        )
        validation[i, picking] = True


def _folds(
    design: ResampleDesign, strata: np.ndarray, times: np.ndarray, validation: np.ndarray
) -> None:
    stratified = _stratify(strata) is not None
    for repeat in range(design.repeats):
        splitter = (StratifiedKFold if stratified else KFold)(
            design.folds, shuffle=True, random_state=_state(design, repeat)
        )
        parts = [part for _, part in splitter.split(strata, strata)]
        for k, part in enumerate(parts):
            i = repeat * design.folds + k
            times[i] = 1
            times[i, part] = 0
            validation[i, parts[(k + 1) % design.folds]] = True


def _check_sizes(design: ResampleDesign, strata: np.ndarray, task: str) -> None:
    """InputError where the smallest stratum cannot be divided so; scikit-learn would warn."""
    counts = np.unique(strata, return_counts=True)[1]
    parts = {SUBSAMPLE: 4, BOOTSTRAP: 2, FOLDS: design.folds}[design.kind]
    if counts.min(initial=len(strata)) < CASES_PER_PART * parts:
        raise _too_few(design, strata, task)


def _check_parts(design: ResampleDesign, draws: Draws, strata: np.ndarray, task: str) -> None:
    """InputError unless every draw has enough people of each stratum in each of its parts."""
    parts = [draws.weights > 0, draws.validation, draws.left_out]
    for stratum in np.unique(strata):
        for part in parts:
            if part[:, strata == stratum].sum(axis=1).min() < CASES_PER_PART:
                raise _too_few(design, strata, task)


def _too_few(design: ResampleDesign, strata: np.ndarray, task: str) -> InputError:
    shown = {
        SUBSAMPLE: f"subsamples of {design.fraction:g} of them",
        BOOTSTRAP: "bootstrap samples",
        FOLDS: f"{design.folds} folds",
    }[design.kind]
    counts = np.unique(strata, return_counts=True)[1]
    if task == REGRESSION:
        law, got = "", f"there are {len(strata)} people besides the test rows"
    else:
        law = " of each class"
        got = (
            f"the smallest class has {counts.min()} of the {len(strata)} people who are no test "
            "rows"
        )
    remedy = "take fewer folds" if design.kind == FOLDS else "take folds, or leave resamples out"
    return InputError(
        f"every part of a resample must have at least {CASES_PER_PART} people{law}, but {got}, too "
        f"few for {shown}; add people, or {remedy}"
    )
