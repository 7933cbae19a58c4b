"""Feather and Arrow files, one column and one batch at a time.

A batch says how large it is once unpacked only while it is unpacked, and a small file can hold
gigabytes. Reading the file whole, to look at one column, would take memory for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc as pa_ipc

from backend.bundle.limits import MAX_ROWS

BATCH_ROWS = 4096

Pieces = Callable[[], Iterator[pa.Array]]


def open_ipc(source: Path | bytes) -> tuple[pa.Schema, int, Callable[[str], Pieces]]:
    """Schema and number of rows of a file, and what reads one of its columns in pieces.

    Files and streams of Arrow's format are told apart. Counting ends beyond ``MAX_ROWS``. Each batch
    is checked in full when it is read: offsets of foreign files may point anywhere.
    """
    schema = _opened(source, None).schema
    widths = [_width(field.type) for field in schema]
    rows = 0
    narrow = widths.index(min(widths)) if widths else None
    for batch in _batches(source, narrow):
        rows += batch.num_rows
        if rows > MAX_ROWS:
            break

    def pieces(name: str) -> Pieces:
        def read() -> Iterator[pa.Array]:
            for batch in _batches(source, schema.get_field_index(name)):
                batch.validate(full=True)
                column = batch.column(0)
                for start in range(0, len(column), BATCH_ROWS):
                    yield column.slice(start, BATCH_ROWS)

        return read

    return schema, rows, pieces


def _opened(source: Path | bytes, column: int | None) -> Any:
    """A reader of the whole file or of one column."""
    options = pa_ipc.IpcReadOptions(
        use_threads=False, included_fields=None if column is None else [column]
    )
    try:
        return pa_ipc.open_file(_buffer(source), options=options)
    except pa.ArrowInvalid:
        return pa_ipc.open_stream(_buffer(source), options=options)


def _buffer(source: Path | bytes) -> Any:
    return pa.py_buffer(source) if isinstance(source, bytes) else pa.memory_map(str(source))


def _batches(source: Path | bytes, column: int | None) -> Iterator[pa.RecordBatch]:
    reader = _opened(source, column)
    if isinstance(reader, pa_ipc.RecordBatchFileReader):
        for k in range(reader.num_record_batches):
            yield reader.get_batch(k)
    else:
        yield from reader


def _width(kind: pa.DataType) -> int:
    """Bits that one cell takes at least; columns of text and lists come last."""
    try:
        return int(kind.bit_width)
    except ValueError:
        return 2**31
