"""The study that a model comes from, in a file beside the model's layers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.results import Inputs

ORIGIN = "origin.json"


@dataclass(frozen=True)
class Origin:
    """The study of a model.

    classes    the outcome's labels as written, in the order of a case's position; () of quantities.
    objective  the validation metric by which the network was chosen.
    genotypes  `none`, `simulated` or a fileset's name, as in the study's record.
    data_sha256  of the table that the study read.
    inputs     of its first layer: columns, variables, families.
    missing    texts and numbers of the target that mean missing, as the study says.
    person     the columns by which rows of the study's table were one person's, where any were.
    """

    study: str
    study_id: str
    target: str
    task: str
    classes: tuple
    objective: str
    genotypes: str
    data_sha256: str
    inputs: Inputs
    person: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def write(self, folder: Path) -> None:
        """Into a model's folder."""
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        (folder / ORIGIN).write_text(text + "\n", encoding="utf-8")


def read_origin(folder: Path) -> Origin | None:
    """What `write` wrote; None where there is none."""
    try:
        content = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    inputs = {key: tuple(value) for key, value in content.pop("inputs").items()}
    for name in ("classes", "person", "missing"):
        content[name] = tuple(content.get(name, ()))
    return Origin(inputs=Inputs(**inputs), **content)
