"""Columns made from one source feature are one variable, whichever transformer made them."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.decomposition import PCA
from sklearn.feature_selection import VarianceThreshold
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    StandardScaler,
)

from pipeline.errors import InputError
from pipeline.estimators.groups import column_groups, source_labels

NAN = np.nan
TABLE = pd.DataFrame(
    {
        "age": [40.0, 50.0, NAN, 61.0, 38.0, 45.0],
        "city": ["a", "b", "b", "c", "d", "b"],
        "sex": ["f", "m", "m", "f", "f", "m"],
        "bmi": [20.0, 25.0, 24.0, 31.0, NAN, 22.0],
        "flat": [1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
        "empty": [NAN] * 6,
    }
)
NUMBERS, TEXTS = ["age", "bmi"], ["city", "sex"]


def labels(transformer, table=TABLE):
    made = transformer.fit_transform(table)
    found = source_labels(transformer)
    assert len(found) == made.shape[1]
    return found


@pytest.mark.parametrize(
    ("encoder", "expected"),
    [
        (OneHotEncoder(), ["city"] * 4 + ["sex"] * 2),
        (OneHotEncoder(drop="first"), ["city"] * 3 + ["sex"]),
        (OneHotEncoder(drop="if_binary"), ["city"] * 4 + ["sex"]),
        (
            OneHotEncoder(min_frequency=2, handle_unknown="infrequent_if_exist"),
            ["city"] * 2 + ["sex"] * 2,
        ),
        (OneHotEncoder(max_categories=3, drop="first"), ["city"] * 2 + ["sex"]),
    ],
)
def test_one_hot_columns_belong_to_their_category(encoder, expected):
    assert labels(encoder, TABLE[TEXTS]) == expected
    assert labels(encoder, TABLE[TEXTS].to_numpy()) == [TEXTS.index(name) for name in expected]


def test_a_missing_indicator_belongs_to_what_it_indicates():
    table = TABLE[["flat", "age", "empty", "bmi"]]
    expected = ["flat", "age", "bmi", "age", "empty", "bmi"]
    assert labels(SimpleImputer(add_indicator=True), table) == expected
    scaled = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    assert labels(scaled, table) == expected
    assert labels(KNNImputer(add_indicator=True), table) == expected
    assert labels(SimpleImputer(keep_empty_features=True), table) == list(table.columns)


def test_a_column_transformer_keeps_track_through_all_its_parts():
    transformer = ColumnTransformer(
        [
            ("texts", OneHotEncoder(sparse_output=False), make_column_selector("^(city|sex)$")),
            (
                "numbers",
                make_pipeline(SimpleImputer(add_indicator=True), MinMaxScaler()),
                slice("age", "age"),
            ),
            ("gone", "drop", ["empty"]),
        ],
        remainder="passthrough",
    )
    expected = ["city"] * 4 + ["sex"] * 2 + ["age"] * 2 + ["bmi", "flat"]
    assert labels(transformer) == expected
    whole = make_pipeline(transformer, SimpleImputer(), VarianceThreshold())
    assert labels(whole) == expected[:-1]


def test_columns_may_be_chosen_by_position_or_mask():
    transformer = ColumnTransformer(
        [
            ("bins", KBinsDiscretizer(3, encode="onehot-dense", quantile_method="linear"), [1]),
            ("mask", StandardScaler(), [True, False, True]),
        ]
    )
    numbers = np.random.default_rng(0).normal(size=(30, 3))
    assert labels(transformer, numbers) == [1, 1, 1, 0, 2]
    both = FeatureUnion([("raw", "passthrough"), ("scaled", StandardScaler())])
    assert labels(both, numbers) == [0, 1, 2, 0, 1, 2]


def test_whatever_is_made_of_one_feature_belongs_to_it():
    powers = FunctionTransformer(lambda x: np.column_stack([x, x**2]))
    transformer = ColumnTransformer([("powers", powers, ["flat"]), ("city", "passthrough", [1])])
    assert labels(transformer) == ["flat", "flat", "city"]


def test_what_mixes_features_is_refused_by_name():
    numbers = np.random.default_rng(0).normal(size=(30, 3))
    with pytest.raises(InputError, match="PCA mixes or rearranges its 3 features"):
        source_labels(PCA(2).fit(numbers))
    unclear = FunctionTransformer(np.flip).fit(numbers)
    with pytest.raises(InputError, match="feature_names_out='one-to-one'"):
        source_labels(unclear)
    declared = FunctionTransformer(np.log1p, feature_names_out="one-to-one")
    assert labels(declared, np.abs(numbers)) == [0, 1, 2]


def test_groups_may_be_labels_a_mapping_or_a_function():
    names = ["age", "city=a", "city=b", "sex"]
    by_label = column_groups(["age", "city", "city", "sex"], 4, names)
    for groups in (
        {"city": ["city=a", "city=b"]},
        {"city": slice(1, 3)},
        lambda name: name.split("=")[0],
        pd.Series(["age", "city", "city", "sex"]),
        np.array(["age", "city", "city", "sex"]),
    ):
        found = column_groups(groups, 4, names)
        assert found.names.tolist() == by_label.names.tolist() == ["age", "city", "sex"]
        assert found.index.tolist() == by_label.index.tolist() == [0, 1, 1, 2]
    alone = column_groups(None, 3, None, unpenalized=[-1])
    assert alone.names.tolist() == alone.index.tolist() == [0, 1, 2]
    assert alone.factor.tolist() == [1.0, 1.0, 0.0]


def test_a_variable_is_unpenalized_by_its_own_name_or_those_of_all_its_columns():
    names = ["age", "city=a", "city=b"]
    groups = ["age", "city", "city"]
    for chosen in ("city", ["city"], ["city=a", "city=b"], [1, 2]):
        assert column_groups(groups, 3, names, chosen).factor.tolist() == [1.0, 0.0, 0.0]
    with pytest.raises(InputError, match="only \\['city=a'\\] of the columns of variable 'city'"):
        column_groups(groups, 3, names, ["city=a"])


def test_a_column_left_out_of_a_mapping_cannot_share_a_name_with_a_variable():
    with pytest.raises(InputError, match="column 'age' is in no variable of groups"):
        column_groups({"age": ["sex"]}, 2, ["age", "sex"])
