"""Where the groups of an audit stand in its table, which of them are worst, and who is in one.

An audit lists everybody, each value of each attribute, then combinations; groups are found by their
place, because names of values may look alike ("a=1 & b" is a fine value).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.errors import InputError
from backend.populations.audit import RATES, WORSE_WHEN_HIGH, group_rows
from backend.populations.cells import EVERYBODY, attribute_cells


@dataclass(frozen=True)
class AuditedGroup:
    """The examples of one row of an audit, and what the row is called."""

    name: str
    rows: NDArray[np.int64] = field(repr=False)


def level_names(values: Any) -> list[str]:
    """The values (n,) of an attribute in the order in which an audit lists their groups."""
    _, single = attribute_cells({"": values}, len(values), 1)
    return [name.removeprefix("=") for name in single.names]


def crossed_places(
    sizes: Mapping[str, int], first: str, second: str | None = None
) -> NDArray[np.int64]:
    """Places of the groups of one attribute, or of two crossed, in the table of an audit.

    Parameters
    ----------
    sizes : {name: int}
        Number of values of every audited attribute, in the order audited.
    first, second : str
        The attribute down, and the one across; without ``second`` the first alone.

    Returns
    -------
    int array of shape (a + 1, b + 1), or (a + 1, 1)
        Place of each combination, and of each value beside everybody at the ends.

    Raises
    ------
    InputError
        If an attribute is not audited, or crossed with itself.
    """
    for name in (first, second):
        if name is not None and name not in sizes:
            raise InputError(f"attribute {name!r} is not audited: there are {', '.join(sizes)}.")
    starts, at = {}, 1
    for name, size in sizes.items():
        starts[name] = at
        at += size
    down = starts[first] + np.arange(sizes[first])
    if second is None:
        return np.append(down, 0)[:, None]
    across = starts[second] + np.arange(sizes[second])
    names = list(sizes)
    left, right = sorted((first, second), key=names.index)
    pairs = [(own, other) for place, own in enumerate(names) for other in names[place + 1 :]]
    if (left, right) not in pairs:
        raise InputError(f"attribute {first!r} cannot be crossed with itself.")
    before = pairs[: pairs.index((left, right))]
    start = at + sum(sizes[own] * sizes[other] for own, other in before)
    inside = start + np.arange(sizes[left] * sizes[right]).reshape(sizes[left], sizes[right])
    places = np.zeros((len(down) + 1, len(across) + 1), dtype=np.int64)
    places[:-1, :-1] = inside if left == first else inside.T
    places[:-1, -1], places[-1, :-1] = down, across
    return places


def rows_per_group(table: pd.DataFrame) -> int:
    """Rows of a target-axis audit per group: the pooled one, and one per class."""
    other = (table["group"] != table["group"].iloc[0]).to_numpy()
    return int(other.argmax()) if other.any() else len(table)


def out_of(table: pd.DataFrame, metric: str) -> NDArray[np.int64]:
    """How many examples each value of a rate or of the mean loss is out of, shape (rows,)."""
    name = f"{metric}_of"
    return table[name if name in table else "n"].to_numpy(np.int64)


def worse_when_low(metric: str) -> bool:
    """Whether a low value of this rate means that a group is served badly."""
    return metric in RATES and metric not in WORSE_WHEN_HIGH


def worst_first(table: pd.DataFrame, metric: str, *, min_n: int = 1) -> pd.DataFrame:
    """Groups in which a rate is defined, the worst served first; everybody is left out.

    Worst is highest for rates of failure and losses, lowest for accuracy, PPV, TPR and TNR. Those that are out of fewer than ``min_n`` examples come after all others. Ties stay in order.
    """
    held = table[table[metric].notna() & (table["group"] != EVERYBODY)]
    held = held.sort_values(metric, ascending=worse_when_low(metric), kind="stable")
    small = out_of(held, metric) < min_n
    return pd.concat([held[~small], held[small]])


def group_at(
    table: pd.DataFrame,
    place: int,
    attributes: Mapping[str, Any],
    *,
    order: int,
    labels: Any = None,
) -> AuditedGroup:
    """The examples of one row of an audit.

    Parameters
    ----------
    table : DataFrame
        From ``audit``, ``group_losses`` or ``target_audit``.
    place : int
        Position of the row.
    attributes : {name: array of shape (n,)}
        Those audited, in the same order.
    order : int
        Attributes combined at most, as audited.
    labels : array of shape (n,), optional
        Names of the true classes; of a target-axis audit a row is a class of its group.
    """
    n = len(next(iter(attributes.values())))
    row = table.iloc[place]
    if "class" not in table:
        return AuditedGroup(str(row["group"]), group_rows(attributes, n, order, place))
    group, column = divmod(place, rows_per_group(table))
    rows = group_rows(attributes, n, 1, group)
    if column == 0:  # the pooled row
        return AuditedGroup(f"{row['group']}, every class", rows)
    if labels is None:
        raise InputError("the rows of a target-axis audit are classes: labels are needed.")
    own = np.asarray(labels)[rows] == row["class"]
    return AuditedGroup(f"{row['group']}, class {row['class']}", rows[own])
