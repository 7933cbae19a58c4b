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

from backend.bundle.csv_dialect import Dialect, check_quotes, sniff
from backend.bundle.entry import UploadEntry
from backend.bundle.faults import parsing, refuse
from backend.bundle.limits import MAX_COLUMNS, MAX_NAME_LENGTH, MAX_TABLE_BYTES
from backend.core.errors import BundleError

WHOLE = r"^-?(0|[1-9][0-9]{0,17})$"
LONG = r"^-?(0|[1-9][0-9]*)$"
EXACT = r"^-?(0|[1-9][0-9]{0,14})$"
DECIMAL_COMMA = r"^[+-]?[0-9]+(\.[0-9]{3})*,[0-9]+$"
NUMBER = r"^[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"
NOT_FINITE = r"^[+-]?(?i:nan|inf|infinity)$"
TRUTH = r"^(?i:true|false)$"
SUFFIXES = (".csv", ".tsv")


def read_csv(data: bytes, file: str, *, bare: bool = False) -> list[UploadEntry]:
    """Columns of a CSV file, in file order.

    Only empty cells are missing: ``NA`` and ``007`` stay as they are written. Columns without a
    name and without a filled cell, which spreadsheets leave at the end, are no columns.

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
        If it is not UTF-8, is empty, has a column twice, a quoted cell that does not end, or a row
        with another number of cells.
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
    if not re.split(rb"[\r\n]", data, maxsplit=1)[0].strip():
        raise refuse(
            file, "", None, "the file is empty.", "Write a header line and one line per example."
        )
    dialect = sniff(data, file)
    data = data[dialect.skipped :]
    check_quotes(data, dialect.mark, file)
    names = dialect.names
    if not names:
        raise refuse(
            file, "", None, "the header line is empty.", "Write the names of the columns in it."
        )
    headless = bare and all(re.match(NUMBER, name.strip()) for name in names)
    names = [str(k) for k in range(len(names))] if headless else _fitted(names, dialect.width)
    given = min(len(names), len(dialect.names))
    check_names(names, file)
    table = _parse(data, dialect, names, headless, file)
    columns = []
    for k, name in enumerate(names):
        column = table.column(k)
        filled = pc.index(pc.not_equal(column, ""), True).as_py() if not name.strip() else 0
        if filled >= 0 and k >= given:
            raise _ragged(filled, filled + 2, k + 1, given, dialect, file)
        if filled >= 0:
            columns.append(_entry(column, name, file, dialect))
    return columns


def _fitted(names: list[str], width: int) -> list[str]:
    """The header, with empty names added or taken off its end where all lines differ by those."""
    while len(names) > max(width, 1) and not names[-1].strip():
        names = names[:-1]
    return names + [""] * (width - len(names))


def _header_lines(data: bytes, mark: str) -> int:
    """How many lines the header takes: a quoted name may go over several."""
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline="")
    reader = csv.reader(text, delimiter=mark)
    next(reader)
    return reader.line_num


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
        if len(name) > MAX_NAME_LENGTH:
            raise refuse(
                file,
                f"{name[:40]}...",
                None,
                f"the name of column {k + 1} has {len(name)} characters, at most "
                f"{MAX_NAME_LENGTH} are read.",
                "Give the column a short name.",
            )
        if name in first and name.strip():
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
        form = "UTF-32" if data[2:4] == b"\0\0" else "UTF-16"
        raise refuse(file, "", None, f"the text is {form}, not UTF-8.", "Save it as 'CSV UTF-8'.")
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


def _parse(data: bytes, dialect: Dialect, names: list[str], headless: bool, file: str) -> pa.Table:
    ragged: list[Any] = []
    own = [f"f{k}" for k in range(len(names))]

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
                    column_names=own,
                    skip_rows=0 if headless else _header_lines(data, dialect.mark),
                ),
                parse_options=pa_csv.ParseOptions(
                    delimiter=dialect.mark, newlines_in_values=True, invalid_row_handler=remember
                ),
                convert_options=pa_csv.ConvertOptions(
                    column_types=dict.fromkeys(own, pa.string()),
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
    number = (row.number or 0) + (dialect.skipped > 0)
    at = max(0, (row.number or 0) - (1 if headless else 2))
    raise _ragged(at, number, row.actual_columns, row.expected_columns, dialect, file)


def _ragged(
    row: int, line: int, came: int, needed: int, dialect: Dialect, file: str
) -> BundleError:
    return refuse(
        file,
        "",
        row,
        f"line {line} has {came} cells where the header has {needed}; the separator was taken to "
        f"be {dialect.told} ({dialect.mark!r}).",
        "Quote cells that hold the separator, close every quote, and fill every column.",
    )


def _entry(column: pa.ChunkedArray, name: str, file: str, dialect: Dialect) -> UploadEntry:
    kind = _kind(column)
    return UploadEntry(
        file=file,
        name=name,
        shape=(len(column),),
        dtype=kind,
        load=lambda: _values(column, kind),
        text=lambda: _text(column),
        cells=True,
        remark=_remark(column, name, kind, dialect),
    )


def _remark(column: pa.ChunkedArray, name: str, kind: str, dialect: Dialect) -> str:
    if kind != "str" or dialect.mark == ",":
        return ""
    filled = column.filter(pc.not_equal(column, ""))
    if not len(filled) or not pc.all(pc.match_substring_regex(filled, DECIMAL_COMMA)).as_py():
        return ""
    return (
        f"column '{name}' has decimal commas ({filled[0].as_py()!r}) and is kept as text; write "
        "decimal points where it is to be a number."
    )


def _kind(column: pa.ChunkedArray) -> str:
    """``int64``, ``float64``, ``bool`` or ``str``: the narrowest that every non-empty cell fits.

    Whole numbers that a float64 cannot tell apart (ids, mostly) are int64 where all fit, else text.
    """
    filled = column.filter(pc.not_equal(column, ""))
    if len(filled) == 0:
        return "str"

    def all_match(pattern: str) -> bool:
        return bool(pc.all(pc.match_substring_regex(filled, pattern)).as_py())

    if all_match(WHOLE):
        if len(filled) == len(column):
            return "int64"
        return "float64" if all_match(EXACT) else "str"
    if all_match(LONG):
        try:
            filled.cast(pa.int64())
        except pa.ArrowInvalid:
            return "str"
        return "int64" if len(filled) == len(column) else "str"
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
