"""Tables and study files of every shape: a study, or one clear sentence; never a defect."""

from __future__ import annotations

import io
import os
import string
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from study_runs import run_here

from pipeline.data import load_cohort, read_table
from pipeline.errors import InputError
from pipeline.search_space import Sampling, load_search_space

TIMES = int(os.environ.get("LARIAT_FUZZ", "1"))
"""So many times as many inputs, and other ones at every call."""

SETTINGS = {
    "deadline": None,
    "derandomize": TIMES == 1,
    "phases": [Phase.explicit, Phase.generate],  # a found case is small enough to read
    "suppress_health_check": list(HealthCheck),
}
ODD_TEXTS = [
    "", " ", "NA", "nan", "None", "null", "inf", "-inf", "1e400", "-0", "007", "1,5", "1 000",
    "TRUE", "yes", "no", "2020-01-01", "01.02.2020", "0x10", "1_000", "٣", "é", "a" * 300,
    '"', "'", "\\", "=1+1", "<b>", "{x}", "[1]", "\u200b", "\u00a0", "%", "#", "~", "a\nb", "a,b",
]  # fmt: skip
CELLS = st.one_of(
    st.sampled_from(ODD_TEXTS),
    st.integers(-(2**65), 2**65).map(str),
    st.floats().map(repr),
    st.text(max_size=6),
)
BYTES = st.one_of(
    st.binary(max_size=200), st.text(max_size=200).map(lambda t: t.encode("utf-8", "ignore"))
)
NAMES = st.one_of(
    st.sampled_from(
        ["age", "ill", "id", "genetic_0", "clinical", "missing", "a/b", "__", "0", "x y"]
    ),
    st.text(string.printable, min_size=1, max_size=6),
    st.text(min_size=1, max_size=4),
)


def told(error: InputError) -> str:
    """Of a refusal: one line that says something."""
    sentence = str(error)
    assert len(sentence) > 20, sentence
    assert "\n" not in sentence.strip(), sentence
    assert len(sentence) < 3000, len(sentence)
    return sentence


@st.composite
def columns(draw, rows: int) -> list[str]:
    """Text of a column: regular with some odd cells, or odd throughout."""
    kind = draw(st.sampled_from(["number", "binary", "category", "constant", "odd", "unique"]))
    if kind == "odd":
        return draw(st.lists(CELLS, min_size=rows, max_size=rows))
    seed = draw(st.integers(0, 99))
    rng = np.random.default_rng(seed)
    values = {
        "number": lambda: [repr(float(v)) for v in rng.normal(size=rows)],
        "binary": lambda: [str(v) for v in rng.integers(0, 2, rows)],
        "category": lambda: [f"c{v}" for v in rng.integers(0, 4, rows)],
        "constant": lambda: ["7"] * rows,
        "unique": lambda: [f"p{v}" for v in range(rows)],
    }[kind]()
    for place, cell in draw(st.dictionaries(st.integers(0, rows - 1), CELLS, max_size=3)).items():
        values[place] = cell
    return values


@st.composite
def tables(draw) -> pd.DataFrame:
    rows = draw(st.sampled_from([1, 2, 5, 30, 60]))
    names = draw(st.lists(NAMES, min_size=1, max_size=5))
    return pd.DataFrame({i: draw(columns(rows)) for i in range(len(names))}).set_axis(names, axis=1)


@settings(max_examples=250 * TIMES, **SETTINGS)
@given(
    table=tables(),
    task=st.sampled_from(["auto", "binary", "multiclass", "regression"]),
    data=st.data(),
)
def test_a_table_is_a_cohort_or_a_sentence(tmp_path_factory, table, task, data) -> None:
    path = tmp_path_factory.mktemp("table") / "people.csv"
    path.write_bytes(table.to_csv(index=False).encode("utf-8", "surrogatepass"))
    try:
        read = read_table(path)
        names = list(read.frame.columns)
        cohort = load_cohort(
            read,
            data.draw(st.sampled_from(names)),
            task=task,
            categories=tuple(data.draw(st.lists(st.sampled_from(names), max_size=2, unique=True))),
            drop=(),
            families={},
            groups={},
            unpenalized=(),
            sample_weight=None,
            identifier=None,
            validation_fraction=0.2,
            test_fraction=0.2,
            split_seed=data.draw(st.integers(0, 3)),
        )
    except InputError as error:
        told(error)
        return
    assert np.isfinite(cohort.features).all()
    assert cohort.features.shape == (len(read.frame), len(cohort.inputs.columns))
    assert len(cohort.outcome) == len(read.frame)


@settings(max_examples=150 * TIMES, **SETTINGS)
@given(content=BYTES, suffix=st.sampled_from([".csv", ".csv.gz", ".parquet"]))
def test_bytes_are_a_table_or_a_sentence(tmp_path_factory, content: bytes, suffix: str) -> None:
    path = tmp_path_factory.mktemp("bytes") / f"people{suffix}"
    path.write_bytes(content)
    try:
        assert len(read_table(path).frame)
    except InputError as error:
        told(error)


PARQUET = st.sampled_from(
    [
        pd.Series([1, None, 3], dtype="Int64"),
        pd.Series([True, None, False], dtype="boolean"),
        pd.Series(["a", None, "b"], dtype="category"),
        pd.Series(pd.to_datetime(["2020-01-01", None, "2021-01-01"])),
        pd.Series([[1], [2, 3], None]),
        pd.Series([b"x", b"y", None]),
        pd.Series([{"a": 1}, None, {"a": 2}]),
        pd.Series([1.5, np.inf, np.nan]),
        pd.Series(["a", 1, None], dtype=object).astype(str),
        pd.Series(pd.to_timedelta([1, 2, None], unit="D")),
        pd.Series([0, 1, 0], dtype="uint8"),
    ]
)


@settings(max_examples=60 * TIMES, **SETTINGS)
@given(series=st.lists(PARQUET, min_size=1, max_size=3), data=st.data())
def test_parquet_of_any_types_is_a_cohort_or_a_sentence(tmp_path_factory, series, data) -> None:
    frame = pd.DataFrame(
        {f"c{i}": pd.concat([s] * 20, ignore_index=True) for i, s in enumerate(series)}
    )
    frame["ill"] = np.arange(60) % 2
    path = tmp_path_factory.mktemp("parquet") / "people.parquet"
    frame.to_parquet(path)
    target = data.draw(st.sampled_from(list(frame.columns)))
    try:
        cohort = load_cohort(read_table(path), target, validation_fraction=0.2, test_fraction=0.2)
    except InputError as error:
        told(error)
        return
    assert np.isfinite(cohort.features).all()


VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-5, 2**70),
        st.floats(),
        st.text(max_size=5),
        st.sampled_from(["l1", "group_lasso", "none", "auto", "tpe", "grid", "inputs", "clinical"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(st.text(max_size=4), st.sampled_from(["low", "high", "log"])),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=5,
)
GOOD = {
    "target": "ill",
    "genotypes": "none",
    "inputs": ["clinical"],
    "configurations": 2,
    "seeds": 1,
    "space": {"regularizer": ["l1"], "lambda_l1": {"low": 0.001, "high": 0.1, "log": True}},
    "network": {"hidden_layer_sizes": [2]},
    "training": {"epochs": 1},
}
KEYS = [
    *GOOD, "categories", "drop", "families", "groups", "unpenalized", "sample_weight", "id",
    "split", "objective", "sampler", "sampler_seed", "cross", "task", "data", "scheduler", "odd",
]  # fmt: skip
INNER = {
    "space": [
        "regularizer",
        "lambda_l1",
        "lambda_group",
        "inputs",
        "epochs",
        "class_weight",
        "odd",
    ],
    "network": ["hidden_layer_sizes", "activation", "dropout", "genetic_dimensions"],
    "training": ["epochs", "batch_size", "learning_rate", "patience", "class_weight", "odd"],
    "split": ["validation_fraction", "test_fraction", "seed"],
}


@st.composite
def study_files(draw) -> dict:
    """A good study with one to three values put in place of its own, at the top or deeper."""
    study = {key: dict(v) if isinstance(v, dict) else v for key, v in GOOD.items()}
    for _ in range(draw(st.integers(1, 3))):
        key = draw(st.sampled_from(KEYS))
        if key in INNER and draw(st.booleans()):
            section = study.get(key)
            section = dict(section) if isinstance(section, dict) else {}
            section[draw(st.sampled_from(INNER[key]))] = draw(VALUES)
            study[key] = section
        else:
            study[key] = draw(VALUES)
    return study


@settings(max_examples=400 * TIMES, **SETTINGS)
@given(study=study_files())
def test_a_study_file_is_a_study_or_a_sentence(tmp_path_factory, study: dict) -> None:
    path = tmp_path_factory.mktemp("study") / "ask.yaml"
    text = yaml.safe_dump(study, allow_unicode=True)
    path.write_text("# Is it a study?\n" + text, encoding="utf-8", errors="ignore")
    try:
        space = load_search_space(str(path))
        Sampling(space, {}).next({})
    except InputError as error:
        told(error)


@settings(max_examples=200 * TIMES, **SETTINGS)
@given(text=st.one_of(st.text(max_size=120), st.binary(max_size=120)))
def test_any_file_is_a_study_or_a_sentence(tmp_path_factory, text: str | bytes) -> None:
    path = tmp_path_factory.mktemp("text") / "ask.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "ignore"))
    try:
        load_search_space(str(path))
    except InputError as error:
        told(error)


@settings(max_examples=200 * TIMES, **SETTINGS)
@given(
    parameters=st.dictionaries(
        st.sampled_from([*KEYS, "epochs", "learning_rate"]), st.text(max_size=8), max_size=3
    )
)
def test_parameters_make_a_study_or_a_sentence(tmp_path_factory, parameters: dict) -> None:
    path = tmp_path_factory.mktemp("parameters") / "ask.yaml"
    path.write_text(yaml.safe_dump(GOOD))
    try:
        load_search_space(str(path), parameters)
    except InputError as error:
        told(error)


@pytest.mark.parametrize("seed", [0, 3])
def test_whole_studies_of_ugly_tables_end_in_a_report_or_a_sentence(
    tmp_path: Path, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rows = 60
    odd = [text for text in ODD_TEXTS if text not in ("1e400", "inf", "-inf")]
    table = {
        "a number": rng.normal(size=rows).round(3).astype(str),
        "c\u00a0,;\"'<b>": rng.choice(["x", "y", "z\n"], rows),
        "rare": rng.choice(odd, rows, p=rng.dirichlet(np.full(len(odd), 0.2))),
        "ill": rng.choice(["yes", "no"], rows),
    }
    if seed % 2:
        table["a number"][rng.choice(rows, 20)] = ""
    text = io.StringIO()
    pd.DataFrame(table).to_csv(text, index=False)
    (tmp_path / "people.csv").write_bytes(text.getvalue().encode("utf-8", "surrogatepass"))
    study = {**GOOD, "data": "people.csv", "configurations": 1}
    (tmp_path / "ask.yaml").write_text("# Is an ugly table a study?\n" + yaml.safe_dump(study))
    try:
        run_here(tmp_path, "ask.yaml")
    except InputError as error:
        told(error)
        assert not (tmp_path / "mlflow.db").exists()
        return
    assert (tmp_path / "reports/ask/report.html").stat().st_size
