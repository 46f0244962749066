"""Columns of a table → the features of a network: impute, one-hot encode, standardize.

Fitted on the rows it is given, which are the training rows.

Scale: every column, be it a quantity, a 0/1 code, a one-hot level or a missing-indicator, is
centered and divided by its standard deviation (that of n, not n − 1) over the training rows. Then
one first-layer weight means the same for all: the effect of one standard deviation. It is what the
penalties and the heat maps compare. The price: the few ones of a rare code become large values.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from pipeline.data.table import CATEGORY, NUMBER, as_numbers
from pipeline.results import Inputs

_MISSING = "\0missing"  # the level of a missing category; no text of a file equals it


def plain_value(value: object) -> object:
    """A plain Python value, whole numbers as integers: 1.0 → 1."""
    value = value.item() if isinstance(value, np.generic) else value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def as_labels(frame: pd.DataFrame) -> np.ndarray:
    """(n, columns) texts of categories: whole numbers without a point, one text for missing.

    A code is `1` whether a table has it as 1, as 1.0 (because others are missing) or as text.
    """
    columns = []
    for name in frame.columns:
        codes, values = pd.factorize(frame[name].astype(object))
        texts = np.array([*(str(plain_value(value)) for value in values), _MISSING], dtype=object)
        columns.append(texts[codes])  # the code of missing is -1
    return np.column_stack(columns)


def varies(values: np.ndarray) -> np.ndarray:
    """(columns,) whether each column of (n, columns) numbers differs by more than rounding."""
    return np.ptp(values, axis=0) > 1e-9 * np.abs(values).max(axis=0)


def _levels(labels: np.ndarray) -> list[str]:
    """Distinct labels, numbers first and by size, then text by alphabet, missing last."""

    def key(label: str) -> tuple[int, float, str]:
        if label == _MISSING:
            return 2, 0.0, label
        try:
            number = float(label)
        except ValueError:
            number = np.nan
        return (1, 0.0, label) if np.isnan(number) else (0, number, label)

    return sorted(set(labels), key=key)


def _category_encoder(train: pd.DataFrame, name: str) -> Pipeline:
    levels = _levels(as_labels(train[[name]])[:, 0])
    known = [level for level in levels if level != _MISSING]
    encoder = OneHotEncoder(
        categories=[np.array(levels, dtype=object)],
        drop=[levels[0]] if len(known) <= 2 else None,
        handle_unknown="ignore",
        sparse_output=False,
    )
    return make_pipeline(FunctionTransformer(as_labels), encoder)


def distinct_columns(inputs: Inputs) -> tuple[Inputs, list[str]]:
    """Inputs whose columns have distinct names, and a sentence for each that was renamed.

    Level `c` of a variable `a=b` and level `b=c` of `a` would both be called `a=b=c`.
    """
    wanted, used, notes = set(inputs.columns), {}, []
    for column, variable in zip(inputs.columns, inputs.variables, strict=True):
        name, number = column, 2
        while name in used or (name != column and name in wanted):
            name, number = f"{column} ({number})", number + 1
        if name != column:
            notes.append(f"a column of {variable} is called {name}, as there is another {column}")
        used[name] = variable
    return Inputs(tuple(used), inputs.variables, inputs.families), notes


def fit_features(
    train: pd.DataFrame,
    kinds: Mapping[str, str],
    family_of: Mapping[str, str],
    group_of: Mapping[str, str] | None = None,
) -> tuple[Pipeline, Inputs]:
    """(fitted preprocessor, the p columns it gives) from the training rows.

    kinds maps each column of the table to NUMBER or CATEGORY, in the table's order; each must have
    at least two training values, missing counting as one. family_of maps them to families other
    than `clinical`. group_of maps them to the user's groups: the variable of their columns is then
    the group, and all its columns stand where its first one does. Column names may repeat; see
    `distinct_columns`.
    """
    group_of = group_of or {}
    numbers = [name for name, kind in kinds.items() if kind == NUMBER]
    groups = [name for name, kind in kinds.items() if kind == CATEGORY]
    steps = [(f"v{i}", _category_encoder(train, name), [name]) for i, name in enumerate(groups)]
    if numbers:  # all in one transformer: one each takes 13 ms a variable
        imputer = SimpleImputer(strategy="median", add_indicator=True)
        steps.append(("n", make_pipeline(FunctionTransformer(as_numbers), imputer), numbers))
    encode = ColumnTransformer(steps)
    encoded = encode.fit_transform(train)

    made = []  # (column, variable) in the transformer's order
    for i, name in enumerate(groups):
        made += [(column, name) for column in _level_columns(name, encode, f"v{i}")]
    if numbers:
        made += [(name, name) for name in numbers]
        with_indicator = encode.named_transformers_["n"][-1].indicator_.features_
        made += [(f"{numbers[i]} missing", numbers[i]) for i in with_indicator]

    # A column can be constant though its variable is not: a code that is 1 or missing.
    differs = varies(encoded)
    place, first = {name: i for i, name in enumerate(kinds)}, {}
    for name in kinds:
        first.setdefault(group_of.get(name, name), place[name])

    def standing(i: int) -> tuple[int, int]:
        name = made[i][1]
        return first[group_of.get(name, name)], place[name]

    order = [i for i in sorted(range(len(made)), key=standing) if differs[i]]
    arrange = FunctionTransformer(np.take, kw_args={"indices": order, "axis": 1})
    preprocessor = Pipeline(
        [
            ("encode", encode),
            ("arrange", arrange),
            ("standardize", StandardScaler().fit(encoded[:, order])),
        ]
    )
    inputs = Inputs(
        tuple(made[i][0] for i in order),
        tuple(group_of.get(made[i][1], made[i][1]) for i in order),
        tuple(family_of.get(made[i][1], "clinical") for i in order),
    )
    return preprocessor, inputs


def _level_columns(name: str, encode: ColumnTransformer, transformer: str) -> list[str]:
    encoder = encode.named_transformers_[transformer][-1]
    levels = encoder.categories_[0]
    if encoder.drop_idx_ is not None:
        levels = np.delete(levels, encoder.drop_idx_[0])
    return [f"{name}={'missing' if level == _MISSING else level}" for level in levels]
