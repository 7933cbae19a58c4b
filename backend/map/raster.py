"""A map as a picture, for browsers that cannot draw it themselves."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.core.errors import InputError

WIDTH, HEIGHT = 1280, 576
MARGIN = 0.02
"""Share of the map left free on each side, so that points on the border are whole."""
SELECTED, FILTERED_OUT = 1, 2
_HEX = re.compile(r"#([0-9a-fA-F]{6})")
_RGB = re.compile(r"rgb\(([0-9.]{1,8}),([0-9.]{1,8}),([0-9.]{1,8})\)")


def css_colour(colour: str) -> str:
    """A colour given as ``#rrggbb`` or ``rgb(r, g, b)``, as ``#rrggbb``.

    Raises
    ------
    InputError
        For any other text; nothing else reaches a page as a colour.
    """
    if _HEX.fullmatch(colour):
        return colour.lower()
    found = _RGB.fullmatch(colour.replace(" ", ""))
    try:
        parts = [round(float(part)) for part in found.groups()] if found else []
    except ValueError:
        parts = []
    if not parts or max(parts) > 255:
        raise InputError(f"a colour must be #rrggbb or rgb(r, g, b): got {colour[:40]!r}.")
    return "#" + "".join(f"{part:02x}" for part in parts)


def drawing_order(
    codes: NDArray[np.uint8],
    state: NDArray[np.uint8],
    *,
    by_code: bool = False,
    hide_filtered: bool = False,
    aside: bool = True,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows in the order they are drawn, what matters most last; and the layer of each of them.

    Layers: 0 set aside by the filters, 1 context beside a selection, 2 in its own colour, 3 selected.
    Without ``aside`` a selection leaves the others in their own colours. Within layers 2 and 3, rare codes come after frequent ones, or high ones after low ones with
    ``by_code``. Ties keep the order of rows.
    """
    stepping = aside and bool((state & SELECTED).any())
    layer = np.full(len(codes), 1 if stepping else 2, dtype=np.int64)
    layer[(state & SELECTED) > 0] = 3
    layer[(state & FILTERED_OUT) > 0] = 0
    if by_code:
        rank = np.arange(256)
    else:
        frequent = np.argsort(-np.bincount(codes, minlength=256), kind="stable")
        rank = np.empty(256, dtype=np.int64)
        rank[frequent] = np.arange(256)
    order = np.argsort(layer * 256 + np.where(layer >= 2, rank[codes], 0), kind="stable")
    if hide_filtered:
        order = order[layer[order] > 0]
    return order, layer[order]


def draw_raster(
    steps: NDArray[np.uint16],
    codes: NDArray[np.uint8],
    state: NDArray[np.uint8],
    colours: Sequence[str],
    *,
    context: str,
    accent: str,
    by_code: bool = False,
    hide_filtered: bool = False,
    aside: bool = True,
) -> bytes:
    """The map as a PNG on a transparent ground.

    Parameters
    ----------
    steps : uint16 array of shape (n, 2)
        Positions as packed for drawing; the picture holds the whole lattice and a small margin.
    codes, state : uint8 arrays of shape (n,)
        As for the map drawn by the browser.
    colours : sequence of str
        ``#rrggbb`` per code; ``context`` and ``accent`` likewise.

    Returns
    -------
    bytes
        1280 x 576 pixels. The more points on a pixel, the less of the ground shows through;
        selected points are drawn larger, with a rim of the accent.
    """
    order, layer = drawing_order(
        codes, state, by_code=by_code, hide_filtered=hide_filtered, aside=aside
    )
    scale = (1 - 2 * MARGIN) / 65_535
    x = ((MARGIN + steps[order, 0] * scale) * (WIDTH - 1)).astype(np.int64)
    y = ((1 - MARGIN - steps[order, 1] * scale) * (HEIGHT - 1)).astype(np.int64)
    place = y * WIDTH + x
    radius = 3 if len(codes) <= 5_000 else 2 if len(codes) <= 100_000 else 1
    alpha = np.array([0.2, 0.5, 0.8, 0.999])[layer]
    if len(codes) > 100_000:
        alpha[layer < 3] *= 0.6
    above = np.zeros(HEIGHT * WIDTH, dtype=np.int64)
    cover = np.zeros((HEIGHT, WIDTH))  # -log of what still shows through
    chosen = layer == 3
    for which, size in ((~chosen, radius), (chosen, radius + 1)):
        rows = np.flatnonzero(which)
        if len(rows):
            rim = radius if size > radius else size + 1
            _stamp(above, cover, place[rows], rows, -np.log1p(-alpha[rows]), size, rim)
    ink = np.array([_rgb(one) for one in colours], dtype=np.uint8)[codes[order]]
    ink[layer < 2] = _rgb(context)
    # Entry 0 is no point; then each point's colour and the colour of its rim take turns.
    both = np.zeros((2 + 2 * len(order), 3), dtype=np.uint8)
    both[2::2] = ink
    both[3::2] = _rgb(accent)
    covered = np.round(-np.expm1(-cover) * 255).astype(np.uint8)
    pixels = np.dstack([both[above].reshape(HEIGHT, WIDTH, 3), covered])
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def _stamp(
    above: NDArray[np.int64],
    cover: NDArray[np.float64],
    place: NDArray[np.int64],
    rows: NDArray[np.int64],
    weight: NDArray[np.float64],
    radius: int,
    rim: int,
) -> None:
    """Discs of one size. ``above`` holds 2 + 2 * row of the last point on a pixel, + 1 on its rim.

    The margin is wider than any disc, so none reaches the edge.
    """
    centres = np.bincount(place, weight, cover.size).reshape(cover.shape)
    reach = range(-radius, radius + 1)
    for dx, dy in ((i, j) for i in reach for j in reach if i * i + j * j <= radius * radius + 1):
        at = place + (dy * WIDTH + dx)
        # Rows ascend, and of equal places numpy keeps the last value written: the highest row.
        above[at] = np.maximum(above[at], 2 + 2 * rows + (dx * dx + dy * dy > rim * rim))
        cover += np.roll(centres, (dy, dx), axis=(0, 1))


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
