"""Which regularizers there are, which lambdas each uses, and how closely they are solved.

No TensorFlow, no NumPy.

Everything that must know the regularizers reads this table: study files, estimators, paths,
results and figures.
"""

from __future__ import annotations

LAMBDAS = ("lambda_l1", "lambda_l2", "lambda_group")
"""λ1, λ2 and λg of Ω(W), in the order of `penalties.Lambdas`."""

LAMBDAS_OF = {
    "none": (),
    "l1": ("lambda_l1",),
    "l2": ("lambda_l2",),
    "elastic_net": ("lambda_l1", "lambda_l2"),
    "group_lasso": ("lambda_group",),
    "sparse_group_lasso": ("lambda_l1", "lambda_group"),
}
"""Regularizer → the lambdas it uses; the others are exactly 0."""

REGULARIZERS = tuple(LAMBDAS_OF)
"""From the plainest on, as lists and legends have them."""

ZEROING = tuple(r for r, used in LAMBDAS_OF.items() if {"lambda_l1", "lambda_group"} & set(used))
"""Those that make weights exactly 0."""


TOLERANCE = 1e-3
"""Of the relative kkt_residual (`pipeline.solvers.kkt`): networks are finished to it, and a report
counts those that are above."""


def shares(regularizer: str, l1_ratio: float) -> tuple[float, float, float]:
    """What of one strength λ goes to (λ1, λ2, λg).

    All of it to the one lambda that a regularizer uses; of two, l1_ratio to the first (λ1) and
    1 − l1_ratio to the second.
    """
    used = LAMBDAS_OF[regularizer]
    parts = dict(zip(used, (l1_ratio, 1.0 - l1_ratio) if len(used) == 2 else (1.0,)))
    l1, l2, group = (parts.get(name, 0.0) for name in LAMBDAS)
    return l1, l2, group
