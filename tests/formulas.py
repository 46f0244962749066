"""The engine's formulas once more, in NumPy and float64, written from the documentation alone.

Shapes: n rows, p columns, h units, o outputs, g variables. First-layer weights are (h, p) without
the bias. lambdas are (λ1, λ2, λg).
"""

import numpy as np
from scipy.optimize import minimize
from scipy.special import erf, logsumexp, softmax

ACTIVATION = {
    "relu": (lambda z: np.maximum(z, 0.0), lambda z: (z > 0.0).astype(float)),
    "tanh": (np.tanh, lambda z: 1.0 - np.tanh(z) ** 2),
    "gelu": (
        lambda z: z * 0.5 * (1.0 + erf(z / np.sqrt(2.0))),
        lambda z: (
            0.5 * (1.0 + erf(z / np.sqrt(2.0))) + z * np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
        ),
    ),
}


def mean_loss(predictions, target, task, row_weights=None):
    """Σ w·loss / Σ w of predictions (n, o): cross-entropy in nats, or half the squared error."""
    if task == "binary":
        z = predictions[:, 0]
        rows = np.logaddexp(0.0, z) - target * z
    elif task == "multiclass":
        rows = logsumexp(predictions, axis=1) - predictions[np.arange(len(target)), target]
    else:
        rows = 0.5 * (predictions[:, 0] - target) ** 2
    return np.average(rows, weights=row_weights)


def upstream(predictions, target, task, row_weights=None):
    """∂ mean_loss / ∂ predictions, (n, o)."""
    if task == "binary":
        rows = 1.0 / (1.0 + np.exp(-predictions)) - target[:, None]
    elif task == "multiclass":
        rows = softmax(predictions, axis=1) - np.eye(predictions.shape[1])[target]
    else:
        rows = predictions - target[:, None]
    weights = np.ones(len(target)) if row_weights is None else row_weights
    return rows * (weights / weights.sum())[:, None]


def omega(first, lambdas, group_index):
    """Ω(W) = λ1·Σ|W| + λ2·½ΣW² + λg·Σ_g √(|g|·h)·‖W_g‖_F."""
    l1, l2, group = lambdas
    total = l1 * np.abs(first).sum() + 0.5 * l2 * np.square(first).sum()
    for g in np.unique(group_index):
        own = first[:, group_index == g]
        total += group * np.sqrt(own.size) * np.linalg.norm(own)
    return total


def proximal(first, step, lambdas, group_index):
    """prox_{t·Ω}(W): soft-threshold, then each variable's norm, then the ridge's division."""
    l1, l2, group = lambdas
    soft = np.sign(first) * np.maximum(np.abs(first) - step * l1, 0.0)
    out = np.zeros_like(soft)
    for g in np.unique(group_index):
        own = soft[:, group_index == g]
        norm, radius = np.linalg.norm(own), step * group * np.sqrt(own.size)
        if norm > radius:
            out[:, group_index == g] = own * (1.0 - radius / norm) / (1.0 + step * l2)
    return out


def forward(weights, inputs, activation):
    """Predictions (n, o), and the (z, activation(z)) of every hidden layer.

    weights: first (h, p + 1) with the bias last, and [(weights, bias), …]; inputs (n, p).
    """
    first, later = weights
    z = np.column_stack([inputs, np.ones(len(inputs))]) @ first.T
    hidden = []
    for w, b in later:
        a = ACTIVATION[activation][0](z)
        hidden.append((z, a))
        z = a @ w.T + b[:, 0]
    return z, hidden


def activation_slopes(weights, inputs, target, task, activation, row_weights=None):
    """∂ mean_loss / ∂ activations of the first layer, (n, h), and their z, by the chain rule."""
    predictions, hidden = forward(weights, inputs, activation)
    delta = upstream(predictions, target, task, row_weights)
    for (w, _), (z, _) in zip(reversed(weights[1][1:]), reversed(hidden[1:]), strict=True):
        delta = (delta @ w) * ACTIVATION[activation][1](z)
    return delta @ weights[1][0][0], hidden[0][0]


def first_layer_gradient(weights, inputs, target, task, activation, row_weights=None):
    """∂ mean_loss / ∂ first, (h, p + 1)."""
    slopes, z = activation_slopes(weights, inputs, target, task, activation, row_weights)
    delta = slopes * ACTIVATION[activation][1](z)
    return delta.T @ np.column_stack([inputs, np.ones(len(inputs))])


def residuals(first, gradient, lambdas, group_index, step=1e-2):
    """‖W_g − prox_t(W_g − t·∇_g)‖ / t of every variable, and last of the bias, which has no
    penalty; first and gradient (h, p + 1), the bias last."""
    own, g = first[:, :-1], gradient[:, :-1]
    moved = own - proximal(own - step * g, step, lambdas, group_index)
    variables = [np.linalg.norm(moved[:, group_index == v]) for v in np.unique(group_index)]
    return np.array([*variables, step * np.linalg.norm(gradient[:, -1])]) / step


def kkt_residual(first, gradient, lambdas, group_index, step=1e-2):
    """The largest of them."""
    return residuals(first, gradient, lambdas, group_index, step).max()


def scales(weights, inputs, target, task, activation, lambdas, group_index, row_weights=None):
    """What each variable's residual, and last the bias's, is compared with: (λ1 + λg)·√(|g|·h), but
    at most the largest gradient of any variable at W = 0, and that where no penalty makes zeros.
    There relu has the slope 1."""
    l1, _, group = lambdas
    nothing = np.zeros_like(weights[0]), weights[1]
    slopes, z = activation_slopes(nothing, inputs, target, task, activation, row_weights)
    slope = np.ones_like(z) if activation == "relu" else ACTIVATION[activation][1](z)
    at_zero = (slopes * slope).T @ np.column_stack([inputs, np.ones(len(inputs))])
    members = [group_index == v for v in np.unique(group_index)]
    norms = [np.linalg.norm(at_zero[:, :-1][:, own]) for own in members]
    largest = max([*norms, np.linalg.norm(at_zero[:, -1])])
    strengths = [(l1 + group) * np.sqrt(own.sum() * len(at_zero)) for own in members]
    return np.array([min(s, largest) if s else largest for s in strengths] + [largest])


def kink_residual(weights, inputs, target, task, lambdas, group_index, row_weights=None, step=1e-2):
    """kkt_residual of a ReLU network's first layer, and how many kinks W is on.

    relu′ is free in [0, 1] where c_ui > 0 and |z_ui| ≤ 2⁻²⁴·‖W_u‖·‖x_i‖, and maximizes the dual
    min_U ‖U − W‖²/2t + ∇(s)·(U − W) + Ω(U); by L-BFGS-B. Where it is not free it is 1 or 0.
    """
    first, rows = weights[0], np.column_stack([inputs, np.ones(len(inputs))])
    slopes, z = activation_slopes(weights, inputs, target, task, "relu", row_weights)
    width = np.outer(np.linalg.norm(rows, axis=1), np.linalg.norm(first, axis=1))
    at, unit = np.nonzero((np.abs(z) <= 2.0**-24 * width) & (slopes > 0.0) & (width > 0.0))
    side = (z > 0.0).astype(float)
    bias = np.arange(first.shape[1]) == first.shape[1] - 1

    def gradient(s):
        side[at, unit] = s
        return (slopes * side).T @ rows

    def landed(g):
        free = first - step * g
        return np.where(bias, free, np.column_stack(
            [proximal(free[:, :-1], step, lambdas, group_index), free[:, -1]]
        ))  # fmt: skip

    def minus_dual(s):
        g = gradient(s)
        to = landed(g)
        dual = np.square(to - first).sum() / (2 * step) + np.sum(g * (to - first))
        dual += omega(to[:, :-1], lambdas, group_index)
        own = slopes[at, unit] * np.einsum("ij,ij->i", rows[at], (to - first)[unit])
        return -1e6 * dual, -1e6 * own

    best = side[at, unit].copy()
    if len(at):
        found = minimize(
            minus_dual, np.full(len(at), 0.5), jac=True, method="L-BFGS-B",
            bounds=[(0.0, 1.0)] * len(at), options={"maxiter": 5000, "ftol": 1e-15, "gtol": 1e-12},
        )  # fmt: skip
        plain = kkt_residual(first, gradient(best), lambdas, group_index, step)
        freed = kkt_residual(first, gradient(found.x), lambdas, group_index, step)
        return min(plain, freed), len(at)
    return kkt_residual(first, gradient(best), lambdas, group_index, step), 0


def gradient_at_zero(inputs, target, task, outputs=1, row_weights=None):
    """(o, p): the gradient where all weights are zero and the intercept alone is fitted."""
    weights = np.ones(len(target)) if row_weights is None else row_weights
    if task == "multiclass":
        share = np.average(np.eye(outputs)[target], axis=0, weights=weights)
        constant = np.log(share)[None, :]
    else:
        mean = np.average(target, weights=weights)
        constant = np.array([[np.log(mean / (1.0 - mean)) if task == "binary" else mean]])
    delta = upstream(np.repeat(constant, len(target), axis=0), target, task, weights)
    return delta.T @ inputs


def lambda_max(gradient, shares, group_index):
    """The smallest s for which W = 0 is optimal under lambdas = s·shares, by bisection: zero is
    optimal where its proximal gradient step stays there."""

    def stays(s):
        return not proximal(gradient, 1.0, s * np.asarray(shares), group_index).any()

    low, high = 0.0, 1.0
    while not stays(high):
        high *= 2.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if stays(middle) else (middle, high)
    return high


def kept(first, group_index, above=0.0):
    """The variables with a weight norm above this, by default any that is not exactly 0."""
    groups = np.unique(group_index)
    return tuple(g for g in groups if np.linalg.norm(first[:, group_index == g]) > above)


def encodings(encoder, initial, relationship):
    """a·(E₀ + K·C) of m people, (K, d, m): C (n, K, d) and a (K, 1) of the encoder, initial E₀
    (m, K, d), relationship (m, n)."""
    learned = np.tensordot(relationship, np.asarray(encoder.coefficients, float), axes=1)
    return np.transpose((np.asarray(initial) + learned) * np.asarray(encoder.scale), (1, 2, 0))
