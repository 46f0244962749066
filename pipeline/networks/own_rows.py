"""Networks of one population that train on rows of their own: what each is to the shared table.

Batches, columns and target are shared. A network k that trains on a resample has weights of the
rows in its loss, and sees every column as its own rows standardize it: with the shared columns x̃,
the own center m and scale s, and the indicator M of imputed cells,

    x_j = (x̃_j − m_j)/s_j + M_j·δ_j        M_j = (x̃_i − low)/(high − low), i the indicator's column

That is a first layer on the shared columns, and so one matrix product for the whole population:

    W̃_j = W_j·a_j + W_{j−1}·t_j       bias̃ = bias + Σ_j W_j·β_j
    a = 1/s (0 of a column that is constant among its rows)
    t_i = δ_j/(high − low) where column i = j + 1 is the indicator of j, else 0
    β_j = −m_j/s_j − δ_j·low/(high − low)

Weights, penalties, moments and zeros stay those of the x_j; the gradient goes back by the
transpose. A quantity is standardized by the network's own rows too: y = (ỹ − c)/u.

Shapes: K networks, n development rows, h units, p columns with the bias, o outputs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

MOST_DENSE = 96
"""First-layer columns up to which the map to W̃ is one small matrix product a network, which then
takes a third of the time of sums and products of columns."""


class OwnKind(NamedTuple):
    """What a compiled program must do: whether columns are standardized by each network's rows,
    whether some have imputed cells, and whether the target is a quantity."""

    standardized: bool
    imputed: bool
    quantity: bool


class ColumnMap(NamedTuple):
    """a, β and t of the module's formula, each (K, p); tie is () where no cell was imputed."""

    scale: Any
    bias: Any
    tie: Any

    def dense(self, bias: int) -> np.ndarray:
        """(K, p, p) T with W̃ = W·T, of NumPy arrays; bias is that column."""
        every = np.arange(self.scale.shape[1])
        dense = np.zeros((*self.scale.shape, len(every)), np.float32)
        dense[:, every, every] = self.scale
        dense[:, :, bias] += self.bias
        if _given(self.tie):
            dense[:, every[:-1], every[1:]] += self.tie[:, 1:]
        return dense


class OwnRows(NamedTuple):
    """Of every network; () where the kind has none.

    weights  (K, n) of the rows in the loss, mean 1
    rank     (K, 1) r of `optimizer`
    columns  T (K, p, p) of ColumnMap.dense for p ≤ MOST_DENSE, else the ColumnMap
    center, unit  (K, 1, 1) c and u of a quantity
    """

    weights: Any
    rank: Any
    columns: Any = ()
    center: Any = ()
    unit: Any = ()

    @staticmethod
    def specs(kind: OwnKind, slots: int, columns: int) -> OwnRows:
        """What compiled functions take; the number of rows is open."""

        def spec(*shape) -> tf.TensorSpec:
            return tf.TensorSpec((slots, *shape), tf.float32)

        map: Any = ()
        if kind.standardized:
            each = spec(columns)
            map = ColumnMap(each, each, each if kind.imputed else ())
            map = spec(columns, columns) if columns <= MOST_DENSE else map
        quantity = spec(1, 1) if kind.quantity else ()
        return OwnRows(spec(None), spec(1), map, quantity, quantity)


def _given(part) -> bool:
    """Whether it is not ()."""
    return not isinstance(part, tuple) or len(part) > 0


def on_table(first, own, bias: int):
    """W (K, h, p) → W̃, of which the bias is that column."""
    if not (own and _given(own.columns)):
        return first
    if not isinstance(own.columns, ColumnMap):
        return tf.matmul(first, own.columns)
    scale, into_bias, tie = own.columns
    moved = first * scale[:, None, :]
    if _given(tie):
        moved += tf.pad(first[:, :, :-1], [[0, 0], [0, 0], [1, 0]]) * tie[:, None, :]
    column = tf.one_hot(bias, first.shape[2])
    return moved + tf.matmul(first, into_bias[:, :, None]) * column


def carried_back(gradient, own, bias: int):
    """∂loss/∂W̃ (K, h, p) → ∂loss/∂W, by the transpose of `on_table`."""
    if not (own and _given(own.columns)):
        return gradient
    if not isinstance(own.columns, ColumnMap):
        return tf.matmul(gradient, own.columns, transpose_b=True)
    scale, into_bias, tie = own.columns
    back = gradient * scale[:, None, :]
    if _given(tie):
        tied = (gradient * tie[:, None, :])[:, :, 1:]
        back += tf.pad(tied, [[0, 0], [0, 0], [0, 1]])
    return back + tf.matmul(gradient[:, :, bias : bias + 1], into_bias[:, None, :])


def own_target(target, own):
    """ỹ (o, b) → y, (K, o, b) of a quantity; classes are the same for all."""
    return (target - own.center) / own.unit if _given(own.center) else target


def shared_target(predictions, own):
    """Predictions of y (K, o, b) → of ỹ."""
    return predictions * own.unit + own.center if own and _given(own.center) else predictions
