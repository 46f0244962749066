"""Variants of a genome: where each lies, its id and its alleles."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np


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
