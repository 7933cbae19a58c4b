"""Getting files from a browser, or from a folder of the server, to the importer."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backend.core.errors import InputError
from backend.core.home import home_folder

CAP_MB = 500
"""Size of an upload through the browser. The platform holds uploads in memory."""

SUFFIXES = (
    ".npz", ".npy", ".zip", ".parquet", ".arrow", ".feather", ".csv", ".pt", ".safetensors",
)  # fmt: skip
_ODD = re.compile(r"[^A-Za-z0-9._-]")


def keep_upload(files: Sequence[Any]) -> Path:
    """Write uploaded files to a fresh folder; the file or folder to import.

    The browser's file names are never used as paths: one file keeps only its ending, several keep
    their base names with odd characters replaced, since separate files are matched by name.
    """
    folder = home_folder() / "uploads" / uuid.uuid4().hex
    folder.mkdir(parents=True)
    if len(files) == 1:
        path = folder / f"upload{_suffix(files[0].name)}"
        path.write_bytes(files[0].getbuffer())
        return path if path.suffix not in (".npy", ".csv") else _alone(folder, path, files[0].name)
    for file in files:
        name = base_name(file.name)
        if (folder / name).exists():
            raise InputError(f"two of the files are called {name!r}. Rename one and upload again.")
        (folder / name).write_bytes(file.getbuffer())
    return folder


def _alone(folder: Path, path: Path, name: str) -> Path:
    path.rename(folder / base_name(name))
    return folder


def base_name(name: str) -> str:
    """The last part of a file name with odd characters replaced; never hidden, never empty."""
    stem = _ODD.sub("_", name.replace("\\", "/").rsplit("/", 1)[-1])[-120:].lstrip(".")
    return stem or "file"


def _suffix(name: str) -> str:
    suffix = Path(base_name(name)).suffix.lower()
    return suffix if re.fullmatch(r"\.[a-z0-9]{1,12}", suffix) else ""


def shown_name(files: Sequence[Any]) -> str:
    """What the bundle is called until somebody renames it."""
    return Path(base_name(files[0].name)).stem if len(files) == 1 else f"{len(files)} files"


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


def offered_paths(folder: Path, *, limit: int = 500) -> list[str]:
    """Files and folders directly in ``folder`` or one level below that could be bundles.

    Relative names, sorted. Links that lead out of the folder are left out.
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
    return found[:limit]


def path_inside(folder: Path, name: str) -> Path:
    """``folder / name`` if that stays inside ``folder`` with all links followed."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.exists():
        raise InputError(f"{name!r} is not in the data folder. Choose one of the offered names.")
    return path
