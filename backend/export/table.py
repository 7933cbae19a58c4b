"""The CSV itself: columns, cells, bytes, and reading them back.

UTF-8 with a byte order mark: spreadsheets take a file without one for a local 8-bit encoding and
spoil every accent, while pandas, R and Python's ``utf-8-sig`` skip the mark. Lines end in CRLF and
cells are quoted as RFC 4180 says.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.errors import InputError
from backend.export.cells import neutralise, restore

ASIDE = "kept_aside"
OWN_COLUMNS = (
    *("id", "tag", "author", "time", "region", "weight", ASIDE, "loss", "label", "prediction"),
)
"""What every export starts with; the user's columns follow under their own names."""

SHARPENED = ("score", "answer")
SHARPENED_COLUMNS = tuple(
    one for name in OWN_COLUMNS for one in ((*SHARPENED, name) if name == "loss" else (name,))
)
"""What it starts with where one of the tags is of a group that was sharpened by answers."""

OLD_COLUMNS = tuple(name for name in OWN_COLUMNS if name != ASIDE)
"""What it started with before examples were kept aside."""

TRAINING_COLUMNS = ("id", "tag", "author", "time", "row", "label", "prediction", "text")
"""What a file of tagged training examples starts with; columns of the training set follow."""

_PLAIN = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")

SUFFIX = "_user"
"""Added to a user's column whose name is taken, as often as needed: ``loss`` -> ``loss_user``."""


def free_names(names: Iterable[str], taken: Iterable[str] = OWN_COLUMNS) -> dict[str, str]:
    """Name of each user's column -> its name in the export."""
    names = list(names)
    used = {*taken}
    renamed = {}
    for name in names:
        new = name
        while new in used or (new != name and new in names):
            new += SUFFIX
        used.add(new)
        renamed[name] = new
    return renamed


def own_columns(examples: pd.DataFrame) -> list[str]:
    """The user's own columns that an export can hold, in order."""
    return [name for name in examples.columns if name != "id" and not _holds_bytes(examples[name])]


def user_columns(
    examples: pd.DataFrame, rows: NDArray[np.int64], taken: Iterable[str] = OWN_COLUMNS
) -> pd.DataFrame:
    """The user's own columns for these rows, named so that none collides with ours.

    ``id`` is ours already. A column of bytes (images inside the bundle) stays out; a column of
    paths stays in.
    """
    kept = own_columns(examples)
    chosen = examples[kept].iloc[rows].reset_index(drop=True)
    return chosen.rename(columns=free_names(kept, taken))


def column_kinds(table: pd.DataFrame) -> list[dict[str, str]]:
    """Name and kind (``number`` or ``text``) of every column, in order."""
    return [
        {"name": str(name), "kind": "number" if _is_number(table[name]) else "text"}
        for name in table.columns
    ]


def to_csv(
    table: pd.DataFrame, written: Mapping[str, NDArray[Any]] = MappingProxyType({})
) -> bytes:
    """A table as CSV. Missing cells are empty, text is made harmless, numbers keep all digits.

    ``written`` holds the cells of columns of numbers as they came (``1.10``): those are taken.

    Only ``weight`` is rounded, to 6 significant digits: it is evaluated again on replay, where
    another processor may differ in the last bits.
    """
    columns = [
        _as_written(written[name]) if name in written else _cells(str(name), table[name])
        for name in table.columns
    ]
    sink = io.StringIO(newline="")
    writer = csv.writer(sink, lineterminator="\r\n")
    writer.writerow([neutralise(str(name)) for name in table.columns])
    writer.writerows(zip(*columns, strict=True))
    return b"\xef\xbb\xbf" + sink.getvalue().encode()


def read_export(data: bytes) -> pd.DataFrame:
    """The rows of an exported CSV as they were before spreadsheets were guarded against.

    Parameters
    ----------
    data : bytes
        The file, as written (or saved again by a program that kept its cells).

    Returns
    -------
    DataFrame
        All columns text, restored, except ``weight``, ``loss`` and the ``score`` of sharpened
        groups: float64, NaN where empty; and ``kept_aside``, bool, in files that have it.

    Raises
    ------
    InputError
        If the bytes are not such a CSV.
    """
    try:
        cells = pd.read_csv(
            io.BytesIO(data),
            header=None,
            dtype=str,
            keep_default_na=False,
            na_filter=False,
            skip_blank_lines=False,
            encoding="utf-8-sig",
        )
    except (ValueError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"the file is not a CSV that was exported here: {error}.") from error
    names = [restore(name) for name in cells.iloc[0]]
    missing = [name for name in OLD_COLUMNS if name not in names]
    if missing:
        raise InputError(
            f"the file is not a CSV that was exported here: column '{missing[0]}' is missing."
        )
    table = pd.DataFrame(
        {
            name: pd.Series([restore(cell) for cell in cells[place].iloc[1:]], dtype="str")
            for place, name in enumerate(names)
        }
    )
    ours = names[: names.index("loss")]
    for name in ("weight", "loss", *(one for one in ("score",) if one in ours)):
        try:
            table[name] = [float(cell) if cell else np.nan for cell in table[name]]
        except ValueError as error:
            raise InputError(f"column '{name}' must hold numbers: {error}.") from error
    # Behind our columns it is one of the user's, in a file from before.
    if ASIDE in ours:
        cells = table[ASIDE].str.lower()
        if not cells.isin(["true", "false"]).all():
            raise InputError(f"column '{ASIDE}' must hold True or False.")
        table[ASIDE] = cells == "true"
    return table


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _holds_bytes(column: pd.Series) -> bool:
    if column.dtype != object:
        return False
    return column.map(lambda cell: isinstance(cell, (bytes, bytearray, dict))).any()


def _as_written(cells: NDArray[Any]) -> list[str]:
    """Cells as they came; numbers (``-1.50``, ``+49``) are harmless, whatever they start with."""
    return [
        cell if _PLAIN.fullmatch(cell) else neutralise(cell) for cell in map(str, cells.tolist())
    ]


def _cells(name: str, column: pd.Series) -> list[str]:
    missing = column.isna().to_numpy(dtype=bool)
    if not _is_number(column):
        texts = [str(cell) for cell in column.tolist()]
        cells = [neutralise(cell) for cell in texts]
    elif name == "weight":
        cells = [f"{cell:.6g}" for cell in column.tolist()]
    elif isinstance(column.dtype, np.dtype):
        cells = column.to_numpy().astype(str).tolist()  # shortest text with the same bits
    else:
        cells = [str(cell) for cell in column.to_numpy(dtype=object)]
    if missing.any():
        cells = ["" if gone else cell for cell, gone in zip(cells, missing, strict=True)]
    return cells
