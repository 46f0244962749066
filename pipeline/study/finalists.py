"""The networks that stand for the best configuration's solutions, as models to use.

One network a solution: the solutions at the best epoch, since it is those weights that were scored.
A network that keeps genetic dimensions makes them of genotypes, which the table alone does not
have; it is champion only where every solution does.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.data import BINARY, REGRESSION, Cohort, person_columns
from pipeline.inspection import (
    BEST_ROLE,
    EXCHANGEABLE,
    Solution,
    best_configuration,
    by_configuration,
    solutions_of,
)
from pipeline.report import Summary
from pipeline.results import ANCESTRY, NetworkResult, StudyResults
from pipeline.serving import (
    COPIES,
    VARIANT_WEIGHTS,
    ServedNetwork,
    load_served,
    save,
    synthetic_rows,
)
from pipeline.tracking import VARIANTS_FOLDER, Origin, StudyRun, param_text
from pipeline.tracking import models as model_store
from pipeline.words import MLFLOW_RUN, listed, metric_words

MOST_MODELS = 6
SCORES = re.compile(r"(val|test|train)_")


@dataclass(frozen=True)
class Finalist:
    """A solution, the network that stands for it, and that network to predict with."""

    rank: int
    solution: Solution
    network: NetworkResult
    served: ServedNetwork

    @property
    def from_table(self) -> bool:
        """Whether the table alone is enough."""
        return not self.served.needed


def served_network(network: NetworkResult, cohort: Cohort) -> ServedNetwork:
    """A network of a study with its study's preprocessing."""
    families = network.inputs.families
    table_families = [f for f in families if f not in EXCHANGEABLE]
    from_genotypes = (*EXCHANGEABLE, ANCESTRY)
    genetic_columns = [c for c, f in zip(network.inputs.columns, families) if f in from_genotypes]
    outputs: tuple[str, ...] = (cohort.target,)
    if cohort.task != REGRESSION:
        labels = cohort.classes[1:] if cohort.task == BINARY else cohort.classes
        outputs = tuple(f"probability of {cohort.target}={label}" for label in labels)
    return ServedNetwork(
        layers=network.layers,
        activation=str(network.params.get("activation", "relu")),
        task=cohort.task,
        schema=cohort.schema,
        chosen=tuple(i for i, f in enumerate(cohort.inputs.families) if f in table_families),
        encodings=tuple(genetic_columns),
        outputs=outputs,
        scale=cohort.scale,
        ids=tuple(cohort.roles.identifier),
    )


def finalists_of(summary: Summary, cohort: Cohort) -> list[Finalist]:
    """The representatives of the best configuration's solutions, the commonest solution first."""
    best = next((f for f in summary.focus if BEST_ROLE in f.roles), None)
    return _of_solutions(best.best if best else (), cohort)


def champion_network(results: StudyResults, cohort: Cohort) -> NetworkResult | None:
    """The network that becomes the champion, before anything is written of it."""
    record = results.record
    best = best_networks(results)
    finalists = _of_solutions(solutions_of(best, record.objective, "best"), cohort)
    champion = _champion(finalists, record.objective, record.maximize)
    return None if champion is None else champion.network


def best_networks(results: StudyResults) -> tuple[NetworkResult, ...]:
    """Those of the best configuration."""
    best = best_configuration(results)
    return () if best is None else by_configuration(results.networks)[best]


def _of_solutions(solutions: Sequence[Solution], cohort: Cohort) -> list[Finalist]:
    return [
        Finalist(i, s, s.representative, served_network(s.representative, cohort))
        for i, s in enumerate(solutions[:MOST_MODELS], 1)
        if s.representative.layers and s.representative.run_id
    ]


def champion_of(finalists: list[Finalist], summary: Summary) -> Finalist | None:
    """The best by the validation rows of those that predict from the table alone, or of all."""
    return _champion(finalists, summary.record.objective, summary.record.maximize)


def _champion(finalists: Sequence[Finalist], objective: str, maximize: bool) -> Finalist | None:
    sign = 1 if maximize else -1
    usable = [f for f in finalists if f.from_table] or finalists
    return max(usable, key=lambda f: sign * f.network.metrics[objective], default=None)


def log_finalists(run: StudyRun, summary: Summary, cohort: Cohort) -> tuple[str, ...]:
    """Log the finalists that are not logged yet, register the champion, and list all in the run of
    the study; returns sentences in Markdown, the champion's first."""
    finalists = finalists_of(summary, cohort)
    if not finalists:
        return ()
    ids = {}
    try:
        logged = model_store.logged_models(run.store, run.experiment_id)
        for finalist in finalists:
            run_id = _run_of(finalist)
            ids[finalist.rank] = logged.get(run_id) or _log(run, finalist, summary, cohort)
        model_store.show_models(run.store, run.run_id, list(ids.values()))
    except model_store.Refused:
        return ("No model is logged: this tracking store keeps none.",)
    lines = [_line(f, ids[f.rank], run, summary) for f in finalists]
    champion = champion_of(finalists, summary)
    if champion is None:
        return tuple(lines)
    name = "lariat-" + re.sub(r"[/:%\"']", "_", summary.record.place or summary.record.study)
    about = f"{champion.network.name} of the study {summary.record.study}. {_needs(champion)}"
    version = model_store.register_champion(
        run.store, name, ids[champion.rank], _run_of(champion), about
    )
    if version is None:
        lines.append("No model is registered: this tracking store has no registry.")
    else:
        uri = f"models:/{name}@{model_store.CHAMPION}"
        page = f"#/experiments/{run.experiment_id}/models/{ids[champion.rank]}"
        usage = f'`mlflow.pyfunc.load_model("{uri}").predict(table)`'
        if not champion.from_table:
            usage = f"`{MLFLOW_RUN} -e predict -P model={uri} -P data=… -P genotypes=… -P id=…`"
        lines.insert(
            0,
            f"Champion: [{champion.network.name}]({page}), [version {version}](#/models/{name}"
            f"/versions/{version}): {usage}.",
        )
        if not champion.from_table:
            lines.append(_needs(champion))
    return tuple(lines)


def _run_of(finalist: Finalist) -> str:
    """The network's run, which every finalist has."""
    run_id = finalist.network.run_id
    assert run_id is not None
    return run_id


def _needs(finalist: Finalist) -> str:
    """What the table must have for this network to predict, in a sentence or two."""
    served = finalist.served
    needs = "It needs no column of the table."
    if served.columns:
        needs = f"It needs the columns {listed(served.columns, 40)}."
    if served.needed:
        needs += (
            f" It also needs genotypes, of which it makes {listed(served.needed, 40)}: the "
            "parameter genotypes names a PLINK fileset by its prefix, or the table has variants by "
            "their ids as columns, or these dimensions themselves."
        )
    if served.zeroed_columns:
        needs += f" It does without {listed(served.zeroed_columns, 40)}."
    return needs


def _line(finalist: Finalist, model_id: str, run: StudyRun, summary: Summary) -> str:
    """`Model s4 of solution 1: from the table alone.` with a link."""
    how = "predicts from the table alone"
    if not finalist.from_table:
        how = f"needs genotypes besides the table, for {listed(finalist.served.needed, 4)}"
    link = f"#/experiments/{run.experiment_id}/models/{model_id}"
    score = metric_words(summary.record.objective)
    value = finalist.network.metrics.get(summary.record.objective, float("nan"))
    which = f"[Model of best-epoch solution {finalist.rank}, s{finalist.network.seed}]({link})"
    return f"{which}: {score} {value:.3f}, {how}."


def _variants(run: StudyRun, run_id: str) -> bytes | None:
    """The encoder's weights of variants that a network's run keeps, if it does."""
    network = run.store.get(run_id)
    return run.store.read_files(network, VARIANTS_FOLDER).get(VARIANT_WEIGHTS) if network else None


def _origin(finalist: Finalist, summary: Summary, cohort: Cohort) -> Origin:
    record = summary.record
    return Origin(
        study=record.study,
        study_id=record.study_id,
        target=cohort.target,
        task=cohort.task,
        classes=cohort.classes,
        objective=record.objective,
        genotypes=record.genotypes,
        data_sha256=cohort.fingerprint,
        inputs=finalist.network.inputs,
        missing=cohort.roles.hints.missing_of(cohort.target),
        person=() if cohort.people is None else tuple(person_columns(cohort.roles)),
    )


def _genotype_columns(served: ServedNetwork) -> tuple[str, ...]:
    """Columns that a table may have in place of genetic dimensions, beside the parameter."""
    if not served.needed or served.variants is None:
        return ()
    names = dict.fromkeys((*served.ids, COPIES, *served.variant_columns))
    taken = {*served.columns, *served.zeroed_columns}
    return tuple(name for name in names if name not in taken)


def _log(run: StudyRun, finalist: Finalist, summary: Summary, cohort: Cohort) -> str:
    network, served = finalist.network, finalist.served
    with tempfile.TemporaryDirectory() as folder:
        place, names = Path(folder) / "network", {*served.columns, *served.zeroed_columns}
        save(served, place)
        _origin(finalist, summary, cohort).write(place)
        if variants := _variants(run, _run_of(finalist)):
            (place / VARIANT_WEIGHTS).write_bytes(variants)
        served = load_served(place)
        return model_store.log_model(
            run.store,
            run.experiment_id,
            model_store.ModelToLog(
                name=network.name.replace(" ", "-"),
                run_id=_run_of(finalist),
                folder=place,
                columns={
                    column.name: column.words()
                    for column in served.schema.columns
                    if column.name in names
                },
                kinds={c.name: c.kind for c in served.schema.columns if c.name in names},
                optional=served.zeroed_columns,
                dimensions=served.needed,
                genotypes=_genotype_columns(served),
                outputs=served.outputs,
                example=synthetic_rows(served),
                metrics={k: v for k, v in network.metrics.items() if SCORES.match(k)},
                params={k: param_text(v) for k, v in network.params.items()},
                tags={
                    "study": summary.record.study,
                    "study_id": summary.record.study_id,
                    "solution": finalist.solution.label,
                },
                dataset=run.dataset,
            ),
        )
