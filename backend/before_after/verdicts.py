"""What is said of a group's change, in words: better, worse, or nothing to tell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backend.before_after.paired import PairedChange
from backend.core.effects import FEWEST
from backend.core.statistics import adjust_p
from backend.core.wording import LEVEL, TOO_FEW

WORSE, BETTER = "worse", "better"
NOT_TOLD = "no change to tell"
LIKE_CONTROL = "no more than the control"
ANY_RETRAIN = "better, as after any retrain"
FOUND_HERE = "found in this run"
CHOSEN = "none left to measure"
BEFORE, AFTER = "before", "after"

MEANS = {
    WORSE: "The adjusted p is at most the level, and more fails after than before; with a control the "
    "run also fails more than the control does.",
    BETTER: "The same the other way round.",
    NOT_TOLD: "The adjusted p is above the level.",
    LIKE_CONTROL: "The run differs from the one before, but not from the control, which was "
    "made anew with nothing changed.",
    ANY_RETRAIN: "The errors of the run before led to this region, so some of them were that run's own bad "
    "luck: another seed alone makes it better, on kept-aside members too. A control tells the two apart.",
    FOUND_HERE: "The errors of this run led to this region, so it looks worse than before whatever was "
    "changed; no control can tell.",
    TOO_FEW: f"Fewer than {FEWEST} members (or groups of them) had no part in choosing it.",
    CHOSEN: "All members were chosen by how a model did on them, so what they show now says nothing.",
}
"""Verdict -> when it is given."""


def change_verdicts(
    changes: Sequence[PairedChange],
    beside: Sequence[PairedChange] | None = None,
    *,
    found_by: Sequence[str] | None = None,
    level: float = LEVEL,
) -> tuple[list[str], list[float]]:
    """What is said of each group of a table.

    Parameters
    ----------
    changes : sequence of PairedChange
        From the old run to the new one.
    beside : sequence of PairedChange, optional
        From the control, made anew with nothing changed, to the new one, of the same groups.
    found_by : sequence of {"", "before", "after"}, optional
        The run whose errors led to the group, if any did.
    level : float
        A group is called changed up to this adjusted p.

    Returns
    -------
    verdicts : list of str
        Keys of ``MEANS``. With a control a group is called changed only where the new run differs from
        it in the same direction too, its p adjusted likewise.
    adjusted : list of float
        p of ``changes``, adjusted over the groups that are judged (Benjamini, Hochberg 1995); NaN
        where there is none.
    """
    chosen = [""] * len(changes) if found_by is None else list(found_by)
    adjusted = _adjusted(changes, chosen)
    controlled = None if beside is None else _adjusted(beside, chosen)
    said = []
    for at, one in enumerate(changes):
        if one.n == 0:
            said.append(CHOSEN)
        elif one.n_groups < FEWEST:
            said.append(TOO_FEW)
        elif chosen[at] == AFTER:
            said.append(FOUND_HERE)
        elif not adjusted[at] <= level:
            said.append(NOT_TOLD)
        elif controlled is None or beside is None:
            by_choice = chosen[at] == BEFORE and one.change < 0
            said.append(ANY_RETRAIN if by_choice else _way(one))
        else:
            alike = np.sign(beside[at].change) == np.sign(one.change)
            said.append(_way(one) if alike and controlled[at] <= level else LIKE_CONTROL)
    return said, [float(p) for p in adjusted]


def _adjusted(changes: Sequence[PairedChange], chosen: Sequence[str]) -> np.ndarray:
    judged = zip(changes, chosen, strict=True)
    return adjust_p([float("nan") if by == AFTER else one.p for one, by in judged])


def _way(change: PairedChange) -> str:
    return WORSE if change.change > 0 else BETTER
