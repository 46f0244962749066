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

from pipeline.genetics.plink import MISSING, Fileset, Variants

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
    """Of each variant of the model: at (m,) its position in the fileset or −1, and sign (m,), 1
    where allele 1 is allele 1 there, −1 where it is allele 2."""

    at: np.ndarray
    sign: np.ndarray
    counts: MatchCounts


def match_variants(wanted: Variants, frequency: np.ndarray, fileset: Fileset) -> Match:
    """frequency (m,) of allele 1 in training people."""
    there = fileset.variants
    alleles = _Alleles(wanted, there)
    at, by_place, ambiguous = _positions(wanted, there, alleles)
    located = at >= 0
    straight, swapped, flipped = alleles.compare(np.where(located, at, 0))
    palindromic = located & straight & swapped
    plain = located & (straight ^ swapped)
    sign = np.where(straight, 1, -1)
    turned = plain & flipped
    strand = _strand(int((plain & ~flipped).sum()), int(turned.sum()))
    same_sign = np.where(alleles.same_straight(np.where(located, at, 0)), 1, -1)
    open_at = np.flatnonzero(palindromic)
    verdict = _by_frequency(fileset, at[open_at], same_sign[open_at], frequency[open_at])
    decided = np.full(len(at), 0)
    agreed = np.where(verdict == 0, strand, np.where(strand == -verdict, 0, verdict))
    decided[open_at] = agreed
    sign = np.where(palindromic, same_sign * decided, sign)
    used = plain | (decided != 0)
    counts = MatchCounts(
        used=int(used.sum()),
        swapped=int((used & (sign < 0)).sum()),
        flipped=int((turned | (decided < 0)).sum()),
        by_place=int((used & by_place).sum()),
        palindromic=int((decided != 0).sum()),
        palindromic_left_out=int((palindromic & (decided == 0)).sum()),
        other_alleles=int((located & ~straight & ~swapped).sum()),
        ambiguous=int((~located & ambiguous).sum()),
        missing=int((~located & ~ambiguous).sum()),
    )
    return Match(np.where(used, at, -1), sign, counts)


def _strand(same: int, turned: int) -> int:
    """1 where all variants that show it are from the model's strand, −1 from the other, else 0."""
    if max(same, turned) < SHOWING_STRAND or min(same, turned) > 0:
        return 0
    return 1 if same else -1


def _by_frequency(
    fileset: Fileset, at: np.ndarray, same_sign: np.ndarray, frequency: np.ndarray
) -> np.ndarray:
    """Of palindromic variants: 1 the same strand, −1 the other, 0 not clear."""
    people = len(fileset.people)
    rows = np.unique(np.linspace(0, people - 1, min(people, REFERENCE_PEOPLE)).astype(np.int64))
    verdict = np.zeros(len(at), np.int64)
    for start in range(0, len(at), COLUMNS_AT_ONCE):
        part = slice(start, start + COLUMNS_AT_ONCE)
        calls = fileset.read_columns(rows, at[part])
        known = calls != MISSING
        alleles = 2.0 * known.sum(axis=0)
        copies = np.where(known, calls, 0).sum(axis=0, dtype=np.int64).astype(float)
        copies = np.where(same_sign[part] > 0, copies, alleles - copies)
        p = frequency[part]
        nats = (2.0 * copies - alleles) * np.log(p / (1.0 - p))
        q = copies / np.maximum(alleles, 1.0)
        clear = (np.minimum(p, 1.0 - p) <= CLEAR_FREQUENCY) & (
            np.minimum(q, 1.0 - q) <= CLEAR_FREQUENCY
        )
        verdict[part] = np.where(clear & (np.abs(nats) >= LIKELIER), np.sign(nats), 0)
    return verdict


def _positions(
    wanted: Variants, there: Variants, alleles: _Alleles
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(m,) positions there or −1, whether found by place, and whether an id stands twice."""
    mine, theirs = pd.Index(wanted.id), pd.Index(there.id)
    mine_once = ~mine.duplicated(keep=False) & ~mine.isin(NO_ID)
    theirs_once = ~theirs.duplicated(keep=False) & ~theirs.isin(NO_ID)
    places = np.flatnonzero(theirs_once)
    at = pd.Series(places, index=theirs[places]).reindex(mine, fill_value=-1).to_numpy(copy=True)
    at[~mine_once] = -1
    by_id = at >= 0
    ambiguous = ~by_id & mine.isin(theirs) & ~mine.isin(NO_ID)
    equal = wanted.position[by_id] == there.position[at[by_id]]
    if not len(equal) or equal.mean() >= SAME_PLACES:
        taken = np.zeros(len(there), bool)
        taken[at[by_id]] = True
        by_place = alleles.at_the_same_place(wanted, there)
        by_place[by_id] = -1
        by_place[(by_place >= 0) & taken[by_place]] = -1
        at = np.where(by_id, at, by_place)
    return at, ~by_id & (at >= 0), ambiguous


class _Alleles:
    """The alleles of two sets of variants as numbers, with those of the complementary strand."""

    def __init__(self, wanted: Variants, there: Variants):
        columns = (wanted.allele_1, wanted.allele_2, there.allele_1, there.allele_2)
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
        m = len(wanted)
        self._mine = codes[: 2 * m].reshape(2, m)
        self._theirs = codes[2 * m :].reshape(2, len(there))

    def compare(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(m,) each: whether allele 1 is allele 1 at these positions there, on either strand;
        whether it is allele 2 there; and whether only the other strand makes it so."""
        theirs = self._theirs[:, at]
        direct = self._pair(theirs, theirs), self._pair(theirs[::-1], theirs[::-1])
        turned = self._complement[theirs]
        other = self._pair(turned, theirs), self._pair(turned[::-1], theirs[::-1])
        straight, swapped = direct[0] | other[0], direct[1] | other[1]
        return straight, swapped, ~direct[0] & ~direct[1]

    def same_straight(self, at: np.ndarray) -> np.ndarray:
        """(m,) whether allele 1 is allele 1 there, if the strand is the same."""
        return self._pair(self._theirs[:, at], self._theirs[:, at])

    def _pair(self, theirs: np.ndarray, written: np.ndarray) -> np.ndarray:
        """(m,) whether the two alleles are mine; one that is not written there fits any."""
        absent = self._none[written]
        return ((self._mine == theirs) | absent).all(axis=0) & ~absent.all(axis=0)

    def at_the_same_place(self, wanted: Variants, there: Variants) -> np.ndarray:
        """(m,) where there the same chromosome, position and alleles stand, once on both sides."""
        frames = []
        for variants, codes in ((wanted, self._mine), (there, self._theirs)):
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
        mine, theirs = keys.to_numpy()[: len(wanted)], keys.to_numpy()[len(wanted) :]
        once = np.flatnonzero(~pd.Index(theirs).duplicated(keep=False) & (there.position > 0))
        places = (
            pd.Series(once, index=theirs[once]).reindex(mine, fill_value=-1).to_numpy(copy=True)
        )
        places[pd.Index(mine).duplicated(keep=False)] = -1
        return places


def _complement(allele: str) -> str:
    """The same allele read from the other strand, in its direction."""
    return allele.translate(_COMPLEMENT)[::-1]
