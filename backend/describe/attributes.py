"""Which attribute values a group shares: one column, and all columns ranked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.arrays import as_numpy, check_vector
from backend.core.errors import InputError
from backend.core.statistics import adjust_p
from backend.describe.bins import bin_column, bins_of, numbers_of
from backend.describe.comparison import Comparison, compare_with
from backend.describe.presence import Presence
from backend.describe.shares import UNKNOWN, factorize
from backend.describe.summaries import WeightedSummary, summarize
from backend.describe.words import Compared, compare_things

NOT_ATTRIBUTES = ("id", "text", "image")
FEW_LEVELS = 10
"""A numeric column with at most this many distinct values is read as categories."""
MANY_LEVELS = 50
"""Levels of one column that are told apart when all columns are compared; the rest is pooled."""
OTHER = "other"
"""The level of pooled values."""


def attribute_table(
    values: Any,
    weights: Any,
    losses: Any = None,
    *,
    smoothing: float = 0.0,
    members: Any = None,
    baseline: str = "all",
    labels: Any = None,
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
    members, baseline, labels
        Whom p-values count, and what the group is compared with; see ``compare_with``.

    Returns
    -------
    DataFrame
        ``value``, ``ratio``, ``group_share`` (g) and ``base_share`` (f), both in [0, 1], ``count``
        (examples of all), ``mean_loss`` (NaN without losses), ``group_count`` (members),
        ``small`` (fewer than 30 of all), ``p`` (as many members or more by chance: Fisher's exact
        test, one-sided) and ``p_adjusted`` (Benjamini-Hochberg over the values). Highest ratio
        first; ties (to 12 decimals) by higher count, then by the value's text.

        With ``smoothing`` 0 a value that the baseline never has gets the ratio NaN; it comes first
        if the group has it.

    Raises
    ------
    InputError
        If lengths differ, weights are negative or sum to zero, or smoothing is negative.

    References
    ----------
    d'Eon et al., The Spotlight, 2021, arXiv:2107.00758, section 3.4 and figure 4.
    """
    codes, levels = factorize(_column(values))
    comparison = compare_with(
        weights, members=members, baseline=baseline, labels=labels, n=len(codes), of="value"
    )
    column = AttributeColumn("value", codes, levels)
    if losses is not None:
        losses = check_vector("losses", losses, len(codes), of="value")
    return column.compare(comparison, losses, smoothing=smoothing).table


@dataclass(frozen=True)
class AttributeColumn:
    """One column as the categories under which it is counted.

    Attributes
    ----------
    name : str
    codes : int array of shape (n,)
        Category of each example, in ``levels``.
    levels : object array
    pooled : bool
        Whether the level ``"other"`` stands for several values.
    numbers : float64 array of shape (n,), or None
        The measurements of a numeric column, whose levels are ranges.
    borders : float64 array of shape (ranges, 2), or None
        Exact borders of the first levels of a numeric column; see ``backend.describe.bins``.
    """

    name: str
    codes: NDArray[np.intp] = field(repr=False)
    levels: NDArray[np.object_] = field(repr=False)
    pooled: bool = False
    numbers: NDArray[np.float64] | None = field(default=None, repr=False)
    borders: NDArray[np.float64] | None = field(default=None, repr=False)

    @cached_property
    def presence(self) -> Presence:
        return Presence.single(self.codes, len(self.levels))

    def compare(
        self,
        comparison: Comparison,
        losses: NDArray[np.float64] | None = None,
        *,
        smoothing: float = 0.0,
        lacking: bool = False,
    ) -> Compared:
        """The table of ``attribute_table``, with the code of each row; see ``compare_things``."""
        found = compare_things(
            self.presence,
            lambda codes: self.levels[codes],
            comparison,
            name="value",
            smoothing=smoothing,
            lacking=lacking,
        )
        mean = np.full(len(self.levels), np.nan)
        if losses is not None:
            held = np.maximum(self.presence.count, 1)
            mean = np.where(self.presence.count > 0, self.presence.sums(losses) / held, np.nan)
        found.table.insert(5, "mean_loss", mean[found.codes])
        return found


@dataclass(frozen=True)
class AttributeComparison:
    """One attribute of a group beside its baseline.

    Attributes
    ----------
    name : str
    difference : float
        How strongly the group differs, in nats; see ``attribute_tables``.
    table : DataFrame
        As ``attribute_table``; numeric columns in bins, and ``p_adjusted`` over the rows of all
        columns.
    summary : WeightedSummary or None
        For numeric columns.
    column : AttributeColumn
    codes : int array
        Code, in ``column.levels``, of each row of the table.
    looked_at : int
        Rows over all columns.
    """

    name: str
    difference: float
    table: pd.DataFrame = field(repr=False)
    summary: WeightedSummary | None
    column: AttributeColumn = field(repr=False)
    codes: NDArray[np.intp] = field(repr=False)
    looked_at: int


def attribute_tables(
    examples: pd.DataFrame,
    weights: Any,
    losses: Any = None,
    *,
    members: Any = None,
    baseline: str = "all",
    labels: Any = None,
) -> list[AttributeComparison]:
    """Every attribute column compared between a weighted group and its baseline.

    Columns ``id``, ``text`` and ``image`` are left out. A numeric column of more than ten distinct
    values is binned into quarters; of any other column with more than 50 values the 49 most
    frequent are kept and the rest is ``"other"``. ``members``, ``baseline`` and ``labels`` are those
    of ``compare_with``.

    Returns
    -------
    list of AttributeComparison
        Largest difference first, ties in column order. The difference is the Kullback-Leibler
        divergence ``sum g log(g / f)`` of the group's shares from the baseline's, less
        ``(levels - 1) / (2 effective size)``, which is what a group drawn at random shows on
        average, and not below 0: a column of many levels does not rank high by chance. A value the
        baseline never has counts there as half an example.

    Raises
    ------
    InputError
        If lengths differ, or weights are negative or sum to zero.
    """
    comparison = compare_with(
        weights, members=members, baseline=baseline, labels=labels, n=len(examples)
    )
    if losses is not None:
        losses = check_vector("losses", losses, len(examples), of="example")
    return compare_columns(read_columns(examples), comparison, losses)


def read_columns(examples: pd.DataFrame) -> list[AttributeColumn]:
    """The attribute columns, read once so that many groups can be compared in them."""
    return [_read(str(name), examples[name]) for name in attribute_columns(examples)]


def compare_columns(
    columns: Sequence[AttributeColumn],
    comparison: Comparison,
    losses: NDArray[np.float64] | None = None,
    *,
    lacking: bool = False,
) -> list[AttributeComparison]:
    """``attribute_tables`` for columns and a comparison that are made already.

    With ``lacking`` the values that a group has less often come first, and p is of that side.
    """
    compared = []
    for column in columns:
        found = column.compare(comparison, losses, lacking=lacking)
        compared.append(
            AttributeComparison(
                column.name,
                _difference(found.table, comparison),
                found.table,
                summarize(column.numbers, comparison) if column.numbers is not None else None,
                column,
                found.codes,
                0,
            )
        )
    if not compared:
        return []
    adjusted = adjust_p(np.concatenate([one.table["p"].to_numpy() for one in compared]))
    ends = np.cumsum([len(one.table) for one in compared])
    done = [
        replace(one, table=one.table.assign(p_adjusted=part), looked_at=int(ends[-1]))
        for one, part in zip(compared, np.split(adjusted, ends[:-1]), strict=True)
    ]
    return sorted(done, key=lambda one: -round(one.difference, 12))


def _difference(table: pd.DataFrame, comparison: Comparison) -> float:
    group, base = table["group_share"].to_numpy(), table["base_share"].to_numpy()
    base = np.maximum(base, 0.5 / np.count_nonzero(comparison.base))
    held = group > 0
    divergence = float((group[held] * np.log(group[held] / base[held])).sum())
    return max(0.0, divergence - (len(table) - 1) / (2 * comparison.effective_size))


def _read(name: str, column: pd.Series) -> AttributeColumn:
    if is_numeric(column):
        numbers = numbers_of(column)
        codes, labels, borders = bins_of(numbers)
        if (codes < 0).any():
            labels = [*labels, UNKNOWN]
            codes = np.where(codes < 0, len(labels) - 1, codes)
        levels = np.array(labels, dtype=object)
        return AttributeColumn(name, codes, levels, numbers=numbers, borders=borders)
    codes, levels, pooled = _pooled(column)
    return AttributeColumn(name, codes, levels, pooled)


def _pooled(column: pd.Series) -> tuple[NDArray[np.intp], NDArray[np.object_], bool]:
    """Codes, levels, and whether rare levels were taken together."""
    codes, levels = factorize(_column(column))
    if len(levels) <= MANY_LEVELS:
        return codes, levels, False
    frequent = np.argsort(-np.bincount(codes), kind="stable")[: MANY_LEVELS - 1]
    names = levels.copy()
    names[np.setdiff1d(np.arange(len(levels)), frequent)] = OTHER
    again, kept = factorize(names)
    return again[codes], kept, True


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
    codes, levels, _ = _pooled(column)
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
