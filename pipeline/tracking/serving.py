"""One network as a model to use: a table as read → probabilities, or the quantity.

MLflow loads it by `_load_pyfunc`. It needs NumPy, pandas, SciPy and scikit-learn: neither
TensorFlow nor MLflow. The folder holds layers and the fitted preprocessor, and nothing of a person.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from pipeline.data import tidy
from pipeline.errors import InputError
from pipeline.serving import forward, probabilities

Layers = Sequence[tuple[np.ndarray, np.ndarray]]
LAYERS, PREPROCESSOR, ABOUT = "layers.npz", "preprocessor.joblib", "about.json"


@dataclass(frozen=True, eq=False)
class ServedNetwork:
    """A network with everything between a table and its prediction.

    layers        (weights (inputs, outputs), bias (outputs,)) of every layer.
    preprocessor  fitted: a table as read → (rows, columns) features.
    chosen        positions among those features of the network's own, in its order.
    encodings     names of the genetic dimensions behind them; `needed` are those that are not
                  zeroed, which the table must have.
    outputs       names of the columns of a prediction; scale is (center, unit) of a quantity.
    """

    layers: Layers
    activation: str
    task: str
    preprocessor: Pipeline
    chosen: tuple[int, ...]
    encodings: tuple[str, ...]
    outputs: tuple[str, ...]
    scale: tuple[float, float] = (0.0, 1.0)

    @property
    def columns(self) -> tuple[str, ...]:
        """The table's columns that the preprocessor reads."""
        return tuple(name for _, own in self.encoders for name in own)

    @property
    def encoders(self) -> list[tuple[Pipeline, list[str]]]:
        """What is fitted to which columns; those that are dropped have no part in it."""
        known = self.preprocessor.named_steps["encode"].transformers_
        return [(fitted, own) for name, fitted, own in known if name != "remainder"]

    @property
    def needed(self) -> tuple[str, ...]:
        """Genetic dimensions with a weight that is not exactly 0."""
        weights = self.layers[0][0][len(self.chosen) :]
        return tuple(n for n, w in zip(self.encodings, weights, strict=True) if np.any(w != 0.0))

    def features(self, table: pd.DataFrame) -> np.ndarray:
        """(rows, inputs) of the first layer; float32 at first, as in training."""
        missing = [name for name in (*self.columns, *self.needed) if name not in table]
        if missing:
            raise InputError(
                f"the table must have the columns of the training table, but lacks "
                f"{', '.join(missing)}; add them, with NA where a value is unknown"
            )
        frame = pd.DataFrame({name: tidy(table[name]) for name in self.columns}, index=table.index)
        own = self.preprocessor.transform(frame).astype(np.float32)[:, self.chosen]
        learned = np.zeros((len(table), len(self.encodings)))
        for i, name in enumerate(self.encodings):
            if name in self.needed:
                learned[:, i] = pd.to_numeric(table[name])
        return np.concatenate([own, learned], axis=1).astype(np.float64)

    def predict(self, model_input: pd.DataFrame, params: Mapping | None = None) -> pd.DataFrame:
        """One row a person: probabilities of classes, or the quantity in the table's unit."""
        z = forward(self.layers, self.features(model_input), self.activation)
        seen = probabilities(z.T, self.task).reshape(len(model_input), -1)
        center, unit = self.scale
        return pd.DataFrame(seen * unit + center, list(model_input.index), list(self.outputs))


def save(network: ServedNetwork, folder: Path) -> None:
    """Into a folder, from which `_load_pyfunc` makes the same again."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for i, (weights, bias) in enumerate(network.layers):
        arrays |= {f"weights_{i}": weights, f"bias_{i}": bias}
    np.savez(folder / LAYERS, **arrays)
    joblib.dump(network.preprocessor, folder / PREPROCESSOR)
    fields = ("activation", "task", "chosen", "encodings", "outputs", "scale")
    about = {name: getattr(network, name) for name in fields}
    (folder / ABOUT).write_text(json.dumps(about, indent=1, ensure_ascii=False), encoding="utf-8")


def _load_pyfunc(path: str) -> ServedNetwork:
    """What MLflow calls on the folder that `save` wrote."""
    folder = Path(path)
    about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    with np.load(folder / LAYERS, allow_pickle=False) as arrays:
        count = len(arrays.files) // 2
        layers = tuple((arrays[f"weights_{i}"], arrays[f"bias_{i}"]) for i in range(count))
    about = {key: tuple(v) if isinstance(v, list) else v for key, v in about.items()}
    return ServedNetwork(layers=layers, preprocessor=joblib.load(folder / PREPROCESSOR), **about)


def synthetic_rows(network: ServedNetwork) -> pd.DataFrame:
    """Two rows that no person has: middle values and first levels, then half again, last levels.

    Made from what the preprocessor was fitted to, medians and levels, never from a row.
    """
    rows = {}
    for fitted, own in network.encoders:
        last = fitted[-1]
        if hasattr(last, "statistics_"):
            for name, median in zip(own, last.statistics_, strict=True):
                rows[name] = [float(median), float(f"{1.5 * median + 1:.3g}")]
        else:
            known = [x for x in last.categories_[0] if not str(x).startswith("\0")]
            rows[own[0]] = [known[0], known[-1]]
    return pd.DataFrame(rows | {name: [0.0, 1.0] for name in network.needed})
