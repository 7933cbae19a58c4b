"""From the entries of an upload to checked contents: every field, what is derived, every fault."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.bundle import check
from backend.bundle.entry import Entry
from backend.bundle.faults import Faults
from backend.bundle.losses import (
    codes_of,
    cross_entropy_of_logits,
    cross_entropy_of_probabilities,
    most_likely,
    values_of,
)
from backend.bundle.media import ArrayImages, Media, MemberImages, PackedImages, image_array_problem
from backend.bundle.nested import read_nested
from backend.bundle.resolve import Resolved, resolve
from backend.bundle.upload import Upload


@dataclass
class Contents:
    """Checked fields under flat names (``embeddings``, ``populations/int8`` ...).

    ``given`` says in which dtype each array that was not derived came; the digest covers those.
    """

    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)
    examples: pd.DataFrame = field(default_factory=pd.DataFrame)
    stress: pd.DataFrame | None = None
    classes: tuple[str, ...] | None = None
    media: Media | None = None
    notes: list[str] = field(default_factory=list)

    def keep(self, name: str, array: NDArray[Any] | None, entry: Entry) -> None:
        """Add a checked array under ``name``; None (it had faults) is passed over."""
        if array is not None:
            self.arrays[name] = array
            kind = "str" if array.dtype.kind == "U" else entry.dtype
            self.given[name] = kind.replace("torch.", "")


def assemble(
    upload: Upload, columns: Mapping[str, str] | None, faults: Faults
) -> tuple[Contents, str]:
    """Contents of an upload and the column images are named in.

    All checks but those of image files run here; faults gather in ``faults`` and are raised at
    the end, together.

    Raises
    ------
    BundleError
        With every fault found.
    """
    place = resolve(upload.entries, columns, faults, upload.file)
    contents = Contents(notes=[*upload.notes, *place.notes])
    n = _embeddings(place, contents, upload, faults)
    _classes(place, contents, upload, faults)
    _per_row(place, contents, n, faults)
    _other_arrays(place, contents, n)
    _table(place, contents, n, faults)
    read_nested(place, contents, n, faults)
    _check_classes(place, contents, upload, faults)
    column = _images(place, contents, upload, n, faults)
    if _can_make_losses(place, contents, upload, faults):
        faults.raise_any()
        derive(contents)
    faults.raise_any()
    return contents, column


def _embeddings(place: Resolved, contents: Contents, upload: Upload, faults: Faults) -> int | None:
    entry = place.fields.get("embeddings")
    if entry is None:
        names = ", ".join(found.name for found in upload.entries[:12])
        faults.add(
            upload.file,
            "embeddings",
            None,
            f"embeddings are missing; it holds {names or 'nothing'}.",
            "Add an (n, d) array called 'embeddings', or choose which one it is.",
        )
        return None
    array, n = check.embeddings(entry, faults)
    contents.keep("embeddings", array, entry)
    return n


def _classes(place: Resolved, contents: Contents, upload: Upload, faults: Faults) -> None:
    entry = place.fields.get("classes")
    if entry is None:
        contents.classes = upload.classes
        return
    names = check.column_text(entry, None, "classes", faults)
    if names is None:
        return
    seen: set[str] = set()
    for row, name in enumerate(names):
        if not name.strip() or name in seen:
            problem = "is empty" if not name.strip() else f"{name[:40]!r} occurs twice"
            faults.add(
                entry.file,
                entry.field,
                row,
                f"the class name {problem}.",
                "Give each class a name of its own.",
            )
            return
        seen.add(name)
    if not len(names):
        faults.add(entry.file, entry.field, None, "classes are empty.", "Name every class.")
        return
    contents.classes = tuple(names)


def _per_row(place: Resolved, contents: Contents, n: int | None, faults: Faults) -> None:
    fields = place.fields
    regression = "targets" in fields and "labels" not in fields
    if entry := fields.get("losses"):
        contents.keep("losses", check.vector(entry, n, "losses", faults), entry)
    if entry := fields.get("targets"):
        contents.keep("targets", check.vector(entry, n, "targets", faults), entry)
    if entry := fields.get("vog"):
        contents.keep("vog", check.vector(entry, n, "vog", faults), entry)
    if entry := fields.get("probabilities"):
        contents.keep("probabilities", check.probabilities(entry, n, faults), entry)
    if entry := fields.get("logits"):
        contents.keep("logits", check.matrix(entry, n, "logits", faults), entry)
    for name in ("labels", "predictions"):
        if entry := fields.get(name):
            fractions = name == "predictions" and (regression or "labels" not in fields)
            contents.keep(
                name,
                check.names_or_codes(entry, n, name, faults, allow_fractions=fractions),
                entry,
            )


def _other_arrays(place: Resolved, contents: Contents, n: int | None) -> None:
    """Top-level arrays that are no field: a column when they fit, else left out, and said so."""
    for entry in place.others:
        if entry.shape == (n,) and n is not None and entry.name not in place.attributes:
            place.attributes[entry.name] = entry
        else:
            contents.notes.append(
                f"'{entry.name}' of {entry.file}, shape {entry.shape}, was left out: "
                "no field of a bundle is called that."
            )


def _table(place: Resolved, contents: Contents, n: int | None, faults: Faults) -> None:
    columns: dict[str, Any] = {}
    if place.ids:
        first = place.columns.get("id", place.ids[0])
        columns["id"] = check.ids(first, n, faults)
        for other in place.ids:
            if other is not first and columns["id"] is not None:
                _check_same_ids(other, columns["id"], first, n, faults)
    elif n is not None:
        columns["id"] = np.array([str(row) for row in range(n)], dtype=object)
        contents.notes.append("ids: made from row numbers, because none were given.")
    for name in ("text", "split"):
        if entry := place.columns.get(name):
            columns[name] = check.column_text(entry, n, name, faults)
    for name, entry in place.attributes.items():
        columns[name] = check.attribute(entry, n, faults)
    if any(column is None for column in columns.values()) or n is None:
        return
    contents.examples = pd.DataFrame(
        {
            name: pd.Series(column, dtype="str" if column.dtype.kind == "O" else column.dtype)
            for name, column in columns.items()
        }
    )


def _check_same_ids(
    entry: Entry, ids: NDArray[Any], first: Entry, n: int | None, faults: Faults
) -> None:
    other = check.column_text(entry, n, "ids", faults)
    if other is not None and len(other) == len(ids) and (different := other != ids).any():
        row = int(np.argmax(different))
        faults.add(
            entry.file,
            entry.field,
            row,
            f"the id is {str(other[row])[:40]!r} here and {str(ids[row])[:40]!r} in {first.file}.",
            "Put the rows of both files in the same order.",
        )


def _check_classes(place: Resolved, contents: Contents, upload: Upload, faults: Faults) -> None:
    """Labels, predictions and populations must be classes; class counts must agree."""
    count = _check_class_count(place, contents, faults)
    names = contents.classes
    if names is None and count is not None:
        names = tuple(str(code) for code in range(count))
    labels, predictions = contents.arrays.get("labels"), contents.arrays.get("predictions")
    if names is None:
        if labels is not None and predictions is not None:
            _check_same_words(place, contents, faults)
        return
    for name in (
        "labels",
        "predictions",
        *(k for k in contents.arrays if k.startswith("populations/")),
    ):
        values = contents.arrays.get(name)
        if values is None or values.dtype.kind == "f":
            continue
        group, _, inner = name.rpartition("/")
        entry = place.groups[group][inner] if group else place.fields[name]
        if values.dtype.kind == "U" and contents.classes is None:
            faults.add(
                upload.file,
                "classes",
                None,
                f"classes are missing: {entry.field} are names (such as {values.flat[0]!r}) and "
                "have to be matched with the columns of the probabilities.",
                "Add 'classes', the class names in column order.",
            )
            continue
        row = codes_of(values, names)[1]
        if row is not None:
            bad = values[row] if values.ndim == 1 else values[:, row].tolist()
            faults.add(
                entry.file,
                entry.field,
                row,
                f"{str(bad)[:60]!r} is not one of the {len(names)} classes "
                f"({', '.join(names[:6])}{', ...' if len(names) > 6 else ''}).",
                "Correct the value, or add the class to 'classes'.",
            )


def _check_class_count(place: Resolved, contents: Contents, faults: Faults) -> int | None:
    count = None if contents.classes is None else len(contents.classes)
    source = "classes"
    for name in ("probabilities", "logits"):
        array = contents.arrays.get(name)
        if array is None:
            continue
        if count is not None and array.shape[1] != count:
            entry = place.fields[name]
            faults.add(
                entry.file,
                entry.field,
                None,
                f"{name} have {array.shape[1]} columns where {source} have {count}.",
                "Save one column per class, in the order of 'classes'.",
            )
            return None
        count, source = array.shape[1], name
    return count


def _check_same_words(place: Resolved, contents: Contents, faults: Faults) -> None:
    """Without classes, names can only be compared with names, and codes with codes."""
    labels, predictions = contents.arrays["labels"], contents.arrays["predictions"]
    if labels.dtype.kind == predictions.dtype.kind or predictions.dtype.kind == "f":
        return
    text, codes = ("labels", "predictions")
    if labels.dtype.kind != "U":
        text, codes = codes, text
    as_text = contents.arrays[codes].astype(np.str_)
    if np.isin(as_text, contents.arrays[text]).all():
        contents.arrays[codes] = as_text  # a text column in which these rows are all digits
        return
    entry = place.fields[codes]
    faults.add(
        entry.file,
        entry.field,
        0,
        f"{codes} are numbers ({contents.arrays[codes][0]}) and {text} are names "
        f"({str(contents.arrays[text][0])[:40]!r}).",
        "Add 'classes', the class names in code order, or save both the same way.",
    )


def _images(
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
            faults.add(entry.file, entry.field, None, problem, "Save pixels as uint8.")
        elif check.same_length(len(pixels), n, entry, "images", faults):
            contents.media = ArrayImages(pixels, entry.file)
            _set_image_names(contents, [])
        return entry.name
    paths = check.column_text(entry, n, "images", faults)
    if paths is not None:
        _set_image_names(contents, list(paths))
        contents.media = MemberImages(list(paths), upload.files, entry.file)
    return entry.name


def _packed_images(
    data: Entry, offsets: Entry, contents: Contents, n: int | None, faults: Faults
) -> None:
    raw, ends = check.numbers(data, faults), check.numbers(offsets, faults)
    if raw is None or ends is None:
        return
    if raw.dtype != np.uint8 or raw.ndim != 1 or ends.ndim != 1 or ends.dtype.kind not in "iu":
        faults.add(
            data.file,
            data.field,
            None,
            "image bytes must be uint8 (total,) with whole offsets.",
            "Write it with write_bundle(path, images=[...]).",
        )
        return
    sound = (
        len(ends) > 0 and ends[0] == 0 and ends[-1] == len(raw) and (ends[1:] >= ends[:-1]).all()
    )
    if not sound:
        faults.add(
            offsets.file,
            offsets.field,
            None,
            "offsets must rise from 0 to the number of bytes.",
            "Write it with write_bundle(path, images=[...]).",
        )
    elif check.same_length(len(ends) - 1, n, offsets, "images", faults):
        contents.media = PackedImages(raw, ends.astype(np.int64), data.file)
        _set_image_names(contents, [])


def _name_images(entry: Entry, contents: Contents, n: int | None, faults: Faults) -> None:
    names = check.column_text(entry, n, "images", faults)
    if names is not None:
        _set_image_names(contents, list(names))


def _images_by_name(contents: Contents, upload: Upload) -> str:
    """Files under images/ when no column names them: matched by id, else by sorted order."""
    files = sorted(
        name
        for name in upload.files
        if name.lower().startswith("images/")
        and not name.endswith((".npy", ".csv", ".json", ".txt"))
    )
    if not files or contents.examples.empty:
        return "images"
    ids = contents.examples["id"].tolist()
    by_stem = {name.partition("/")[2].rpartition(".")[0]: name for name in files}
    if any(one in by_stem for one in ids):
        names = [by_stem.get(one, "") for one in ids]
        contents.notes.append("images: matched with ids by file name.")
    elif len(files) == len(ids):
        names = files
        contents.notes.append("images: matched with rows in the order of their file names.")
    else:
        contents.notes.append(
            f"images/: left out, {len(files)} files for {len(ids)} examples and no column 'image'."
        )
        return "images"
    _set_image_names(contents, names)
    contents.media = MemberImages(names, upload.files, upload.file)
    return "images"


def _set_image_names(contents: Contents, names: list[str]) -> None:
    if contents.examples.empty:
        return
    count = len(contents.examples)
    if not any(names):
        names = [f"images/{row:0{len(str(count))}d}" for row in range(count)]
    contents.examples["image"] = pd.Series(names, dtype="str")


def _can_make_losses(place: Resolved, contents: Contents, upload: Upload, faults: Faults) -> bool:
    """Whether losses are there or can be derived; a fault when nothing could ever make them."""
    given = place.fields.keys()
    if "losses" in given:
        return True
    if {"labels", "predictions"} <= given or {"targets", "predictions"} <= given:
        return True
    if "labels" in given and given & {"probabilities", "logits"}:
        return True
    faults.add(
        upload.file,
        "losses",
        None,
        "losses are missing, and there is nothing to make them from.",
        "Add 'losses', or 'labels' with 'probabilities', 'logits' or 'predictions', "
        "or 'targets' with 'predictions'.",
    )
    return False


def derive(contents: Contents) -> None:
    """Fill in predictions and losses that can be computed, and note how."""
    arrays, notes = contents.arrays, contents.notes
    labels, targets = arrays.get("labels"), arrays.get("targets")
    source = (
        "logits" if "logits" in arrays else "probabilities" if "probabilities" in arrays else ""
    )
    names = contents.classes
    if names is None and source:
        names = tuple(str(code) for code in range(arrays[source].shape[1]))
    if "predictions" not in arrays and source and names is not None:
        as_text = labels is not None and labels.dtype.kind == "U"
        arrays["predictions"] = values_of(most_likely(arrays[source]), names, as_text=as_text)
        notes.append(f"predictions: the class with the largest of the {source}.")
    if "losses" in arrays:
        return
    if labels is not None and source and names is not None:
        codes = codes_of(labels, names)[0]
        if source == "logits":
            arrays["losses"] = cross_entropy_of_logits(arrays["logits"], codes)
            notes.append("losses: cross-entropy of the softmax of logits against labels, in nats.")
        else:
            losses, clipped = cross_entropy_of_probabilities(arrays["probabilities"], codes)
            arrays["losses"] = losses
            floor = np.finfo(arrays["probabilities"].dtype).tiny
            notes.append(
                "losses: cross-entropy of probabilities against labels, in nats; probabilities "
                f"clipped at {floor:.3g}, which changed {clipped}."
            )
    elif labels is not None:
        predictions = arrays["predictions"]
        if names is not None:
            wrong = codes_of(labels, names)[0] != codes_of(predictions, names)[0]
        else:
            wrong = labels != predictions
        arrays["losses"] = wrong.astype(np.float64)
        notes.append("losses: 0 where the prediction is the label, 1 where it is not.")
    elif targets is not None:
        difference = arrays["predictions"].astype(np.float64) - targets
        arrays["losses"] = difference * difference
        notes.append("losses: squared difference of predictions and targets.")
