"""Results on disk, found again by what they were computed from.

    >>> cache = Cache()                                                          # doctest: +SKIP
    >>> key = key_of("spotlights", bundle.digest, {"size": 0.02}, version=1)     # doctest: +SKIP
    >>> entry = cache.read(key) or cache.write(key, {"weights": k}, {"seed": 0}) # doctest: +SKIP
    >>> entry["weights"], entry.meta                                             # doctest: +SKIP

A key covers bundle digest, task, options and method version, so an entry never becomes wrong: it
is there or it is not. An entry is a folder of ``.npy`` files and a ``meta.json`` that holds the
checksum of each. It appears in one rename, is read by memory map, and is checked in full the first
time a process reads it; a damaged one is logged, removed, and counts as absent.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import os
import re
import shutil
import time
import uuid
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.errors import CacheError, InputError
from backend.core.home import home_folder

log = logging.getLogger(__name__)

DEFAULT_BYTES = 4 * 2**30
"""Size the cache is kept below unless ``ERRORSCOPE_CACHE_BYTES`` says otherwise."""

_META = "meta.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_KEY = re.compile(r"[0-9a-f]{64}")
_OWNER_DIGITS = 16
_STALE_S = 3600.0
_BLOCK = 2**20
_TRIES = 20


def key_of(task: str, digest: str, options: Mapping[str, Any], version: int) -> str:
    """Name of the result of one task on one bundle.

    Parameters
    ----------
    task : str
        Name of the task.
    digest : str
        Digest of the bundle, or of whatever else the task reads.
    options : mapping
        Everything else that changes the result: None, booleans, numbers, text, lists and mappings
        of those. Order does not matter; 1, 1.0 and ``np.int64(1)`` are one value.
    version : int
        Raised whenever the task starts to compute something else.

    Returns
    -------
    str
        64 hex digits. Keys of one digest share their first 16.

    Raises
    ------
    InputError
        If an option is of another type, or not finite.
    """
    owner = hashlib.sha256(digest.encode()).hexdigest()[:_OWNER_DIGITS]
    text = _dump([task, digest, canonical(options), int(version)])
    return owner + hashlib.sha256(text.encode()).hexdigest()[_OWNER_DIGITS:]


def canonical(value: Any, where: str = "options") -> Any:
    """``value`` in plain JSON types, one spelling per value; ``where`` names it in errors."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InputError(f"{where} must be finite: got {value}.")
        return int(value) if value.is_integer() else value
    if isinstance(value, list | tuple):
        return [canonical(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                raise InputError(f"{where} must have text as names: got {name!r}.")
        return {name: canonical(item, f"{where}[{name!r}]") for name, item in value.items()}
    raise InputError(
        f"{where} must be None, a boolean, a number, text, or a list or mapping of those: "
        f"got {type(value).__name__}."
    )


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
    (folder / _META).write_text(_dump({"crc32": zlib.crc32(_dump(body).encode()), "entry": body}))


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
        stored = json.loads((folder / _META).read_text())
        body = stored["entry"]
        if zlib.crc32(_dump(body).encode()) != stored["crc32"]:
            raise DamagedEntry(f"{_META} differs from its checksum")
        arrays = {}
        for name, promised in body["arrays"].items():
            path = folder / f"{name}.npy"
            _check_file(path, promised, set() if checked is None else checked)
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            arrays[name] = array
        return Entry(key, body["meta"], arrays)
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise DamagedEntry(f"{type(error).__name__}: {error}") from error


class Cache:
    """The results of one home folder. Safe to share between threads and processes.

    Parameters
    ----------
    home : path, optional
        As for ``home_folder``; entries are in ``<home>/cache``.
    max_bytes : int, optional
        Size to stay below: after each write the entries read longest ago go, never the one just
        written. Default: ``ERRORSCOPE_CACHE_BYTES``, else 4 GiB.

    Raises
    ------
    InputError
        If ``ERRORSCOPE_CACHE_BYTES`` is not a whole number.
    """

    def __init__(self, home: str | os.PathLike[str] | None = None, max_bytes: int | None = None):
        self.folder = home_folder(home) / "cache"
        self.max_bytes = _budget() if max_bytes is None else int(max_bytes)
        self._checked: set[tuple[Any, ...]] = set()
        self._temporary.mkdir(parents=True, exist_ok=True)
        self._sweep()

    @property
    def _temporary(self) -> Path:
        return self.folder / ".temporary"

    def path(self, key: str) -> Path:
        """Folder of an entry, whether it exists or not."""
        if not _KEY.fullmatch(key):
            raise InputError(f"a cache key is 64 hex digits, as key_of makes them: got {key!r}.")
        return self.folder / key[:2] / key

    def read(self, key: str) -> Entry | None:
        """The entry, or None when there is none. A damaged one is logged, removed, and None."""
        folder = self.path(key)
        for _ in range(_TRIES):
            before = _identity(folder)
            if before is None:
                return None
            try:
                entry = read_folder(folder, key, self._checked)
            except DamagedEntry as damage:
                if _identity(folder) != before:
                    continue
                log.warning("Cached result %s is damaged and will be made anew: %s", key, damage)
                self._remove(folder)
                return None
            # Another process may have replaced the folder while this one read half of each.
            if _identity(folder) != before:
                continue
            with contextlib.suppress(FileNotFoundError):
                now = time.time_ns()
                os.utime(folder / _META, ns=(now, now))
            return entry
        return None

    def write(self, key: str, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> Entry:
        """Keep a result; an entry under the same key is replaced.

        Parameters
        ----------
        key : str
            From ``key_of``.
        arrays : mapping of name to array
            Numbers, booleans or fixed-width text, any shape.
        meta : mapping
            Plain values. Numbers that are not finite become None, as everywhere in JSON.

        Raises
        ------
        CacheError
            If the disk refuses.
        InputError
            If an array or a value is of a type that cannot be kept.
        """
        folder = self.path(key)
        fresh = self._temporary / uuid.uuid4().hex
        try:
            write_folder(fresh, arrays, meta)
            folder.parent.mkdir(parents=True, exist_ok=True)
            entry = read_folder(fresh, key, self._checked)
            self._move(fresh, folder)
        except (OSError, DamagedEntry) as error:
            raise CacheError(
                f"A result could not be kept in {self.folder}: {error}. Free some space there, or "
                "set ERRORSCOPE_HOME to a folder on another disk."
            ) from error
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        self._evict(keep=folder)
        return entry

    def drop(self, digest: str) -> int:
        """Remove every result of one bundle; how many there were."""
        owner = key_of("", digest, {}, 0)[:_OWNER_DIGITS]
        found = [path for path in self._entries() if path.name.startswith(owner)]
        for path in found:
            self._remove(path)
        return len(found)

    def size_bytes(self) -> int:
        """Bytes that all entries hold together."""
        return sum(_usage(path)[1] for path in self._entries())

    def _entries(self) -> Iterator[Path]:
        for shelf in self.folder.glob("[0-9a-f][0-9a-f]"):
            yield from (path for path in shelf.iterdir() if _KEY.fullmatch(path.name))

    def _move(self, fresh: Path, folder: Path) -> None:
        """Rename ``fresh`` to ``folder``; what was there before goes, whoever wrote it."""
        for _ in range(_TRIES):
            try:
                # A folder with content is never overwritten by a rename, so it steps aside first.
                fresh.replace(folder)
                return
            except OSError:
                if not folder.exists():
                    raise
                self._remove(folder)
        raise OSError(f"{folder.name} is being replaced by too many processes at once")

    def _remove(self, folder: Path) -> None:
        """Take an entry away in one rename, so that nobody reads half of it."""
        gone = self._temporary / uuid.uuid4().hex
        with contextlib.suppress(FileNotFoundError):
            folder.replace(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def _evict(self, keep: Path) -> None:
        used = sorted((*_usage(path), path) for path in self._entries())
        total = sum(size for _, size, _ in used)
        for _, size, path in used:
            if total <= self.max_bytes:
                return
            if path != keep:
                self._remove(path)
                total -= size

    def _sweep(self) -> None:
        """Remove temporaries that a killed process left behind."""
        for path in self._temporary.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _STALE_S:
                    shutil.rmtree(path, ignore_errors=True)


def _budget() -> int:
    text = os.environ.get("ERRORSCOPE_CACHE_BYTES")
    if not text:
        return DEFAULT_BYTES
    try:
        return int(text)
    except ValueError:
        raise InputError(
            f"ERRORSCOPE_CACHE_BYTES must be a whole number of bytes: got {text!r}."
        ) from None


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


def _usage(folder: Path) -> tuple[int, int]:
    """When an entry was last read (ns) and its bytes; zeros when it has just gone."""
    used = size = 0
    with contextlib.suppress(FileNotFoundError):
        for file in os.scandir(folder):
            stat = file.stat()
            size += stat.st_size
            if file.name == _META:
                used = stat.st_mtime_ns
    return used, size


def _identity(folder: Path) -> tuple[int, ...] | None:
    """What tells a folder from another one of the same name, later; inode numbers are reused."""
    try:
        stat = folder.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns


def _dump(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


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
