"""Networks across seeds → configurations, solutions and how far the seeds agree.

A solution is what is left of each family. The dimensions of a learned representation
(`EXCHANGEABLE` families) are compared by how many are left, all other variables by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.inspection.stability import death_epoch, entropy_bits
from pipeline.metrics import bootstrap
from pipeline.networks import LAMBDAS
from pipeline.results import ANCESTRY, NetworkResult, StudyRecord, StudyResults, kept_variables

EXCHANGEABLE = ("genetic",)
ADJUSTING = (ANCESTRY,)
"""Families that no penalty acts on: in every network, and in no solution."""

EPOCHS = ("best", "last")
SPLITS = ("val", "test", "train")
NAMED_AT_MOST = 4  # variables that the label of a single family's solution names
METRIC_ORDER = ("auroc", "average_precision", "accuracy", "balanced_accuracy", "log_loss")
METRIC_ORDER += ("r2", "mean_squared_error", "mean_absolute_error")


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
    """Family → the variables left at the best or last epoch; None where weights are missing."""
    layer = network.first_layer if epoch == "best" else network.first_layer_final
    if layer is None:
        return None
    kept = kept_variables(layer, network.inputs)
    family_of = network.inputs.family_of
    return {
        family: tuple(v for v, is_kept in kept.items() if is_kept and family_of[v] == family)
        for family in families_of(network)
    }


def kept_counts(network: NetworkResult, epoch: str = "last") -> dict[str, int] | None:
    """Family → number of variables left, from the weights, else from the logged metrics."""
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
        return f"all {total} {family}"
    names = kept_names(network, epoch)
    if names is None or count > NAMED_AT_MOST or family in EXCHANGEABLE:
        return f"{count} of {total} {family}"
    return " + ".join(names[family])


def solution_label(network: NetworkResult, epoch: str = "last") -> str:
    """What is left, from this network alone, so that it serves as its tag in MLflow.

    Several families: those of which anything is left (`clinical only`, `clinical + genetic`,
    `nothing`). One family: `all 15 clinical`, `nothing`, the names while there are at most 4
    (`age, male`) and otherwise, or where dimensions are exchangeable, `7 of 15 clinical`.
    A failed network is `failed`; without weights and counts, `unknown`.
    """
    if network.failure is not None:
        return "failed"
    counts = kept_counts(network, epoch)
    if counts is None:
        return "unknown"
    left = [family for family, count in counts.items() if count]
    if not left:
        return "nothing"
    if len(counts) > 1:
        return " + ".join(left) + (" only" if len(left) == 1 else "")
    return _single_family_label(network, epoch, left[0], counts[left[0]])


@dataclass(frozen=True)
class FamilyKept:
    """What a solution's networks leave of one family, and when it died in those that lost it."""

    family: str
    total: int
    mean: float
    low: int
    high: int
    deaths: tuple[int, ...] = ()  # epoch of death, one for each network whose family died

    @property
    def text(self) -> str:
        if self.high == 0:
            return f"all {self.total} {self.family} zeroed"
        if self.low == self.total:
            return f"all {self.total} {self.family} kept"
        count = f"{self.low}" if self.low == self.high else f"{self.low} to {self.high}"
        return f"{count} of {self.total} {self.family} kept"


@dataclass(frozen=True)
class Solution:
    """The networks of one configuration that leave the same, at the best or at the last epoch.

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


def _family_kept(networks: Sequence[NetworkResult], epoch: str) -> tuple[FamilyKept, ...]:
    counts = [c for n in networks if (c := kept_counts(n, epoch)) is not None]
    rows = []
    for family, total in family_totals(networks[0]).items() if counts else ():
        values = [c[family] for c in counts]
        curves = [n.curves[f"kept_{family}"] for n in networks if f"kept_{family}" in n.curves]
        deaths = tuple(sorted(e for c in curves if (e := death_epoch(c)) is not None))
        rows.append(
            FamilyKept(family, total, float(np.mean(values)), min(values), max(values), deaths)
        )
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
        families=_family_kept(networks, epoch),
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
    """Metrics without their split, the objective's first: `auroc average_precision accuracy`."""
    pattern = re.compile(r"^(?:val|test|train)_(.+)$")
    logged = dict.fromkeys(name for n in networks for name in n.metrics)
    found = dict.fromkeys(m[1] for name in logged if (m := pattern.match(name)))
    found = [m for m in found if m != "seconds" and not m.endswith(("_low", "_high"))]
    first = (objective.removeprefix("val_"), *METRIC_ORDER)
    return tuple(m for m in dict.fromkeys((*first, *found)) if m in found)


def lambdas_text(params: Mapping[str, object]) -> str:
    """The lambdas that act, by the names a study file uses: `lambda_group 0.00712`."""
    acting = [(k, float(params[k])) for k in LAMBDAS if params.get(k) not in (None, "")]
    return ", ".join(f"{name} {value:.3g}" for name, value in acting if value) or "–"


def other_searched(settings: Mapping[str, object]) -> tuple[str, ...]:
    """The keys of `space`, of several values, besides regularizer, inputs and lambdas."""
    known = ("regularizer", "inputs", *LAMBDAS)
    space = settings.get("space") or {}
    return tuple(
        key
        for key, values in space.items()
        if key not in known and (isinstance(values, Mapping) or len(values) > 1)
    )


def searched_text(params: Mapping[str, object], settings: Mapping[str, object]) -> str:
    """The lambdas that act, and every other searched value: `…, hidden_layer_sizes [30, 10]`."""
    values = [(key, params[key]) for key in other_searched(settings) if key in params]
    said = [f"{key} {v:.3g}" if isinstance(v, float) else f"{key} {v}" for key, v in values]
    lambdas = lambdas_text(params)
    return ", ".join([lambdas, *said] if lambdas != "–" or not said else said)


def by_configuration(networks: Sequence[NetworkResult]) -> dict[int, tuple[NetworkResult, ...]]:
    groups: dict[int, list[NetworkResult]] = {}
    for network in sorted(networks, key=lambda n: (n.configuration, n.seed)):
        groups.setdefault(network.configuration, []).append(network)
    return {number: tuple(group) for number, group in groups.items()}


def _configuration_row(
    number: int, networks: tuple[NetworkResult, ...], record: StudyRecord, metrics: Sequence[str]
) -> dict[str, object]:
    finished = [n for n in networks if n.failure is None]
    params = networks[0].params
    row: dict[str, object] = {
        "configuration": number,
        "inputs": str(params.get("inputs", "+".join(families_of(networks[0])))),
        "regularizer": str(params["regularizer"]),
        **{name: float(params.get(name) or 0.0) for name in LAMBDAS},
        "lambdas": searched_text(params, record.settings),
        "networks": len(networks),
        "finished": len(finished),
        "failed": len(networks) - len(finished),
    }
    objective = spread([n.metrics.get(record.objective, np.nan) for n in finished])
    row |= {"objective_mean": objective.mean, "objective_sd": objective.sd}
    row["scored"] = objective.networks
    for name in [f"{p}{s}_{m}" for p in ("", "final_") for s in SPLITS for m in metrics]:
        value = spread([n.metrics.get(name, np.nan) for n in finished])
        row |= {f"{name}_mean": value.mean, f"{name}_sd": value.sd}
    for epoch, prefix in zip(EPOCHS, ("", "final_"), strict=True):
        for family in _family_kept(finished, epoch) if finished else ():
            row[f"{prefix}zeroed_{family.family}_mean"] = family.total - family.mean
            row[f"total_{family.family}"] = family.total
        groups = solutions_of(finished, record.objective, epoch)
        row[f"solutions_{epoch}"] = len(groups)
        row[f"entropy_{epoch}_bits"] = entropy_bits([s.label for s in groups for _ in s.networks])
    means = [s.score(record.objective).mean for s in solutions_of(finished, record.objective)]
    row["solution_gap"] = float(np.ptp(means)) if np.isfinite(means).all() and means else 0.0
    row["families"] = len(families_of(networks[0]))
    return row


def configuration_table(results: StudyResults) -> pd.DataFrame:
    """One row a configuration: parameters, networks, mean and sd over seeds, zeroed by family."""
    metrics = metric_names(results.networks, results.record.objective)
    groups = by_configuration(results.networks)
    return pd.DataFrame(
        [_configuration_row(c, group, results.record, metrics) for c, group in groups.items()]
    )


def cell_spread(row: Mapping[str, object] | pd.Series, name: str) -> Spread:
    mean, sd = row.get(f"{name}_mean", np.nan), row.get(f"{name}_sd", np.nan)
    return Spread(float(mean), float(sd), int(row["scored"]))


def best_row(table: pd.DataFrame, maximize: bool) -> pd.Series | None:
    """The row with the best mean objective on the validation rows, over its seeds.

    So that few lucky seeds cannot win, a configuration is in the running only with at least half
    as many scored networks as the one with most. Ties go to the lower number. Test metrics have no
    say. None when nothing finished.
    """
    if table.empty or table["scored"].max() == 0:
        return None
    running = table[(table["scored"] >= table["scored"].max() / 2) & (table["scored"] > 0)]
    ordered = running.sort_values(
        ["objective_mean", "configuration"], ascending=[not maximize, True], kind="stable"
    )
    return ordered.iloc[0]


def best_by_cell(table: pd.DataFrame, maximize: bool) -> pd.DataFrame:
    """The table of results: the best configuration of each inputs × regularizer."""
    if table.empty:
        return table
    cells = table.groupby(["inputs", "regularizer"], sort=False)
    rows = [row for _, cell in cells if (row := best_row(cell, maximize)) is not None]
    if not rows:
        return table.iloc[:0]
    best = pd.DataFrame(rows)
    size = best["inputs"].str.count(r"\+")
    return best.iloc[np.argsort(-size.to_numpy(), kind="stable")].reset_index(drop=True)


def most_seed_dependent(table: pd.DataFrame) -> pd.Series | None:
    """The tipping point: the configuration with the largest entropy of its last-epoch solutions.

    Where any configuration sees several families only those compete: which family is left is the
    question. Ties go to the larger gap in mean validation objective between solutions, then to the
    lower number. None when the seeds of every configuration agree.
    """
    if table.empty:
        return None
    several = table[table["families"] > 1]
    running = several if len(several) else table
    running = running[running["entropy_last_bits"] > 0]
    if running.empty:
        return None
    keys = running.assign(entropy=running["entropy_last_bits"].round(9))
    order = ["entropy", "solution_gap", "configuration"]
    return keys.sort_values(order, ascending=[False, False, True]).iloc[0].drop("entropy")
