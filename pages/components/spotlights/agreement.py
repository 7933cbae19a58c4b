"""What the comparison of methods comes to, in one line: which regions others found, and what was missed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pages.components.shared import text

HALF = 0.5
"""A group and a region are one finding when the smaller lies in the other by this share."""
APART = 0.2
"""A group is contained by no region when the regions together hold less than this share of it."""
LARGER = 5
"""A group this many times as large as a region is about something else."""
LEVEL = 0.05
LISTED = 2

HELP = (
    "Found by another method: a group of it and the region share at least half of the members of the smaller "
    f"one, and the group is at most {LARGER} times as large. Groups defined by the loss itself do not count. "
    "Missed: the regions together hold less than a fifth of the members of a group whose p is at most .05, and "
    "that does not lie in a larger group of the table."
)


def conclude(
    table: pd.DataFrame,
    members: Sequence[NDArray[np.int64]],
    titles: Sequence[str],
    *,
    regions: Sequence[NDArray[np.int64]],
    ours: str,
    by_loss: Sequence[str],
) -> str:
    """One or two sentences, in Markdown.

    Parameters
    ----------
    table : DataFrame
        One row per group, as the task ``methods`` makes it: method, group, p, folded_into.
    members : sequence of int arrays
        Rows of each group's members, in the order of the table.
    titles : sequence of str
        What the page calls the method of each row.
    regions : sequence of int arrays
        Rows of the members of each region, in the order in which the page numbers them.
    ours : str
        The method that found them; its own groups in the table say nothing.
    by_loss : sequence of str
        Methods that know the loss of each example; they find every region.
    """
    method = table["method"].to_numpy(dtype=str)
    others = [at for at in np.flatnonzero(method != ours).tolist() if method[at] not in by_loss]
    if not len(regions) or not others:
        return ""
    finders = {
        place: {titles[at] for at in others if _same_finding(region, members[at])}
        for place, region in enumerate(regions)
    }
    told = [
        f"{place} by {_names(sorted(found))}"
        for place, found in enumerate(finders.values(), start=1)
        if found
    ]
    alone = [str(place) for place, found in enumerate(finders.values(), start=1) if not found]
    said = f"**{len(told)} of {text.counted(len(regions), 'region')} also found by another method**"
    said += f": {', '.join(told)}" if told else ""
    said += f"; {_joined(alone)} by none." if told and alone else "."
    return f"{said} {_missed(table, members, titles, regions, others)}"


def _same_finding(region: NDArray[np.int64], group: NDArray[np.int64]) -> bool:
    fewer = min(len(region), len(group))
    if not fewer or len(group) > LARGER * len(region):
        return False
    return len(np.intersect1d(region, group, assume_unique=True)) >= HALF * fewer


def _names(methods: Sequence[str]) -> str:
    if len(methods) > LISTED:
        return f"{len(methods)} methods"
    return _joined([text.plain(name) for name in methods])


def _missed(
    table: pd.DataFrame,
    members: Sequence[NDArray[np.int64]],
    titles: Sequence[str],
    regions: Sequence[NDArray[np.int64]],
    others: Sequence[int],
) -> str:
    """The groups of other methods that hold up and that no region contains."""
    held = np.unique(np.concatenate(regions))
    p = table["p"].to_numpy(dtype=float)
    whole = table["folded_into"].isna().to_numpy()
    missed = [
        at
        for at in others
        if whole[at]
        and len(members[at])
        and p[at] <= LEVEL
        and np.isin(members[at], held).mean() < APART
    ]
    if not missed:
        return "No tested group of another method lies outside the regions."
    first = sorted(missed, key=lambda at: (-float(table["mean_loss"][at]), at))[:LISTED]
    listed = [
        f"#{at + 1} {text.plain(titles[at])}, “{text.plain(table['group'][at], limit=50)}”"
        for at in first
    ]
    more = len(missed) - len(first)
    rest = f", and {text.count(more)} more" if more else ""
    return f"Not contained by any region: {'; '.join(listed)}{rest}."


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
