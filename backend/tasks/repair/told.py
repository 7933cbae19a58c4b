"""What the result of a repair says: its tables, the examples that changed, gains in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.wording import DASH, percent, percent_range, points_words

if TYPE_CHECKING:
    from backend.cache import Entry


def repair_frames(kept: Entry) -> tuple[pd.DataFrame, pd.DataFrame]:
    """``table`` and ``gains`` of a result; undefined numbers are NaN."""
    frames = []
    for name in ("table", "gains"):
        frame = pd.DataFrame(kept.meta[name])
        numbers = [one for one in frame if one not in ("arm", "part", "against")]
        frames.append(frame.astype(dict.fromkeys(numbers, float)))
    return frames[0], frames[1]


def changed_rows(kept: Entry, strength: float) -> dict[str, NDArray[np.int64]]:
    """Examples that come out otherwise when the group counts more, beside the plain refit.

    Returns
    -------
    dict
        ``repaired``: wrong in most splits of the plain refit, right in most when the group counts
        more; ``broken``: the other way round. Largest change first, ties by row.
    """
    from backend.repair.tally import REFIT, TARGETED

    arms = [tuple(arm) for arm in kept.meta["arms"]]
    after = kept["right"][arms.index((TARGETED, strength))].astype(np.float64)
    base = kept["right"][arms.index((REFIT, 0.0))].astype(np.float64)
    change = np.nan_to_num(after - base)
    order = np.argsort(-np.abs(change), kind="stable")
    up = (base < 0.5) & (after > 0.5)
    down = (base > 0.5) & (after < 0.5)
    return {"repaired": order[up[order]], "broken": order[down[order]]}


def strength_lines(kept: Entry, strength: float, counts: str = "the group") -> pd.DataFrame:
    """The arms of a result at one strength, with what they get right as text.

    ``counts`` says what counted more. Columns: ``what``, then one per part (``PARTS`` of
    ``backend.repair.gain``): "63 % (58 to 68 %)".
    """
    from backend.repair.tally import ARMS, PARTS, TARGETED

    table = repair_frames(kept)[0]
    lines = []
    for arm in ARMS:
        own = table[(table["arm"] == arm) & table["strength"].isin([0.0, strength])]
        if own.empty:
            continue
        cells = {
            str(
                one["part"]
            ): f"{percent(one['accuracy'])} ({percent_range(one['low'], one['high'])})"
            for _, one in own.iterrows()
        }
        what = f"{counts} counts more" if arm == TARGETED else arm
        lines.append({"what": what, **{part: cells.get(part, DASH) for part in PARTS}})
    return pd.DataFrame(lines, columns=["what", *PARTS])


def gain_words(kept: Entry, strength: float) -> dict[str, str]:
    """What the group and the others gain at one strength, in percentage points with intervals.

    Returns
    -------
    dict
        ``refit`` and ``random``, of the group against these; ``others``, of the others against the
        plain refit; ``harm``: "yes" where the interval of the others lies below 0, else "".
    """
    from backend.repair.tally import GROUP, RANDOM, REFIT, REST

    gains = repair_frames(kept)[1]
    gains = gains[gains["strength"] == strength]

    def of(part: str, against: str) -> pd.Series:
        return gains[(gains["part"] == part) & (gains["against"] == against)].iloc[0]

    others = of(REST, REFIT)
    return {
        "refit": _points(of(GROUP, REFIT)),
        "random": _points(of(GROUP, RANDOM)),
        "others": _points(others),
        "harm": "yes" if others["high"] < 0 else "",
    }


def _points(line: pd.Series) -> str:
    """A change of accuracy: +14.2 points (7.4 to 21.0)."""
    words = points_words(line["gain"], line["low"], line["high"])
    few = np.isfinite(line["gain"]) and not np.isfinite(line["low"])
    return f"{words} (too few to give an interval)" if few else words
