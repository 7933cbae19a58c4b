"""Shares of a weighted group beside shares of everybody: what all description tables count."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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


def ratio_of(group: NDArray[Any], base: NDArray[Any], smoothing: float) -> NDArray[np.float64]:
    """``(s + group) / (s + base)``; NaN where that divides by 0."""
    if not np.isfinite(smoothing) or smoothing < 0:
        raise InputError(f"smoothing must be 0 or more: got {smoothing}.")
    below = smoothing + base
    above = smoothing + group
    return np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0)


def ranked(
    ratio: NDArray[np.float64],
    group: NDArray[Any],
    count: NDArray[Any],
    texts: Callable[[NDArray[np.intp]], Iterable[str]],
    top: int | None = None,
) -> NDArray[np.intp]:
    """Places of the ``top`` highest ratios (all for None), highest first.

    Ties (to 12 decimals) by higher count, then by text, which is asked for only where it decides.
    An undefined ratio comes first where the group holds the thing, which its baseline then never
    does, and else last.
    """
    ratio = np.where(np.isnan(ratio), np.where(group > 0, np.inf, -np.inf), np.round(ratio, 12))
    places = np.arange(len(ratio))
    if top is not None and top < len(places):
        edge = -np.partition(-ratio, top - 1)[top - 1]
        places = np.flatnonzero(ratio >= edge)
        last = np.lexsort((-count[places], -ratio[places]))[top - 1]
        edges = ratio[places[last]], count[places[last]]
        over = (ratio[places] > edges[0]) | (count[places] >= edges[1])
        places = places[over]
    names = np.asarray(list(texts(places)), dtype=object)
    order = np.lexsort((names, -count[places], -ratio[places])) if len(places) else places
    return places[order][:top]
