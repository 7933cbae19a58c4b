"""What tells groups apart that one description fits: a fact or a word that one has more often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.errors import InputError
from backend.core.plural import counted
from backend.describe.phrases import MIN_LEAD, MIN_SHARE, fact_columns
from backend.describe.tokens import tokens_of

MIN_TEXTS = 3
"""A word must be in this many texts of a group to stand for it."""
MAX_TEXTS = 2_000
"""Texts read per group, the first of its members."""


def tell_apart(
    members: Sequence[NDArray[np.int64]],
    *,
    labels: Any = None,
    predictions: Any = None,
    examples: pd.DataFrame | None = None,
    texts: Sequence[str] | None = None,
) -> list[str]:
    """A few words for each of several groups that says how it differs from the others.

    Parameters
    ----------
    members : sequence of int arrays
        Rows of each group; two groups or more, none empty.
    labels, predictions, examples
        As ``describe_group`` takes them.
    texts : sequence of n str, optional
        Read only for groups that labels, predictions and columns do not tell apart.

    Returns
    -------
    list of str
        For each group the fact whose share in it exceeds the highest share in another group by
        most, and by 20 points at least: "mostly predicted Coat" where it holds for half of the
        group, else "more often predicted Coat". Else the same of a word: "more often “refund”".
        Else what a word or fact leads over the mean of the others by: several may share it, and
        are told apart among themselves: "more often “refund”, 45 members". Else its number of
        members where that differs from all others', else its place among them, "1st of 3". Never empty, and
        no two are the same. Ties go to the earlier column, then to the
        value, of words to the longer, then to the one that comes first.

    Raises
    ------
    InputError
        If there are fewer than two groups, or one is empty.
    """
    if len(members) < 2 or any(len(rows) == 0 for rows in members):
        raise InputError(
            "telling groups apart needs two groups or more, none empty: "
            f"got sizes {[len(rows) for rows in members]}."
        )
    n = max(int(rows.max()) for rows in members) + 1
    for values in (labels, predictions, examples, texts):
        n = n if values is None else len(values)
    said = [""] * len(members)
    for over in (np.max, np.mean):
        facts = _by_facts(members, labels, predictions, examples, n, over)
        said = [one or fact for one, fact in zip(said, facts, strict=True)]
        if texts is not None and not all(said):
            words = _by_words(members, texts, over)
            said = [one or word for one, word in zip(said, words, strict=True)]
    for shared in sorted({one for one in said if one}):
        alike = [at for at, one in enumerate(said) if one == shared]
        if 1 < len(alike) < len(members):
            among = tell_apart(
                [members[at] for at in alike],
                labels=labels,
                predictions=predictions,
                examples=examples,
                texts=texts,
            )
            for at, more in zip(alike, among, strict=True):
                said[at] = f"{shared}, {more}"
    counts = Counter(said)
    sizes = Counter(len(rows) for rows in members)
    for at, rows in enumerate(members):
        if said[at] and counts[said[at]] == 1:
            continue
        said[at] = (
            counted(len(rows), "member")
            if sizes[len(rows)] == 1
            else f"{_ordinal(at + 1)} of {len(members)}"
        )
    return said


def _by_facts(
    members: Sequence[NDArray[np.int64]],
    labels: Any,
    predictions: Any,
    examples: pd.DataFrame | None,
    n: int,
    over: Callable[..., Any],
) -> list[str]:
    best: list[tuple[float, str]] = [(MIN_LEAD, "")] * len(members)
    for column in fact_columns(labels, predictions, examples, n):
        shares = np.array(
            [
                np.bincount(column.codes[rows], minlength=len(column.levels)) / len(rows)
                for rows in members
            ]
        )
        for at, (lead, code) in enumerate(_leads(shares, over)):
            if lead > best[at][0] + 1e-9:
                often = "mostly" if shares[at, code] >= MIN_SHARE else "more often"
                best[at] = (lead, f"{often} {column.texts[code]}")
    return [words for _, words in best]


def _by_words(
    members: Sequence[NDArray[np.int64]], texts: Sequence[str], over: Callable[..., Any]
) -> list[str]:
    counts = [
        Counter(
            word
            for row in rows[:MAX_TEXTS].tolist()
            for word in sorted(set(map(str, tokens_of(texts[row], row))))
        )
        for rows in members
    ]
    words = sorted(set().union(*counts), key=lambda word: (-len(word), word))
    if not words:
        return [""] * len(members)
    table = np.array([[held[word] for word in words] for held in counts], dtype=float)
    shares = table / np.array([[min(len(rows), MAX_TEXTS)] for rows in members])
    shares = np.where(table.max(axis=0) >= MIN_TEXTS, shares, 0.0)
    return [
        f"more often “{words[code]}”" if lead > MIN_LEAD else ""
        for lead, code in _leads(shares, over)
    ]


def _leads(shares: NDArray[np.float64], over: Callable[..., Any]) -> list[tuple[float, int]]:
    """For each group (row): its largest lead over the max or mean of the others, and where."""
    found = []
    for at in range(len(shares)):
        lead = np.round(shares[at] - over(np.delete(shares, at, axis=0), axis=0), 12)
        code = int(lead.argmax())
        found.append((float(lead[code]), code))
    return found


def _ordinal(place: int) -> str:
    teen = 10 <= place % 100 <= 20
    return f"{place}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(place % 10, 'th')}"
