"""What a report says of genetic variants: a table of the first of each locus, and the figure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.report.figures import manhattan, png
from pipeline.report.pictures import Picture
from pipeline.report.summary import Summary
from pipeline.report.tables import Rows
from pipeline.serving import chromosome_name

LOCUS_BASE_PAIRS, LOCI = 250_000, 12
LETTERED, UNPLACED = ("X", "Y", "XY", "MT"), "unplaced"


@dataclass(frozen=True)
class VariantChapter:
    """Sentences, the figure and, of each network, the table of its first variants."""

    sentences: tuple[str, ...]
    picture: Picture | None = None
    tables: tuple[tuple[str, Rows], ...] = ()


def variant_chapter(summary: Summary) -> VariantChapter | None:
    """None for a study without genotypes, or whose networks were trained elsewhere."""
    shown = summary.results.variants
    if shown is None:
        return None
    if not len(shown):
        return VariantChapter(
            (
                "Every genetic dimension is zeroed at the best epoch in all networks of the best "
                "configuration with genetic inputs, so no variant has a weight.",
            )
        )
    caption = (
        "A dot a variant: what training made the hidden units see of one standard deviation of its "
        "genotype, ‖(ΔV·W)ⱼ‖. ΔV are the encoder's weights without the seed's random start, W the "
        "first layer's; both at the best epoch."
    )
    if not shown["drawn"].astype(bool).all() or len(shown) < shown["of"].iloc[0]:
        caption += " Drawn are the largest of every stretch of the genome."
    picture = Picture(
        "variants",
        png(manhattan(on_the_axis(shown))),
        "weights of variants along the genome",
        caption,
    )
    by_network = [(n, part) for n, part in shown.groupby("network", sort=False)]
    return VariantChapter(
        tuple(_causal_ranks(name, part) for name, part in by_network if "causal" in part),
        picture,
        tuple((name, _rows(part)) for name, part in by_network),
    )


def on_the_axis(shown: pd.DataFrame) -> pd.DataFrame:
    """With the chromosomes that an axis has: plain names, and `unplaced` for all that have no
    number, so that a hundred contigs are one stretch at the end."""
    names = {text: chromosome_name(str(text)) for text in dict.fromkeys(shown["chromosome"])}
    has_place = {n: (n.isdigit() and int(n) > 0) or n in LETTERED for n in names.values()}
    axis = {text: name if has_place[name] else UNPLACED for text, name in names.items()}
    return shown.assign(chromosome=shown["chromosome"].map(axis))


def leads(shown: pd.DataFrame, most: int = LOCI) -> pd.DataFrame:
    """The variants of the largest weights, one within each LOCUS_BASE_PAIRS to either side."""
    chosen: list[int] = []
    ordered = shown.sort_values("rank", kind="stable").reset_index(drop=True)
    for i, (chromosome, position) in enumerate(zip(ordered["chromosome"], ordered["position"])):
        near = any(
            chromosome == ordered["chromosome"][j]
            and abs(position - ordered["position"][j]) <= LOCUS_BASE_PAIRS
            for j in chosen
        )
        if not near:
            chosen.append(i)
        if len(chosen) == most:
            break
    return ordered.iloc[chosen]


def _distance(lead: pd.DataFrame, causal: pd.DataFrame) -> np.ndarray:
    """Base pairs from each to the nearest causal variant of its chromosome; infinite if none."""
    places = {c: at.to_numpy(float) for c, at in causal.groupby("chromosome")["position"]}
    return np.array(
        [
            np.abs(places.get(c, np.array([])) - p).min(initial=np.inf)
            for c, p in zip(lead["chromosome"], lead["position"])
        ]
    )


def _causal_ranks(network: str, shown: pd.DataFrame) -> str:
    """Where the causal variants stand among all."""
    ranks, total = shown["rank"][shown["causal"].astype(bool)], int(shown["of"].iloc[0])
    return (
        f"{network}: the {len(ranks)} causal variants of the simulation have a median rank of "
        f"{ranks.median():,.0f} of {total:,} variants ({(total + 1) / 2:,.0f} by chance)."
    )


def _rows(shown: pd.DataFrame) -> Rows:
    lead = leads(shown)
    head = [
        "variant",
        "chromosome",
        "position",
        "alleles",
        "frequency",
        "learned",
        "with start",
        "rank",
    ]
    simulated = "causal" in shown
    if simulated:
        head.append("nearest causal variant")
        distance = _distance(lead, shown[shown["causal"].astype(bool)])
    rows = []
    for i, row in enumerate(lead.itertuples()):
        texts = [row.id, row.chromosome, f"{row.position:,}", f"{row.allele_1} / {row.allele_2}"]
        texts += [f"{float(row.frequency):.3f}", f"{float(row.learned):.3g}"]
        texts += [f"{float(row.weight):.3g}", f"{int(row.rank):,}"]
        if simulated:
            far = not np.isfinite(distance[i])
            texts.append("–" if far else "itself" if distance[i] == 0 else _kilobases(distance[i]))
        rows.append(texts)
    return head, rows


def _kilobases(base_pairs: float) -> str:
    return f"{base_pairs / 1e3:,.0f} kb"
