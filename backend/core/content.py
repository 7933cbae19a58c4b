"""Names for content: what is the same has the same name, in every process."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import pandas as pd

TRAINING = ":train"
"""Behind the digest of a bundle it names its training examples, whose tags are kept under that name."""


def content_key(*parts: Any) -> str:
    """A short name of arrays, tables and plain values, for caches of what is made of them.

    Parameters
    ----------
    parts
        Arrays, whose dtype and shape count; DataFrames, whose columns and values count; anything
        else as JSON writes it. Their order and number count.

    Returns
    -------
    str
        32 hex digits. Rows of a table enter by 64-bit hashes.

    Raises
    ------
    TypeError
        If a part is none of these.

    Examples
    --------
    >>> content_key("a", [1, 2]) == content_key("a", [1, 2])
    True
    >>> content_key("a", "b") == content_key("ab")
    False
    """
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, pd.DataFrame):
            columns = [[str(name), str(part[name].dtype)] for name in part.columns]
            content: Any = pd.util.hash_pandas_object(part, index=False).to_numpy()
            header: Any = ["table", columns, len(part)]
        elif isinstance(part, np.ndarray) and part.dtype.kind != "O":
            content = np.ascontiguousarray(part)
            header = ["array", part.dtype.str, part.shape]
        elif isinstance(part, np.ndarray):
            content, header = b"", ["array", "O", part.shape, part.tolist()]
        else:
            content, header = b"", ["value", part]
        text = json.dumps(header, sort_keys=True).encode()
        found.update(len(text).to_bytes(8, "little") + text)
        found.update(content.reshape(-1).view(np.uint8) if len(content) else b"")
    return found.hexdigest()
