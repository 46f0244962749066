"""Where the files of a study are: paths are relative to it, to the project or to here."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.search_space import yaml12 as study_yaml
from pipeline.search_space.schema import StudyFile
from pipeline.search_space.space import Source

PROJECT = Path(__file__).resolve().parents[2]


def located(text: str, source: Source, key: str, study: Path) -> Path:
    """A path of a study file is relative to the file or the project; a parameter's, to here."""
    path = Path(text).expanduser()
    near = Path.cwd() if key in source.parameters else study.resolve().parent
    for base in (near, PROJECT):
        if (base / path).exists() or (base / f"{path}.bed").exists():
            return base / path
    return (near if key in source.parameters else PROJECT) / path


_OF_A_FILESET = (".bed", ".bim", ".fam", ".pgen")
"""One of them is enough here: whether the others are right is checked where they are read."""


def located_genotypes(genotypes: str, source: Source, study: Path) -> str:
    if genotypes in ("simulated", "none"):
        return genotypes
    without_suffix = re.sub(r"\.(bed|bim|fam|pgen)$", "", genotypes)
    prefix = located(without_suffix, source, "genotypes", study)
    if not any(Path(f"{prefix}{suffix}").is_file() for suffix in _OF_A_FILESET):
        expected = str(StudyFile.model_fields["genotypes"].description)
        near = study_yaml.did_you_mean(genotypes, ("simulated", "none"))
        source.fail("genotypes", expected, genotypes, near or f" (there is no {genotypes}.bed)")
    return str(prefix)


def is_file(scheduler: str) -> bool:
    """Whether `scheduler` names a cluster file."""
    return scheduler.endswith((".yaml", ".yml"))


def located_scheduler(scheduler: str, source: Source, study: Path) -> str:
    """A cluster file by its place; anything else as it is."""
    if not is_file(scheduler):
        return scheduler
    path = located(scheduler, source, "scheduler", study)
    if not path.is_file():
        expected = str(StudyFile.model_fields["scheduler"].description)
        source.fail("scheduler", expected, scheduler, f" (there is no {scheduler})")
    return str(path)
