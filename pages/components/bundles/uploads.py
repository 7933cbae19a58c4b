"""Getting files from a browser, or from a folder of the server, to the importer."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backend.bundle.home import held_by
from backend.core.errors import BackendError, InputError
from backend.core.home import home_folder, written_in
from backend.core.journal import tell
from backend.core.quota import check_room, check_share
from pages.components.shared import services

CAP_MB = 500
"""Size of an upload through the browser. The platform holds uploads in memory."""

SUFFIXES = (
    ".npz", ".npy", ".zip", ".parquet", ".arrow", ".feather", ".csv", ".pt", ".safetensors",
)  # fmt: skip
KEPT_S = 24 * 3600
"""How long an upload stays that nobody imports."""
OFFERED = 500
"""Paths of the server's folder that are offered at most."""
_ODD = re.compile(r"[^\w .()+,=@-]")
_LONGEST = 120
"""Bytes of a file's own name that are kept; systems take 255."""


def keep_upload(files: Sequence[Any]) -> Path:
    """Write uploaded files to a fresh folder; the file or folder to import.

    Only the last part of a browser's file name is used, with odd characters replaced: faults name
    it, and separate files are matched by it. A folder is called after the files in it, for faults
    of them together.
    """
    sweep()
    folder = home_folder() / "uploads" / uuid.uuid4().hex
    names = [base_name(file.name) for file in files]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two of the files are called {name!r}. Rename one and upload again.")
    size = sum(file.getbuffer().nbytes for file in files)
    try:
        check_room(home_folder(), size)
        check_share(held_by(services.who().key), size)
        with written_in(home_folder()):
            folder.mkdir(parents=True)
            for name, file in zip(names, files, strict=True):
                (folder / name).write_bytes(file.getbuffer())
            return to_import(folder, names)
    except BackendError as error:
        tell("import refused", reason=type(error).__name__)
        shutil.rmtree(folder, ignore_errors=True)
        raise


def sweep() -> None:
    """Remove uploads that were neither imported nor given up within a day: their tabs are closed."""
    root = home_folder() / "uploads"
    for folder in root.iterdir() if root.is_dir() else ():
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > KEPT_S:
                shutil.rmtree(folder, ignore_errors=True)


def to_import(folder: Path, names: Sequence[str]) -> Path:
    """What is handed to the importer of the files in a folder of an upload: one, or all of them."""
    if len(names) == 1 and Path(names[0]).suffix.lower() not in (".npy", ".csv"):
        return folder / names[0]
    together = folder / f"{uuid.uuid4().hex}.moved"  # no file can be called what it becomes
    together.mkdir()
    for name in names:
        (folder / name).rename(together / name)
    return together.rename(folder / in_words(names))


def in_words(names: Sequence[str]) -> str:
    """One file by its name, several by the first and their number."""
    if len(names) < 2:
        return "".join(names)
    return names[0] + (f" and {names[1]}" if len(names) == 2 else f" and {len(names) - 1} more")


def base_name(name: str) -> str:
    """The last part of a file name with odd characters replaced; never hidden, never empty."""
    last = _ODD.sub("_", name.replace("\\", "/").rsplit("/", 1)[-1]).strip()
    return last.encode()[-_LONGEST:].decode(errors="ignore").strip().lstrip(".") or "file"


def shown_name(files: Sequence[Any]) -> str:
    """What the bundle is called until somebody renames it."""
    first = Path(base_name(files[0].name)).stem
    return first if len(files) == 1 else f"{first} and {len(files) - 1} more"


def discard(path: Path | None) -> None:
    """Remove an upload that was imported or given up. Folders of the server are left alone."""
    if path is None:
        return
    root = home_folder() / "uploads"
    folder = path if path.parent == root else path.parent
    if folder.parent == root:
        shutil.rmtree(folder, ignore_errors=True)


def data_folder() -> Path | None:
    """The folder whose bundles can be opened without an upload, if one is configured."""
    configured = os.environ.get("ERRORSCOPE_DATA")
    if not configured:
        return None
    folder = Path(configured).expanduser().resolve()
    return folder if folder.is_dir() else None


def offered_paths(folder: Path) -> list[str]:
    """Files and folders directly in ``folder`` or one level below that could be bundles.

    Relative names, sorted, the first ``OFFERED``. Links that lead out of the folder are left out.
    """
    found = []
    for path in sorted([*folder.glob("*"), *folder.glob("*/*")]):
        if path.name.startswith(".") or not path.resolve().is_relative_to(folder):
            continue
        loose = path.suffix.lower() in (".npy", ".csv")
        if (path.is_file() and path.suffix.lower() in SUFFIXES and not loose) or (
            path.is_dir() and any(path.glob("embedding*"))
        ):
            found.append(str(path.relative_to(folder)))
    return found[:OFFERED]


def path_inside(folder: Path, name: str) -> Path:
    """``folder / name`` if that stays inside ``folder`` with all links followed."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.exists():
        raise InputError(f"{name!r} is not in the data folder. Choose one of the offered names.")
    return path
