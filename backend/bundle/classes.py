"""Class names, and whether labels, predictions and probabilities agree on them."""

from __future__ import annotations

import numpy as np

from backend.bundle import check
from backend.bundle.contents import Contents
from backend.bundle.faults import Faults
from backend.bundle.losses import codes_of
from backend.bundle.resolve import Resolved
from backend.bundle.upload import Upload


def read_classes(place: Resolved, contents: Contents, upload: Upload, faults: Faults) -> None:
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
            faults.about(
                entry, f"the class name {problem}.", "Give each class a name of its own.", row=row
            )
            return
        seen.add(name)
    if not len(names):
        faults.about(entry, "classes are empty.", "Name every class.")
        return
    contents.classes = tuple(names)


def check_classes(place: Resolved, contents: Contents, upload: Upload, faults: Faults) -> None:
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
            faults.about(
                entry,
                f"{str(bad)[:60]!r} is not one of the {len(names)} classes "
                f"({', '.join(names[:6])}{', ...' if len(names) > 6 else ''}).",
                "Correct the value, or add the class to 'classes'.",
                row=row,
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
            faults.about(
                entry,
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
    faults.about(
        entry,
        f"{codes} are numbers ({contents.arrays[codes][0]}) and {text} are names "
        f"({str(contents.arrays[text][0])[:40]!r}).",
        "Add 'classes', the class names in code order, or save both the same way.",
        row=0,
    )
