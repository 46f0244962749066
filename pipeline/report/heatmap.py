"""First-layer weights → PNG, drawn pixel by pixel, which costs little for two of each network.

Everything that stays the same for all networks of one shape (frame, names in both inks, legend) is
rasterized once; for each network only the cells, the bars, the choice of inks, the title and the
scale's numbers are put in.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.report.raster import (
    FAINT,
    FAMILIES,
    FAMILY_COLORS,
    GREYS,
    WHITE,
    ZERO,
    ZEROED,
    ZEROED_LINE,
    common_ink,
    fitted,
    font,
    png_of,
    put,
    text_ink,
    wrapped,
)
from pipeline.results import Inputs, kept_variables, variable_norms

FAINTEST = 16  # of ZERO = 90 steps of color: that of the smallest weight that is not 0
POWER = 0.4
"""Color steps grow with |w| to this power. On a linear scale one strong row leaves every other kept
row white; on a logarithmic one all kept rows look alike. This one keeps both presence and rank."""
MOST_ROWS = 400  # of a picture that shows every column
STRONGEST_ROWS = 100  # of a picture of more columns than that
BAR_WIDTH, BAR_NUMBER = 54, 40  # of the strip of norms, in CSS pixels: the bars, and their numbers


def weight_scale(*layers: np.ndarray) -> float:
    """Where the colors end: max |w|, or a robust end where a few outliers would wash out the rest.

    The 99.5th percentile of the non-zero |w| is taken when max |w| is more than 1.5 times as large.
    The picture says how many weights lie beyond.
    """
    sizes = np.concatenate([np.abs(np.asarray(x, dtype=float)).ravel() for x in layers])
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    if sizes.size == 0:
        return 1.0
    robust = float(np.quantile(sizes, 0.995))
    return robust if sizes.max() > 1.5 * robust else float(sizes.max())


def color_steps(weights: np.ndarray, scale: float) -> np.ndarray:
    """Weights → −ZERO … ZERO steps away from white: sign(w)·(f + (1 − f)·min(|w|/scale, 1)^POWER).

    0 is for exactly 0 alone (and for what is no number); every other weight is at least
    f = FAINTEST steps away, so that a kept variable is never white.
    """
    weights = np.nan_to_num(np.asarray(weights, dtype=float), posinf=np.inf, neginf=-np.inf)
    share = np.minimum(np.abs(weights) / scale, 1.0) ** POWER
    steps = np.round(FAINTEST + (ZERO - FAINTEST) * share)
    return (np.sign(weights) * steps).astype(int)


def strongest_rows(inputs: Inputs, *layers: np.ndarray, most: int = STRONGEST_ROWS) -> np.ndarray:
    """Indices of the columns of the strongest variables, in the order of the input.

    Strength is the largest ‖W_g‖ over the (p, h) layers. Whole variables, at most `most` columns
    in all; of a single variable with more columns than that, its strongest. Variables that every
    layer zeroes are left out, except that one is shown where nothing is kept.
    """
    norms_of_layers = [np.fromiter(variable_norms(w, inputs).values(), float) for w in layers]
    norms = np.max(np.nan_to_num(norms_of_layers), axis=0)
    index, sizes = inputs.group_index, np.bincount(inputs.group_index)
    order = np.argsort(-norms, kind="stable")
    fits = np.cumsum(sizes[order]) <= most
    fits &= norms[order] > 0
    chosen = order[fits] if fits.any() else order[:1]
    rows = np.flatnonzero(np.isin(index, chosen))
    if len(rows) > most:
        strength = np.max([np.linalg.norm(np.nan_to_num(w[rows]), axis=1) for w in layers], axis=0)
        rows = np.sort(rows[np.argsort(-strength, kind="stable")[:most]])
    return rows


def of_rows(inputs: Inputs, rows: Sequence[int] | np.ndarray) -> Inputs:
    """These columns alone."""
    parts = (inputs.columns, inputs.variables, inputs.families)
    return Inputs(*(tuple(part[i] for i in rows) for part in parts))


def zeroed_text(first_layer: np.ndarray, inputs: Inputs, simulated: bool) -> str:
    """`zeroed: 20 of 20 genetic, 2 of 15 clinical · genotypes simulated`."""
    kept = kept_variables(first_layer, inputs)
    parts = []
    for family in dict.fromkeys(inputs.families):
        members = [kept[v] for v, f in inputs.family_of.items() if f == family]
        parts.append(f"{members.count(False):,} of {len(members):,} {family}")
    genetic = simulated and "genetic" in inputs.families
    return "zeroed: " + ", ".join(parts) + (" · genotypes simulated" if genetic else "")


def others_text(first_layer: np.ndarray, inputs: Inputs, rows: np.ndarray) -> str:
    """Of a picture of some rows: `23 strongest of 20,000 variables; of the others 5 are kept`."""
    kept = kept_variables(first_layer, inputs)
    shown = dict.fromkeys(inputs.variables[i] for i in rows)
    others = sum(kept.values()) - sum(kept[v] for v in shown)
    verb = "is" if others == 1 else "are"
    tail = f"of the others {others:,} {verb} kept" if others else "all others are zeroed"
    return f"the {len(shown):,} strongest of {len(kept):,} variables; {tail}"


class HeatMap:
    """Draws first layers of one shape: a row a column of the input, a column a hidden unit.

    Beside the rows a bar shows each variable's ‖W_g‖ on a linear scale, and its number.

    inputs     the p columns: names, variables (bracketed when of several columns), families.
    units      h, the hidden units.
    simulated  whether genetic columns come from simulated genotypes, which the picture then says.
    rows       the columns to show; unless given all of them, and of more than MOST_ROWS the
               `strongest_rows` of each layer.
    cells_width, cells_height
               about how large the field of cells may be, in CSS pixels.
    ratio      device pixels for one CSS pixel.
    """

    def __init__(
        self,
        inputs: Inputs,
        units: int,
        simulated: bool,
        *,
        rows: np.ndarray | None = None,
        cells_width: int = 520,
        cells_height: int = 1200,
        ratio: int = 1,
    ) -> None:
        self.all_inputs, self.units, self.simulated, self.ratio = inputs, units, simulated, ratio
        self.columns = len(inputs.columns)
        self._size = {"cells_width": cells_width, "cells_height": cells_height, "ratio": ratio}
        self.shown = rows
        if rows is None and self.columns > MOST_ROWS:
            return  # laid out for each layer, since each shows other rows
        self.inputs = inputs if rows is None else of_rows(inputs, rows)
        self.rows = len(self.inputs.columns)
        r = ratio
        self.cell_width = int(np.clip(round(cells_width * r / max(units, 1)), 1, 26 * r))
        self.cell_height = int(np.clip(cells_height * r // max(self.rows, 1), 1, 16 * r))
        self.font, self.bold, self.small = font(11 * r), font(13 * r, bold=True), font(10 * r)
        self.line = 13 * r  # height of a line of names
        self._lay_out()
        self._draw_names()
        self._draw_base()

    def _lay_out(self) -> None:
        r, families = self.ratio, self.inputs.families
        names = [fitted(c, self.font, 190 * r) for c in self.inputs.columns]
        self.names = names
        names_width = max((int(self.font.getlength(n)) for n in names), default=0)
        self.names_right = 30 * r + names_width
        self.left = self.names_right + 12 * r  # of the cells
        self.strip = self.left + self.cell_width * self.units + 8 * r  # left end of the bars
        self.width = max(self.strip + (BAR_WIDTH + BAR_NUMBER) * r, 440 * r)
        self.top = 78 * r
        gaps = np.cumsum([i > 0 and families[i] != families[i - 1] for i in range(self.rows)])
        self.tops = self.top + np.arange(self.rows) * self.cell_height + gaps * 12 * r
        self.bottom = int(self.tops[-1]) + self.cell_height if self.rows else self.top
        self.height = self.bottom + 62 * r
        self.blocks: list[list[int]] = []  # first row, end row of each stretch of one family
        for i in range(self.rows):
            if i == 0 or families[i] != families[i - 1]:
                self.blocks.append([i, i])
            self.blocks[-1][1] = i + 1
        self.rows_of: dict[str, list[int]] = {}
        for i, variable in enumerate(self.inputs.variables):
            self.rows_of.setdefault(variable, []).append(i)

    def _draw_names(self) -> None:
        """Every column's name in both inks: kept, and zeroed (faint and struck through)."""
        self.kept_ink, self.zeroed_ink = [], []
        for name in self.names:
            self.kept_ink.append(text_ink(name, self.font))
            struck = text_ink(name, self.font, FAINT)
            middle = struck.shape[0] // 2
            struck[middle : middle + self.ratio, :] = WHITE + int(FAINT * GREYS)
            self.zeroed_ink.append(struck)

    def _draw_base(self) -> None:
        r = self.ratio
        base = np.full((self.height, self.width), WHITE, dtype=np.uint8)
        order = list(dict.fromkeys(self.inputs.families))
        self.color_of = {f: FAMILIES + i % FAMILY_COLORS for i, f in enumerate(order)}
        for start, end in self.blocks:
            family = self.inputs.families[start]
            top, bottom = int(self.tops[start]), int(self.tops[end - 1]) + self.cell_height
            base[top:bottom, 18 * r : 22 * r] = self.color_of[family]
            words = f"{family} (simulated)" if self.simulated and family == "genetic" else family
            label = text_ink(fitted(words, self.font, bottom - top), self.font)
            if bottom - top >= 3 * self.line:
                put(base, np.rot90(label), (top + bottom - label.shape[1]) // 2, 2 * r)
        put(base, text_ink("‖W_g‖", self.small, 0.75), self.top - 16 * r, self.strip)
        self._draw_brackets(base)
        self._draw_legend(base)
        self.base = base

    def _draw_brackets(self, base: np.ndarray) -> None:
        """A bracket left of the cells joins the columns of one variable."""
        r, ink, x = self.ratio, WHITE + GREYS // 2, self.left - 6 * self.ratio
        for rows in self.rows_of.values():
            if len(rows) < 2:
                continue
            inset = min(2 * r, self.cell_height // 4)
            top = int(self.tops[rows[0]]) + inset
            bottom = int(self.tops[rows[-1]]) + self.cell_height - inset
            base[top:bottom, x : x + r] = ink
            base[top : top + r, x : x + 4 * r] = ink
            base[bottom - r : bottom, x : x + 4 * r] = ink

    def _draw_legend(self, base: np.ndarray) -> None:
        """The ramp from the strongest negative weight over white to the strongest positive one."""
        r, top = self.ratio, self.bottom + 10 * self.ratio
        self.bar = (30 * r, top, 190 * r)  # left, top, width
        half = 90 * r
        ramp = np.round(np.linspace(FAINTEST, ZERO, half)).astype(int)
        white = np.zeros(10 * r, dtype=int)
        steps = ZERO + np.concatenate([-ramp[::-1], white, ramp])
        base[top : top + 10 * r, 30 * r : 220 * r] = steps.astype(np.uint8)
        x = 236 * r
        for color, words in ((ZERO, "exactly 0"), (ZEROED, "zeroed variable")):
            box = np.full((10 * r, 16 * r), WHITE + GREYS // 2, dtype=np.uint8)
            box[r:-r, r:-r] = color
            if color == ZEROED:
                box[5 * r : 6 * r, r:-r] = ZEROED_LINE
            put(base, box, top, x)
            label = text_ink(words, self.small)
            put(base, label, top - 1 * r, x + 20 * r)
            x += 30 * r + label.shape[1]

    def _labeled_rows(self, strength: np.ndarray) -> list[int]:
        """Rows whose names fit without touching; kept and strong ones have the first claim."""
        if self.cell_height >= self.line:
            return list(range(self.rows))
        taken = np.zeros(self.height, dtype=bool)
        chosen = []
        for i in np.argsort(-strength, kind="stable"):
            middle = int(self.tops[i]) + self.cell_height // 2
            span = slice(middle - self.line // 2, middle - self.line // 2 + self.line)
            if not taken[span].any():
                taken[span] = True
                chosen.append(int(i))
        return chosen

    def _draw_cells(self, canvas: np.ndarray, layer: np.ndarray, scale: float) -> np.ndarray:
        """The cells; returns (p,) booleans, whether each column's variable is zeroed."""
        cells = (ZERO + color_steps(layer, scale)).astype(np.uint8)
        kept = kept_variables(layer, self.inputs)
        zeroed = np.array([not kept[v] for v in self.inputs.variables], dtype=bool)
        cells[zeroed] = ZEROED
        cells = np.repeat(cells, self.cell_width, axis=1)
        line = max(self.cell_height // 14, 0)  # a white line between rows that are high enough
        middle, thick = self.cell_height // 2, self.ratio
        right = self.left + cells.shape[1]
        for start, end in self.blocks:
            block = np.repeat(cells[start:end], self.cell_height, axis=0)
            by_row = block.reshape(end - start, self.cell_height, -1)
            if self.cell_height >= 8 * self.ratio:  # zeroed rows are struck through as their names
                by_row[zeroed[start:end], middle : middle + thick] = ZEROED_LINE
            if line:
                by_row[:, -line:] = WHITE
            top = int(self.tops[start])
            canvas[top : top + block.shape[0], self.left : right] = block
        return zeroed

    def _draw_bars(
        self, canvas: np.ndarray, norms: dict[str, float], end: float, labeled: set[int]
    ) -> None:
        """A bar for each variable's norm, `end` the longest; numbers beside labeled rows."""
        r = self.ratio
        thick = max(min(self.cell_height - 2 * r, 9 * r), 1)
        for variable, rows in self.rows_of.items():
            norm = norms[variable]
            joined = rows[-1] - rows[0] == len(rows) - 1
            last = rows[-1] if joined else rows[0]
            middle = (int(self.tops[rows[0]]) + int(self.tops[last]) + self.cell_height) // 2
            length = 0
            if norm > 0:
                length = max(round(BAR_WIDTH * r * min(norm / end, 1.0)), 2 * r)
                color = self.color_of[self.inputs.families[rows[0]]]
                top = middle - thick // 2
                canvas[top : top + thick, self.strip : self.strip + length] = color
            if labeled & set(rows):
                ink = self._number("0" if norm == 0 else f"{norm:.2g}", norm == 0)
                left = self.strip + length + 4 * r * (norm > 0)
                put(canvas, ink, middle - ink.shape[0] // 2, left)

    def _number(self, text: str, faint: bool) -> np.ndarray:
        return common_ink(text, self.small, FAINT if faint else 0.85)

    def _draw_scale(self, canvas: np.ndarray, scale: float) -> None:
        """The ramp's numbers: its ends, 0, and powers of ten where there is room."""
        r, (left, top, width) = self.ratio, self.bar
        center, half = left + width / 2, width / 2 - 5 * r
        powers = 10.0 ** np.arange(np.ceil(np.log10(scale)) - 1, np.log10(scale) - 6, -1)
        taken: list[tuple[float, float]] = []
        for value in (scale, 0.0, *powers):
            share = (value / scale) ** POWER
            if value and share < 0.04:
                break
            for sign in (-1, 1) if value else (1,):
                x = center + sign * (5 * r + half * share) * (value > 0)
                text = f"{value:.2g}" if value >= 1e-3 or not value else f"{value:.0e}"
                ink = self._number(("−" if sign < 0 else "") + text, False)
                low, high = x - ink.shape[1] / 2 - 3 * r, x + ink.shape[1] / 2 + 3 * r
                canvas[top + 10 * r : top + 12 * r, int(x - r / 2) : int(x + r / 2) + 1] = (
                    WHITE + 40
                )
                if all(high <= a or low >= b for a, b in taken):
                    taken.append((low, high))
                    put(canvas, ink, top + 12 * r, low + 3 * r)

    def _draw_words(
        self, canvas: np.ndarray, layer: np.ndarray, title: str, scale: float, words: Sequence[str]
    ) -> None:
        r, room = self.ratio, self.width - 14 * self.ratio
        heading, _, rest = title.partition(" · ")
        put(canvas, common_ink(fitted(heading, self.bold, room), self.bold), 6 * r, 6 * r)
        zeroed, others = words
        lines = wrapped(f"{rest} · {zeroed}" if rest else zeroed, self.font, room, lines=2)
        for i, line in enumerate(lines):
            put(canvas, text_ink(line, self.font, 0.75), (25 + 15 * i) * r, 6 * r)
        self._draw_scale(canvas, scale)
        left, top, _ = self.bar
        sizes = np.abs(layer[np.isfinite(layer)])
        beyond = int(np.sum(sizes > scale * (1 + 1e-9)))
        units = f"{self.units} hidden unit" + ("s" if self.units != 1 else "")
        note = f"first-layer weights w · {units} · color steps by |w|^{POWER:g}"
        if beyond:
            note += f" · {beyond:,} beyond the scale, largest {sizes.max():.2g}"
        note = others or note
        put(canvas, common_ink(fitted(note, self.small, room - left), self.small, 0.75),
            top + 30 * r, left)  # fmt: skip

    def pixels(
        self,
        first_layer: np.ndarray,
        title: str,
        scale: float | None = None,
        norm_scale: float | None = None,
    ) -> np.ndarray:
        """(height, width) palette indices."""
        layer = np.asarray(first_layer, dtype=float)
        if layer.shape != (self.columns, self.units):
            raise ValueError(
                f"first_layer must be (columns, units) = ({self.columns}, {self.units}), "
                f"but got {layer.shape}"
            )
        scale = weight_scale(layer) if scale is None else scale
        if self.shown is None and self.columns > MOST_ROWS:
            rows = strongest_rows(self.all_inputs, layer)
            framed = HeatMap(self.all_inputs, self.units, self.simulated, rows=rows, **self._size)
            return framed.pixels(layer, title, scale, norm_scale)
        words = [zeroed_text(layer, self.all_inputs, self.simulated), ""]
        if self.shown is not None and len(self.shown) < self.columns:
            words[1] = others_text(layer, self.all_inputs, self.shown)
        layer = layer if self.shown is None else layer[self.shown]
        canvas = self.base.copy()
        zeroed = self._draw_cells(canvas, layer, scale)
        norms = variable_norms(np.nan_to_num(layer), self.inputs)
        strength = np.where(zeroed, -1.0, np.linalg.norm(np.nan_to_num(layer), axis=1))
        labeled = self._labeled_rows(strength)
        for i in labeled:
            ink = self.zeroed_ink[i] if zeroed[i] else self.kept_ink[i]
            top = int(self.tops[i]) + (self.cell_height - ink.shape[0]) // 2
            put(canvas, ink, top, self.names_right - ink.shape[1])
        end = norm_scale or max(norms.values(), default=0.0) or 1.0
        self._draw_bars(canvas, norms, end, set(labeled))
        self._draw_words(canvas, layer, title, scale, words)
        return canvas

    def png(
        self, first_layer: np.ndarray | None, title: str, scale: float | None = None
    ) -> bytes | None:
        """PNG of one network's (p, h) first layer; None without one.

        title  pieces joined by ` · `, the first in bold: `group_lasso c3 s5 · best epoch 15`;
               what is zeroed, and that genotypes are simulated, is added here.
        scale  |w| at which the colors end; by default this layer's own `weight_scale`.
        """
        if first_layer is None:
            return None
        return png_of(self.pixels(first_layer, title, scale), self.ratio)
