"""Fashion-MNIST as it lies on disk, what can be measured on an image, and images as PNG."""

from __future__ import annotations

import gzip
import io
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.core.errors import InputError

DATA = Path("/usr/share/datasets/fashion-mnist")
CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
INK = 0.1  # a pixel this bright (of 1) or brighter belongs to the garment, not to the background

Pixels = NDArray[np.uint8]


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Array of unsigned bytes in one gzipped IDX file (the format MNIST came in).

    Two zero bytes, the type (8: unsigned byte), the number of axes, each axis as a big-endian
    32-bit number, then the values.

    Raises
    ------
    InputError
        If the file is missing, not of that format, or shorter than it says.
    """
    if not path.is_file():
        raise InputError(
            f"{path} is missing. Install the images with `apt-get install dataset-fashion-mnist`, "
            "or name the folder that holds the four .gz files with --data."
        )
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        raise InputError(f"{path} is not a gzip file: {error}. Fetch it again.") from error
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise InputError(f"{path} is not an IDX file of bytes: it starts with {content[:4]!r}.")
    start = 4 + 4 * content[3]
    shape = struct.unpack(f">{content[3]}I", content[4:start])
    values = np.frombuffer(content, np.uint8, offset=start)
    if values.size != np.prod(shape, dtype=np.int64):
        raise InputError(f"{path} promises shape {shape} and holds {values.size} values.")
    return values.reshape(shape)


def read_split(data: Path, part: str) -> tuple[Pixels, NDArray[np.int64]]:
    """Images (n, 28, 28) and labels (n,) of ``"train"`` (60 000) or ``"t10k"`` (10 000)."""
    images = read_idx(data / f"{part}-images-idx3-ubyte.gz")
    labels = read_idx(data / f"{part}-labels-idx1-ubyte.gz").astype(np.int64)
    if images.shape != (len(labels), 28, 28):
        raise InputError(
            f"{part} images must have shape ({len(labels)}, 28, 28), one per label: "
            f"got {images.shape}."
        )
    return images, labels


def image_attributes(images: Pixels) -> dict[str, NDArray[np.float64]]:
    """Three numbers per image, computed from its pixels alone.

    Pixels are read as brightness in [0, 1] (value / 255; the background is 0). A pixel of at least
    0.1 is *foreground*.

    Parameters
    ----------
    images : uint8 array of shape (n, h, w)

    Returns
    -------
    dict
        ``width`` (n,): share of the columns of the image whose mean brightness is at least 0.1.

        ``brightness`` (n,): mean brightness of the foreground; NaN without foreground.

        ``texture`` (n,): mean absolute difference of two horizontally or vertically neighbouring
        pixels that are both foreground, so that the outline does not count; NaN without such a
        pair. Stripes and prints are high, plain cloth is low.

        All three in [0, 1], rounded to four decimals.
    """
    ink = images.astype(np.float64) / 255
    front = ink >= INK
    count = front.sum((1, 2))
    width = (ink.mean(1) >= INK).mean(1)
    across, down = front[:, :, 1:] & front[:, :, :-1], front[:, 1:] & front[:, :-1]
    steps = (np.abs(np.diff(ink, axis=2)) * across).sum((1, 2))
    steps += (np.abs(np.diff(ink, axis=1)) * down).sum((1, 2))
    pairs = across.sum((1, 2)) + down.sum((1, 2))
    with np.errstate(invalid="ignore"):
        brightness = (ink * front).sum((1, 2)) / count
        texture = steps / pairs
    measured = {"width": width, "brightness": brightness, "texture": texture}
    return {name: values.round(4) for name, values in measured.items()}


def encode_png(image: Pixels) -> bytes:
    """One grey image (h, w) as the bytes of a PNG file, as small as Pillow makes it."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", optimize=True)
    return file.getvalue()
