"""Where the images of an upload are: a column, an array, packed bytes, or files matched by name."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from backend.bundle import check
from backend.bundle.contents import MADE_IDS, Contents
from backend.bundle.entry import UploadEntry
from backend.bundle.faults import Faults
from backend.bundle.media import ArrayImages, MemberImages, PackedImages, image_array_problem
from backend.bundle.members import composed
from backend.bundle.resolve import Resolved
from backend.bundle.upload import Upload


def take_pictures(place: Resolved, contents: Contents) -> None:
    """Take the first column that holds images as the images, whatever it is called.

    Others stay attributes, where they are left out: bytes are no text.
    """
    if "image" in place.columns or place.groups["images"] or "image" in place.denied:
        return
    named = sorted(
        (name for name, entry in place.attributes.items() if entry.pictures is not None),
        key=lambda name: any(word in name.lower() for word in ("mask", "seg", "label", "target")),
    )
    for name in named:
        pictures = place.attributes[name].pictures
        if pictures is not None and pictures():
            place.columns["image"] = place.attributes.pop(name)
            contents.notes.append(f"images: those in column '{name}'.")
            return


def find_images(
    place: Resolved, contents: Contents, upload: Upload, n: int | None, faults: Faults
) -> str:
    """Find where images come from; they are read later. Gives the name faults will use."""
    entry = place.columns.get("image")
    packed = place.groups["images"]
    if {"bytes", "offsets"} <= packed.keys():
        _packed_images(packed["bytes"], packed["offsets"], contents, n, faults)
        if entry is not None and contents.media is not None:
            _name_images(entry, contents, n, faults)
        return "images"
    if entry is None:
        return _images_by_name(contents, upload)
    if entry.images is not None:
        media = entry.images()
        if check.same_length(len(media), n, entry, "images", faults):
            names: list[str] = []
            with faults.gathered():
                names = media.names()
            _set_image_names(contents, names)
            contents.media = media
        return entry.name
    if entry.shape is not None and len(entry.shape) > 1:
        pixels = check.loaded(entry, faults)
        if pixels is None:
            return entry.name
        if problem := image_array_problem(pixels):
            faults.about(entry, problem, "Save pixels as uint8.")
        elif check.same_length(len(pixels), n, entry, "images", faults):
            contents.media = ArrayImages(pixels, entry.file)
            _set_image_names(contents, [])
        return entry.name
    paths = check.column_text(entry, n, "images", faults)
    if paths is not None:
        _set_image_names(contents, list(paths))
        contents.media = MemberImages(list(paths), upload.files, entry.file)
        empty = int((paths == "").sum())
        if 0 < empty < len(paths):
            contents.notes.append(
                f"images: {empty} of {len(paths)} examples have none, since their cell in "
                f"'{entry.name}' is empty."
            )
    return entry.name


def _packed_images(
    data: UploadEntry, offsets: UploadEntry, contents: Contents, n: int | None, faults: Faults
) -> None:
    raw, ends = check.numbers(data, faults), check.numbers(offsets, faults)
    if raw is None or ends is None:
        return
    if raw.dtype != np.uint8 or raw.ndim != 1 or ends.ndim != 1 or ends.dtype.kind not in "iu":
        faults.about(
            data,
            "image bytes must be uint8 (total,) with whole offsets.",
            "Write it with write_bundle(path, images=[...]).",
        )
        return
    sound = (
        len(ends) > 0 and ends[0] == 0 and ends[-1] == len(raw) and (ends[1:] >= ends[:-1]).all()
    )
    if not sound:
        faults.about(
            offsets,
            "offsets must rise from 0 to the number of bytes.",
            "Write it with write_bundle(path, images=[...]).",
        )
    elif check.same_length(len(ends) - 1, n, offsets, "images", faults):
        contents.media = PackedImages(raw, ends.astype(np.int64), data.file)
        _set_image_names(contents, [])


def _name_images(entry: UploadEntry, contents: Contents, n: int | None, faults: Faults) -> None:
    names = check.column_text(entry, n, "images", faults)
    if names is not None:
        _set_image_names(contents, list(names))


def _images_by_name(contents: Contents, upload: Upload) -> str:
    """Files under images/ when no column is called image: by id, by a column of names, in order.

    A column counts if it names a file in every row: pictures in their natural order would go to rows
    that say themselves that theirs is another.
    """
    names = {member.name for member in upload.files.values()}
    files = sorted(
        (
            name
            for name in names
            if name.lower().startswith("images/")
            and not name.endswith((".npy", ".csv", ".json", ".txt"))
        ),
        key=natural,
    )
    if not files or contents.examples.empty:
        return "images"
    ids = [composed(one) for one in contents.examples["id"].tolist()]
    files_of = _called(files)
    made = any(note.startswith(MADE_IDS) for note in contents.notes)
    found = [files_of.get(one, "") for one in ids]
    unused = len(files) - len(set(found) - {""})
    column = _naming(contents.examples, files_of) if made or "" in found else ""
    if column:
        found = [files_of[composed(one)] for one in contents.examples[column].tolist()]
        contents.notes.append(f"images: those that column '{column}' names.")
    elif any(found) and not (made and unused):
        said = "images: matched with ids by file name."
        if "" in found:
            said = (
                f"images: matched with ids by file name; {found.count('')} of {len(ids)} examples "
                f"have none, since no file is called like their id (the first is "
                f"{ids[found.index('')][:40]!r})"
            )
            said += f", and {unused} files are like no id." if unused else "."
        elif unused:
            said = f"images: matched with ids by file name; {unused} files are like no id."
        contents.notes.append(said)
    elif len(files) == len(ids):
        found = files
        contents.notes.append(
            "images: matched with rows in the order of their file names, numbers by value "
            f"('{files[0]}' is row 0, '{files[-1]}' row {len(ids) - 1})."
        )
    else:
        contents.notes.append(
            f"images/: left out, {len(files)} files for {len(ids)} examples, no file is called like "
            "an id, and there is no column 'image'."
        )
        return "images"
    _set_image_names(contents, found)
    contents.media = MemberImages(found, upload.files, upload.file)
    return "images"


def _called(files: list[str]) -> dict[str, str]:
    """Files by what a row may call them: with and without folders, with and without an ending."""
    files_of = {}
    for name in reversed(files):
        inner = composed(name.partition("/")[2])
        for path in (composed(name), inner, inner.rpartition("/")[2]):
            files_of[path] = name
            files_of[path.rpartition(".")[0]] = name
    files_of.pop("", None)
    return files_of


def _naming(examples: pd.DataFrame, files_of: dict[str, str]) -> str:
    """The first column of text in which every row is called like a file; or ''.

    Half of the files or more are named: a column of a few words may be called like some by chance.
    """
    for column in examples.columns.drop("id"):
        values = examples[column]
        if not pd.api.types.is_string_dtype(values) or values.isna().any():
            continue
        names = {composed(one) for one in values.unique().tolist()}
        if names <= files_of.keys() and 2 * len(names) >= len(set(files_of.values())):
            return str(column)
    return ""


def natural(name: str) -> list[tuple[int, str]]:
    """Sorts names as people do: ``img2`` before ``img10``."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), part) if k % 2 else (-1, part) for k, part in enumerate(parts)]


def _set_image_names(contents: Contents, names: list[str]) -> None:
    if contents.examples.empty:
        return
    count = len(contents.examples)
    if not any(names):
        names = [f"images/{row:0{len(str(count))}d}" for row in range(count)]
    contents.examples["image"] = pd.Series(names, dtype="str")
