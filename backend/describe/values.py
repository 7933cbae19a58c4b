"""Values of several columns in one table, and the examples that hold one of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.arrays import check_choice, check_vector
from backend.core.errors import InputError
from backend.core.wording import told_apart
from backend.describe.attributes import AttributeComparison
from backend.describe.words import LEVEL

ORDERS = ("column", "ratio", "mean_loss")


def value_table(
    found: Sequence[AttributeComparison], *, order: str = "column", lacking: bool = False
) -> pd.DataFrame:
    """The values of compared columns in one table.

    Parameters
    ----------
    found : sequence of AttributeComparison
        At least one.
    order : {"column", "ratio", "mean_loss"}
        As the columns and their tables come; highest ratio first, where a value that only the group
        has stands before all others; or highest mean loss first. What is undefined comes last, ties
        stay in order.
    lacking : bool
        Lowest ratio first where the order is by ratio.

    Returns
    -------
    DataFrame
        The tables of the columns with ``at`` and ``column``, the place and the name of the column,
        and ``place``, the row in its table.
    """
    check_choice("order", order, ORDERS)
    if not found:
        raise InputError("a table of values needs at least one column: got none.")
    parts = [
        one.table.assign(at=at, column=one.name, place=np.arange(len(one.table)))
        for at, one in enumerate(found)
    ]
    table = pd.concat(parts, ignore_index=True)
    if order == "column":
        return table
    height = table[order]
    if order == "ratio" and lacking:
        height = -height
    elif order == "ratio":
        height = height.mask(height.isna() & (table["group_share"] > 0), np.inf)
    placed = np.argsort(-height.to_numpy(dtype=float), kind="stable")
    return table.iloc[placed].reset_index(drop=True)


def count_told_apart(found: Sequence[AttributeComparison]) -> int:
    """How many values of all columns have an adjusted p of at most 0.05."""
    return sum(int((one.table["p_adjusted"] <= LEVEL).sum()) for one in found)


@dataclass(frozen=True)
class Holders:
    """The examples that hold a word or a value, in a group and among all.

    Attributes
    ----------
    members : int array of shape (k,)
        Members of the group that do, in the group's own order.
    share, mean_loss : float
        ``k`` over the number of members, 0 for an empty group; and their mean loss, NaN where k is 0.
    n : int
        How many of all examples do.
    share_of_all, mean_loss_of_all : float
        Likewise among all examples.
    """

    members: NDArray[np.int64] = field(repr=False)
    share: float
    mean_loss: float
    n: int
    share_of_all: float
    mean_loss_of_all: float


def holders_in(group: Any, rows: Any, losses: Any) -> Holders:
    """What a group has of the examples that hold something.

    Parameters
    ----------
    group : int array of shape (m,)
        Rows of the group's members, most typical first.
    rows : int array
        All examples that hold it, each once.
    losses : array-like of shape (n,)
    """
    group, rows = np.asarray(group, dtype=np.int64), np.asarray(rows, dtype=np.int64)
    values = check_vector("losses", losses)
    members = group[np.isin(group, rows)]
    return Holders(
        members,
        len(members) / max(1, len(group)),
        _mean(values[members]),
        len(rows),
        len(rows) / len(values),
        _mean(values[rows]),
    )


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def short_fractions(table: pd.DataFrame, what: str) -> dict[str, str]:
    """How the fractions among the values of columns are shown: in the digits that tell them apart.

    Parameters
    ----------
    table : DataFrame
        As ``value_table`` or one column's own; only the values that are floats are looked at.
    what : str
        The column of ``table`` that holds the values.

    Returns
    -------
    {str: str}
        A value as text, every digit -> as it is shown. A value of two columns gets the digits of the
        one that needs more.
    """
    found: dict[str, str] = {}
    columns = table["column"] if "column" in table else pd.Series("", index=table.index)
    for _, values in table[what].groupby(columns.to_numpy()):
        own = {float(one) for one in values if isinstance(one, float) and math.isfinite(one)}
        for value, said in zip(sorted(own), told_apart(sorted(own)), strict=True):
            if len(said) > len(found.get(str(value), "")):
                found[str(value)] = said
    return found
