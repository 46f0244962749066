"""PLINK 1 filesets, .bed/.bim/.fam: opened and checked, and read in blocks.

Text is held as Python strings in arrays of objects: one allele of 20,000 bases costs 20,000 bytes,
where NumPy's fixed-width text would cost as much for every variant.

A .bed holds two bits a genotype, variant by variant, each variant padded to whole bytes, after the
three bytes 6c 1b 01 (https://www.cog-genomics.org/plink/1.9/formats#bed). bed-reader reads it.

Shapes: N people, M variants of the fileset, m variants of a block.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd

from .errors import InputError

SEX_AND_MITOCHONDRIA = ("X", "Y", "XY", "MT")
"""Chromosomes of which people have no two copies, or not all people; XY is the PAR of both."""

_NAMES = {"23": "X", "24": "Y", "25": "XY", "26": "MT", "M": "MT", "NC_012920": "MT"}
_NAMES |= dict.fromkeys(("PAR", "PAR1", "PAR2", "X_PAR", "Y_PAR"), "XY")
_NAMES |= {f"NC_{number:06d}": str(number) for number in range(1, 23)}
_NAMES |= {"NC_000023": "X", "NC_000024": "Y"}
AUTOSOMES = tuple(str(number) for number in range(1, 23))


def chromosome_name(text: str) -> str:
    """`chr7`, `07` and `NC_000007.14` → 7; 23 to 26, `chrX`, `M`, `PAR1` → X, Y, XY or MT.

    Any other name (0, a contig) stays as it is.
    """
    bare = re.sub(r"^chr(omosome)?[_ ]?", "", text, flags=re.IGNORECASE).upper()
    bare = re.sub(r"^(NC_\d+)\.\d+$", r"\1", bare)
    bare = bare.lstrip("0") if bare.isdigit() else bare
    bare = _NAMES.get(bare, bare)
    return bare if bare in AUTOSOMES or bare in SEX_AND_MITOCHONDRIA else text


def chromosome_names(texts: np.ndarray) -> np.ndarray:
    """(m,) names as `chromosome_name` gives them."""
    codes, distinct = pd.factorize(np.asarray(texts, object))
    return np.array([chromosome_name(str(text)) for text in distinct], object)[codes]


@dataclass(frozen=True, eq=False)
class Variants:
    """(m,) arrays: chromosome, position in base pairs, id, allele 1 (which is counted), allele 2.

    As in a PLINK .bim file, of which allele 1 is the fifth column; chromosomes by their plain names
    (`chromosome_name`). All but the positions are arrays of str objects.
    """

    chromosome: np.ndarray
    position: np.ndarray
    id: np.ndarray
    allele_1: np.ndarray
    allele_2: np.ndarray

    def __len__(self) -> int:
        return len(self.position)

    def only(self, chosen: np.ndarray) -> Variants:
        """The variants at these positions."""
        return Variants(*(getattr(self, field.name)[chosen] for field in fields(self)))

    @classmethod
    def concatenated(cls, parts: Sequence[Variants]) -> Variants:
        """One after another."""
        names = [field.name for field in fields(cls)]
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))

    @property
    def autosomal(self) -> np.ndarray:
        """(m,) bool: not of a sex chromosome, its PAR or the mitochondria."""
        return ~pd.Series(self.chromosome, dtype=object).isin(SEX_AND_MITOCHONDRIA).to_numpy()


BED_SUFFIXES = (".bed", ".bim", ".fam")
NO_CALL = -127
"""What bed-reader gives for a missing call."""

BED_MAGIC, _PERSON_MAJOR = b"\x6c\x1b\x01", b"\x6c\x1b\x00"
_BIM, _FAM = ("chromosome", "id", "cm", "position", "allele_1", "allele_2"), 6


@dataclass(frozen=True, eq=False)
class Fileset:
    """An opened fileset: (N,) family and within-family ids of its people, and its M variants."""

    prefix: Path
    families: np.ndarray
    people: np.ndarray
    variants: Variants

    @property
    def name(self) -> str:
        """The prefix without its folders."""
        return self.prefix.name

    def read(self, rows: np.ndarray, start: int, stop: int) -> np.ndarray:
        """Counts of allele 1, (len(rows), stop − start) int8 in Fortran order, NO_CALL for none."""
        return self._bed().read(np.s_[rows, start:stop], dtype="int8", order="F")

    def read_columns(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """The same of the variants at these positions, (len(rows), len(columns))."""
        return self._bed().read(np.s_[rows, columns], dtype="int8", order="F")

    def blocks(
        self, rows: np.ndarray, variants: int, on_block: Callable[[int], None] | None = None
    ) -> Iterator[np.ndarray]:
        """Counts (len(rows), m) of all variants, so many at a time; on_block(read so far)."""
        total = len(self.variants)
        for start in range(0, total, variants):
            stop = min(start + variants, total)
            yield self.read(rows, start, stop)
            if on_block is not None:
                on_block(stop)

    def _bed(self):
        from bed_reader import open_bed

        return open_bed(
            f"{self.prefix}.bed",
            iid_count=len(self.people),
            sid_count=len(self.variants),
            skip_format_check=True,
        )

    def stamp(self) -> list[list[int]]:
        """Of each file what changes whenever it is written: size, times, place on the disk."""
        stats = [os.stat(f"{self.prefix}{suffix}") for suffix in BED_SUFFIXES]
        return [[s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino, s.st_dev] for s in stats]

    def sha256(self) -> str:
        """Of all three files, read whole."""
        digest = hashlib.sha256()
        for suffix in BED_SUFFIXES:
            with open(f"{self.prefix}{suffix}", "rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()


def open_fileset(prefix: str | Path) -> Fileset:
    """The fileset PREFIX.bed, .bim and .fam. Raises InputError unless the three fit each other."""
    prefix = Path(prefix)
    for suffix in BED_SUFFIXES:
        if not Path(f"{prefix}{suffix}").is_file():
            raise InputError(_no_file(prefix, suffix))
    fam, bim = _lines(prefix, ".fam", _FAM), _lines(prefix, ".bim", len(_BIM))
    position = pd.to_numeric(bim[3], errors="coerce")
    wrong = np.flatnonzero(position.isna() | (position % 1 != 0))
    if len(wrong):
        raise InputError(
            f"the fourth column of a .bim must be a position in base pairs, but line "
            f"{wrong[0] + 1} of {prefix.name}.bim has {bim[3][wrong[0]][:40]!r}; check the file"
        )
    texts = {name: bim[i].to_numpy(dtype=object) for i, name in enumerate(_BIM)}
    texts["chromosome"] = chromosome_names(texts["chromosome"])
    del texts["cm"], texts["position"]
    _check_bed(prefix, len(fam), len(bim))
    return Fileset(
        prefix,
        fam[0].to_numpy(dtype=object),
        fam[1].to_numpy(dtype=object),
        Variants(position=position.to_numpy(np.int64), **texts),
    )


def _no_file(prefix: Path, suffix: str) -> str:
    """Why a fileset cannot be opened of which this file is not there."""
    refusal = f"a PLINK fileset must have the files .bed, .bim and .fam, but there is no {prefix}"
    if Path(f"{prefix}.pgen").is_file():
        return (
            f"{refusal}{suffix}; write them from {prefix.name}.pgen with "
            f"plink2 --pfile {prefix.name} --make-bed --out {prefix.name}"
        )
    if Path(f"{prefix}{suffix}.gz").is_file():
        return f"{refusal}{suffix}, only {prefix.name}{suffix}.gz; unpack it"
    return f"{refusal}{suffix}; check the prefix"


def _lines(prefix: Path, suffix: str, columns: int) -> pd.DataFrame:
    """A .bim or .fam as a table of text."""
    name = f"{prefix.name}{suffix}"
    refusal = f"a {suffix} must be a text file of {columns} columns a line, but {name}"
    try:
        frame = pd.read_csv(
            f"{prefix}{suffix}",
            sep=r"\s+",
            header=None,
            dtype=str,
            keep_default_na=False,
            quoting=3,
        )
    except pd.errors.EmptyDataError:
        raise InputError(f"{refusal} is empty; give the whole fileset") from None
    except (pd.errors.ParserError, UnicodeDecodeError, ValueError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise InputError(f"{refusal} cannot be read as one ({reason}); check the file") from None
    if frame.shape[1] != columns:
        raise InputError(f"{refusal} has {frame.shape[1]}; check the file")
    short = np.flatnonzero(frame[columns - 1].isna() | (frame[columns - 1] == ""))
    if len(short):
        raise InputError(f"{refusal} has fewer in line {short[0] + 1}; check the file")
    return frame


def _check_bed(prefix: Path, people: int, variants: int) -> None:
    """The magic number, and as many bytes as people and variants need."""
    name = f"{prefix.name}.bed"
    with open(f"{prefix}.bed", "rb") as file:
        magic = file.read(3)
    if magic == _PERSON_MAJOR:
        raise InputError(
            f"a .bed must be ordered by variants, but {name} is ordered by people; "
            "write it anew with plink --make-bed"
        )
    if magic != BED_MAGIC:
        raise InputError(
            f"a .bed must begin with the bytes 6c 1b 01, but {name} begins with "
            f"{magic.hex(' ') or 'nothing'}: it is no PLINK 1 .bed; write one with "
            "plink2 --make-bed"
        )
    needed = len(BED_MAGIC) + -(-people // 4) * variants
    size = os.path.getsize(f"{prefix}.bed")
    if size != needed:
        raise InputError(
            f"{people} people of {prefix.name}.fam and {variants} variants of {prefix.name}.bim "
            f"need a .bed of {needed} bytes, but {name} has {size}: it is cut short, or the files "
            "are of different filesets; copy or write them again"
        )
