"""Checks of single fields: an entry goes in, a sound array comes out or faults are noted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.bundle.entry import UploadEntry, blocks, check_storable, text_of
from backend.bundle.faults import Faults

NATIVE_FLOATS = ("float16", "float32", "float64")
SUM_TOLERANCE = 1e-3
NAMED_ROWS = 5
"""Rows at fault that a sentence lists."""


def loaded(entry: UploadEntry, faults: Faults) -> NDArray[Any] | None:
    """The entry's array in native byte order; None (and a fault) when it cannot be read or held."""
    with faults.gathered():
        array = entry.load()
        if array.dtype.kind != "O":  # object arrays come from our own table readers: text
            check_storable(array.dtype, entry.file, entry.field)
        return array
    return None


def numbers(entry: UploadEntry, faults: Faults) -> NDArray[Any] | None:
    """The entry as an array of numbers; text, dates and bytes are faults."""
    array = loaded(entry, faults)
    if array is None or array.dtype.kind in "biuf":
        return array
    row: int | None = None
    came = f"dtype {entry.dtype}"
    if array.dtype.kind == "O" and array.ndim == 1 and len(array):
        row = next((k for k, cell in enumerate(array) if not _is_number(cell)), 0)
        cell = str(array[row])
        came = f"{cell[:40]!r}" if cell else "an empty cell"
    faults.about(
        entry,
        f"numbers were needed, {came} came.",
        "Save it as numbers, or fill the cell.",
        row=row,
    )
    return None


def _is_number(cell: Any) -> bool:
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True


def floats(array: NDArray[Any]) -> NDArray[Any]:
    """Numbers as float16, 32 or 64: their own width where they have one, integers as float32."""
    if array.dtype.kind == "f":
        if array.dtype.name in NATIVE_FLOATS:
            return array
        return array.astype(np.float64)
    return array.astype(np.float32)


def finite(array: NDArray[Any], entry: UploadEntry, faults: Faults, *, axis: int = 0) -> bool:
    """Whether every value is finite; a fault says how many rows (along ``axis``) are not, and which."""
    done = bad = 0
    rows = np.zeros(array.shape[axis], dtype=bool)
    for block in blocks(array):
        good = np.isfinite(block)
        if not good.all():
            places = done + np.flatnonzero(~good)
            bad += len(places)
            rows[np.unravel_index(places, array.shape)[axis]] = True
        done += block.size
        faults.still_here()
    if not bad:
        return True
    found = np.flatnonzero(rows)
    first = ", ".join(map(str, found[:NAMED_ROWS]))
    more = f" and {len(found) - NAMED_ROWS} more" if len(found) > NAMED_ROWS else ""
    faults.about(
        entry,
        f"{bad} of {array.size} values are NaN, infinite or empty, in {len(found)} of {len(rows)} "
        f"rows: {first}{more} (the first row is 0).",
        "Remove or repair those rows.",
        row=int(found[0]),
    )
    return False


def same_length(got: int, n: int | None, entry: UploadEntry, what: str, faults: Faults) -> bool:
    """Whether there is one ``what`` per embedding."""
    if n is None or got == n:
        return True
    faults.about(
        entry,
        f"{what} must be one per embedding: got {got} {what} and {n} embeddings.",
        "Save both from the same run, in the same order.",
        row=min(got, n),
    )
    return False


def embeddings(entry: UploadEntry, faults: Faults) -> tuple[NDArray[Any] | None, int | None]:
    """Embeddings (n, d) as floats, and n as far as the shape tells it despite other faults."""
    array = numbers(entry, faults)
    if array is None:
        return None, entry.shape[0] if entry.shape else None
    if array.ndim != 2:
        faults.about(
            entry,
            f"embeddings must be (n, d): got shape {array.shape}.",
            "Save one vector per example; flatten maps with x.reshape(len(x), -1).",
        )
        return None, len(array) if array.ndim else None
    if 0 in array.shape:
        what = "no rows" if len(array) == 0 else "no dimensions"
        faults.about(
            entry,
            f"embeddings have {what}: shape {array.shape}.",
            "Save one vector of one number or more for one example or more.",
        )
        return None, None
    array = floats(array)
    return (array if finite(array, entry, faults) else None), len(array)


def vector(
    entry: UploadEntry, n: int | None, what: str, faults: Faults
) -> NDArray[np.float64] | None:
    """Finite float64 numbers (n,); (n, 1) is taken as (n,)."""
    array = numbers(entry, faults)
    if array is None:
        return None
    array = _flat(array)
    if array.ndim != 1:
        faults.about(
            entry, f"{what} must be (n,): got shape {array.shape}.", "Save one number per example."
        )
        return None
    array = array.astype(np.float64)
    sound = same_length(len(array), n, entry, what, faults)
    return array if finite(array, entry, faults) and sound else None


def _flat(array: NDArray[Any]) -> NDArray[Any]:
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def names_or_codes(
    entry: UploadEntry, n: int | None, what: str, faults: Faults, *, allow_fractions: bool = False
) -> NDArray[Any] | None:
    """Labels or predictions (n,): int64, or text as a numpy string array.

    Whole floats and booleans become integers. ``allow_fractions`` keeps other floats, for the
    predictions of a regression.
    """
    array = loaded(entry, faults)
    if array is None:
        return None
    array = _flat(array)
    if array.ndim != 1:
        faults.about(
            entry,
            f"{what} must be (n,): got shape {array.shape}.",
            "Save one per example; take argmax of one-hot rows.",
        )
        return None
    sound = same_length(len(array), n, entry, what, faults)
    if len(array) == 0:
        return None
    result = whole(array, entry, what, faults, allow_fractions=allow_fractions)
    return result if sound else None


def whole(
    array: NDArray[Any],
    entry: UploadEntry,
    what: str,
    faults: Faults,
    *,
    axis: int = 0,
    allow_fractions: bool = False,
) -> NDArray[Any] | None:
    """Labels of any shape as int64 or text; NaN, empty and fractional ones are faults."""
    kind = array.dtype.kind
    if kind in "bi":
        return array.astype(np.int64)
    if kind == "u":
        if array.size and int(array.max()) > np.iinfo(np.int64).max:
            faults.about(entry, f"{what} above 2^63 came.", "Use smaller codes.")
            return None
        return array.astype(np.int64)
    if kind == "f":
        if not finite(array, entry, faults, axis=axis):
            return None
        if allow_fractions:
            return array.astype(np.float64)
        fraction = (np.floor(array) != array) | (np.abs(array) > 2.0**53)
        if fraction.any():
            place = np.argwhere(fraction)[0]
            faults.about(
                entry,
                f"{what} must be whole numbers or names: got {array[tuple(place)]}.",
                "Save class codes or names; continuous ones belong in 'targets'.",
                row=int(place[axis]),
            )
            return None
        return array.astype(np.int64)
    if kind not in "OUS":
        faults.about(
            entry,
            f"{what} must be whole numbers or names: got dtype {array.dtype}.",
            "Save class codes or names.",
        )
        return None
    with faults.gathered():
        text = text_of(array.reshape(-1), entry.file, entry.field)
        empty = np.fromiter((cell == "" for cell in text), bool, len(text))
        if empty.any():
            row = int(np.unravel_index(int(empty.argmax()), array.shape)[axis])
            faults.about(
                entry,
                f"{int(empty.sum())} of the {what} are empty.",
                "Fill them, or remove those rows.",
                row=row,
            )
            return None
        return np.asarray(text.tolist(), dtype=np.str_).reshape(array.shape)
    return None


def matrix(entry: UploadEntry, n: int | None, what: str, faults: Faults) -> NDArray[Any] | None:
    """Finite floats (n, C) in their own width."""
    array = numbers(entry, faults)
    if array is None:
        return None
    if array.ndim != 2 or array.shape[1] == 0:
        faults.about(
            entry,
            f"{what} must be (n, C), one column per class: got shape {array.shape}.",
            "For two classes and one score p, save np.stack([1 - p, p], axis=1).",
        )
        return None
    sound = same_length(len(array), n, entry, what, faults)
    array = floats(array)
    return array if finite(array, entry, faults) and sound else None


def probabilities(entry: UploadEntry, n: int | None, faults: Faults) -> NDArray[Any] | None:
    """Probabilities (n, C): not negative, each row summing to 1 within 1e-3."""
    array = matrix(entry, n, "probabilities", faults)
    if array is None:
        return None
    done = 0
    for block in blocks(array):
        block = block.astype(np.float64)
        negative = (block < 0).any(axis=1)
        if negative.any():
            row = int(negative.argmax())
            faults.about(
                entry,
                f"probabilities must not be negative: got {block[row].min():.6g}.",
                "If these are scores before the softmax, name the array 'logits'.",
                row=done + row,
            )
            return None
        total = block.sum(axis=1)
        off = np.abs(total - 1) > SUM_TOLERANCE
        if off.any():
            row = int(off.argmax())
            faults.about(
                entry,
                f"the probabilities of a row must sum to 1 within {SUM_TOLERANCE}: "
                f"this row sums to {total[row]:.6g}.",
                "Apply the softmax, or name the array 'logits'.",
                row=done + row,
            )
            return None
        done += len(block)
    return array


def ids(entry: UploadEntry, n: int | None, faults: Faults) -> NDArray[Any] | None:
    """Unique, non-empty text (n,) as an object array of str."""
    array = column_text(entry, n, "ids", faults)
    if array is None:
        return None
    seen: dict[str, int] = {}
    for row, value in enumerate(array):
        if not value.strip() or "\0" in value:
            faults.about(
                entry,
                "the id is empty or holds a null character.",
                "Give every row an id, or leave the column out and ids are made.",
                row=row,
            )
            return None
        if value in seen:
            faults.about(
                entry,
                f"the id {value[:60]!r} occurs twice, first in row {seen[value]}.",
                "Make ids unique, or leave the column out and ids are made.",
                row=row,
            )
            return None
        seen[value] = row
    return array


def column_text(
    entry: UploadEntry, n: int | None, what: str, faults: Faults
) -> NDArray[Any] | None:
    """A column (n,) as text, exactly as the file has it; empty cells are empty strings."""
    with faults.gathered():
        array = entry.text() if entry.text is not None else entry.load()
        if array.ndim != 1:
            faults.about(
                entry,
                f"{what} must be one-dimensional: got shape {array.shape}.",
                "Save one value per row.",
            )
            return None
        if array.dtype.kind != "O":
            check_storable(array.dtype, entry.file, entry.field)
        if not same_length(len(array), n, entry, what, faults):
            return None
        return text_of(array, entry.file, entry.field)
    return None


def attribute(entry: UploadEntry, n: int | None, faults: Faults) -> NDArray[Any] | None:
    """An attribute column (n,): int64, float64, bool, or text with empty strings where missing.

    Lists and structures of a table become JSON text.
    """
    if entry.text is not None and (entry.shape is None or len(entry.shape) != 1):
        return column_text(entry, n, "values", faults)
    array = loaded(entry, faults)
    if array is None:
        return None
    if array.ndim != 1:
        faults.about(
            entry,
            f"a column must be (n,): got shape {array.shape}.",
            "Save one value per example, or one column per dimension.",
        )
        return None
    if not same_length(len(array), n, entry, "values", faults):
        return None
    kind = array.dtype.kind
    if kind == "b":
        return array.astype(bool)
    if kind == "f":
        return array.astype(np.float64)
    if kind in "iu" and (kind == "i" or not len(array) or int(array.max()) < 2**63):
        return array.astype(np.int64)
    with faults.gathered():
        return text_of(array, entry.file, entry.field)
    return None
