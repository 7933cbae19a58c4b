"""The changes of the groups of two runs as people read them: tables, words, a chapter of the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.before_after import MEANS
from backend.core.wording import DASH, number, p_value, percent, points_words

if TYPE_CHECKING:
    from backend.bundle import Bundle
    from backend.cache import Entry
    from backend.report import Chapter

EVERYTHING = "everything"
"""Kind of the line of all examples."""
Rows = NDArray[np.int64]
LISTED = 40
"""Lines of the table that a report has; the page has all."""


def change_table(kept: Entry) -> pd.DataFrame:
    """The table of a result, one line per group; undefined numbers are NaN.

    Columns: ``kind``, ``name``, ``of`` (whose run it is from), ``chosen`` (whether that run's errors
    chose it), ``members``; the numbers of ``PairedChange``; ``p_adjusted``, ``verdict``; with a control ``control_change``, ``control_low`` and ``control_high``
    (from the run before to the control), ``beside_change``, ``beside_low``, ``beside_high`` and
    ``beside_p`` (from the control to this run); of regions ``nearest``, the region of the other run
    that holds most of it, and ``shared``, the share of its members there.
    """
    table = pd.DataFrame(kept.meta["table"])
    texts = ("kind", "name", "of", "chosen", "verdict", "nearest")
    numbers = [one for one in table if one not in (*texts, "members", "n", "failed", "repaired")]
    return table.astype(dict.fromkeys(numbers, float))


def change_cells(kept: Entry) -> pd.DataFrame:
    """The same table as people read it, for reports and commands.

    Columns: ``group``, ``members``, ``kept aside`` (those measured), ``before``, ``after``,
    ``difference`` with its interval, ``newly failing``, ``repaired``, with a control ``control`` (what
    that changed) and ``from the control``, ``p adjusted`` and ``verdict``. Error rates where there are any, else mean
    losses.
    """
    table, errors = change_table(kept), bool(kept.meta["errors"])
    what = "error" if errors else "loss"
    value = percent if errors else number
    lines = []
    for line in table.to_dict("records"):
        cells = {
            "group": group_words(line),
            "members": line["members"],
            "kept aside": line["n"],
            "before": value(line[f"{what}_before"]),
            "after": value(line[f"{what}_after"]),
            "difference": change_words(line, what, errors=errors),
        }
        if errors:
            cells |= {"newly failing": line["failed"], "repaired": line["repaired"]}
        if "control_change" in line:
            cells["control"] = change_words(line, "control", errors=errors)
            cells["from the control"] = change_words(line, "beside", errors=errors)
        lines.append(
            cells | {"p adjusted": p_value(line["p_adjusted"], None), "verdict": line["verdict"]}
        )
    return pd.DataFrame(lines)


def group_words(line: Mapping[str, Any]) -> str:
    """What a line of the table is about: ``label: Coat``, ``region before: 2 dark coats``."""
    return str(line["name"]) if line["kind"] == EVERYTHING else f"{line['kind']}: {line['name']}"


def change_words(line: Mapping[str, Any], what: str, *, errors: bool) -> str:
    """One difference of a line with its interval: points of error rates, or losses as they are."""
    ends = (line[f"{what}_{one}"] for one in ("change", "low", "high"))
    value, low, high = (np.nan if end is None else float(end) for end in ends)
    if errors:
        return points_words(value, low, high)
    if not np.isfinite(value):
        return DASH
    said = f"{value:+.3g}"
    if np.isfinite(low):
        said += f" ({low:.3g} to {high:.3g})"
    return said.replace("-", "\u2212")


def group_rows(kept: Entry, index: int) -> Rows:
    """Rows of this bundle that are members of one line's group."""
    start = int(kept["member_ends"][index - 1]) if index else 0
    return np.asarray(kept["members"][start : int(kept["member_ends"][index])])


def control_words(meta: Mapping[str, Any]) -> str:
    """Against what changes are held, in a sentence or two; of a result of the task ``before_after``."""
    if meta["control"]:
        return (
            f"Control: {meta['control']}, made anew with nothing changed: another seed, or the plain refit of a repair. A group is "
            "called changed only where this run differs from the run before and from the control in the "
            "same direction, with as much doubt as the control shows to be needed."
        )
    return (
        "No unchanged retrain is linked as a control. How far a seed alone moves a group is read off the "
        "labels of this comparison, half of which are taken to be unchanged, and only what stands out from "
        "that is called changed; with fewer labels every difference of the two models is."
    )


def tell_changes(bundle: Bundle, made: Entry, asked: Mapping[str, Any]) -> Chapter:
    """The chapter of the report: what changed since an older run."""
    return _chapter(
        "Before and after", f"Compared with {made.meta['before']}, the run before.", made
    )


def tell_later(bundle: Bundle, made: Entry, asked: Mapping[str, Any]) -> Chapter:
    """The same in the report of the older run: what a newer one, which ``about`` names, changed."""
    said = f"Compared with {asked['about']}, a run after this one; {made.meta['before']} is the run before."
    return _chapter(f"Before and after: {asked['about']}", said, made)


def _chapter(title: str, compared: str, made: Entry) -> Chapter:
    from backend.report import Chapter

    cells = change_cells(made)
    said = set(cells["verdict"])
    meaning = [f"{name}: {words}" for name, words in MEANS.items() if name in said]
    listed = cells.head(LISTED)
    more = [f"{len(listed):,} of {len(cells):,} groups are listed."] if len(cells) > LISTED else []
    told = [
        f"{compared} {made.meta['sentence']}",
        "Measured on members that had no part in choosing the group.",
        control_words(made.meta),
        *made.meta["notes"],
        *more,
        " ".join(meaning),
    ]
    return Chapter(title, tuple(told), (("", listed),))
