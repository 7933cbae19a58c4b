"""Picture files as pixels of one size, on white where they are transparent."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps


def on_white(file: bytes) -> Image.Image:
    """The picture in RGB, turned the way it says."""
    with Image.open(io.BytesIO(file)) as opened:
        shown = ImageOps.exif_transpose(opened).convert("RGBA")
    ground = Image.new("RGBA", shown.size, "white")
    ground.alpha_composite(shown)
    return ground.convert("RGB")


def squares(files: Sequence[bytes], size: int) -> NDArray[np.uint8]:
    """Pictures (n, 3, size, size): the whole of each in a square, what is left beside it white."""
    pixels = np.empty((len(files), 3, size, size), np.uint8)
    for line, file in zip(pixels, files, strict=True):
        square = ImageOps.pad(on_white(file), (size, size), color="white")
        line[:] = np.asarray(square).transpose(2, 0, 1)
    return pixels
