"""The name of a bundle is its content: one SHA-256 over bytes, dtypes, shapes and column names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.bundle.entry import blocks

VERSION = "errorscope bundle 1"


class Digest:
    """SHA-256 fed part by part; every part starts with its name, type and size, so that no two
    different bundles feed the same bytes.
    """

    def __init__(self) -> None:
        self._sha = hashlib.sha256(VERSION.encode())

    def part(self, *header: object) -> None:
        """Begin a part."""
        line = json.dumps(header, ensure_ascii=True).encode()
        self._sha.update(len(line).to_bytes(8, "little") + line)

    def data(self, data: Any) -> None:
        """Bytes of the current part."""
        self._sha.update(data)

    def array(self, name: str, array: NDArray[Any], dtype: str) -> None:
        """A whole array: text by its characters, numbers by their native little-endian bytes."""
        self.part(name, dtype, list(array.shape))
        if array.dtype.kind == "U":
            self.texts(array.reshape(-1).tolist())
            return
        for block in blocks(array):
            self.data(contiguous(block))

    def texts(self, values: Iterable[str]) -> None:
        """Text cells, each behind its length."""
        chunk = bytearray()
        for value in values:
            data = value.encode()
            chunk += len(data).to_bytes(8, "little") + data
            if len(chunk) > 2**20:
                self._sha.update(chunk)
                chunk.clear()
        self._sha.update(chunk)

    def frame(self, name: str, frame: pd.DataFrame) -> None:
        """A table, column by column by name; missing numbers are all the same NaN."""
        for column in sorted(frame.columns):
            series = frame[column]
            if series.dtype.kind in "ifb":
                values = series.to_numpy()
                self.part(name, str(column), values.dtype.name, len(values))
                if values.dtype.kind == "f":
                    values = np.where(np.isnan(values), np.nan, values)
                self.data(contiguous(values))
            else:
                self.part(name, str(column), "str", len(series))
                self.texts(series.tolist())

    def hex(self) -> str:
        return self._sha.hexdigest()


def contiguous(block: NDArray[Any]) -> NDArray[Any]:
    """``block`` in C order and little-endian, as it is hashed and stored."""
    return np.ascontiguousarray(block, dtype=block.dtype.newbyteorder("<"))
