"""A draft → the text of a study file: YAML 1.2 with a comment wherever a person may want to know
why."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.drafting.columns import VariableNote
from pipeline.drafting.strengths import WEIGHT_SHRINKAGE, Schedule

WIDTH = 100
_PLAIN = re.compile(r"[A-Za-z_][\w ()%./+-]*[\w)%]|[A-Za-z_]")
_WORDS_OF_YAML = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


@dataclass(frozen=True)
class Draft:
    """All that a new study file says.

    data         the table as the file names it; source its name alone, `rows` its rows.
    outcome      the target in words: its classes and their numbers of rows, or that it is a
                 quantity.
    drop         column → why it is no variable.
    codes        column → distinct values of whole numbers that may be codes.
    ranges       λ key → (low, high, λ_max).
    """

    data: str
    source: str
    rows: int
    target: str
    task: str
    case: str | None
    outcome: str
    objective: str
    categories: Sequence[str]
    drop: Mapping[str, str]
    keep: Sequence[str]
    groups: Mapping[str, Sequence[str]]
    codes: Mapping[str, int]
    variables: Sequence[VariableNote]
    genotypes: str
    id: str | None
    about_genotypes: str
    regularizers: Sequence[str]
    ranges: Mapping[str, tuple[float, float, float]]
    lambdas: Sequence[str]
    schedule: Schedule
    warnings: Sequence[str]
    command: str
    configurations: int = 16
    seeds: int = 10


def scalar(text: str) -> str:
    """A text as YAML reads it back: plain where that is safe, else in double quotes."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS_OF_YAML:
        return text
    return json.dumps(text, ensure_ascii=False)


def _listed(names: Iterable[str]) -> str:
    return f"[{', '.join(scalar(name) for name in names)}]"


def _comment(text: str, indent: str = "") -> list[str]:
    lines = textwrap.wrap(
        " ".join(text.split()), WIDTH - len(indent) - 2, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
    return [f"{indent}# {line}" for line in lines]


def _number(value: float) -> str:
    return f"{value:.6g}"


def study_text(draft: Draft) -> str:
    """The whole file."""
    blocks = [_opening(draft), _table_keys(draft), _columns(draft)]
    if draft.genotypes != "none" or draft.id:
        blocks.append(_genotypes(draft))
    else:
        blocks.append(["genotypes: none"])
    blocks.append(_search(draft))
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _opening(draft: Draft) -> list[str]:
    networks = draft.configurations * draft.seeds * len(draft.regularizers)
    asked = draft.target.rstrip("?")
    lines = _comment(f"Which variables does a network need to predict {asked}?")
    lines += _comment(
        f"Written by new_study from {draft.source}: {draft.rows} rows, {len(draft.variables)} "
        f"variables, {networks} networks."
    )
    return [*lines, f"# Run it: {draft.command}"]


def _table_keys(draft: Draft) -> list[str]:
    lines = [f"data: {scalar(draft.data)}", f"target: {scalar(draft.target)}"]
    lines += _comment(draft.outcome)
    lines.append(f"task: {draft.task}")
    if draft.case is not None:
        lines.append(f"case: {scalar(draft.case)}  # of the two classes")
    lines.append(f"objective: {draft.objective}  # of the validation rows; picks the best")
    for warning in draft.warnings:
        lines += _comment(f"Note: {warning}")
    return lines


def _columns(draft: Draft) -> list[str]:
    lines = []
    for kind, words in (
        ("number", "Numbers, one column each and one more where some are missing:"),
        ("category", "Categories, one column a level:"),
    ):
        names = [_noted(v) for v in draft.variables if v.kind == kind]
        if names:
            lines += _comment(f"{words} {', '.join(names)}.")
    if draft.codes:
        many = ", ".join(f"{name} ({count})" for name, count in draft.codes.items())
        lines += _comment(
            "Whole numbers of few distinct values, taken as quantities; name those that are codes "
            f"under categories: {many}."
        )
    lines.append(f"categories: {_listed(draft.categories)}")
    if draft.drop:
        lines.append("drop:  # no variables; what should be one goes from here to keep")
        lines += [f"  - {scalar(name)}  # {why}" for name, why in draft.drop.items()]
    else:
        lines.append("drop: []")
    if draft.keep:
        lines.append(f"keep: {_listed(draft.keep)}  # variables, whatever they are called")
    if draft.groups:
        lines.append("groups:  # columns that are one variable: of each, no row has two")
        lines += [f"  {scalar(name)}: {_listed(members)}" for name, members in draft.groups.items()]
    else:
        lines.append("groups: {}  # such as {lipids: [hdl, ldl]}: zeroed or kept together")
    lines.append("unpenalized: []  # variables that stay in, such as [age]")
    return lines


def _noted(note: VariableNote) -> str:
    about = [f"{note.columns} columns"] if note.kind == "category" else []
    about += [f"{note.missing} missing"] if note.missing else []
    return f"{note.name} ({', '.join(about)})" if about else note.name


def _genotypes(draft: Draft) -> list[str]:
    lines = _comment(draft.about_genotypes) if draft.about_genotypes else []
    lines.append(f"genotypes: {scalar(draft.genotypes)}")
    if draft.id is not None:
        lines.append(f"id: {scalar(draft.id)}  # people's ids; no variable")
    return lines


def _search(draft: Draft) -> list[str]:
    of_each = "  # of each regularizer" if len(draft.regularizers) > 1 else ""
    lines = ["sampler: qmc  # a quasi-random sequence; tpe learns from earlier scores"]
    lines.append(f"configurations: {draft.configurations}{of_each}")
    lines.append(f"seeds: {draft.seeds}  # replicates of every configuration, never tuned")
    if len(draft.regularizers) > 1:
        lines.append("cross: [regularizer]")
    lines += ["space:", f"  regularizer: {_listed(draft.regularizers)}"]
    of_what = ""
    if draft.genotypes != "none":
        of_what = ". It is that of the table's variables; genetic dimensions have their own"
    for key in draft.lambdas:
        if key in draft.ranges:
            low, high, largest = draft.ranges[key]
            lines += _comment(
                f"nothing is left of a first layer from λ_max = {largest:.3g} on: from just above "
                f"it, two powers of ten down{of_what}",
                "  ",
            )
        else:
            low, high = WEIGHT_SHRINKAGE
            lines += _comment("shrinks weights and zeroes none: there is no λ_max", "  ")
        lines.append(f"  {key}: {{low: {_number(low)}, high: {_number(high)}, log: true}}")
    schedule = draft.schedule
    lines.append("network: {hidden_layer_sizes: [50], activation: relu}")
    lines.append(
        f"training: {{epochs: {schedule.epochs}, batch_size: {schedule.batch_size}, "
        "learning_rate: 0.001}"
    )
    return lines
