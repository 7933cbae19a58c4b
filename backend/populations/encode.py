"""Predictions of several models as small ordered codes, checked once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.arrays import as_numpy
from backend.core.errors import InputError

Codes = NDArray[np.int32]
BLOCK = 2**18  # values worked on at once
ADVICE = {
    1: "One model is a row: pass predictions[None, :].",
    3: "Pass predicted classes, not probabilities: take argmax over the classes.",
}


@dataclass(frozen=True)
class Encoded:
    """Arrays of class labels as codes 0 .. C-1 over one sorted list of names.

    ``parts`` follow the order in which arrays were given; codes compare as the labels do (numbers
    by value, names by text), so "largest" means the same before and after.
    """

    parts: tuple[Codes, ...]
    names: NDArray[Any]


def encode(**arrays: Any) -> Encoded:
    """Class labels as codes over their common sorted values; the keywords name them in errors.

    Whole numbers (booleans count as 0 and 1) or names, but not both.

    Raises
    ------
    InputError
        If an array is empty, is neither whole numbers nor text, has a missing value, or numbers
        meet names.
    """
    labels = {name: _labels(name, value) for name, value in arrays.items()}
    kinds = {
        name: "numbers" if array.dtype.kind in "iu" else "names" for name, array in labels.items()
    }
    if len(set(kinds.values())) > 1:
        told = ", ".join(f"{name} are {kind}" for name, kind in kinds.items())
        raise InputError(f"class labels must be all numbers or all names: {told}.")
    if "names" in kinds.values():
        return _encode_names(list(labels.values()))
    return _encode_numbers(list(labels.values()))


def check_populations(labels: Any = None, **populations: Any) -> Encoded:
    """``populations`` as (m, n) codes, all with one n, then ``labels`` (n,) when given.

    Raises
    ------
    InputError
        As ``encode``; or if a population is not (m, n), has no model or no example, or lengths
        differ.
    """
    arrays: dict[str, Any] = {}
    n = -1
    for name, value in populations.items():
        array = arrays[name] = _as_labels(value)
        if array.ndim != 2:
            raise InputError(
                f"{name} must have shape (m, n), one row per model: got {array.shape}. "
                f"{ADVICE.get(array.ndim, '')}".strip()
            )
        if 0 in array.shape:
            raise InputError(
                f"{name} must hold at least one model and one example: got {array.shape[0]} models "
                f"and {array.shape[1]} examples."
            )
        if n not in (-1, array.shape[1]):
            first = next(iter(populations))
            raise InputError(
                f"{name} and {first} must answer the same examples: got {array.shape[1]} and {n}."
            )
        n = array.shape[1]
    if labels is not None:
        arrays["labels"] = _as_labels(labels)
        if arrays["labels"].shape != (n,):
            raise InputError(
                f"labels must be one per example: got shape {arrays['labels'].shape} "
                f"for {n} examples."
            )
    return encode(**arrays)


def check_mask(mask: Any, n: int | None = None) -> NDArray[np.bool_]:
    """``mask`` as booleans of shape (n,)."""
    array = as_numpy(mask)
    if array.dtype != bool or array.ndim != 1 or (n is not None and len(array) != n):
        needed = "(n,)" if n is None else f"({n},)"
        raise InputError(
            f"mask must be booleans of shape {needed}: got {array.dtype} of shape {array.shape}."
        )
    return array


def _as_labels(value: Any) -> NDArray[Any]:
    if isinstance(value, pd.Series | pd.DataFrame | pd.Index):
        return value.to_numpy()
    return as_numpy(value)


def _labels(name: str, value: Any) -> NDArray[Any]:
    """Whole numbers as they are, text as an array of str in one of numpy's three forms."""
    array = _as_labels(value)
    if array.size == 0:
        raise InputError(f"{name} must not be empty: got shape {array.shape}.")
    if array.dtype.kind == "b":
        return array.astype(np.int8)
    if array.dtype.kind in "iu":
        return array
    if array.dtype.kind == "U" or isinstance(array.dtype, np.dtypes.StringDType):
        return array
    if array.dtype == object:
        found = pd.api.types.infer_dtype(array.ravel(), skipna=False)
        if found == "string":
            return array
        if found in ("integer", "boolean"):
            return array.astype(np.int64)
        raise InputError(
            f"{name} must be whole numbers or names throughout: got {found} values. "
            "Fill in missing predictions, or leave those examples out of every array."
        )
    raise InputError(f"{name} must be whole numbers or names: got dtype {array.dtype}.")


def _encode_names(arrays: list[NDArray[Any]]) -> Encoded:
    """Text as codes, model by model: Python strings of one row exist at a time."""
    known: dict[str, int] = {}
    parts = []
    for array in arrays:
        codes = np.empty(array.shape, dtype=np.int32)
        for own, row in zip(np.atleast_2d(codes), np.atleast_2d(array), strict=True):
            local, found = pd.factorize(row.astype(object))
            own[:] = np.array([known.setdefault(str(name), len(known)) for name in found])[local]
        parts.append(codes)
    names = np.array(list(known), dtype=str)
    order = np.argsort(names, kind="stable")
    rank = np.empty(len(names), dtype=np.int32)
    rank[order] = np.arange(len(names), dtype=np.int32)
    return Encoded(tuple(rank[codes] for codes in parts), names[order])


def _encode_numbers(arrays: list[NDArray[Any]]) -> Encoded:
    """Whole numbers as codes, some models at a time; a table look-up where their range is small."""
    low = min(int(array.min()) for array in arrays)
    high = max(int(array.max()) for array in arrays)
    parts = tuple(np.empty(array.shape, dtype=np.int32) for array in arrays)
    if high - low > 2**20:
        names = np.unique(np.concatenate([np.unique(array) for array in arrays]))
        for array, codes in zip(arrays, parts, strict=True):
            for own, rows in _model_blocks(codes, array):
                own[:] = np.searchsorted(names, rows)
        return Encoded(parts, names)
    held = np.zeros(high - low + 1, dtype=bool)
    for array in arrays:
        for _, rows in _model_blocks(array, array):
            held[rows.astype(np.int64) - low] = True
    rank = (np.cumsum(held) - 1).astype(np.int32)
    for array, codes in zip(arrays, parts, strict=True):
        for own, rows in _model_blocks(codes, array):
            own[:] = rank[rows.astype(np.int64) - low]
    return Encoded(parts, np.flatnonzero(held) + low)


def _model_blocks(
    first: NDArray[Any], second: NDArray[Any]
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Views of the same models in two arrays (m, n) or (n,), about a quarter million values each.

    What is computed of a block is small beside the arrays, however many models there are.
    """
    first, second = np.atleast_2d(first), np.atleast_2d(second)
    step = max(1, BLOCK // max(1, second.shape[-1]))
    for start in range(0, len(second), step):
        yield first[start : start + step], second[start : start + step]
