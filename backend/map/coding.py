"""What the map's colours mean: one byte per example, which points into a list of colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.errors import InputError

MOST_CODES = 256


@dataclass(frozen=True)
class KindCodes:
    """The most frequent values of a column, each with a code.

    Attributes
    ----------
    codes : uint8 array of shape (n,)
        0 for values that are not among ``names``, else 1 + the place there.
    names : tuple of str
        In the order of their text.
    n_others : int
        How many values have code 0.
    """

    codes: NDArray[np.uint8] = field(repr=False)
    names: tuple[str, ...]
    n_others: int


@dataclass(frozen=True)
class StepCodes:
    """Numbers on a scale of even steps.

    Attributes
    ----------
    codes : uint8 array of shape (n,)
        From 0 for ``low`` or less up to ``steps`` - 1 for ``high`` or more; ``steps`` where there is
        no number.
    low, high : float
        Ends of the scale.
    """

    codes: NDArray[np.uint8] = field(repr=False)
    low: float
    high: float


@dataclass(frozen=True)
class CodeCount:
    """How many examples have a code, and how many of them are chosen."""

    total: int
    chosen: int


def group_codes(n: int, groups: Sequence[NDArray[np.int64]]) -> NDArray[np.uint8]:
    """Code 1 + place of the group that an example is in; 0 for none, of several the first.

    Parameters
    ----------
    n : int
        Number of examples.
    groups : sequence of int arrays
        Rows of each group, 255 groups at most.
    """
    _check_size("groups", len(groups))
    codes = np.zeros(n, dtype=np.uint8)
    for at, rows in reversed(list(enumerate(groups, start=1))):
        codes[rows] = at
    return codes


def kind_codes(values: Any, *, most: int) -> KindCodes:
    """Codes of at most ``most`` values; ties in frequency go to the earlier text.

    Parameters
    ----------
    values : text array of shape (n,)
    most : int
        Where there are more values, the others take the place of one: ``most - 1`` are named.
    """
    _check_size("most", most)
    names, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    kept = most if len(names) <= most else most - 1
    frequent = np.sort(np.argsort(-counts, kind="stable")[:kept])
    place = np.zeros(len(names), dtype=np.uint8)
    place[frequent] = np.arange(1, len(frequent) + 1)
    listed = tuple(str(names[at]) for at in frequent)
    return KindCodes(place[codes], listed, len(names) - len(frequent))


def step_codes(values: NDArray[np.float64], *, steps: int, outer: float = 0.01) -> StepCodes:
    """Numbers on a scale between two of their quantiles.

    Parameters
    ----------
    values : float array of shape (n,)
        NaN and infinite ones are missing.
    steps : int
        Number of steps.
    outer : float
        Share of the numbers beyond each end of the scale, in [0, 0.5); 0 for their extremes.

    Returns
    -------
    StepCodes
        Where all numbers agree the scale is 1 wide, and where there are none it is 0 to 1.
    """
    _check_size("steps", steps)
    known = np.isfinite(values)
    low, high = 0.0, 1.0
    if known.any():
        low, high = (float(end) for end in np.quantile(values[known], [outer, 1 - outer]))
    span = high - low if high > low else 1.0
    shares = np.clip((np.where(known, values, low) - low) / span, 0, 1)
    codes = np.round(shares * (steps - 1)).astype(np.uint8)
    codes[~known] = steps
    return StepCodes(codes, low, low + span)


def count_codes(
    codes: NDArray[np.uint8], chosen: NDArray[np.bool_], *, size: int
) -> list[CodeCount]:
    """For each code below ``size``: how many examples have it, and how many of the chosen ones."""
    total = np.bincount(codes, minlength=size)
    part = np.bincount(codes[chosen], minlength=size)
    return [CodeCount(int(a), int(b)) for a, b in zip(total, part, strict=True)]


def _check_size(name: str, size: int) -> None:
    if not 0 <= size < MOST_CODES:
        raise InputError(f"{name} must fit into a byte, at most {MOST_CODES - 1}: got {size}.")
