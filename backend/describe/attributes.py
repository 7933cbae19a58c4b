"""Which attribute values a group shares: one column, numeric columns, and all columns ranked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.arrays import as_numpy, check_vector
from backend.core.errors import InputError
from backend.describe.bins import bin_column, numbers_of
from backend.describe.shares import (
    check_weights,
    effective_size,
    factorize,
    rank_by_ratio,
    share_table,
)

NOT_ATTRIBUTES = ("id", "text", "image")
FEW_LEVELS = 10
"""A numeric column with at most this many distinct values is read as categories."""
MANY_LEVELS = 50
"""Levels of one column that are told apart when all columns are compared; the rest is pooled."""


def attribute_table(
    values: Any, weights: Any, losses: Any = None, *, smoothing: float = 0.0
) -> pd.DataFrame:
    """How the values of one attribute are spread in a weighted group and in all examples.

    Parameters
    ----------
    values : array-like of shape (n,)
        One category per example: names, numbers, booleans. A missing one (None, NaN,
        empty text) is the level ``"unknown"``. ``bin_column`` makes categories of measurements.
    weights : array of shape (n,)
        Not negative, with a positive sum.
    losses : array of shape (n,), optional
        For the mean loss of each category, over all its examples.
    smoothing : float
        ``s`` in the ratio ``(s + g) / (s + f)``.

    Returns
    -------
    DataFrame
        ``value``, ``ratio``, ``group_share`` (g) and ``base_share`` (f), both in [0, 1], ``count``
        (examples of all), ``mean_loss`` (NaN without losses). Highest ratio first; ties (to 12
        decimals) by higher count, then by the value's text.

    Raises
    ------
    InputError
        If lengths differ, weights are negative or sum to zero, or smoothing is negative.

    References
    ----------
    d'Eon et al., The Spotlight, 2021, arXiv:2107.00758, section 3.4 and figure 4.
    """
    codes, levels = factorize(_column(values))
    shares = check_weights(weights, len(codes), of="value")
    table = share_table(levels, codes, shares, len(codes))
    table["mean_loss"] = np.nan
    if losses is not None:
        own = check_vector("losses", losses, len(codes), of="value")
        total = np.bincount(codes, weights=own, minlength=len(levels))
        table["mean_loss"] = total / table["count"]
    return rank_by_ratio(table, "value", smoothing)


@dataclass(frozen=True)
class WeightedSummary:
    """A numeric column inside a weighted group and outside of any.

    Attributes
    ----------
    group_mean, base_mean : float
        ``sum w v / sum w`` and the plain mean, both over the examples that have a value;
        ``group_mean`` is NaN when none of them carries weight.
    base_sd : float
        Standard deviation of all values, population form; 0 when constant.
    shift : float
        ``(group_mean - base_mean) / base_sd``; NaN when the column is constant.
    n, n_missing : int
        Examples with and without a value.
    """

    group_mean: float
    base_mean: float
    base_sd: float
    shift: float
    n: int
    n_missing: int


def weighted_summary(values: Any, weights: Any) -> WeightedSummary:
    """Mean of a numeric column under the weights, beside its plain mean.

    NaN is a missing value. Refuses a column without any value, text, and infinite numbers.
    """
    numbers = numbers_of(values)
    shares = check_weights(weights, len(numbers), of="value")
    present = ~np.isnan(numbers)
    if not present.any():
        raise InputError(f"values must hold a number: all {len(numbers)} are missing.")
    known, own = numbers[present], shares[present]
    mean, sd = float(known.mean()), float(known.std())
    group = float(own @ known / own.sum()) if own.sum() > 0 else float("nan")
    shift = (group - mean) / sd if sd > 0 else float("nan")
    return WeightedSummary(group, mean, sd, shift, int(present.sum()), int((~present).sum()))


@dataclass(frozen=True)
class AttributeComparison:
    """One attribute of a group beside everybody's.

    Attributes
    ----------
    name : str
    difference : float
        How strongly the group differs, in nats; see ``attribute_tables``.
    table : DataFrame
        As ``attribute_table``; numeric columns in bins.
    summary : WeightedSummary or None
        For numeric columns.
    """

    name: str
    difference: float
    table: pd.DataFrame = field(repr=False)
    summary: WeightedSummary | None


def attribute_tables(
    examples: pd.DataFrame, weights: Any, losses: Any = None
) -> list[AttributeComparison]:
    """Every attribute column compared between a weighted group and all examples.

    Columns ``id``, ``text`` and ``image`` are left out. A numeric column of more than ten distinct
    values is binned into quarters; of any other column with more than 50 values the 49 most
    frequent are kept and the rest is ``"other"``.

    Returns
    -------
    list of AttributeComparison
        Largest difference first, ties in column order. The difference is the Kullback-Leibler
        divergence ``sum g log(g / f)`` of the group's shares from everybody's, less
        ``(levels - 1) / (2 effective size)``, which is what a group drawn at random shows on
        average, and not below 0: a column of many levels does not rank high by chance.

    Raises
    ------
    InputError
        If lengths differ, or weights are negative or sum to zero.
    """
    shares = check_weights(weights, len(examples))
    compared = []
    for name in attribute_columns(examples):
        numeric = is_numeric(examples[name])
        levels = attribute_levels(examples[name])
        table = attribute_table(levels, shares, losses)
        compared.append(
            AttributeComparison(
                str(name),
                _difference(table, effective_size(shares)),
                table,
                weighted_summary(examples[name], shares) if numeric else None,
            )
        )
    return sorted(compared, key=lambda one: -round(one.difference, 12))


def _difference(table: pd.DataFrame, size: float) -> float:
    group, base = table["group_share"].to_numpy(), table["base_share"].to_numpy()
    held = group > 0
    divergence = float((group[held] * np.log(group[held] / base[held])).sum())
    return max(0.0, divergence - (len(table) - 1) / (2 * size))


def attribute_columns(examples: pd.DataFrame) -> list[str]:
    """Names of the columns that describe examples: all but ``id``, ``text`` and ``image``."""
    return [name for name in examples.columns if name not in NOT_ATTRIBUTES]


def is_numeric(column: pd.Series) -> bool:
    """Whether a column is read as measurements: numbers, more than ten distinct ones."""
    kind = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    return bool(kind and column.nunique() > FEW_LEVELS)


def attribute_levels(column: pd.Series) -> NDArray[np.object_]:
    """The categories (n,) under which ``attribute_tables`` counts a column."""
    if is_numeric(column):
        return bin_column(column)
    codes, levels = factorize(_column(column))
    if len(levels) > MANY_LEVELS:
        frequent = np.argsort(-np.bincount(codes), kind="stable")[: MANY_LEVELS - 1]
        rare = np.setdiff1d(np.arange(len(levels)), frequent)
        levels[rare] = "other"
    return levels[codes]


def _column(values: Any) -> Any:
    """A one-dimensional column as pandas reads it."""
    if isinstance(values, pd.Series | pd.Index | pd.Categorical):
        return np.asarray(values, dtype=object)
    if not hasattr(values, "dtype") and isinstance(values, Iterable):
        values = list(values)
        column = np.empty(len(values), dtype=object)
        column[:] = values
        return column
    array = as_numpy(values)
    if array.ndim != 1:
        raise InputError(f"values must be one-dimensional: got shape {array.shape}.")
    return array.astype(object)
