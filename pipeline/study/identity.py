"""What identifies a network and a study, and what a study's record tells a reader."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from pipeline.data import Cohort
from pipeline.genetics import Genotypes
from pipeline.provenance import ENGINE_VERSION, reproduction_facts
from pipeline.results import THE_TABLE, StudyRecord
from pipeline.search_space import SearchSpace, as_recorded
from pipeline.study.people import GENETIC, People
from pipeline.study.replicates import Replicate
from pipeline.words import MLFLOW_RUN


def study_id_of(space: SearchSpace, cohort: Cohort, genotypes: Genotypes | None) -> str:
    """Twelve hexadecimal digits of the study's name and of what decides which networks it has."""
    decides = {
        "study": space.study,
        "engine": ENGINE_VERSION,
        "space": space.identity(),
        "data": cohort.fingerprint,
        "genotypes": genotypes.fingerprint if genotypes else None,
    }
    return _digest(decides)[:12]


def people_key(cohort: Cohort) -> str:
    """16 hexadecimal digits of the people: the table's bytes, what its columns are, who trains."""
    split = cohort.split
    # Of people with several rows, because intervals are over people. No others had a word here.
    whose = {} if cohort.people is None else {"people": _bytes_digest(cohort.people)}
    return _digest(
        {
            "table": cohort.fingerprint,
            "task": cohort.task,
            "target": cohort.target,
            "penalty_factor": cohort.penalty_factor.tolist(),
            "sample_weight": cohort.roles.weight,
            "inputs": asdict(cohort.inputs),
            "classes": [str(label) for label in cohort.classes],
            "outcome": _bytes_digest(cohort.outcome),
            "rows": [_bytes_digest(r) for r in (split.train, split.validation, split.test)],
            **whose,
        }
    )[:16]


class Keys:
    """Keys of the networks of some people, scored by an objective."""

    def __init__(self, people: People, objective: str):
        self._objective, self._genotypes = objective, people.genotypes
        self._resampled = people.resampled
        self.people = people_key(people.cohort)

    def of(self, replicate: Replicate) -> str:
        """`network_key` of a network."""
        return network_key(
            self.people, replicate, self._objective, self._genotypes, self._drawn(replicate)
        )

    def _drawn(self, replicate: Replicate) -> str | None:
        if replicate.resample == THE_TABLE:
            return None
        assert self._resampled is not None
        return self._resampled.digest(replicate.resample)


def network_key(
    people: str,
    replicate: Replicate,
    objective: str,
    genotypes: Genotypes | None,
    drawn: str | None = None,
) -> str:
    """What decides a network's numbers: `<people>-<12 digits of its configuration>-<24 of all>`;
    whatever the study is called, and whatever else it searches, networks of one key are the same
    network.

    objective picks the best epoch. Genotypes, and settings of their encoder, count where the
    network has them; `drawn`, who is in its resample, where it trains on one.
    """
    configuration = replicate.configuration
    has_genotypes = GENETIC in configuration.inputs
    components = genotypes.components if genotypes else None
    decides = {
        "engine": ENGINE_VERSION,
        "seed": replicate.seed,
        "objective": objective,
        "genotypes": genotypes.fingerprint if genotypes and (has_genotypes or components) else None,
        "components": len(components.names) if components else 0,
        "settings": {
            name: value
            for name, value in configuration.params.items()
            if has_genotypes or not name.startswith("genetic_")
        },
        **({} if drawn is None else {"drawn": drawn}),
    }
    shared = {name: value for name, value in decides.items() if name != "seed"}
    return f"{people}-{_digest(shared)[:12]}-{_digest(decides)[:24]}"


def _digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def _bytes_digest(numbers: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(numbers).tobytes()).hexdigest()


_FILES = ("study", "data", "genotypes")
"""Parameters that may be paths: of these the record has the name alone."""


def command_of(study: str, overrides: Mapping[str, object]) -> str:
    """The command that the record shows; no folder of the person's is in it, and no address: where
    networks train decides nothing."""
    parameters = {"study": study, **overrides}
    parameters.pop("scheduler", None)
    return f"{MLFLOW_RUN} " + " ".join(
        f"-P {key}={shlex.quote(Path(str(value)).name if key in _FILES else str(value))}"
        for key, value in parameters.items()
    )


def _question(text: str) -> str:
    """The opening of a study file up to its question mark, without what follows."""
    question, mark, _ = " ".join(text.split()).partition("?")
    return question + mark


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
        class_weights = " or ".join(str(as_recorded("class_weight", value)) for value in by_class)
        facts["class_weight"] = f"{class_weights} (in the loss; metrics are unweighted)"
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


def shown_params(space: SearchSpace) -> dict[str, str | int]:
    """What the study's run shows beside its target and objective."""
    return {
        "configurations": space.configurations,
        "seeds": len(space.seeds),
        "sampler": space.sampler,
        "regularizers": ", ".join(space.space["regularizer"]),
        "inputs": ", ".join(space.inputs),
        **({"resamples": space.resamples.word} if space.resamples else {}),
    }
