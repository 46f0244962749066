"""Networks of one population that train on rows of their own: what each is to the shared table.

Batches, columns and target are shared. A network k that trains on a resample has weights of the
rows in its loss, and sees every column as its own rows standardize it: with the shared columns x̃,
the own center m and scale s, and the indicator M of imputed cells,

    x_j = (x̃_j − m_j)/s_j + M_j·δ_j        M_j = (x̃_i − low)/(high − low), i the indicator's column

That is a first layer on the shared columns, and so one matrix product for the whole population:

    W̃_j = W_j·a_j + W_{source(j)}·t_j       bias̃ = bias + Σ_j W_j·β_j
    a = 1/s (0 of a column that is constant among its rows)
    t_i = δ_j/(high − low) where column i is the indicator of j = source(i), else 0
    β_j = −m_j/s_j − δ_j·low/(high − low)

Weights, penalties, moments and zeros stay those of the x_j; the gradient goes back by the
transpose. A quantity is standardized by the network's own rows too: y = (ỹ − c)/u.

Shapes: K networks, n development rows, h units, p columns with the bias, o outputs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf


class OwnKind(NamedTuple):
    """What a compiled program must do: whether columns are standardized by each network's rows,
    whether some have imputed cells, and whether the target is a quantity."""

    standardized: bool
    imputed: bool
    quantity: bool


class OwnRows(NamedTuple):
    """Of every network; () where the kind has none.

    weights  (K, n) of the rows in the loss, mean 1
    rank     (K, 1) r of `optimizer`
    scale, bias, tie  (K, p) a, β and t of the module's formula
    center, unit      (K, 1, 1) c and u of a quantity
    """

    weights: tf.Tensor
    rank: tf.Tensor
    scale: tf.Tensor | tuple[()] = ()
    bias: tf.Tensor | tuple[()] = ()
    tie: tf.Tensor | tuple[()] = ()
    center: tf.Tensor | tuple[()] = ()
    unit: tf.Tensor | tuple[()] = ()

    @staticmethod
    def specs(kind: OwnKind, slots: int, columns: int, rows: int | None = None) -> OwnRows:
        """What compiled functions take; the number of rows is open."""

        def spec(*shape) -> Any:
            return tf.TensorSpec((slots, *shape), tf.float32)

        standardized = spec(columns) if kind.standardized else ()
        quantity = spec(1, 1) if kind.quantity else ()
        return OwnRows(
            spec(rows),
            spec(1),
            standardized,
            standardized,
            spec(columns) if kind.imputed else (),
            quantity,
            quantity,
        )


def _given(part) -> bool:
    return not isinstance(part, tuple)


def on_table(first, own, pairs, bias: int):
    """W (K, h, p) → W̃, of which the bias is that column.

    pairs (2, p): source(i) of each indicator, and the indicator of each column; any column where
    there is none.
    """
    if not (own and _given(own.scale)):
        return first
    moved = first * own.scale[:, None, :]
    if _given(own.tie):
        moved += tf.gather(first, pairs[0], axis=2) * own.tie[:, None, :]
    into_bias = tf.matmul(first, own.bias[:, :, None])
    biases = moved[:, :, bias : bias + 1] + into_bias
    return tf.concat([moved[:, :, :bias], biases, moved[:, :, bias + 1 :]], axis=2)


def carried_back(gradient, own, pairs, bias: int):
    """∂loss/∂W̃ (K, h, p) → ∂loss/∂W, by the transpose of `on_table`."""
    if not (own and _given(own.scale)):
        return gradient
    back = gradient * own.scale[:, None, :] + gradient[:, :, bias : bias + 1] * own.bias[:, None, :]
    if _given(own.tie):
        back += tf.gather(gradient * own.tie[:, None, :], pairs[1], axis=2)
    return back


def own_target(target, own):
    """ỹ (o, b) → y, (K, o, b) of a quantity; classes are the same for all."""
    return (target - own.center) / own.unit if _given(own.center) else target


def shared_target(predictions, own):
    """Predictions of y (K, o, b) → of ỹ."""
    return predictions * own.unit + own.center if own and _given(own.center) else predictions
