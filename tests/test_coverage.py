"""Intervals hold the true value about as often as they say, on people of known truth.

docs/coverage.md has all of them, from more samples.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import interval_cases

SAMPLES, FEWEST = 60, 48
"""Of 60 intervals of 95 % each, fewer than 48 hold the truth by chance once in 200,000 times; of
90 %, once in 100. A band's points and a group's scores, of one sample, go together."""


def held(case: interval_cases.Case) -> dict[str, int]:
    """Quantity → of how many samples the interval holds it."""
    rng, counts = np.random.default_rng(1), dict.fromkeys(case.truth, 0)
    for _ in range(SAMPLES):
        for name, (low, high) in case.draw(rng).items():
            counts[name] += low <= case.truth[name] <= high
    return counts


def case_of(cases, size: str) -> interval_cases.Case:
    return next(case for case in cases if case.size == size)


@pytest.mark.parametrize("size", ["400 rows, few cases, straight", "400 rows, few cases, bent"])
def test_the_band_of_a_calibration_curve_holds_the_true_risks(size: str) -> None:
    counts = held(case_of(interval_cases.curve_cases(), size))
    assert len(counts) == 5 and min(counts.values()) >= FEWEST, counts


def test_intervals_within_a_group_hold_its_own_scores() -> None:
    case = case_of(interval_cases.group_cases(), "about 150 of 850 rows, 20% cases")
    counts = held(case)
    shown = {n: k for n, k in counts.items() if n != "average_precision"}  # of 30 cases or more
    assert len(shown) == 8 and min(shown.values()) >= FEWEST, counts


def test_a_group_of_thirty_has_scores_and_no_intervals() -> None:
    case = case_of(interval_cases.group_cases(), "about 30 of 850 rows, 50% cases")
    found = case.draw(np.random.default_rng(2))
    assert "auroc" in found and not np.isfinite(list(found.values())).any()


def test_intervals_of_people_with_several_rows_hold_the_scores_of_all() -> None:
    people = interval_cases.with_several_rows
    counts = held(interval_cases.as_measured("", "200 people", people, 200))
    assert len(counts) == 7 and min(counts.values()) >= FEWEST, counts
    # Rows taken for people of their own would say that they know more than they do.
    rng = np.random.default_rng(3)
    width = {True: [], False: []}
    for _ in range(5):
        rows, raw = people(rng, 200)
        for as_rows, widths in width.items():
            whose = None if as_rows else rows.people
            sample = interval_cases.TestRows(rows.outcome, rows.task, rows.classes, whose)
            measure = interval_cases.measured(sample, interval_cases.Predicted("", raw))
            low, high = measure["log_loss"].interval
            widths.append(high - low)
    assert np.mean(width[False]) > 1.1 * np.mean(width[True])
