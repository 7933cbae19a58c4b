"""The words of several groups in one table, side by side."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from backend.describe.comparison import Comparison
from backend.describe.words import WordIndex

TOP = 10
"""Words of each group, as the paper prints them."""


def words_beside(
    index: WordIndex,
    groups: Mapping[str, Comparison],
    *,
    top: int = TOP,
    lacking: bool = False,
    by_p: bool = True,
) -> pd.DataFrame:
    """The first words of each group, in the order that its own table of words has.

    Parameters
    ----------
    index : WordIndex
        Of the texts of all examples.
    groups : mapping of name to Comparison
        Each group beside what it is compared with.
    top : int
        Words of each group; fewer where its texts hold fewer that stand out.
    lacking : bool
        Words that a group has less often, in place of those it has more often.
    by_p : bool
        The surest first; else by ratio.

    Returns
    -------
    DataFrame
        One row per group and word: ``group`` and ``place`` (from 1), then the columns of
        ``token_table``. p-values are adjusted within each group.

    References
    ----------
    d'Eon et al., The Spotlight, FAccT 2022, arXiv:2107.00758, section 3.3: tables of ten words for
    each spotlight.
    """
    tables = []
    for name, comparison in groups.items():
        table = index.compare(comparison, top=top, lacking=lacking, by_p=by_p).table
        table.insert(0, "group", name)
        table.insert(1, "place", range(1, len(table) + 1))
        tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def in_columns(words: pd.DataFrame, top: int = TOP) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The same with a column for each group: words, and their adjusted p-values.

    Both have one row per place, from 1; "" and NaN where a group has no more words.
    """
    places = range(1, top + 1)
    shown: dict[str, pd.Series] = {}
    chances: dict[str, pd.Series] = {}
    for name, table in words.groupby("group", sort=False):
        at = table.set_index("place")
        shown[str(name)] = at["token"].astype(str).reindex(places, fill_value="")
        chances[str(name)] = at["p_adjusted"].reindex(places)
    return pd.DataFrame(shown, index=places), pd.DataFrame(chances, index=places)
