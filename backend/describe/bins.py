"""Measurements as readable categories: quantile bins."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.arrays import as_numpy
from backend.core.errors import InputError
from backend.core.wording import span, told_apart
from backend.describe.shares import UNKNOWN


def bin_column(values: Any, *, bins: int = 4) -> NDArray[np.object_]:
    """A numeric column as readable categories: ``"0.12–0.34"``, ``"−5 to 2"``, missing ``"unknown"``.

    Borders are quantiles, so that bins are about equally full; where many examples share one value
    fewer bins result. A bin holds its lower border and not its upper one, except the last. A column
    of at most ``bins`` distinct values becomes those values. Borders carry as many digits as it
    takes to tell them apart, three significant ones at least.

    Parameters
    ----------
    values : array-like of shape (n,)
        Numbers; NaN and None are missing.
    bins : int
        2 or more.

    Returns
    -------
    object array of shape (n,)
        Text. ``bin_labels`` gives the labels in ascending order.
    """
    codes, labels, _ = bins_of(numbers_of(values), bins)
    return np.array([*labels, UNKNOWN], dtype=object)[codes]


def bin_labels(values: Any, *, bins: int = 4) -> list[str]:
    """The labels ``bin_column`` uses for these values, lowest first, without ``"unknown"``."""
    return bins_of(numbers_of(values), bins)[1]


def bins_of(
    numbers: NDArray[np.float64], bins: int = 4
) -> tuple[NDArray[np.intp], list[str], NDArray[np.float64]]:
    """Codes (n,), labels, and exact borders (labels, 2); a missing value has the code -1.

    The borders of a single value are equal. Of a range the lower one belongs to it, the upper one
    only in the last range.
    """
    if bins < 2:
        raise InputError(f"bins must be 2 or more: got {bins}.")
    present = ~np.isnan(numbers)
    known = numbers[present]
    codes = np.full(len(numbers), -1, dtype=np.intp)
    distinct = np.unique(known)
    if len(distinct) <= bins:
        codes[present] = np.searchsorted(distinct, known)
        return codes, told_apart(distinct), np.column_stack([distinct, distinct])
    # "higher" makes every border a value that occurs, so that no bin is empty.
    edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1), method="higher"))
    codes[present] = np.minimum(np.searchsorted(edges, known, side="right"), len(edges) - 1) - 1
    texts = told_apart(edges)
    labels = [span(low, high) for low, high in pairwise(texts)]
    return codes, labels, np.column_stack([edges[:-1], edges[1:]])


def numbers_of(values: Any) -> NDArray[np.float64]:
    """A numeric column as float64, missing values NaN."""
    if hasattr(values, "detach"):
        values = as_numpy(values)
    try:
        numbers = pd.to_numeric(pd.Series(values)).to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise InputError(f"values must be numeric: {error}. Use them as categories.") from None
    if np.isinf(numbers).any():
        row = int(np.flatnonzero(np.isinf(numbers))[0])
        raise InputError(f"values must not be infinite: row {row} is.")
    return numbers
