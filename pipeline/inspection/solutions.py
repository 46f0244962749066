"""Networks across seeds → configurations, solutions and how far the seeds agree.

A solution is what is kept of each family. The dimensions of a learned representation
(`EXCHANGEABLE` families) are compared by how many are kept, all other variables by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.inspection.stability import death_epoch
from pipeline.metrics import bootstrap
from pipeline.results import ANCESTRY, NetworkResult

EXCHANGEABLE = ("genetic",)
ADJUSTING = (ANCESTRY,)
"""Families that no penalty acts on: in every network, and in no solution."""

EPOCHS = ("best", "last")
NAMED_AT_MOST = 4  # variables that the label of a single family's solution names
METRIC_ORDER = (
    "auroc", "average_precision", "log_loss", "balanced_accuracy", "accuracy", "r2",
    "mean_squared_error", "mean_absolute_error",
)  # fmt: skip


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (n − 1) over networks; sd is NaN for fewer than two."""

    mean: float
    sd: float
    networks: int

    @property
    def text(self) -> str:
        if np.isnan(self.mean):
            return "–"
        # Errors of a regression are in the target's own unit, of any size.
        shape = ".3f" if 1e-2 <= abs(self.mean) < 1e4 or self.mean == 0 else ".3g"
        return f"{self.mean:{shape}} ± " + ("–" if np.isnan(self.sd) else f"{self.sd:{shape}}")


def spread(values: Sequence[float] | np.ndarray | pd.Series) -> Spread:
    numbers = np.asarray(values, dtype=float)
    numbers = numbers[np.isfinite(numbers)]
    mean = float(numbers.mean()) if numbers.size else np.nan
    sd = float(numbers.std(ddof=1)) if numbers.size > 1 else np.nan
    return Spread(mean, sd, int(numbers.size))


def families_of(network: NetworkResult) -> tuple[str, ...]:
    """Without those that are `ADJUSTING`."""
    return tuple(f for f in dict.fromkeys(network.inputs.families) if f not in ADJUSTING)


def family_totals(network: NetworkResult) -> dict[str, int]:
    """Family → its number of variables."""
    families = list(network.inputs.family_of.values())
    return {family: families.count(family) for family in families_of(network)}


def kept_names(network: NetworkResult, epoch: str = "last") -> dict[str, tuple[str, ...]] | None:
    """Family → the variables kept at the best or last epoch; None where weights are missing."""
    kept = network.kept.get(epoch)
    if kept is None:
        return None
    family_of = network.inputs.family_of
    return {
        family: tuple(v for v, is_kept in kept.items() if is_kept and family_of[v] == family)
        for family in families_of(network)
    }


def kept_counts(network: NetworkResult, epoch: str = "last") -> dict[str, int] | None:
    """Family → number of variables kept, from the weights, else from the logged metrics."""
    names = kept_names(network, epoch)
    if names is not None:
        return {family: len(kept) for family, kept in names.items()}
    prefix = "final_zeroed_" if epoch == "last" else "zeroed_"
    totals = family_totals(network)
    if not all(prefix + family in network.metrics for family in totals):
        return None
    return {f: total - int(network.metrics[prefix + f]) for f, total in totals.items()}


def _single_family_label(network: NetworkResult, epoch: str, family: str, count: int) -> str:
    total = family_totals(network)[family]
    if count == total:
        return f"all {total:,} {family}"
    names = kept_names(network, epoch)
    if names is None or count > NAMED_AT_MOST or family in EXCHANGEABLE:
        return f"{count:,} of {total:,} {family}"
    return " + ".join(names[family])


def solution_label(network: NetworkResult, epoch: str = "last") -> str:
    """What is kept, from this network alone, so that it serves as its tag in MLflow.

    Several families: those of which anything is kept (`clinical only`, `clinical + genetic`,
    `nothing`). One family: `all 15 clinical`, `nothing`, the names while there are at most 4
    (`age + male`) and otherwise, or where dimensions are exchangeable, `7 of 15 clinical`.
    A failed network is `failed`; without weights and counts, `unknown`.
    """
    if network.failure is not None:
        return "failed"
    counts = kept_counts(network, epoch)
    if counts is None:
        return "unknown"
    kept_families = [family for family, count in counts.items() if count]
    if not kept_families:
        return "nothing"
    if len(counts) > 1:
        return " + ".join(kept_families) + (" only" if len(kept_families) == 1 else "")
    return _single_family_label(network, epoch, kept_families[0], counts[kept_families[0]])


@dataclass(frozen=True)
class FamilyKept:
    """What a solution's networks keep of one family, and when it died in those that lost it.

    deaths     one epoch for each network whose family died while it trained.
    in_finish  networks that had some of it left after the last epoch, and lost it when the first
               layer was solved for.
    """

    family: str
    total: int
    mean: float
    low: int
    high: int
    deaths: tuple[int, ...] = ()
    in_finish: int = 0

    @property
    def lost_words(self) -> str:
        """`by epoch 41`, `by epoch 41, by 2 seeds in the finish`, `in the finish`; empty where
        nothing is known to die."""
        if not self.deaths:
            return "in the finish" if self.in_finish else ""
        seeds = f"{self.in_finish} seed" + ("s" if self.in_finish > 1 else "")
        finish = f", by {seeds} in the finish" if self.in_finish else ""
        return f"by epoch {self.deaths[-1]}{finish}"

    @property
    def text(self) -> str:
        if self.high == 0:
            return f"all {self.total:,} {self.family} zeroed"
        if self.low == self.total:
            return f"all {self.total:,} {self.family} kept"
        count = f"{self.low:,}" if self.low == self.high else f"{self.low:,} to {self.high:,}"
        return f"{count} of {self.total:,} {self.family} kept"


@dataclass(frozen=True)
class Solution:
    """The networks of one configuration that keep the same, at the best or at the last epoch.

    variables       variable → share of these networks that keep it, largest first; only those kept
                    at least once, and no exchangeable ones.
    scores          metric, as logged (`val_auroc`, `final_test_auroc` …) → its spread.
    test_intervals  `best` and `last` → 95 % bootstrap interval of the mean objective over these
                    networks, over test rows; NaN where it is unknown.
    representative  the network with the median objective (the lower one of two).
    """

    label: str
    epoch: str
    networks: tuple[NetworkResult, ...]
    of_networks: int
    families: tuple[FamilyKept, ...]
    variables: Mapping[str, float]
    scores: Mapping[str, Spread]
    best_epoch: Spread
    test_intervals: Mapping[str, tuple[float, float]]
    representative: NetworkResult

    @property
    def share(self) -> float:
        return len(self.networks) / self.of_networks

    def score(self, metric: str, epoch: str | None = None) -> Spread:
        """A metric such as `test_auroc` at the `best` or `last` epoch; by default, its own."""
        logged = metric if (epoch or self.epoch) == "best" else f"final_{metric}"
        return self.scores.get(logged, Spread(np.nan, np.nan, 0))

    def interval_text(self, epoch: str | None = None) -> str:
        """`0.671 to 0.752`: the interval over test rows; – where it is unknown."""
        low, high = self.test_intervals[epoch or self.epoch]
        shape = ".3f" if 1e-2 <= abs(low) < 1e4 else ".3g"
        return "–" if np.isnan(low) else f"{low:{shape}} to {high:{shape}}"


def family_kept(networks: Sequence[NetworkResult], epoch: str) -> tuple[FamilyKept, ...]:
    counts = [c for n in networks if (c := kept_counts(n, epoch)) is not None]
    rows = []
    for family, total in family_totals(networks[0]).items() if counts else ():
        values = [c[family] for c in counts]
        # Curves end before the first layer is solved for, which may give a family back: that one
        # has not died.
        curves = [
            n.curves[f"kept_{family}"]
            for n in networks
            if f"kept_{family}" in n.curves and (kept_counts(n) or {family: 0})[family] == 0
        ]
        epochs = [death_epoch(c) for c in curves]
        deaths = tuple(sorted(e for e in epochs if e is not None))
        rows.append(FamilyKept(
            family, total, float(np.mean(values)), min(values), max(values), deaths,
            epochs.count(None) if all(kept_counts(n) for n in networks) else 0,
        ))  # fmt: skip
    return tuple(rows)


def selection_matrix(
    networks: Sequence[NetworkResult], epoch: str = "last"
) -> tuple[np.ndarray, tuple[str, ...]]:
    """(M, d) booleans: whether each network keeps each named (not exchangeable) variable."""
    named = [(n, kept) for n in networks if (kept := kept_names(n, epoch)) is not None]
    if not named:
        return np.zeros((0, 0), dtype=bool), ()
    family_of = named[0][0].inputs.family_of
    variables = tuple(
        v for v, family in family_of.items() if family not in (*EXCHANGEABLE, *ADJUSTING)
    )
    rows = [{v for names in kept.values() for v in names} for _, kept in named]
    selected = np.array([[v in row for v in variables] for row in rows], dtype=bool)
    return selected, variables


def median_network(networks: Sequence[NetworkResult], objective: str) -> NetworkResult:
    """The network with the median objective: the lower one of two in the middle."""
    scored = [n for n in networks if np.isfinite(n.metrics.get(objective, np.nan))]
    ordered = sorted(scored or networks, key=lambda n: (n.metrics.get(objective, 0.0), n.seed))
    return ordered[(len(ordered) - 1) // 2]


def _solution(
    label: str, epoch: str, networks: tuple[NetworkResult, ...], of_networks: int, objective: str
) -> Solution:
    selected, variables = selection_matrix(networks, epoch)
    shares = dict(zip(variables, selected.mean(axis=0), strict=True)) if variables else {}
    shares = {v: float(s) for v, s in sorted(shares.items(), key=lambda pair: -pair[1]) if s > 0}
    metrics = dict.fromkeys(name for n in networks for name in n.metrics)
    scores = {m: spread([n.metrics.get(m, np.nan) for n in networks]) for m in metrics}
    return Solution(
        label=label,
        epoch=epoch,
        networks=networks,
        of_networks=of_networks,
        families=family_kept(networks, epoch),
        variables=shares,
        scores=scores,
        best_epoch=scores.get("best_epoch", Spread(np.nan, np.nan, 0)),
        test_intervals={
            e: bootstrap.interval([n.resamples[e] for n in networks if e in n.resamples])
            for e in EPOCHS
        },
        representative=median_network(networks, objective),
    )


def solutions_of(
    networks: Sequence[NetworkResult], objective: str, epoch: str = "last"
) -> tuple[Solution, ...]:
    """The finished networks of one configuration by `solution_label`, largest group first."""
    finished = sorted((n for n in networks if n.failure is None), key=lambda n: n.seed)
    groups: dict[str, list[NetworkResult]] = {}
    for network in finished:
        groups.setdefault(solution_label(network, epoch), []).append(network)
    ordered = sorted(groups.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    return tuple(_solution(k, epoch, tuple(g), len(finished), objective) for k, g in ordered)


def metric_names(networks: Sequence[NetworkResult], objective: str) -> tuple[str, ...]:
    """Metrics without their split, the objective's first: `auroc average_precision log_loss`."""
    pattern = re.compile(r"^(?:val|test|train)_(.+)$")
    logged = dict.fromkeys(name for n in networks for name in n.metrics)
    matched = dict.fromkeys(m[1] for name in logged if (m := pattern.match(name)))
    available = [m for m in matched if m != "seconds" and not m.endswith(("_low", "_high"))]
    first = (objective.removeprefix("val_"), *METRIC_ORDER)
    return tuple(m for m in dict.fromkeys((*first, *available)) if m in available)


def by_configuration(networks: Sequence[NetworkResult]) -> dict[int, tuple[NetworkResult, ...]]:
    groups: dict[int, list[NetworkResult]] = {}
    for network in sorted(networks, key=lambda n: (n.configuration, n.seed)):
        groups.setdefault(network.configuration, []).append(network)
    return {number: tuple(group) for number, group in groups.items()}
