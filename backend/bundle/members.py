"""Files of a folder or an archive, listed and opened without trusting any of their names or sizes."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from backend.bundle.faults import Faults, parsing, refuse
from backend.bundle.limits import (
    BLOCK_BYTES,
    MAX_MEMBERS,
    MAX_RATIO,
    MAX_UNPACKED_BYTES,
    RATIO_FLOOR_BYTES,
)
from backend.bundle.names import GROUPS

SYSTEM_FILES = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")
ZIP_AGAIN = "Make the archive again from the folder and upload it whole."


@dataclass(frozen=True)
class Member:
    """One file: its name inside the upload, its size, and a way to open it.

    ``path`` is set for files of a folder, which can be memory-mapped.
    """

    name: str
    size: int
    open: Callable[[], IO[bytes]]
    path: Path | None = None

    @property
    def stem(self) -> str:
        return self.name.rpartition(".")[0]

    @property
    def suffix(self) -> str:
        return self.name[len(self.stem) :].lower() if "." in self.name.rpartition("/")[2] else ""

    def read(self, limit: int) -> bytes:
        """All bytes of the member; ``BundleError`` when there are more than ``limit``."""
        if self.size > limit:
            raise refuse(
                self.name,
                "",
                None,
                f"the file has {self.size} bytes, at most {limit} are read.",
                "Make it smaller, or leave it out.",
            )
        with parsing(self.name, "the file", ZIP_AGAIN), self.open() as stream:
            return stream.read(self.size)  # memory for all that may be read is asked for at once


def composed(name: str) -> str:
    """``name`` with accents in one character each: archives made on a Mac write them as two."""
    return unicodedata.normalize("NFC", name)


def opener(path: Path) -> Callable[[], IO[bytes]]:
    """A function that opens the file at ``path`` for reading."""
    return lambda: path.open("rb")


def folder_members(root: Path) -> list[Member]:
    """Regular files below ``root``, sorted by name, symbolic links only where they stay inside.

    Raises
    ------
    BundleError
        If a link leads out of the folder, or there are too many files.
    """
    faults = Faults()
    members: list[Member] = []
    root = root.resolve()
    for folder, folders, files in os.walk(root, followlinks=False):
        folders.sort()
        for name in sorted(
            [*files, *(name for name in folders if (Path(folder) / name).is_symlink())]
        ):
            path = Path(folder) / name
            inner = path.relative_to(root).as_posix()
            if _is_system(inner):
                continue
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                faults.add(
                    inner,
                    "",
                    None,
                    "it is a symbolic link that leads out of the folder.",
                    "Put a copy of the file in its place.",
                )
                continue
            status = path.stat() if path.exists() else None
            if status is not None and stat.S_ISREG(status.st_mode):
                members.append(Member(inner, status.st_size, opener(path), path))
        if len(members) > MAX_MEMBERS:
            raise refuse(
                root.name,
                "",
                None,
                f"more than {MAX_MEMBERS} files.",
                "Point at the bundle's own folder.",
            )
    faults.raise_any()
    return sorted(members, key=lambda member: member.name)


def open_zip(path: Path, file: str) -> zipfile.ZipFile:
    """The archive at ``path``, after every check that its directory allows.

    Raises
    ------
    BundleError
        If it is no archive or a damaged one, has too many members, unpacks to too much, or holds
        encrypted members, links, names that lead out of it, or a name twice.
    """
    with parsing(file, "the archive", ZIP_AGAIN):
        archive = zipfile.ZipFile(path)
    try:
        _check_directory(archive, path.stat().st_size, file)
    except BaseException:
        archive.close()
        raise
    return archive


def _check_directory(archive: zipfile.ZipFile, packed: int, file: str) -> None:
    faults = Faults()
    infos = archive.infolist()
    if len(infos) > MAX_MEMBERS:
        raise refuse(
            file,
            "",
            None,
            f"{len(infos)} members, at most {MAX_MEMBERS} are read.",
            "Split the archive.",
        )
    if not infos:
        raise refuse(file, "", None, "the archive is empty.", "Put the arrays of the bundle in it.")
    unpacked = sum(info.file_size for info in infos)
    if unpacked > MAX_UNPACKED_BYTES:
        raise refuse(
            file,
            "",
            None,
            f"it unpacks to {unpacked} bytes, at most {MAX_UNPACKED_BYTES} are unpacked.",
            "Import the folder it was made from instead.",
        )
    if unpacked > RATIO_FLOOR_BYTES and unpacked > MAX_RATIO * packed:
        raise refuse(
            file,
            "",
            None,
            f"it unpacks to {unpacked / packed:.0f} times its size, like a zip bomb; "
            f"at most {MAX_RATIO} times is accepted.",
            "Save it without compression (np.savez, zip -0), or import the folder.",
        )
    seen: set[str] = set()
    for info in infos:
        name = info.filename
        if problem := path_problem(name) or path_problem(info.orig_filename):
            faults.add(
                file, name, None, f"{problem}.", "Use plain relative names inside the archive."
            )
        elif stat.S_ISLNK(info.external_attr >> 16):
            faults.add(
                file, name, None, "it is a symbolic link.", "Put the file itself in the archive."
            )
        elif info.flag_bits & 0x1:
            faults.add(file, name, None, "it is encrypted.", "Make the archive without a password.")
        elif name in seen:
            faults.add(file, name, None, "the name occurs twice.", "Keep one of the two.")
        seen.add(name)
        if len(faults.found) >= 20:
            break
    faults.raise_any()


def path_problem(name: str) -> str | None:
    """Why ``name`` could lead out of the upload it stands in; None when it cannot."""
    if name.startswith(("/", "\\")) or re.match(r"^[A-Za-z]:[\\/]", name):
        return "the name is an absolute path"
    parts = name.replace("\\", "/").split("/")
    if ".." in parts:
        return "the name climbs out of the upload with '..'"
    if "\\" in name:
        return "the name holds a backslash"
    if "\0" in name:
        return "the name holds a null character"
    return None


def zip_members(archive: zipfile.ZipFile) -> list[Member]:
    """Files of a checked archive in its own order. Reading stops at each declared size."""

    def opened(info: zipfile.ZipInfo) -> IO[bytes]:
        # A bundle that was read without importing asks for its images after the archive closed.
        source = archive if archive.fp is not None else zipfile.ZipFile(str(archive.filename))
        return source.open(info)

    return [
        Member(info.filename, info.file_size, partial(opened, info))
        for info in archive.infolist()
        if not info.is_dir() and not _is_system(info.filename)
    ]


def without_top_folder(members: Sequence[Member]) -> tuple[list[Member], str]:
    """Members with the one folder around all of them taken off, and that folder's prefix."""
    tops = {member.name.partition("/")[0] for member in members}
    nested = all("/" in member.name for member in members)
    if len(tops) != 1 or not nested or next(iter(tops)).lower() in GROUPS:
        return list(members), ""
    prefix = next(iter(tops)) + "/"
    return [
        Member(member.name.removeprefix(prefix), member.size, member.open, member.path)
        for member in members
    ], prefix


def copy_out(member: Member, target: Path) -> Path:
    """The member's bytes at ``target``, streamed; never more than its declared size."""
    with (
        parsing(member.name, "the member", ZIP_AGAIN),
        member.open() as source,
        target.open("wb") as sink,
    ):
        while chunk := source.read(BLOCK_BYTES):
            sink.write(chunk)
    return target


def _is_system(name: str) -> bool:
    parts = name.split("/")
    return any(part in SYSTEM_FILES or part.startswith("._") for part in parts)
