"""How the study's table was read, for a person: what each column was taken for."""

from __future__ import annotations

from pipeline.report.tables import Rows
from pipeline.results import StudyRecord
from pipeline.words import listed

MOST_ROWS = 100
MOST_NAMES = 30


def reading_rows(record: StudyRecord) -> Rows | None:
    """(head, rows): what columns were read as, columns of one kind together; None where unknown.

    Plain numbers come last, in one row; of very many kinds the first are shown.
    """
    by_words: dict[str, list[str]] = {}
    for name, words in record.columns:
        by_words.setdefault(words, []).append(name)
    if not by_words:
        return None
    plain = by_words.pop("numbers", [])
    rows = [[listed(names, MOST_NAMES), words] for words, names in by_words.items()]
    if len(rows) > MOST_ROWS:
        rows = [*rows[:MOST_ROWS], [f"{len(rows) - MOST_ROWS} more kinds of columns", "…"]]
    if plain:
        rows.append([listed(plain, MOST_NAMES), "numbers"])
    return ["columns", "read as"], rows
