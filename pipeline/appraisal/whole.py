"""Everything that is said of a study's model on people it has not seen, as one record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from pipeline.appraisal.comparison import (
    Opponent,
    baselines_table,
    best_on_validation,
    measured_opponent,
)
from pipeline.appraisal.groups import Grouping, groups_table
from pipeline.appraisal.performance import (
    calibration_table,
    decision_table,
    operating_table,
    risk_table,
    scores_table,
)
from pipeline.appraisal.subject import BINARY, Predicted, TestRows, measured
from pipeline.metrics import MAXIMIZED
from pipeline.results import Appraisal

VERSION = 1
"""Of the tables here; a reader of a later one may find more in them."""


@dataclass(frozen=True, eq=False)
class Subject:
    """What is appraised.

    metric      the objective without its part, such as `auroc`
    networks    of the best configuration, and the name of the champion among them
    opponents   baselines; none where the study wants none
    thresholds  operating points of a binary outcome
    groupings   parts of the people
    """

    rows: TestRows
    metric: str
    networks: Sequence[Predicted]
    champion: str
    opponents: Sequence[Opponent] = ()
    thresholds: Sequence[float] = ()
    groupings: Sequence[Grouping] = ()
    people_table: pd.DataFrame = field(default_factory=pd.DataFrame)
    notes: Sequence[str] = ()


def appraise(subject: Subject) -> Appraisal:
    """Tables by name: `performance calibration decision_curve operating_points risk baselines
    groups table_one`; and facts, among them which baseline is the best on the validation rows."""
    rows = subject.rows
    champion = next(n for n in subject.networks if n.name == subject.champion)
    measures = {network.name: measured(rows, network) for network in subject.networks}
    others = [measured_opponent(rows, opponent) for opponent in subject.opponents]
    solutions = {network.name: network.solution for network in subject.networks}
    against = champion.name, subject.metric
    baselines = baselines_table(rows.task, subject.opponents, others, measures, *against)
    tables = {
        "performance": scores_table(measures, solutions, champion.name),
        "calibration": calibration_table(rows, subject.networks, champion),
        "decision_curve": decision_table(rows, subject.networks, champion),
        "operating_points": operating_table(rows, subject.networks, champion, subject.thresholds),
        "risk": risk_table(rows, champion),
        "baselines": baselines,
        "groups": groups_table(rows, champion, subject.groupings, subject.thresholds),
        "table_one": subject.people_table,
    }
    facts: dict[str, object] = {
        "version": VERSION,
        "task": rows.task,
        "metric": subject.metric,
        "maximize": MAXIMIZED[subject.metric],
        "champion": champion.name,
        "networks": len(subject.networks),
        "rows_test": len(rows.outcome),
        "classes": list(rows.classes),
        "thresholds": [float(t) for t in subject.thresholds],
        "report_by": [g.column for g in subject.groupings],
        "baseline_seconds": float(sum(o.seconds for o in subject.opponents)),
        "notes": list(subject.notes),
    }
    if rows.task == BINARY:
        facts["cases_test"] = int(np.sum(rows.outcome == 1))
    if rows.people is not None:
        facts["people_test"] = len(np.unique(rows.people))
    best = best_on_validation(baselines, MAXIMIZED[subject.metric])
    if best is not None:
        facts["best_baseline"] = best
    return Appraisal(facts, tables)
