"""First-layer weights → PNG, drawn pixel by pixel so that two a network cost next to nothing.

Everything that stays the same for all networks of one shape (frame, names in both inks, legend) is
rasterized once; for each network only the cells, the choice of inks, the title and the scale's
numbers are put in. Pixels are indices into one palette of up to 256 colors. Needs Pillow alone.
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageFont

from pipeline.results import Inputs, kept_variables

# ColorBrewer's RdBu (11 classes), reversed: blue is negative, red positive, white exactly zero.
_ANCHORS = [
    "053061",
    "2166ac",
    "4393c3",
    "92c5de",
    "d1e5f0",
    "ffffff",
    "fddbc7",
    "f4a582",
    "d6604d",
    "b2182b",
    "67001f",
]
_FAMILY_COLORS = ["0072b2", "d55e00", "009e73", "cc79a7", "e69f00", "56b4e9"]  # Okabe and Ito
ZERO = 90  # palette index of a weight of exactly 0; 0 … 180 are the weights' colors
WHITE, GREYS = 181, 60  # 181 … 240: white to black, for ink
ZEROED = 241  # flat gray of a zeroed variable
_FAMILIES = 242
FAINT = 0.42  # darkness of a zeroed variable's name


def _rgb(code: str) -> tuple[int, ...]:
    return tuple(int(code[i : i + 2], 16) for i in (0, 2, 4))


def _palette() -> list[int]:
    anchors = np.array([_rgb(code) for code in _ANCHORS], dtype=float)
    steps = np.linspace(0, len(anchors) - 1, 2 * ZERO + 1)
    weights = np.stack([np.interp(steps, range(len(anchors)), c) for c in anchors.T], axis=1)
    grays = np.repeat(np.linspace(255, 0, GREYS)[:, None], 3, axis=1)
    rest = np.array([(222, 222, 222), *(_rgb(code) for code in _FAMILY_COLORS)])
    return np.concatenate([weights, grays, rest]).round().astype(int).ravel().tolist()


PALETTE = _palette()


def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    (folder,) = importlib.util.find_spec("matplotlib").submodule_search_locations
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(folder) / "mpl-data" / "fonts" / "ttf" / name), size)


def printable(text: str) -> str:
    """The text with a space for each line break or control character."""
    return "".join(c if c.isprintable() else " " for c in text)


def text_ink(text: str, font: ImageFont.FreeTypeFont, darkness: float = 1.0) -> np.ndarray:
    """A line of text as palette indices, (ascent + descent) pixels high."""
    text = printable(text) or " "
    ascent, descent = font.getmetrics()
    mask, (left, top) = font.getmask2(text, mode="L")
    coverage = np.array(mask, dtype=float).reshape(mask.size[::-1]) / 255
    box = np.zeros((ascent + descent, coverage.shape[1] + max(left, 0)))
    rows = min(coverage.shape[0], box.shape[0] - top)
    box[top : top + rows, max(left, 0) :] = coverage[:rows]
    return (WHITE + np.round(box * darkness * (GREYS - 1))).astype(np.uint8)


def fitted(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """The text, its end replaced by … where it is wider than `width` pixels."""
    text = printable(text)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: float, lines: int) -> list[str]:
    """Broken at ` · ` into at most `lines` lines; what still does not fit ends in …."""
    rows: list[str] = []
    for piece in text.split(" · "):
        joined = f"{rows[-1]} · {piece}" if rows else piece
        if rows and (font.getlength(joined) <= width or len(rows) == lines):
            rows[-1] = joined
        else:
            rows.append(piece)
    return [fitted(row, font, width) for row in rows]


def put(canvas: np.ndarray, sprite: np.ndarray, top: int, left: int) -> None:
    """Copy the sprite in, cut off at the canvas's edges."""
    top, left = max(int(top), 0), max(int(left), 0)
    part = sprite[: canvas.shape[0] - top, : canvas.shape[1] - left]
    canvas[top : top + part.shape[0], left : left + part.shape[1]] = part


def encode(canvas: np.ndarray, ratio: float = 1.0) -> bytes:
    """Palette indices → PNG; `ratio` pixels make one CSS pixel."""
    image = Image.fromarray(canvas, mode="L")
    image = Image.frombytes("P", image.size, canvas.tobytes())
    image.putpalette(PALETTE)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=2, dpi=(96 * ratio, 96 * ratio))
    return buffer.getvalue()


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


def zeroed_text(first_layer: np.ndarray, inputs: Inputs, simulated: bool) -> str:
    """`zeroed: 20 of 20 genetic, 2 of 15 clinical · genotypes simulated`."""
    kept = kept_variables(first_layer, inputs)
    parts = []
    for family in dict.fromkeys(inputs.families):
        own = [kept[v] for v, f in inputs.family_of.items() if f == family]
        parts.append(f"{own.count(False)} of {len(own)} {family}")
    genetic = simulated and "genetic" in inputs.families
    return "zeroed: " + ", ".join(parts) + (" · genotypes simulated" if genetic else "")


class HeatMap:
    """Draws first layers of one shape: a row a column of the input, a column a hidden unit.

    inputs     the p columns: names, variables (bracketed when of several columns), families.
    units      h, the hidden units.
    simulated  whether genetic columns come from simulated genotypes, which the picture then says.
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
        cells_width: int = 520,
        cells_height: int = 1200,
        ratio: int = 1,
    ) -> None:
        self.inputs, self.units, self.simulated, self.ratio = inputs, units, simulated, ratio
        self.rows = len(inputs.columns)
        r = ratio
        self.cell_width = int(np.clip(round(cells_width * r / max(units, 1)), 1, 26 * r))
        self.cell_height = int(np.clip(cells_height * r // max(self.rows, 1), 1, 16 * r))
        self.font, self.bold, self.small = _font(11 * r), _font(13 * r, bold=True), _font(10 * r)
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
        cells_width = self.cell_width * self.units
        self.width = max(self.left + cells_width + 12 * r, 400 * r)
        self.top = 62 * r
        gaps = np.cumsum([i > 0 and families[i] != families[i - 1] for i in range(self.rows)])
        self.tops = self.top + np.arange(self.rows) * self.cell_height + gaps * 12 * r
        self.bottom = int(self.tops[-1]) + self.cell_height if self.rows else self.top
        self.height = self.bottom + 62 * r
        self.blocks = []  # (first row, end row) of each stretch of one family
        for i in range(self.rows):
            if i == 0 or families[i] != families[i - 1]:
                self.blocks.append([i, i])
            self.blocks[-1][1] = i + 1

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
        for start, end in self.blocks:
            family = self.inputs.families[start]
            top, bottom = int(self.tops[start]), int(self.tops[end - 1]) + self.cell_height
            base[top:bottom, 18 * r : 22 * r] = _FAMILIES + order.index(family) % 6
            said = f"{family} (simulated)" if self.simulated and family == "genetic" else family
            label = text_ink(fitted(said, self.font, bottom - top), self.font)
            if bottom - top >= 3 * self.line:
                put(base, np.rot90(label), (top + bottom - label.shape[1]) // 2, 2 * r)
        self._draw_brackets(base)
        self._draw_legend(base)
        self.base = base

    def _draw_brackets(self, base: np.ndarray) -> None:
        """A bracket left of the cells joins the columns of one variable."""
        r, ink, x = self.ratio, WHITE + GREYS // 2, self.left - 6 * self.ratio
        for variable in dict.fromkeys(self.inputs.variables):
            rows = [i for i, v in enumerate(self.inputs.variables) if v == variable]
            if len(rows) < 2:
                continue
            inset = min(2 * r, self.cell_height // 4)
            top = int(self.tops[rows[0]]) + inset
            bottom = int(self.tops[rows[-1]]) + self.cell_height - inset
            base[top:bottom, x : x + r] = ink
            base[top : top + r, x : x + 4 * r] = ink
            base[bottom - r : bottom, x : x + 4 * r] = ink

    def _draw_legend(self, base: np.ndarray) -> None:
        r, top = self.ratio, self.bottom + 10 * self.ratio
        self.bar = (30 * r, top, 170 * r)  # left, top, width
        ramp = np.round(np.linspace(0, 2 * ZERO, 170 * r)).astype(np.uint8)
        base[top : top + 10 * r, 30 * r : 200 * r] = ramp
        for x, color, words in ((216, ZEROED, "zeroed variable"), (326, ZERO, "exactly 0")):
            box = np.full((10 * r, 14 * r), WHITE + GREYS // 2, dtype=np.uint8)
            box[r:-r, r:-r] = color
            put(base, box, top, x * r)
            put(base, text_ink(words, self.small), top - 1 * r, (x + 18) * r)

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
        steps = np.clip(np.nan_to_num(layer / scale) * ZERO, -ZERO, ZERO)
        steps = np.where(np.abs(steps) < 1, np.sign(layer), np.round(steps))  # only 0 is white
        cells = (ZERO + np.nan_to_num(steps)).astype(np.uint8)
        kept = kept_variables(layer, self.inputs)
        zeroed = np.array([not kept[v] for v in self.inputs.variables], dtype=bool)
        cells[zeroed] = ZEROED
        cells = np.repeat(cells, self.cell_width, axis=1)
        line = max(self.cell_height // 14, 0)  # a white line between rows that are high enough
        right = self.left + cells.shape[1]
        for start, end in self.blocks:
            block = np.repeat(cells[start:end], self.cell_height, axis=0)
            if line:
                block.reshape(end - start, self.cell_height, -1)[:, -line:] = WHITE
            top = int(self.tops[start])
            canvas[top : top + block.shape[0], self.left : right] = block
        return zeroed

    def _draw_words(self, canvas: np.ndarray, layer: np.ndarray, title: str, scale: float) -> None:
        r, room = self.ratio, self.width - 14 * self.ratio
        heading, _, rest = title.partition(" · ")
        put(canvas, text_ink(fitted(heading, self.bold, room), self.bold), 6 * r, 6 * r)
        said = zeroed_text(layer, self.inputs, self.simulated)
        lines = _wrapped(f"{rest} · {said}" if rest else said, self.font, room, lines=2)
        for i, line in enumerate(lines):
            put(canvas, text_ink(line, self.font, 0.75), (25 + 15 * i) * r, 6 * r)
        left, top, width = self.bar
        for x, number in ((0.0, f"−{scale:.2g}"), (0.5, "0"), (1.0, f"{scale:.2g}")):
            ink = text_ink(number, self.small)
            put(canvas, ink, top + 12 * r, left + x * width - ink.shape[1] / 2)
        sizes = np.abs(layer[np.isfinite(layer)])
        beyond = int(np.sum(sizes > scale * (1 + 1e-9)))
        units = f"{self.units} hidden unit" + ("s" if self.units != 1 else "")
        note = f"first-layer weights · {units}"
        if beyond:
            note = f"{beyond} of {layer.size} weights beyond the scale, largest {sizes.max():.2g}"
        put(canvas, text_ink(fitted(note, self.small, room - left), self.small, 0.75),
            top + 30 * r, left)  # fmt: skip

    def pixels(self, first_layer: np.ndarray, title: str, scale: float | None = None) -> np.ndarray:
        """(height, width) palette indices."""
        layer = np.asarray(first_layer, dtype=float)
        if layer.shape != (self.rows, self.units):
            raise ValueError(
                f"first_layer must be (columns, units) = ({self.rows}, {self.units}), "
                f"but got {layer.shape}"
            )
        scale = weight_scale(layer) if scale is None else scale
        canvas = self.base.copy()
        zeroed = self._draw_cells(canvas, layer, scale)
        strength = np.where(zeroed, -1.0, np.linalg.norm(np.nan_to_num(layer), axis=1))
        for i in self._labeled_rows(strength):
            ink = self.zeroed_ink[i] if zeroed[i] else self.kept_ink[i]
            top = int(self.tops[i]) + (self.cell_height - ink.shape[0]) // 2
            put(canvas, ink, top, self.names_right - ink.shape[1])
        self._draw_words(canvas, layer, title, scale)
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
        return encode(self.pixels(first_layer, title, scale), self.ratio)


def side_by_side(pictures: Sequence[np.ndarray], per_row: int, gap: int) -> np.ndarray:
    """Several pictures of palette indices in a grid, aligned at their tops."""
    rows = [pictures[i : i + per_row] for i in range(0, len(pictures), per_row)]
    width = max(sum(p.shape[1] for p in row) + gap * (len(row) - 1) for row in rows)
    height = sum(max(p.shape[0] for p in row) for row in rows) + gap * (len(rows) - 1)
    canvas = np.full((height, width), WHITE, dtype=np.uint8)
    top = 0
    for row in rows:
        left = 0
        for picture in row:
            put(canvas, picture, top, left)
            left += picture.shape[1] + gap
        top += max(p.shape[0] for p in row) + gap
    return canvas
