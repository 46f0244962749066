"""One network as a model to use: a table as read → probabilities, or the quantity.

MLflow loads it by `_load_pyfunc`. It needs NumPy, pandas and SciPy: neither Lariat, TensorFlow nor
MLflow. The folder holds layers, the table's schema and a few words, and nothing of a person.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from .forward import Layers, forward, probabilities
from .genotyped import COPIES, FEW_VARIANTS, NO_GENOTYPES, example_of_copies, genetic_dimensions
from .schema import Place, Schema, checked_columns, from_json, row_number, synthetic_row
from .variant_scores import columns_of_variants, load_variant_weights

LAYERS, SCHEMA, ABOUT = "layers.npz", "schema.json", "about.json"
VARIANT_WEIGHTS = "variants.parquet"
"""The encoder's weights of variants, in the folder of a model that needs genotypes."""

GENOTYPES = "genotypes"
"""The parameter that takes a fileset's prefix."""


@dataclass(frozen=True, eq=False)
class ServedNetwork:
    """A network with everything between a table and its prediction.

    layers        (weights (inputs, outputs), bias (outputs,)) of every layer.
    schema        a table as read → features, those of the whole study.
    chosen        positions among those features of the network's own, in its order.
    encodings     names of the genetic dimensions behind them; `needed` are those that are not
                  zeroed, which the table has, or which come from genotypes.
    outputs       names of the columns of a prediction; scale is (center, unit) of a quantity.
    ids           the columns of people's ids in the study, by which they are found in a fileset.
    variants      the file of the encoder's weights of variants, if it is kept.
    """

    layers: Layers
    activation: str
    task: str
    schema: Schema
    chosen: tuple[int, ...]
    encodings: tuple[str, ...]
    outputs: tuple[str, ...]
    scale: tuple[float, float] = (0.0, 1.0)
    ids: tuple[str, ...] = ()
    variants: Path | None = None

    @property
    def _nonzero_inputs(self) -> np.ndarray:
        """(inputs,) whether any first-layer weight of the input is not exactly 0."""
        return np.any(self.layers[0][0] != 0.0, axis=1)

    @property
    def used(self) -> tuple[int, ...]:
        """The features with a nonzero weight: the others, and their columns, need not be known."""
        return tuple(f for f, nonzero in zip(self.chosen, self._nonzero_inputs) if nonzero)

    @property
    def columns(self) -> tuple[str, ...]:
        """The table's columns that the prediction depends on."""
        positions = sorted({self.schema.features[f].column for f in self.used})
        return tuple(self.schema.columns[c].name for c in positions)

    @property
    def zeroed_columns(self) -> tuple[str, ...]:
        """The columns that the network saw in training and does not use."""
        positions = sorted({self.schema.features[f].column for f in self.chosen})
        used = set(self.columns)
        return tuple(n for c in positions if (n := self.schema.columns[c].name) not in used)

    @property
    def needed(self) -> tuple[str, ...]:
        """Genetic dimensions with a weight that is not exactly 0."""
        nonzero = self._nonzero_inputs[len(self.chosen) :]
        return tuple(name for name, k in zip(self.encodings, nonzero, strict=True) if k)

    @property
    def variant_columns(self) -> tuple[str, ...]:
        """The ids of its variants, which a table may have as columns, where they are few."""
        if not self.needed or self.variants is None:
            return ()
        weights = load_variant_weights(self.variants)
        if len(weights.variants) > FEW_VARIANTS:
            return ()
        where = columns_of_variants(weights, list(weights.variants.id))
        taken = {column.name for column in self.schema.columns}
        return tuple(name for name, _ in where.values() if name not in taken)

    def inputs(
        self, table: pd.DataFrame, *, as_read: bool = False, place: Place = row_number
    ) -> tuple[np.ndarray, list[str]]:
        """((rows, inputs) of the first layer, float32 at first as in training; sentences)."""
        names = [str(name) for name in table.columns]
        if list(table.columns) != names:
            table = table.set_axis(names, axis=1)
        checked_columns(table, (*self.columns, *self.needed))
        features, notes = self.schema.transform(table, as_read=as_read, place=place, only=self.used)
        learned, needed = np.zeros((len(table), len(self.encodings))), set(self.needed)
        for i, name in enumerate(self.encodings):
            if name in needed:
                learned[:, i] = pd.to_numeric(table[name])
        return np.concatenate([features[:, self.chosen], learned], axis=1, dtype=np.float64), notes

    def score(
        self, table: pd.DataFrame, *, as_read: bool = False, place: Place = row_number
    ) -> tuple[pd.DataFrame, list[str]]:
        """(one row a person: probabilities of classes, or the quantity in the table's unit;
        sentences about values that the training rows did not have). Raises InputError.

        as_read and place are those of `Schema.transform`.
        """
        inputs, notes = self.inputs(table, as_read=as_read, place=place)
        z = forward(self.layers, inputs, self.activation)
        readable = probabilities(z.T, self.task).reshape(len(table), -1)
        center, unit = self.scale
        return pd.DataFrame(readable * unit + center, list(table.index), list(self.outputs)), notes

    def predict(self, model_input: pd.DataFrame, params: Mapping | None = None) -> pd.DataFrame:
        """What MLflow calls: `score`, with a Python warning for each sentence.

        params: `genotypes`, the prefix of a PLINK fileset of these people on this machine. Who is
        not in it has no prediction (NaN), so that there is a row for each of the table.
        """
        genotypes = str((params or {}).get(GENOTYPES) or NO_GENOTYPES)
        table, there, genetic_notes = self._with_genotypes(model_input, genotypes)
        predictions, notes = self.score(table)
        for note in (*genetic_notes, *notes):
            warnings.warn(note, stacklevel=2)
        return predictions if there.all() else predictions.where(there[:, None])

    def _with_genotypes(
        self, table: pd.DataFrame, genotypes: str
    ) -> tuple[pd.DataFrame, np.ndarray, tuple[str, ...]]:
        """(the table with the dimensions that are needed, (n,) who has them, sentences)."""
        everyone = np.ones(len(table), bool)
        if set(self.needed) <= set(table.columns) or self.variants is None:
            return table, everyone, ()
        dimensions, notes = genetic_dimensions(self.variants, table, genotypes, self.ids)
        dimensions = dimensions[list(self.needed)]
        there = dimensions.notna().all(axis=1).to_numpy()
        table = table.drop(columns=[name for name in self.needed if name in table.columns])
        return pd.concat([table, dimensions.fillna(0.0)], axis=1), there, notes


def save(network: ServedNetwork, folder: Path) -> None:
    """Into a folder, from which `_load_pyfunc` makes the same again."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, np.ndarray] = {}
    for i, (weights, bias) in enumerate(network.layers):
        arrays |= {f"weights_{i}": weights, f"bias_{i}": bias}
    np.savez(folder / LAYERS, **arrays)  # type: ignore[arg-type]
    fields = ("activation", "task", "chosen", "encodings", "outputs", "scale", "ids")
    about = {name: getattr(network, name) for name in fields}
    for name, content in ((SCHEMA, network.schema.as_json()), (ABOUT, about)):
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
        (folder / name).write_text(text + "\n", encoding="utf-8")


def _load_pyfunc(path: str) -> ServedNetwork:
    """What MLflow calls on the folder that `save` wrote."""
    return load_served(path)


def load_served(path: str | Path) -> ServedNetwork:
    """The network of the folder that `save` wrote."""
    folder = Path(path)
    schema, about = (
        json.loads((folder / name).read_text(encoding="utf-8")) for name in (SCHEMA, ABOUT)
    )
    with np.load(folder / LAYERS, allow_pickle=False) as arrays:
        count = len(arrays.files) // 2
        layers = tuple((arrays[f"weights_{i}"], arrays[f"bias_{i}"]) for i in range(count))
    about = {key: tuple(v) if isinstance(v, list) else v for key, v in about.items()}
    variants = folder / VARIANT_WEIGHTS
    kept = variants if variants.is_file() else None
    return ServedNetwork(layers=layers, schema=from_json(schema), variants=kept, **about)


def synthetic_rows(network: ServedNetwork) -> pd.DataFrame:
    """Two rows that no person has, made from medians and levels, never from a row."""
    rows: dict[str, list] = {}
    seen = {*network.columns, *network.zeroed_columns}
    for column in network.schema.columns:
        if column.name in seen:
            rows[column.name] = list(synthetic_row(column))
    if network.needed and network.variants is not None and COPIES not in rows:
        return pd.DataFrame(
            rows | {COPIES: example_of_copies(load_variant_weights(network.variants))}
        )
    return pd.DataFrame(rows | {name: [0.0, 1.0] for name in network.needed})
