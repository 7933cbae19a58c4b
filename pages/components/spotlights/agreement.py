"""What the comparison of methods comes to, in one line: which regions others found, and what was missed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.slices.agreement import LARGER, LEVEL, find_agreement
from pages.components.shared import text

LISTED = 2

HELP = (
    "Found by another method: a group of it and the region share at least half of the members of the smaller "
    f"one, and the group is at most {LARGER} times as large. Groups defined by the loss itself do not count. "
    "Missed: the regions together hold less than a fifth of the members of a group whose p is at most "
    f"{text.level(LEVEL)}, and that does not lie in a larger group of the table."
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
    found = find_agreement(table, members, regions, ours=ours, by_loss=by_loss)
    if found is None:
        return ""
    called = dict(zip(table["method"], titles, strict=True))
    finders = [sorted({called[method] for method in methods}) for methods in found.finders]
    told = [f"{place} by {_names(names)}" for place, names in enumerate(finders, start=1) if names]
    alone = [str(place) for place, names in enumerate(finders, start=1) if not names]
    said = f"**{len(told)} of {text.counted(len(regions), 'region')} also found by another method**"
    said += f": {', '.join(told)}" if told else ""
    said += f"; {_joined(alone)} by none." if told and alone else "."
    return f"{said} {_missed(table, titles, found.missed)}"


def _names(methods: Sequence[str]) -> str:
    if len(methods) > LISTED:
        return f"{len(methods)} methods"
    return _joined([text.plain(name) for name in methods])


def _missed(table: pd.DataFrame, titles: Sequence[str], missed: Sequence[int]) -> str:
    """The groups of other methods that hold up and that no region contains."""
    if not missed:
        return "No tested group of another method lies outside the regions."
    listed = [
        f"#{at + 1} {text.plain(titles[at])}, “{text.plain(table['group'][at], limit=50)}”"
        for at in missed[:LISTED]
    ]
    more = len(missed) - len(listed)
    rest = f", and {text.count(more)} more" if more else ""
    return f"Not contained by any region: {'; '.join(listed)}{rest}."


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
