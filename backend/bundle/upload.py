"""Every accepted form of an upload, opened as one list of arrays and columns."""

from __future__ import annotations

import importlib
import json
import os
import stat
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from backend.bundle import arrow_table, csv_table, npy
from backend.bundle.entry import UploadEntry, dtype_name
from backend.bundle.faults import check_count, parsing, refuse
from backend.bundle.limits import MAX_TABLE_BYTES
from backend.bundle.media import CellImages
from backend.bundle.members import (
    Member,
    composed,
    copy_out,
    folder_members,
    open_zip,
    opener,
    without_top_folder,
    zip_members,
)
from backend.bundle.names import PER_ROW, canonical_field, split_group
from backend.bundle.safetensors_file import read_safetensors

SCRATCH_FROM_BYTES = 64 * 2**20
"""Archive members from this size on are unpacked to disk and mapped, where there is a disk to use."""

FORMS = (
    "Upload .npz, .parquet, .arrow, .feather, .safetensors, .pt, a .zip, or a folder of .npy files."
)
PICKLES = (".pkl", ".pickle", ".joblib", ".dill")
TABLES = ("examples", "metadata")
IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".svg")
CONTAINERS = (".npz", ".safetensors", ".pt", ".pth")


@dataclass(frozen=True)
class Upload:
    """An opened upload: its entries, the files images may be in, and what was noticed on the way."""

    file: str
    entries: list[UploadEntry]
    files: Mapping[str, Member] = field(default_factory=dict)
    classes: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()


@contextmanager
def open_upload(path: str | os.PathLike[str], scratch: Path | None = None) -> Iterator[Upload]:
    """The upload at ``path``; archives stay open inside the ``with`` block.

    Parameters
    ----------
    path : path-like
        A file or a folder.
    scratch : Path, optional
        A folder that the caller removes. Big archive members are unpacked there and mapped;
        without it they are read into memory.

    Raises
    ------
    BundleError
        If the form is unknown or the file cannot be opened as what it claims to be.
    """
    if not str(path).strip():
        raise refuse("upload", "", None, "the path is empty.", FORMS)
    path = Path(path)
    file = path.name or str(path)
    with parsing(file, "the upload", FORMS):
        status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        with parsing(file, "the folder", FORMS):
            members, _ = without_top_folder(folder_members(path))
        inner = _only_container(members)
        if inner is None:
            yield _from_members(members, file, scratch)
        else:
            with open_upload(inner, scratch) as upload:
                yield replace(upload, files=by_name(members))
        return
    if not stat.S_ISREG(status.st_mode):
        raise refuse(file, "", None, "it is neither a file nor a folder.", FORMS)
    if status.st_size == 0:
        raise refuse(file, "", None, "the file is empty.", FORMS)
    suffix = path.suffix.lower()
    with ExitStack() as stack:
        if suffix == ".npz":
            archive = stack.enter_context(open_zip(path, file))
            yield Upload(file, _npz_entries(archive, file, scratch))
        elif suffix == ".zip":
            archive = stack.enter_context(open_zip(path, file))
            members, _ = without_top_folder(zip_members(archive))
            yield _from_members(members, file, scratch)
        elif suffix in arrow_table.SUFFIXES:
            entries, classes = arrow_table.read_arrow(path, file)
            files = by_name(_siblings(path))
            yield Upload(file, _with_files(entries, files), files, classes)
        elif suffix in csv_table.SUFFIXES or suffix == ".npy":
            member = Member(file, status.st_size, opener(path), path)
            yield _from_members([member], file, scratch)
        elif suffix == ".safetensors":
            entries, metadata = read_safetensors(path, file)
            yield Upload(file, entries, classes=_classes_from(metadata))
        elif suffix in (".pt", ".pth"):
            reader = importlib.import_module("backend.bundle.torch_file")
            yield Upload(file, reader.read_torch(path, file))
        elif suffix in PICKLES:
            raise refuse(
                file,
                "",
                None,
                "pickles are not opened, because loading one can run code.",
                "Save the arrays with np.savez(path, embeddings=..., losses=...).",
            )
        else:
            raise refuse(
                file, "", None, f"the file type {suffix or 'without suffix'} is not known.", FORMS
            )


def by_name(members: Iterable[Member]) -> dict[str, Member]:
    """Members by their names, and by those with composed accents where nothing else is called so."""
    members = list(members)
    return {composed(member.name): member for member in members} | {
        member.name: member for member in members
    }


def _npz_entries(archive: zipfile.ZipFile, file: str, scratch: Path | None) -> list[UploadEntry]:
    entries = []
    members = without_top_folder(zip_members(archive))[0]
    check_count(len(members), file)
    for member in members:
        if member.suffix != ".npy":
            raise refuse(
                file,
                member.name,
                None,
                "only .npy members belong in an .npz.",
                "Save it with np.savez, or rename the archive to .zip.",
            )
        entries.append(_npy_entry(member, file, member.stem, scratch))
    return entries


def _npy_entry(member: Member, file: str, name: str, scratch: Path | None) -> UploadEntry:
    with parsing(file, "the array", npy.SAVE_AGAIN, name), member.open() as stream:
        header = npy.read_header(stream, member.size, file, name)

    def load() -> np.ndarray:
        if member.path is not None:
            return npy.open_file(member.path, file, name)
        if scratch is not None and member.size >= SCRATCH_FROM_BYTES:
            target = scratch / f"{len(list(scratch.iterdir()))}.npy"
            return npy.open_file(copy_out(member, target), file, name)
        with parsing(file, "the array", npy.SAVE_AGAIN, name), member.open() as stream:
            again = npy.read_header(stream, member.size, file, name)
            return npy.read_array(stream, again, file, name)

    return UploadEntry(file, name, header.shape, dtype_name(header.dtype), load)


def _only_container(members: Sequence[Member]) -> Path | None:
    """The one file of a folder that is a whole bundle by itself, when there is no other data."""
    containers = [member for member in members if member.suffix in CONTAINERS]
    others = [member for member in members if member.suffix in (".npy", *arrow_table.SUFFIXES)]
    return containers[0].path if len(containers) == 1 and not others else None


def _from_members(members: Sequence[Member], file: str, scratch: Path | None) -> Upload:
    """Entries of a folder or archive, each array file named by its place in it."""
    entries: list[UploadEntry] = []
    notes: list[str] = []
    classes: tuple[str, ...] | None = None
    files = by_name(members)
    tables = _table_members(members)
    check_count(sum(member.suffix == ".npy" for member in members), file)
    for member in members:
        group, rest = split_group(member.stem)
        field_name = canonical_field(rest) if "/" not in rest else None
        if member.suffix == ".npy":
            entries.append(_npy_entry(member, member.name, member.stem, scratch))
        elif member in tables:
            columns, named = _table(member, scratch)
            classes = classes or named
            entries += _with_files(columns, files)
        elif member.stem.lower() == "stress" and member.suffix in (
            *csv_table.SUFFIXES,
            *arrow_table.SUFFIXES,
        ):
            entries += [
                replace(column, name=f"stress/{column.name}", cells=False)
                for column in _table(member, scratch)[0]
            ]
        elif not group and field_name and member.suffix in (*csv_table.SUFFIXES, ".txt"):
            entries += _field_csv(member, field_name)
        elif not group and field_name == "classes" and member.suffix == ".json":
            entries.append(_classes_json(member))
        elif member.suffix in PICKLES:
            raise refuse(
                member.name,
                "",
                None,
                "pickles are not opened, because loading one can run code.",
                "Save it as .npy: np.save(path, array, allow_pickle=False).",
            )
        elif not (group == "images" or member.suffix in IMAGES):
            notes.append(f"{member.name}: left out, no field of a bundle is called that.")
    if not entries:
        names = ", ".join(member.name for member in members[:5]) or "no file at all"
        inner = [member.name for member in members if member.suffix in (*CONTAINERS, ".zip")]
        advice = "Add embeddings.npy and losses.npy, or a table with an embedding column."
        raise refuse(
            file,
            "",
            None,
            f"no file that belongs to a bundle was found, only {names}.",
            f"Upload {inner[0]} by itself." if inner else advice,
        )
    if len(notes) > 5:
        notes = [*notes[:5], f"{len(notes) - 5} more files were left out."]
    return Upload(file, entries, files, classes, tuple(notes))


def _table_members(members: Sequence[Member]) -> list[Member]:
    """The examples tables: by name, else the one table that is nothing else."""
    found = [
        member
        for member in members
        if member.suffix in (*csv_table.SUFFIXES, *arrow_table.SUFFIXES) and "/" not in member.name
    ]
    named = [member for member in found if member.stem.lower() in TABLES]
    if named:
        return named
    other = [
        member
        for member in found
        if member.stem.lower() != "stress"
        and not (canonical_field(member.stem) and member.suffix in csv_table.SUFFIXES)
    ]
    return other if len(other) == 1 else []


def _table(
    member: Member, scratch: Path | None
) -> tuple[list[UploadEntry], tuple[str, ...] | None]:
    if member.suffix in csv_table.SUFFIXES:
        return csv_table.read_csv(member.read(MAX_TABLE_BYTES), member.name), None
    if member.path is not None:
        return arrow_table.read_arrow(member.path, member.name)
    if scratch is not None and member.size >= SCRATCH_FROM_BYTES:
        target = scratch / f"{len(list(scratch.iterdir()))}{member.suffix}"
        return arrow_table.read_arrow(copy_out(member, target), member.name)
    return arrow_table.read_arrow(member.read(MAX_TABLE_BYTES), member.name)


def _field_csv(member: Member, name: str) -> list[UploadEntry]:
    """``losses.csv`` and its like: one column, or for matrices one column per class or dimension."""
    data = member.read(MAX_TABLE_BYTES)
    if member.suffix == ".txt" or (name == "classes" and b"," not in data):
        lines = data.decode("utf-8", "replace").splitlines()
        names = [line.strip() for line in lines if line.strip()]
        if names and canonical_field(names[0]) == "classes":
            names = names[1:]
        array = np.array(names, dtype=np.str_)
        return [UploadEntry(member.name, member.stem, array.shape, "str", lambda: array)]
    columns = csv_table.read_csv(data, member.name, bare=True)
    ids = [column for column in columns if column.name.strip().lower() in ("id", "ids")]
    values = [column for column in columns if column not in ids]
    own = [column for column in values if canonical_field(column.name) == name]
    if name in PER_ROW and (len(values) == 1 or own) and name not in ("probabilities", "logits"):
        value = (own or values)[0]
        return [replace(value, name=member.stem, cells=False), *ids]
    shape = (values[0].shape or (0,))[0] if values else 0

    def load() -> np.ndarray:
        arrays = [column.load() for column in values]
        for column, array in zip(values, arrays, strict=True):
            if array.dtype == object:
                row = next(k for k, cell in enumerate(array) if not _is_number(cell))
                raise refuse(
                    member.name,
                    column.name,
                    row,
                    f"the cell {str(array[row])[:40]!r} is not a number.",
                    "Write numbers only.",
                )
        return np.stack(arrays, axis=1).astype(np.float64)

    if not values:
        raise refuse(
            member.name, "", None, "it has no column of values.", f"Add a column '{name}'."
        )
    return [UploadEntry(member.name, member.stem, (shape, len(values)), "float64", load), *ids]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _classes_json(member: Member) -> UploadEntry:
    with parsing(member.name, "the list of class names", 'Write ["first", "second", ...].'):
        names = json.loads(member.read(2**24))
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("not a list of text")
    array = np.array(names, dtype=np.str_)
    return UploadEntry(member.name, member.stem, array.shape, "str", lambda: array)


def _with_files(entries: Sequence[UploadEntry], files: Mapping[str, Member]) -> list[UploadEntry]:
    """Image columns of a table, told where the files are that they name."""

    def with_files(entry: UploadEntry) -> UploadEntry:
        if entry.images is None:
            return entry
        images = entry.images

        def load() -> CellImages:
            return replace(images(), siblings=files)

        return replace(entry, images=load)

    return [with_files(entry) for entry in entries]


def _siblings(path: Path) -> Iterator[Member]:
    """Image files beside a single table, and in ``images/`` beside it; links are not followed."""
    for folder, prefix in ((path.parent, ""), (path.parent / "images", "images/")):
        if folder.is_dir() and not folder.is_symlink():
            for child in folder.iterdir():
                if child.suffix.lower() in IMAGES and child.is_file() and not child.is_symlink():
                    yield Member(
                        prefix + child.name,
                        child.stat().st_size,
                        opener(child),
                        child,
                    )


def _classes_from(metadata: Mapping[str, str]) -> tuple[str, ...] | None:
    """Class names that ``write_bundle`` leaves in the metadata of a .safetensors file."""
    try:
        names = json.loads(metadata.get("classes", "null"))
    except (ValueError, RecursionError):
        return None
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        return tuple(names)
    return None
