"""One result on disk: a folder of arrays, and a ``meta.json`` that holds the checksum of each."""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.cache.keys import dump
from backend.core.errors import InputError
from backend.core.headers import one_at_a_time

META = "meta.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_BLOCK = 2**20


@dataclass(frozen=True)
class Entry:
    """One result.

    Attributes
    ----------
    key : str
    meta : dict
        What was written with the arrays, as it came back from JSON.
    arrays : mapping of name to array
        Memory-mapped and read-only. They stay readable when the entry is evicted meanwhile.
    """

    key: str
    meta: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]] = field(repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.arrays)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.arrays[name]

    def __contains__(self, name: object) -> bool:
        return name in self.arrays


class DamagedEntry(Exception):
    """A folder does not hold what its ``meta.json`` promises. Never leaves the backend."""


def write_folder(folder: Path, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
    """Write arrays and meta into the new folder ``folder``, checksums last.

    Raises
    ------
    InputError
        If a name is not usable as a file name, or an array would need pickling.
    """
    described: dict[str, dict[str, Any]] = {}
    folder.mkdir(parents=True)
    for name, value in arrays.items():
        if not _NAME.fullmatch(name):
            raise InputError(f"an array's name must be letters, digits and _.-: got {name!r}.")
        array = np.asarray(value, order="C")
        if array.dtype.hasobject:
            raise InputError(f"array {name!r} holds objects. Keep numbers or fixed-width text.")
        path = folder / f"{name}.npy"
        np.save(path, array, allow_pickle=False)
        described[name] = {
            "shape": list(array.shape),
            "dtype": array.dtype.str,
            "bytes": path.stat().st_size,
            "crc32": _checksum(path),
        }
    body = {"arrays": described, "meta": _plain(meta)}
    (folder / META).write_text(dump({"crc32": zlib.crc32(dump(body).encode()), "entry": body}))


def read_folder(folder: Path, key: str, checked: set[tuple[Any, ...]] | None = None) -> Entry:
    """What ``write_folder`` wrote.

    Parameters
    ----------
    folder : Path
    key : str
        Becomes the entry's key.
    checked : set, optional
        Files whose checksum was right before, by identity, size and time; those are not read
        again, and newly checked ones are added.

    Raises
    ------
    DamagedEntry
        Saying what is missing or differs.
    """
    try:
        stored = json.loads((folder / META).read_text())
        body = stored["entry"]
        if zlib.crc32(dump(body).encode()) != stored["crc32"]:
            raise DamagedEntry(f"{META} differs from its checksum")
        arrays = {}
        for name, promised in body["arrays"].items():
            path = folder / f"{name}.npy"
            _check_file(path, promised, set() if checked is None else checked)
            arrays[name] = one_at_a_time(partial(_mapped, path))
        return Entry(key, body["meta"], arrays)
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise DamagedEntry(f"{type(error).__name__}: {error}") from error


def _mapped(path: Path) -> NDArray[Any]:
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def _check_file(path: Path, promised: Mapping[str, Any], checked: set[tuple[Any, ...]]) -> None:
    stat = path.stat()
    if stat.st_size != promised["bytes"]:
        raise DamagedEntry(f"{path.name} has {stat.st_size} bytes instead of {promised['bytes']}")
    seen = (stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size, promised["crc32"])
    if seen in checked:
        return
    if _checksum(path) != promised["crc32"]:
        raise DamagedEntry(f"{path.name} differs from its checksum")
    checked.add(seen)


def _checksum(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            value = zlib.crc32(block, value)
    return value


def _plain(value: Any) -> Any:
    """``value`` in JSON types; numbers that are not finite become None."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise InputError(f"meta must hold plain values: got {type(value).__name__}.")
