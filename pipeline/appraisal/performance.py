"""The champion and the other networks of its configuration on the test rows, as tables.

Where counts of people could be read off a number, it is shown only where they are five or more:
bins are joined, decision curves end, and an operating point is left empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from pipeline.appraisal.subject import BINARY, REGRESSION, Measure, Predicted, TestRows
from pipeline.metrics import bootstrap, calibration, decisions, masking

MOST_CLASSES = 6
GRID = np.round(np.arange(0.005, 1.0, 0.005), 3)
"""Thresholds of decision curves."""

Measures = Mapping[str, Mapping[str, Measure]]
"""Model → measure → its value and resamples."""


def scores_table(measures: Measures, solutions: Mapping[str, str], champion: str) -> pd.DataFrame:
    """`model champion solution metric value low high sd`: one row a network and metric; `all` is
    the mean over the networks, with its interval over test rows and its deviation over networks."""
    rows: list[tuple] = []
    for model, of_model in measures.items():
        for metric, measure in of_model.items():
            row = (model, model == champion, solutions.get(model, ""), metric, measure.value)
            rows.append((*row, *measure.interval, np.nan))
    names = dict.fromkeys(metric for of_model in measures.values() for metric in of_model)
    for metric in names:
        own = [of_model[metric] for of_model in measures.values()]
        values = np.array([m.value for m in own])
        low, high = bootstrap.interval([m.resampled for m in own])
        sd = float(values.std(ddof=1)) if len(values) > 1 else np.nan
        rows.append(("all", False, "", metric, float(values.mean()), low, high, sd))
    columns = ["model", "champion", "solution", "metric", "value", "low", "high", "sd"]
    return pd.DataFrame(rows, columns=columns)


def calibration_table(
    rows: TestRows, networks: Sequence[Predicted], champion: Predicted
) -> pd.DataFrame:
    """`model outcome kind predicted observed low high rows`: tenths (`bin`) of the champion, and of
    two classes the smooth curve of every network, the champion's with its interval.

    Of several classes each is one against the rest, the champion's alone.
    """
    if rows.task == REGRESSION:
        tenths = calibration.bins(rows.outcome, champion.raw[0], rows.times, binary=False)
        return tenths.assign(model=champion.name, outcome="", kind="bin")
    if rows.task == BINARY:
        case = rows.classes[1] if rows.classes else "1"
        parts = [_one_class(rows, champion.name, case, rows.outcome == 1, champion.raw[0], True)]
        parts += [
            _one_class(rows, n.name, case, rows.outcome == 1, n.raw[0], False)
            for n in networks
            if n.name != champion.name
        ]
        return pd.concat(parts, ignore_index=True)
    risk = np.clip(champion.risk(rows.task), 1e-7, 1 - 1e-7)
    parts = [
        _one_class(
            rows, champion.name, label, rows.outcome == c, np.log(risk[:, c] / (1 - risk[:, c])),
            True,
        )
        for c, label in enumerate(rows.classes[:MOST_CLASSES])
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def _one_class(
    rows: TestRows, model: str, label: str, case: np.ndarray, logits: np.ndarray, foremost: bool
) -> pd.DataFrame:
    """Its curve and, where it is the foremost model, its interval and tenths."""
    y = case.astype(np.float64)
    predicted, observed = calibration.curve(y, logits, rows.once)
    smooth = pd.DataFrame({"predicted": predicted, "observed": observed[0], "kind": "curve"})
    parts = [smooth]
    if foremost:
        times = rows.times if calibration.enough_for_a_band(y) else rows.times[:, :0]
        _, resampled = calibration.curve(y, logits, times)
        low, high = _intervals(resampled)
        risk = 1.0 / (1.0 + np.exp(-np.asarray(logits, np.float64)))
        tenths = calibration.bins(y, risk, rows.times, binary=True).assign(kind="bin")
        parts = [tenths, smooth.assign(low=low, high=high)]
    return pd.concat(parts, ignore_index=True).assign(model=model, outcome=label)


def _intervals(resampled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(P,) ends of the percentile intervals of (B, P) values."""
    if not resampled.size:
        none = np.full(resampled.shape[1], np.nan)
        return none, none
    ends = [bootstrap.interval([column]) for column in resampled.T]
    low, high = zip(*ends, strict=True)
    return np.array(low), np.array(high)


def decision_table(
    rows: TestRows, networks: Sequence[Predicted], champion: Predicted
) -> pd.DataFrame:
    """`model threshold net_benefit low high`: the champion, the networks, and `treat all`.

    Over the thresholds at which five people or more of either outcome are on either side.
    """
    if rows.task != BINARY:
        return pd.DataFrame(columns=["model", "threshold", "net_benefit", "low", "high"])
    thresholds = _shown_thresholds(rows, champion)
    parts = []
    for network in networks:
        found = decisions.fourfold(rows.outcome, network.risk(BINARY), thresholds, rows.once)
        benefit = np.where(found.smallest[0] >= masking.FEWEST, found.net_benefit()[0], np.nan)
        frame = pd.DataFrame({"threshold": thresholds, "net_benefit": benefit})
        if network.name == champion.name:
            many = decisions.fourfold(rows.outcome, network.risk(BINARY), thresholds, rows.times)
            low, high = _intervals(many.net_benefit())
            frame = frame.assign(low=low, high=high)
        parts.append(frame.assign(model=network.name))
    # Of treating all nothing depends on the model, so it begins where thresholds do.
    before = GRID[GRID <= thresholds.max(initial=0.0)]
    of_all = decisions.net_benefit_of_all(rows.outcome, before, rows.once)[0]
    low, high = _intervals(decisions.net_benefit_of_all(rows.outcome, before, rows.times))
    columns = {"threshold": before, "net_benefit": of_all, "low": low, "high": high}
    parts.append(pd.DataFrame(columns).assign(model="treat all"))
    return pd.concat(parts, ignore_index=True)


def _shown_thresholds(rows: TestRows, champion: Predicted) -> np.ndarray:
    """The longest stretch of GRID at which no cell of the champion's fourfold table is small."""
    found = decisions.fourfold(rows.outcome, champion.risk(BINARY), GRID, rows.once)
    fine = np.flatnonzero(found.smallest[0] >= masking.FEWEST)
    if not len(fine):
        return GRID[:0]
    stretches = np.split(fine, np.flatnonzero(np.diff(fine) > 1) + 1)
    return GRID[max(stretches, key=len)]


def operating_table(
    rows: TestRows,
    networks: Sequence[Predicted],
    champion: Predicted,
    thresholds: Sequence[float],
) -> pd.DataFrame:
    """`threshold measure value low high mean sd hidden`: of the champion, and over the networks.

    Measures are `sensitivity specificity ppv npv treated net_benefit`. hidden: fewer than five
    people are in a cell of the champion's fourfold table, so nothing is shown.
    """
    columns = ["threshold", "measure", "value", "low", "high", "mean", "sd", "hidden"]
    if rows.task != BINARY:
        return pd.DataFrame(columns=columns)
    at = np.asarray(thresholds, np.float64)

    def of(network: Predicted, times: np.ndarray) -> dict[str, np.ndarray]:
        found = decisions.fourfold(rows.outcome, network.risk(BINARY), at, times)
        return {**found.measures(), "net_benefit": found.net_benefit()}

    own, many = of(champion, rows.once), of(champion, rows.times)
    smallest = decisions.fourfold(rows.outcome, champion.risk(BINARY), at, rows.once).smallest[0]
    each = [of(network, rows.once) for network in networks]
    table = []
    for i, threshold in enumerate(at):
        hidden = bool(smallest[i] < masking.FEWEST)
        for measure, values in own.items():
            low, high = bootstrap.interval([many[measure][:, i]])
            over = np.array([found[measure][0, i] for found in each])
            sd = float(over.std(ddof=1)) if len(over) > 1 else np.nan
            numbers = (float(values[0, i]), low, high, float(over.mean()), sd)
            numbers = (np.nan,) * 5 if hidden else numbers
            table.append((float(threshold), measure, *numbers, hidden))
    return pd.DataFrame(table, columns=columns)


def risk_table(rows: TestRows, champion: Predicted) -> pd.DataFrame:
    """`outcome low high people share`: the champion's predictions by outcome, in bins of equal
    width but for the open last one; `people` and `share` are nan where masked."""
    if rows.task != BINARY:
        return pd.DataFrame(columns=["outcome", "low", "high", "people", "share"])
    risk = champion.risk(BINARY)
    edges = _edges(risk)
    parts = []
    for position, label in enumerate(rows.classes or ("0", "1")):
        own = rows.outcome == position
        which = np.clip(np.searchsorted(edges, risk[own], side="right") - 1, 0, len(edges) - 2)
        counts = np.bincount(which, minlength=len(edges) - 1).astype(np.float64)
        whose = None if rows.people is None else rows.people[own]
        hidden = masking.masked_counts(
            counts, [range(len(counts))], people=masking.people_in(which, whose, len(counts))
        )
        people = np.where(hidden, np.nan, counts)
        frame = pd.DataFrame({"low": edges[:-1], "high": edges[1:], "people": people})
        parts.append(frame.assign(share=people / own.sum(), outcome=label))
    return pd.concat(parts, ignore_index=True)


def _edges(risk: np.ndarray) -> np.ndarray:
    """Round bounds of 10 to 20 bins up to where hardly anyone is, and 1."""
    upper = float(np.quantile(risk, 0.99))
    width = next((w for w in (0.005, 0.01, 0.02, 0.05) if upper / w <= 20), 0.05)
    count = min(int(np.ceil(upper / width)), round(1 / width))
    edges = np.round(np.arange(max(count, 1) + 1) * width, 4)
    return np.append(edges, 1.0) if edges[-1] < 1.0 else edges
