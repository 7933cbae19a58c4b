"""The map as a picture: points as a PNG, numbers of regions as text above it."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Okabe, Ito: Color Universal Design, 2008; then three more. What comes after is "other".
HUES = (
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#CC79A7",
    "#D55E00",
    "#0072B2",
    "#F0E442",
    "#8C6BB1",
    "#66A61E",
    "#A6761D",
)
OTHER = "#7F7F7F"
WIDTH, HEIGHT = 720, 460
_SCALE, _MARGIN = 2, 14
_CONTEXT = (128, 132, 138)
_CONTEXT_ALPHA = 0.28


def hue(index: int) -> str:
    """Colour of the region at ``index``, counted from 0."""
    return HUES[index] if index < len(HUES) else OTHER


def map_picture(xy: NDArray[np.floating], groups: Sequence[NDArray[np.int64]]) -> bytes:
    """A transparent PNG of twice ``WIDTH`` x ``HEIGHT``: all points in grey, members in colour.

    Grey is readable on white and on black. Earlier regions are drawn above later ones.
    """
    spots = _SCALE * place(xy)
    crowd = np.zeros((_SCALE * HEIGHT, _SCALE * WIDTH))
    _stamp(spots, 2, lambda y, x: np.add.at(crowd, (y, x), 1.0))
    canvas = np.zeros((*crowd.shape, 4), dtype=np.uint8)
    canvas[..., :3] = _CONTEXT
    canvas[..., 3] = np.round(255 * (1 - (1 - _CONTEXT_ALPHA) ** np.minimum(crowd, 12)))
    for index in reversed(range(len(groups))):
        colour = (*bytes.fromhex(hue(index)[1:]), 255)

        def paint(
            y: NDArray[np.int64], x: NDArray[np.int64], colour: tuple[int, ...] = colour
        ) -> None:
            canvas[y, x] = colour

        _stamp(spots[groups[index]], 5, paint)
    sink = io.BytesIO()
    Image.fromarray(canvas, "RGBA").quantize(64).save(sink, "PNG", optimize=True)
    return sink.getvalue()


def place(xy: NDArray[np.floating]) -> NDArray[np.float64]:
    """Positions in the picture, (n, 2) in units of ``WIDTH`` x ``HEIGHT``, y downwards."""
    points = np.asarray(xy, dtype=np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    room = np.array([WIDTH, HEIGHT]) - 2 * _MARGIN
    scale = float((room / span).min())
    middle = (low + high) / 2
    return (points - middle) * [scale, -scale] + np.array([WIDTH, HEIGHT]) / 2


def _stamp(
    spots: NDArray[np.float64],
    radius: int,
    mark: Callable[[NDArray[np.int64], NDArray[np.int64]], None],
) -> None:
    """Call ``mark(y, x)`` for each offset of a disc around all spots."""
    center = np.round(spots).astype(np.int64)
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            if dx * dx + dy * dy <= radius * radius:
                mark(center[:, 1] + dy, center[:, 0] + dx)


def data_uri(image: bytes) -> str:
    """A raster image as a URI that is shown without another request."""
    kind = "png" if image[:4] == b"\x89PNG" else "webp" if image[8:12] == b"WEBP" else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode('ascii')}"
