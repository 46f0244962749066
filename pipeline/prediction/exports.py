"""A model for other programs: the kept variables, the weights, a Keras model. Nothing of a person.

The Keras model takes the inputs of the first layer, in the order of `inputs.csv`, which says how
each comes from a table: (value − center)/scale of a number or of a 0/1 for a level. It computes in
float64, as the model does, so that both agree to the last digits.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.command_line import import_tensorflow
from pipeline.data import BINARY, REGRESSION
from pipeline.prediction.explanation import kept_names
from pipeline.serving import MISSING, NUMBER
from pipeline.tracking import FetchedModel

KEPT, WEIGHTS, INPUTS, KERAS = "kept_variables.txt", "weights.csv", "inputs.csv", "network.keras"


def export(model: FetchedModel, folder: Path) -> None:
    """Write the four files into a folder that exists."""
    kept = "".join(f"{name}\n" for name in kept_names(model))
    (folder / KEPT).write_text(kept, encoding="utf-8")
    weights_table(model).to_csv(folder / WEIGHTS, index=False)
    inputs_table(model).to_csv(folder / INPUTS, index=False)
    keras_model(model).save(folder / KERAS)


def weights_table(model: FetchedModel) -> pd.DataFrame:
    """All weights, long: layer, from, to, weight; a bias is from `bias`."""
    frames = []
    names = list(model.origin.inputs.columns)
    layers = model.network.layers
    for i, (weights, bias) in enumerate(layers):
        last = i == len(layers) - 1
        ends = (
            list(model.network.outputs)
            if last and len(model.network.outputs) == weights.shape[1]
            else [f"unit {u}" for u in range(1, weights.shape[1] + 1)]
        )
        stacked = np.vstack([weights, np.atleast_2d(bias)])
        frames.append(
            pd.DataFrame(
                {
                    "layer": i + 1,
                    "from": np.repeat([*names, "bias"], len(ends)),
                    "to": ends * (len(names) + 1),
                    "weight": stacked.ravel(),
                }
            )
        )
        names = ends
    return pd.concat(frames, ignore_index=True)


def inputs_table(model: FetchedModel) -> pd.DataFrame:
    """Each input of the first layer: input, variable, family, column, is (number, missing or a
    level), center, scale."""
    network, inputs, rows = model.network, model.origin.inputs, []
    for i, name in enumerate(inputs.columns):
        about: tuple = (name, "number", 0.0, 1.0)
        if i < len(network.chosen):
            feature = network.schema.features[network.chosen[i]]
            column = network.schema.columns[feature.column]
            if feature.code == MISSING:
                kind = "missing"
            elif column.kind == NUMBER:
                kind = "number"
            else:
                kind = (*column.levels, "other")[feature.code]
            about = (column.name, kind, feature.center, feature.scale)
        rows.append((name, inputs.variables[i], inputs.families[i], *about))
    head = ["input", "variable", "family", "column", "is", "center", "scale"]
    return pd.DataFrame(rows, columns=head)


def keras_model(model: FetchedModel):
    """A `keras.Sequential` of (n, p) inputs → probabilities of the outputs, or the quantity."""
    import_tensorflow()
    from tensorflow import keras

    network, kind = model.network, "float64"
    layers = [keras.Input((network.layers[0][0].shape[0],), dtype=kind)]
    last = {BINARY: "sigmoid", REGRESSION: "linear"}.get(network.task, "softmax")
    for i, (weights, _) in enumerate(network.layers):
        is_last = i == len(network.layers) - 1
        activation = last if is_last else network.activation
        layers.append(keras.layers.Dense(weights.shape[1], activation, dtype=kind))
    built = keras.Sequential(layers)
    center, unit = network.scale  # of a quantity; (0, 1) of classes
    for i, (layer, (weights, bias)) in enumerate(zip(built.layers, network.layers, strict=True)):
        by, to = (unit, center) if i == len(network.layers) - 1 else (1.0, 0.0)
        layer.set_weights(
            [np.asarray(weights, kind) * by, np.asarray(bias, kind).ravel() * by + to]
        )
    return built
