"""The story of a study: configurations → networks → runs → report.

Which networks are trained is read from MLflow's runs; Optuna's trials are made from them. A killed
study loses at most the population that was training, and counts nothing twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from pipeline.data import Cohort
from pipeline.errors import InputError
from pipeline.genetics import (
    Encoders,
    Filters,
    Genotypes,
    Joined,
    load_genotypes,
    on_all_cores,
)
from pipeline.inspection import of_the_table, solution_label
from pipeline.process import private_folder, seldom_searched, sweep, sweep_cache
from pipeline.progress import BlockProgress, StudyProgress
from pipeline.report import TAG, Summary, outcome_links, report_folder, solutions_table, views_of
from pipeline.report import page as report
from pipeline.results import StudyResults
from pipeline.search_space import Sampling, SearchSpace, load_search_space
from pipeline.study import finalists
from pipeline.study.appraising import appraisal_tables, baselines_beside, with_appraisal
from pipeline.study.crew import by_workers, get_ready, study_crew
from pipeline.study.identity import Keys, command_of, record_of, shown_params, study_id_of
from pipeline.study.lock import StorageLock, alone
from pipeline.study.needs import require_memory_to_train, require_writable
from pipeline.study.people import GENETIC, People
from pipeline.study.people_results import with_people
from pipeline.study.populations import populations, train
from pipeline.study.predictions import FOLDER as PREDICTIONS
from pipeline.study.predictions import Predictions
from pipeline.study.recording import Recorder
from pipeline.study.replicates import Population, Replicate, replicates_of, resamples_of
from pipeline.study.resampled import Resampled, resampled_people
from pipeline.study.scores import Scores
from pipeline.study.storage import storage_url
from pipeline.study.study_cohort import study_cohort
from pipeline.study.trials import Trials, check_storage, make_storage
from pipeline.study.variant_search import find_variants
from pipeline.study.work import given_up, train_elsewhere
from pipeline.tracking import (
    Fingerprint,
    RunStore,
    StudyRun,
    open_study,
    refuse_one_file,
    server_trouble_as_a_sentence,
)
from pipeline.tracking import reader as tracked
from pipeline.workers import Crew, Done, Here, check_scheduler

if TYPE_CHECKING:
    from pipeline.training import Checkpoint

CACHE = Path(".lariat")
"""Folder in the working directory for what can be computed again."""

CACHED = (
    "relationship-*", "simulated-*", "fileset-*", "encoders/*", "baselines/*", f"{PREDICTIONS}/*/*",
)  # fmt: skip
"""Of it, what is removed when it is old: at a later start it is computed again. Locks stay."""


@server_trouble_as_a_sentence()
@seldom_searched()
def run_study(
    study: str,
    *,
    storage: str | None = None,
    scheduler: str | None = None,
    output: str | Path = "reports",
    given: Mapping[str, object] | None = None,
    console: Console | None = None,
    crew: Crew | None = None,
) -> Path:
    """Run a study to its end, or go on where it stopped; returns the folder of its report.

    given: parameters that win over the study file (`data`, `target`, `genotypes`,
    `configurations`, `seeds`, `epochs`). storage: an Optuna storage URL, by default that of the
    environment variable LARIAT_STORAGE, or else a file here. scheduler: where networks train, by
    default as the study file says. crew: workers that were begun already, by `study_crew`. Raises
    InputError for anything that is wrong.
    """
    console, storage = console or Console(), storage_url(storage)
    space = load_search_space(study, {**(given or {}), **_given(scheduler)})
    command = command_of(study, given or {})
    check_scheduler(space.scheduler)
    require_writable(Path(output))
    sweep_cache(CACHE, CACHED)  # before anything of it is used
    check_storage(storage)
    console.print(f"[bold]{space.study}[/bold] · reading {space.data.name}", highlight=False)
    with nullcontext(crew) if crew else study_crew(space.scheduler, console) as workers:
        space, cohort, joined = study_cohort(space)
        resampled = resampled_people(space, cohort)
        require_memory_to_train(space, cohort)
        told = storage, Path(output), command, console
        return _run(space, cohort, joined, resampled, workers, *told)


def _run(
    space: SearchSpace,
    cohort: Cohort,
    joined: Joined | None,
    resampled: Resampled | None,
    crew: Crew,
    storage: str,
    output: Path,
    command: str,
    console: Console,
) -> Path:
    """A study whose file and table are read, by these workers; returns its report's folder."""
    genotypes = _genotypes(space, cohort, joined, crew, console)
    study_id = study_id_of(space, cohort, genotypes)
    record = record_of(space, cohort, genotypes, study_id, command)
    for warning in _for_terminal(record.warnings, joined, console):
        console.print(f"warning: {warning}", markup=False, highlight=False, style="yellow")
    fingerprint = Fingerprint(
        cohort.source,
        cohort.fingerprint,
        {name: "double" for name in cohort.inputs.variable_names},
    )
    store = RunStore()  # refuses here, before a trial is kept, where it cannot be used
    refuse_one_file(store.uri, storage)
    private_folder(CACHE)
    sweep(CACHE, below=True)
    with alone(study_id, CACHE):
        make_storage(storage)
        spool, shown = CACHE / "spool" / study_id, shown_params(space)
        with StorageLock(f"{space.study} {study_id}", storage) as lock:
            trials = Trials(space, study_id, storage)
            with open_study(
                record, dataset=fingerprint, params=shown, spool=spool, holder=lock.holder
            ) as run:
                lock.beats.append(run.beat)
                folder = report_folder(output, [run.about])
                recorder = Recorder(run, record, trials, Scores(space), lock.check)
                people = People(cohort, genotypes, resampled)
                with closing(recorder):
                    _complete(space, people, recorder, run, folder, crew, console)
    return folder


def _complete(
    space: SearchSpace,
    people: People,
    recorder: Recorder,
    run: StudyRun,
    folder: Path,
    crew: Crew,
    console: Console,
) -> None:
    """Train what is missing, and write the report; all locks are held."""
    if again := recorder.restore():
        console.print(f"trained again: {again} networks whose workers died", highlight=False)
    with baselines_beside(space, people, CACHE) as baselines:
        _train_all(space, people, recorder, crew, console)
    crew.rest()

    def waits(what: str) -> None:
        console.print(f"waiting for {what}", markup=False)

    recorder.deliver(waits)
    every = tracked.load_study(run.run_id)
    with console.status("comparing resamples"):
        every, notes = with_people(every, space, people, run, CACHE)
    for note in notes:
        console.print(f"warning: {note}", markup=False, highlight=False, style="yellow")
    results = of_the_table(every)
    if people.genotypes is not None:
        results = _with_variants(results, people.genotypes, run, console)
    results = with_appraisal(results, space, people, run, CACHE, console, baselines)
    recorder.finish(waits)
    _finish(replace(results, networks=every.networks), run, people.cohort, folder, console)


def _given(scheduler: str | None) -> dict[str, str]:
    return {} if scheduler is None else {"scheduler": scheduler}


def _for_terminal(
    warnings: Sequence[str], joined: Joined | None, console: Console
) -> tuple[str, ...]:
    """The warnings; a person at a terminal also sees the first ids of people who are left out."""
    if joined is None or not console.is_terminal:
        return tuple(warnings)
    named = dict(zip(joined.warnings, joined.named, strict=True))
    return tuple(named.get(warning, warning) for warning in warnings)


def _genotypes(
    space: SearchSpace, cohort: Cohort, joined: Joined | None, crew: Crew, console: Console
) -> Genotypes | None:
    if GENETIC not in space.inputs and not space.principal_components:
        return None
    filters = Filters(space.minor_allele_frequency, space.missing_rate)
    with BlockProgress(console, "relationship matrix", "variants") as progress:
        return load_genotypes(
            joined,
            cohort.outcome,
            cohort.split.train,
            CACHE,
            filters,
            progress.done,
            space.principal_components,
            on_all_cores if isinstance(crew, Here) else partial(by_workers, crew),
        )


def _train_all(
    space: SearchSpace, people: People, recorder: Recorder, crew: Crew, console: Console
) -> None:
    scores = recorder.scores
    sampling = Sampling(space, scores.params)
    wanted = {
        (c, s, r) for c in range(sampling.total) for s in space.seeds for r in resamples_of(space)
    }
    done = len(wanted & scores.recorded.keys())
    if done:
        console.print(f"going on: {done} of {len(wanted)} networks are done")
    keys = Keys(people, space.objective)
    lost = 0  # networks whose workers died
    shared: tuple[People, str] | None = None  # made once: it travels to each worker once
    shown = len(wanted), done, space.objectives[0], scores.best_mean()
    with StudyProgress(console, *shown) as progress:
        while configurations := sampling.next(scores.by_configuration()):
            replicates = [
                replicate
                for configuration in configurations
                for replicate in replicates_of(configuration, space)
                if replicate.key not in scores.recorded
            ]
            adopted = recorder.adopt([(r, keys.of(r)) for r in replicates])
            if adopted:
                console.print(f"taken over: {adopted} networks that are trained already")
                progress.recorded(adopted, scores.best_mean())
            missing = [r for r in replicates if r.key not in scores.recorded]
            work = populations(missing, people, space.objective, crew)
            if isinstance(crew, Here):
                get_ready()  # a study that is done needs none of it, nor one on workers
                checkpoint = _checkpoint(recorder.study_id)
                for population in work:
                    _train_one(population, space, people, keys, recorder, progress, checkpoint)
            else:
                shared = shared or (people.for_workers(), space.objective)
                for done_work in crew.each(train_elsewhere, shared, work, progress.training):
                    _record_done(done_work, people, keys, recorder, progress)
                    lost += len(done_work.job.replicates) if done_work.given_up else 0
    if wanted and lost == len(wanted):
        raise InputError(
            f"workers must live through their work, but those of all {lost} networks died, as they "
            "do whose memory is too small: give them more; the same command trains them again"
        )


def _checkpoint(study_id: str) -> Checkpoint:
    from pipeline.training import Checkpoint

    return Checkpoint(CACHE / "checkpoints" / study_id)


def _record_done(
    done: Done, people: People, keys: Keys, recorder: Recorder, progress: StudyProgress
) -> None:
    """Record what a worker trained, or why it was given up."""
    replicates, encoders = done.job.replicates, Encoders(CACHE)
    trained = done.result or given_up(done.job, people, str(done.given_up))
    for position, *learned in trained.encoders:
        encoders.keep(keys.of(replicates[position]), *learned)
    if trained.predictions is not None:
        positions, by_row = trained.predictions
        Predictions(CACHE, keys.people).keep([keys.of(replicates[p]) for p in positions], by_row)
    # A network without a key is no result: it is tried again, and no other study takes it over.
    of_each = ["" if done.given_up else keys.of(replicate) for replicate in replicates]
    keyed = zip(trained.results, of_each, strict=True)
    recorder.record([replace(result, key=key, processor=done.processor) for result, key in keyed])
    progress.recorded(len(replicates), recorder.scores.best_mean())


def _train_one(
    population: Population,
    space: SearchSpace,
    people: People,
    keys: Keys,
    recorder: Recorder,
    progress: StudyProgress,
    checkpoint: Checkpoint,
) -> None:
    """Train a population, and record each of its networks."""
    replicates, encoders = population.replicates, Encoders(CACHE)
    predictions = Predictions(CACHE, keys.people)

    def keep_predictions(usable: Sequence[Replicate], by_row: np.ndarray) -> None:
        predictions.keep([keys.of(replicate) for replicate in usable], by_row)

    def at_epoch(epoch: int, *_: object) -> None:
        recorder.look()
        progress.training(epoch * share)

    share = len(replicates) / population.configuration.training.epochs
    results = train(
        population,
        people,
        space.objective,
        at_epoch,
        lambda replicate, *learned: encoders.keep(keys.of(replicate), *learned),
        checkpoint,
        None if people.resampled is None else keep_predictions,
    )
    keyed = zip(results, replicates, strict=True)
    recorder.record([replace(result, key=keys.of(replicate)) for result, replicate in keyed])
    checkpoint.remove()
    progress.recorded(len(results), recorder.scores.best_mean())


def _with_variants(
    results: StudyResults, genotypes: Genotypes, run: StudyRun, console: Console
) -> StudyResults:
    """What networks of a few solutions make of the variants, into their runs and the study's."""
    encoders = Encoders(CACHE)
    with BlockProgress(console, "weights of variants", "variants") as progress:
        shown = find_variants(results, genotypes, encoders, run, progress.done)
    # Where this machine has lost what training learned, what was recorded stays.
    return results if shown is None else replace(results, variants=shown)


def _links(run: StudyRun, summary: Summary) -> str:
    """Markdown: the report, and the networks in MLflow's list with the columns that matter."""
    views = views_of(summary)
    run.store.tag_experiment(run.experiment_id, {TAG + key: v for key, v in views.items()})
    names = ("networks, best first", "networks by configuration", "networks by resample")
    addresses = (f"#/experiments/{run.experiment_id}/runs?viewStateShareKey={key}" for key in views)
    links = " · ".join(
        [
            f"[Report]({run.link('report/report.html')})",
            *(f"[{name}]({address})" for name, address in zip(names, addresses)),
        ]
    )
    return "\n\n".join(filter(None, [links, outcome_links(summary, run.experiment_id)]))


def _finish(
    results: StudyResults,
    run: StudyRun,
    cohort: Cohort,
    folder: Path,
    console: Console,
) -> None:
    """The report, onto the disk, into the study's run and onto the terminal; and the models."""
    with console.status("writing the report"):
        summary, written = report.write_report(results, folder)
        models = finalists.log_finalists(run, summary, cohort)
    links = _links(run, summary)
    schema = json.dumps(cohort.schema.as_json(), indent=1, ensure_ascii=False, allow_nan=False)
    run.write_files(run.run_id, {"schema.json": schema.encode()})
    run.finish(
        summary.best_metrics,
        "\n\n".join([links, *models[:1], report.markdown_of(summary), *models[1:]]),
        tables={
            "results": summary.results_table,
            "solutions": solutions_table(summary),
            "networks": summary.networks,
            **(summary.people.csv if summary.people else {}),
            **appraisal_tables(results),
        },
        artifacts_dir=folder,
        artifacts=written,
        solutions={n.run_id: solution_label(n) for n in results.finished if n.run_id},
    )
    console.print(report.terminal_of(summary))
    console.print(f"report: {folder / 'report.html'}", markup=False, highlight=False)
