"""All results of one home folder: kept by key, checked when read, bounded in size."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from backend.cache.entry import META, DamagedEntry, Entry, read_folder, write_folder
from backend.cache.keys import KEY, owner_of
from backend.core.errors import CacheError, InputError
from backend.core.home import cache_folder, refused

log = logging.getLogger(__name__)

DEFAULT_BYTES = 4 * 2**30
"""Size the cache is kept below unless ``ERRORSCOPE_CACHE_BYTES`` says otherwise."""

_STALE_S = 3600.0
_IN_THE_WAY = (errno.ENOTEMPTY, errno.EEXIST)
_TRIES = 20


class Cache:
    """The results of one home folder. Safe to share between threads and processes.

    Parameters
    ----------
    home : path, optional
        As for ``home_folder``; entries are in ``<home>/cache`` unless ``ERRORSCOPE_CACHE`` names
        another folder.
    max_bytes : int, optional
        Size to stay below: after each write the entries read longest ago go, never the one just
        written. Default: ``ERRORSCOPE_CACHE_BYTES``, else 4 GiB.

    Raises
    ------
    CacheError
        If the folder cannot be written.
    InputError
        If ``ERRORSCOPE_CACHE_BYTES`` is not a whole number.
    """

    def __init__(self, home: str | os.PathLike[str] | None = None, max_bytes: int | None = None):
        self.folder = cache_folder(home)
        self.max_bytes = _budget() if max_bytes is None else int(max_bytes)
        self._checked: set[tuple[Any, ...]] = set()
        try:
            self._temporary.mkdir(parents=True, exist_ok=True)
            self._sweep()
        except OSError as error:
            raise CacheError(f"Results cannot be kept: {refused(error, self.folder)}") from error

    @property
    def _temporary(self) -> Path:
        return self.folder / ".temporary"

    def path(self, key: str) -> Path:
        """Folder of an entry, whether it exists or not."""
        if not KEY.fullmatch(key):
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
                os.utime(folder / META, ns=(now, now))
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
        except OSError as error:
            raise CacheError(
                f"A result could not be kept: {refused(error, self.folder)}"
            ) from error
        except DamagedEntry as error:
            raise CacheError(
                f"A result could not be kept in {self.folder}: what was written reads as something "
                f"else ({error}). Check the disk, or name another folder in ERRORSCOPE_HOME."
            ) from error
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        self._evict(keep=folder)
        return entry

    def drop(self, digest: str) -> int:
        """Remove every result of one bundle; how many there were."""
        owner = owner_of(digest)
        found = [path for path in self._entries() if path.name.startswith(owner)]
        for path in found:
            self._remove(path)
        return len(found)

    def size_bytes(self) -> int:
        """Bytes that all entries hold together."""
        return sum(_usage(path)[1] for path in self._entries())

    def _entries(self) -> Iterator[Path]:
        for shelf in self.folder.glob("[0-9a-f][0-9a-f]"):
            yield from (path for path in shelf.iterdir() if KEY.fullmatch(path.name))

    def _move(self, fresh: Path, folder: Path) -> None:
        """Rename ``fresh`` to ``folder``; what was there before goes, whoever wrote it."""
        for _ in range(_TRIES):
            try:
                # A folder with content is never overwritten by a rename, so it steps aside first.
                fresh.replace(folder)
                return
            except OSError as error:
                # It may be gone by now: somebody else who writes it took it away first.
                if error.errno not in _IN_THE_WAY and not folder.exists():
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


def _usage(folder: Path) -> tuple[int, int]:
    """When an entry was last read (ns) and its bytes; zeros when it has just gone."""
    used = size = 0
    with contextlib.suppress(FileNotFoundError):
        for file in os.scandir(folder):
            stat = file.stat()
            size += stat.st_size
            if file.name == META:
                used = stat.st_mtime_ns
    return used, size


def _identity(folder: Path) -> tuple[int, ...] | None:
    """What tells a folder from another one of the same name, later; inode numbers are reused."""
    try:
        stat = folder.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns
