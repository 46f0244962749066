"""A study's summary for the terminal (rich) and for MLflow's description (Markdown)."""

from __future__ import annotations

import re

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.report.other_people import other_people_lines
from pipeline.report.summary import (
    Focus,
    Summary,
    brief_results_rows,
    front_words,
    results_rows,
    solution_words,
    summarize,
)
from pipeline.results import StudyResults

MARKDOWN_LIMIT = 6900  # MLflow cuts a tag at 8,000 characters
CUT = "\n\n… more in the report."


def escape_markdown(text: object) -> str:
    """One line of plain text that Markdown shows as it stands, HTML and links included."""
    line = re.sub(r"\s+", " ", str(text))
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"([\\`*_{}\[\]#!|~$])", r"\\\1", line)
    return re.sub(r"(?i)\b(https?|ftp)://", r"\1:&#47;&#47;", line)


def focus_title(focus: Focus) -> str:
    return f"c{focus.number} {focus.regularizer} on {focus.inputs}: {', '.join(focus.roles)}"


def focus_lines(focus: Focus, summary: Summary) -> list[str]:
    """The solutions of a configuration at its last epoch, and how far its seeds agree."""
    lines = [solution_words(s, i, summary.record) for i, s in enumerate(focus.last, 1)]
    if len(focus.frequencies):
        lines.append(f"stability of the selected variables over seeds: {focus.stability_last.text}")
    if focus.importance_last.pairs:
        lines.append(
            "correlation of the strength of variables that both of two seeds keep: "
            f"{focus.importance_last.text}"
        )
    return lines


def people_lines(summary: Summary) -> list[str]:
    """What a study's resamples say beyond its answer; nothing without."""
    return other_people_lines(summary.people) if summary.people else []


def path_lines(summary: Summary) -> list[str]:
    """What divides the solutions, and the Pareto front of a study of two objectives."""
    return [*summary.dividing, *filter(None, [front_words(summary)])]


def _markdown_table(summary: Summary) -> str:
    head, rows = results_rows(summary)
    lines = [head, ["---"] * len(head), *rows]
    escaped = [[c if c == "---" else escape_markdown(c) for c in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in escaped)


def markdown_of(summary: Summary) -> str:
    """The answer, the table, solutions and flags, in fewer than 7,000 characters.

    Whole blocks are left out from the end where there is no room, never half a line.
    """
    question = escape_markdown(summary.record.question)
    blocks = [f"**{question}**"] if question else []
    blocks.append(" ".join(escape_markdown(s) for s in summary.answer))
    if summary.record.simulated:
        blocks.append("*Genotypes are simulated: genetic results show the method, not biology.*")
    if len(summary.best_rows):
        blocks.append(_markdown_table(summary))
    blocks += [f"- {escape_markdown(s)}" for s in (*people_lines(summary), *path_lines(summary))]
    for focus in summary.focus[:4]:
        lines = [f"**{escape_markdown(focus_title(focus))}**", ""]
        blocks.append("\n".join([*lines, *(f"- {escape_markdown(x)}" for x in
                                           focus_lines(focus, summary))]))  # fmt: skip
    blocks += [f"- ⚠ {escape_markdown(flag)}" for flag in summary.flags]
    text = ""
    for block in blocks:
        joined = f"{text}\n\n{block}" if text else block
        if len(joined) + len(CUT) > MARKDOWN_LIMIT:
            return (text or joined[: MARKDOWN_LIMIT - len(CUT)]) + CUT
        text = joined
    return text


def terminal_of(summary: Summary) -> Group:
    """What `rich` prints; names go in as `Text`, so that no markup in them is obeyed."""
    record = summary.record
    parts: list[RenderableType] = [Text(f"{record.study}: {record.question}", style="bold")]
    parts += [Text(""), Text(" ".join(summary.answer))]
    if record.simulated:
        parts.append(Text("Genotypes are simulated.", style="yellow"))
    if len(summary.best_rows):
        head, rows = brief_results_rows(summary)
        title = "Best configuration of each: test set, mean ± sd over seeds; zeroed at the end"
        if record.simulated:
            title += "; genotypes simulated"
        table = Table(
            title=Text(title),
            title_justify="left",
            box=SIMPLE_HEAD,
            pad_edge=False,
            padding=(0, 1, 0, 0),
        )
        for name, *texts in zip(head, *rows, strict=True):
            words = " ".join([name, *texts]).split()
            longest = max(map(len, words))
            # One long word each: rich would shrink them below it, and cut the table's edge.
            fixed = longest if name in ("regularizer", "best") else None
            table.add_column(Text(name), min_width=longest, width=fixed)
        for row in rows:
            table.add_row(*(Text(text) for text in row))
        parts += [Text(""), table]
    for sentence in (*people_lines(summary), *path_lines(summary)):
        parts += [Text(""), Text(sentence)]
    for focus in summary.focus[:4]:
        parts += [Text(""), Text(focus_title(focus), style="bold")]
        parts += [Text(f"  {line}") for line in focus_lines(focus, summary)]
    if summary.flags:
        parts += [Text(""), Text("To be careful about", style="bold yellow")]
        parts += [Text(f"  • {flag}") for flag in summary.flags]
    return Group(*parts)


def terminal_summary(results: StudyResults) -> Group:
    return terminal_of(summarize(results))


def markdown_summary(results: StudyResults) -> str:
    return markdown_of(summarize(results))
