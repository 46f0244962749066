"""The documents beside the page, in Markdown: TRIPOD+AI's checklist and the model card."""

from __future__ import annotations

from pipeline.metrics import masking
from pipeline.report.appraisal_words import baseline_sentence
from pipeline.report.checklist import checklist, counts
from pipeline.report.clinical import (
    baseline_rows,
    clinical_chapter,
    operating_rows,
    score_rows,
)
from pipeline.report.summary import Summary
from pipeline.report.summary_text import escape_markdown
from pipeline.report.tables import Rows

CHECKLIST, CARD = "tripod_ai.md", "model_card.md"
LARGEST_TABLE = 80


def documents(summary: Summary) -> dict[str, str]:
    """File name → Markdown; none of a study without a network."""
    if summary.best is None:
        return {}
    return {CHECKLIST: checklist_markdown(summary), CARD: card_markdown(summary)}


def checklist_markdown(summary: Summary) -> str:
    """A row an item; what is open can be filled in by hand."""
    items = checklist(summary)
    rows = [[i.number, i.section, i.asks, i.status, i.says or "…"] for i in items]
    return _joined(
        f"# TRIPOD+AI: {_text(summary.record.study)}",
        "The checklist of Collins and others, BMJ 385:e078378 (2024), in our own short words; the "
        "numbers are those of the statement. " + counts(items),
        _table((["item", "section", "what it asks", "state", "what the study says"], rows)),
    )


def card_markdown(summary: Summary) -> str:
    """What the champion is, for whom, how good, and what to be careful about."""
    record, results = summary.record, summary.results
    found, chapter = results.appraisal, clinical_chapter(results, drawn=False)
    place = record.place or record.study
    blocks = [f"# Model card: lariat-{_text(place)}"]
    if record.simulated:
        blocks.append("*Genotypes are simulated: genetic results show the method, not biology.*")
    blocks += [
        "## What it is",
        _text(
            f"A neural network with a penalized first layer that predicts {record.target} from a "
            f"table, made by the study {record.study} ({record.study_id}): "
            f"{record.question or 'no question was written down'}"
        ),
        " ".join(_text(sentence) for sentence in summary.answer),
        f'`mlflow.pyfunc.load_model("models:/lariat-{place}@champion").predict(table)`',
        "## For whom, and for what",
        "*Open: the intended users, the care in which it would be used, and uses that it is not "
        "for.* It was trained on the people below, and evaluated on others of the same table; it "
        "has not been validated elsewhere unless somebody says so here.",
    ]
    if found is not None and chapter is not None:
        blocks += ["## How good it is", _text(chapter.about)]
        said = baseline_sentence(results)
        blocks += [_text(said)] if said else []
        blocks += _tables(score_rows(found), operating_rows(found), baseline_rows(found, record))
        for name, rows in chapter.groups:
            blocks += [f"### By {_text(name)}", _table(rows)]
        if chapter.people:
            blocks += ["## Whom it was made of", _table(chapter.people)]
            blocks.append(
                f"{masking.MASK} a count of fewer than five people, or one from which such a count "
                "would follow."
            )
    blocks.append("## To be careful about")
    blocks += [f"- {_text(flag)}" for flag in summary.flags] or ["- Nothing was flagged."]
    blocks += [f"- {_text(warning)}" for warning in record.warnings[:20]]
    blocks += ["## Where it comes from"]
    facts = {"command": record.command, **record.facts}
    blocks.append(_table((["", ""], [[k.replace("_", " "), str(v)] for k, v in facts.items()])))
    return _joined(*blocks)


def _tables(*tables: Rows | None) -> list[str]:
    return [_table(rows) for rows in tables if rows]


def _text(text: object) -> str:
    return escape_markdown(text)


def _table(rows: Rows) -> str:
    head, body = rows
    lines = [head, ["---"] * len(head), *body[:LARGEST_TABLE]]
    cells = [[c if c == "---" else _text(c) for c in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)


def _joined(*blocks: str) -> str:
    return "\n\n".join(blocks) + "\n"
