"""What several people said of the same examples, made one: the majority counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

YES, NO, SKIP = "yes", "no", "skip"
ANSWERS = (YES, NO, SKIP)

Said = tuple[int, str, str, float | None]
"""Row, key of the author, answer, and the chance with which the row was drawn; None: chosen."""


@dataclass(frozen=True)
class Tally:
    """Answers as ``sharpen`` takes them.

    Attributes
    ----------
    rows : int64 array of shape (k,)
        Answered rows, in the order in which each was first answered.
    answers : bool array of shape (k,)
        What most people said.
    chances : float64 array of shape (k,)
        With which each was drawn; NaN for chosen ones.
    passed : int64 array
        Rows that were only skipped, and those of which as many said yes as no: they count as not
        answered, and are not asked again.
    split : int64 array
        Rows of which some said yes and some no.
    """

    rows: NDArray[np.int64]
    answers: NDArray[np.bool_]
    chances: NDArray[np.float64]
    passed: NDArray[np.int64]
    split: NDArray[np.int64]

    def word(self, row: int) -> str:
        """The answer to a row in one word: yes, no, skipped, tied, or nothing."""
        at = np.flatnonzero(self.rows == row)
        if len(at):
            return YES if self.answers[at[0]] else NO
        if row in self.passed:
            return "tied" if row in self.split else "skipped"
        return ""


def tally(said: Iterable[Said]) -> Tally:
    """Count what people said, the earliest first; of one person the last answer to a row counts."""
    latest: dict[int, dict[str, str]] = {}
    chances: dict[int, float] = {}
    for row, author, answer, chance in said:
        latest.setdefault(row, {})[author] = answer
        if chance is not None:
            chances.setdefault(row, chance)
    rows, answers, passed, split = [], [], [], []
    for row, by in latest.items():
        words = list(by.values())
        yes, no = words.count(YES), words.count(NO)
        if yes and no:
            split.append(row)
        if yes == no:
            passed.append(row)
        else:
            rows.append(row)
            answers.append(yes > no)
    return Tally(
        np.array(rows, np.int64),
        np.array(answers, bool),
        np.array([chances.get(row, np.nan) for row in rows], np.float64),
        np.array(passed, np.int64),
        np.array(split, np.int64),
    )
