"""All populations of one evaluation with its labels, as codes over one list of classes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.arrays import as_numpy
from backend.core.errors import InputError


@dataclass(frozen=True)
class Ensemble:
    """Several populations of models that answered the same examples.

    Attributes
    ----------
    populations : {name: int16 or int32 array of shape (m, n)}
        Predicted classes, as positions in ``names``; the numbers of models may differ.
    labels : int16 or int32 array of shape (n,) or None
        True classes, likewise.
    names : tuple of str
        Classes: those given, in their order, then any others that occur. Without given classes
        whole numbers are ordered by value and names by text.
    """

    populations: Mapping[str, NDArray[Any]]
    labels: NDArray[Any] | None
    names: tuple[str, ...]

    @property
    def n(self) -> int:
        """Number of examples."""
        return int(next(iter(self.populations.values())).shape[1])

    def baseline(self) -> str:
        """The population the others are compared with by default: "baseline", else the first."""
        held = {name.lower(): name for name in reversed(list(self.populations))}
        return held.get("baseline", next(iter(self.populations)))

    def correct(self, population: str) -> NDArray[np.bool_]:
        """Which model is right on which example, shape (m, n)."""
        if self.labels is None:
            raise InputError("whether a model is right needs labels: there are none.")
        return self.populations[population] == self.labels

    def occurring(self, *answers: NDArray[Any]) -> list[str]:
        """Names of the classes that are a label or one of these answers (codes), in class order."""
        held = set() if self.labels is None else set(pd.unique(self.labels).tolist())
        for codes in answers:
            for row in np.atleast_2d(codes):
                held |= set(pd.unique(row).tolist())
        return [self.names[code] for code in sorted(held)]


def make_ensemble(
    populations: Mapping[str, Any], labels: Any = None, classes: Sequence[str] | None = None
) -> Ensemble:
    """Populations and labels as codes over one list of classes.

    Parameters
    ----------
    populations : {name: array-like of shape (m, n)}
        Predicted labels. Numbers and names may be mixed between arrays: with ``classes`` a number
        is a position in it.
    labels : array-like of shape (n,), optional
    classes : sequence of str, optional

    Raises
    ------
    InputError
        If there is no population, shapes disagree, or values are neither whole numbers nor names.
    """
    if not populations:
        raise InputError("populations must hold at least one population of models: got none.")
    arrays = {name: as_numpy(value) for name, value in populations.items()}
    n = next(iter(arrays.values())).shape[-1]
    for name, array in arrays.items():
        if array.ndim != 2 or 0 in array.shape or array.shape[1] != n:
            raise InputError(
                f"population {name!r} must have shape (m, {n}), one row per model and one column "
                f"per example: got {array.shape}."
            )
    truth = None if labels is None else as_numpy(labels)
    if truth is not None and truth.shape != (n,):
        raise InputError(f"labels must be one per example: got shape {truth.shape} for {n}.")
    for name, array in {**arrays, **({} if truth is None else {"labels": truth})}.items():
        if array.dtype.kind not in "biuUOT":
            raise InputError(f"{name} must be whole numbers or names: got dtype {array.dtype}.")
    known = {name: code for code, name in enumerate(classes or ())}
    every = [*arrays.values(), *([] if truth is None else [truth])]
    found = [_distinct(array, classes) for array in every]
    new = {value for values in found for value in values if str(value) not in known}
    numeric = all(isinstance(value, int) for value in new)
    ordered = sorted(new) if numeric else sorted({str(value) for value in new})
    for value in ordered:
        known.setdefault(str(value), len(known))
    # Thirty models on a million examples are 60 MB in two bytes each; the margin is for arithmetic.
    dtype = np.dtype(np.int16 if len(known) < 2**14 else np.int32)
    coded = [_coded(array, classes, known, dtype) for array in every]
    return Ensemble(
        dict(zip(arrays, coded, strict=False)),
        None if truth is None else coded[-1],
        tuple(known),
    )


def _distinct(array: NDArray[Any], classes: Sequence[str] | None) -> list[Any]:
    """Values that occur: ints, or texts; positions in ``classes`` become their names."""
    held: list[Any] = []
    for row in np.atleast_2d(array):
        held += pd.unique(row if row.dtype.kind in "iu" else row.astype(object)).tolist()
    return [_named(value, classes) for value in dict.fromkeys(held)]


def _named(value: Any, classes: Sequence[str] | None) -> Any:
    if isinstance(value, bool | int):
        position = int(value)
        return classes[position] if classes and 0 <= position < len(classes) else position
    return str(value)


def _coded(
    array: NDArray[Any],
    classes: Sequence[str] | None,
    known: Mapping[str, int],
    dtype: np.dtype[Any],
) -> NDArray[Any]:
    """Codes of an array, row by row: Python objects of one model exist at a time."""
    codes = np.empty(array.shape, dtype=dtype)
    for own, row in zip(np.atleast_2d(codes), np.atleast_2d(array), strict=True):
        local, values = pd.factorize(row if row.dtype.kind in "iu" else row.astype(object))
        own[:] = np.array([known[str(_named(value, classes))] for value in values.tolist()])[local]
    return codes


@dataclass(frozen=True)
class CompressionLevel:
    """How strongly a population is compressed, read from its name.

    ``kind`` is the name without its number ("pruned"), ``level`` the number; None when the name
    has none, 0 for the baseline.
    """

    name: str
    kind: str
    level: float | None


def compression_levels(
    names: Sequence[str], baseline: str, given: Mapping[str, CompressionLevel] | None = None
) -> list[CompressionLevel]:
    """Populations in order of their level: the baseline, then kind by kind with rising numbers.

    "pruned-30" and "pruned_90" are levels 30 and 90 of "pruned"; "int8" has the number 8. Kinds
    come in the order of their first mention, names without a number before the numbers. What is
    ``given`` for a name counts instead of what the name says.
    """
    given = given or {}
    found = [given.get(name) or _level(name) for name in names if name != baseline]
    kinds = list(dict.fromkeys(one.kind for one in found))
    found.sort(
        key=lambda one: (kinds.index(one.kind), -1.0 if one.level is None else one.level, one.name)
    )
    return [CompressionLevel(baseline, "", 0.0), *found]


def _level(name: str) -> CompressionLevel:
    match = re.search(r"\d+(?:\.\d+)?", name)
    if match is None:
        return CompressionLevel(name, name, None)
    kind = (name[: match.start()] + name[match.end() :]).strip(" -_%=.")
    return CompressionLevel(name, kind, float(match.group()))
