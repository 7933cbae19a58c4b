"""Arrays and tables as one zip that is the same, byte for byte, whenever it is written."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can state: the file tells what, not when


def write_zip(
    path: Path, arrays: Mapping[str, NDArray[Any]], tables: Mapping[str, pd.DataFrame]
) -> None:
    """Arrays as ``.npy`` and tables as ``.parquet`` in one zip, equal bytes each time.

    The file appears whole or not at all.
    """
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, values in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, values, allow_pickle=False)
            archive.writestr(_member_info(f"{name}.npy"), content.getvalue(), compresslevel=9)
        for name, table in tables.items():
            content = io.BytesIO()
            table.to_parquet(content, index=False, compression="zstd")
            archive.writestr(_member_info(f"{name}.parquet"), content.getvalue(), compresslevel=9)
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(whole.getvalue())
    partial.replace(path)


def _member_info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, ZIP_DATE)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return info
