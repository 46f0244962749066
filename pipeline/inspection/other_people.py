"""Would other people have given the same answer? What networks of a study's resamples say of it.

A study with `resamples` has, beside the networks of the table as it is split, networks that were
trained on rows drawn from the same people. The first are what all other modules look at; here they
are told apart, and the second are compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from pipeline.inspection.solutions import ADJUSTING, EXCHANGEABLE, by_configuration
from pipeline.inspection.tipping import main_lambda
from pipeline.networks import LAMBDAS
from pipeline.people import (
    IntegratedPath,
    SelectionPath,
    StableSet,
    components,
    grid_of,
    integrated_path,
    selection_path,
    share_intervals,
    shares_row,
    stable_set,
)
from pipeline.results import NetworkResult, StudyResults, variables_kept

RESAMPLE = "resample"
SUBSAMPLE = "subsample"
MOST_VARIABLES = 200
"""Of which the variance is divided one by one: those that vary most."""

SURELY_RARE = 0.1
"""A single variable that is kept, or zeroed, less often has no interval: too little varies."""


def of_the_table(results: StudyResults) -> StudyResults:
    """The networks that were trained on the table as it is split."""
    return replace(results, networks=tuple(n for n in results.networks if RESAMPLE not in n.params))


def of_resamples(results: StudyResults) -> tuple[NetworkResult, ...]:
    """The networks that were trained on resamples."""
    return tuple(n for n in results.networks if RESAMPLE in n.params)


@dataclass(frozen=True, eq=False)
class ResampledPath:
    """The configurations of one regularizer on the same inputs, over resamples.

    lambdas     (L,) of the path's configurations, the strongest penalty first; None where not one λ
                alone tells them apart, and they stand in the order of how much they keep.
    variables   (g,) names; the exchangeable dimensions of a family count as one, kept where any is,
                and what is never penalized is not among them.
    stable      None where resamples are no subsamples, for which there is no bound.
    integrated  None without `lambdas`, or without subsamples.
    """

    inputs: str
    regularizer: str
    main_lambda: str | None
    lambdas: tuple[float, ...] | None
    variables: tuple[str, ...]
    families: tuple[str, ...]
    path: SelectionPath
    stable: StableSet | None
    integrated: IntegratedPath | None

    @property
    def stable_names(self) -> tuple[str, ...]:
        """The stable variables, the most often kept first."""
        if self.stable is None:
            return ()
        order = np.argsort(-self.stable.probability, kind="stable")
        return tuple(self.variables[i] for i in order if self.stable.stable[i])


@dataclass(frozen=True, eq=False)
class SeedOrPeople:
    """Whose the variance of what one configuration keeps is, over its resamples and seeds.

    shares, intervals  (3,) and (3, 2) of seed, resample and both, over all variables.
    by_variable        a row each variable that varies, the most variable first: `variable`,
                       `probability`, and shares with intervals by name.
    """

    number: int
    seeds: int
    resamples: int
    dropped: int
    shares: np.ndarray
    intervals: np.ndarray
    by_variable: pd.DataFrame


def selected_variables(
    networks: Sequence[NetworkResult], unpenalized: Sequence[str] = ()
) -> tuple[np.ndarray, tuple[str, ...], tuple[str, ...]]:
    """(N, g) booleans at the last epoch, and the g variables with their families: all named ones
    that a penalty acts on, and one for all dimensions of an exchangeable family.

    The last epoch, since it is the resample's own people who decide it; the best epoch is chosen on
    the other half of a pair.
    """
    inputs = networks[0].inputs
    family_of = inputs.family_of
    columns_kept = np.array([np.any(n.first_layer_final != 0.0, axis=1) for n in networks])
    kept = variables_kept(columns_kept, inputs)
    names, families, selected = [], [], []
    for i, (variable, family) in enumerate(family_of.items()):
        if family not in (*EXCHANGEABLE, *ADJUSTING) and variable not in unpenalized:
            names.append(variable)
            families.append(family)
            selected.append(kept[:, i])
    for family in EXCHANGEABLE:
        members = [i for i, f in enumerate(family_of.values()) if f == family]
        if members:
            names.append(f"{family} (any dimension)")
            families.append(family)
            selected.append(np.any(kept[:, members], axis=1))
    matrix = np.stack(selected, axis=1) if selected else np.zeros((len(networks), 0), bool)
    return matrix, tuple(names), tuple(families)


def resample_settings(results: StudyResults) -> Mapping[str, object]:
    """`kind`, `count`, `fraction` … as the study has them; empty without resamples."""
    settings = results.record.settings.get("resamples") or {}
    return settings if isinstance(settings, Mapping) else {}


def _unpenalized(results: StudyResults) -> tuple[str, ...]:
    names = results.record.settings.get("unpenalized") or ()
    return tuple(str(name) for name in names) if isinstance(names, (list, tuple)) else ()


def _order(rows: pd.DataFrame) -> tuple[str | None, list[int] | None, tuple[float, ...] | None]:
    """The λ that tells a path's configurations apart, their order along it, and its values."""
    name = main_lambda(rows)
    varying = [c for c in LAMBDAS if c in rows and rows[c].nunique() > 1]
    if name is None or varying != [name] or rows[name].duplicated().any() or rows[name].min() <= 0:
        return name, None, None
    ordered = rows.sort_values(name, ascending=False)
    return name, ordered["configuration"].tolist(), tuple(ordered[name].astype(float))


def resampled_paths(results: StudyResults, table: pd.DataFrame) -> tuple[ResampledPath, ...]:
    """One each inputs and regularizer that zeroes anything. table: one row a configuration, as
    `configuration_table`."""
    finished = [
        n for n in of_resamples(results) if n.failure is None and n.first_layer_final is not None
    ]
    groups, paths = by_configuration(finished), []
    kind = resample_settings(results).get("kind")
    unpenalized = _unpenalized(results)
    if table.empty or not finished:
        return ()
    for (inputs, regularizer), rows in table.groupby(["inputs", "regularizer"], sort=False):
        members = [n for c in rows["configuration"] for n in groups.get(c, ())]
        if not members:
            continue
        selected, names, families = selected_variables(members, unpenalized)
        if not names or selected.all():
            continue
        known = rows[rows["configuration"].isin([n.configuration for n in members])]
        lambda_name, order, lambdas = _order(known)
        labels = ([n.configuration for n in members], [n.seed for n in members])
        drawn = [int(n.params[RESAMPLE]) for n in members]
        path = selection_path(selected, *labels, drawn, order, paired=kind == SUBSAMPLE)
        stable = stable_set(path) if kind == SUBSAMPLE and path.pairs else None
        integrated = None
        if stable is not None and lambdas and len(lambdas) > 1:
            integrated = integrated_path(path, np.array(lambdas))
        paths.append(ResampledPath(
            str(inputs), str(regularizer), lambda_name, lambdas, names, families, path, stable,
            integrated,
        ))  # fmt: skip
    return tuple(paths)


def seed_or_people(results: StudyResults, number: int) -> SeedOrPeople | None:
    """Of one configuration; None where it has no resampled networks of two seeds and resamples."""
    networks = [
        n
        for n in of_resamples(results)
        if n.configuration == number and n.failure is None and n.first_layer_final is not None
    ]
    if not networks:
        return None
    selected, names, _ = selected_variables(networks, _unpenalized(results))
    grid, dropped = grid_of(
        selected, [int(n.params[RESAMPLE]) for n in networks], [n.seed for n in networks]
    )
    if min(grid.shape[:2], default=0) < 2 or not names:
        return None
    found = components(grid)
    variance = grid.reshape(-1, len(names)).var(axis=0)
    rows = []
    for i in np.argsort(-variance, kind="stable")[:MOST_VARIABLES]:
        if variance[i] == 0:
            break
        one = grid[:, :, i]
        often = float(one.mean())
        clear = SURELY_RARE <= often <= 1 - SURELY_RARE
        ends = share_intervals(one) if clear else np.full((3, 2), np.nan)
        rows.append({
            "variable": names[i], "probability": often,
            **shares_row(found.shares()[:, i], ends),
        })  # fmt: skip
    return SeedOrPeople(
        number, grid.shape[1], grid.shape[0], dropped, found.pooled(), share_intervals(grid),
        pd.DataFrame(rows),
    )  # fmt: skip


def selection_table(paths: Sequence[ResampledPath]) -> pd.DataFrame:
    """A row each path and variable: how often it is kept on the part of the path that the bound
    allows, whether it is stable, and what integrated paths expect to be false."""
    rows = []
    for p in paths:
        highest = np.nan_to_num(p.path.probability).max(axis=0, initial=0.0)
        for i, variable in enumerate(p.variables):
            row = {
                "inputs": p.inputs, "regularizer": p.regularizer, "variable": variable,
                "family": p.families[i], "highest_probability": float(highest[i]),
            }  # fmt: skip
            if p.stable is not None:
                false = p.stable.false
                row |= {
                    "probability": float(p.stable.probability[i]),
                    "stable": bool(p.stable.stable[i]), "threshold": p.stable.threshold,
                    "kept_on_average": p.stable.kept, "pairs": p.stable.pairs,
                    "false_any_distribution": false.any_distribution,
                    "false_unimodal": false.unimodal, "false_r_concave": false.r_concave,
                }  # fmt: skip
            if p.integrated is not None:
                row |= {
                    "integrated_expected_false": float(p.integrated.expected_false[i]),
                    "integrated_q_value": float(p.integrated.q_values[i]),
                }
            rows.append(row)
    return pd.DataFrame(rows)


def selection_path_table(paths: Sequence[ResampledPath]) -> pd.DataFrame:
    """A row each configuration and variable of a path: Π̂, and the λ where one tells them apart."""
    tables = []
    for p in paths:
        table = pd.DataFrame(p.path.probability, columns=list(p.variables))
        table.insert(0, "configuration", p.path.configurations)
        table.insert(1, p.main_lambda or "lambda", p.lambdas or np.nan)
        long = table.melt(table.columns[:2], var_name="variable", value_name="probability")
        long.insert(0, "regularizer", p.regularizer)
        long.insert(0, "inputs", p.inputs)
        tables.append(long)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def seed_or_people_table(found: Sequence[SeedOrPeople]) -> pd.DataFrame:
    """A row each configuration over all its variables, `variable` empty, and one each variable."""
    tables = []
    for s in found:
        known = {"configuration": s.number, "seeds": s.seeds, "resamples": s.resamples}
        every = pd.DataFrame([{"variable": "", **shares_row(s.shares, s.intervals)}])
        tables.append(pd.concat([every, s.by_variable], ignore_index=True).assign(**known))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
