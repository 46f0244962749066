"""PLINK 1 filesets, .bed/.bim/.fam: opened and checked, read in blocks, written in blocks.

A .bed holds two bits a genotype, variant by variant, each variant padded to whole bytes, after the
three bytes 6c 1b 01 (https://www.cog-genomics.org/plink/1.9/formats#bed). bed-reader reads it.

Shapes: N people, M variants of the fileset, m variants of a block.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.errors import InputError


@dataclass(frozen=True, eq=False)
class Variants:
    """(m,) arrays: chromosome, position in base pairs, id, allele 1 (which is counted), allele 2.

    As in a PLINK .bim file, of which allele 1 is the fifth column.
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


SUFFIXES = (".bed", ".bim", ".fam")
MISSING = -127
"""What bed-reader gives for a missing call."""

_MAGIC, _PERSON_MAJOR = b"\x6c\x1b\x01", b"\x6c\x1b\x00"
_BIM, _FAM = ("chromosome", "id", "cm", "position", "allele_1", "allele_2"), 6


@dataclass(frozen=True, eq=False)
class Fileset:
    """An opened fileset: (N,) within-family ids of its people, and its M variants."""

    prefix: Path
    people: np.ndarray
    variants: Variants

    @property
    def name(self) -> str:
        """The prefix without its folders."""
        return self.prefix.name

    def read(self, rows: np.ndarray, start: int, stop: int) -> np.ndarray:
        """Counts of allele 1, (len(rows), stop − start) int8 in Fortran order, MISSING for none."""
        from bed_reader import open_bed

        bed = open_bed(
            f"{self.prefix}.bed",
            iid_count=len(self.people),
            sid_count=len(self.variants),
            skip_format_check=True,
        )
        return bed.read(np.s_[rows, start:stop], dtype="int8", order="F")

    def stamp(self) -> list[list[int]]:
        """Of each file what changes whenever it is written: size, times, place on the disk."""
        stats = [os.stat(f"{self.prefix}{suffix}") for suffix in SUFFIXES]
        return [[s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino, s.st_dev] for s in stats]

    def sha256(self) -> str:
        """Of all three files, read whole."""
        digest = hashlib.sha256()
        for suffix in SUFFIXES:
            with open(f"{self.prefix}{suffix}", "rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()


def open_fileset(prefix: str | Path) -> Fileset:
    """The fileset PREFIX.bed, .bim and .fam. Raises InputError unless the three fit each other."""
    prefix = Path(prefix)
    for suffix in SUFFIXES:
        if not Path(f"{prefix}{suffix}").is_file():
            raise InputError(
                f"a PLINK fileset must have the files .bed, .bim and .fam, but there is no "
                f"{prefix}{suffix}; check the prefix"
            )
    people = _lines(prefix, ".fam", _FAM)[1].to_numpy(dtype=str)
    bim = _lines(prefix, ".bim", len(_BIM))
    position = pd.to_numeric(bim[3], errors="coerce")
    wrong = np.flatnonzero(position.isna() | (position % 1 != 0))
    if len(wrong):
        raise InputError(
            f"the fourth column of a .bim must be a position in base pairs, but line "
            f"{wrong[0] + 1} of {prefix.name}.bim has {bim[3][wrong[0]][:40]!r}; check the file"
        )
    columns = {name: bim[i].to_numpy(dtype=str) for i, name in enumerate(_BIM)}
    columns["position"] = position.to_numpy(np.int64)
    del columns["cm"]
    _check_bed(prefix, len(people), len(position))
    return Fileset(prefix, people, Variants(**columns))


def _lines(prefix: Path, suffix: str, columns: int) -> pd.DataFrame:
    """A .bim or .fam as a table of text."""
    name = f"{prefix.name}{suffix}"
    law = f"a {suffix} must be a text file of {columns} columns a line, but {name}"
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
        raise InputError(f"{law} is empty; give the whole fileset") from None
    except (pd.errors.ParserError, UnicodeDecodeError, ValueError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise InputError(f"{law} cannot be read as one ({reason}); check the file") from None
    if frame.shape[1] != columns:
        raise InputError(f"{law} has {frame.shape[1]}; check the file")
    short = np.flatnonzero(frame[columns - 1].isna() | (frame[columns - 1] == ""))
    if len(short):
        raise InputError(f"{law} has fewer in line {short[0] + 1}; check the file")
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
    if magic != _MAGIC:
        raise InputError(
            f"a .bed must begin with the bytes 6c 1b 01, but {name} begins with "
            f"{magic.hex(' ') or 'nothing'}: it is no PLINK 1 .bed; write one with "
            "plink2 --make-bed"
        )
    needed = len(_MAGIC) + -(-people // 4) * variants
    size = os.path.getsize(f"{prefix}.bed")
    if size != needed:
        raise InputError(
            f"{people} people of {prefix.name}.fam and {variants} variants of {prefix.name}.bim "
            f"need a .bed of {needed} bytes, but {name} has {size}: it is cut short, or the files "
            "are of different filesets; copy or write them again"
        )


def packed(counts: np.ndarray) -> bytes:
    """(N, m) counts of allele 1, without missing ones, as bytes of a .bed."""
    people, variants = counts.shape
    padded = np.zeros((-(-people // 4) * 4, variants), np.uint8)
    # 00: two copies of allele 1, 10: one, 11: none; the padding is 00.
    padded[:people] = np.array([3, 2, 0], np.uint8)[counts]
    quarters = padded[0::4] | padded[1::4] << 2 | padded[2::4] << 4 | padded[3::4] << 6
    return quarters.T.tobytes()


def write_blocks(
    prefix: Path, people: Iterable[str], blocks: Iterable[tuple[np.ndarray, Variants]]
) -> Iterator[int]:
    """Writes the three files block by block; yields how many variants are written so far."""
    with open(f"{prefix}.fam", "w") as fam:
        fam.writelines(f"0 {person} 0 0 0 -9\n" for person in people)
    done = 0
    with open(f"{prefix}.bed", "wb") as bed, open(f"{prefix}.bim", "w") as bim:
        bed.write(_MAGIC)
        for counts, variants in blocks:
            bed.write(packed(counts))
            columns = (
                variants.chromosome,
                variants.id,
                variants.position,
                variants.allele_1,
                variants.allele_2,
            )
            bim.writelines(
                f"{c}\t{name}\t0\t{at}\t{first}\t{second}\n"
                for c, name, at, first, second in zip(*(column.tolist() for column in columns))
            )
            done += len(variants)
            yield done
