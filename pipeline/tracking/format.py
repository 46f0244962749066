"""How a NetworkResult and a StudyRecord are written into a run, and read back exactly.

Parameters come back from MLflow as text; weights and curves are CSV files under ``weights/``:

- ``first_layer.csv``, ``first_layer_final.csv``: ``column,variable,family,unit_1..unit_h``, one
  row a column of the input; without units when there are no weights. Of more than MOST_CSV_COLUMNS
  columns only the strongest that are not zeroed, the others being in ``network.npz`` alone.
- ``curves.csv``: ``epoch`` and one column a curve.
- ``variables.csv``: ``variable,family,died_epoch,norm,final_norm``: ‖W_g‖ at the best and at the
  last epoch; no epoch of death where the variable is left.
- ``network.npz``: ``weights_0``, ``bias_0`` … of all layers at the best epoch, and
  ``resamples_best``, ``resamples_last``: the objective's metric on resampled test rows. Of more
  than MOST_CSV_COLUMNS columns compressed, with ``first_layer_final`` and ``inputs``: the bytes of
  a JSON list of columns, variables and families.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import re
import sys
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import lru_cache
from hashlib import sha256
from pathlib import PurePath

import numpy as np
import pandas as pd

from pipeline.metrics import DIGITS
from pipeline.results import Appraisal, Inputs, NetworkResult, StudyRecord, variable_norms

FIRST_LAYER = "first_layer.csv"
FIRST_LAYER_FINAL = "first_layer_final.csv"
CURVES = "curves.csv"
VARIABLES, NETWORK_FILE = "variables.csv", "network.npz"
CURVE_PREFIX = "epoch_"
WEIGHTS_FOLDER, HEAT_MAPS_FOLDER = "weights", "heatmaps"
VARIANTS_FOLDER, VARIANTS = "variants", "variants.csv"
APPRAISAL_FOLDER, FACTS = "appraisal", "facts.json"
MAX_PARAM_CHARACTERS = 6_000
MAX_TAG_CHARACTERS = 8_000
MAX_KEY_CHARACTERS = 250
LARGEST_FLOAT = sys.float_info.max  # what MLflow's databases keep of an infinity
NAMES = ("column", "variable", "family")
MOST_CSV_COLUMNS = 1_000
"""20,000 columns of 50 units are 12 MB of CSV for every network, twice, that nobody reads."""
Layers = tuple[tuple[np.ndarray, np.ndarray], ...]


@lru_cache(maxsize=10_000)
def key_of(name: str) -> str:
    """A name as MLflow accepts it for a metric, param or tag; `name_of` reads it back.

    Characters outside letters, digits, ``_ . -`` and the blank become ``:hex:``. A key above 250
    characters is cut and ends in a digest, and is the one kind that is not read back exactly.
    """
    key = re.sub(r"^[.]|[^\w.\- ]", lambda match: f":{ord(match.group()):x}:", name)
    if len(key) <= MAX_KEY_CHARACTERS:
        return key
    return key[: MAX_KEY_CHARACTERS - 9] + "-" + sha256(name.encode()).hexdigest()[:8]


def name_of(key: str) -> str:
    """The name behind a key made by `key_of`."""
    return re.sub(r":([0-9a-f]+):", lambda match: chr(int(match.group(1), 16)), key)


def keyed(metrics: Iterable[tuple[str, float, int, int]]) -> list[tuple[str, float, int, int]]:
    """(name, value, timestamp in ms, step) as plain numbers under keys that MLflow accepts."""
    return [
        (key_of(name), float(value), int(time_ms), int(step))
        for name, value, time_ms, step in metrics
    ]


def clipped(values: Mapping[str, str], limit: int, *, keys: bool = True) -> dict[str, str]:
    """Values within MLflow's limit, and their names as MLflow accepts them."""
    return {
        key_of(name) if keys else name: value if len(value) <= limit else value[: limit - 1] + "…"
        for name, value in values.items()
    }


def unclipped(value: float) -> float:
    """MLflow's databases keep an infinity as the largest number."""
    return math.copysign(math.inf, value) if abs(value) >= LARGEST_FLOAT else value


def param_text(value: object) -> str:
    """A parameter as text from which `param_value` makes the same value."""
    if hasattr(value, "item"):  # numpy's scalars
        value = value.item()
    return repr(value) if isinstance(value, float) else str(value)


def param_value(text: str) -> str | int | float | bool:
    """The value behind a parameter's text: a number if it reads as one."""
    if text in ("True", "False"):
        return text == "True"
    if re.fullmatch(r"-?[0-9]+", text):
        return int(text)
    if re.fullmatch(r"-?([0-9]+[.][0-9]*(e[-+]?[0-9]+)?|[0-9]+e[-+]?[0-9]+|inf)|nan", text):
        return float(text)
    return text


def numeric_texts(params: Mapping[str, object]) -> str:
    """The names, as JSON, of parameters that are text but would be read back as a number."""
    names = [
        name
        for name, value in params.items()
        if isinstance(value, str) and not isinstance(param_value(value), str)
    ]
    return json.dumps(names) if names else ""


def params_from_texts(texts: Mapping[str, str], numeric: str) -> dict[str, str | int | float]:
    """Parameters from their texts and what `numeric_texts` gave for them."""
    kept_as_text = set(json.loads(numeric or "[]"))
    return {
        name: text if name in kept_as_text else param_value(text) for name, text in texts.items()
    }


def weights_csv(inputs: Inputs, weights: np.ndarray | None) -> bytes:
    """First-layer weights (p, h) with the names of the columns; None has no units."""
    values = np.zeros((len(inputs.columns), 0)) if weights is None else np.asarray(weights)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*NAMES, *(f"unit_{unit + 1}" for unit in range(values.shape[1]))])
    # Nine digits tell any two float32 apart.
    numbers = ",%.9g" * values.shape[1] + "\n"
    columns = zip(inputs.columns, inputs.variables, inputs.families, strict=True)
    for column, row in zip(columns, values.tolist(), strict=True):
        names = io.StringIO()
        csv.writer(names, lineterminator="\n").writerow(column)  # quotes a line end in a name
        text.write(names.getvalue()[:-1] + numbers % tuple(row))
    return text.getvalue().encode()


def is_wide(inputs: Inputs) -> bool:
    """Whether the CSV files do not have all columns."""
    return len(inputs.columns) > MOST_CSV_COLUMNS


def _strongest(inputs: Inputs, weights: np.ndarray | None) -> tuple[Inputs, np.ndarray | None]:
    """The MOST_CSV_COLUMNS columns of largest norm, without zeroed ones, in the inputs' order."""
    if weights is None:
        return inputs.at(range(0)), None
    norms = np.linalg.norm(weights, axis=1)
    order = np.argsort(-norms, kind="stable")[:MOST_CSV_COLUMNS]
    rows = np.sort(order[norms[order] > 0.0])
    return inputs.at(rows), weights[rows]


def weights_from_csv(content: bytes) -> tuple[Inputs, np.ndarray | None]:
    """What `weights_csv` wrote."""
    head, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
    units = len(head) - len(NAMES)
    names = list(zip(*(row[:3] for row in rows), strict=True)) or [(), (), ()]
    inputs = Inputs(*names)
    if not units:
        return inputs, None
    values = [[float(value) for value in row[3:]] for row in rows]
    return inputs, np.array(values, dtype=np.float32).reshape(len(rows), units)


def curves_csv(curves: Mapping[str, np.ndarray]) -> bytes:
    """Curves by epoch; a shorter one leaves its last cells empty."""
    series = [np.asarray(curve, dtype=float).tolist() for curve in curves.values()]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["epoch", *curves])
    cells = itertools.zip_longest(*(map(repr, values) for values in series), fillvalue="")
    text.writelines(f"{epoch},{','.join(row)}\n" for epoch, row in enumerate(cells, start=1))
    return text.getvalue().encode()


def curves_from_csv(content: bytes) -> dict[str, np.ndarray]:
    """What `curves_csv` wrote."""
    names, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
    return {
        name: np.array([float(row[i]) for row in rows if row[i]])
        for i, name in enumerate(names)
        if i
    }


def variables_csv(result: NetworkResult) -> bytes:
    """How strong each variable is at the best and the last epoch, and when it died."""
    inputs, text = result.inputs, io.StringIO()
    norms = [variable_norms(w, inputs) for w in (result.first_layer, result.first_layer_final)]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["variable", "family", "died_epoch", "norm", "final_norm"])
    for variable, family in inputs.family_of.items():
        strength = [f"{norm_of[variable]:.6g}" if norm_of else "" for norm_of in norms]
        writer.writerow([variable, family, result.died.get(variable, ""), *strength])
    return text.getvalue().encode()


def died_from_csv(content: bytes) -> dict[str, int]:
    """Variable → epoch of death, of those that died."""
    rows = csv.DictReader(io.StringIO(content.decode(), newline=""))
    return {row["variable"]: int(row["died_epoch"]) for row in rows if row["died_epoch"]}


def network_npz(result: NetworkResult) -> bytes:
    """All layers at the best epoch, and the resampled scores; of many columns all else too that
    the CSV files leave out."""
    arrays: dict[str, np.ndarray] = {}
    for i, (weights, bias) in enumerate(result.layers):
        arrays |= {f"weights_{i}": weights, f"bias_{i}": bias}
    for epoch, values in result.resamples.items():
        arrays[f"resamples_{epoch}"] = np.asarray(values, np.float64).round(DIGITS)
    arrays = {name: np.asarray(a, np.float32) for name, a in arrays.items()}
    buffer = io.BytesIO()
    if not is_wide(result.inputs):
        np.savez(buffer, **arrays)  # type: ignore[arg-type]  # names are of arrays
        return buffer.getvalue()
    names = [result.inputs.columns, result.inputs.variables, result.inputs.families]
    arrays["inputs"] = np.frombuffer(json.dumps(names).encode(), np.uint8)
    first, final = result.first_layer, result.first_layer_final
    if first is not None and not np.array_equal(first, arrays.get("weights_0", ())):
        arrays["first_layer"] = np.asarray(first, np.float32)
    if final is not None:
        arrays["first_layer_final"] = np.asarray(final, np.float32)
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # names are of arrays
    return buffer.getvalue()


def first_layers(
    files: Mapping[str, bytes],
) -> tuple[Inputs, np.ndarray | None, np.ndarray | None]:
    """(inputs, first layer at the best and at the last epoch) from the files of a network."""
    if NETWORK_FILE in files:
        arrays = _arrays(files[NETWORK_FILE])
        if "inputs" in arrays:
            names = json.loads(arrays["inputs"].tobytes())
            best = arrays.get("first_layer", arrays.get("weights_0"))
            inputs = Inputs(*(tuple(sys.intern(n) for n in part) for part in names))
            return inputs, best, arrays.get("first_layer_final")
    inputs, best = weights_from_csv(files[FIRST_LAYER])
    final = files.get(FIRST_LAYER_FINAL)
    return inputs, best, weights_from_csv(final)[1] if final else None


def network_from_npz(content: bytes) -> tuple[Layers, dict[str, np.ndarray]]:
    """(layers, resamples), as `network_npz` wrote them."""
    arrays = _arrays(content)
    layers: list[tuple[np.ndarray, np.ndarray]] = []
    while (name := f"weights_{len(layers)}") in arrays:
        layers.append((arrays[name], arrays[f"bias_{len(layers)}"]))
    resamples = {
        name.removeprefix("resamples_"): array.astype(np.float64)
        for name, array in arrays.items()
        if name.startswith("resamples_")
    }
    return tuple(layers), resamples


_reading = threading.Lock()


def _arrays(content: bytes) -> dict[str, np.ndarray]:
    """One thread at a time: NumPy parses headers as Python, and where two threads do, Python 3.11
    may end in a SystemError (CPython issue 106905)."""
    with _reading, np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)


def points_of(
    result: NetworkResult, start_ms: int, end_ms: int
) -> list[tuple[str, float, int, int]]:
    """Metrics, and curves as metrics by epoch, spread over the time of training."""
    points = [(name, value, end_ms, 0) for name, value in result.metrics.items()]
    for name, curve in result.curves.items():
        key, values = CURVE_PREFIX + name, np.asarray(curve, float).tolist()
        epochs = range(1, len(values) + 1)
        times_ms = (start_ms + (end_ms - start_ms) * epoch // len(values) for epoch in epochs)
        points += zip(itertools.repeat(key), values, times_ms, epochs)
    return points


def files_of(result: NetworkResult, heat_maps: Mapping[str, bytes]) -> dict[str, bytes]:
    """A network's artifacts, by their path in its run."""
    inputs, first, final = result.inputs, result.first_layer, result.first_layer_final
    wide = is_wide(inputs)
    shown = _strongest(inputs, first) if wide else (inputs, first)
    files = {f"{WEIGHTS_FOLDER}/{FIRST_LAYER}": weights_csv(*shown)}
    if final is not None:
        path = f"{WEIGHTS_FOLDER}/{FIRST_LAYER_FINAL}"
        shown = _strongest(inputs, final) if wide else (inputs, final)
        files[path] = weights_csv(*shown)
    if result.curves:
        files[f"{WEIGHTS_FOLDER}/{CURVES}"] = curves_csv(result.curves)
    if first is not None or result.died:
        files[f"{WEIGHTS_FOLDER}/{VARIABLES}"] = variables_csv(result)
    if result.layers or result.resamples or wide:
        files[f"{WEIGHTS_FOLDER}/{NETWORK_FILE}"] = network_npz(result)
    for name, content in heat_maps.items():
        files[f"{HEAT_MAPS_FOLDER}/{file_name(name)}"] = content
    return files


def file_name(name: str) -> str:
    """The name, when it is one of a file without a folder."""
    if PurePath(name).name != name or "\\" in name:
        raise ValueError(f"a name without a folder must be given, but got {name!r}")
    return name


def record_json(record: StudyRecord) -> bytes:
    """A study's record as a file."""
    return json.dumps(asdict(record), indent=1, default=_plain, ensure_ascii=False).encode()


def record_from_json(content: bytes, run_id: str) -> StudyRecord:
    """What `record_json` wrote, with the study's run."""
    fields = json.loads(content)
    for name in ("warnings", "objectives"):
        fields[name] = tuple(fields.get(name, ()))
    fields["columns"] = tuple((name, words) for name, words in fields.get("columns", ()))
    return StudyRecord(**{**fields, "run_id": run_id})


def _plain(value: object) -> object:
    if hasattr(value, "tolist"):  # numpy
        return value.tolist()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return dict(value) if isinstance(value, Mapping) else str(value)


def variants_from_csv(content: bytes) -> pd.DataFrame:
    """The rows of variants that `pipeline.study.variant_search` tracked."""
    texts = dict.fromkeys(("network", "chromosome", "id", "allele_1", "allele_2"), str)
    return pd.read_csv(io.BytesIO(content), dtype=texts, keep_default_na=False)


def appraisal_files(appraisal: Appraisal) -> dict[str, bytes]:
    """An appraisal's facts and tables, by their path in the study's run."""
    facts = json.dumps(dict(appraisal.facts), indent=1, default=_plain, ensure_ascii=False)
    files = {f"{APPRAISAL_FOLDER}/{FACTS}": facts.encode()}
    for name, table in appraisal.tables.items():
        if len(table.columns):
            files[f"{APPRAISAL_FOLDER}/{name}.csv"] = table.to_csv(index=False).encode()
    return files


def appraisal_from_files(files: Mapping[str, bytes]) -> Appraisal | None:
    """What `appraisal_files` wrote; None without facts."""
    if FACTS not in files:
        return None
    tables = {
        PurePath(name).stem: _appraisal_table(content)
        for name, content in files.items()
        if name.endswith(".csv")
    }
    return Appraisal(json.loads(files[FACTS]), tables)


def _appraisal_table(content: bytes) -> pd.DataFrame:
    """Columns in which everything is a number are numbers, all others text."""
    texts = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
    for name in texts.columns:
        known = texts[name][texts[name] != ""]
        if len(known) and set(known) <= {"True", "False"}:
            texts[name] = texts[name] == "True"
        elif name not in _TEXT_COLUMNS:
            numbers = pd.to_numeric(texts[name], errors="coerce")
            if not numbers[known.index].isna().any():
                texts[name] = numbers
    return texts


_TEXT_COLUMNS = frozenset(
    ("model", "solution", "outcome", "kind", "inputs", "chosen", "failure", "column", "group",
     "metric", "measure", "verdict", "mean_verdict", "variable", "level")
)  # fmt: skip
