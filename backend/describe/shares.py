"""Shares of a weighted group beside shares of everybody: what all description tables count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.arrays import check_vector
from backend.core.errors import InputError

UNKNOWN = "unknown"
"""The level of a missing attribute value; missing rows are never dropped."""


def check_weights(weights: Any, n: int, *, of: str = "example") -> NDArray[np.float64]:
    """``weights`` (n,) divided by their sum; refuses negative ones and a sum of zero."""
    values = check_vector("weights", weights, n, of=of)
    if (values < 0).any():
        row = int(np.flatnonzero(values < 0)[0])
        raise InputError(f"weights must not be negative: row {row} is {values[row]:g}.")
    total = values.sum()
    if total <= 0:
        raise InputError("weights must have a positive sum: all of them are 0.")
    return values / total


def effective_size(shares: NDArray[np.float64]) -> float:
    """Number of equally weighted examples that carry as much information: ``1 / sum w^2``."""
    return float(1 / (shares @ shares))


def factorize(values: Any) -> tuple[NDArray[np.intp], NDArray[np.object_]]:
    """Codes (n,) and the levels they stand for, in order of first appearance.

    A missing value (None, NaN, NaT, pd.NA, or empty text, which is how a bundle keeps it) gets the
    level ``"unknown"``.
    """
    column = pd.Series(values, dtype=object)
    try:
        codes, levels = pd.factorize(column.mask(column == ""))
    except TypeError as error:
        raise InputError(
            f"values must be numbers, names or other hashable things: {error}."
        ) from None
    names = np.empty(len(levels), dtype=object)
    names[:] = [level.item() if isinstance(level, np.generic) else level for level in levels]
    if (codes < 0).any():
        held = [
            code for code, name in enumerate(names) if isinstance(name, str) and name == UNKNOWN
        ]
        if not held:
            names = np.append(names, np.array([UNKNOWN], dtype=object))
        codes = np.where(codes < 0, held[0] if held else len(names) - 1, codes)
    return codes, names


def share_table(
    levels: NDArray[np.object_],
    codes: NDArray[np.integer[Any]],
    shares: NDArray[np.float64],
    n: int,
) -> pd.DataFrame:
    """Columns ``value``, ``group_share``, ``base_share``, ``count`` for occurrences of levels.

    ``codes`` and ``shares`` hold one entry per occurrence; ``n`` is the number of examples.
    """
    count = np.bincount(codes, minlength=len(levels))
    group = np.bincount(codes, weights=shares, minlength=len(levels))
    return pd.DataFrame(
        {
            "value": pd.Series(levels, dtype=object),
            "group_share": np.minimum(group, 1.0),  # a sum of shares may round to 1 + 1e-16
            "base_share": count / n,
            "count": count,
        }
    )


def rank_by_ratio(table: pd.DataFrame, name: str, smoothing: float) -> pd.DataFrame:
    """``table`` with column ``ratio`` second, highest first; ties by count, then by text."""
    if not np.isfinite(smoothing) or smoothing < 0:
        raise InputError(f"smoothing must be 0 or more: got {smoothing}.")
    ratio = (smoothing + table["group_share"]) / (smoothing + table["base_share"])
    table.insert(1, "ratio", ratio)
    text = table[name].map(str)
    order = np.lexsort((text, -table["count"], -ratio.round(12)))
    return table.iloc[order].reset_index(drop=True)
