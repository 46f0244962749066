"""Which people a model is explained on: by default the study's validation rows, never its test
rows unless they are asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from pipeline.data import Cohort, Table, read_table
from pipeline.errors import InputError
from pipeline.search_space import STUDY_KEYS, load_search_space
from pipeline.study import study_cohort
from pipeline.tracking import FetchedModel, load_record

AUTO, ALL = "auto", "all"
PARTS = ("validation", "train", "test")


def table_of_the_study(model: FetchedModel) -> Path:
    """The table that the study learned from, where its study file or this folder has it.

    Raises InputError where it is in neither place, or is not the same any more.
    """
    record = load_record(model.origin.study_id)
    for path in _candidates(record.study, str(record.settings.get("data", ""))):
        if path.is_file() and read_table(path).fingerprint == model.origin.data_sha256:
            return path
    raise InputError(
        f"a model is explained on people, but the table of the study {record.study} "
        f"({record.settings.get('data')}) is not where its file says, or has changed; give "
        "data=FILE"
    )


def _candidates(study: str, name: str) -> Iterator[Path]:
    for study_file in (study, f"{study}.yaml"):
        try:
            yield load_search_space(study_file).data
        except InputError:
            continue
    yield from (Path(name), Path("data") / name)


def positions(
    model: FetchedModel, table: Table, data: Path, genotypes: str, rows: str
) -> tuple[np.ndarray, str]:
    """(positions of the people's rows in the table, a description of these people).

    rows: `auto`, the validation rows of the study's own table and all of another; `all`; or a part
    of the study's own table. Raises InputError.
    """
    if rows not in (AUTO, ALL, *PARTS):
        raise InputError(f"rows must be one of {', '.join((AUTO, ALL, *PARTS))}, but got {rows}")
    is_study_table = table.fingerprint == model.origin.data_sha256
    if rows in PARTS and not is_study_table:
        raise InputError(
            f"rows={rows} are of the table that the study learned from, but {table.source} is "
            "another; give rows=all"
        )
    if rows == ALL or (rows == AUTO and not is_study_table):
        return np.arange(len(table.frame)), f"all {len(table.frame)} people of {table.source}"
    part = "validation" if rows == AUTO else rows
    part_rows = getattr(_cohort(model, data, genotypes).split, part)
    return part_rows, f"the {len(part_rows)} {part} rows of {table.source}"


def _cohort(model: FetchedModel, data: Path, genotypes: str) -> Cohort:
    """The study's people, split as they were."""
    settings = load_record(model.origin.study_id).settings
    content = {key: value for key, value in settings.items() if key in STUDY_KEYS}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "study.yaml"
        path.write_text(json.dumps(content, default=str), encoding="utf-8")
        place = {"data": str(data.absolute())}
        if content.get("genotypes") not in ("none", "simulated"):
            place["genotypes"] = genotypes
        space = load_search_space(str(path), place)
        return study_cohort(space)[1]
