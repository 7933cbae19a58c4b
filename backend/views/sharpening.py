"""What a page shows of a group that is being sharpened: the round, the numbers, who said what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.effects import Effect, measure_effect
from backend.core.parts import bundle_aside
from backend.core.wording import percent, percent_range
from backend.sharpen import Tally, cut_precision, start_members, start_of_scores, tally
from backend.sharpen.counting import FEWEST
from backend.sharpen.record import members_of
from backend.sharpen.sharpen import ROUND

NEAR = 5
"""Examples that are shown on either side of a cut."""
STEADY = 0.05
"""Share of the members that ten answers may exchange where further ones would change little."""


def start_rows(rows: NDArray[np.int64], scores: Any = None) -> tuple[NDArray[np.int64], bool]:
    """Where answers start from a group, and whether that is a ranking: see ``backend.sharpen``."""
    if scores is not None and len(first := start_of_scores(scores)):
        return first, True
    return start_members(rows), False


def start_size(asked: Mapping[str, Any], ids: Sequence[str]) -> int:
    """Members of the group that a question started from; 0 where an early one does not say it."""
    size = asked.get("size")
    if isinstance(size, int) and not isinstance(size, bool) and size > 0:
        return size
    return 0 if asked.get("ranked") is True else len(ids)


def tally_of(bundle: Bundle, answers: Sequence[Any]) -> Tally:
    """Answers of the log (``backend.store.GivenAnswer``) as rows of the bundle, the majority of each."""
    rows = bundle.places([one.example for one in answers])
    return tally(
        (int(row), one.author_key, one.answer, one.chance)
        for row, one in zip(rows, answers, strict=True)
        if row >= 0
    )


def task_options(start: Any, ranked: bool, told: Tally, *, seed: int, layer: str) -> dict[str, Any]:
    """Options of the task ``sharpen`` for these answers."""
    return {
        "start": [int(row) for row in start],
        "ranked": ranked,
        "answered": told.rows.tolist(),
        "answers": told.answers.tolist(),
        "chances": [None if np.isnan(one) else float(one) for one in told.chances],
        "passed": told.passed.tolist(),
        "seed": seed,
        "layer": layer,
    }


@dataclass(frozen=True)
class Ranked:
    """The ranking after a round, as the task ``sharpen`` gave it, in the words of a page.

    ``told`` are the answers that it was made of, ``size`` the members of the group that they started
    from; 0 where that is not known.
    """

    bundle: Bundle
    arrays: Mapping[str, NDArray[Any]]
    meta: Mapping[str, Any]
    told: Tally
    size: int = 0

    @property
    def cut(self) -> int:
        """Where the ranking ends if nobody says otherwise: before the first yes with the group as it is."""
        if self.size and not self.told.answers.any():
            return min(self.size, self.bundle.n)
        return int(self.meta["cut"])

    def batch(self) -> dict[str, float | None]:
        """Ids to ask next, in order, with the chance of each that was drawn."""
        ids = self.bundle.ids[self.arrays["next"]].tolist()
        chances = [None if np.isnan(one) else float(one) for one in self.arrays["chances"]]
        return dict(zip(ids, chances, strict=True))

    def members(self, cut: int) -> NDArray[np.int64]:
        """Rows of the first ``cut``."""
        return members_of(self.arrays["scores"], cut)

    def around(
        self, cut: int, *, each: int = NEAR
    ) -> list[tuple[str, list[int], NDArray[np.int64]]]:
        """What lies on either side of a cut, in the order of the ranking.

        Parameters
        ----------
        cut : int
            How many are members, at least 1.
        each : int
            Examples of a side; fewer where the ranking ends.

        Returns
        -------
        list of (str, list of int, int array)
            What the side is called, the places of its examples in the ranking, from 1, and their
            rows. A side without examples is left out.
        """
        first, last = max(0, cut - each), min(cut + each, self.bundle.n)
        rows = self.members(last)
        sides = (("The last inside", first, cut), ("The first beyond", cut, last))
        return [
            (name, list(range(low + 1, high + 1)), rows[low:high])
            for name, low, high in sides
            if low < high
        ]

    def precision(self, cut: int) -> tuple[float, float, float, int]:
        """Share of members among the first ``cut``: see ``cut_precision``."""
        sure = self.told.rows[self.told.answers & np.isnan(self.told.chances)]
        known = int(np.isin(self.members(cut), sure).sum())
        return cut_precision(self.arrays["audit"], self.arrays["audit_weights"], cut, known)

    def count_words(self) -> tuple[str, str]:
        """How many members there are: the number, and its interval or what it still needs."""
        drawn = int(self.meta["drawn"])
        if drawn < FEWEST:
            least = int(self.told.answers.sum())
            found = f"at least {least:,}" if least else "–"
            return found, f"{FEWEST - drawn} more answers about random examples until an estimate"
        low, high = round(self.meta["low"]), round(self.meta["high"])
        return f"about {round(self.meta['expected']):,}", f"95\u00a0% interval {low:,} to {high:,}"

    def precision_words(self, cut: int) -> tuple[str, str]:
        """The precision of a cut: the share, and what it stands on."""
        share, low, high, drawn = self.precision(cut)
        if not np.isfinite(share):
            return "–", "no random example above the cut is answered yet"
        if drawn == 0:
            return percent(share), "every member of the cut was answered"
        return percent(
            share
        ), f"{percent_range(low, high)}, {drawn} random ones answered above the cut"

    @property
    def steady_words(self) -> str:
        """A line where further answers would change little; empty before."""
        changed = self.meta["changed"]
        if changed is None or changed > STEADY:
            return ""
        return (
            f"The last {ROUND} answers exchanged {percent(changed)} of the first {self.cut:,}: "
            "further answers would change little."
        )

    def effect(self, cut: int, *, used: Any = None, groups: str | None = None) -> Effect:
        """How the first ``cut`` do on kept-aside examples, those ``used`` by the start left out."""
        aside = bundle_aside(self.bundle, groups)
        if used is not None:
            aside = aside & ~np.asarray(used, bool)
        correct = self.bundle.correct
        return measure_effect(
            self.members(cut),
            aside,
            self.bundle.losses,
            wrong=None if correct is None else ~np.asarray(correct, bool),
        )


def answer_counts(answers: Sequence[Any]) -> str:
    """How many examples were answered, and by whom how many: in words."""
    by: dict[str, int] = {}
    for one in answers:
        by[one.author] = by.get(one.author, 0) + 1
    examples = len({one.example for one in answers})
    words = f"{examples:,} answered" + (" examples" if examples != 1 else " example")
    if len(by) < 2:
        return words
    return f"{words}: " + ", ".join(f"{name} {count:,}" for name, count in sorted(by.items()))


def answer_table(bundle: Bundle, answers: Sequence[Any]) -> pd.DataFrame:
    """Who said what of which example, the latest first: id, author, answer, time, agreed."""
    split = set(bundle.ids[tally_of(bundle, answers).split].tolist())
    return pd.DataFrame(
        [
            {
                "id": one.example,
                "author": one.author,
                "answer": one.answer,
                "drawn": one.chance is not None,
                "agreed": one.example not in split,
                "time": one.time,
            }
            for one in reversed(list(answers))
        ],
        columns=["id", "author", "answer", "drawn", "agreed", "time"],
    )


def answered_by_others(answers: Sequence[Any], author_key: str) -> list[str]:
    """Examples that others answered and this author did not, the earliest first."""
    mine = {one.example for one in answers if one.author_key == author_key}
    others = (one.example for one in answers if one.author_key != author_key)
    return [one for one in dict.fromkeys(others) if one not in mine]
