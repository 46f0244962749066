"""The configurations that a report looks at closely: the best, the most seed-dependent, others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from pipeline.inspection.agreement import (
    Correlation,
    importance_correlation,
    selection_frequencies,
    stability_of,
)
from pipeline.inspection.solutions import Solution, by_configuration, solutions_of
from pipeline.inspection.stability import Stability
from pipeline.results import NetworkResult, StudyResults
from pipeline.words import inputs_words

BEST_ROLE, TIPPING_ROLE = "best configuration", "most seed-dependent"


@dataclass(frozen=True)
class Focus:
    """A configuration that the report looks at closely, and why."""

    number: int
    roles: tuple[str, ...]
    regularizer: str
    inputs: str
    lambdas: str
    networks: tuple[NetworkResult, ...]
    last: tuple[Solution, ...]
    best: tuple[Solution, ...]
    stability_last: Stability
    stability_best: Stability
    importance_last: Correlation
    importance_best: Correlation
    frequencies: pd.DataFrame
    entropy_bits: float

    @property
    def outcomes(self) -> tuple[Solution, ...]:
        """The last-epoch solutions in an order that does not depend on counts where it can: those
        that keep a single family, by family, then the others, the commonest first."""
        order = [f.family for f in self.last[0].families] if self.last else []

        def rank(solution: Solution) -> int:
            kept = [f.family for f in solution.families if f.high]
            return order.index(kept[0]) if len(kept) == 1 and len(order) > 1 else len(order)

        return tuple(sorted(self.last, key=rank))

    @property
    def selects(self) -> bool:
        """Whether any of its networks zeroes a variable, at its best or last epoch."""
        kept = [f for s in (*self.last, *self.best) for f in s.families]
        return any(f.low < f.total for f in kept)


def _focus(row: pd.Series, roles: Sequence[str], results: StudyResults) -> Focus:
    number, objective = int(row["configuration"]), results.record.objective
    networks = by_configuration(results.networks)[number]
    return Focus(
        number=number,
        roles=tuple(roles),
        regularizer=row["regularizer"],
        inputs=inputs_words(row["inputs"], results.record),
        lambdas=row["lambdas"],
        networks=networks,
        last=solutions_of(networks, objective, "last"),
        best=solutions_of(networks, objective, "best"),
        stability_last=stability_of(networks, "last"),
        stability_best=stability_of(networks, "best"),
        importance_last=importance_correlation(networks, "last"),
        importance_best=importance_correlation(networks, "best"),
        frequencies=selection_frequencies(networks),
        entropy_bits=float(row["entropy_last_bits"]),
    )


def best_that_selects(focus: Sequence[Focus], table: pd.DataFrame, maximize: bool) -> Focus | None:
    """Of the best of each inputs and regularizer, the best that zeroes any variable."""
    means = table.set_index("configuration")["objective_mean"]
    candidates = [f for f in focus if f.selects and f.roles != (TIPPING_ROLE,)]
    return max(candidates, key=lambda f: means[f.number] * (1 if maximize else -1), default=None)


def focuses(
    best: pd.Series | None,
    tipping: pd.Series | None,
    best_rows: pd.DataFrame,
    results: StudyResults,
) -> tuple[Focus, ...]:
    """Best and most seed-dependent configuration first, then the best of each inputs
    and regularizer, of those that zero any variable; at most 14."""
    rows_and_roles: dict[int, tuple[pd.Series, list[str]]] = {}
    for row, role in ((best, BEST_ROLE), (tipping, TIPPING_ROLE)):
        if row is not None:
            rows_and_roles.setdefault(int(row["configuration"]), (row, []))[1].append(role)
    for _, row in best_rows.iterrows():
        inputs = inputs_words(row["inputs"], results.record)
        role = f"best of {row['regularizer']} on {inputs}"
        rows_and_roles.setdefault(int(row["configuration"]), (row, []))[1].append(role)
    candidates = [_focus(row, roles, results) for row, roles in rows_and_roles.values()]
    return tuple(f for i, f in enumerate(candidates) if i < 1 or f.selects)[:14]
