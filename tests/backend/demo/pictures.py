"""Pictures of the demos, read by Pillow rather than by the code that wrote them."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def decode_png(content: bytes) -> np.ndarray:
    """The grey image (h, w) in the bytes of a PNG file."""
    return np.asarray(Image.open(io.BytesIO(content)).convert("L"))
