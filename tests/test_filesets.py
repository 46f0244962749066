"""PLINK filesets: read as bed-reader and plink2 read them, joined by id, refused when damaged."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bed_reader import open_bed, to_bed
from sklearn.metrics import roc_auc_score
from study_runs import command, run_here, runs, study_run

from pipeline.data.files import read_table
from pipeline.errors import InputError
from pipeline.genetics import genotypes
from pipeline.genetics import people as joining
from pipeline.genetics.genotypes import load_genotypes
from pipeline.genetics.relationship import Filters
from pipeline.genetics.simulated_fileset import causal_ids, simulate_genotypes, write_simulated
from pipeline.genetics.simulation import Simulation, simulated_blocks
from pipeline.serving import NO_CALL, open_fileset

PEOPLE, VARIANTS = 50, 30
RNG = np.random.default_rng(7)
COUNTS = RNG.binomial(2, RNG.uniform(0.1, 0.5, VARIANTS), (PEOPLE, VARIANTS)).astype(float)
COUNTS[RNG.random(COUNTS.shape) < 0.05] = np.nan
IIDS = [f"{i:03d}" for i in range(PEOPLE)]
SEX_WARNING = "15 of 30 variants of cohort are not on an autosome and are left out: 15 of X"


def write(prefix: Path, counts: np.ndarray = COUNTS, iids: list[str] = IIDS) -> Path:
    """A fileset by bed-reader."""
    variants = counts.shape[1]
    properties = {
        "fid": ["0"] * len(iids),
        "iid": iids,
        "chromosome": ["1"] * (variants // 2) + ["X"] * (variants - variants // 2),
        "sid": [f"rs{j}" for j in range(variants)],
        "bp_position": np.arange(1, variants + 1) * 1000,
        "allele_1": ["A"] * variants,
        "allele_2": ["G"] * variants,
    }
    to_bed(f"{prefix}.bed", counts, properties=properties)
    return prefix


def test_counts_and_names_are_those_that_bed_reader_wrote(tmp_path: Path) -> None:
    fileset = open_fileset(write(tmp_path / "cohort"))
    assert fileset.people.tolist() == IIDS
    rows = RNG.permutation(PEOPLE)[:20]
    found = fileset.read(rows, 3, 17).astype(float)
    found[found == NO_CALL] = np.nan
    np.testing.assert_array_equal(found, COUNTS[rows, 3:17])
    assert np.isnan(found).any()
    assert fileset.variants.id[3] == "rs3" and fileset.variants.position[3] == 4000
    assert set(fileset.variants.allele_1) == {"A"} and set(fileset.variants.allele_2) == {"G"}
    assert set(fileset.variants.chromosome) == {"1", "X"}


@pytest.mark.parametrize("people", [1, 4, 5, 6, 7])
def test_what_is_simulated_is_what_bed_reader_reads(tmp_path: Path, people: int) -> None:
    outcome, simulation = np.arange(people) % 2, Simulation(variants=230)
    write_simulated(tmp_path / "drawn", outcome, joining.row_names(people), simulation)
    blocks = list(simulated_blocks(outcome, simulation))
    with open_bed(tmp_path / "drawn.bed") as bed:
        expected = np.hstack([block.counts for block in blocks])
        np.testing.assert_array_equal(bed.read(dtype="int8"), expected)
        assert bed.iid.tolist() == [f"row-{i + 1}" for i in range(people)]
        assert bed.sid.tolist() == [name for b in blocks for name in b.variants.id]
        assert bed.bp_position.tolist() == [at for b in blocks for at in b.variants.position]
        assert bed.allele_1.tolist() == [allele for b in blocks for allele in b.variants.allele_1]
    effects = np.concatenate([block.effects for block in blocks])
    assert causal_ids(tmp_path / "drawn") == tuple(bed.sid[effects != 0])


def _corrupt(prefix: Path, kind: str) -> None:  # noqa: PLR0912
    bed, bim, fam = (Path(f"{prefix}{suffix}") for suffix in (".bed", ".bim", ".fam"))
    match kind:
        case "no .bim":
            bim.unlink()
        case "cut short":
            bed.write_bytes(bed.read_bytes()[:-7])
        case "too long":
            bed.write_bytes(bed.read_bytes() + b"\0")
        case "empty .bed":
            bed.write_bytes(b"")
        case "magic":
            bed.write_bytes(b"PK\x03" + bed.read_bytes()[3:])
        case "by people":
            bed.write_bytes(b"\x6c\x1b\x00" + bed.read_bytes()[3:])
        case ".fam of others":
            fam.write_text(fam.read_text() * 2)
        case "empty .fam":
            fam.write_text("")
        case "binary .bim":
            bim.write_bytes(bytes(range(256)) * 40)
        case "five columns":
            fam.write_text(
                "".join(f"{line.rsplit(maxsplit=1)[0]}\n" for line in fam.read_text().splitlines())
            )
        case "a short line":
            lines = bim.read_text().splitlines()
            bim.write_text("\n".join([*lines[:4], "1 rs4 0", *lines[5:]]) + "\n")
        case "a position":
            bim.write_text(bim.read_text().replace("5000", "5k", 1))
        case "twice":
            fam.write_text(fam.read_text().replace(" 004 ", " 003 ").replace("\t004\t", "\t003\t"))


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("no .bim", r"there is no .*cohort\.bim"),
        ("cut short", "50 people .* 30 variants .* need a .bed of 393 bytes, .* has 386"),
        ("too long", "has 394"),
        ("empty .bed", "begins with nothing"),
        ("magic", "begins with 50 4b 03"),
        ("by people", "ordered by people"),
        (".fam of others", "100 people"),
        ("empty .fam", "cohort.fam is empty"),
        ("binary .bim", "cohort.bim cannot be read as one|cohort.bim has"),
        ("five columns", "6 columns a line, but cohort.fam has 5"),
        ("a short line", "fewer in line 5"),
        ("a position", "line 5 of cohort.bim has '5k'"),
    ],
)
def test_a_fileset_that_is_not_whole_is_refused_in_a_sentence(
    tmp_path: Path, kind: str, says: str
) -> None:
    prefix = write(tmp_path / "cohort")
    _corrupt(prefix, kind)
    with pytest.raises(InputError, match=says) as error:
        open_fileset(prefix)
    assert "\n" not in str(error.value)


def table(folder: Path, ids: list[str], name: str = "people.csv") -> Path:
    """A table of as many people, with ids, two variables and an outcome."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "person": ids,
            "age": rng.integers(30, 70, len(ids)),
            "bmi": rng.normal(25, 4, len(ids)).round(1),
            "ill": np.arange(len(ids)) % 2,
        }
    )
    frame.to_csv(folder / name, index=False)
    return folder / name


def joined(folder: Path, ids: list[str], prefix: Path | None = None, column: str | None = "person"):
    fileset = open_fileset(prefix or write(folder / "cohort"))
    return joining.join(read_table(table(folder, ids), texts=("person",)), column, fileset)


def test_people_are_found_by_id_whatever_their_order(tmp_path: Path) -> None:
    order = RNG.permutation(PEOPLE)
    found = joined(tmp_path, [IIDS[i] for i in order])
    np.testing.assert_array_equal(found.rows, order)
    assert found.table_rows is None
    assert found.warnings == found.named == (SEX_WARNING,)


def test_people_of_only_one_side_are_counted_and_their_ids_kept_out(tmp_path: Path) -> None:
    ids = [*IIDS[:40], *(f"stranger{i}" for i in range(9))]
    found = joined(tmp_path, ids[::-1])
    np.testing.assert_array_equal(found.rows, np.arange(40)[::-1])
    np.testing.assert_array_equal(found.table_rows, np.arange(9, 49))
    assert found.warnings == (
        "9 people of people.csv are not in cohort.fam; left out",
        "10 people of cohort.fam are not in people.csv; left out",
        SEX_WARNING,
    )
    assert found.named[0].endswith("stranger8, stranger7, stranger6, stranger5, stranger4, …")
    assert found.named[1].endswith("040, 041, 042, 043, 044, …")


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        (["x" + iid for iid in IIDS], "none of 50 ids is among its 50 people"),
        ([*IIDS[:-1], IIDS[0]], "1 id stands more than once in person of people.csv"),
        ([*IIDS[:-2], "", "NA"], "2 of 50 rows have none in person"),
    ],
)
def test_ids_that_cannot_be_joined_are_refused(tmp_path: Path, ids: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        joined(tmp_path, ids)


def test_ids_that_stand_twice_in_the_fam_are_refused(tmp_path: Path) -> None:
    prefix = write(tmp_path / "cohort")
    _corrupt(prefix, "twice")
    with pytest.raises(InputError, match="1 id stands more than once"):
        joined(tmp_path, IIDS, prefix)


def test_without_an_id_column_only_a_fileset_of_the_tables_own_rows_fits(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give id=COLUMN"):
        joined(tmp_path, IIDS, column=None)
    prefix = write(tmp_path / "rows", iids=joining.row_names(PEOPLE)[::-1])
    found = joined(tmp_path, IIDS, prefix, column=None)
    np.testing.assert_array_equal(found.rows, np.arange(PEOPLE)[::-1])
    with pytest.raises(InputError, match="give id=COLUMN"):
        joined(tmp_path, IIDS[:-1], prefix, column=None)


def loaded(fileset, cache: Path, **filters) -> genotypes.Genotypes:
    rows = joining.Joined(fileset, np.arange(PEOPLE))
    return load_genotypes(rows, np.zeros(PEOPLE), np.arange(35), cache, Filters(**filters))


def test_the_matrix_of_a_fileset_is_computed_once_and_again_when_anything_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, hashed = [], []
    real, real_sha256 = genotypes.relationship_matrix, genotypes.Fileset.sha256
    monkeypatch.setattr(
        genotypes, "relationship_matrix", lambda blocks: calls.append(1) or real(blocks)
    )
    monkeypatch.setattr(
        genotypes.Fileset, "sha256", lambda self: hashed.append(1) or real_sha256(self)
    )
    monkeypatch.setattr(genotypes, "_SETTLED_NANOSECONDS", -(10**12))
    prefix, cache = write(tmp_path / "cohort"), tmp_path / "cache"
    first = loaded(open_fileset(prefix), cache)
    again = loaded(open_fileset(prefix), cache)
    np.testing.assert_array_equal(first.relationship, again.relationship)
    assert (len(calls), len(hashed)) == (1, 1)  # not even read
    moved = tmp_path / "elsewhere"
    for suffix in (".bed", ".bim", ".fam"):
        shutil.copy(f"{prefix}{suffix}", f"{moved}{suffix}")
    assert loaded(open_fileset(moved), cache).fingerprint == first.fingerprint
    assert (len(calls), len(hashed)) == (1, 2)  # another place, the same content
    content = Path(f"{prefix}.bed").read_bytes()
    Path(f"{prefix}.bed").write_bytes(content[:10] + bytes([content[10] ^ 3]) + content[11:])
    changed = loaded(open_fileset(prefix), cache)
    assert changed.fingerprint != first.fingerprint
    assert (len(calls), len(hashed)) == (2, 3)
    filtered = loaded(open_fileset(prefix), cache, minor_allele_frequency=0.3)
    assert filtered.variants < changed.variants and filtered.left_out.rare > 0
    assert len(calls) == 3
    assert f"{filtered.left_out.rare} of a minor-allele frequency below 0.3" in str(
        filtered.facts()
    )


STUDY = """
# Does a fileset do?
data: people.csv
target: {target}
inputs: [clinical, genetic]
genotypes: cohort
id: person
configurations: 1
seeds: 2
objective: {objective}
space: {{regularizer: [l2], lambda_l2: [0.01]}}
network: {{hidden_layer_sizes: [4], genetic_dimensions: 2}}
training: {{epochs: 2}}
"""


def everything(folder: Path) -> str:
    """All that the stores and the report hold, as text."""
    texts = [
        path.read_bytes().decode(errors="replace")
        for path in folder.rglob("*")
        if path.is_file() and ".lariat" not in path.parts and path.parent != folder
    ]
    texts += [(folder / "mlflow.db").read_bytes().decode(errors="replace")]
    texts += [(folder / "optuna.db").read_bytes().decode(errors="replace")]
    return "\n".join(texts)


@pytest.mark.parametrize(("target", "objective"), [("ill", "val_auroc"), ("bmi", "val_r2")])
def test_a_study_of_a_fileset_counts_who_is_left_out_and_records_no_id(
    tmp_path: Path, target: str, objective: str
) -> None:
    ids = [f"participant{i:03d}" for i in range(300)]
    rng = np.random.default_rng(3)
    counts = rng.binomial(2, 0.3, (300, 40)).astype(float)
    write(tmp_path / "cohort", counts, [*ids[10:], *(f"participant9{i:02d}" for i in range(10))])
    table(tmp_path, ids)
    (tmp_path / "ask.yaml").write_text(STUDY.format(target=target, objective=objective))
    printed = run_here(tmp_path, "ask.yaml")
    assert "10 people of people.csv are not in cohort.fam; left out" in printed
    run = study_run(tmp_path)
    assert run.params["genotypes"] == "cohort"
    networks = [r for r in runs(tmp_path) if r.tags.get("kind") == "network"]
    assert len(networks) == 2 and all(objective in r.metrics for r in networks)
    page = (tmp_path / "reports/ask/report.html").read_text()
    assert "10 people of cohort.fam are not in people.csv; left out" in page
    assert "290" in page and "participant" not in everything(tmp_path) + printed


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"variants": "0"}, "variants must be a whole number of at least 1, but got 0"),
        ({"variants": "many"}, "variants must be"),
        ({"causal": "6"}, "causal must be `all`, or a whole number from 0 to 5"),
        ({"score_auroc": "0.99"}, "score_auroc must be a number from 0.5 to 0.95"),
        ({"seed": "-1"}, "seed must be"),
        ({"out": "nowhere/drawn"}, "out must be a prefix of files in a folder that exists"),
        ({"target": "il"}, "target must name a column of people.csv"),
        ({"target": "age"}, "exactly 2 distinct values"),
        ({"id": "persn"}, "id must name a column of people.csv"),
    ],
)
def test_a_simulation_that_makes_no_sense_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    table(tmp_path, IIDS)
    good = {"out": "drawn", "data": "people.csv", "target": "ill", "variants": "500"}
    with pytest.raises(InputError, match=says):
        simulate_genotypes(**(good | given))
    assert [path.name for path in tmp_path.iterdir()] == ["people.csv"]


def test_a_simulation_that_is_stopped_leaves_no_fileset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(done: int) -> None:
        if done > 200:
            raise KeyboardInterrupt

    write_simulated(tmp_path / "drawn", np.arange(8) % 2, IIDS[:8], Simulation(variants=100))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(before) == 4
    with pytest.raises(KeyboardInterrupt):
        write_simulated(tmp_path / "drawn", np.arange(8) % 2, IIDS[:8], Simulation(), stop)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_tool_writes_a_fileset_of_which_the_score_predicts_the_outcome(tmp_path: Path) -> None:
    ids = [f"p{i}" for i in range(2000)]
    table(tmp_path, ids)
    options = ["--data", "people.csv", "--target", "ill", "--id", "person", "--out", "drawn"]
    done = command(tmp_path, "simulate_genotypes.py", *options, "--variants", 3000, "--seed", 4)
    assert done.returncode == 0, done.stderr
    assert "wrote drawn.bed" in done.stdout
    fileset = open_fileset(tmp_path / "drawn")
    assert fileset.people.tolist() == ids and len(fileset.variants) == 3000
    causal = pd.read_csv(tmp_path / "drawn.causal.tsv", sep="\t", comment="#")
    assert len(causal) == 30
    at = np.flatnonzero(np.isin(fileset.variants.id, causal["id"]))
    assert fileset.variants.allele_1[at].tolist() == causal["allele"].tolist()
    score = fileset.read(np.arange(2000), 0, 3000)[:, at] @ causal["effect"].to_numpy()
    assert roc_auc_score(np.arange(2000) % 2, score) == pytest.approx(0.65, abs=0.04)


@pytest.mark.skipif(shutil.which("plink2") is None, reason="plink2 is not installed")
def test_plink2_reads_what_is_simulated_and_relates_people_alike(tmp_path: Path) -> None:
    outcome = np.arange(200) % 2
    write_simulated(tmp_path / "drawn", outcome, joining.row_names(200), Simulation(variants=2000))
    options = ["--bfile", "drawn", "--out", "theirs", "--threads", "2"]
    for what in (["--freq"], ["--make-rel", "square", "--mac", "1"]):
        subprocess.run(["plink2", *options, *what], cwd=tmp_path, check=True, capture_output=True)
    fileset = open_fileset(tmp_path / "drawn")
    everyone = np.arange(200)
    frequency = pd.read_csv(tmp_path / "theirs.afreq", sep="\t")
    ours = fileset.read(everyone, 0, 2000).mean(axis=0) / 2.0
    assert frequency["ID"].tolist() == fileset.variants.id.tolist()
    assert frequency["ALT"].tolist() == fileset.variants.allele_1.tolist()
    np.testing.assert_allclose(frequency["ALT_FREQS"], ours, atol=1e-5)
    found = load_genotypes(
        joining.Joined(fileset, everyone), outcome, everyone, tmp_path / "cache", Filters()
    )
    theirs = np.loadtxt(tmp_path / "theirs.rel")
    assert found.variants == np.count_nonzero((ours > 0) & (ours < 1)) > 1900
    np.testing.assert_allclose(found.relationship, theirs, atol=1e-3)
