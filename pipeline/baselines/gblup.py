"""Genomic best linear unbiased prediction, alone and beside the table's columns.

With K the relationship matrix of the training people and k their relationship with others,

    g = k·(K + δI)⁻¹·(y − ȳ)

is ridge regression on all standardized genotypes, written in people (VanRaden, J. Dairy Sci.
91:4414 (2008)); a case counts as 1 and others as 0. δ = (1 − h²)/h²·mean(K_ii), with the h² of the
smallest squared error of the validation rows. The score's weight in the log-odds is fitted on
scores of training people whom the score has not seen (five folds), and is at least 0.

Shapes: N people, n training rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

from pipeline.baselines.data import BaselineData, NotFitted, Predictions
from pipeline.baselines.linear import plain

HERITABILITIES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7)
FOLDS, MOST_PEOPLE = 5, 8000


class Gblup:
    """The score of everyone at the best δ; fitted once for both of its uses.

    Raises NotFitted for several classes, and for more training people than minutes would do for.
    """

    def __init__(self, data: BaselineData):
        if data.relationship is None:
            raise NotFitted("needs genotypes")
        if data.task == "multiclass":
            raise NotFitted("is for two outcomes or a quantity, not for several classes")
        if len(data.train) > MOST_PEOPLE:
            raise NotFitted(
                f"takes minutes with more than {MOST_PEOPLE:,} training people, of which there are "
                f"{len(data.train):,}"
            )
        self.data = data
        self._relationship = np.asarray(data.relationship, np.float64)
        self._y = np.asarray(data.y, np.float64)
        self._scores: dict[float, np.ndarray] = {}

    def alone(self) -> Predictions:
        """By the score alone."""
        data, score = self.data, self.score
        if not data.quantities:
            score = self._log_odds()
        return Predictions(
            data.raw(score[data.validation]), data.raw(score[data.test]), f"h² {self.h2:g}"
        )

    def with_table(self) -> Predictions:
        """Regression on the table's columns with the score as one more."""
        column = self.score.copy()
        column[self.data.train] = self.unseen
        unit = float(column[self.data.train].std()) or 1.0
        fitted = plain(self.data, column / unit)
        return Predictions(fitted.validation, fitted.test, f"h² {self.h2:g}")

    @cached_property
    def h2(self) -> float:
        """Of HERITABILITIES that of the smallest squared error of the validation rows."""
        held_out, mean = self.data.validation, float(self._y[self.data.train].mean())
        errors = [
            float(np.mean(np.square(self._y[held_out] - mean - self._score(h2)[held_out])))
            for h2 in HERITABILITIES
        ]
        return HERITABILITIES[int(np.argmin(errors))]

    @property
    def score(self) -> np.ndarray:
        """(N,) g of everyone at the best h²."""
        return self._score(self.h2)

    def _log_odds(self) -> np.ndarray:
        unit = float(self.unseen.std())
        if unit == 0.0:
            return np.zeros(len(self.score))
        train = self.data.train
        model = LogisticRegression(C=np.inf).fit((self.unseen / unit)[:, None], self._y[train])
        slope = max(float(model.coef_[0, 0]), 0.0)
        return float(model.intercept_[0]) + slope * self.score / unit

    def _score(self, h2: float) -> np.ndarray:
        """(N,) g of everyone, from all training people; of a quantity in the unit of y."""
        if h2 not in self._scores:
            every = np.arange(len(self.data.train))
            self._scores[h2] = self._from(every, np.arange(len(self._y)), h2)
        return self._scores[h2]

    @cached_property
    def unseen(self) -> np.ndarray:
        """(n,) g of each training person, from the folds that the person is not in."""
        data, data_rows = self.data, self.data.train
        score = np.empty(len(data_rows))
        whose = None if data.people is None else data.people[data_rows]
        for fitted, held_out in _folds(self._y[data_rows], whose, data.quantities):
            score[held_out] = self._from(fitted, data_rows[held_out], self.h2)
        return score

    def _from(self, fitted: np.ndarray, rows: np.ndarray, h2: float) -> np.ndarray:
        """g of `rows`, from training people at the positions `fitted`."""
        train = self.data.train[fitted]
        matrix = self._relationship[np.ix_(train, fitted)]
        matrix.flat[:: len(fitted) + 1] += (1.0 - h2) / h2 * float(np.mean(np.diag(matrix)))
        y = self._y[train]
        mean = float(y.mean())
        dual = cho_solve(cho_factor(matrix, overwrite_a=True, check_finite=False), y - mean)
        return self._relationship[np.ix_(rows, fitted)] @ dual


def _folds(
    y: np.ndarray, people: np.ndarray | None, quantities: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Stratified by class, the rows of a person together."""
    folds = FOLDS if quantities else int(min(FOLDS, max(np.bincount(y.astype(int)).min(), 2)))
    if people is not None:
        splitter = GroupKFold(folds) if quantities else StratifiedGroupKFold(folds)
    else:
        chosen = KFold if quantities else StratifiedKFold
        splitter = chosen(folds, shuffle=True, random_state=0)
    return splitter.split(np.zeros(len(y)), y, people)
