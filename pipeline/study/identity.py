"""What identifies a study, and what its record tells a reader."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from pathlib import Path

from pipeline.data import Cohort
from pipeline.genetics import Genotypes
from pipeline.provenance import reproduction_facts
from pipeline.results import StudyRecord
from pipeline.search_space import SearchSpace, encoded


def study_id_of(space: SearchSpace, cohort: Cohort, genotypes: Genotypes | None) -> str:
    """Twelve hexadecimal digits of what decides the networks' results."""
    decides = {
        "space": space.identity(),
        "data": cohort.fingerprint,
        "genotypes": genotypes.fingerprint if genotypes else None,
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:12]


_FILES = ("study", "data", "genotypes")
"""Parameters that may be paths: of these the record has the name alone."""


def command_of(study: str, given: Mapping[str, object]) -> str:
    """The command that the record shows; no folder of the person's is in it."""
    parameters = {"study": study, **given}
    return "mlflow run . " + " ".join(
        f"-P {key}={shlex.quote(Path(str(value)).name if key in _FILES else str(value))}"
        for key, value in parameters.items()
    )


def _question(text: str) -> str:
    """The opening of a study file up to its question mark, without what follows."""
    asked, mark, _ = " ".join(text.split()).partition("?")
    return asked + mark


def _shown_genotypes(genotypes: Genotypes | None) -> str:
    """`none`, `simulated`, or the fileset's name without its folders."""
    if genotypes is None:
        return "none"
    return "simulated" if genotypes.simulated else genotypes.fileset.name


def record_of(
    space: SearchSpace,
    cohort: Cohort,
    genotypes: Genotypes | None,
    study_id: str,
    command: str,
) -> StudyRecord:
    facts = {"data": cohort.source, "task": cohort.task, **cohort.facts}
    by_class = space.space.get("class_weight", (space.training.class_weight,))
    if by_class != ("none",):
        said = " or ".join(str(encoded("class_weight", value)) for value in by_class)
        facts["class_weight"] = f"{said} (in the loss; metrics are unweighted)"
    facts |= reproduction_facts()
    return StudyRecord(
        study=space.study,
        study_id=study_id,
        question=_question(space.question),
        target=space.target,
        objective=space.objective,
        maximize=space.maximize,
        genotypes=_shown_genotypes(genotypes),
        settings=space.settings(),
        facts=facts | genotypes.facts() if genotypes else facts,
        objectives=space.objectives,
        warnings=(*space.warnings, *cohort.warnings),
        command=command,
        columns=tuple((column.name, column.words()) for column in cohort.schema.columns),
    )
