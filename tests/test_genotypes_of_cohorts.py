"""Filesets as cohorts have them: sex chromosomes, families, long alleles, odd text, large ones."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bed_reader import to_bed

from pipeline.data import read_table
from pipeline.errors import InputError
from pipeline.genetics import (
    Filters,
    Joined,
    join,
    load_genotypes,
    simulate_genotypes,
)
from pipeline.process import files
from pipeline.report.figures import along_genome
from pipeline.report.variant_report import on_the_axis
from pipeline.search_space import load_search_space
from pipeline.serving import Fileset, chromosome_name, open_fileset

PEOPLE, VARIANTS = 40, 24
RNG = np.random.default_rng(3)
COUNTS = RNG.binomial(2, 0.4, (PEOPLE, VARIANTS)).astype(float)
IIDS = [f"i{i}" for i in range(PEOPLE)]


def write(prefix: Path, counts: np.ndarray = COUNTS, **changed) -> Path:
    variants = counts.shape[1]
    properties = {
        "iid": IIDS[: len(counts)],
        "chromosome": ["1"] * variants,
        "sid": [f"rs{j}" for j in range(variants)],
        "bp_position": np.arange(1, variants + 1),
        "allele_1": ["A"] * variants,
        "allele_2": ["G"] * variants,
    } | changed
    to_bed(f"{prefix}.bed", counts, properties=properties)
    return prefix


@pytest.mark.parametrize(
    ("texts", "name"),
    [
        (("1", "chr1", "01", "CHR1", "chromosome1", "NC_000001.11"), "1"),
        (("22", "chr22", "NC_000022.10"), "22"),
        (("X", "23", "chrX", "x", "chr23", "NC_000023.11"), "X"),
        (("Y", "24", "chrY"), "Y"),
        (("XY", "25", "PAR1", "par2", "chrXY", "X_PAR"), "XY"),
        (("MT", "M", "26", "chrM", "chrMT", "NC_012920.1"), "MT"),
        (("0",), "0"),
        (("27",), "27"),
        (("chr1_KI270706v1_random",), "chr1_KI270706v1_random"),
        (("chrUn_GL000220v1",), "chrUn_GL000220v1"),
    ],
)
def test_chromosomes_have_one_name_each(texts: tuple[str, ...], name: str) -> None:
    assert {chromosome_name(text) for text in texts} == {name}


def test_sex_chromosomes_and_mitochondria_are_left_out_and_counted(tmp_path: Path) -> None:
    names = ["chr1"] * 12 + ["23", "chrX", "X", "Y", "25", "PAR1", "chrM", "0", "GL000191.1"]
    names += ["chr2"] * 3
    whole = open_fileset(write(tmp_path / "whole", chromosome=names))
    table = tmp_path / "people.csv"
    pd.DataFrame({"person": IIDS}).to_csv(table, index=False)
    joined = join(read_table(table, texts=("person",)), "person", whole)
    assert joined.warnings == joined.named
    left_out, unknown = joined.warnings
    assert left_out == (
        "7 of 24 variants of whole are not on an autosome and are left out: "
        "3 of X, 1 of Y, 2 of XY, 1 of MT"
    )
    assert unknown == (
        "2 of 24 variants of whole are on no numbered chromosome (0, GL000191.1); "
        "they are taken as autosomal"
    )
    found = load_genotypes(joined, np.zeros(PEOPLE), np.arange(30), tmp_path / "a", Filters())
    assert found.variants == 17 and found.left_out.not_autosomal == 7
    assert "7 of X, Y, XY and MT" in str(found.facts()["variants_left_out"])
    kept = [not 12 <= j < 19 for j in range(VARIANTS)]
    part = write(tmp_path / "part", COUNTS[:, kept])
    alone = load_genotypes(
        Joined(open_fileset(part), np.arange(PEOPLE)),
        np.zeros(PEOPLE), np.arange(30), tmp_path / "b", Filters(),
    )  # fmt: skip
    np.testing.assert_allclose(found.relationship, alone.relationship, atol=1e-6)


def test_a_fileset_of_sex_chromosomes_alone_is_refused(tmp_path: Path) -> None:
    fileset = open_fileset(write(tmp_path / "x", chromosome=["X"] * VARIANTS))
    joined = Joined(fileset, np.arange(PEOPLE))
    with pytest.raises(InputError, match=r"at least one variant .* 24 are of X, Y, XY or MT"):
        load_genotypes(joined, np.zeros(PEOPLE), np.arange(30), tmp_path / "cache", Filters())


def test_chromosomes_are_drawn_in_their_natural_order() -> None:
    names = [str(i) for i in range(1, 23)]
    written = ["0", "GL000191.1", *(f"chr{name}" for name in names[::-1]), "1", "X"]
    shown = pd.DataFrame({"chromosome": written, "position": 1000})
    x, drawn, _ = along_genome(on_the_axis(shown))
    assert drawn == [*names, "X", "unplaced"]
    assert np.all(np.diff(x[2:24]) < 0) and x[24] == x[23] and x[0] == x[1] == x.max()


def families(folder: Path) -> tuple[Path, Path]:
    """A fileset of which ids are unique within families only, and its table in another order."""
    fids, iids = [f"f{i // 4}" for i in range(PEOPLE)], [str(i % 4) for i in range(PEOPLE)]
    prefix = write(folder / "cohort", fid=fids, iid=iids)
    frame = pd.DataFrame({"FID": fids, "IID": iids, "age": np.arange(PEOPLE), "ill": 0})
    frame.iloc[::-1].to_csv(folder / "people.csv", index=False)
    return prefix, folder / "people.csv"


def test_family_and_id_together_find_people(tmp_path: Path) -> None:
    prefix, path = families(tmp_path)
    table, fileset = read_table(path, texts=("FID", "IID")), open_fileset(prefix)
    joined = join(table, ("FID", "IID"), fileset)
    np.testing.assert_array_equal(joined.rows, np.arange(PEOPLE)[::-1])
    with pytest.raises(InputError, match=r"4 ids stand more than once in cohort.fam; .*id=FID,IID"):
        join(table, "IID", fileset)
    twice = Path(f"{prefix}.fam")
    twice.write_text(twice.read_text().replace("f1\t1\t", "f1\t0\t").replace("f1 1 ", "f1 0 "))
    with pytest.raises(InputError, match="1 id stands more than once in the first two columns"):
        join(table, ("FID", "IID"), open_fileset(prefix))


def test_a_study_takes_two_columns_of_ids(tmp_path: Path) -> None:
    _, path = families(tmp_path)
    study = "# Which?\ntarget: ill\ngenotypes: cohort\nspace: {regularizer: [none]}\n"
    (tmp_path / "ask.yaml").write_text(study + "id: [FID, IID]\n")
    assert load_search_space(str(tmp_path / "ask.yaml")).id == ("FID", "IID")
    (tmp_path / "ask.yaml").write_text(study)
    space = load_search_space(str(tmp_path / "ask.yaml"), {"id": "FID, IID", "data": str(path)})
    assert space.id == ("FID", "IID")
    assert space.identity()["id"] == ["FID", "IID"]


def test_several_rows_of_a_person_have_one_genotype(tmp_path: Path) -> None:
    fileset = open_fileset(write(tmp_path / "cohort"))
    pd.DataFrame({"id": ["i3", "i1", "i3"]}).to_csv(tmp_path / "visits.csv", index=False)
    table = read_table(tmp_path / "visits.csv", texts=("id",))
    assert join(table, "id", fileset, several_rows=True).rows.tolist() == [3, 1, 3]
    with pytest.raises(InputError, match=r"1 id stands more than once in id of visits.csv"):
        join(table, "id", fileset)


def test_one_long_allele_costs_what_it_is_long(tmp_path: Path) -> None:
    variants = 20_000
    allele = np.full(variants, "A", object)
    allele[7] = "ACGT" * 5_000
    write(tmp_path / "long", np.zeros((4, variants)), allele_1=allele)
    tracemalloc.start()
    fileset = open_fileset(tmp_path / "long")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert fileset.variants.allele_1[7] == "ACGT" * 5_000
    assert peak < 50e6  # fixed width: 20,000 variants of 20,000 letters of 4 bytes, 1.6 GB


@pytest.mark.parametrize(
    "odd",
    [
        lambda text: text.replace("\t", "  \t "),
        lambda text: "\n".join(f"   {line}\t " for line in text.splitlines()) + "\n",
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\n\n") + " \t\n",
    ],
)
def test_odd_blanks_and_line_ends_of_bim_and_fam_are_read(tmp_path: Path, odd) -> None:
    prefix = write(tmp_path / "cohort")
    for suffix in (".bim", ".fam"):
        path = Path(f"{prefix}{suffix}")
        path.write_bytes(odd(path.read_text()).encode())
    fileset = open_fileset(prefix)
    assert fileset.people.tolist() == IIDS and set(fileset.variants.chromosome) == {"1"}
    assert fileset.variants.id.tolist() == [f"rs{j}" for j in range(VARIANTS)]


@pytest.mark.parametrize(
    ("there", "says"),
    [
        ("cohort.pgen", "plink2 --pfile cohort --make-bed --out cohort"),
        ("cohort.bed.gz", "only cohort.bed.gz; unpack it"),
        (None, "check the prefix"),
    ],
)
def test_another_kind_of_fileset_is_told_from_none(tmp_path: Path, there, says: str) -> None:
    if there:
        (tmp_path / there).write_bytes(b"")
    with pytest.raises(InputError, match=r"must have the files .bed, .bim and .fam") as error:
        open_fileset(tmp_path / "cohort")
    assert says in str(error.value) and "\n" not in str(error.value)


def test_a_matrix_that_does_not_fit_is_refused_before_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.process.memory.available_bytes", lambda root=None: 4 * 10**9)
    monkeypatch.setattr(Fileset, "blocks", None)  # nothing is read
    prefix = tmp_path / "large"
    people = 30_000
    Path(f"{prefix}.fam").write_text("".join(f"0 p{i} 0 0 0 -9\n" for i in range(people)))
    Path(f"{prefix}.bim").write_text("1 rs1 0 5 A G\n")
    Path(f"{prefix}.bed").write_bytes(b"\x6c\x1b\x01" + bytes(people // 4))
    joined = Joined(open_fileset(prefix), np.arange(people))
    with pytest.raises(InputError) as error:
        load_genotypes(joined, np.zeros(people), np.arange(18_000), tmp_path / "cache")
    assert str(error.value) == (
        "the relationship matrix of 30000 people, 18000 of them in training, must fit into memory, "
        "but needs 13 GB and there are 4 GB; take fewer people, a larger machine, or genotypes=none"
    )


@pytest.mark.parametrize("kind", ["a real fileset", "plink wrote over it", "a .fam alone"])
def test_a_simulation_never_overwrites_what_it_did_not_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"age": range(20), "ill": [0, 1] * 10}).to_csv("people.csv", index=False)
    asked = {"out": "drawn", "data": "people.csv", "target": "ill", "variants": "100"}
    if kind == "a .fam alone":
        Path("drawn.fam").write_text("0 p 0 0 0 -9\n")
    else:
        if kind == "plink wrote over it":
            simulate_genotypes(**asked)
            simulate_genotypes(**asked)  # its own it may replace
        write(tmp_path / "drawn", COUNTS[:20])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match="out must not be the prefix of files that were not"):
        simulate_genotypes(**asked)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_a_killed_simulation_was_making_is_gone_after_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"age": range(20), "ill": [0, 1] * 10}).to_csv("people.csv", index=False)
    left = tmp_path / files._prefix().replace(f"-{os.getpid()}-", "-4194999-")
    (left.parent / f"{left.name}abc").mkdir()
    (left.parent / f"{left.name}abc" / "drawn.bed").write_bytes(b"half")
    simulate_genotypes(out="drawn", data="people.csv", target="ill", variants="100")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["drawn.bed", "drawn.bim", "drawn.causal.tsv", "drawn.fam", "people.csv"]
    assert open_fileset(tmp_path / "drawn").people.tolist()[:2] == ["row-1", "row-2"]
