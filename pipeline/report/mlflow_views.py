"""How MLflow's list of runs opens for a study: the columns that matter, sorted, grouped.

MLflow keeps a shared view as a tag of the experiment and opens it by its key in the address. The
tag's content is that of MLflow 3's pages; another version that does not know it shows its own list.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from pipeline.inspection import RESAMPLE, TIPPING_ROLE
from pipeline.networks import LAMBDAS
from pipeline.report.summary import Summary, all_families
from pipeline.report.summary_text import escape_markdown
from pipeline.results import StudyRecord

MOST_OUTCOMES = 6
TAG = "mlflow.sharedViewState."


def _columns(summary: Summary) -> list[str]:
    record, table = summary.record, summary.configurations
    metric = record.objective.removeprefix("val_")
    metrics = [record.objective, f"test_{metric}"]
    metrics += [f"final_zeroed_{family}" for family in all_families(table)] if len(table) else []
    used = [name for name in LAMBDAS if len(table) and table[name].nunique() > 1]
    resample = [RESAMPLE] if summary.people else []
    params = ["configuration", *used, "regularizer", "seed", *resample]
    return [
        *(f"metrics.`{name}`" for name in metrics),
        *(f"params.`{name}`" for name in params),
        "tags.`solution`",
    ]


def outcome_links(summary: Summary, experiment_id: str) -> str:
    """Markdown: of the most seed-dependent configuration each outcome, with its share of the seeds
    and a link to the run of the network that represents it; empty where the seeds agree."""
    tipping = next((f for f in summary.focus if TIPPING_ROLE in f.roles), None)
    links = []
    for i, solution in enumerate(tipping.outcomes[:MOST_OUTCOMES] if tipping else (), 1):
        words = f"({i}) {solution.label}, {len(solution.networks)} of {solution.of_networks} seeds"
        network = solution.representative
        if network.run_id:
            target = f"#/experiments/{experiment_id}/runs/{network.run_id}"
            links.append(f"{escape_markdown(words)}: [{escape_markdown(network.name)}]({target})")
    if tipping is None or not links:
        return ""
    return f"Outcomes of {escape_markdown(tipping.regularizer)} c{tipping.number}: " + " · ".join(
        links
    )


def views_of(summary: Summary) -> dict[str, str]:
    """Key → content: a study's networks, best first, and the same by configuration; of a study with
    resamples a third, by resample."""
    record: StudyRecord = summary.record
    networks: Mapping[str, object] = {
        "searchFilter": f"tags.study_id = '{record.study_id}' and tags.kind = 'network'",
        "orderByKey": f"metrics.`{record.objective}`",
        "orderByAsc": not record.maximize,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "selectedColumns": _columns(summary),
        "runsExpanded": {},
        "runsPinned": [],
    }
    views = {f"{record.study_id}": networks}
    for param in ("configuration", *([RESAMPLE] if summary.people else [])):
        keys = [{"mode": "param", "groupByData": param}]
        # In the order of training, so that of the runs that a page loads first no group is cut.
        views[f"{record.study_id}-by-{param}"] = {
            **networks,
            "orderByKey": "attributes.`Created`",
            "orderByAsc": True,
            "groupBy": {"aggregateFunction": "average", "groupByKeys": keys},
        }
    return {key: json.dumps(view) for key, view in views.items()}
