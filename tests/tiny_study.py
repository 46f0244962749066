"""A study of a second: a table of 120 rows, one configuration or more, two seeds."""

from pathlib import Path

import numpy as np
import pandas as pd
from study_runs import run_here

STUDY = """
# {question}?
data: {data}
target: sick
genotypes: none
sampler: grid
configurations: {configurations}
seeds: {seeds}
resamples: {resamples}
space: {{regularizer: [l1], lambda_l1: {lambdas}}}
network: {{hidden_layer_sizes: [3]}}
training: {{epochs: {epochs}, batch_size: 32}}
"""
PLAIN = {
    "question": "What does a tiny study find", "data": "people.csv", "configurations": 1,
    "seeds": 2, "resamples": "none", "lambdas": "[0.01, 0.02, 0.03]", "epochs": 3,
}  # fmt: skip


def write_study(folder: Path, name: str = "tiny", **changes: object) -> str:
    """A study file, and the table beside it; returns the file's name."""
    settings = PLAIN | changes
    table = folder / str(settings["data"])
    if not table.exists():
        rng = np.random.default_rng(len(table.name))
        columns = rng.normal(size=(120, 3))
        sick = (columns[:, 0] + rng.normal(size=120) > 0).astype(int)
        frame = pd.DataFrame(columns, columns=["a", "b", "c"]).assign(sick=sick)
        frame.to_csv(table, index=False)
    (folder / f"{name}.yaml").write_text(STUDY.format(**settings))
    return f"{name}.yaml"


def tables(folder: Path) -> dict[str, bytes]:
    """Every table of its report, by name."""
    return {p.name: p.read_bytes() for p in (folder / "reports/tiny").glob("*.csv")}


def assert_same_tables_there(folder: Path, cluster: str) -> None:
    """A study on the workers of a cluster file gives the tables that it gives in this process."""
    for place, given in (("here", {}), ("there", {"scheduler": "cluster.yaml"})):
        (folder / place).mkdir()
        study = write_study(folder / place)
        (folder / place / "cluster.yaml").write_text(cluster)
        run_here(folder / place, study, **given)
    assert tables(folder / "here") == tables(folder / "there") != {}
