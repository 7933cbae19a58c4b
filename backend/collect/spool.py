"""Arrays and texts that grow on disk, batch by batch, and the bundle that is made of them."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from backend.collect.errors import CollectError

HEADER_BYTES = 256
"""Kept free at the start of every file for the header, which is known when the last row is."""
BLOCK_ROWS = 4096
"""Rows that are read back at a time."""
MOST_TEXT_BYTES = 2**31
"""A column of text as one .npy has the width of its longest cell in every row: no more than this."""


def npy_header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """The header of a .npy file, filled with spaces to ``HEADER_BYTES``."""
    told = {
        "descr": npy_format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": tuple(map(int, shape)),
    }
    text = repr(told).encode("latin1")
    room = HEADER_BYTES - 10
    return npy_format.magic(1, 0) + room.to_bytes(2, "little") + text.ljust(room - 1, b" ") + b"\n"


class Grown:
    """One array on disk, of which blocks of rows are added at the end.

    Parameters
    ----------
    path : Path
        A new file. It is a whole .npy once ``close`` was called.
    name : str
        What the array is called in errors.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name, self.rows = path, name, 0
        self.dtype: np.dtype[Any] | None = None
        self.width: tuple[int, ...] = ()
        self._stream: IO[bytes] | None = None

    def add(self, block: NDArray[Any]) -> None:
        """Add rows, which must be as wide as those before; they take the first block's type."""
        if self.dtype is None:
            self.dtype, self.width = block.dtype.newbyteorder("<"), block.shape[1:]
            self._stream = self.path.open("wb")
            self._stream.write(b"\0" * HEADER_BYTES)
        if block.shape[1:] != self.width:
            raise CollectError(
                f"{self.name} must be equally wide in every batch: got {self.width} at first and "
                f"{block.shape[1:]} after {self.rows} examples."
            )
        if self._stream is None:
            self._stream = self.path.open("ab")
        block = np.ascontiguousarray(block, dtype=self.dtype)
        self._stream.write(block.reshape(-1).view(np.uint8).data if block.size else b"")
        self.rows += len(block)

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows so far, and what is in each."""
        return (self.rows, *self.width)

    def close(self) -> None:
        """Write the header: what is on disk is a .npy from now on."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        if self.dtype is not None:
            with self.path.open("r+b") as stream:
                stream.write(npy_header(self.dtype, self.shape))

    def read(self) -> NDArray[Any]:
        """The array so far, memory-mapped for reading."""
        self.close()
        if self.dtype is None or 0 in self.shape:
            return np.empty(self.shape, self.dtype or np.float32)
        return np.memmap(self.path, self.dtype, "r", HEADER_BYTES, self.shape)


class Texts:
    """A column of texts on disk, one JSON text a line."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name, self.rows, self.longest = path, name, 0, 1
        self._stream: IO[str] | None = path.open("w", encoding="utf-8")

    def add(self, texts: list[str]) -> None:
        """Add cells at the end."""
        if self._stream is None:
            self._stream = self.path.open("a", encoding="utf-8")
        for text in texts:
            self._stream.write(json.dumps(text) + "\n")
            self.longest = max(self.longest, len(text))
        self.rows += len(texts)

    def close(self) -> None:
        """Everything that was added is on disk from now on."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def read(self) -> Iterator[str]:
        """The cells in their order."""
        self.close()
        with self.path.open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)


class Spool:
    """The parts of a bundle in a folder of their own, until ``write`` makes the bundle of them.

    Parameters
    ----------
    folder : Path
        A new folder, which ``spooled`` makes and takes away.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.arrays: dict[str, list[Grown]] = {}
        self.columns: dict[str, Grown | Texts] = {}
        self.training: dict[str, Grown | Texts] = {}
        self.notes: list[str] = []
        self._stacked: set[str] = set()
        self._made = 0

    def _path(self) -> Path:
        self._made += 1
        return self.folder / f"{self._made}.part"

    def add(self, name: str, block: NDArray[Any], part: int | None = None) -> None:
        """Add rows to an array; with ``part``, to that row of an array (parts, rows, ...)."""
        parts = self.arrays.setdefault(name, [])
        while len(parts) <= (part or 0):
            parts.append(Grown(self._path(), name))
        parts[part or 0].add(block)
        if part is not None:
            self._stacked.add(name)

    def add_column(self, name: str, cells: Any, part: str = "") -> None:
        """Add cells to a column of the examples: numbers and booleans, or else texts.

        With ``"train/"`` as part to one of the training examples.
        """
        array = np.asarray(cells)
        plain = array.ndim == 1 and array.dtype.kind in "biuf"
        columns = self.training if part else self.columns
        column = columns.get(name)
        if column is None:
            column = Grown(self._path(), name) if plain else Texts(self._path(), name)
            columns[name] = column
        if isinstance(column, Texts):
            column.add([told_cell(cell) for cell in cells])
        elif not plain or not np.can_cast(array.dtype, column.dtype or array.dtype, "same_kind"):
            raise CollectError(
                f"column {name!r} must hold one kind of values in every batch: got "
                f"{column.dtype} at first and {array.dtype} after {column.rows} examples."
            )
        else:
            column.add(array)

    def read(self, name: str) -> NDArray[Any]:
        """An array that was added without parts, memory-mapped."""
        return self.arrays[name][0].read()

    def rows(self, name: str) -> int:
        """How many rows an array has so far; 0 where there is none."""
        return self.arrays[name][0].rows if name in self.arrays else 0

    def drop(self, name: str) -> None:
        """Forget an array that was only needed meanwhile."""
        for part in self.arrays.pop(name, []):
            part.close()
            part.path.unlink(missing_ok=True)

    def rename(self, name: str, other: str) -> None:
        """Call an array by another name."""
        self.arrays[other] = self.arrays.pop(name)
        if name in self._stacked:
            self._stacked.add(other)

    def check_lengths(self, rows: int, part: str = "") -> None:
        """Every column has a cell for each of so many examples, or an error says which has not."""
        told = "training examples came from train" if part else "examples came from the loader"
        for name, column in (self.training if part else self.columns).items():
            if column.rows != rows:
                raise CollectError(
                    f"column {name!r} must have one cell per example: got {column.rows} and "
                    f"{rows} {told}."
                )

    def write(self, path: Path, told: Callable[[str], None]) -> None:
        """Make the bundle: an ``.npz``, a ``.zip``, or without a suffix a folder.

        It has its name only when it is whole. ``told`` hears of every file; what it raises stops
        the writing.
        """
        if self.notes:
            self.add("collected/notes", np.asarray(self.notes, dtype=np.str_))
        for name, column in self.training.items():
            field = f"train/{name}"
            if "/" in name or "\\" in name or field in self.arrays:
                raise CollectError(
                    f"a column of the training examples cannot be called {name!r}: a field of the "
                    "bundle is, or it holds a path separator. Give it another name."
                )
            self._column_as_array(field, column)
        if path.suffix.lower() == ".npz":
            for name, column in self.columns.items():
                if name.startswith("/") or ".." in name.split("/") or "\\" in name or "\0" in name:
                    raise CollectError(
                        f"column {name!r} cannot be a name in .npz: write a folder or .zip."
                    )
                self._column_as_array(f"examples/{name}", column)
            self._archive(path, told)
        else:
            whole = self.folder / "whole"
            whole.mkdir()
            self._table(whole / "examples.csv")
            if path.suffix.lower() == ".zip":
                self._archive(path, told, whole / "examples.csv")
                return
            for name in list(self.arrays):
                told(f"Writing {name}.npy")
                target = whole / f"{name}.npy"
                target.parent.mkdir(parents=True, exist_ok=True)
                self._joined(name).replace(target)
            if path.exists():
                path.rmdir()  # it is empty: that was checked
            whole.replace(path)

    def _joined(self, name: str) -> Path:
        """The file of an array as one .npy; parts are moved behind the first, one after another."""
        first, *others = self.arrays[name]
        first.close()
        if name not in self._stacked:
            return first.path
        if {other.shape for other in others} - {first.shape}:
            raise CollectError(f"{name} must be equally long in every part.")
        with first.path.open("r+b") as stream:
            assert first.dtype is not None
            stream.write(npy_header(first.dtype, (1 + len(others), *first.shape)))
            stream.seek(0, os.SEEK_END)
            for other in others:
                other.close()
                with other.path.open("rb") as more:
                    more.seek(HEADER_BYTES)
                    shutil.copyfileobj(more, stream, 2**20)
                other.path.unlink()
        self.arrays[name] = [first]
        return first.path

    def _archive(self, path: Path, told: Callable[[str], None], table: Path | None = None) -> None:
        target = self.folder / "whole"
        target = target / "bundle" if target.is_dir() else target
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            files = [(f"{name}.npy", name) for name in self.arrays]
            for member, name in [*files, *([("examples.csv", "")] if table else [])]:
                if table is not None and not name and not table.exists():
                    continue
                told(f"Writing {member}")
                source = self._joined(name) if name else table
                info = zipfile.ZipInfo(member)  # one fixed date: the same arrays give the same file
                with (
                    archive.open(info, "w", force_zip64=True) as stream,
                    Path(str(source)).open("rb") as file,
                ):
                    shutil.copyfileobj(file, stream, 2**20)
                Path(str(source)).unlink()
        target.replace(path)

    def _column_as_array(self, field: str, column: Grown | Texts) -> None:
        """A column as an array; texts get the width of the longest."""
        name = field.partition("/")[2]
        if isinstance(column, Grown):
            column.close()
            self.arrays[field] = [column]
            return
        if 4 * column.longest * column.rows > MOST_TEXT_BYTES:
            raise CollectError(
                f"column {name!r} does not go into one array: {column.rows} texts of up to "
                f"{column.longest} characters would take "
                f"{4 * column.longest * column.rows / 2**30:.0f} GiB. "
                + ("Shorten them." if field.startswith("train/") else "Write a folder or .zip.")
            )
        held: list[str] = []
        grown = Grown(self._path(), name)
        kind = f"<U{column.longest}"
        for cell in column.read():
            held.append(cell)
            if len(held) == BLOCK_ROWS:
                grown.add(np.asarray(held, dtype=kind))
                held = []
        if held or not grown.rows:
            grown.add(np.asarray(held, dtype=kind))
        grown.close()
        self.arrays[field] = [grown]

    def _table(self, path: Path) -> None:
        """All columns as one CSV file, a line per example; none where there is no column."""
        if not self.columns:
            return
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(self.columns)
            for row in zip(*map(_cells, self.columns.values()), strict=True):
                writer.writerow(row)


def _cells(column: Grown | Texts) -> Iterator[Any]:
    if isinstance(column, Texts):
        yield from column.read()
        return
    array = column.read()
    for start in range(0, len(array), BLOCK_ROWS):
        yield from array[start : start + BLOCK_ROWS].tolist()


def told_cell(cell: Any) -> str:
    """A cell as text; a missing one of any library is empty."""
    missing = cell is None or type(cell).__name__ in ("NAType", "NaTType")
    if missing or (isinstance(cell, (float, np.floating)) and cell != cell):
        return ""
    return str(cell).encode("utf-8", "replace").decode("utf-8")


@contextlib.contextmanager
def spooled(path: Path) -> Iterator[Spool]:
    """A spool beside ``path``, gone afterwards whatever happens.

    Raises
    ------
    CollectError
        If a bundle cannot be called so.
    """
    suffix = path.suffix.lower()
    if suffix not in (".npz", ".zip", ""):
        raise CollectError(
            f"out must end in .npz or .zip, or be a folder: got {path.name!r}, suffix {suffix!r}."
        )
    if suffix == "" and path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise CollectError(f"out must be a new or empty folder: {path.name!r} is not.")
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".collect-", dir=path.resolve().parent))
    spool = Spool(folder)
    try:
        yield spool
    finally:
        for grown in [*(part for parts in spool.arrays.values() for part in parts)]:
            with contextlib.suppress(OSError):
                grown.close()
        for column in (*spool.columns.values(), *spool.training.values()):
            with contextlib.suppress(OSError):
                column.close()
        shutil.rmtree(folder, ignore_errors=True)
