"""Metrics, families and lists of names in words, for every medium. Plain text throughout."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.results import StudyRecord

MLFLOW_RUN = "mlflow run . --env-manager local"
"""The beginning of a command that works in the environment where this process works."""

METRIC_WORDS = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "r2": "R²",
    "brier_score": "Brier score",
}

REGULARIZER_WORDS = {
    "none": "none",
    "l1": "L1",
    "l2": "L2",
    "elastic_net": "elastic net",
    "group_lasso": "group lasso",
    "sparse_group_lasso": "sparse group lasso",
}

_SHORT = {
    "average": "avg.",
    "precision": "prec.",
    "balanced": "bal.",
    "squared": "sq.",
    "absolute": "abs.",
}


def metric_words(name: str) -> str:
    """`val_average_precision` → `validation average precision`."""
    for split, word in (("val_", "validation "), ("test_", "test "), ("train_", "training ")):
        if name.startswith(split):
            return word + metric_words(name.removeprefix(split))
    return METRIC_WORDS.get(name, name.replace("_", " "))


def regularizer_words(name: str) -> str:
    """`group_lasso` → `group lasso`."""
    return REGULARIZER_WORDS.get(name, name)


def family_words(family: str, record: StudyRecord) -> str:
    return f"{family} (simulated)" if record.simulated and family == "genetic" else family


def inputs_words(inputs: str, record: StudyRecord) -> str:
    return " + ".join(family_words(f.strip(), record) for f in inputs.split("+"))


def resampled_units(record: StudyRecord) -> str:
    """What intervals resample: `people` where some have several rows, else `rows`."""
    return "people" if "people" in record.facts else "rows"


def listed(words: Sequence[str], most: int = 8) -> str:
    """`a, b and c`; beyond `most`, `a, b, … (12 in all)`."""
    words = list(words)
    if len(words) > most:
        return ", ".join(words[:most]) + f", … ({len(words)} in all)"
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def abbreviated(words: str) -> str:
    """`mean absolute error` → `mean abs. error`, for a terminal of 80 columns."""
    return " ".join(_SHORT.get(word, word) for word in words.split())


def shared(variable: str, share: float) -> str:
    """A variable, with the share of networks that keep it unless all do."""
    return variable if share == 1 else f"{variable} {share:.0%}"
