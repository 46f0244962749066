"""Variants of a model found in another fileset: by id or place, by alleles, and on which strand.

Two filesets may name the alleles of a variant in another order, and from the other strand of the
DNA: A/G is then T/C. Of a palindromic variant, A/T or C/G, the alleles do not show the strand. All
other variants do: where at least `SHOWING_STRAND` of them agree, the palindromic ones are taken to
be on that strand. Otherwise the allele's frequency in training people, p, and among people of the
fileset, q, decides where it is clear: x copies among n alleles are

    x·log(p/(1 − p)) + (n − x)·log((1 − p)/p)

nats likelier on the same strand, which must be LIKELIER either way, and neither the rarer allele of
p nor that of q may be above CLEAR_FREQUENCY. Where the two disagree, or neither says anything, the
variant is not used.

Shapes: m variants of the model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .fileset import NO_CALL, Fileset, Variants

SHOWING_STRAND = 20
LIKELIER, CLEAR_FREQUENCY = float(np.log(1000.0)), 0.4

REFERENCE_PEOPLE, COLUMNS_AT_ONCE = 1_000, 20_000
"""People of the fileset whose frequencies are compared, and variants that are read together. They
are the fileset's and not the table's, so that nobody's prediction depends on who else is asked for.
"""

SAME_PLACES = 0.9
"""Share of variants with equal ids that must have equal positions, for others to be found by place:
else the filesets are of different builds of the genome."""

NO_ID, NO_ALLELE = (".", "0", ""), ("0", ".", "")
_COMPLEMENT = str.maketrans("ACGT", "TGCA")


@dataclass(frozen=True)
class MatchCounts:
    """How many variants of a model are used for new people, and how.

    used         of them swapped have alleles 1 and 2 the other way round, flipped are from the
                 other strand, by_place were found by chromosome, position and alleles (no id, or
                 one that stands more than once), palindromic are A/T or C/G
    not used     palindromic_left_out: of unknown strand; other_alleles; ambiguous: of an id that
                 stands more than once; missing: not in the fileset
    """

    used: int = 0
    swapped: int = 0
    flipped: int = 0
    by_place: int = 0
    palindromic: int = 0
    palindromic_left_out: int = 0
    other_alleles: int = 0
    ambiguous: int = 0
    missing: int = 0

    @property
    def not_used(self) -> int:
        return self.palindromic_left_out + self.other_alleles + self.ambiguous + self.missing

    def sentences(self, name: str) -> tuple[str, ...]:
        """For the reader: what was not straightforward in the fileset of this name."""
        total = self.used + self.not_used
        sentences = []
        if self.not_used:
            sentences.append(
                f"{self.not_used} of {total} variants of the model are not used, each counting as "
                f"the mean of training people: {self.missing} are not in {name}, "
                f"{self.other_alleles} have other alleles there, {self.ambiguous} an id that "
                f"stands more than once, and {self.palindromic_left_out} are A/T or C/G of unknown "
                "strand"
            )
        if self.flipped:
            sentences.append(
                f"{self.flipped} of {total} variants of {name} are from the other strand of the "
                "DNA and were turned"
            )
        return tuple(sentences)


@dataclass(frozen=True, eq=False)
class Match:
    """fileset_columns (m,): where each variant of the model is among the fileset's, or −1;
    sign (m,): 1 where allele 1 is allele 1 in the fileset, −1 where it is allele 2."""

    fileset_columns: np.ndarray
    sign: np.ndarray
    counts: MatchCounts


def match_variants(model_variants: Variants, frequency: np.ndarray, fileset: Fileset) -> Match:
    """The fileset's variants for the model's; frequency (m,) of allele 1 in training people."""
    fileset_variants = fileset.variants
    alleles = _Alleles(model_variants, fileset_variants)
    columns, by_place, ambiguous = _columns_in_fileset(model_variants, fileset_variants, alleles)
    located = columns >= 0
    straight, swapped, flipped = alleles.compare(np.where(located, columns, 0))
    palindromic = located & straight & swapped
    plain = located & (straight ^ swapped)
    sign = np.where(straight, 1, -1)
    turned = plain & flipped
    strand = _strand(int((plain & ~flipped).sum()), int(turned.sum()))
    same_sign = np.where(alleles.same_straight(np.where(located, columns, 0)), 1, -1)
    undecided = np.flatnonzero(palindromic)
    verdict = _by_frequency(fileset, columns[undecided], same_sign[undecided], frequency[undecided])
    strand_sign = np.full(len(columns), 0)
    agreed = np.where(verdict == 0, strand, np.where(strand == -verdict, 0, verdict))
    strand_sign[undecided] = agreed
    sign = np.where(palindromic, same_sign * strand_sign, sign)
    used = plain | (strand_sign != 0)
    counts = MatchCounts(
        used=int(used.sum()),
        swapped=int((used & (sign < 0)).sum()),
        flipped=int((turned | (strand_sign < 0)).sum()),
        by_place=int((used & by_place).sum()),
        palindromic=int((strand_sign != 0).sum()),
        palindromic_left_out=int((palindromic & (strand_sign == 0)).sum()),
        other_alleles=int((located & ~straight & ~swapped).sum()),
        ambiguous=int((~located & ambiguous).sum()),
        missing=int((~located & ~ambiguous).sum()),
    )
    return Match(np.where(used, columns, -1), sign, counts)


def _strand(same: int, turned: int) -> int:
    """1 where all variants that show it are from the model's strand, −1 from the other, else 0."""
    if max(same, turned) < SHOWING_STRAND or min(same, turned) > 0:
        return 0
    return 1 if same else -1


def _by_frequency(
    fileset: Fileset, columns: np.ndarray, same_sign: np.ndarray, frequency: np.ndarray
) -> np.ndarray:
    """Of palindromic variants: 1 the same strand, −1 the other, 0 not clear."""
    people = len(fileset.people)
    rows = np.unique(np.linspace(0, people - 1, min(people, REFERENCE_PEOPLE)).astype(np.int64))
    verdict = np.zeros(len(columns), np.int64)
    for start in range(0, len(columns), COLUMNS_AT_ONCE):
        chunk = slice(start, start + COLUMNS_AT_ONCE)
        calls = fileset.read_columns(rows, columns[chunk])
        known = calls != NO_CALL
        alleles = 2.0 * known.sum(axis=0)
        copies = np.where(known, calls, 0).sum(axis=0, dtype=np.int64).astype(float)
        copies = np.where(same_sign[chunk] > 0, copies, alleles - copies)
        p = frequency[chunk]
        nats = (2.0 * copies - alleles) * np.log(p / (1.0 - p))
        q = copies / np.maximum(alleles, 1.0)
        clear = (np.minimum(p, 1.0 - p) <= CLEAR_FREQUENCY) & (
            np.minimum(q, 1.0 - q) <= CLEAR_FREQUENCY
        )
        verdict[chunk] = np.where(clear & (np.abs(nats) >= LIKELIER), np.sign(nats), 0)
    return verdict


def _columns_in_fileset(
    model_variants: Variants, fileset_variants: Variants, alleles: _Alleles
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(m,) columns in the fileset or −1, whether by place, and whether an id stands twice."""
    model_ids, fileset_ids = pd.Index(model_variants.id), pd.Index(fileset_variants.id)
    model_unique = ~model_ids.duplicated(keep=False) & ~model_ids.isin(NO_ID)
    fileset_unique = ~fileset_ids.duplicated(keep=False) & ~fileset_ids.isin(NO_ID)
    unique_columns = np.flatnonzero(fileset_unique)
    columns = (
        pd.Series(unique_columns, index=fileset_ids[unique_columns])
        .reindex(model_ids, fill_value=-1)
        .to_numpy(copy=True)
    )
    columns[~model_unique] = -1
    by_id = columns >= 0
    ambiguous = ~by_id & model_ids.isin(fileset_ids) & ~model_ids.isin(NO_ID)
    same_position = model_variants.position[by_id] == fileset_variants.position[columns[by_id]]
    if not len(same_position) or same_position.mean() >= SAME_PLACES:
        used = np.zeros(len(fileset_variants), bool)
        used[columns[by_id]] = True
        by_place = alleles.at_the_same_place(model_variants, fileset_variants)
        by_place[by_id] = -1
        by_place[(by_place >= 0) & used[by_place]] = -1
        columns = np.where(by_id, columns, by_place)
    return columns, ~by_id & (columns >= 0), ambiguous


class _Alleles:
    """The alleles of two sets of variants as numbers, with those of the complementary strand."""

    def __init__(self, model_variants: Variants, fileset_variants: Variants):
        columns = (
            model_variants.allele_1,
            model_variants.allele_2,
            fileset_variants.allele_1,
            fileset_variants.allele_2,
        )
        codes, distinct = pd.factorize(np.concatenate([np.asarray(c, object) for c in columns]))
        upper, texts = pd.factorize(np.array([str(text).upper() for text in distinct], object))
        codes = upper[codes]
        number = {text: i for i, text in enumerate(texts)}
        complements = [_complement(text) for text in texts]
        for text in complements:
            number.setdefault(text, len(number))
        self._complement = np.array(
            [number[c] if set(t) <= set("ACGT") else -1 for t, c in zip(texts, complements)],
            np.int64,
        )
        self._none = np.array([text in NO_ALLELE for text in texts])
        m = len(model_variants)
        self._model_codes = codes[: 2 * m].reshape(2, m)
        self._fileset_codes = codes[2 * m :].reshape(2, len(fileset_variants))

    def compare(self, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(m,) each, for these columns of the fileset: whether allele 1 is its allele 1, on either
        strand; whether it is its allele 2; and whether only the other strand makes it so."""
        fileset_codes = self._fileset_codes[:, columns]
        direct = (
            self._pair(fileset_codes, fileset_codes),
            self._pair(fileset_codes[::-1], fileset_codes[::-1]),
        )
        turned = self._complement[fileset_codes]
        opposite = self._pair(turned, fileset_codes), self._pair(turned[::-1], fileset_codes[::-1])
        straight, swapped = direct[0] | opposite[0], direct[1] | opposite[1]
        return straight, swapped, ~direct[0] & ~direct[1]

    def same_straight(self, columns: np.ndarray) -> np.ndarray:
        """(m,) whether allele 1 is allele 1 in the fileset, if the strand is the same."""
        return self._pair(self._fileset_codes[:, columns], self._fileset_codes[:, columns])

    def _pair(self, codes: np.ndarray, written: np.ndarray) -> np.ndarray:
        """(m,) whether the two alleles are the model's; one that is not `written` fits any."""
        absent = self._none[written]
        return ((self._model_codes == codes) | absent).all(axis=0) & ~absent.all(axis=0)

    def at_the_same_place(self, model_variants: Variants, fileset_variants: Variants) -> np.ndarray:
        """(m,) columns of equal chromosome, position and alleles, once on both sides; else −1."""
        frames = []
        for variants, codes in (
            (model_variants, self._model_codes),
            (fileset_variants, self._fileset_codes),
        ):
            turned = np.sort(self._complement[codes], axis=0)
            codes_in_order = np.sort(codes, axis=0)
            first = (turned[0] < 0) | (codes_in_order[0] < turned[0])
            first |= (codes_in_order[0] == turned[0]) & (codes_in_order[1] <= turned[1])
            frames.append(
                pd.DataFrame(
                    {
                        "chromosome": variants.chromosome,
                        "position": variants.position,
                        "first": np.where(first, codes_in_order[0], turned[0]),
                        "second": np.where(first, codes_in_order[1], turned[1]),
                    }
                )
            )
        keys = pd.concat(frames, ignore_index=True).groupby(list(frames[0]), sort=False).ngroup()
        model_keys, fileset_keys = (
            keys.to_numpy()[: len(model_variants)],
            keys.to_numpy()[len(model_variants) :],
        )
        unique_columns = np.flatnonzero(
            ~pd.Index(fileset_keys).duplicated(keep=False) & (fileset_variants.position > 0)
        )
        columns = (
            pd.Series(unique_columns, index=fileset_keys[unique_columns])
            .reindex(model_keys, fill_value=-1)
            .to_numpy(copy=True)
        )
        columns[pd.Index(model_keys).duplicated(keep=False)] = -1
        return columns


def _complement(allele: str) -> str:
    """The same allele read from the other strand, in its direction."""
    return allele.translate(_COMPLEMENT)[::-1]
