"""Blind check: is the group visibly harder than a random one, when nobody says which is which?

A region can be coherent without being a failure, and a failure without being visible. The check
shows the group and a random group of the same size and labels side by side, losses hidden, in an
order drawn from the seed. Over several checks the share of right answers, with its interval, says
whether a person can see what the model got wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.arrays import check_choice
from backend.core.errors import InputError
from backend.core.statistics import wilson_interval
from backend.store import Event, Store, Who, author_of

ANSWERS = ("first", "second", "cannot tell")
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class BlindCheck:
    """Two groups in hidden order.

    Attributes
    ----------
    first, second : int arrays of shape (k,)
        Rows to show, in random order within each.
    group_is : str
        ``first`` or ``second``; not to be shown before the answer.
    worse : str
        Which of the two has the higher mean loss; ``first`` and ``second`` may also tie: ``neither``.
    matched : bool
        Whether the random group has exactly the labels of the group. False without labels, or when
        a label has too few other examples, which are then filled up with any.
    seed : int
    """

    first: Rows = field(repr=False)
    second: Rows = field(repr=False)
    group_is: str
    worse: str
    matched: bool
    seed: int


@dataclass(frozen=True)
class BlindSummary:
    """Answers of all blind checks of a bundle.

    ``n`` answers in force that chose a side, ``n_correct`` of them right, ``share`` with its 95 %
    Wilson interval ``low`` to ``high`` (None without answers; 0.5 is guessing), ``cannot_tell``
    answers without a side, ``taken_back`` answers undone after the truth was shown.
    """

    n: int
    n_correct: int
    share: float | None
    low: float | None
    high: float | None
    cannot_tell: int
    taken_back: int


def make_blind_check(bundle: Bundle, rows: Any, *, seed: int = 0) -> BlindCheck:
    """Put a group beside a random group of the same size, matched on label where labels exist.

    Parameters
    ----------
    rows : array of k rows
        The group; no more than half of the examples.
    seed : int
        Draws the random group and the order.

    Raises
    ------
    InputError
        If the group is empty, not rows of the bundle, or larger than what is left.
    """
    group = np.unique(np.asarray(rows))
    if not len(group) or group.dtype.kind not in "iu" or group[0] < 0 or group[-1] >= bundle.n:
        raise InputError(f"a blind check needs a group of rows from 0 to {bundle.n - 1}.")
    others = np.setdiff1d(np.arange(bundle.n), group)
    if len(others) < len(group):
        raise InputError(
            f"a blind check needs as many other examples as the group has: got {len(group)} and "
            f"{len(others)}. Take a smaller group."
        )
    random = np.random.default_rng(seed)
    drawn, matched = _matched(bundle.label_codes, group, others, random)
    pair = [random.permutation(group), random.permutation(drawn)]
    swap = bool(random.integers(2))
    first, second = reversed(pair) if swap else pair
    gap = float(bundle.losses[first].mean() - bundle.losses[second].mean())
    return BlindCheck(
        first,
        second,
        "second" if swap else "first",
        "first" if gap > 0 else "second" if gap < 0 else "neither",
        matched,
        seed,
    )


def _matched(
    labels: Rows | None, group: Rows, others: Rows, random: np.random.Generator
) -> tuple[Rows, bool]:
    others = random.permutation(others)
    if labels is None:
        return others[: len(group)], False
    wanted = np.bincount(labels[group], minlength=labels.max() + 1)
    order = np.argsort(labels[others], kind="stable")
    mine = labels[others[order]]
    starts = np.searchsorted(mine, np.arange(len(wanted)))
    place = np.arange(len(mine)) - starts[mine]  # how many of the label come before
    taken = place < wanted[mine]
    rows = others[order][taken]
    missing = len(group) - len(rows)
    rest = random.permutation(others[order][~taken])[:missing]
    return np.concatenate([rows, rest]), missing == 0


def answer_blind_check(
    bundle: Bundle,
    store: Store,
    check: BlindCheck,
    answer: str,
    *,
    source: dict[str, Any] | None = None,
    author: Who = "local",
) -> Event:
    """Record which side was said to be worse: ``first``, ``second`` or ``cannot tell``.

    A pair whose mean losses tie has no right answer and is refused.
    """
    check_choice("answer", answer, ANSWERS)
    if check.worse == "neither":
        raise InputError("both groups have the same mean loss: no answer would be right.")
    other = {"first": check.second, "second": check.first}[check.group_is]
    group = {"first": check.first, "second": check.second}[check.group_is]
    held = {
        "answer": answer,
        "correct": None if answer == "cannot tell" else answer == check.worse,
        "group_is": check.group_is,
        "worse": check.worse,
        "size": len(group),
        "matched": check.matched,
        "seed": int(check.seed),
        "group_loss": float(bundle.losses[group].mean()),
        "random_loss": float(bundle.losses[other].mean()),
        "source": source,
    }
    return store.record_blind_check(bundle, held, author=author)


def blind_summary(bundle: Bundle, store: Store, *, author: Who | None = None) -> BlindSummary:
    """How often the worse side was recognised, by everybody or by one author."""
    events = [
        event
        for event in store.events(bundle, kind="blind_check")
        if author is None or event.author_key == author_of(author).key
    ]
    live = [event.payload["check"] for event in events if not event.undone]
    sided = [check for check in live if check["correct"] is not None]
    right = sum(bool(check["correct"]) for check in sided)
    share = low = high = None
    if sided:
        share = right / len(sided)
        low, high = (float(bound) for bound in wilson_interval(right, len(sided)))
    return BlindSummary(
        len(sided), right, share, low, high, len(live) - len(sided), len(events) - len(live)
    )
