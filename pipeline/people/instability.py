"""How far a person's prediction depends on the seed and on who was in the table.

Riley and Collins, "Stability of clinical prediction models developed using statistical or machine
learning methods", Biometrical Journal 65, 2023: instability plot, mean absolute prediction error
and classification instability. Nothing that is handed on is of fewer than FEWEST people.

Shapes: M networks, n people.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

FEWEST = 5
"""People that a number or a cell of a figure must be of, at least."""

OFTEN = 0.1  # share of networks that put a person on the other side of the threshold
BINS = 20  # of either axis of the instability plot
_QUANTILES = (0.025, 0.25, 0.5, 0.75, 0.975)


@dataclass(frozen=True, eq=False)
class Instability:
    """Of a group of people, and never of one of them.

    mean_error      mean over people of the mean over networks of |p̂_network − p̂|: MAPE.
    error_quantiles of people's errors, of those quantiles that leave FEWEST people on either side:
                    quantile → value.
    threshold       from which on a prediction counts as high risk.
    mean_changed    mean over people of the share of networks that put them on the other side of the
                    threshold: the classification instability index.
    often_changed   share of people of whom at least a tenth of the networks do.
    bands           by band of p̂, people in it, quantiles of the networks' predictions, MAPE and
                    index: one row a band of at least FEWEST people.
    cells           the instability plot: `low high` of p̂ and `bottom top` of the networks'
                    predictions, and the `share` of a band's predictions in it; cells that fewer
                    than FEWEST people fill are left out.
    """

    people: int
    networks: int
    mean_error: float
    error_quantiles: dict[float, float]
    threshold: float
    mean_changed: float
    often_changed: float
    bands: pd.DataFrame
    cells: pd.DataFrame


def prediction_error(predictions: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """(n,) mean over networks of |p̂_network − p̂|: predictions (M, n), reference (n,) p̂."""
    return np.abs(predictions - reference).mean(axis=0)


def changed_class(predictions: np.ndarray, reference: np.ndarray, threshold: float) -> np.ndarray:
    """(n,) share of networks on the other side: above the threshold, p > t, is high risk."""
    return ((predictions > threshold) != (reference > threshold)).mean(axis=0)


def instability(
    predictions: np.ndarray,
    reference: np.ndarray | None = None,
    threshold: float | None = 0.5,
    bins: int = BINS,
) -> Instability:
    """Predictions (M, n) of networks that differ in seed and resample, as `Instability`.

    reference  (n,) p̂ of the model trained on everybody; by default the mean over the networks,
               where there is no such model.
    threshold  None for quantities, which have no classes.
    """
    predictions = np.asarray(predictions, float)
    if predictions.ndim != 2 or predictions.shape[0] < 2 or predictions.shape[1] < FEWEST:
        raise ValueError(
            f"predictions must be (M, n) of at least 2 networks and {FEWEST} people, but got "
            f"{predictions.shape}"
        )
    reference = predictions.mean(axis=0) if reference is None else np.asarray(reference, float)
    error = prediction_error(predictions, reference)
    changed = np.full(len(error), np.nan)
    if threshold is not None:
        changed = changed_class(predictions, reference, threshold)
    people = len(reference)
    shown = [q for q in _QUANTILES if min(q, 1 - q) * people >= FEWEST]
    bands, cells = _bands_and_cells(predictions, reference, error, changed, bins)
    often = int((changed >= OFTEN).sum())
    few = 0 < often < FEWEST or people - FEWEST < often < people
    return Instability(
        people=people,
        networks=len(predictions),
        mean_error=float(error.mean()),
        error_quantiles={q: float(np.quantile(error, q)) for q in shown},
        threshold=np.nan if threshold is None else float(threshold),
        mean_changed=float(changed.mean()),
        often_changed=np.nan if few or threshold is None else often / people,
        bands=bands,
        cells=cells,
    )


def _bands_and_cells(
    predictions: np.ndarray,
    reference: np.ndarray,
    error: np.ndarray,
    changed: np.ndarray,
    bins: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bands of equal width of p̂; a band of fewer than FEWEST people is joined to the next."""
    low, high = min(reference.min(), predictions.min()), max(reference.max(), predictions.max())
    # Round edges, so that the ends of the axes are no person's own extremes.
    step = _round_step((high - low) / bins)
    edges = step * np.arange(np.floor(low / step), np.ceil(high / step) + 1)
    if len(edges) < 2:
        edges = np.array([low - step, low + step])
    band = _joined(np.clip(np.searchsorted(edges, reference, "right") - 1, 0, len(edges) - 2))
    bands, cells = [], []
    for number in np.unique(band):
        members = band == number
        of_band = predictions[:, members]
        places = np.flatnonzero(members)
        first, last = _edges_of(reference[places], edges)
        quantiles = np.quantile(of_band, _QUANTILES)
        bands.append({
            "low": first, "high": last, "people": int(members.sum()),
            **{f"q{100 * q:g}": float(v) for q, v in zip(_QUANTILES, quantiles)},
            "mean_error": float(error[members].mean()),
            "mean_changed": float(changed[members].mean()),
        })  # fmt: skip
        row = np.clip(np.searchsorted(edges, of_band, "right") - 1, 0, len(edges) - 2)
        for r in np.unique(row):
            inside = row == r
            if inside.any(axis=0).sum() >= FEWEST:
                cells.append({"low": first, "high": last, "bottom": edges[r], "top": edges[r + 1],
                              "share": float(inside.mean())})  # fmt: skip
    columns = ["low", "high", "bottom", "top", "share"]
    return pd.DataFrame(bands), pd.DataFrame(cells, columns=columns)


def _round_step(width: float) -> float:
    """The next 1, 2 or 5 times a power of ten from `width` on; 1 for no width."""
    if not width > 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(width))
    return float(next(m * power for m in (1, 2, 5, 10) if m * power >= width * (1 - 1e-9)))


def _joined(band: np.ndarray) -> np.ndarray:
    """Bands (n,); those of too few people joined to the next, the last to the one before."""
    joined, counts = np.empty_like(band), np.bincount(band)
    groups: list[list[int]] = []
    waiting: list[int] = []
    for number in np.flatnonzero(counts):
        waiting.append(int(number))
        if counts[waiting].sum() >= FEWEST:
            groups.append(waiting)
            waiting = []
    if waiting and groups:
        groups[-1] += waiting
    elif waiting:
        groups.append(waiting)
    for i, group in enumerate(groups):
        joined[np.isin(band, group)] = i
    return joined


def _edges_of(values: np.ndarray, edges: np.ndarray) -> tuple[float, float]:
    """The grid's edges around these values."""
    first = max(int(np.searchsorted(edges, values.min(), "right")) - 1, 0)
    last = min(int(np.searchsorted(edges, values.max(), "right")), len(edges) - 1)
    return float(edges[first]), float(edges[last])
