"""What is said of a group and how its numbers are written: on pages, in reports, tables and commands.

One name and one definition for each number, one line where chance ends, one way to write a share.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.effects import CONFIDENCE, FEWEST, Effect
from backend.core.parts import SHARES

LEVEL = 0.05
"""A p up to this is not put down to chance."""
SHUFFLES = 199
"""How often losses are shuffled to learn what chance can do."""
LEAST_P = 2 / (SHUFFLES + 1)
"""The smallest p they can give: both directions are searched, and the smaller p counts twice."""

DASH = "–"
MINUS = "\N{MINUS SIGN}"
PERCENT = "\N{NO-BREAK SPACE}%"
"""Behind a share: no line ends between a number and its sign."""
_SPACES = re.compile(r"[^\S\N{NO-BREAK SPACE}]+")

# Verdicts
REAL = "real"
CHANCE = "not distinguishable from chance"
LIKE_LABEL = "like its whole label"
NOT_ABOVE = "not above the others on kept-aside examples"
TOO_FEW = "too few kept-aside examples to tell"
NOT_TESTED = "not tested"
WHOLE_LABEL = "a whole label"
CELL = "a cell of the confusion matrix"


def is_real(p: float | None, effect: Effect | None) -> bool:
    """Whether a group is called real: p is small, and kept-aside members do worse than the others.

    Parameters
    ----------
    p : float or None
        Of the search; NaN or None where nothing was tested.
    effect : Effect or None

    Returns
    -------
    bool
        True for a p of at most ``LEVEL`` and an interval above the others.
    """
    return p is not None and p <= LEVEL and effect is not None and effect.above


def verdict(
    p: float | None,
    effect: Effect | None,
    kind: str = "ball",
    *,
    bound: bool = False,
    cell: bool = False,
) -> str:
    """A few words on whether a group is real, and why not.

    Parameters
    ----------
    p : float or None
        Of the search; NaN or None where nothing was tested.
    effect : Effect or None
        What kept-aside members say.
    kind : {"ball", "direction", "label"}
        "label" is a label that fails as a whole.
    bound : bool
        Whether the group lies within its labels: chance then means to be like all of the label.
    cell : bool
        Whether it is no more than a cell of the confusion matrix.
    """
    if is_real(p, effect):
        more = WHOLE_LABEL if kind == "label" else CELL if cell else ""
        return f"{REAL}, {more}" if more else REAL
    if p is None or math.isnan(p):
        return NOT_TESTED
    if p > LEVEL:
        return LIKE_LABEL if bound and kind != "label" else CHANCE
    if effect is None or effect.n_groups < FEWEST:
        return TOO_FEW
    return NOT_ABOVE


def number(value: float | None) -> str:
    """Three significant digits, thousands separated; a dash for what is undefined."""
    if value is None or not math.isfinite(value):
        return DASH
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e7 or size < 1e-4:
        return f"{value:.2e}"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(size)))}f}"


def span(low: str, high: str) -> str:
    """Two written numbers as one range: 4.1–6.8; a word between them where one is negative: −0.107 to −0.0273.

    Ranges of a column's numbers and intervals in tables are written by it; in sentences a word stands
    between all ends.
    """
    ends = [f"{MINUS}{end[1:]}" if end.startswith("-") else end for end in (low, high)]
    return (" to " if any(end.startswith(MINUS) for end in ends) else DASH).join(ends)


def interval(low: float | None, high: float | None) -> str:
    """An interval of numbers, three significant digits each; a dash where it is undefined."""
    written = number(low), number(high)
    return DASH if DASH in written else span(*written)


def telling_digits(values: Any, *, digits: int = 3, most: int = 15) -> int:
    """Significant digits that show how numbers of one column differ.

    Three of the span of the values: longitudes from -124 to -114 need four, -118.2 and -118.4 with
    nothing between them five. Never fewer than ``digits``, never more than ``most``.
    """
    held = np.asarray(values, dtype=np.float64)
    held = held[np.isfinite(held)]
    with np.errstate(over="ignore"):
        span = float(np.ptp(held)) if held.size else 0.0
    size = float(np.abs(held).max()) if held.size else 0.0
    if not (math.isfinite(span) and span > 0):
        return digits
    more = math.floor(math.log10(size)) - math.floor(math.log10(span))
    return min(most, digits + max(0, more))


def told_apart(values: Iterable[float]) -> list[str]:
    """Different numbers as short texts that differ, too: three significant digits, or as many as that takes.

    Whole numbers are whole; the minus is a sign of its own.
    """
    numbers = list(values)
    texts: list[str] = []
    for digits in range(3, 18):
        texts = [_plain(number, digits) for number in numbers]
        if len(set(texts)) == len(texts):
            break
    return texts


def _plain(value: float, digits: int) -> str:
    if value == round(value) and abs(value) < 1e15:
        text = str(round(value))
    elif 1e-4 <= abs(value) < 1e15:
        text = np.format_float_positional(value, digits, fractional=False, trim="-")
    else:
        text = f"{value:.{digits}g}"
    return text.replace("-", MINUS) if value < 0 else text


def times(ratio: float | None) -> str:
    """A multiple in two significant digits: ×2.1, ×12, ×140; a dash for what is undefined."""
    if ratio is None or not math.isfinite(ratio):
        return DASH
    two = float(f"{ratio:.1e}")
    if abs(two) >= 10:
        return f"×{two:,.0f}"
    return f"×{two:.1f}" if abs(two) >= 1 else f"×{two:.2g}"


def p_value(p: float | None, least: float | None = LEAST_P) -> str:
    """A p-value without its leading zero: .004, 1; the least a test can give as a bound: ≤ .01.

    Parameters
    ----------
    p : float or None
        A dash stands for None and NaN.
    least : float or None
        The least that the test can give; None for exact tests.
    """
    if p is None or not math.isfinite(p):
        return DASH
    if least is not None and math.isclose(p, least):
        return "≤ " + f"{p:.3f}".strip("0")
    if p < 0.001:
        return "< .001"
    return f"{p:.3f}".lstrip("0") if p < 0.9995 else "1"


def one_line(text: object) -> str:
    """Text in one line, with one space wherever there was white space; what may not be parted stays so."""
    return _SPACES.sub(" ", str(text)).strip()


def percent(share: float | None) -> str:
    """A share in whole percent, with a decimal below 10 and above 99: 67 %, 4.2 %, 99.6 %."""
    text = _percent(share)
    return text if text == DASH else text + PERCENT


def percent_range(low: float, high: float) -> str:
    """An interval of shares: 58 to 75 %; a dash where it is undefined."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return DASH
    return f"{_percent(low)} to {_percent(high)}{PERCENT}"


def points(change: float | None) -> str:
    """A change of a share, or a difference of two: +14.2 points; a dash where it is undefined."""
    if change is None or not math.isfinite(change):
        return DASH
    return f"{100 * change:+z.1f} points".replace("-", MINUS)


def points_apart(difference: float | None) -> str:
    """How far two shares are apart, without a sign: 14.2 points; a dash where it is undefined."""
    if difference is None:
        return DASH
    return points(abs(difference)).removeprefix("+")


def points_words(change: float, low: float, high: float) -> str:
    """A change of a share with its interval: +14.2 points (7.4 to 21.0), without one where it is undefined.

    Parameters
    ----------
    change, low, high : float
        As fractions; a dash stands for a change that is not finite.
    """
    words = points(change)
    if words == DASH:
        return DASH
    if math.isfinite(low) and math.isfinite(high):
        words += f" ({100 * low:z.1f} to {100 * high:z.1f})"
    return words.replace("-", MINUS)


def rate_words(effect: Effect) -> str:
    """Error rate of a group with where it was measured: 67 % wrong (kept aside; 58 to 75 %)."""
    if not math.isfinite(effect.error):
        return DASH
    reach = percent_range(effect.error_low, effect.error_high)
    return f"{percent(effect.error)} wrong (kept aside; {_few(effect) if reach == DASH else reach})"


def effect_words(effect: Effect, *, labels: int = 0) -> str:
    """What kept-aside examples say of a group, in one line.

    Parameters
    ----------
    effect : Effect
    labels : int
        How many labels the group is bound to: what all examples of these show is said beside the
        others.

    Returns
    -------
    str
        "33 kept aside: 67 % wrong (49 to 81 %), others 16 %: ×4.2"; of mean losses where there are
        no predictions; with the label "..., its label 30 %, others 16 %: ×4.2".
    """
    if effect.n == 0:
        return "none kept aside"
    of = f"{effect.n:,} kept aside"
    if effect.n_groups < effect.n:
        of += f" in {effect.n_groups:,} {'group' if effect.n_groups == 1 else 'groups'}"
    if math.isfinite(effect.error):
        said, others = f"{percent(effect.error)} wrong", percent(effect.error_base)
        reach = percent_range(effect.error_low, effect.error_high)
    else:
        said, others = f"mean loss {number(effect.loss)}", number(effect.loss_base)
        reach = f"{number(effect.loss_low)} to {number(effect.loss_high)}"
        reach = DASH if math.isnan(effect.loss_low) else reach
    words = f"{of}: {said} ({_few(effect) if reach == DASH else reach})"
    own = number(effect.loss_label)
    if math.isfinite(effect.error):
        own = percent(effect.error_label)
    if labels and own != DASH:
        words += f", its label{'s' if labels > 1 else ''} {own}"
    if others == DASH:
        return words
    of_losses = math.isfinite(effect.error) and not effect.error_base > 0
    joint = "; loss" if of_losses and math.isfinite(effect.multiple) else ":"
    return f"{words}, others {others}{joint} {times(effect.multiple)}"


def inner_words(n_members: int, effect: Effect) -> str:
    """The worst that a region holds, as a line below it: its 30 worst, 91 % wrong.

    Parameters
    ----------
    n_members : int
        Examples of the smaller region.
    effect : Effect
        What its kept-aside members say; the mean loss where there are no predictions.
    """
    words = f"its {n_members:,} worst"
    if math.isfinite(effect.error):
        return f"{words}, {percent(effect.error)} wrong"
    return f"{words}, mean loss {number(effect.loss)}" if math.isfinite(effect.loss) else words


def wrong_words(correct: NDArray[np.bool_] | None, members: NDArray[np.int64]) -> str:
    """How often the model fails on a group that no search found, over all its members.

    Parameters
    ----------
    correct : bool array of shape (n,) or None
        Of all examples; None without predictions.
    members : int array of shape (m,)

    Returns
    -------
    str
        "62 % of its members wrong, of all examples 9.2 %"; "" where nothing is known.
    """
    if correct is None or not len(members):
        return ""
    own, everybody = (1 - float(part.mean()) for part in (correct[members], correct))
    return f"{percent(own)} of its members wrong, of all examples {percent(everybody)}"


def explained_words(shares: Sequence[float | None], shown: int) -> str:
    """How much of the excess loss a list holds: "" where that is unknown, or nothing is shown.

    Parameters
    ----------
    shares : sequence of float or None
        Of the first 1, 2, ... entries together.
    shown : int
        How many entries are shown.

    Returns
    -------
    str
        "These 5 entries hold 41 % of the excess loss; 7 more hold 12 %"
    """
    known = [share for share in shares if share is not None and math.isfinite(share)]
    if not shown or len(known) < len(shares):
        return ""
    these = "This entry holds" if shown == 1 else f"These {shown:,} entries hold"
    words = f"{these} {percent(known[shown - 1])} of the excess loss"
    rest = len(shares) - shown
    if rest > 0:
        further = "1 more holds" if rest == 1 else f"{rest:,} more hold"
        words += f"; {further} {percent(known[-1] - known[shown - 1])}"
    return words


def fewer_words(found: int, asked: int, why: str) -> str:
    """Why a list holds fewer groups than were asked for: 2 of 5: ...; empty where it does not."""
    return "" if found >= asked else f"{found:,} of {asked:,}: {why}."


def effect_cells(effect: Effect) -> tuple[str, str, str]:
    """The same as three cells of a table: what was measured, the others, the multiple.

    Returns
    -------
    tuple of str
        "67 % (49 to 81 %)", "16 %", "×4.2"; of mean losses where there are no predictions, and a
        multiple of losses beside rates says so: "×4.2 (loss)".
    """
    rates = math.isfinite(effect.error) or math.isfinite(effect.error_base)
    if rates:
        said, others = percent(effect.error), percent(effect.error_base)
        reach = percent_range(effect.error_low, effect.error_high)
    else:
        said, others = number(effect.loss), number(effect.loss_base)
        reach = f"{number(effect.loss_low)} to {number(effect.loss_high)}"
        reach = DASH if math.isnan(effect.loss_low) else reach
    of_losses = rates and not effect.error_base > 0 and math.isfinite(effect.multiple)
    multiple = times(effect.multiple) + (" (loss)" if of_losses else "")
    return said if reach == DASH else f"{said} ({reach})", others, multiple


def effect_names(effects: Iterable[Effect]) -> tuple[str, str]:
    """What the first two of these cells are called: error rates, else losses."""
    rates = any(math.isfinite(one.error) or math.isfinite(one.error_base) for one in effects)
    return (ERROR, ERROR_OTHERS) if rates else (LOSS, LOSS_OTHERS)


def _few(effect: Effect) -> str:
    return f"under {FEWEST}{' groups' if effect.n_groups < effect.n else ''}: no interval"


def _percent(share: float | None) -> str:
    if share is None or not math.isfinite(share):
        return DASH
    value = 100 * share
    if 0 < value < 0.1:
        return f"{value:.1g}" if value >= 0.001 else "0"
    fine = value < 9.95 or 99 < value < 100
    return (f"{value:z.1f}" if fine else f"{value:.0f}").removesuffix(".0")


# Names of numbers
MEMBERS = "members"
KEPT_ASIDE = "kept aside"
ERROR = "error rate"
ERROR_OTHERS = "error rate of others"
ERROR_LABEL = "error rate of label"
LOSS = "loss"
LOSS_OTHERS = "loss of others"
LOSS_LABEL = "loss of label"
MULTIPLE = "× others"
P = "p"
P_CELL = "p in its cell"
P_ADJUSTED = "p adjusted"
EXPLAINED = "explained"
MEAN = "mean loss"
MEAN_RATIO = "mean loss × base"
WEIGHTED = "weighted loss"
WEIGHTED_RATIO = "weighted × base"
TOTAL = "total weight"
EFFECTIVE = "effective size"
HELD_OUT = "held-out loss"
HELD_OUT_RATIO = "held-out × base"

ORDER = (
    "Labels that fail as a whole come first, regions that are no more than a cell of the confusion matrix "
    "last. Between them stands first what fails most surely on the examples that choose, and sets itself most "
    "apart from its surroundings, less what is held above; no figure of the examples kept aside orders a list, "
    "so a larger multiple may stand further down, and one that does not hold up among them."
)
"""How the list of regions is ordered."""

_INTERVAL = (
    f"with its {percent(CONFIDENCE)} interval, from {FEWEST} members (or groups of them) upward"
)

MEANS = {
    MEMBERS: "The examples that are listed. Of a region they are the first of its ranking, of a "
    "spotlight the round(total weight) heaviest.",
    KEPT_ASIDE: f"Members among the examples that had no part in finding or choosing: one in "
    f"{sum(SHARES)} of each label, the same ones whenever this bundle is searched.",
    ERROR: f"Share of the kept-aside members that the model gets wrong, {_INTERVAL}.",
    ERROR_OTHERS: "Share that the model gets wrong of the kept-aside examples that are no members.",
    ERROR_LABEL: "Share that the model gets wrong of all kept-aside examples of the group's own labels.",
    LOSS: f"Mean of the raw losses of the kept-aside members, {_INTERVAL}.",
    LOSS_OTHERS: "Mean of the raw losses of the kept-aside examples that are no members.",
    LOSS_LABEL: "Mean of the raw losses of all kept-aside examples of the group's own labels.",
    MULTIPLE: "Error rate of the kept-aside members over that of the kept-aside others; of the mean "
    f"losses where there are no predictions or no errors. Undefined ({DASH}) where the others' loss is "
    "not above 0, either.",
    P: f"How often the best of all candidates looks as good when losses are shuffled within every label: "
    f"{SHUFFLES} shuffles, for the search as a whole. {p_value(LEAST_P)} is the least it can be.",
    P_CELL: "The same, shuffled among examples of one true and one predicted label: small where the region "
    "is more than its cell of the confusion matrix.",
    P_ADJUSTED: "The smallest share of false findings at which this one is called real, over the groups "
    "listed (Benjamini and Hochberg 1995).",
    EXPLAINED: "Share of the excess loss of the kept-aside examples, the sum of max(loss - mean loss, 0), "
    "that the members of this and all earlier entries hold together.",
    MEAN: "Of the losses of the members, each counting once. The examples that found the group are among "
    "them, so it is high by construction.",
    MEAN_RATIO: "Mean loss of the members over the base loss, the mean loss of all examples.",
    WEIGHTED: "Mean of the losses of all examples, each counting with its weight in the group.",
    WEIGHTED_RATIO: "Weighted loss over the base loss, the mean loss of all examples.",
    TOTAL: "Sum of the weights of all examples: the size of the group in examples.",
    EFFECTIVE: "sum(k)² / sum(k²) over all examples: how far the soft weights are spread, in examples.",
    HELD_OUT: "Weighted loss on the half of the examples that did not find the spotlight.",
    HELD_OUT_RATIO: "Weighted loss on the half of the examples that did not find the spotlight, over the "
    "mean loss of that half.",
}
"""Name -> what it is and over which examples it is taken."""

HOW = (
    f"One example in {sum(SHARES)} is kept aside before anything is searched, the same ones whenever this "
    "bundle is. The others find and choose the regions; what is said of a region is measured on its kept-aside members "
    "alone, on raw losses. p asks how often the best of all candidates looks as good when losses are "
    f"shuffled {SHUFFLES} times within every label, so it covers the whole search. Real needs both: a p "
    f"of at most {f'{LEVEL:g}'.lstrip('0')}, and an interval above the others."
)
"""How regions are found, measured and judged."""
