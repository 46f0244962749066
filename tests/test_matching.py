"""Variants of new people's filesets: names, places, order of alleles, strand and palindromes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bed_reader import to_bed

from pipeline.errors import InputError
from pipeline.genetics import score_people
from pipeline.serving import Variants, VariantWeights, open_fileset
from pipeline.serving.matching import MatchCounts

PEOPLE, ORDINARY = 300, 30
PALINDROMIC = (("A", "T"), ("C", "G"), ("T", "A"), ("A", "T"))
FREQUENCY = np.r_[np.full(ORDINARY, 0.3), 0.2, 0.8, 0.25, 0.5]
RNG = np.random.default_rng(9)
COUNTS = RNG.binomial(2, FREQUENCY, (PEOPLE, len(FREQUENCY))).astype(float)
FIRST = np.array([*["A", "C", "AT"] * (ORDINARY // 3), *(a for a, _ in PALINDROMIC)], object)
SECOND = np.array([*["G", "A", "A"] * (ORDINARY // 3), *(b for _, b in PALINDROMIC)], object)
NAMES = np.array([f"rs{j}" for j in range(len(FREQUENCY))], object)
PLACE = 1000 * np.arange(1, len(FREQUENCY) + 1)
WEIGHTS = RNG.standard_normal((len(FREQUENCY), 2)).astype(np.float32)
OTHER_STRAND = str.maketrans("ACGT", "TGCA")


def model() -> VariantWeights:
    chromosome = np.array(["1"] * len(NAMES), object)
    variants = Variants(chromosome, PLACE, NAMES, FIRST, SECOND)
    scale = np.sqrt(2 * FREQUENCY * (1 - FREQUENCY) * len(NAMES))
    return VariantWeights(variants, FREQUENCY, scale, ("genetic_0", "PC1"), WEIGHTS)


def scored(folder: Path, counts: np.ndarray = COUNTS, **changed):
    """Of a fileset like the model's, but for these columns of its .bim."""
    columns = {
        "chromosome": ["chr1"] * len(NAMES),
        "sid": NAMES,
        "bp_position": PLACE,
        "allele_1": FIRST,
        "allele_2": SECOND,
    } | changed
    people = [f"p{i}" for i in range(len(counts))]
    order = np.argsort(columns["bp_position"], kind="stable")
    properties = {key: np.asarray(value, object)[order] for key, value in columns.items()}
    to_bed(f"{folder}/new.bed", counts[:, order], properties={"iid": people, **properties})
    return score_people(model(), folder / "new")


def expected(counts: np.ndarray = COUNTS, used: np.ndarray | None = None) -> np.ndarray:
    standard = (counts - 2 * FREQUENCY) / model().scale
    if used is not None:
        standard = standard * used
    return standard @ WEIGHTS


def flipped(alleles: np.ndarray, which: np.ndarray) -> np.ndarray:
    """These alleles from the other strand, read in its direction."""
    turned = [a.translate(OTHER_STRAND)[::-1] for a in alleles]
    return np.where(which, np.array(turned, object), alleles)


def test_a_fileset_of_the_same_strand_throughout_is_used_as_it_stands(tmp_path: Path) -> None:
    found = scored(tmp_path)
    assert found.counts == MatchCounts(used=34, palindromic=4) and found.warnings == ()
    assert list(found.dimensions.columns) == ["genetic_0", "PC1"]
    np.testing.assert_allclose(found.dimensions, expected(), atol=1e-6)


def test_one_person_of_that_fileset_is_scored_as_among_all(tmp_path: Path) -> None:
    one = scored(tmp_path, COUNTS[7:8])
    assert one.counts.used == 34
    np.testing.assert_allclose(one.dimensions, expected(COUNTS[7:8]), atol=1e-6)


def test_a_fileset_of_the_other_strand_throughout_is_turned(tmp_path: Path) -> None:
    everything = np.ones(len(NAMES), bool)
    first, second = flipped(FIRST, everything), flipped(SECOND, everything)
    found = scored(tmp_path, allele_1=first, allele_2=second)
    assert found.counts == MatchCounts(used=34, flipped=34, palindromic=4)
    assert "34 of 34 variants of new are from the other strand" in found.warnings[0]
    np.testing.assert_allclose(found.dimensions, expected(), atol=1e-6)


def test_where_strands_are_mixed_frequency_decides_and_what_is_not_clear_is_left_out(
    tmp_path: Path,
) -> None:
    which = np.arange(len(NAMES)) % 2 == 0
    found = scored(tmp_path, allele_1=flipped(FIRST, which), allele_2=flipped(SECOND, which))
    assert found.counts == MatchCounts(
        used=33, flipped=15 + 2, palindromic=3, palindromic_left_out=1
    )
    assert "1 are A/T or C/G of unknown strand" in found.warnings[0]
    used = np.arange(len(NAMES)) != 33
    np.testing.assert_allclose(found.dimensions, expected(used=used), atol=1e-6)


def test_a_palindrome_whose_frequency_speaks_against_all_others_is_left_out(tmp_path: Path) -> None:
    which = np.arange(len(NAMES)) == ORDINARY
    found = scored(tmp_path, allele_1=flipped(FIRST, which), allele_2=flipped(SECOND, which))
    assert found.counts == MatchCounts(used=33, palindromic=3, palindromic_left_out=1)
    np.testing.assert_allclose(found.dimensions, expected(used=~which), atol=1e-6)


def test_a_person_alone_of_mixed_strands_shows_no_frequency(tmp_path: Path) -> None:
    which = np.arange(len(NAMES)) % 2 == 0
    found = scored(
        tmp_path, COUNTS[:1], allele_1=flipped(FIRST, which), allele_2=flipped(SECOND, which)
    )
    assert found.counts.palindromic_left_out == 4


def test_alleles_the_other_way_round_and_palindromes_too(tmp_path: Path) -> None:
    which = np.arange(len(NAMES)) % 3 == 0
    first, second = np.where(which, SECOND, FIRST), np.where(which, FIRST, SECOND)
    found = scored(tmp_path, np.where(which, 2 - COUNTS, COUNTS), allele_1=first, allele_2=second)
    assert found.counts.used == 34 and found.counts.swapped == which.sum()
    np.testing.assert_allclose(found.dimensions, expected(), atol=1e-6)


@pytest.mark.parametrize("name", ["no id", "one id", "other ids"])
def test_variants_without_a_usable_id_are_found_by_place_and_alleles(
    tmp_path: Path, name: str
) -> None:
    ids = {"no id": ["."] * 34, "one id": ["x"] * 34, "other ids": [f"1:{p}" for p in PLACE]}
    chosen = np.where(np.arange(34) < 5, NAMES, np.array(ids[name], object))
    found = scored(tmp_path, sid=chosen)
    assert found.counts == MatchCounts(used=34, palindromic=4, by_place=29)
    np.testing.assert_allclose(found.dimensions, expected(), atol=1e-6)


def test_places_of_another_build_of_the_genome_are_not_taken(tmp_path: Path) -> None:
    chosen = np.where(np.arange(34) < 25, NAMES, ".")
    found = scored(tmp_path, sid=chosen, bp_position=PLACE[::-1])
    assert found.counts.by_place == 0 and found.counts.missing == 9


def test_an_allele_that_nobody_has_and_is_not_written_fits(tmp_path: Path) -> None:
    counts = COUNTS.copy()
    counts[:, 0] = 0
    found = scored(tmp_path, counts, allele_1=["0", *FIRST[1:]])
    assert found.counts.used == 34
    np.testing.assert_allclose(found.dimensions, expected(counts), atol=1e-6)


def test_a_fileset_of_which_nothing_fits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none can be used in new: 34 are not there"):
        scored(tmp_path, sid=["."] * 34, bp_position=PLACE + 1)


def test_people_of_a_table_are_scored_in_its_order(tmp_path: Path) -> None:
    from pipeline.genetics.people import Joined

    everyone = scored(tmp_path).dimensions.to_numpy()
    rows = np.array([5, 2, 2, 299])
    some = score_people(model(), Joined(open_fileset(tmp_path / "new"), rows))
    np.testing.assert_allclose(some.dimensions, everyone[rows], atol=1e-12)
