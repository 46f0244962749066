"""One row a configuration: which is the best, and of which the seeds disagree most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.inspection.solutions import (
    EPOCHS,
    Solution,
    Spread,
    by_configuration,
    families_of,
    family_kept,
    metric_names,
    solutions_of,
    spread,
)
from pipeline.inspection.stability import entropy_bits
from pipeline.networks import LAMBDAS, REGULARIZERS
from pipeline.results import NetworkResult, StudyRecord, StudyResults

SPLITS = ("val", "test", "train")
OPPOSED = 0.2  # of the seeds: at least so many on either side of a contradiction


def lambdas_text(params: Mapping[str, Any]) -> str:
    """The lambdas that act, by the names a study file uses: `lambda_group 0.00712`."""
    acting = [(k, float(params[k])) for k in LAMBDAS if params.get(k) not in (None, "")]
    return ", ".join(f"{name} {value:.3g}" for name, value in acting if value) or "–"


def other_searched(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys of `space`, of several values, besides regularizer, inputs and lambdas."""
    named = ("regularizer", "inputs", *LAMBDAS)
    space = settings.get("space") or {}
    return tuple(
        key
        for key, values in space.items()
        if key not in named and (isinstance(values, Mapping) or len(values) > 1)
    )


def searched_text(params: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """The lambdas that act, and every other searched value: `…, hidden_layer_sizes [30, 10]`."""
    values = [(key, params[key]) for key in other_searched(settings) if key in params]
    others = [f"{key} {v:.3g}" if isinstance(v, float) else f"{key} {v}" for key, v in values]
    lambdas = lambdas_text(params)
    return ", ".join([lambdas, *others] if lambdas != "–" or not others else others)


def configuration_row(
    number: int, networks: Sequence[NetworkResult], record: StudyRecord, metrics: Sequence[str]
) -> dict[str, Any]:
    """Parameters and, over the finished networks, means, deviations and solutions."""
    finished = _finished(networks)
    params = networks[0].params
    row: dict[str, Any] = {
        "configuration": number,
        "inputs": str(params.get("inputs", "+".join(families_of(networks[0])))),
        "regularizer": str(params["regularizer"]),
        **{name: float(params.get(name) or 0.0) for name in LAMBDAS},
        "lambdas": searched_text(params, record.settings),
        "networks": len(networks),
        "finished": len(finished),
        "failed": len(networks) - len(finished),
    }
    row |= _objective(finished, record)
    for name in [f"{p}{s}_{m}" for p in ("", "final_") for s in SPLITS for m in metrics]:
        value = spread([n.metrics.get(name, np.nan) for n in finished])
        row |= {f"{name}_mean": value.mean, f"{name}_sd": value.sd}
    for name in ("best_epoch", "final_epoch"):
        value = spread([n.metrics.get(name, np.nan) for n in finished])
        row |= {f"{name}_mean": value.mean, f"{name}_sd": value.sd}
    for epoch, prefix in zip(EPOCHS, ("", "final_"), strict=True):
        for family in family_kept(finished, epoch) if finished else ():
            row[f"{prefix}zeroed_{family.family}_mean"] = family.total - family.mean
            row[f"total_{family.family}"] = family.total
        groups = solutions_of(finished, record.objective, epoch)
        row[f"solutions_{epoch}"] = len(groups)
        row[f"entropy_{epoch}_bits"] = entropy_bits([s.label for s in groups for _ in s.networks])
        row[f"opposed_{epoch}"] = opposed_share(groups)
    means = [solution.score(record.objective).mean for solution in groups]  # at the last epoch
    row["solution_gap"] = float(np.ptp(means)) if np.isfinite(means).all() and means else 0.0
    row["families"] = len(families_of(networks[0]))
    return row


def configuration_table(results: StudyResults) -> pd.DataFrame:
    """One row a configuration: parameters, networks, mean and sd over seeds, zeroed by family."""
    metrics = metric_names(results.networks, results.record.objective)
    groups = by_configuration(results.networks)
    return pd.DataFrame(
        [configuration_row(c, group, results.record, metrics) for c, group in groups.items()]
    )


def best_configuration(results: StudyResults) -> int | None:
    """The number of `best_row` of the configurations; None when nothing finished."""
    rows = [
        {"configuration": number, **_objective(_finished(group), results.record)}
        for number, group in by_configuration(results.networks).items()
    ]
    best = best_row(pd.DataFrame(rows), results.record.maximize)
    return None if best is None else int(best["configuration"])


def _finished(networks: Sequence[NetworkResult]) -> list[NetworkResult]:
    return [n for n in networks if n.failure is None]


def _objective(finished: Sequence[NetworkResult], record: StudyRecord) -> dict[str, float]:
    of = spread([n.metrics.get(record.objective, np.nan) for n in finished])
    return {"objective_mean": of.mean, "objective_sd": of.sd, "scored": of.networks}


def row_spread(row: Mapping[str, Any] | pd.Series, name: str) -> Spread:
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
    eligible = table[(table["scored"] >= table["scored"].max() / 2) & (table["scored"] > 0)]
    ordered = eligible.sort_values(
        ["objective_mean", "configuration"], ascending=[not maximize, True], kind="stable"
    )
    return ordered.iloc[0]


def best_by_inputs_and_regularizer(table: pd.DataFrame, maximize: bool) -> pd.DataFrame:
    """The best configuration of each inputs and regularizer: inputs of fewer families first, and
    regularizers in the order of `pipeline.networks.REGULARIZERS`."""
    if table.empty:
        return table
    groups = table.groupby(["inputs", "regularizer"], sort=False)
    rows = [row for _, group in groups if (row := best_row(group, maximize)) is not None]
    if not rows:
        return table.iloc[:0]
    best = pd.DataFrame(rows)
    place = {inputs: i for i, inputs in enumerate(dict.fromkeys(table["inputs"]))}
    rank = {name: i for i, name in enumerate(REGULARIZERS)}
    keys = pd.DataFrame({
        "families": best["inputs"].str.count(r"\+"),
        "inputs": best["inputs"].map(place),
        "regularizer": [rank.get(name, len(rank)) for name in best["regularizer"]],
    })  # fmt: skip
    return best.loc[keys.sort_values(list(keys), kind="stable").index].reset_index(drop=True)


def opposed_share(solutions: Sequence[Solution]) -> float:
    """How far seeds contradict each other: the largest q such that two solutions without a family
    in common have at least the share q of the seeds each; 0 where there are no two such."""
    kept = [(s.share, {f.family for f in s.families if f.high}) for s in solutions]
    pairs = [
        min(first, second)
        for i, (first, of_first) in enumerate(kept)
        for second, of_second in kept[i + 1 :]
        if of_first and of_second and not of_first & of_second
    ]
    return max(pairs, default=0.0)


def most_seed_dependent(table: pd.DataFrame) -> pd.Series | None:
    """The tipping point: the configuration with the largest entropy of its last-epoch solutions.

    Where any configuration sees several families only those compete, since which family is kept is
    the question; and of those, where there are any, the ones of which OPPOSED of the seeds end
    without a family that another OPPOSED of them end with. Ties go to the larger gap in mean
    validation objective between solutions, then to the lower number. None when the seeds of every
    configuration agree.
    """
    if table.empty:
        return None
    several = table[table["families"] > 1]
    eligible = several if len(several) else table
    eligible = eligible[eligible["entropy_last_bits"] > 0]
    if eligible.empty:
        return None
    keys = eligible.assign(
        entropy=eligible["entropy_last_bits"].round(9), opposed=eligible["opposed_last"] >= OPPOSED
    )
    order = ["opposed", "entropy", "solution_gap", "configuration"]
    ranked = keys.sort_values(order, ascending=[False, False, False, True])
    return ranked.iloc[0].drop(["entropy", "opposed"])
