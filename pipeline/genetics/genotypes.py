"""The genotypes of a study's people → their relationship matrix, in which the encoder is trained.

A linear encoder of the variants, E = G·V, needs nothing of the standardized genotypes G but
K = G·Gᵀ (`pipeline.networks.optimizer` says why), so a study costs the same for 5,000 variants as
for 500,000.
K is computed once for a fileset, its people and their split, and then read from the cache.

The real genotypes of the Framingham study are under controlled access: `simulated` stands in for
them, drawn given the real outcome (`pipeline.genetics.simulation`) and kept in the cache as a
fileset.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import InputError
from pipeline.genetics.ancestry import PrincipalComponents, principal_components
from pipeline.genetics.block_columns import (
    COLUMN_PEOPLE,
    Bed,
    Each,
    bytes_of_columns,
    on_all_cores,
    write_relationship,
)
from pipeline.genetics.people import Joined
from pipeline.genetics.relationship import (
    MAPPED_BYTES,
    TOGETHER,
    Filters,
    LeftOut,
    Relationship,
    StandardBlock,
    block_variants,
    bytes_of_relationships,
    relationship_matrix,
    standard_blocks,
)
from pipeline.genetics.simulated_fileset import was_simulated, write_simulated
from pipeline.genetics.simulation import SIMULATION_VERSION, Simulation
from pipeline.process import OWNER_ONLY, files_beside, require_memory, whole_file, write_whole
from pipeline.serving import Fileset, open_fileset, row_names

_SETTLED_NANOSECONDS = 2_000_000_000
"""A file's times say that it is unchanged only if it was this old when its hash was taken."""

OnBlock = Callable[[int, int], None]
"""Takes how many variants are done, and of how many; of a part of the people, their share."""

OTHER_BYTES = 10**9
"""Of a study besides what grows with its people: a population's networks, the compiled program."""


@dataclass(frozen=True, eq=False)
class Genotypes:
    """relationship (N, N) float32, rows as in the table; a large one stays on the disk, mapped.

    variants        used, after the filters; left_out counts the others
    rank            min(training people, variants)
    simulated       whether they were drawn, here or by scripts/simulate_genotypes.py
    fingerprint     of the fileset's content, its people, their split and the filters
    fileset, rows   where they are read again, and each person's row in it
    components      leading principal components, where they are asked for
    """

    relationship: np.ndarray
    variants: int
    left_out: LeftOut
    rank: int
    simulated: bool
    fingerprint: str
    fileset: Fileset
    rows: np.ndarray
    training_rows: np.ndarray
    filters: Filters
    components: PrincipalComponents | None = None

    def facts(self) -> dict[str, str | int]:
        """Counts for the reader; nothing of a person."""
        rare, missing = self.filters.minor_allele_frequency, self.filters.missing_rate
        ancestry = {}
        if self.components is not None:
            ancestry["principal_components"] = (
                f"{len(self.components.names)} leading ones of the training people's relationship "
                f"matrix, {self.components.share.sum():.1%} of its variance; all others are "
                "projected; inputs of every network, unpenalized"
            )
        return {
            **ancestry,
            "variants": self.variants,
            "variants_left_out": (
                f"{self.left_out.not_autosomal} of X, Y, XY and MT, "
                f"{self.left_out.constant} that do not vary, {self.left_out.rare} of a "
                f"minor-allele frequency below {rare:g}, {self.left_out.missing} of a missing rate "
                f"above {missing:g}, among training people"
            ),
            "genotypes_sha256": self.fingerprint,
            "genotypes": "simulated" if self.simulated else "read",
        }

    def standard_blocks(self, only: np.ndarray | None = None) -> Iterator[StandardBlock]:
        """The standardized genotypes of everyone, or of `only` these rows of the table, again.

        Frequencies and filters are of the training rows, which `only` must contain.
        """
        training = self.training_rows
        if only is not None:
            place = {row: i for i, row in enumerate(only)}
            training = np.array([place[row] for row in training])
        rows = self.rows if only is None else self.rows[only]
        blocks = self.fileset.blocks(rows, block_variants(len(rows)))
        return standard_blocks(blocks, training, self.filters, self.fileset.variants.autosomal)


def load_genotypes(
    joined: Joined | None,
    outcome: np.ndarray,
    training_rows: np.ndarray,
    cache: Path,
    filters: Filters | None = None,
    on_block: OnBlock | None = None,
    components: int = 0,
    each: Each = on_all_cores,
) -> Genotypes:
    """The genotypes of the table's people, computed once and then read from the cache directory.

    joined: their fileset and their rows in it; None for simulated ones, drawn given the outcome
    0/1. on_block(variants done, of all) is called while the matrix is computed. components: how
    many leading principal components are wanted. each: who does the block columns of many people
    (`block_columns`).
    """
    filters, cache = filters or Filters(), Path(cache)
    if joined is None:
        joined = Joined(simulated_for(outcome, cache), np.arange(len(outcome)))
    fileset, autosomal = joined.fileset, joined.fileset.variants.autosomal
    people, training = len(joined.rows), len(training_rows)
    by_columns = people > TOGETHER
    computing = bytes_of_columns(people) if by_columns else None
    require_memory(
        bytes_of_relationships(people, training, computing) + OTHER_BYTES,
        f"the relationship matrix of {people} people, {training} of them in training,",
        "take fewer people, a larger machine, or genotypes=none",
    )
    identity: dict[str, object] = {
        "fileset": content_sha256(fileset, cache),
        "filters": asdict(filters),
        "people": _digest(joined.rows),
        "training": _digest(training_rows),
    }
    if not autosomal.all():
        identity["chromosomes"] = "autosomes"
    if by_columns:
        identity["block_columns"] = COLUMN_PEOPLE
    fingerprint = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    path = cache / f"relationship-{fingerprint[:16]}.npy"
    stored = _read(path, fingerprint, people)
    if stored is None:
        compute = _computed_by_columns if by_columns else _computed
        bed = Bed.of(fileset, joined.rows, training_rows, filters)
        computed = compute(path, fingerprint, bed, on_block, each)
        stored = _read(path, fingerprint, people) or computed
    return Genotypes(
        relationship=stored.matrix,
        variants=stored.variants,
        left_out=stored.left_out,
        rank=min(len(np.unique(joined.rows[training_rows])), stored.variants),
        simulated=was_simulated(fileset.prefix),
        fingerprint=fingerprint,
        fileset=fileset,
        rows=joined.rows,
        training_rows=np.asarray(training_rows),
        filters=filters,
        components=principal_components(stored.matrix, training_rows, components)
        if components
        else None,
    )


def _computed(
    path: Path, fingerprint: str, bed: Bed, on_block: OnBlock | None, each: Each
) -> Relationship:
    """K of people who are not too many for one machine, kept in the cache."""
    total = len(bed.autosomal)
    report = None if on_block is None else (lambda done: on_block(done, total))
    counts = bed.fileset.blocks(bed.rows, bed.variants_at_once, report)
    computed = relationship_matrix(
        standard_blocks(counts, bed.training_rows, bed.filters, bed.autosomal)
    )
    with whole_file(path, OWNER_ONLY) as handle:
        np.save(handle, computed.matrix)
    _note(path, fingerprint, computed)
    return computed


def _computed_by_columns(
    path: Path, fingerprint: str, bed: Bed, on_block: OnBlock | None, each: Each
) -> Relationship:
    """K of many people, made on the disk."""
    people, total = len(bed.rows), len(bed.autosomal)
    report = None if on_block is None else (lambda done: on_block(total * done // people, total))
    with files_beside(path.parent, [path.name]) as folder:
        used, left_out = write_relationship(folder / path.name, bed, each, report)
    computed = Relationship(np.load(path, mmap_mode="r"), used, left_out)
    _note(path, fingerprint, computed)
    return computed


def _digest(numbers: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(numbers, np.int64).tobytes()).hexdigest()


def simulated_for(outcome: np.ndarray, cache: Path) -> Fileset:
    """The fileset of the default simulation for this outcome, drawn if the cache does not have it.

    Its name has the hash of all that decides it. Its files get their names one by one, .bed last,
    only when they are whole.
    """
    identity = {"version": SIMULATION_VERSION, **asdict(Simulation()), "outcome": _digest(outcome)}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    prefix = cache / f"simulated-{digest[:16]}"
    try:
        return open_fileset(prefix)
    except InputError:  # none yet, or damaged
        cache.mkdir(parents=True, exist_ok=True)
        write_simulated(prefix, outcome, row_names(len(outcome)), Simulation())
        return open_fileset(prefix)


def content_sha256(fileset: Fileset, cache: Path) -> str:
    """Of the fileset's bytes; read whole once, and again whenever a file's stamp has changed.

    Sizes, times (ctime among them, which nobody can set back) and places on the disk are those of
    the files that were hashed, and these were older than a moment: then they are the same.
    """
    prefix_hash = hashlib.sha256(str(fileset.prefix.absolute()).encode()).hexdigest()
    path, stamp = cache / f"fileset-{prefix_hash[:16]}.json", fileset.stamp()
    try:
        note = json.loads(path.read_text())
        if note["stamp"] == stamp and note["settled"]:
            return str(note["sha256"])
    except Exception:  # none yet, or of another form
        pass
    before = time.time_ns()
    digest = fileset.sha256()
    newest = max(max(times[1:3]) for times in stamp)
    note = {
        "stamp": stamp,
        "settled": fileset.stamp() == stamp and before - newest > _SETTLED_NANOSECONDS,
        "sha256": digest,
    }
    write_whole(path, json.dumps(note).encode())
    return digest


def _checksum(relationship: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(relationship).data).hexdigest()


def _read(path: Path, fingerprint: str, people: int) -> Relationship | None:
    """What is cached, or None where there is nothing or it is damaged: a cache is not trusted."""
    try:
        note = json.loads(path.with_suffix(".json").read_text())
        large = 4 * people**2 > MAPPED_BYTES
        matrix = np.load(path, mmap_mode="r" if large else None, allow_pickle=False)
        sound = (
            note["fingerprint"] == fingerprint
            and matrix.shape == (people, people)
            and note["sha256"] == _checksum(matrix)
        )
        left_out = LeftOut(**{name: int(count) for name, count in note["left_out"].items()})
        return Relationship(matrix, int(note["variants"]), left_out) if sound else None
    except Exception:  # whatever a foreign file makes of NumPy's and JSON's readers
        return None


def _note(path: Path, fingerprint: str, relationship: Relationship) -> None:
    """What the cache has to say of a K that it holds; the matrix came first, so that a killed
    process leaves the old ones or the new ones."""
    note = {
        "fingerprint": fingerprint,
        "sha256": _checksum(relationship.matrix),
        "variants": relationship.variants,
        "left_out": relationship.left_out._asdict(),
    }
    write_whole(path.with_suffix(".json"), json.dumps(note).encode())
