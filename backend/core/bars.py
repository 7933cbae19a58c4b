"""How numbers are spread: the bars of a histogram."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.errors import InputError


@dataclass(frozen=True)
class Bars:
    """Counts between borders.

    Attributes
    ----------
    edges : float array of shape (b + 1,)
        Borders, ascending. A bar holds its lower border, the last one both.
    counts : {name: int array of shape (b,)}
        How many of each part lie in each bar.
    """

    edges: NDArray[np.float64] = field(repr=False)
    counts: Mapping[str, NDArray[np.int64]] = field(repr=False)

    @property
    def middles(self) -> NDArray[np.float64]:
        """Where the bars stand, shape (b,)."""
        return (self.edges[1:] + self.edges[:-1]) / 2

    @property
    def widths(self) -> NDArray[np.float64]:
        """How wide they are, shape (b,)."""
        return np.diff(self.edges)

    def table(self) -> pd.DataFrame:
        """One row per bar: ``from``, ``to``, and the count of each part."""
        return pd.DataFrame({"from": self.edges[:-1], "to": self.edges[1:], **self.counts})


def count_bars(
    values: NDArray[np.float64],
    parts: Mapping[str, NDArray[np.bool_]],
    *,
    most: int = 48,
    whole: bool = True,
) -> Bars:
    """A histogram of several parts of the same numbers, on the same borders.

    Parameters
    ----------
    values : float array of shape (n,)
        What is not finite is in no bar.
    parts : {name: bool array of shape (n,)}
        Which of the values each part has. Borders are those of all values.
    most : int
        Bars of equal width from the lowest value to the highest; one of width 1 where all agree.
    whole : bool
        Whether numbers that are all whole get a bar of their own each, where ``most`` are enough.

    Raises
    ------
    InputError
        If no value is finite.
    """
    known = np.isfinite(values)
    if not known.any():
        raise InputError("a histogram needs a finite value: got none.")
    edges = _edges(values[known], most, whole=whole)
    counts = {
        name: np.histogram(values[known & np.asarray(held)], edges)[0]
        for name, held in parts.items()
    }
    return Bars(edges, counts)


def _edges(values: NDArray[np.float64], most: int, *, whole: bool) -> NDArray[np.float64]:
    low, high = float(values.min()), float(values.max())
    if whole and high - low < most and bool((values == np.round(values)).all()):
        return np.arange(low - 0.5, high + 1.0)
    if low == high:
        return np.array([low - 0.5, high + 0.5])
    return np.linspace(low, high, most + 1)
