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
LIKE_CONTROL = "no more than another seed"
CHOSEN = "chosen by its errors: no member is left to measure"


def change_verdicts(
    changes: Sequence[PairedChange],
    beside: Sequence[PairedChange] | None = None,
    *,
    level: float = LEVEL,
) -> tuple[list[str], list[float]]:
    """What is said of each group of a table.

    Parameters
    ----------
    changes : sequence of PairedChange
        From the old run to the new one.
    beside : sequence of PairedChange, optional
        From the control, an unchanged retrain with another seed, to the new one, of the same groups.
    level : float
        A group is called changed up to this adjusted p.

    Returns
    -------
    verdicts : list of str
        ``WORSE`` or ``BETTER`` where the adjusted p is at most ``level``, and with a control where
        the new run differs from it in the same direction too, its p adjusted likewise; where it does
        not, ``LIKE_CONTROL``. A group that was chosen by the errors of the old run changes under any
        new one, and its difference from the control is what the change itself made.
    adjusted : list of float
        p of ``changes``, adjusted over the table (Benjamini, Hochberg 1995); NaN where there is none.
    """
    adjusted = adjust_p([one.p for one in changes])
    controlled = None if beside is None else adjust_p([one.p for one in beside])
    said = []
    for at, one in enumerate(changes):
        if one.n == 0:
            said.append(CHOSEN)
        elif one.n_groups < FEWEST:
            said.append(TOO_FEW)
        elif not adjusted[at] <= level:
            said.append(NOT_TOLD)
        elif controlled is None or beside is None:
            said.append(_way(one))
        else:
            alike = np.sign(beside[at].change) == np.sign(one.change)
            said.append(_way(one) if alike and controlled[at] <= level else LIKE_CONTROL)
    return said, [float(p) for p in adjusted]


def _way(change: PairedChange) -> str:
    return WORSE if change.change > 0 else BETTER
