"""Checks of single fields: an entry goes in, a sound array comes out or faults are noted."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.bundle.entry import LeftOut, UploadEntry, blocks, check_storable, text_of
from backend.bundle.faults import Faults
from backend.bundle.limits import MAX_VALUE_LENGTH

NATIVE_FLOATS = ("float16", "float32", "float64")
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
    advice = "Save it as numbers, or fill the cell."
    if array.dtype.kind == "O" and array.ndim == 1 and len(array):
        if str(array[0]).lstrip().startswith("["):
            return _lists_in_text(array, entry, faults)
        row = next((k for k, cell in enumerate(array) if not _is_number(cell)), 0)
        cell = str(array[row])
        came = f"{cell[:40]!r}" if cell else "an empty cell"
        if _is_number(cell.replace(",", ".", 1)):
            advice = "Write decimal points instead of decimal commas."
    faults.about(entry, f"numbers were needed, {came} came.", advice, row=row)
    return None


def _lists_in_text(
    array: NDArray[Any], entry: UploadEntry, faults: Faults
) -> NDArray[np.float64] | None:
    """Cells such as ``"[0.1, 2.0]"`` as (n, k); one list inside a list is that list."""
    rows: list[Any] = []
    for row, cell in enumerate(array):
        try:
            values = json.loads(cell)
            while isinstance(values, list) and len(values) == 1 and isinstance(values[0], list):
                (values,) = values
            rows.append(np.asarray(values, dtype=np.float64))
        except (ValueError, TypeError, RecursionError):
            rows.append(None)
        if rows[-1] is None or rows[-1].ndim != 1:
            faults.about(
                entry,
                f"a list of numbers was needed, {str(cell)[:40]!r} came.",
                "Write every list as JSON, [0.1, 2.0], or save the numbers as .npy.",
                row=row,
            )
            return None
    width = int(np.bincount([len(values) for values in rows]).argmax())
    for row, values in enumerate(rows):
        if len(values) != width:
            faults.about(
                entry,
                f"the list has {len(values)} numbers where most have {width}.",
                "Make all lists equally long.",
                row=row,
            )
            return None
    return np.stack(rows)


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


def finite(
    array: NDArray[Any],
    entry: UploadEntry,
    faults: Faults,
    *,
    axis: int = 0,
    minus_infinity: bool = False,
) -> bool:
    """Whether every value is finite; a fault says how many rows (along ``axis``) are not, and which.

    ``minus_infinity`` lets -inf pass: the logarithm of no chance at all.
    """
    done = bad = 0
    rows = np.zeros(array.shape[axis], dtype=bool)
    for block in blocks(array):
        good = np.isfinite(block)
        if minus_infinity:
            good |= np.isneginf(block)
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


LARGEST, SMALLEST = 1e12, 1e-12
"""Largest absolute value of embeddings that are kept as they came: squares of others leave float32."""


def scale_of(array: NDArray[Any]) -> int:
    """The power of two to divide embeddings by, so that their squares are sound; 0 for most."""
    peak = max((float(np.abs(block).max()) for block in blocks(array)), default=0.0)
    if peak == 0 or SMALLEST <= peak <= LARGEST:
        return 0
    return math.frexp(peak)[1]


def brought_into_range(array: NDArray[Any], what: str, notes: list[str]) -> NDArray[Any]:
    """Embeddings, divided by a power of two where they need it: no digit changes, and a note says so."""
    power = scale_of(array)
    if not power:
        return array
    notes.append(f"{what}: divided by 2^{power}, so that their squares can be computed.")
    return np.ldexp(array, -power)


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
    array = _single(entry, what, faults)
    if array is None:
        return None
    if array.ndim != 1:
        if array.ndim == 2 and _is_multi_hot(array):
            faults.about(entry, _several(what), ONE_LABEL)
        else:
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


ONE_LABEL = (
    "Make one bundle per label (0 or 1 each), or give 'losses' and keep the labels as a column "
    "under another name."
)


def _several(what: str) -> str:
    return (
        f"{what} are multi-label: several a row. One class per example is needed; data with "
        "several labels a row is not supported."
    )


def _single(entry: UploadEntry, what: str, faults: Faults) -> NDArray[Any] | None:
    """Labels as they were given; lists of one value each are that value, other lists a fault."""
    if not entry.lists:
        array = loaded(entry, faults)
        if array is None or array.dtype.kind != "O" or not len(array):
            return None if array is None else _flat(array)
        if not all(str(cell).startswith("[") and str(cell).endswith("]") for cell in array):
            return array
        cells = array
    else:
        with faults.gathered():
            cells = entry.text() if entry.text is not None else entry.load()
            cells = cells if cells.ndim == 1 else np.array([json.dumps(c) for c in cells.tolist()])
            lists = [json.loads(cell) if cell else [] for cell in cells.tolist()]
            if all(len(one) == 1 and not isinstance(one[0], list | dict) for one in lists):
                values = np.asarray([one[0] for one in lists])
                return values if values.dtype.kind != "U" else values.astype(object)
            row = next((k for k, one in enumerate(lists) if len(one) != 1), 0)
            faults.about(entry, _several(what), ONE_LABEL, row=row)
        return None
    faults.about(entry, f"{_several(what)} Row 0 is {str(cells[0])[:40]!r}.", ONE_LABEL, row=0)
    return None


def _is_multi_hot(array: NDArray[Any]) -> bool:
    """Zeros and ones with a row that has none or several ones."""
    if array.dtype.kind not in "biuf" or not array.size or array.shape[1] < 2:
        return False
    ones = array == 1
    return bool((ones | (array == 0)).all() and (ones.sum(axis=1) != 1).any())


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
        if short_enough(text.reshape(array.shape), entry, f"one of the {what}", faults):
            return np.asarray(text.tolist(), dtype=np.str_).reshape(array.shape)
    return None


def matrix(
    entry: UploadEntry, n: int | None, what: str, faults: Faults, *, minus_infinity: bool = False
) -> NDArray[Any] | None:
    """Finite floats (n, C) in their own width; -inf where ``minus_infinity`` lets it pass."""
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
    good = finite(array, entry, faults, minus_infinity=minus_infinity)
    return array if good and sound else None


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
    return array if short_enough(array, entry, "the id", faults) else None


def short_enough(text: NDArray[Any], entry: UploadEntry, what: str, faults: Faults) -> bool:
    """Whether all values, of which the last axis counts rows, may be ids or names of classes."""
    lengths = np.fromiter(map(len, text.flat), np.int64, text.size)
    if lengths.max(initial=0) <= MAX_VALUE_LENGTH:
        return True
    at = int((lengths > MAX_VALUE_LENGTH).argmax())
    faults.about(
        entry,
        f"{what} has {lengths[at]} characters, at most {MAX_VALUE_LENGTH} are read.",
        "Shorten it; long texts belong in a column of their own.",
        row=int(np.unravel_index(at, text.shape)[-1]),
    )
    return False


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


def attribute(
    entry: UploadEntry, n: int | None, faults: Faults, notes: list[str] | None = None
) -> NDArray[Any] | None:
    """An attribute column (n,): int64, float64, bool, or text with empty strings where missing.

    Lists and structures of a table become JSON text. Where there are ``notes``, a column of cells
    that are neither numbers nor text is left out with a note instead of a fault.
    """
    as_text = entry.text is not None and (entry.shape is None or len(entry.shape) != 1)
    try:
        with faults.gathered(but=LeftOut):
            array = entry.text() if as_text and entry.text is not None else entry.load()
            if array.ndim != 1:
                faults.about(
                    entry,
                    f"a column must be (n,): got shape {array.shape}.",
                    "Save one value per example, or one column per dimension.",
                )
                return None
            if not same_length(len(array), n, entry, "values", faults):
                return None
            return _attribute_of(array, entry)
    except LeftOut as error:
        if notes is None:
            faults.keep(error.faults)
        else:
            notes.append(
                f"column '{entry.name}' of {entry.file} was left out: {error.faults[0].problem}"
            )
    return None


def _attribute_of(array: NDArray[Any], entry: UploadEntry) -> NDArray[Any]:
    if array.dtype.kind != "O":  # object arrays come from our own table readers: text
        check_storable(array.dtype, entry.file, entry.field)
    kind = array.dtype.kind
    if kind == "b":
        return array.astype(bool)
    if kind == "f":
        return array.astype(np.float64)
    if kind in "iu" and (kind == "i" or not len(array) or int(array.max()) < 2**63):
        return array.astype(np.int64)
    return text_of(array, entry.file, entry.field)


def written(entry: UploadEntry, column: NDArray[Any]) -> NDArray[Any] | None:
    """Cells as the file has them, where the numbers or codes in ``column`` read otherwise.

    ``1.10`` is the number 1.1 and True the code 1: what is computed with. What leaves is what came.
    None where nothing is lost.
    """
    if column.dtype.kind not in "ifb":
        return None
    as_it_is = entry.dtype == "bool" and column.dtype.kind == "b"
    if entry.text is None and (as_it_is or entry.dtype.startswith(("int", "uint", "float"))):
        return None  # numbers came, and nothing is read twice
    text = entry.text() if entry.text is not None else entry.load()
    if text.dtype.kind == "b" and column.dtype.kind != "b":
        text = np.where(text.reshape(-1), "True", "False").astype(object)
    if text.dtype.kind != "O" or text.shape != column.shape:
        return None
    plain = column.astype(np.str_)
    if column.dtype.kind == "f":
        plain[np.isnan(column)] = ""
    return None if (text == plain.astype(object)).all() else text
