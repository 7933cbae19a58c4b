"""CSV files as text columns that become numbers only when every cell is plainly one."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from backend.bundle.entry import UploadEntry
from backend.bundle.faults import parsing, refuse
from backend.bundle.limits import MAX_COLUMNS, MAX_TABLE_BYTES

WHOLE = r"^-?(0|[1-9][0-9]{0,17})$"
NUMBER = r"^[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"
NOT_FINITE = r"^[+-]?(?i:nan|inf|infinity)$"
TRUTH = r"^(?i:true|false)$"
SUFFIXES = (".csv", ".tsv")


def read_csv(data: bytes, file: str, *, bare: bool = False) -> list[UploadEntry]:
    """Columns of a CSV file, in file order.

    The separator is a comma, else a semicolon or a tab, whichever the first line has (in
    a .tsv a tab comes first). Only empty
    cells are missing: ``NA`` and ``007`` stay as they are written.

    Parameters
    ----------
    data : bytes
        The whole file.
    file : str
        Name for faults.
    bare : bool
        Whether the file may come without a header; it does when its first line is all numbers.
        Columns are then called ``"0"``, ``"1"`` and so on.

    Raises
    ------
    BundleError
        If it is not UTF-8, is empty, has a column twice, or a row with another number of cells.
    """
    if len(data) > MAX_TABLE_BYTES:
        raise refuse(
            file,
            "",
            None,
            f"it has {len(data)} bytes, at most {MAX_TABLE_BYTES} are read.",
            "Save it as Parquet.",
        )
    data = _utf8(data, file).lstrip(b"\r\n")
    first = re.split(rb"[\r\n]", data, maxsplit=1)[0].strip()
    if not first:
        raise refuse(
            file, "", None, "the file is empty.", "Write a header line and one line per example."
        )
    marks = "\t,;" if file.lower().endswith(".tsv") else ",;\t"
    delimiter = next((mark for mark in marks if mark.encode() in first), ",")
    with parsing(file, "the header line", "Look for an unclosed quote; save it as 'CSV UTF-8'."):
        text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline="")
        names = next(csv.reader(text, delimiter=delimiter))
    headless = bare and all(re.match(NUMBER, name.strip()) for name in names)
    if headless:
        names = [str(k) for k in range(len(names))]
    check_names(names, file)
    table = _parse(data, delimiter, names, headless, file)
    return [_entry(table.column(k), name, file) for k, name in enumerate(names)]


def check_names(names: list[str], file: str) -> None:
    """Raise ``BundleError`` when there are too many columns or a name occurs twice."""
    if len(names) > MAX_COLUMNS:
        raise refuse(
            file,
            "",
            None,
            f"it has {len(names)} columns, at most {MAX_COLUMNS} are read.",
            "Save embeddings as one .npy or one list column.",
        )
    first: dict[str, int] = {}
    for k, name in enumerate(names):
        if name in first:
            raise refuse(
                file,
                name,
                None,
                f"the column occurs twice (columns {first[name] + 1} and {k + 1}).",
                "Rename or remove one of them.",
            )
        first[name] = k


def _utf8(data: bytes, file: str) -> bytes:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise refuse(file, "", None, "the text is UTF-16, not UTF-8.", "Save it as 'CSV UTF-8'.")
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start)
        raise refuse(
            file,
            "",
            max(0, line - 1),
            f"byte {error.start} (0x{data[error.start]:02x}, line {line + 1}) is not UTF-8 text.",
            "Save it as 'CSV UTF-8', or in Python with encoding='utf-8'.",
        ) from error
    null = data.find(b"\0")
    if null >= 0:
        raise refuse(
            file,
            "",
            None,
            f"byte {null} is null, so this is no text file.",
            "Save it as 'CSV UTF-8'.",
        )
    return data


def _parse(data: bytes, delimiter: str, names: list[str], headless: bool, file: str) -> pa.Table:
    ragged: list[Any] = []

    def remember(row: Any) -> str:
        ragged.append(row)
        return "error"

    with parsing(file, "the table", "Look for an unclosed quote; save it as 'CSV UTF-8'."):
        try:
            table = pa_csv.read_csv(
                pa.py_buffer(data),
                # Rows of faults are numbered by one thread only; a block must hold the longest row.
                read_options=pa_csv.ReadOptions(
                    use_threads=False,
                    block_size=min(2**30, max(2**20, len(data) + 1)),
                    autogenerate_column_names=headless,
                ),
                parse_options=pa_csv.ParseOptions(
                    delimiter=delimiter, newlines_in_values=True, invalid_row_handler=remember
                ),
                convert_options=pa_csv.ConvertOptions(
                    column_types={
                        (f"f{k}" if headless else name): pa.string() for k, name in enumerate(names)
                    },
                    strings_can_be_null=False,
                    quoted_strings_can_be_null=False,
                    check_utf8=False,
                ),
            )
        except pa.ArrowInvalid:
            if not ragged:
                raise
        else:
            if table.num_columns != len(names):
                raise ValueError(f"{len(names)} names for {table.num_columns} columns")
            return table
    row = ragged[0]
    number = row.number or 0
    raise refuse(
        file,
        "",
        max(0, number - (1 if headless else 2)),
        f"line {number} has {row.actual_columns} cells where the header has "
        f"{row.expected_columns}.",
        "Quote cells that hold the separator, close every quote, and fill every column.",
    )


def _entry(column: pa.ChunkedArray, name: str, file: str) -> UploadEntry:
    kind = _kind(column)
    return UploadEntry(
        file=file,
        name=name,
        shape=(len(column),),
        dtype=kind,
        load=lambda: _values(column, kind),
        text=lambda: _text(column),
        cells=True,
    )


def _kind(column: pa.ChunkedArray) -> str:
    """``int64``, ``float64``, ``bool`` or ``str``: the narrowest that every non-empty cell fits."""
    filled = column.filter(pc.not_equal(column, ""))
    if len(filled) == 0:
        return "str"

    def all_match(pattern: str) -> bool:
        return bool(pc.all(pc.match_substring_regex(filled, pattern)).as_py())

    if all_match(WHOLE):
        return "int64" if len(filled) == len(column) else "float64"
    if all_match(TRUTH):
        return "bool" if len(filled) == len(column) else "str"
    number = pc.match_substring_regex(filled, NUMBER)
    missing = pc.match_substring_regex(filled, NOT_FINITE)
    if pc.any(number).as_py() and pc.all(pc.or_(number, missing)).as_py():
        return "float64"
    return "str"


def _values(column: pa.ChunkedArray, kind: str) -> NDArray[Any]:
    text = _text(column)
    if kind == "str":
        return text
    if kind == "bool":
        return np.array([cell.lower() == "true" for cell in text], dtype=bool)
    if kind == "int64":
        return text.astype(np.int64)
    return np.where(text == "", "nan", text).astype(np.float64)


def _text(column: pa.ChunkedArray) -> NDArray[Any]:
    result = np.empty(len(column), dtype=object)
    result[:] = column.to_pylist()
    return result
