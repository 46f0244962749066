"""Exactness of the new coordinates, and encoders written in variants: recovered, kept, used."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from bed_reader import to_bed
from sklearn.metrics import roc_auc_score
from study_runs import of_kind, run_here, study_run, working_in

from pipeline.data import read_table
from pipeline.errors import InputError
from pipeline.genetics import join
from pipeline.genetics.encoder_cache import Encoders
from pipeline.genetics.genotypes import load_genotypes
from pipeline.genetics.relationship import (
    Filters,
    encoding_factor,
    relationship_matrix,
    standard_blocks,
)
from pipeline.genetics.scoring import score_people
from pipeline.networks import cholesky, initial_dual
from pipeline.networks.network import Architecture, initial_weights
from pipeline.networks.types import NetworkSpec, Schedule, TrainingData
from pipeline.report import page as report
from pipeline.results import Inputs, NetworkResult
from pipeline.search_space import load_search_space
from pipeline.serving import Variants, VariantWeights, load_variant_weights, open_fileset
from pipeline.serving.matching import MatchCounts
from pipeline.study import variant_search
from pipeline.study.study_cohort import study_cohort
from pipeline.tracking import reader as tracked
from pipeline.training.tensors import genetic_draws
from pipeline.training.training import train_population

STEPS, BATCH, UNITS, DIMENSIONS, COLUMNS = 50, 8, 6, 3, 4
RATE, GENETIC_RATE, GENETIC_DECAY, LEFT = 3e-3, 1e-2, 0.3, 0.05


class SharedAdam:
    """Adam whose second moment is the mean over `axis` of the squared gradients, in float64.

    weights ← (1 − rate·decay)·weights − rate·m̂/(√v̂ + ε)
    """

    def __init__(self, weights: tf.Variable, axis=None, count: float | None = None, decay=0.0):
        self.weights, self.axis, self.count, self.decay = weights, axis, count, decay
        self.m = self.v = 0.0

    def step(self, gradient: np.ndarray, rate: float, t: int) -> None:
        square = np.square(gradient)
        if self.axis is not None:
            square = square.sum(axis=self.axis, keepdims=True)
            square /= self.count or gradient.shape[self.axis]
        self.m = 0.9 * self.m + 0.1 * gradient
        self.v = 0.999 * self.v + 0.001 * square
        size = rate / (np.sqrt(self.v / (1 - 0.999**t)) + 1e-7)
        moved = (1 - rate * self.decay) * self.weights.numpy()
        self.weights.assign(moved - size * self.m / (1 - 0.9**t))


def trained_by_keras(g, columns, target, rows, v, seed: int) -> np.ndarray:
    """Predictions of everyone by a Keras network with a dense encoder on g, started from v."""
    genetic = keras.Input((g.shape[1],), dtype="float64")
    clinical = keras.Input((COLUMNS,), dtype="float64")
    encoder = keras.layers.Dense(DIMENSIONS, use_bias=False, dtype="float64")
    first = keras.layers.Dense(UNITS, activation="tanh", dtype="float64")
    last = keras.layers.Dense(1, dtype="float64")
    joined = keras.layers.Concatenate(dtype="float64")([clinical, encoder(genetic)])
    model = keras.Model([genetic, clinical], last(first(joined)))
    start = initial_weights(Architecture(COLUMNS, DIMENSIONS, (UNITS,), 1, "tanh"), [seed])
    w = start.first.numpy()[0].astype(float)  # (h, p): columns, bias, encodings
    encoder.set_weights([v])
    first.set_weights([np.delete(w, COLUMNS, axis=1).T, w[:, COLUMNS]])
    last.set_weights([start.later[0].weights.numpy()[0].T, start.later[0].bias.numpy()[0, :, 0]])
    optimizers = [  # one step size a variable of the first layer, its bias being one
        SharedAdam(encoder.kernel, 0, min(rows[0], g.shape[1]), GENETIC_DECAY),
        SharedAdam(first.kernel, 1),
        SharedAdam(first.bias, 0),
        SharedAdam(last.kernel),
        SharedAdam(last.bias),
    ]
    order, batches = np.random.default_rng([0, 1]), []
    while len(batches) < STEPS:
        rows_of_epoch = order.permutation(rows[0])
        batches += [rows_of_epoch[i : i + BATCH] for i in range(0, rows[0], BATCH)]
    for t, batch in enumerate(batches, start=1):
        with tf.GradientTape() as tape:
            logits = model([g[batch], columns[batch]])[:, 0]
            loss = tf.reduce_mean(
                tf.nn.sigmoid_cross_entropy_with_logits(target[batch].astype(float), logits)
            )
        gradients = tape.gradient(loss, [o.weights.value for o in optimizers])
        falling = 1 - (1 - LEFT) * (t - 1) / (len(batches) - 1)
        for i, (optimizer, gradient) in enumerate(zip(optimizers, gradients)):
            rate = GENETIC_RATE if i == 0 else RATE
            optimizer.step(gradient.numpy(), rate * falling, t)
    return model([g, columns]).numpy()[:, 0]


@pytest.mark.parametrize(
    ("people", "variants", "copies"),
    [(70, 300, 1), (120, 20, 1), (24, 60, 3), (70, 1, 1)],
    ids=["fewer people than variants", "more people", "people who are there 3 times", "1 variant"],
)
def test_networks_in_the_new_coordinates_are_those_on_the_variants(
    people: int, variants: int, copies: int
) -> None:
    rng = np.random.default_rng(variants)
    counts = rng.binomial(2, rng.uniform(0.2, 0.5, variants), (people, variants)).astype(np.int8)
    counts = np.repeat(counts, copies, axis=0)
    everyone = len(counts)
    counts = counts[rng.permutation(everyone)]
    rows = (40, (everyone - 40) // 2, everyone - 40 - (everyone - 40) // 2)
    columns = rng.standard_normal((everyone, COLUMNS)).astype(np.float32)
    target = rng.integers(0, 2, everyone)
    relationship = relationship_matrix(
        standard_blocks([counts], np.arange(rows[0]), Filters())
    ).matrix
    data = TrainingData(
        columns=columns,
        target=target,
        task="binary",
        rows=rows,
        group_index=np.arange(COLUMNS + DIMENSIONS),
        relationship=relationship,
        relationship_factor=encoding_factor(relationship, rows[0]),
        rank=min(rows[0], variants),
    )
    spec = NetworkSpec(
        seed=5, learning_rate=RATE, genetic_learning_rate=GENETIC_RATE,
        genetic_weight_decay=GENETIC_DECAY,
    )  # fmt: skip
    schedule = Schedule(epochs=10, batch_size=BATCH, final_learning_rate=LEFT, tolerance=None)
    shape = Architecture(COLUMNS, DIMENSIONS, (UNITS,), 1, "tanh")
    (network,) = train_population(data, shape, [spec], schedule)
    p = counts[: rows[0]].mean(axis=0) / 2.0
    g = (counts - 2 * p) / np.sqrt(2 * p * (1 - p) * variants)
    among = relationship[: rows[0], : rows[0]]
    v = g[: rows[0]].T @ initial_dual(cholesky(among), genetic_draws(5, rows[0], DIMENSIONS))
    expected = trained_by_keras(g, columns.astype(float), target, rows, v, seed=5)
    np.testing.assert_allclose(network.final_predictions[0], expected, atol=1e-4)
    assert np.ptp(expected) > 0.1


STUDY = """
# Which variants?
data: people.csv
target: ill
categories: [site]
inputs: [clinical, genetic]
genotypes: cohort
id: person
principal_components: 2
configurations: 1
seeds: 3
space: {regularizer: [l2], lambda_l2: [0.001]}
network: {hidden_layer_sizes: [6], activation: tanh, genetic_dimensions: 4}
training: {epochs: 6, learning_rate: 0.01}
"""
PEOPLE, VARIANTS, PALINDROMIC = 400, 120, 20
IDS = [f"p{i:03d}" for i in range(PEOPLE)]


def write_cohort(prefix: Path, counts: np.ndarray, people, chosen=None, **changed) -> Path:
    chosen = np.arange(VARIANTS) if chosen is None else chosen
    properties = {
        "iid": people,
        "chromosome": [str(1 + j // 40) for j in chosen],
        "sid": [f"rs{j}" for j in chosen],
        "bp_position": 1 + 600_000 * (np.asarray(chosen) % 40),
        "allele_1": ["A"] * len(chosen),
        "allele_2": ["T" if j >= VARIANTS - PALINDROMIC else "C" for j in chosen],
    } | changed
    to_bed(f"{prefix}.bed", counts, properties=properties)
    return prefix


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A study on a fileset in which variant rs57 decides, with missing calls; its counts."""
    folder = tmp_path_factory.mktemp("variants")
    rng = np.random.default_rng(2)
    counts = rng.binomial(2, 0.4, (PEOPLE, VARIANTS)).astype(float)
    ill = rng.random(PEOPLE) < 1 / (1 + np.exp(-3.0 * (counts[:, 57] - 0.8)))
    counts[rng.random(counts.shape) < 0.02] = np.nan
    write_cohort(folder / "cohort", counts, IDS)
    table = {"person": IDS[::-1], "age": rng.normal(50, 9, PEOPLE).round(1),
             "site": rng.choice(["a", "b"], PEOPLE), "ill": ill[::-1].astype(int)}  # fmt: skip
    pd.DataFrame(table).to_csv(folder / "people.csv", index=False)
    (folder / "ask.yaml").write_text(STUDY)
    run_here(folder, "ask.yaml")
    return folder, counts


@pytest.fixture(scope="module")
def visits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of people with one to four rows, in any order; rs57 decides in each of them."""
    folder = tmp_path_factory.mktemp("visits")
    rng = np.random.default_rng(3)
    counts = rng.binomial(2, 0.4, (PEOPLE, VARIANTS)).astype(float)
    write_cohort(folder / "cohort", counts, IDS)
    rows = rng.permutation(np.repeat(np.arange(150), rng.integers(1, 5, 150)))
    ill = rng.random(len(rows)) < 1 / (1 + np.exp(-3.0 * (counts[rows, 57] - 0.8)))
    table = {"person": np.array(IDS)[rows], "age": rng.normal(50, 9, len(rows)).round(1),
             "site": rng.choice(["a", "b"], len(rows)), "ill": ill.astype(int)}  # fmt: skip
    pd.DataFrame(table).to_csv(folder / "people.csv", index=False)
    (folder / "ask.yaml").write_text(STUDY)
    run_here(folder, "ask.yaml")
    return folder


def test_repeated_visits_have_one_genotype_and_stay_in_one_part(visits: Path) -> None:
    """Scored by variants, as new people are, the networks say what they said in training."""
    import mlflow

    with working_in(visits):
        _, cohort, joined = study_cohort(load_search_space("ask.yaml"))
        model = mlflow.pyfunc.load_model("models:/lariat-ask@champion")
        client = mlflow.MlflowClient()
        run_id = client.get_model_version_by_alias("lariat-ask", "champion").run_id
        metrics = client.get_run(run_id).data.metrics
        found = model.predict(pd.read_csv("people.csv"), params={"genotypes": "cohort"})
    split = cohort.split
    people = [set(joined.rows[rows]) for rows in (split.train, split.validation, split.test)]
    assert sum(map(len, people)) == len(set.union(*people)) == 150
    for part, rows in (("val", split.validation), ("test", split.test)):
        score = roc_auc_score(cohort.outcome[rows], found.to_numpy()[rows, 0])
        assert score == pytest.approx(metrics[f"{part}_auroc"], abs=1e-6)


def test_rows_with_one_genotype_that_are_said_to_be_of_different_people_are_refused(
    visits: Path,
) -> None:
    with working_in(visits):
        table = pd.read_csv("people.csv")
        table.assign(visit=np.arange(len(table))).to_csv("apart.csv", index=False)
        Path("apart.yaml").write_text(STUDY.replace("people.csv", "apart.csv") + "person: visit\n")
        with pytest.raises(InputError, match=r"same person must be one person's, but by visit \d+"):
            study_cohort(load_search_space("apart.yaml"))


def recovered(folder: Path) -> tuple[VariantWeights, NetworkResult]:
    """The one network of which the weights were recovered."""
    (run,) = (r for r in of_kind(folder, "network") if (r.artifacts / "variants").exists())
    with working_in(folder):
        (network,) = (n for n in tracked.load_study("ask").networks if n.run_id == run.run_id)
    return load_variant_weights(run.artifacts / "variants/variants.parquet"), network


def trained_encodings(network: NetworkResult, joined, cohort) -> np.ndarray:
    """a·(E₀ + K_t·C) (N, d) as the network had them in training, rows as in the table."""
    train = cohort.split.train
    found = load_genotypes(joined, cohort.outcome, train, Path(".lariat"), Filters(0.01, 0.1))
    first = np.r_[train, np.setdiff1d(np.arange(PEOPLE), train)]
    related = found.relationship[np.ix_(first, train)]
    stored = Encoders(Path(".lariat")).read(network.key)
    initial = encoding_factor(related, len(train)) @ genetic_draws(network.seed, len(train), 4)
    encodings = np.empty((PEOPLE, 4))
    encodings[first] = stored[1] * (initial + related @ stored[0])
    return encodings


def test_recovered_weights_predict_as_the_network_did(finished) -> None:
    """The tracked AUROC of validation and test rows, from the fileset and the artifacts alone."""
    folder, _ = finished
    weights, network = recovered(folder)
    scored = score_people(weights, folder / "cohort")
    assert scored.counts == MatchCounts(used=VARIANTS, palindromic=PALINDROMIC)
    assert scored.warnings == ()
    with working_in(folder):
        _, cohort, joined = study_cohort(load_search_space("ask.yaml"))
        encodings = trained_encodings(network, joined, cohort)
    names = list(network.inputs.columns[len(cohort.inputs.columns) :])
    assert names[:2] == ["PC1", "PC2"] and sorted(weights.names) == sorted(names)
    order = scored.dimensions[names].to_numpy()[joined.rows]
    # K is rounded to float32, and the start lies partly where people do not differ.
    np.testing.assert_allclose(order[:, 2:], encodings, atol=1e-4)
    (w, b), (last, bias) = network.layers
    z = np.tanh(np.concatenate([cohort.features, order], axis=1) @ w + b) @ last + bias
    for part, rows in (("val", cohort.split.validation), ("test", cohort.split.test)):
        found = roc_auc_score(cohort.outcome[rows], z[rows, 0])
        assert found == pytest.approx(network.metrics[f"{part}_auroc"], abs=1e-6)
    z[:] = np.tanh(np.concatenate([cohort.features, 0 * order], axis=1) @ w + b) @ last + bias
    assert abs(roc_auc_score(cohort.outcome[rows], z[rows, 0]) - found) > 0.01  # they matter


def test_the_champion_predicts_people_by_their_fileset(finished) -> None:
    """From the registry, its run's file of weights, a table and a fileset: what was recorded."""
    import mlflow

    folder, _ = finished
    with working_in(folder):
        model = mlflow.pyfunc.load_model("models:/lariat-ask@champion")
        client = mlflow.MlflowClient()
        run_id = client.get_model_version_by_alias("lariat-ask", "champion").run_id
        weights = mlflow.artifacts.download_artifacts(
            run_id=run_id, artifact_path=variant_search.WEIGHTS
        )
        table = read_table(Path("people.csv"), texts=("person",))
        joined = join(table, "person", open_fileset("cohort"))
        dimensions = score_people(weights, joined).dimensions
        found = model.predict(pd.concat([pd.read_csv("people.csv"), dimensions], axis=1))
        metrics = client.get_run(run_id).data.metrics
        _, cohort, _ = study_cohort(load_search_space("ask.yaml"))
    assert {"genetic_0", "PC1", "PC2"} <= set(dimensions.columns)
    for part, rows in (("val", cohort.split.validation), ("test", cohort.split.test)):
        score = roc_auc_score(cohort.outcome[rows], found.to_numpy()[rows, 0])
        assert score == pytest.approx(metrics[f"{part}_auroc"], abs=1e-6)


def test_new_people_are_scored_by_id_and_allele(finished, tmp_path: Path) -> None:
    folder, counts = finished
    weights, _ = recovered(folder)
    expected = score_people(weights, folder / "cohort").dimensions
    rng = np.random.default_rng(5)
    absent = np.r_[np.arange(8), np.arange(VARIANTS - PALINDROMIC, VARIANTS)]
    chosen = rng.permutation(np.setdiff1d(np.arange(VARIANTS), absent))  # in another order
    people = np.arange(30)[::-1]
    theirs = counts[np.ix_(people, chosen)].copy()
    first, second = np.full(len(chosen), "a"), np.full(len(chosen), "c")  # in small letters
    other, twice = chosen[24:27], chosen[27]
    first[:20], second[:20] = "C", "A"
    first[10:20], second[10:20] = "G", "T"
    theirs[:, :20] = 2 - theirs[:, :20]
    first[20:24], second[20:24] = "T", "G"
    second[24:27] = "G"
    names = [f"rs{j}" for j in chosen]
    write_cohort(
        tmp_path / "new", np.hstack([theirs, theirs[:, 27:28]]), [IDS[i] for i in people],
        [*chosen, twice], sid=[*names, names[27]], allele_1=[*first, "A"],
        allele_2=[*second, "C"],
    )  # fmt: skip
    found = score_people(weights, tmp_path / "new")
    assert found.counts == MatchCounts(
        used=VARIANTS - 28 - 3 - 1, swapped=20, flipped=14, other_alleles=3, ambiguous=1, missing=28
    )
    assert "32 of 120 variants of the model are not used" in found.warnings[0]
    assert found.warnings[1].startswith("14 of 120 variants of new are from the other strand")
    unused = np.r_[absent, other, twice]
    calls = counts[people][:, unused]
    standard = np.nan_to_num((calls - 2 * weights.frequency[unused]) / weights.scale[unused])
    without = expected.to_numpy()[people] - standard @ weights.weights[unused]
    np.testing.assert_allclose(found.dimensions, without, atol=1e-6)


def test_the_report_has_the_variant_that_decides_and_shows_it_from_the_store_alone(
    finished, tmp_path: Path
) -> None:
    folder, _ = finished
    with working_in(folder):
        results = tracked.load_study("ask")
        report.build_report(results, tmp_path)
    shown = results.variants
    assert len(shown) == VARIANTS and shown["id"][shown["rank"] == 1].tolist() == ["rs57"]
    assert "causal" not in shown
    for page in (tmp_path / "report.html", folder / "reports/ask/report.html"):
        text = page.read_text()
        assert "Which variants" in text and text.index("rs57") > text.index("Which variants")
        assert "2 leading ones of the training people&#39;s relationship matrix" in text
    assert (tmp_path / "variants.png").stat().st_size > 5_000
    tracked_table = study_run(folder).artifacts / "variants/variants.csv"
    assert not any(name in tracked_table.read_text() for name in IDS)


def network_of(first_layer: np.ndarray) -> NetworkResult:
    names = tuple(f"genetic_{i}" for i in range(len(first_layer)))
    params = {"configuration": 0, "seed": 0, "regularizer": "l2"}
    inputs = Inputs(names, names, ("genetic",) * len(names))
    return NetworkResult(params=params, inputs=inputs, first_layer=first_layer)


def test_a_variants_weight_does_not_depend_on_the_rotation_of_the_encoders_outputs() -> None:
    rng = np.random.default_rng(0)
    v, w = rng.standard_normal((50, 3)), rng.standard_normal((3, 7))
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    texts = np.array([str(j) for j in range(50)])
    variants = Variants(texts, np.arange(50), texts, texts, texts)
    names = ("genetic_0", "genetic_1", "genetic_2")
    found = [
        variant_search.weight_of(
            VariantWeights(variants, np.zeros(50), np.ones(50), names, own), network_of(first), 50
        )
        for own, first in ((v, w), (v @ turn, turn.T @ w))
    ]
    np.testing.assert_allclose(found[0], np.linalg.norm(v @ w, axis=1) / np.sqrt(50), rtol=1e-6)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)


def test_coefficients_that_are_not_whole_are_as_if_they_were_not_there(tmp_path: Path) -> None:
    encoders = Encoders(tmp_path)
    assert encoders.read("a-b") is None
    encoders.keep("a-b", np.arange(6.0).reshape(3, 2), 0.5)
    coefficients, scale = encoders.read("a-b")
    assert coefficients.tolist() == [[0, 1], [2, 3], [4, 5]] and scale == 0.5
    (path,) = tmp_path.rglob("*.npz")
    path.write_bytes(path.read_bytes()[:-9])
    assert encoders.read("a-b") is None


def test_another_file_is_refused_as_weights(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_text("hello")
    for name in ("a.parquet", "b.parquet", "c.parquet"):
        with pytest.raises(InputError, match="weights of variants must be a file"):
            load_variant_weights(tmp_path / name)


def test_where_every_genetic_dimension_is_zeroed_the_report_says_so(
    finished, tmp_path: Path
) -> None:
    folder, _ = finished
    for name in ("cohort.bed", "cohort.bim", "cohort.fam", "people.csv"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    study = STUDY.replace("[l2], lambda_l2: [0.001]", "[group_lasso], lambda_group: [10.0]")
    (tmp_path / "ask.yaml").write_text(study.replace("epochs: 6", "epochs: 2"))
    run_here(tmp_path, "ask.yaml")
    page = (tmp_path / "reports/ask/report.html").read_text()
    assert "Every genetic dimension is zeroed at the best epoch" in page
    assert not (tmp_path / "reports/ask/variants.png").exists()
    with working_in(tmp_path):
        assert len(tracked.load_study("ask").variants) == 0
