"""From the entries of an upload to checked contents: every field, what is derived, every fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.bundle import check
from backend.bundle.classes import check_classes, read_classes
from backend.bundle.contents import MADE_IDS, Contents
from backend.bundle.entry import UploadEntry
from backend.bundle.faults import Faults
from backend.bundle.find_images import find_images, take_pictures
from backend.bundle.losses import (
    codes_of,
    cross_entropy_of_logits,
    cross_entropy_of_probabilities,
    most_likely,
    values_of,
)
from backend.bundle.names import canonical_field
from backend.bundle.nested import read_nested
from backend.bundle.resolve import Resolved, numbered, resolve
from backend.bundle.scores import logits, probabilities
from backend.bundle.train_images import take_train_pictures
from backend.bundle.upload import Upload
from backend.core.errors import Reading

LARGEST_LOSS = 1e150
"""Its square, times as many examples as there may be, is a float64 yet."""
LOSS_SOURCES = ("losses", "logits", "probabilities", "predictions")
"""Fields that losses come from, the first that is there."""


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
    take_pictures(place, contents)
    n = _embeddings(place, contents, upload, faults)
    read_classes(place, contents, upload, faults)
    _per_row(place, contents, n, faults)
    _other_arrays(place, contents, n)
    _table(place, contents, n, faults)
    read_nested(place, contents, n, faults)
    check_classes(place, contents, upload, faults)
    column = find_images(place, contents, upload, n, faults)
    take_train_pictures(contents, upload, faults)
    if _can_make_losses(place, contents, upload, faults):
        faults.raise_any()
        derive(contents)
        _check_finite_losses(place, contents, faults)
    faults.raise_any()
    return contents, column


def _embeddings(place: Resolved, contents: Contents, upload: Upload, faults: Faults) -> int | None:
    entry = place.fields.get("embeddings")
    if entry is None:
        names = ", ".join(found.name for found in upload.entries[:12])
        advice = "Add an (n, d) array called 'embeddings', or choose which one it is."
        rows = [columns for columns in numbered(place.attributes).values() if len(columns) > 1]
        if rows:
            columns = max(rows, key=len)
            advice = (
                f"If columns '{columns[0]}' to '{columns[-1]}' are one dimension each, call them "
                "embedding_0, embedding_1 and so on."
            )
        faults.add(
            upload.file,
            "embeddings",
            None,
            f"embeddings are missing; it holds {names or 'nothing'}.",
            advice,
        )
        return None
    array, n = check.embeddings(entry, faults)
    if array is not None:
        array = check.brought_into_range(array, "embeddings", contents.notes)
    contents.keep("embeddings", array, entry)
    return n


def _per_row(place: Resolved, contents: Contents, n: int | None, faults: Faults) -> None:
    fields = place.fields
    regression = "targets" in fields and "labels" not in fields
    if entry := fields.get("losses"):
        contents.keep("losses", check.vector(entry, n, "losses", faults), entry)
    if entry := fields.get("targets"):
        contents.keep("targets", check.vector(entry, n, "targets", faults), entry)
    if entry := fields.get("vog"):
        contents.keep("vog", check.vector(entry, n, "vog", faults), entry)
    needed = "losses" not in fields
    for name, read in (("probabilities", probabilities), ("logits", logits)):
        if entry := fields.get(name):
            contents.keep(name, read(entry, n, faults, contents.notes, needed=needed), entry)
    for name in ("labels", "predictions"):
        if entry := fields.get(name):
            fractions = name == "predictions" and (regression or "labels" not in fields)
            codes = check.names_or_codes(entry, n, name, faults, allow_fractions=fractions)
            contents.keep(name, codes, entry)
            if codes is not None and (entry.cells or entry.dtype == "bool"):
                _keep_written(name, entry, codes, contents)


def _keep_written(name: str, entry: UploadEntry, column: NDArray[Any], contents: Contents) -> None:
    text = check.written(entry, column)
    if text is not None:
        contents.written[name] = text


def _other_arrays(place: Resolved, contents: Contents, n: int | None) -> None:
    """Top-level arrays that are no field: a column when they fit, else left out, and said so."""
    for entry in place.others:
        if entry.shape == (n,) and n is not None and entry.name not in place.attributes:
            place.attributes[entry.name] = entry
        else:
            contents.notes.append(
                f"'{entry.name}' of {entry.file}, shape {entry.shape}, was left out: "
                "it is no field of a bundle, or another array was chosen for that field."
            )


def _table(place: Resolved, contents: Contents, n: int | None, faults: Faults) -> None:
    columns: dict[str, Any] = {}
    if place.ids:
        first = place.columns.get("id", place.ids[0])
        columns["id"] = check.ids(first, n, faults)
        for other in place.ids:
            if other is not first and columns["id"] is not None:
                _check_same_ids(other, columns["id"], first, n, faults)
    elif n is not None and "embeddings" in contents.arrays:  # a header alone may say any n
        columns["id"] = np.array([str(row) for row in range(n)], dtype=object)
        contents.notes.append(f"{MADE_IDS}, because none were given.")
    for name in ("text", "split"):
        if entry := place.columns.get(name):
            columns[name] = check.column_text(entry, n, name, faults)
    for name, entry in place.attributes.items():
        columns[name] = check.attribute(entry, n, faults, contents.notes)
        if columns[name] is not None:
            _keep_written(f"examples/{name}", entry, columns[name], contents)
            if entry.remark:
                contents.notes.append(entry.remark)
    columns = {name: column for name, column in columns.items() if column is not None}
    if "id" not in columns or faults.found:
        return
    contents.examples = pd.DataFrame(
        {
            name: pd.Series(column, dtype="str" if column.dtype.kind == "O" else column.dtype)
            for name, column in columns.items()
        }
    )


def _check_same_ids(
    entry: UploadEntry, ids: NDArray[Any], first: UploadEntry, n: int | None, faults: Faults
) -> None:
    other = check.column_text(entry, n, "ids", faults)
    if other is not None and len(other) == len(ids) and (different := other != ids).any():
        row = int(np.argmax(different))
        faults.about(
            entry,
            f"the id is {str(other[row])[:40]!r} here and {str(ids[row])[:40]!r} in {first.file}.",
            "Put the rows of both files in the same order.",
            row=row,
        )


def _can_make_losses(place: Resolved, contents: Contents, upload: Upload, faults: Faults) -> bool:
    """Whether losses are there or can be derived; a fault when nothing could ever make them."""
    given = place.fields.keys()
    if "losses" in given:
        return True
    if {"labels", "predictions"} <= given:
        return True
    if {"targets", "predictions"} <= given:
        _check_predicted_numbers(place, contents, faults)
        _check_no_codes(place, contents, faults)
        return True
    if "labels" in given and given & {"probabilities", "logits"}:
        return True
    scores = [
        name for name in place.attributes if canonical_field(name) in ("probabilities", "logits")
    ]
    alone = f" Column '{scores[0]}' has one score a row, not one per class." if scores else ""
    faults.add(
        upload.file,
        "losses",
        None,
        f"losses are missing, and there is nothing to make them from.{alone}",
        "Add 'losses', or 'labels' with 'probabilities', 'logits' or 'predictions', "
        "or 'targets' with 'predictions'.",
    )
    return False


def _check_finite_losses(place: Resolved, contents: Contents, faults: Faults) -> None:
    wrong = ~np.isfinite(contents.arrays["losses"])
    if wrong.any():
        source = "logits" if "logits" in place.fields else "predictions"
        faults.about(
            place.fields[source],
            f"the loss of {int(wrong.sum())} rows is infinite: the logit of the label is -inf, or "
            "a difference is too large.",
            "Leave the class of the label unmasked, or give 'losses'.",
            row=int(wrong.argmax()),
        )
        return
    size = np.abs(contents.arrays["losses"])
    if size.max(initial=0.0) > LARGEST_LOSS:
        source = next(name for name in LOSS_SOURCES if name in place.fields)
        faults.about(
            place.fields[source],
            f"losses reach {size.max():.3g}: squares of losses beyond {LARGEST_LOSS:.0e} and their "
            "sums are more than a float64 holds, so no mean, interval or test could be told.",
            "Divide all losses by one number before they are written (shares, orders and regions stay "
            "as they are), and look whether these are losses at all.",
            row=int(size.argmax()),
        )


def _check_predicted_numbers(place: Resolved, contents: Contents, faults: Faults) -> None:
    predictions = contents.arrays.get("predictions")
    if predictions is not None and predictions.dtype.kind == "U":
        entry = place.fields["predictions"]
        faults.about(
            entry,
            f"predictions of targets must be numbers: got {str(predictions[0])[:40]!r}.",
            "Save the predicted numbers, or call the targets 'labels'.",
            row=0,
        )


def _check_no_codes(place: Resolved, contents: Contents, faults: Faults) -> None:
    """Whole numbers that are called targets are class codes in much code: somebody has to say."""
    targets, predictions = contents.arrays.get("targets"), contents.arrays.get("predictions")
    if targets is None or predictions is None or "targets" in place.chosen:
        return
    if predictions.dtype.kind not in "if" or not len(targets):
        return
    if (np.floor(targets) == targets).all() and (np.floor(predictions) == predictions).all():
        entry = place.fields["targets"]
        faults.about(
            entry,
            "targets and predictions are whole numbers, like class codes, and squared differences "
            "of codes mean nothing.",
            f"If they are classes, call '{entry.name}' labels (choose '{entry.name}' as labels); if "
            f"they are amounts, say so: choose '{entry.name}' as targets "
            f"(--map targets={entry.name}).",
            readings=(
                Reading("They are classes", "labels", entry.name),
                Reading("They are amounts", "targets", entry.name),
            ),
        )


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
            held = (
                f"; probabilities clipped at {floor:.3g}, which changed {clipped}"
                if clipped
                else ""
            )
            notes.append(f"losses: cross-entropy of probabilities against labels, in nats{held}.")
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
