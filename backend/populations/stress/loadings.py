"""What goes with a component of how models deviate: loadings against the columns of the examples."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.arrays import check_vector
from backend.core.sampling import random_rows
from backend.core.statistics import mean_interval
from backend.populations.stress.report import fisher_interval, rank_correlation
from backend.populations.stress.table import read_stress_table, stress_columns

FEW_VALUES = 8
"""Numbers that take at most this many values are read as categories."""
_LOOKED_AT = 1_000


@dataclass(frozen=True)
class LoadingTrend:
    """Loadings over a column of numbers.

    Attributes
    ----------
    correlation, low, high : float
        Spearman's correlation and its 95 % interval by Fisher's z; NaN where one of the two is
        constant.
    n : int
        Examples with a finite number.
    rows : int array of shape (k,)
        Those to draw, ascending: all, or a random sample.
    """

    correlation: float
    low: float
    high: float
    n: int
    rows: NDArray[np.int64] = field(repr=False)


def is_measured(column: NDArray[Any]) -> bool:
    """Whether a column is one of measurements: numbers of more than eight values.

    Judged by its first thousand.
    """
    return bool(column.dtype.kind in "iuf" and len(np.unique(column[:_LOOKED_AT])) > FEW_VALUES)


def loading_trend(loading: Any, numbers: Any, *, most: int, seed: int = 0) -> LoadingTrend:
    """How the loadings of one component rise or fall with a column of numbers.

    Parameters
    ----------
    loading, numbers : array-like of shape (n,)
        Examples whose number is not finite take no part.
    most : int
        Examples to draw at most.
    seed : int
        Draws them.
    """
    loading, numbers = check_vector("loading", loading), np.asarray(numbers, dtype=np.float64)
    known = np.flatnonzero(np.isfinite(numbers))
    rho = float("nan")
    if len(known):
        rho = rank_correlation(numbers[known], loading[known])
    rows = known
    if len(known) > most:
        rows = np.sort(random_rows(len(numbers), most, seed=seed, among=known))
    return LoadingTrend(rho, *fisher_interval(rho, len(known)), len(known), rows)


def loading_means(loading: Any, values: Any) -> pd.DataFrame:
    """Mean loading per value of a column.

    Parameters
    ----------
    loading : array-like of shape (n,)
    values : array-like of shape (n,)
        Categories; an empty text is "unknown".

    Returns
    -------
    DataFrame
        ``value``, ``n``, ``loading`` and its 95 % interval by Student's t, ``low`` and ``high``
        (NaN for one example). Highest mean first, ties by text.
    """
    held = pd.Series(check_vector("loading", loading))
    texts = pd.Series(values).astype(str).reset_index(drop=True)
    rows = []
    for value, own in held.groupby(texts, sort=True):
        found = mean_interval(own.to_numpy())
        rows.append((str(value) or "unknown", len(own), found.value, found.low, found.high))
    table = pd.DataFrame(rows, columns=["value", "n", "loading", "low", "high"])
    return table.sort_values("loading", ascending=False, kind="stable", ignore_index=True)


def strongest_rows(loading: Any, most: int) -> NDArray[np.int64]:
    """The examples of largest loading, either sign; ties go to the lower row."""
    values = check_vector("loading", loading)
    return np.argsort(-np.abs(values), kind="stable")[:most].astype(np.int64)


def scored_models(stress: pd.DataFrame | None, population: str, n_scored: int) -> list[int]:
    """Rows of a bundle's scores that belong to a population of its stress table.

    Scores stand in the order in which models come in the table.

    Returns
    -------
    list of int
        Empty where all are meant: no population is asked for or known, or the table has another
        number of models, so that nothing can be told apart.
    """
    if not population or stress is None or stress_columns(stress).population is None:
        return []
    every = read_stress_table(stress)
    if len(every.metrics) != n_scored or every.groups is None:
        return []
    return [at for at, name in enumerate(every.groups) if str(name) == population]
