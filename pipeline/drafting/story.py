"""The story of a new study: read the table, propose, ask, measure λ_max, write, read it back."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
from rich.console import Console

from pipeline.data import (
    BINARY,
    REGRESSION,
    Cohort,
    Hints,
    Table,
    explains_itself,
    load_cohort,
    named,
    read_table,
    require_known,
    unreadable,
)
from pipeline.drafting.columns import (
    left_out,
    likely_case,
    one_hot_groups,
    possible_codes,
    variable_notes,
)
from pipeline.drafting.questions import Questions
from pipeline.drafting.strengths import lambda_ranges, needed, schedule_of
from pipeline.drafting.text import Draft, study_text
from pipeline.errors import InputError
from pipeline.genetics import id_columns, join
from pipeline.networks import LAMBDAS_OF, REGULARIZERS
from pipeline.process import write_whole
from pipeline.search_space import OBJECTIVES, load_search_space
from pipeline.serving import open_fileset
from pipeline.words import MLFLOW_RUN

ASK, BY_TABLE = "ask", "by-table"
"""What a parameter says that is not given: asked at a terminal; named after the table."""

DEFAULT_REGULARIZER = "group_lasso"
PROJECT, FOLDER = Path(__file__).resolve().parents[2], "search_spaces"


@dataclass(frozen=True)
class _Roles:
    """What a person and the table say of the columns."""

    target: str
    task: str
    case: str | None
    drop: dict[str, str]
    keep: tuple[str, ...]
    categories: tuple[str, ...]
    groups: dict[str, tuple[str, ...]]
    codes: dict[str, int]
    refused: dict[str, str]


def new_study(
    data: str = ASK,
    target: str = ASK,
    study: str = BY_TABLE,
    *,
    task: str = "auto",
    case: str = ASK,
    categories: str = "",
    drop: str = "",
    genotypes: str = ASK,
    id: str = ASK,
    regularizer: str = ASK,
    overwrite: str = "no",
    console: Console | None = None,
    questions: Questions | None = None,
) -> Path:
    """Write the study file of a table, and return where it is.

    `data` and `target` are asked for at a terminal and must be given elsewhere; so is all else
    that is `ask`, with a default elsewhere. `case` is the label of two that is the case;
    `categories`, `drop` and `regularizer` are lists with commas. A file that exists is replaced
    only where `overwrite` is yes, or a person says so. Raises InputError.
    """
    console = console or Console()
    questions = questions or Questions(console)
    if overwrite not in ("yes", "no"):
        raise InputError(f"overwrite must be yes or no, but got {overwrite!r}")
    path = _needed("data", data, questions, "Which table (CSV or Parquet)?")
    id_column = None if id in (ASK, "none", "") else id
    table = read_table(path, texts=id_columns(id_column))
    target = _target(table, target, questions)
    fileset, id_column = _genotypes(table, genotypes, id_column, questions)
    place = _place(study, path, overwrite == "yes", questions)
    roles = _roles(
        table, target, task, case, _names(categories), _names(drop), id_column, questions
    )
    for name, sentence in roles.refused.items():
        console.print(f"left out: {name}: {sentence}", markup=False, highlight=False)
    chosen = _regularizers(regularizer, questions)

    about = ""
    if fileset != "none":
        joined = join(table, id_column, open_fileset(fileset))
        about = _about_fileset(joined.fileset, joined.warnings)
        table = table if joined.table_rows is None else table.rows(joined.table_rows)
    cohort = load_cohort(
        table,
        target,
        task=roles.task,
        case=roles.case,
        categories=roles.categories,
        drop=tuple(roles.drop),
        keep=roles.keep,
        groups=roles.groups,
        identifier=(id_columns(id_column) or (None,))[-1],
    )
    draft = _draft(path, place, table, cohort, roles, fileset, id_column, about, chosen, console)
    _write(place, study_text(draft))
    console.print(f"study: {place}", markup=False, highlight=False)
    console.print(f"run it: {draft.command}", markup=False, highlight=False, soft_wrap=True)
    return place


def _needed(name: str, value: str, questions: Questions, question: str) -> str:
    while value == ASK and questions.attached:
        value = questions.text(question) or ASK
    if value == ASK:
        raise InputError(f"a new study must have {name}, but got none; give -P {name}=…")
    return value


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(n.strip() for n in text.split(",") if n.strip() not in ("", "none")))


def _target(table: Table, target: str, questions: Questions) -> str:
    columns = list(table.frame.columns)
    if target == ASK and questions.attached:
        target = questions.one_of(f"Which column is to be predicted? {named(columns)}", columns)
    if target == ASK:
        raise InputError(
            f"a new study must have a target, but got none; give -P target=COLUMN, one of "
            f"{named(columns)}"
        )
    require_known([target], columns, "target", table.source)
    return target


def _genotypes(
    table: Table, genotypes: str, id_column: str | None, questions: Questions
) -> tuple[str, str | None]:
    """(the fileset's prefix or `none`, the column of ids)."""
    if genotypes == ASK:
        genotypes = questions.text("Prefix of a PLINK fileset of these people, if any", "none")
    genotypes = genotypes.removesuffix(".bed")
    if genotypes == "simulated":
        raise InputError(
            "genotypes of a new study must be none or the prefix of a fileset, but got simulated, "
            "which says nothing of your people; leave it out"
        )
    if genotypes != "none" and id_column is None and questions.attached:
        answer = questions.text("Which column holds the ids of its .fam?", "none")
        id_column = None if answer == "none" else answer
    return genotypes, id_column


def _place(study: str, data: str, overwrite: bool, questions: Questions) -> Path:
    """Where the file goes: a path, or a name in search_spaces/ where that folder is."""
    if study == BY_TABLE:
        study = Path(data).name.split(".")[0]
        study = questions.text("Name of the study, or path of its file", study)
    is_path = study.endswith((".yaml", ".yml")) or "/" in study or os.sep in study
    folder = Path(FOLDER) if Path(FOLDER).is_dir() else Path()
    place = Path(study).expanduser() if is_path else folder / f"{study}.yaml"
    if place.suffix not in (".yaml", ".yml"):
        raise InputError(f"a study must be a .yaml file, but got {place}; call it {place}.yaml")
    if not place.parent.is_dir():
        raise InputError(f"a study must be written into a folder, but {place.parent} is none")
    exists = os.path.lexists(place) and not overwrite
    if exists and not questions.yes(f"{place} exists. Replace it?", False):
        raise InputError(
            f"a study file is never overwritten unasked, but {place} exists; give another "
            "name by study=NAME, or overwrite=yes"
        )
    return place


def _roles(
    table: Table,
    target: str,
    task: str,
    case: str,
    categories: tuple[str, ...],
    drop: tuple[str, ...],
    id_column: str | None,
    questions: Questions,
) -> _Roles:
    frame = table.frame
    for role, names in (("categories", categories), ("drop", drop)):
        require_known(names, list(frame.columns), role, table.source)
    require_known(id_columns(id_column), list(frame.columns), "id", table.source)
    *family_id, person_id = id_columns(id_column) or (None,)
    columns = [c for c in frame.columns if c not in (target, *family_id, person_id)]
    # A person hears of all columns that cannot be read at once, and has a file to mend it in.
    refused = unreadable(table, [c for c in columns if c not in drop], Hints(categories))
    proposed_cohort = load_cohort(
        table,
        target,
        task=task,
        case=None if case in (ASK, "none") else case,
        categories=categories,
        drop=(*drop, *family_id, *refused),
        identifier=person_id,
    )
    dropped = dict.fromkeys(drop, "as asked") | dict.fromkeys(family_id, "ids of families")
    dropped |= {name: error.why for name, error in refused.items()}
    seeming = left_out(proposed_cohort, [c for c in columns if c not in dropped])
    not_variables = questions.some_of("These seem to be no variables; leave out", seeming, seeming)
    dropped |= {name: seeming[name] for name in not_variables}
    keep = tuple(name for name in seeming if name not in not_variables)
    columns = [c for c in columns if c not in dropped]
    codes = possible_codes(frame, [c for c in columns if c not in categories])
    named_codes = questions.some_of(
        "Which of these whole numbers are codes, not quantities?", codes
    )
    categories = (*categories, *named_codes)
    groups = one_hot_groups(frame, [c for c in columns if c not in categories])
    chosen_groups = questions.some_of(
        "One-hot columns to take as one variable each", groups, groups
    )
    return _Roles(
        target,
        task,
        _case(case, proposed_cohort, questions),
        dropped,
        keep,
        categories,
        {name: groups[name] for name in chosen_groups},
        {name: count for name, count in codes.items() if name not in named_codes},
        {name: str(error) for name, error in refused.items()},
    )


def _case(case: str, cohort: Cohort, questions: Questions) -> str | None:
    """The label of the case: as given, as a person says, or as its word does; else None."""
    if case not in (ASK, "none"):
        return case
    if cohort.task != BINARY or explains_itself(cohort.classes):
        return None
    labels = [str(label) for label in cohort.classes]
    likely = likely_case(labels)
    answer = questions.one_of(f"Which is a case, {named(labels)}?", labels, likely or labels[1])
    return answer if questions.attached else likely


def _regularizers(regularizer: str, questions: Questions) -> tuple[str, ...]:
    if regularizer == ASK:
        return questions.some_of("Which regularizers?", REGULARIZERS, [DEFAULT_REGULARIZER])
    names = _names(regularizer)
    unknown = [name for name in names if name not in REGULARIZERS]
    if unknown or not names:
        raise InputError(
            f"regularizer must be some of {', '.join(REGULARIZERS)}, but got {regularizer!r}"
        )
    return names


def _about_fileset(fileset, warnings: Sequence[str]) -> str:
    sentences = [
        f"{len(fileset.variants)} variants of {len(fileset.people)} people. λ is measured on the "
        "table's variables alone",
        *warnings,
    ]
    return "; ".join(sentences) + "."


def _outcome_words(cohort: Cohort) -> str:
    if cohort.task == REGRESSION:
        return "A quantity; networks see it standardized, and metrics are in its own unit."
    counts = np.bincount(cohort.outcome, minlength=len(cohort.classes))
    counted_classes = named(
        f"{label} ({count} rows)" for label, count in zip(cohort.classes, counts)
    )
    case = f"; a case is {cohort.classes[1]}" if cohort.task == BINARY else ""
    return f"Classes: {counted_classes}{case}."


def _draft(
    data: str,
    place: Path,
    table: Table,
    cohort: Cohort,
    roles: _Roles,
    genotypes: str,
    id_column: str | None,
    about_genotypes: str,
    regularizers: tuple[str, ...],
    console: Console,
) -> Draft:
    schedule = schedule_of(len(cohort.split.train))
    wanted = needed(regularizers, LAMBDAS_OF)
    ranges: dict[str, tuple[float, float, float]] = {}
    if wanted - {"lambda_l2"}:
        with console.status("measuring λ_max"):
            ranges = lambda_ranges(cohort, schedule)
    return Draft(
        data=_from(place, data),
        source=table.source,
        rows=len(table.frame),
        target=roles.target,
        task=cohort.task,
        case=roles.case,
        outcome=_outcome_words(cohort),
        objective=OBJECTIVES[cohort.task][0],
        categories=roles.categories,
        drop=roles.drop,
        keep=roles.keep,
        groups=roles.groups,
        codes=roles.codes,
        variables=variable_notes(cohort.inputs, roles.groups, table.frame),
        genotypes=genotypes if genotypes == "none" else _from(place, genotypes),
        id=id_column,
        about_genotypes=about_genotypes,
        regularizers=regularizers,
        ranges=ranges,
        lambdas=[key for key in ("lambda_l1", "lambda_l2", "lambda_group") if key in wanted],
        schedule=schedule,
        warnings=cohort.warnings,
        command=_command(place),
    )


def _command(place: Path) -> str:
    """What runs the study, from the folder where this process works."""
    if Path.cwd() == PROJECT:
        called = place.stem if place.parent == Path(FOLDER) else str(place)
        return f"{MLFLOW_RUN} -P study={shlex.quote(called)}"
    script = os.path.relpath(PROJECT / "scripts/search.py")
    return f"python {shlex.quote(script)} --study {shlex.quote(str(place))}"


def _from(place: Path, path: str) -> str:
    """A path as a study file names it: from the file's own folder."""
    target = Path(path).expanduser()
    try:
        return Path(os.path.relpath(target.absolute(), place.parent.absolute())).as_posix()
    except ValueError:  # another drive
        return target.absolute().as_posix()


def _write(place: Path, text: str) -> None:
    """Whole or not at all, and only what reads back as a study."""
    with NamedTemporaryFile(dir=place.parent, prefix=".part-", suffix=".yaml") as trial:
        trial.write(text.encode())
        trial.flush()
        load_search_space(trial.name)
    write_whole(place, text.encode())
