"""What is said of a region's reality: numbers, verdict and one readable sentence. Plain numpy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from backend.core.statistics import Interval
from backend.core.wording import span

Verdict = Literal["real", "not distinguishable from chance", "too small to tell"]


@dataclass(frozen=True)
class RegionAssessment:
    """How sure one region is.

    Parameters
    ----------
    p_value : float
        Decides the verdict: family-wise over all candidates and over both tests, the held-out claim
        and the whole search on shuffled losses; in (0, 1], or NaN when the region is too small.
    p_claim : float
        Held-out claim alone. 1 when no half of the data finds the region again.
    p_adjusted : float
        ``p_value`` after Benjamini-Hochberg over the regions shown.
    p_within_labels, p_overall : float
        The claim's two questions: is the region worse than its own labels, and is it worse than
        everything? The first is NaN without labels.
    search_p : float
        Whole search alone: how often it finds a region as bad when the losses are shuffled; NaN
        until it is known.
    held_out_loss, held_out_lift : Interval
        95 %: weighted loss on the rows that did not find the region, both directions together; and
        as a multiple of the mean loss (taken as exact; NaN unless that is positive).
    held_out_size : float
        Effective number of those rows, ``(sum k)^2 / sum k^2``.
    overlaps : (float, float)
        Weighted Jaccard index of the shown region with its counterpart found on each half.
    stability : Interval
        Mean weighted Jaccard index with its counterparts in bootstrap refits, and 95 % Student
        interval of that mean, cut to [0, 1]; NaN until it is known.
    verdict : {"real", "not distinguishable from chance", "too small to tell"}
    class_level : bool
        Real, but not shown to be worse than its labels are as a whole.
    sentence : str
    """

    p_value: float
    p_claim: float
    p_adjusted: float
    p_within_labels: float
    p_overall: float
    search_p: float
    held_out_loss: Interval
    held_out_lift: Interval
    held_out_size: float
    overlaps: tuple[float, float]
    stability: Interval
    verdict: Verdict
    class_level: bool
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """For JSON; None where a number is undefined."""
        out: dict[str, Any] = {}
        for name, value in vars(self).items():
            if isinstance(value, Interval):
                out[name] = value.to_dict()
            elif isinstance(value, float):
                out[name] = value if np.isfinite(value) else None
            else:
                out[name] = list(value) if isinstance(value, tuple) else value
        return out


@dataclass(frozen=True)
class Assessment:
    """How sure a list of regions is. ``r`` regions.

    Parameters
    ----------
    regions : tuple of r RegionAssessment
        In the order in which the regions were found.
    level : float
        At which verdicts were given.
    n_candidates : int
        Regions searched on the two halves together, all of which the p-values pay for.
    base_loss : float
    pending : bool
        Whether shuffled searches are still to come, which may make more regions real.
    claim_z : float64 array of shape (2, r)
        Held-out statistic of each region's counterpart, in either direction; -inf without one.
    claim_null : float64 array of shape (2, P)
        Largest held-out statistic over the candidates, per shuffle.
    null_maxima : float64 array of shape (B,)
        Weighted loss of the best region found on shuffled losses; empty until it is known.
    stability_samples : float64 array of shape (b, r)
        Overlap in each bootstrap refit.
    note : str
        What was subsampled, cut short, or searched otherwise than asked.
    """

    regions: tuple[RegionAssessment, ...]
    level: float
    n_candidates: int
    base_loss: float
    pending: bool
    claim_z: NDArray[np.float64] = field(repr=False)
    claim_null: NDArray[np.float64] = field(repr=False)
    null_maxima: NDArray[np.float64] = field(repr=False)
    stability_samples: NDArray[np.float64] = field(repr=False)
    note: str

    def __len__(self) -> int:
        return len(self.regions)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What charts are drawn from, by name."""
        intervals = [region.held_out_lift for region in self.regions]
        return {
            "claim_z": self.claim_z,
            "claim_null": self.claim_null,
            "null_maxima": self.null_maxima,
            "stability_samples": self.stability_samples,
            "held_out_lifts": np.array(
                [[one.value, one.low, one.high] for one in intervals], dtype=np.float64
            ).reshape(len(intervals), 3),
        }

    def to_dict(self) -> dict[str, Any]:
        """All but the arrays, for JSON."""
        return {
            "regions": [region.to_dict() for region in self.regions],
            "level": self.level,
            "n_candidates": self.n_candidates,
            "base_loss": self.base_loss,
            "pending": self.pending,
            "n_permutations": len(self.null_maxima),
            "n_bootstrap": len(self.stability_samples),
            "note": self.note,
        }


def write_sentence(
    *,
    loss: Interval,
    lift: Interval,
    base: float,
    p: float,
    n_candidates: int,
    verdict: Verdict,
    class_level: bool,
    found_again: bool,
    pending: bool = False,
) -> str:
    """The finding in one line, as in ``held-out ×5.4 base (4.1–6.8), p = .005 over 16 ...``."""
    if verdict == "too small to tell":
        return "too few examples in each half to tell whether it is real"
    chance = "not distinguishable from chance" + (" so far" if pending else "")
    if not found_again:
        if verdict != "real":
            return f"not found again in either half of the data: {chance}"
        return (
            f"p {format_p(p)} against the same search on shuffled losses; each half of the data is "
            "too small to find it again"
        )
    if np.isfinite(lift.value):
        measured = f"held-out ×{_number(lift.value)} base{_bounds(lift)}"
    else:
        measured = f"held-out loss {_number(loss.value)}{_bounds(loss)}, base {_number(base)}"
    line = f"{measured}, p {format_p(p)} over {n_candidates} searched candidates"
    if verdict != "real":
        return f"{line}: {chance}"
    if class_level:
        return f"{line}; not shown to be worse than its labels are as a whole"
    return line


def format_p(p: float) -> str:
    """A p-value with its sign of equality: ``= .005``, ``< .001``, ``= 1``."""
    if p < 0.001:
        return "< .001"
    digits = 3 if p < 0.095 else 2
    text = f"{p:.{digits}f}"
    return f"= {text[1:]}" if text.startswith("0") else "= 1"


def _number(value: float) -> str:
    text = f"{value:.2g}" if abs(value) < 10 else f"{value:.0f}"
    return f"{value:.1f}" if 1 <= abs(value) < 9.95 else text


def _bounds(interval: Interval) -> str:
    if not np.isfinite(interval.low):
        return ""
    return f" ({span(_number(interval.low), _number(interval.high))})"
