"""PLINK 1 filesets written in blocks; `pipeline.serving` reads them, as every kept model does.

Shapes: N people, m variants of a block.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from pipeline.serving import BED_MAGIC, Variants


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
    """Writes the three files block by block; yields how many variants are written so far.

    people: within-family ids, or family and within-family ids with a tab between.
    """
    with open(f"{prefix}.fam", "w", encoding="utf-8") as fam:
        for person in people:
            family, tab, name = person.rpartition("\t")
            fam.write(f"{family if tab else 0} {name} 0 0 0 -9\n")
    done = 0
    with open(f"{prefix}.bed", "wb") as bed, open(f"{prefix}.bim", "w") as bim:
        bed.write(BED_MAGIC)
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
                f"{c}\t{name}\t0\t{position}\t{first}\t{second}\n"
                for c, name, position, first, second in zip(
                    *(column.tolist() for column in columns)
                )
            )
            done += len(variants)
            yield done
