"""A million networks on 1 to 10,000 workers, simulated: where the parent saturates, and the price.

`python benchmarks/cluster_simulation.py` draws docs/images/cluster_simulation.png, prints the
tables of docs/scaling.md, and writes its targets into benchmarks/README.md. Discrete events: a
worker trains a population at a time and has a second one waiting, as in `pipeline/workers`;
results wait for the parent, which serves one at a time: it receives, records and tells the
population, asks for the next one and sends it.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from measure import HERE, Figure, as_markdown, write

NETWORKS = 1_000_000
WORKERS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
SHOWN = (1, 10, 100, 1_000, 10_000)
AIM = 0.9
AHEAD = 2
"""Populations of a worker: one that it trains, and one that waits there."""

LATENCY_SECONDS = 0.005
BYTES_A_SECOND = (
    125e6  # a network of 1 Gbit/s at the parent, through which a table goes to each worker
)
SPREAD = 0.2  # standard deviation of the logarithm of a population's time
DOLLARS_A_CORE_HOUR = 0.04  # assumed: a core of a cloud's ordinary machine


@dataclass(frozen=True)
class Parent:
    """What a parent takes for a network, in seconds, as benchmarks/parent_time.py measures it.

    parents: of so many studies at once, each with its share of networks and of workers.
    """

    name: str
    ask_and_send: float
    receive_record_tell: float
    parents: int = 1


@dataclass(frozen=True)
class Work:
    """Networks: seconds of one core each, as benchmarks/README.md has them; the table's bytes."""

    name: str
    seconds: float
    table_bytes: float
    population: int = 10


def makespan(
    workers: int, networks: int, work: Work, parent: Parent, seed: int = 0
) -> tuple[float, float]:
    """Of one parent: seconds from the first network asked for to the last one told, and the
    seconds of training in them, of all workers."""
    population = min(work.population, max(1, networks // workers))
    count = math.ceil(networks / population)
    rng = np.random.default_rng(seed)
    times = work.seconds * population * rng.lognormal(-(SPREAD**2) / 2, SPREAD, count)
    ask, tell = parent.ask_and_send * population, parent.receive_record_tell * population
    free_at = 0.0  # the parent
    idle_from = [0.0] * workers
    arrivals: list[tuple[float, int]] = []  # of results at the parent, and whose
    sent = 0

    def send(worker: int) -> None:
        nonlocal free_at, sent
        free_at += ask
        begins = max(free_at + LATENCY_SECONDS, idle_from[worker])
        idle_from[worker] = begins + times[sent]
        heapq.heappush(arrivals, (idle_from[worker] + LATENCY_SECONDS, worker))
        sent += 1

    for ahead in range(AHEAD):
        for worker in range(workers):
            if ahead == 0:
                free_at += work.table_bytes / BYTES_A_SECOND
            if sent < count:
                send(worker)
    while arrivals:
        arrived, worker = heapq.heappop(arrivals)
        free_at = max(free_at, arrived) + tell
        if sent < count:
            send(worker)
    return free_at, float(times.sum())


def efficiency(workers: int, networks: int, work: Work, parent: Parent) -> tuple[float, float]:
    """(share of the workers' time that is training, seconds in all)."""
    shares = min(parent.parents, workers)
    each = workers // shares
    seconds, busy = makespan(each, networks // shares, work, parent)
    return busy / (each * seconds), seconds


def rows(works: Sequence[Work], parents: Sequence[Parent]) -> pd.DataFrame:
    """One row for each number of workers, networks and parent."""
    found = []
    for work in works:
        for parent in parents:
            for workers in WORKERS:
                share, seconds = efficiency(workers, NETWORKS, work, parent)
                found.append(
                    {
                        "networks": work.name,
                        "parent": parent.name,
                        "workers": workers,
                        "efficiency": share,
                        "hours": seconds / 3600,
                        "dollars": workers * seconds / 3600 * DOLLARS_A_CORE_HOUR,
                    }
                )
    return pd.DataFrame(found)


def saturation(work: Work, parent: Parent) -> float:
    """Workers at which the parent has no time left, by arithmetic."""
    per_network = parent.ask_and_send + parent.receive_record_tell
    return parent.parents * work.seconds / per_network


def least_seconds(parent: Parent, workers: int = 100, wanted: float = 0.9) -> float:
    """How long a network must train, in steps of 0.1 s, for so many workers to be used so well."""
    for tenths in range(1, 1_000):
        work = Work("", tenths / 10, 80e6)
        if efficiency(workers, NETWORKS // 10, work, parent)[0] >= wanted:
            return tenths / 10
    return math.inf


def plot(table: pd.DataFrame, path: Path) -> None:
    """Efficiency against workers: a panel for each kind of network, a line for each parent."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    kinds = list(dict.fromkeys(table["networks"]))
    figure, axes = plt.subplots(
        1, len(kinds), figsize=(3.6 * len(kinds), 3.4), sharey=True, layout="constrained"
    )
    for axis, kind in zip(axes, kinds, strict=True):
        for parent, part in table[table["networks"] == kind].groupby("parent", sort=False):
            axis.plot(part["workers"], part["efficiency"], marker="o", markersize=3, label=parent)
        axis.axhline(0.9, color="0.6", linewidth=0.8, linestyle=":")
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(lambda workers, _: f"{workers:,.0f}")
        axis.set_ylim(0, 1.03)
        axis.set_title(kind, fontsize=9)
        axis.set_xlabel("workers of one core")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("share of time in training")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    figure.savefig(path, dpi=160)


# Milliseconds of the parent's processor for a network, measured on 2026-11-26: see docs/scaling.md.
PARENTS = (
    Parent("SQLite", 0.0004, 0.0086),
    Parent("PostgreSQL and MLflow server", 0.0004, 0.0337),
    Parent("straight into PostgreSQL", 0.0004, 0.0095),
    Parent("straight, ten parents", 0.0004, 0.0095, parents=10),
)
WORKS = (
    Work("bundled table, 0.16 s a network", 0.16, 0.5e6, population=64),
    Work("10,000 columns, 6.6 s a network", 6.6, 80e6),
    Work("500,000 people, 11 s a network", 11.0, 80e6),
)


def main() -> None:
    table = rows(WORKS, PARENTS)
    plot(table, HERE.parent / "docs/images/cluster_simulation.png")
    names = [parent.name for parent in PARENTS]
    shown = table[table["workers"].isin(SHOWN)]
    wide = shown.pivot(index=["networks", "workers"], columns="parent", values="efficiency")
    wide = wide.reindex(columns=names).loc[[work.name for work in WORKS]].round(2)
    last = shown[shown["parent"] == names[-1]].set_index(["networks", "workers"])
    wide["hours, ten parents"] = last["hours"].map("{:,.1f}".format)
    wide["dollars"] = last["dollars"].map("{:,.0f}".format)
    wide = wide.reset_index()
    wide["workers"] = wide["workers"].map("{:,}".format)
    print(as_markdown(wide))
    of_100 = table[(table["workers"] == 100) & table["parent"].isin(names[:3])]
    figures = [
        Figure(
            f"efficiency of 100 workers, simulated, least of three stores: {work.name}",
            float(of_100.loc[of_100["networks"] == work.name, "efficiency"].min()), AIM,
            at_least=True, because="the parent is saturated by networks this small",
        )
        for work in WORKS
    ]  # fmt: skip
    words = (
        f"{NETWORKS:,} networks, by discrete events from the measured times of a parent "
        "(docs/scaling.md, where the tables of up to 10,000 workers stand). Share of the workers' "
        f"time in training; the aim is {AIM} at 100 workers."
    )
    at_100 = of_100.pivot(index="networks", columns="parent", values="efficiency")
    at_100 = at_100.reindex(columns=names[:3]).loc[[work.name for work in WORKS]]
    title = "A million networks on 100 workers"
    write(title, "cluster_simulation.py", words, at_100.round(2).reset_index(), figures)
    for parent in PARENTS:
        print(
            f"{parent.name}: 100 workers are used to 0.9 by networks that train for "
            f"{least_seconds(parent):.1f} s or more"
        )
    for work in WORKS:
        for parent in PARENTS:
            print(f"{work.name}: {parent.name} saturates at {saturation(work, parent):.0f} workers")


if __name__ == "__main__":
    main()
