"""Which columns make one variable: from labels, a mapping, a function, or a fitted transformer.

Columns that were one source feature belong together, since a person asks whether the network needs
*education*, not whether it needs one of its one-hot levels. A fitted transformer knows where its
columns came from, and that is read off its own attributes: `categories_`, `drop_idx_`,
`infrequent_categories_`, `output_indices_`, `indicator_`, `statistics_`.

Shapes: p columns of X, m features before the transformer, g variables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, OneToOneFeatureMixin
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectorMixin
from sklearn.impute import MissingIndicator
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer, KBinsDiscretizer, OneHotEncoder
from sklearn.utils.validation import check_is_fitted

from pipeline.errors import InputError


class ColumnGroups(NamedTuple):
    """names (g,) of the variables, in the order of their first column; index (p,) the position in
    names of each column's variable; factor (p,) 0 on unpenalized columns and 1 elsewhere."""

    names: np.ndarray
    index: np.ndarray  # type: ignore[assignment]  # a column of numbers, not tuple.index
    factor: np.ndarray


def column_groups(
    groups: object, columns: int, names: Sequence[str] | None, unpenalized: object = None
) -> ColumnGroups:
    """Resolve the parameters `groups` and `unpenalized` of an estimator for p = columns columns.

    groups       None: every column is a variable of its own; a label for each column; a mapping
                 variable → column or columns, where columns left out are variables of their own;
                 a function from a column's name to its variable; or a fitted transformer whose
                 output X is, see `source_labels`.
    names        of the columns, or None where X has none; positions stand for them then.
    unpenalized  columns (names or positions) or variables that no λ touches.
    """
    column_names = list(range(columns)) if names is None else [str(name) for name in names]
    labels = _labels(groups, column_names, names is not None)
    variables = list(dict.fromkeys(labels))
    position = {variable: i for i, variable in enumerate(variables)}
    index = np.array([position[label] for label in labels], dtype=np.int64)
    factor = np.ones(columns)
    factor[_unpenalized(unpenalized, column_names, labels)] = 0.0
    for i, variable in enumerate(variables):
        if np.ptp(factor[index == i]) > 0:
            touched = [column_names[j] for j in np.flatnonzero((index == i) & (factor == 0))]
            raise InputError(
                "a variable is penalized as a whole or not at all, but unpenalized names only "
                f"{touched} of the columns of variable {variable!r}; name the variable instead"
            )
    return ColumnGroups(_as_array(variables), index, factor)


def _as_array(labels: list) -> np.ndarray:
    if all(isinstance(label, int | np.integer) for label in labels):
        return np.array(labels, dtype=np.int64)
    array = np.empty(len(labels), dtype=object)
    array[:] = labels
    return array


def _labels(groups: object, column_names: list, named: bool) -> list:
    """The variable of every column."""
    columns = len(column_names)
    if groups is None:
        return column_names
    if isinstance(groups, BaseEstimator):
        labels = source_labels(groups)
        what = f"the output of {type(groups).__name__}"
    elif isinstance(groups, Mapping):
        return _labels_of_mapping(groups, column_names)
    elif callable(groups):
        if not named:
            raise InputError(
                "a function as groups maps column names to variables, but X has no column names; "
                "fit with a pandas DataFrame, or give a label for each column"
            )
        return [groups(name) for name in column_names]
    elif isinstance(groups, Sequence | np.ndarray | pd.Series) and not isinstance(groups, str):
        labels, what = list(groups), "groups"
    else:
        raise InputError(
            "groups is None, a label for each column, a mapping variable → columns, a function "
            f"of column names, or a fitted transformer, but got {groups!r}"
        )
    if len(labels) != columns:
        raise InputError(
            f"groups holds one label for each column of X, but {what} has {len(labels)} "
            f"and X has {columns}"
        )
    return labels


def _labels_of_mapping(groups: Mapping, column_names: list) -> list:
    labels = list(column_names)
    taken: dict = {}
    for variable, columns in groups.items():
        for i in column_positions(columns, column_names):
            if i in taken:
                raise InputError(
                    "a column belongs to one variable, but groups names column "
                    f"{column_names[i]!r} for {taken[i]!r} and for {variable!r}"
                )
            taken[i], labels[i] = variable, variable
    for i, name in enumerate(column_names):
        if i not in taken and name in groups:
            raise InputError(
                f"column {name!r} is in no variable of groups, so it would be one of its own, but "
                f"groups has another variable of that name; list the column, or rename {name!r}"
            )
    return labels


def _unpenalized(chosen: object, column_names: list, labels: list) -> list[int]:
    if chosen is None:
        return []
    positions: list[int] = []
    for name in [chosen] if isinstance(chosen, str) else list(np.asarray(chosen, object).ravel()):
        if name not in column_names and name in labels:
            positions += [i for i, label in enumerate(labels) if label == name]
        else:
            positions += column_positions([name], column_names)
    return positions


def column_positions(columns: Any, column_names: Sequence) -> list[int]:
    """Positions of the columns that scikit-learn's column selectors mean: a name or position, a
    list of either, a slice, or a mask."""
    if isinstance(columns, str | int | np.integer):
        columns = [columns]
    if isinstance(columns, slice):
        start, stop = (
            end if end is None or not isinstance(end, str) else _position(end, column_names) + shift
            for end, shift in ((columns.start, 0), (columns.stop, 1))
        )
        return list(range(len(column_names)))[slice(start, stop, columns.step)]
    chosen = list(columns)
    if chosen and all(isinstance(one, bool | np.bool_) for one in chosen):
        return np.flatnonzero(chosen).tolist()
    return [_position(one, column_names) for one in chosen]


def _position(column: object, column_names: Sequence) -> int:
    if isinstance(column, int | np.integer) and -len(column_names) <= column < len(column_names):
        return int(column) % len(column_names)
    names = list(column_names)
    if column in names:
        return names.index(column)
    raise InputError(
        f"columns are given by the names or positions of X's {len(names)} columns, but got "
        f"{column!r}; X has {_some(names)}"
    )


def _some(names: Sequence) -> str:
    shown = ", ".join(str(name) for name in names[:8])
    return shown + (", …" if len(names) > 8 else "")


def source_labels(transformer: BaseEstimator) -> list:
    """The source feature of every output column of a fitted transformer: its name where the
    transformer was fitted on a DataFrame, else its position.

    Knows ColumnTransformer, Pipeline and FeatureUnion, and within them whatever maps one feature to
    one column, OneHotEncoder (dropped and infrequent categories too), KBinsDiscretizer, imputers
    with their missing-indicators, MissingIndicator and feature selectors. All columns of any other
    transformer belong to its feature if it was given a single one.
    """
    try:
        check_is_fitted(transformer)
    except NotFittedError:
        raise InputError(
            "groups takes a fitted transformer, whose columns exist, but got the unfitted "
            f"{type(transformer).__name__}; fit it first, or, where it is fitted anew within a "
            "Pipeline, give groups a function from column names to variables"
        ) from None
    if isinstance(transformer, Pipeline):
        features = getattr(transformer[0], "n_features_in_", None)
    else:
        features = getattr(transformer, "n_features_in_", None)
    if features is None:
        raise _unknown(transformer, "does not say how many features it was fitted on")
    names = getattr(transformer, "feature_names_in_", None)
    names = list(range(features)) if names is None else [str(name) for name in names]
    return [names[i] for i in sources(transformer, len(names), names)]


def sources(transformer: Any, features: int, names: Sequence | None = None) -> list[int]:
    """The position, among m = features, of the feature each output column was made from."""
    if isinstance(transformer, str):
        return list(range(features)) if transformer == "passthrough" else []
    for kind, rule in _RULES:
        if isinstance(transformer, kind):
            positions = rule(transformer, features, names)
            if positions is not None:
                return [int(i) for i in positions]
    if features == 1:
        return [0] * _outputs(transformer)
    raise _unknown(transformer, f"mixes or rearranges its {features} features")


def _unknown(transformer: Any, why: str) -> InputError:
    return InputError(
        "groups are derived from transformers whose columns each come from one feature, but "
        f"{type(transformer).__name__} {why}; give groups as a label for each column"
        + (
            ", or declare FunctionTransformer(feature_names_out='one-to-one')"
            if isinstance(transformer, FunctionTransformer)
            else ""
        )
    )


def _outputs(transformer: Any) -> int:
    try:
        return len(transformer.get_feature_names_out())
    except Exception:
        raise _unknown(transformer, "does not name its output columns") from None


def _of_pipeline(pipeline: Pipeline, features: int, names: Sequence | None) -> list[int]:
    origins = list(range(features))
    steps = [step for _, step in pipeline.steps if step not in (None, "passthrough")]
    for i, step in enumerate(steps):
        # A function of one feature does not say how many columns it made; the next step does.
        after = getattr(steps[i + 1], "n_features_in_", None) if i + 1 < len(steps) else None
        if len(origins) == 1 and after is not None:
            step_sources = [0] * after
        else:
            step_sources = sources(step, len(origins), names if i == 0 else None)
        origins = [origins[j] for j in step_sources]
    return origins


def _of_column_transformer(
    transformer: ColumnTransformer, features: int, names: Sequence | None
) -> list[int]:
    feature_names = getattr(transformer, "feature_names_in_", range(features))
    columns = max((part.stop for part in transformer.output_indices_.values()), default=0)
    origins = [0] * columns
    for name, fitted, chosen in transformer.transformers_:
        part = transformer.output_indices_[name]
        if part.stop <= part.start:
            continue
        chosen_positions = column_positions(chosen, feature_names)
        if len(chosen_positions) == 1:  # whatever was done to it
            part_sources = [0] * (part.stop - part.start)
        else:
            part_sources = sources(
                fitted, len(chosen_positions), [feature_names[i] for i in chosen_positions]
            )
        if len(part_sources) != part.stop - part.start:
            raise _unknown(
                fitted, f"made {part.stop - part.start} columns, not {len(part_sources)}"
            )
        origins[part] = [chosen_positions[i] for i in part_sources]
    return origins


def _of_union(union: FeatureUnion, features: int, names: Sequence | None) -> list[int]:
    parts = (fitted for _, fitted in union.transformer_list)
    return [i for fitted in parts for i in sources(fitted, features, names)]


def _of_one_hot(encoder: OneHotEncoder, features: int, names: Sequence | None) -> np.ndarray:
    infrequent = getattr(encoder, "infrequent_categories_", [None] * features)
    dropped = [None] * features if encoder.drop_idx_ is None else encoder.drop_idx_
    widths = [
        len(categories) - (0 if rare is None else len(rare) - 1) - (drop is not None)
        for categories, rare, drop in zip(encoder.categories_, infrequent, dropped, strict=True)
    ]
    return np.repeat(np.arange(features), widths)


def _of_bins(binned: KBinsDiscretizer, features: int, names: Sequence | None) -> np.ndarray:
    if binned.encode == "ordinal":
        return np.arange(features)
    return np.repeat(np.arange(features), np.asarray(binned.n_bins_, dtype=int))


def _of_imputer(imputer: Any, features: int, names: Sequence | None) -> list[int] | None:
    """The features kept, in order, then a column for each feature with a missing-indicator."""
    indicator = getattr(imputer, "indicator_", None)
    marked = [] if indicator is None else list(indicator.features_)
    if not hasattr(imputer, "indicator_"):
        return None
    feature_names = getattr(imputer, "feature_names_in_", [f"x{i}" for i in range(features)])
    place = {name: i for i, name in enumerate(feature_names)}
    kept = imputer.get_feature_names_out()
    kept = kept[: len(kept) - len(marked)]
    return [*(place[name] for name in kept), *marked]


def _of_one_to_one(transformer: Any, features: int, names: Sequence | None) -> list[int] | None:
    try:
        same = len(transformer.get_feature_names_out()) == features
    except Exception:
        return None
    return list(range(features)) if same else None


def _of_function(
    transformer: FunctionTransformer, features: int, names: Sequence | None
) -> list[int] | None:
    plain = transformer.func is None or transformer.feature_names_out == "one-to-one"
    return list(range(features)) if plain else None


_RULES: tuple[tuple[type, Callable], ...] = (
    (Pipeline, _of_pipeline),
    (ColumnTransformer, _of_column_transformer),
    (FeatureUnion, _of_union),
    (OneHotEncoder, _of_one_hot),
    (KBinsDiscretizer, _of_bins),
    (MissingIndicator, lambda marked, features, names: marked.features_),
    (SelectorMixin, lambda chosen, features, names: np.flatnonzero(chosen.get_support())),
    (FunctionTransformer, _of_function),
    (OneToOneFeatureMixin, _of_one_to_one),
    (object, _of_imputer),
)
"""Kind of transformer → how its columns map to its features; None from a rule means unknown."""
