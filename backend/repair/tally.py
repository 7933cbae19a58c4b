"""What the heads of a repair get right, split by split, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.statistics import UNDEFINED, Interval, mean_interval, mean_share_interval
from backend.repair.asked import Floats, RepairCall
from backend.repair.head import RetrainedHead

BEFORE = "before"
REFIT = "plain refit"
TARGETED = "the group counts more"
RANDOM = "random rows count more"
BALANCED = "refit on a balanced set"
ARMS = (BEFORE, REFIT, TARGETED, RANDOM, BALANCED)
GROUP, REST, ALL, WORST = "the group", "the others", "all", "worst class"
PARTS = (GROUP, REST, ALL, WORST)


FEWEST_CLASS = 10
"""Measured rows of a class (or group) below which it cannot be the worst."""


class RepairTally:
    """What every arm got right, split by split."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.shares: dict[tuple[str, float], dict[str, list[tuple[float, int]]]] = {}
        self.sums: dict[tuple[str, float], Floats] = {}
        self.times = np.zeros(n)
        self.outcomes: dict[str, int] = {}

    def fitted(
        self,
        arm: str,
        strength: float,
        rows: NDArray[np.int64],
        head: RetrainedHead,
        x: Floats,
        truth: NDArray[np.int64],
        asked: RepairCall,
    ) -> None:
        """Note what a head gets right on these rows."""
        self.outcomes[head.outcome] = self.outcomes.get(head.outcome, 0) + 1
        if arm == REFIT:
            self.times[rows] += 1
        self.note(arm, strength, rows, head.predict(x) == truth, asked)

    def note(
        self,
        arm: str,
        strength: float,
        rows: NDArray[np.int64],
        right: NDArray[np.bool_],
        asked: RepairCall,
    ) -> None:
        key = (arm, float(strength))
        mine = asked.inside[rows]
        if key not in self.sums:
            self.sums[key] = np.zeros(self.n)
            self.shares[key] = {part: [] for part in PARTS}
        self.sums[key][rows] += right
        held = self.shares[key]
        for part, chosen in ((GROUP, mine), (REST, ~mine), (ALL, np.ones(len(rows), bool))):
            if chosen.any():
                held[part].append((float(right[chosen].mean()), int(chosen.sum())))
        code = asked.worst_of[rows]
        counts = np.bincount(code)
        enough = np.flatnonzero(counts >= FEWEST_CLASS)
        if len(enough):
            rates = np.bincount(code, weights=right)[enough] / counts[enough]
            at = int(rates.argmin())
            held[WORST].append((float(rates[at]), int(counts[enough[at]])))

    def table(self, asked: RepairCall) -> pd.DataFrame:
        """The accuracies of all arms with intervals over splits."""
        lines = []
        for (arm, strength), parts in sorted(
            self.shares.items(), key=lambda item: (ARMS.index(item[0][0]), item[0][1])
        ):
            for part, found in parts.items():
                mean = mean_share_interval([share for share, _ in found])
                n = float(np.mean([size for _, size in found])) if found else 0.0
                lines.append((arm, strength, part, n, *_ends(mean)))
        columns = ["arm", "strength", "part", "n", "accuracy", "low", "high"]
        return pd.DataFrame(lines, columns=columns)

    def means(self) -> dict[tuple[str, float], Floats]:
        with np.errstate(invalid="ignore"):
            return {key: sums / self.times for key, sums in self.sums.items()}

    def gains(self, asked: RepairCall, strengths: Sequence[float]) -> pd.DataFrame:
        """Changes per example, against the plain refit and against random rows."""
        means = self.means()
        lines = []
        for strength in sorted(map(float, strengths)):
            for part, chosen in ((GROUP, asked.inside), (REST, ~asked.inside)):
                rows = np.flatnonzero(chosen & (self.times > 0))
                for against in (REFIT, RANDOM):
                    base = (REFIT, 0.0) if against == REFIT else (RANDOM, strength)
                    change = means[TARGETED, strength][rows] - means[base][rows]
                    gain = mean_interval(change) if len(rows) else UNDEFINED
                    lines.append((strength, part, against, len(rows), *_ends(gain)))
        columns = ["strength", "part", "against", "n", "gain", "low", "high"]
        return pd.DataFrame(lines, columns=columns)


def _ends(interval: Interval) -> tuple[float, float, float]:
    return interval.value, interval.low, interval.high
