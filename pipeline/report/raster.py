"""Text and pictures as palette indices: fonts, inks, colors, PNG. Needs Pillow alone.

A picture is a (height, width) array of indices into one palette of up to 256 colors, so a PNG of
it is small and quick to write.
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageFont

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
_OKABE_ITO = ["0072b2", "d55e00", "009e73", "cc79a7", "e69f00", "56b4e9"]
ZERO = 90  # palette index of a weight of exactly 0; 0 … 180 are the weights' colors
WHITE, GREYS = 181, 60  # 181 … 240: white to black, for ink
ZEROED, ZEROED_LINE = 241, 242  # flat gray of a zeroed variable, and the line through it
FAMILIES, FAMILY_COLORS = 243, 6  # the first of the families' colors, and how many there are
FAINT = 0.42  # darkness of a zeroed variable's name


def _rgb(code: str) -> tuple[int, ...]:
    return tuple(int(code[i : i + 2], 16) for i in (0, 2, 4))


def _palette() -> list[int]:
    anchors = np.array([_rgb(code) for code in _ANCHORS], dtype=float)
    steps = np.linspace(0, len(anchors) - 1, 2 * ZERO + 1)
    weight_colors = np.stack([np.interp(steps, range(len(anchors)), c) for c in anchors.T], axis=1)
    grays = np.repeat(np.linspace(255, 0, GREYS)[:, None], 3, axis=1)
    rest = np.array([(238, 238, 238), (190, 190, 190), *(_rgb(code) for code in _OKABE_ITO)])
    return np.concatenate([weight_colors, grays, rest]).round().astype(int).ravel().tolist()


PALETTE = _palette()


def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, from matplotlib's folder, which is not imported."""
    package = importlib.util.find_spec("matplotlib")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("heat maps need the fonts of matplotlib, which is not installed")
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(
        str(Path(package.origin).parent / "mpl-data" / "fonts" / "ttf" / name), size
    )


def printable(text: str) -> str:
    """The text with a space for each line break or control character."""
    return "".join(c if c.isprintable() else " " for c in text)


def short_name(name: str) -> str:
    """The name as it stands beside an axis: its first 40 characters."""
    return printable(name if len(name) <= 40 else name[:39] + "…")


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


@lru_cache(maxsize=1024)
def common_ink(text: str, font: ImageFont.FreeTypeFont, darkness: float = 1.0) -> np.ndarray:
    """`text_ink` of what picture after picture has; read-only."""
    ink = text_ink(text, font, darkness)
    ink.flags.writeable = False
    return ink


def fitted(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """The text, its end replaced by … where it is wider than `width` pixels."""
    text = printable(text)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def wrapped(text: str, font: ImageFont.FreeTypeFont, width: float, lines: int) -> list[str]:
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


def png_of(canvas: np.ndarray, ratio: float = 1.0) -> bytes:
    """Palette indices → PNG; `ratio` pixels make one CSS pixel."""
    image = Image.frombytes("P", canvas.shape[::-1], canvas.tobytes())
    image.putpalette(PALETTE)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=2, dpi=(96 * ratio, 96 * ratio))
    return buffer.getvalue()


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
