"""In which folder a report lies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.process import name_within
from pipeline.results import StudyRecord

PAGE = "report.html"


def report_folder(output: str | Path, records: Sequence[StudyRecord]) -> Path:
    """`<output>/<place>`, the study's name unless another study of its store has it; or
    `<output>/<place>-<beginning of its id>` where another study has its report there; of several
    studies, `<output>/<place>+<place>`.

    A name comes from a store that others write too: it never leads out of `output`.
    """
    name = name_within("+".join(record.place or record.study for record in records))
    folder = Path(output) / name
    ids = {record.study_id for record in records}
    if len(records) == 1 and not _is_of(folder, ids):
        return folder.with_name(f"{name}-{records[0].study_id[:6]}")
    return folder


def _is_of(folder: Path, ids: set[str]) -> bool:
    """Whether the folder has no report yet, or one that names these studies."""
    try:
        page = (folder / PAGE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True
    return all(f"<dd>{study_id}</dd>" in page for study_id in ids)
