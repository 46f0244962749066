"""Genotypes → the genomic relationship matrix of the people, in which the encoder is trained.

With G the standardised genotypes (people × variants), divided by √variants,

    G_ij = (count_ij − 2·p_j) / √(2·p_j·(1 − p_j)·variants)        K = G·Gᵀ

(VanRaden 2008, method 2; Yang et al. 2010, eq. 3). Allele frequencies p_j come from the training
rows only, and no outcome is used. A linear encoder of the variants, E = G·V, needs nothing of G but
K (pipeline.optimiser says why), so a study costs the same for 5,000 variants as for 500,000.

The real genotypes of the Framingham study are under controlled access: `simulated` stands in for
them, drawn given the real outcome (pipeline.simulation).
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.linalg import blas, lapack

from pipeline.errors import InputError
from pipeline.simulation import SIMULATION_VERSION, Simulation, simulated_blocks

_PART, _ABANDONED_SECONDS = ".part-", 3600.0
"""Prefix of a file that is being written, and the age at which nobody writes it any more."""


@dataclass(frozen=True)
class Genotypes:
    """relationship (N, N) float32, rows as in the table; rank = min(training people, variants)."""

    relationship: np.ndarray
    variants: int
    rank: int
    simulated: bool
    fingerprint: str

    def facts(self) -> dict[str, str | int]:
        """Counts for the reader; nothing of a person."""
        return {
            "variants": self.variants,
            "genotypes_sha256": self.fingerprint,
            "genotypes": "simulated" if self.simulated else "read",
        }


def relationship_matrix(
    blocks: Iterable[np.ndarray], training_rows: np.ndarray
) -> tuple[np.ndarray, int]:
    """K (N, N) float32 from blocks of allele counts (N, m), and the number of variants used.

    Streamed by symmetric rank-k updates, so that memory does not grow with the variants.
    Variants that do not vary in the training rows are left out.
    """
    total, used = None, 0
    for counts in blocks:
        frequency = counts[training_rows].mean(axis=0, dtype=np.float64) / 2.0
        varying = (frequency > 0.0) & (frequency < 1.0)
        frequency = frequency[varying]
        scale = np.sqrt(2.0 * frequency * (1.0 - frequency))
        standard = ((counts[:, varying] - 2.0 * frequency) / scale).astype(np.float32)
        if total is None:
            total = np.zeros((len(counts), len(counts)), np.float32, order="F")
        total = blas.ssyrk(1.0, standard, beta=1.0, c=total, overwrite_c=1, lower=1)
        used += len(frequency)
    if not used:
        raise InputError(
            "at least one variant must vary among the training people, but none does: "
            "give other genotypes, or `genotypes=none`"
        )
    total = np.tril(total) / np.float32(used)
    return total + np.tril(total, -1).T, used


def factor(relationship: np.ndarray) -> np.ndarray:
    """L (N, N) float32, lower triangular, with L·Lᵀ = K up to a jitter of 1e-5 of its diagonal.

    The jitter lets people be duplicated, or outnumber the variants, which makes K singular.
    """
    jitter = 1e-5 * float(np.mean(np.diag(relationship)))
    shifted = relationship.astype(np.float64) + jitter * np.eye(len(relationship))
    lower, info = lapack.dpotrf(shifted, lower=1, clean=1)
    if info != 0:
        raise InputError(
            "the genomic relationship matrix must be positive semidefinite, but its factorisation "
            f"failed at person {info}: check the genotypes for impossible values"
        )
    return np.ascontiguousarray(lower, np.float32)


def load_genotypes(
    source: str, outcome: np.ndarray, training_rows: np.ndarray, cache: Path
) -> Genotypes:
    """The genotypes of the table's people, computed once and then read from the cache directory.

    source is `simulated`; a PLINK prefix is not read yet. Raises InputError for anything else.
    """
    if source != "simulated":
        raise InputError(
            f"genotypes must be `simulated` or `none`, but got {source!r}: PLINK filesets cannot "
            "be read yet; use `simulated` to try the pipeline, or `none` for the table alone"
        )
    simulation = Simulation()
    fingerprint = _fingerprint(simulation, outcome, training_rows)
    path = Path(cache) / f"relationship-{fingerprint[:16]}.npy"
    stored = _read(path, fingerprint, len(outcome))
    if stored is None:
        blocks = (block.counts for block in simulated_blocks(outcome, simulation))
        stored = relationship_matrix(blocks, training_rows)
        _write(path, fingerprint, *stored)
    relationship, variants = stored
    rank = min(len(training_rows), variants)
    return Genotypes(relationship, variants, rank, True, fingerprint)


def _fingerprint(simulation: Simulation, outcome: np.ndarray, training_rows: np.ndarray) -> str:
    told = {"simulation": SIMULATION_VERSION, **asdict(simulation)}
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    digest.update(np.ascontiguousarray(outcome, np.int64).tobytes())
    digest.update(np.ascontiguousarray(training_rows, np.int64).tobytes())
    return digest.hexdigest()


def _checksum(relationship: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(relationship)).hexdigest()


def _read(path: Path, fingerprint: str, people: int) -> tuple[np.ndarray, int] | None:
    """What is cached, or None where there is nothing or it is damaged: a cache is not trusted."""
    try:
        note = json.loads(path.with_suffix(".json").read_text())
        relationship = np.load(path, allow_pickle=False)
        sound = (
            note["fingerprint"] == fingerprint
            and relationship.shape == (people, people)
            and note["sha256"] == _checksum(relationship)
        )
        return (relationship, int(note["variants"])) if sound else None
    except Exception:  # whatever a foreign file makes of NumPy's and JSON's readers
        return None


def _write(path: Path, fingerprint: str, relationship: np.ndarray, variants: int) -> None:
    """Both files by rename, so that a killed process leaves the old ones or the new ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for part in path.parent.glob(f"{_PART}*"):
        if time.time() - part.stat().st_mtime > _ABANDONED_SECONDS:
            part.unlink(missing_ok=True)  # of a killed process
    note = {
        "fingerprint": fingerprint,
        "sha256": _checksum(relationship),
        "variants": variants,
    }
    for target, write in (
        (path, lambda handle: np.save(handle, relationship)),
        (path.with_suffix(".json"), lambda handle: handle.write(json.dumps(note).encode())),
    ):
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=_PART, delete=False) as handle:
            try:
                write(handle)
            except BaseException:
                os.unlink(handle.name)
                raise
        os.replace(handle.name, target)
