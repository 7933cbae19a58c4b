"""What the methods are given, checked once: arrays of one length, classes as codes, options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.arrays import as_numpy, check_finite, check_matrix, check_vector
from backend.core.errors import InputError

_ADVICE = {
    "losses": "Give one loss per example.",
    "labels": "Give the true class of each example as labels.",
    "predictions": "Give the predicted class of each example as predictions, or probabilities.",
}
_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Inputs:
    """Checked arrays of ``n`` examples.

    Attributes
    ----------
    embeddings : float array of shape (n, d)
        In their own precision, maybe memory-mapped.
    losses : float64 array of shape (n,), or None
        None for unseen examples of which only the place is known.
    labels, predictions : int array of shape (n,), or None
        Codes into ``classes``.
    probabilities : float64 array of shape (n, C), or None
    classes : tuple of C str
    kept_aside : bool array of shape (n,), or None
        Examples that find and choose no group.
    """

    embeddings: NDArray[Any]
    losses: NDArray[np.float64] | None
    labels: NDArray[np.int64] | None
    predictions: NDArray[np.int64] | None
    probabilities: NDArray[np.float64] | None
    classes: tuple[str, ...]
    kept_aside: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.embeddings)

    def take(self, rows: NDArray[np.int64]) -> Inputs:
        """These rows only, with the same codes; none of them counts as kept aside."""

        def taken(values: NDArray[Any] | None) -> Any:
            return None if values is None else values[rows]

        return Inputs(
            self.embeddings[rows],
            taken(self.losses),
            taken(self.labels),
            taken(self.predictions),
            taken(self.probabilities),
            self.classes,
        )

    @property
    def known(self) -> Inputs:
        """The examples that may find and choose groups: all that are not kept aside."""
        return self if self.kept_aside is None else self.take(np.flatnonzero(~self.kept_aside))

    @property
    def wrong(self) -> NDArray[np.bool_] | None:
        """Whether each prediction differs from the label; None when either is missing."""
        if self.labels is None or self.predictions is None:
            return None
        return self.labels != self.predictions


def needed(values: NDArray[Any] | None) -> NDArray[Any]:
    """``values``, where an earlier check made sure that they are there."""
    if values is None:
        raise InputError("a field that this method looks at is missing from the examples.")
    return values


def check_inputs(
    function: str,
    embeddings: Any,
    losses: Any,
    labels: Any = None,
    predictions: Any = None,
    *,
    probabilities: Any = None,
    classes: Sequence[str] | None = None,
    needs: Sequence[str] = (),
    kept_aside: Any = None,
) -> Inputs:
    """What ``find_groups`` and its methods take, as ``Inputs``.

    Errors begin with ``function``; ``needs`` names the fields that must be there.
    """
    values = check_matrix("embeddings", embeddings)
    n = len(values)
    if predictions is not None and probabilities is None and as_numpy(predictions).ndim == 2:
        predictions, probabilities = None, predictions
    given = {
        "losses": losses is not None,
        "labels": labels is not None,
        "predictions": predictions is not None or probabilities is not None,
    }
    for field in needs:
        if not given[field]:
            raise InputError(f"{function} needs {field}: got none. {_ADVICE[field]}")
    checked = None if losses is None else check_vector("losses", losses, n)
    shares = None if probabilities is None else _check_probabilities(probabilities, n)
    named = {
        name: _check_classes(name, column, n)
        for name, column in (("labels", labels), ("predictions", predictions))
        if column is not None
    }
    names = _class_names(named, shares, classes)
    codes = {name: _codes(name, column, names) for name, column in named.items()}
    predicted = codes.get("predictions")
    if predicted is None and shares is not None:
        predicted = shares.argmax(axis=1).astype(np.int64)
    aside = None if kept_aside is None else check_aside(kept_aside, n)
    return Inputs(values, checked, codes.get("labels"), predicted, shares, names, aside)


def check_aside(kept_aside: Any, n: int) -> NDArray[np.bool_] | None:
    """Which of ``n`` rows are kept aside; None where none is. Not all of them may be."""
    aside = as_numpy(kept_aside)
    if aside.shape != (n,) or aside.dtype != bool:
        raise InputError(
            f"kept_aside must be one true or false per example: got {aside.dtype} of shape "
            f"{aside.shape} for {n} examples."
        )
    if aside.all():
        raise InputError(f"kept_aside must leave examples to find groups: got all {n} of them.")
    return aside if aside.any() else None


def check_groups(n_groups: Any) -> int:
    """``n_groups`` as an int of at least 1."""
    if isinstance(n_groups, bool) or n_groups != int(n_groups) or n_groups < 1:
        raise InputError(f"n_groups must be a whole number of at least 1: got {n_groups!r}.")
    return int(n_groups)


def check_size(size: Any, n: int) -> float:
    """A share in (0, 1), or a number of examples below ``n``, as a number of examples."""
    count = float(size) * n if 0 < size < 1 else float(size)
    if not 0 < count < n:
        raise InputError(
            f"size must be a share in (0, 1) or a number of examples below {n}: got {size!r}."
        )
    return count


def check_least(**options: tuple[float, float]) -> None:
    """Refuse the first option below its least value; each is given as (value, least value)."""
    for name, (value, least) in options.items():
        if value < least:
            raise InputError(f"{name} must be at least {least}: got {value}.")


def _check_probabilities(value: Any, n: int) -> NDArray[np.float64]:
    array = as_numpy(value)
    if array.ndim != 2 or len(array) != n or array.shape[1] == 0 or array.dtype.kind != "f":
        raise InputError(
            f"probabilities must be ({n}, C), a float per example and class: "
            f"got {array.dtype} of shape {array.shape}."
        )
    array = array.astype(np.float64)
    check_finite("probabilities", array)
    off = (array.min(axis=1) < 0) | (np.abs(array.sum(axis=1) - 1) > _SUM_TOLERANCE)
    if off.any():
        row = int(off.argmax())
        raise InputError(
            "probabilities must be 0 or more and sum to 1 within 0.001: row "
            f"{row} sums to {array[row].sum():.6g}, its least is {array[row].min():.6g}."
        )
    return array


def _check_classes(name: str, value: Any, n: int) -> NDArray[Any]:
    array = as_numpy(value)
    if array.ndim != 1 or len(array) != n:
        raise InputError(f"{name} must be one per embedding: got shape {array.shape} for {n}.")
    if array.dtype == object:
        array = array.astype(str)
    if array.dtype.kind not in "biuU":
        raise InputError(
            f"{name} must be classes, as whole numbers or text: got dtype {array.dtype}."
        )
    return array if array.dtype.kind == "U" else array.astype(np.int64)


def _class_names(
    named: dict[str, NDArray[Any]],
    shares: NDArray[np.float64] | None,
    classes: Sequence[str] | None,
) -> tuple[str, ...]:
    if classes is not None:
        names = tuple(str(name) for name in classes)
        if shares is not None and len(names) != shares.shape[1]:
            raise InputError(
                f"classes must be one per column of probabilities: got {len(names)} classes and "
                f"{shares.shape[1]} columns."
            )
        return names
    if shares is not None:
        return tuple(str(code) for code in range(shares.shape[1]))
    if not named:
        return ()
    kinds = {column.dtype.kind for column in named.values()}
    if len(kinds) > 1:
        raise InputError(
            "labels and predictions must both be numbers or both be text: got one of each."
        )
    return tuple(str(value) for value in np.unique(np.concatenate(list(named.values()))).tolist())


def _codes(name: str, column: NDArray[Any], names: tuple[str, ...]) -> NDArray[np.int64]:
    """Positions in ``names``. Whole numbers are names where all names are, else positions."""
    place = {value: code for code, value in enumerate(names)}
    named = column.dtype.kind == "U" or all(name.lstrip("-").isdecimal() for name in names)
    values, inverse = np.unique(column, return_inverse=True)
    codes = np.empty(len(values), dtype=np.int64)
    for at, value in enumerate(values.tolist()):
        if named and str(value) in place:
            codes[at] = place[str(value)]
        elif not named and 0 <= value < len(names):
            codes[at] = value
        else:
            shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
            raise InputError(f"{name} must name one of the classes ({shown}): got {value!r}.")
    return codes[inverse.reshape(-1)]
