"""Simulated genotypes as a PLINK fileset, with a side file of the causal variants.

PREFIX.causal.tsv has one line a causal variant: chromosome, position, id, allele (the counted
one), its frequency among controls, and its effect, the log odds ratio a copy. Its first line, after
a #, is JSON of what decided the simulation.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from pipeline.data import BINARY, read_outcome, read_table, require_known
from pipeline.errors import InputError
from pipeline.genetics.people import id_columns, table_ids
from pipeline.genetics.plink import write_blocks
from pipeline.genetics.simulation import (
    BLOCK_VARIANTS,
    SIMULATION_VERSION,
    SimulatedBlock,
    Simulation,
    simulated_blocks,
)
from pipeline.process import files_beside, sweep
from pipeline.progress import BlockProgress
from pipeline.serving import BED_SUFFIXES, row_names

CAUSAL_SUFFIX = ".causal.tsv"


def was_simulated(prefix: Path) -> bool:
    """Whether a side file says that this fileset was drawn."""
    return Path(f"{prefix}{CAUSAL_SUFFIX}").is_file()


def _check_replaceable(prefix: Path) -> None:
    """InputError where a file would be overwritten that no simulation wrote."""
    existing = [s for s in (*BED_SUFFIXES, CAUSAL_SUFFIX) if os.path.lexists(f"{prefix}{s}")]
    if existing and not _all_simulated(prefix, existing):
        raise InputError(
            f"out must not be the prefix of files that were not simulated, but there is "
            f"{prefix.name}{existing[0]}; give another prefix"
        )


def _all_simulated(prefix: Path, suffixes: Sequence[str]) -> bool:
    """Whether there is a simulation's side file, and a .bim, if any, has a simulation's ids."""
    try:
        with open(f"{prefix}{CAUSAL_SUFFIX}", encoding="utf-8") as causal:
            if '"simulation"' not in causal.readline():
                return False
        if ".bim" not in suffixes:
            return True
        with open(f"{prefix}.bim", encoding="utf-8") as bim:
            return all("\tsim" in line for line in islice(bim, 100))
    except (OSError, UnicodeDecodeError):
        return False


def causal_ids(prefix: Path) -> tuple[str, ...]:
    """Ids of the causal variants of a simulated fileset; none of any other."""
    if not was_simulated(prefix):
        return ()
    causal = pd.read_csv(f"{prefix}{CAUSAL_SUFFIX}", sep="\t", comment="#", dtype={"id": str})
    return tuple(causal["id"])


def simulate_genotypes(
    out: str,
    data: str,
    target: str,
    variants: str,
    causal: str = "all",
    score_auroc: str = "0.65",
    seed: str = "0",
    id: str = "none",
    console: Console | None = None,
) -> None:
    """Write a fileset for the people of a table, given their binary outcome; parameters as text.

    Raises InputError for any that is wrong, before anything is written.
    """
    console = console or Console()
    simulation = _simulation(variants, causal, score_auroc, seed)
    prefix = Path(re.sub(r"\.(bed|bim|fam)$", "", out)).expanduser()
    if not prefix.name or not prefix.absolute().parent.is_dir():
        raise InputError(
            f"out must be a prefix of files in a folder that exists, but got {out}; make the "
            "folder, or give another prefix"
        )
    _check_replaceable(prefix)
    identifier = () if id == "none" else id_columns(id)
    outcome, people = _people(_table_path(data), target, identifier)
    console.print(f"{simulation.variants} variants of {len(people)} people", highlight=False)
    total = simulation.variants
    with BlockProgress(console, "simulating", "variants") as progress:
        write_simulated(
            prefix, outcome, people, simulation, lambda done: progress.done(done, total)
        )
    console.print(
        f"wrote {prefix}.bed, .bim, .fam and {CAUSAL_SUFFIX}", markup=False, highlight=False
    )


def _table_path(data: str) -> Path:
    """The table: relative to the working directory, or to the project."""
    path = Path(data).expanduser()
    return path if path.exists() or path.is_absolute() else Path(__file__).parents[2] / path


def _people(
    data: Path, target: str, identifier: tuple[str, ...]
) -> tuple[np.ndarray, Sequence[str]]:
    """Outcome 0/1 (N,) and ids of a table's people."""
    table = read_table(data, texts=identifier)
    require_known([target], list(table.frame.columns), "target", table.source)
    people: list[str] = row_names(len(table.frame))
    if identifier:
        people = table_ids(table, identifier).tolist()
    spaced = sum(len(person.split()) != max(1, len(identifier)) for person in people)
    if spaced:
        raise InputError(
            f"ids must have no space in them to stand in a .fam, but {spaced} in "
            f"{' and '.join(identifier)} of {table.source} have; replace the spaces"
        )
    return read_outcome(table, target, BINARY).values, people


def _simulation(variants: str, causal: str, score_auroc: str, seed: str) -> Simulation:
    def number(name: str, text: str, kind: type, low: float, high: float, requirement: str):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise InputError(f"{name} must be {requirement}, but got {text}; give another")
        return value

    size = number("variants", variants, int, 1, 10**8, "a whole number of at least 1")
    blocks = -(-size // BLOCK_VARIANTS)
    requirement = f"`all`, or a whole number from 0 to {blocks}, one in {BLOCK_VARIANTS} variants"
    return Simulation(
        variants=size,
        causal=None if causal == "all" else number("causal", causal, int, 0, blocks, requirement),
        score_auroc=number(
            "score_auroc", score_auroc, float, 0.5, 0.95, "a number from 0.5 to 0.95"
        ),
        seed=number("seed", seed, int, 0, 2**31 - 1, "a whole number from 0 to 2147483647"),
    )


def write_simulated(
    prefix: str | Path,
    outcome: np.ndarray,
    people: Sequence[str],
    simulation: Simulation,
    on_block: Callable[[int], None] | None = None,
) -> None:
    """The four files, under other names until they are whole; the .bed appears last.

    on_block(variants written so far).
    """
    prefix = Path(prefix)
    sweep(prefix.parent)
    causal = io.StringIO()
    cases = np.asarray(outcome) == 1

    def blocks():
        for block in simulated_blocks(outcome, simulation):
            _note_causal(block, cases, causal)
            yield block.counts, block.variants

    names = [f"{prefix.name}{suffix}" for suffix in (CAUSAL_SUFFIX, *reversed(BED_SUFFIXES))]
    with files_beside(prefix.parent, names) as folder:
        part = folder / prefix.name
        for done in write_blocks(part, people, blocks()):
            if on_block is not None:
                on_block(done)
        header_facts = {"simulation": SIMULATION_VERSION, **asdict(simulation)}
        header = "chromosome\tposition\tid\tallele\tcontrol_frequency\teffect\n"
        text = f"# {json.dumps(header_facts)}\n{header}{causal.getvalue()}"
        Path(f"{part}{CAUSAL_SUFFIX}").write_text(text, "utf-8")
        Path(f"{prefix}.bed").unlink(missing_ok=True)


def _note_causal(block: SimulatedBlock, cases: np.ndarray, into: io.StringIO) -> None:
    for j in np.flatnonzero(block.effects):
        frequency = block.counts[~cases, j].mean() / 2.0
        into.write(
            f"{block.variants.chromosome[j]}\t{block.variants.position[j]}\t{block.variants.id[j]}"
            f"\t{block.variants.allele_1[j]}\t{frequency:.4f}\t{block.effects[j]:.6g}\n"
        )
