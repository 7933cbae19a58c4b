"""Pictures, texts and columns of the examples, kept as they come with the batches."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.collect.errors import CollectError
from backend.collect.spool import Spool

INPUTS = "inputs"
"""What ``images`` says where the model's inputs are the pictures."""


def plain(value: Any) -> Any:
    """A tensor of any device as a numpy array; everything else as it is."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        return (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
    return value


class Pictures:
    """Takes pictures into a spool: pixels of one size as they are, all others as files.

    Parameters
    ----------
    spool : Spool
    field : str
        What they are called there. Those of training examples, ``train/images``, are pixels.
    """

    def __init__(self, spool: Spool, field: str = "images") -> None:
        self.spool, self.field, self.rows, self._bytes = spool, field, 0, 0
        self._as_pixels: bool | None = None

    def add(self, pictures: Any) -> None:
        """Add the pictures of a batch: pixels (b, h, w) or (b, h, w, c), or a list of one each.

        In a list each is a file as bytes, pixels, a PIL image, or None where there is none.
        """
        pictures = plain(pictures)
        as_pixels = isinstance(pictures, np.ndarray) and pictures.dtype != object
        if self._as_pixels is None:
            self._as_pixels = as_pixels
        if as_pixels != self._as_pixels:
            raise CollectError("images must be of one kind in every batch: pixels, or a list.")
        if as_pixels:
            if pictures.dtype != np.uint8 or pictures.ndim not in (3, 4):
                raise CollectError(
                    "images must be pixels (b, h, w) or (b, h, w, c) of uint8, or a list: got "
                    f"shape {pictures.shape} of {pictures.dtype}."
                )
            self.spool.add(self.field, pictures)
        elif self.field != "images":
            raise CollectError(
                "train_images must be pixels (b, h, w) or (b, h, w, c) of uint8, all of one size. "
                "Pictures in files can be put under train/images/ of a folder or .zip."
            )
        else:
            files = [picture_file(one) for one in pictures]
            if not self.rows:
                self.spool.add("images/offsets", np.zeros(1, np.int64))
            ends = self._bytes + np.cumsum([len(file) for file in files], dtype=np.int64)
            self.spool.add("images/bytes", np.frombuffer(b"".join(files), np.uint8))
            self.spool.add("images/offsets", ends)
            self._bytes = int(ends[-1]) if len(ends) else self._bytes
        self.rows += len(pictures)


def picture_file(picture: Any) -> bytes:
    """One picture as the bytes of a file; none as no bytes."""
    if picture is None:
        return b""
    if isinstance(picture, (bytes, bytearray)):
        return bytes(picture)
    if hasattr(picture, "save"):  # a PIL image, recognised without importing PIL
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        return buffer.getvalue()
    return png(np.asarray(plain(picture)))


def png(pixels: NDArray[Any]) -> bytes:
    """Pixels (h, w), (h, w, 1), (h, w, 3) or (h, w, 4) of uint8 as a PNG file."""
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4):
        raise CollectError(
            "a picture must be pixels (h, w) or (h, w, 1 | 3 | 4) of uint8: got shape "
            f"{pixels.shape} of {pixels.dtype}."
        )
    height, width, channels = pixels.shape
    lines = np.zeros((height, 1 + width * channels), np.uint8)  # each begins with its filter: none
    lines[:, 1:] = pixels.reshape(height, -1)
    colour = {1: 0, 3: 2, 4: 6}[channels]
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines.tobytes(), 4)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )


def pictures_of_inputs(inputs: Any) -> NDArray[np.uint8]:
    """Inputs (b, c, h, w) or (b, h, w) of a model as pixels (b, h, w, c).

    Whole numbers are taken as they are, numbers in [0, 1] times 255; others are spread over the
    range of each picture by itself.
    """
    array = np.asarray(plain(inputs))
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[1] not in (1, 3, 4)):
        raise CollectError(
            "images='inputs' needs inputs (b, c, h, w) with 1, 3 or 4 channels, or (b, h, w): got "
            f"shape {array.shape}. Give a function of the batch."
        )
    array = np.moveaxis(array, 1, -1) if array.ndim == 4 else array
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype.kind in "iu":
        return np.clip(array, 0, 255).astype(np.uint8)
    array = array.astype(np.float32)
    axes = tuple(range(1, array.ndim))
    low, high = array.min(axes, keepdims=True), array.max(axes, keepdims=True)
    inside = (low >= 0) & (high <= 1)
    low, high = np.where(inside, 0, low), np.where(inside, 1, high)
    scaled = (array - low) / np.maximum(high - low, np.finfo(np.float32).tiny)
    return np.rint(255 * scaled).astype(np.uint8)


def texts_of(texts: Any, batch: Any) -> list[str]:
    """Texts of a batch: from a function of it, or from a tokenizer that decodes its ``input_ids``."""
    if hasattr(texts, "batch_decode"):
        if not isinstance(batch, Mapping) or "input_ids" not in batch:
            raise CollectError("texts from a tokenizer need batches with 'input_ids'.")
        return list(texts.batch_decode(batch["input_ids"], skip_special_tokens=True))
    return list(texts(batch))


def columns_of(examples: Any) -> dict[str, Any]:
    """A table as columns: a data frame or a dict of columns."""
    names = list(examples.columns) if hasattr(examples, "columns") else list(examples)
    columns = {}
    for name in names:
        cells = plain(examples[name])
        kind = str(getattr(cells, "dtype", ""))
        numbers = kind.startswith(("int", "uint", "float", "bool"))
        columns[str(name)] = np.asarray(cells) if numbers else list(cells)
    return columns
