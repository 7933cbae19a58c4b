"""Checks of the parts that not everybody gives: populations, layers, msp, train, stress, extras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.bundle import check
from backend.bundle.contents import Contents
from backend.bundle.entry import UploadEntry
from backend.bundle.faults import Faults
from backend.bundle.resolve import Resolved
from backend.bundle.scores import logits, probabilities


def read_nested(place: Resolved, contents: Contents, n: int | None, faults: Faults) -> None:
    """Add every nested field to ``contents``, noting faults."""
    for name, entry in place.groups["populations"].items():
        contents.keep(f"populations/{name}", _population(entry, n, faults), entry)
    for name, entry in place.groups["layers"].items():
        contents.keep(f"layers/{name}", _layer(entry, name, n, faults, contents.notes), entry)
    _msp(place, contents, n, faults)
    n_train = _train(place, contents, faults)
    _extras(place, contents, n, n_train, faults)
    _stress(place, contents, faults)


def _population(entry: UploadEntry, n: int | None, faults: Faults) -> NDArray[Any] | None:
    array = check.loaded(entry, faults)
    if array is None:
        return None
    if array.ndim != 2 or 0 in array.shape:
        faults.about(
            entry,
            f"a population must be (m, n), models by examples: got shape {array.shape}.",
            "For one model, save predictions[None, :].",
        )
        return None
    if n is not None and array.shape[1] != n:
        turned = " It looks transposed." if array.shape[0] == n else ""
        faults.about(
            entry,
            f"a population must have one column per embedding: got shape {array.shape} and "
            f"{n} embeddings.{turned}",
            "Save (m, n): one row per model, one column per example.",
            row=min(array.shape[1], n),
        )
        return None
    return check.whole(array, entry, "predictions", faults, axis=1)


def _layer(
    entry: UploadEntry, name: str, n: int | None, faults: Faults, notes: list[str]
) -> NDArray[Any] | None:
    """Embeddings of the same examples, taken from another layer."""
    array, rows = check.embeddings(entry, faults)
    if rows is not None and not check.same_length(rows, n, entry, "rows of a layer", faults):
        return None
    return None if array is None else check.brought_into_range(array, f"layer '{name}'", notes)


def _msp(place: Resolved, contents: Contents, n: int | None, faults: Faults) -> None:
    epochs: tuple[str, int] | None = None
    for name, entry in place.groups["msp"].items():
        array = check.matrix(entry, n, "msp", faults)
        if array is None:
            continue
        outside = ((array < 0) | (array > 1)).any(axis=1)
        if outside.any():
            row = int(outside.argmax())
            values = array[row][(array[row] < 0) | (array[row] > 1)]
            faults.about(
                entry,
                f"msp are probabilities and must lie in [0, 1]: got {float(values[0]):.6g}.",
                "Save the softmax probability of the given label at each epoch.",
                row=row,
            )
            continue
        if epochs is not None and array.shape[1] != epochs[1]:
            faults.about(
                entry,
                f"variants must have equally many epochs: {array.shape[1]} here, {epochs[1]} in "
                f"'{epochs[0]}'.",
                "Cut them to the same epochs.",
            )
            continue
        epochs = epochs or (name, array.shape[1])
        contents.keep(f"msp/{name}", array, entry)


def _train(place: Resolved, contents: Contents, faults: Faults) -> int | None:
    n_train: int | None = None
    for name, entry in sorted(
        place.groups["train"].items(), key=lambda item: item[0] != "embeddings"
    ):
        array: NDArray[Any] | None
        if name == "embeddings":
            array, n_train = check.embeddings(entry, faults)
            own = contents.arrays.get("embeddings")
            if array is not None and own is not None and array.shape[1] != own.shape[1]:
                faults.about(
                    entry,
                    f"train embeddings have {array.shape[1]} dimensions, the embeddings "
                    f"{own.shape[1]}.",
                    "Take both from the same layer.",
                )
            if array is not None:
                array = check.brought_into_range(array, "train embeddings", contents.notes)
        elif name == "losses":
            array = check.vector(entry, None, "losses", faults)
        elif name == "probabilities":
            array = probabilities(entry, None, faults, contents.notes)
        elif name == "logits":
            array = logits(entry, None, faults, contents.notes)
        elif name in ("labels", "predictions"):
            array = check.names_or_codes(entry, None, name, faults)
        else:
            array = _any_array(entry, faults)
        if array is None:
            continue
        if name != "classes":
            if array.ndim == 0 or (n_train is not None and len(array) != n_train):
                faults.about(
                    entry,
                    f"training fields must agree in length: shape {array.shape} where others have "
                    f"{n_train} rows.",
                    "Save all of train/ from the same training set.",
                    row=min(len(array), n_train or 0) if array.ndim else None,
                )
                continue
            n_train = len(array)
        contents.keep(f"train/{name}", array, entry)
    return n_train


def _any_array(entry: UploadEntry, faults: Faults) -> NDArray[Any] | None:
    """Numbers of any shape, or a text vector."""
    array = check.loaded(entry, faults)
    if array is None:
        return None
    if array.dtype.kind == "b":
        return array
    if array.dtype.kind == "f":
        array = check.floats(array)
        return array if check.finite(array, entry, faults) else None
    if array.dtype.kind in "iu":
        return array
    if array.ndim == 1:
        text = check.column_text(entry, None, "values", faults)
        return None if text is None else np.asarray(text.tolist(), dtype=np.str_)
    faults.about(
        entry, f"text must be one-dimensional: got shape {array.shape}.", "Save one text per row."
    )
    return None


EXTRA_SHAPES = {
    "gradients": ("(t, n, ...)", 1, None),
    "attribution": ("(n_train, n)", 1, 0),
    "train_features": ("(t, n_train, k)", None, 1),
    "target_features": ("(t, n, k)", 1, None),
    "train_residuals": ("(t, n_train)", None, 1),
    "stress_scores": ("(m, e)", None, None),
}
"""Shape in words, the axis that counts examples, the axis that counts training examples."""


def _extras(
    place: Resolved, contents: Contents, n: int | None, n_train: int | None, faults: Faults
) -> None:
    origin = place.fields.get("made_from")
    if origin is not None:
        told = check.column_text(origin, None, "made_from", faults)
        if told is not None and len(told):
            contents.keep("made_from", np.asarray(told.tolist(), dtype=np.str_), origin)
    for name, (words, own_axis, train_axis) in EXTRA_SHAPES.items():
        entry = place.fields.get(name)
        if entry is None:
            continue
        array = check.numbers(entry, faults)
        if array is None:
            continue
        axes = words.count(",") + 1
        fits = array.ndim == axes or (words.endswith("...)") and array.ndim >= axes)
        if not fits or 0 in array.shape:
            faults.about(
                entry,
                f"{name} must be {words}: got shape {array.shape}.",
                "Check the order of its axes.",
            )
            continue
        if own_axis is not None and n is not None and array.shape[own_axis] != n:
            faults.about(
                entry,
                f"{name} must be {words} with n = {n} embeddings: got shape {array.shape}.",
                "Check the order of its axes, and save both from the same run.",
                row=min(array.shape[own_axis], n),
            )
            continue
        if train_axis is not None:
            count = array.shape[train_axis]
            if n_train is not None and count != n_train:
                faults.about(
                    entry,
                    f"{name} must be {words} with n_train = {n_train}: got shape {array.shape}.",
                    "Save all training fields from the same training set.",
                    row=min(count, n_train),
                )
                continue
            n_train = count
        array = check.floats(array)
        if check.finite(array, entry, faults, axis=own_axis or train_axis or 0):
            contents.keep(name, array, entry)


def _stress(place: Resolved, contents: Contents, faults: Faults) -> None:
    columns: dict[str, pd.Series] = {}
    n: int | None = None
    for name, entry in place.groups["stress"].items():
        if name.lower() in ("scores", "stress_scores") and len(entry.shape or ()) == 2:
            array = check.numbers(entry, faults)
            if array is not None and check.finite(check.floats(array), entry, faults):
                contents.keep("stress_scores", check.floats(array), entry)
            continue
        column = check.attribute(entry, None, faults)
        if column is None:
            continue
        if n is not None and len(column) != n:
            faults.about(
                entry,
                f"columns of the stress table must be equally long: {len(column)} and {n}.",
                "Write one row per model and test.",
                row=min(n, len(column)),
            )
            continue
        n = len(column)
        columns[name] = pd.Series(column, dtype="str" if column.dtype.kind == "O" else column.dtype)
    if not columns:
        return
    if all(column.dtype.kind not in "if" for column in columns.values()):
        entry = next(iter(place.groups["stress"].values()))
        faults.add(
            entry.file,
            "stress",
            None,
            f"the stress table has no column of numbers, only {', '.join(columns)}.",
            "Write one row per model, or per model and test, with the metric as a number.",
        )
    contents.stress = pd.DataFrame(columns)
