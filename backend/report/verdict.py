"""Does a group really have the higher loss? A test on examples that were not used to find it.

What is compared
----------------
Examples that match a hypothesis with those that do not, among the *confirmation* rows: all rows but
those used to find it and, where groups of near-duplicates are known, their whole groups. A
hypothesis that came from nowhere gets a seeded half of the groups; the other half is for looking.

How
---
The statistic is Welch's difference over its standard error. Losses have heavy tails and groups are
small, so its distribution is not taken from a table but from permutations of who matches, each
with a standard error of its own (a studentised permutation test). It is exact when matching and
other losses are alike, and right in the limit when only their means are (Chung, Romano 2013). Far
from that limit, where 20 matching losses are spread three times as wide as the others, permutations
alone err twice as often as they say and Welch's t does not; where losses are skewed it is the other
way around. p is therefore the larger of the two, and the interval holds both: it excludes 0 exactly
when p is at most the level. A variance is never taken to be below that of all losses over the
number of examples, so that a handful of equal losses does not look like certainty.

p is two-sided, and a directed hypothesis must also have the right sign: a false one is supported
with a chance of at most half the level.

References
----------
Welch, The generalization of Student's problem, Biometrika 34 (1947).
Janssen, Studentized permutation tests for non-iid hypotheses, Stat. Probab. Lett. 36 (1997).
Chung, Romano, Exact and asymptotically robust permutation tests, Ann. Statist. 41 (2013).
Newcombe, Interval estimation for the difference between independent proportions, Stat. Med. 17
(1998), method 10, for error rates.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from backend.bundle import Bundle
from backend.core.arrays import check_choice
from backend.core.errors import InputError
from backend.core.statistics import adjust_p, wilson_interval
from backend.rules import Rule, evaluate
from backend.rules.evaluate import columns_of

VERSION = 1
"""Raised whenever the same arguments start to give another verdict."""
ALTERNATIVES = ("higher loss", "lower loss", "different loss")
NULLS = ("rest of data", "same label")
MIN_N = 30
MIN_SIDE = 10
_DRAWS = 30_000_000
_FEWEST = 499

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Verdict:
    """What a test of one hypothesis said. Numbers are None where they are undefined.

    Attributes
    ----------
    verdict : str
        ``supported``, ``refused`` or ``too few examples``.
    reason : str
        One sentence.
    n, n_matching, n_other : int
        Confirmation rows, and how many of them match or do not.
    n_used : int
        Rows set aside because they were used to find the hypothesis, or are the discovery half.
    units : int
        What was counted as independent: rows, or groups of near-duplicates.
    matching_loss, other_loss, difference, low, high : float or None
        Mean losses, their difference and its interval. Against ``same label`` the other loss is
        weighted by the labels of the matching examples.
    p : float or None
        Two-sided. At least ``2 / (permutations + 1)``.
    matching_error, other_error, error_difference, error_low, error_high : float or None
        The same for the share of wrong predictions, over all confirmation rows.
    discovery_difference : float or None
        Difference of mean losses in the discovery half, where there is one.
    level, alternative, null, groups, seed, permutations, version
        What was asked. ``level`` is 0.05 for a 95 % interval.
    fingerprint : str
        Equal for two tests exactly when they tested the same thing on the same rows.
    """

    verdict: str
    reason: str
    n: int
    n_matching: int
    n_other: int
    n_used: int
    units: int
    matching_loss: float | None
    other_loss: float | None
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    matching_error: float | None
    other_error: float | None
    error_difference: float | None
    error_low: float | None
    error_high: float | None
    discovery_difference: float | None
    level: float
    alternative: str
    null: str
    groups: str | None
    seed: int
    permutations: int
    version: int
    fingerprint: str

    @property
    def supported(self) -> bool:
        return self.verdict == "supported"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; None where a number is undefined."""
        return asdict(self)


def test_hypothesis(
    bundle: Bundle,
    mask_or_rule: Any,
    *,
    used_rows: Any = None,
    groups: str | None = None,
    tags: Mapping[str, Any] | pd.DataFrame | None = None,
    seed: int = 0,
    level: float = 0.05,
    alternative: str = "higher loss",
    null: str = "rest of data",
    permutations: int = 1999,
) -> Verdict:
    """Test whether the examples that match have a higher loss, on examples not used to find them.

    Parameters
    ----------
    bundle : Bundle
    mask_or_rule : bool array of shape (n,), Rule or str
        Which examples the hypothesis is about.
    used_rows : bool array (n,) or array of rows, optional
        What was looked at to find it: members of the region or selection it came from. None when
        it came from nowhere; an empty list when it was written down before looking at anything.
    groups : str, optional
        Column whose equal values are near-duplicates of one thing (a patient, a video). They stay
        on one side of the split and count once. Missing values are groups of their own.
    tags : DataFrame or mapping, optional
        For rules that say ``tagged``.
    seed : int
        Of the split and the permutations.
    level : float
        In (0, 0.5].
    alternative : {"higher loss", "lower loss", "different loss"}
    null : {"rest of data", "same label"}
        With whom the matching are compared: everybody else, or others of the same label, so that
        a hard class alone does not make a finding.
    permutations : int
        199 to 99 999; fewer are made, and reported, where both sides are very large.

    Returns
    -------
    Verdict
        ``too few examples`` with fewer than 30 confirmation units, or fewer than 10 on a side.

    Notes
    -----
    A region is found where losses are high, so its members are set aside although they match best.
    What is left is the harder part of the claim: a hypothesis that holds only inside the region it
    was read from is refused or has too few examples.

    Raises
    ------
    InputError
        If an option cannot be used, a mask is not one bool per example, the rule does not fit the
        bundle, or ``same label`` is asked for without labels.
    """
    level = _check(level, seed, permutations)
    check_choice("alternative", alternative, ALTERNATIVES)
    check_choice("null", null, NULLS)
    match = _mask(bundle, mask_or_rule, tags)
    units = _units(bundle, groups)
    strata = _strata(bundle, null)
    split, draws = (np.random.default_rng([seed, part]) for part in (0, 1))
    used = (
        _half(units, split) if used_rows is None else _with_groups(_rows(bundle, used_rows), units)
    )
    keep = ~used
    table = _table(bundle, match, units, strata, keep)
    n1, n0 = int((keep & match).sum()), int((keep & ~match).sum())
    common: dict[str, Any] = {
        "n": n1 + n0,
        "n_matching": n1,
        "n_other": n0,
        "n_used": int(used.sum()),
        "units": len(table),
        "discovery_difference": _gap(bundle.losses, match, used) if used_rows is None else None,
        "level": level,
        "alternative": alternative,
        "null": null,
        "groups": groups,
        "seed": seed,
        "version": VERSION,
    }
    common["fingerprint"] = _fingerprint(bundle, match, used, common, permutations)
    common |= _errors(table, level)
    first = table["match"].to_numpy()
    sides = (int(first.sum()), int((~first).sum()))
    if len(table) < MIN_N or min(sides) < MIN_SIDE:
        return _too_few(table, sides, common)
    compared = _Compared(table)
    if not compared.n1.size:
        return _too_few(table, (0, sides[1]), common)
    made = min(permutations, max(_FEWEST, _DRAWS // max(1, int(compared.small.sum()))))
    found = compared.test(draws, made, level)
    low, high, p = found.low, found.high, found.p
    sign = {"higher loss": 1, "lower loss": -1}.get(alternative, 0)
    supported = p <= level and (sign == 0 or sign * found.difference > 0)
    return Verdict(
        verdict="supported" if supported else "refused",
        reason=_reason(supported, found, sign, level, null),
        matching_loss=found.first,
        other_loss=found.second,
        difference=found.difference,
        low=low,
        high=high,
        p=p,
        permutations=made,
        **common,
    )


test_hypothesis.__test__ = False  # type: ignore[attr-defined]  # pytest: not one of your tests


def adjusted(ps: list[float | None]) -> list[float | None]:
    """Benjamini-Hochberg adjusted p-values; None stays None and is not counted."""
    filled = adjust_p(np.array([math.nan if p is None else p for p in ps], dtype=np.float64))
    return [None if math.isnan(p) else float(p) for p in filled]


# --- who is compared ------------------------------------------------------------------------------


def _check(level: Any, seed: Any, permutations: Any) -> float:
    if not isinstance(level, int | float) or not 0 < level <= 0.5:
        raise InputError(f"level must be in (0, 0.5], for instance 0.05: got {level!r}.")
    if not isinstance(seed, int | np.integer) or not 0 <= seed < 2**63:
        raise InputError(f"seed must be a whole number of at least 0: got {seed!r}.")
    if not isinstance(permutations, int) or not 199 <= permutations <= 99_999:
        raise InputError(f"permutations must be 199 to 99 999: got {permutations!r}.")
    return float(level)


def _mask(bundle: Bundle, given: Any, tags: Any) -> Mask:
    if isinstance(given, str | Rule):
        return evaluate(given, bundle, tags)
    mask = np.asarray(given)
    if mask.dtype != bool or mask.shape != (bundle.n,):
        raise InputError(
            f"a hypothesis must be a rule, or one true or false per example: got shape "
            f"{mask.shape} and dtype {mask.dtype} for {bundle.n} examples."
        )
    return mask


def _rows(bundle: Bundle, given: Any) -> Mask:
    rows = np.asarray(given)
    if rows.dtype == bool and rows.shape == (bundle.n,):
        return rows.copy()
    used = np.zeros(bundle.n, dtype=bool)
    if rows.size == 0:
        return used
    if rows.dtype.kind not in "iu" or rows.min() < 0 or rows.max() >= bundle.n:
        raise InputError(
            f"used_rows must be rows from 0 to {bundle.n - 1}, or one true or false per example."
        )
    used[rows] = True
    return used


def _units(bundle: Bundle, groups: str | None) -> NDArray[np.int64]:
    """Number of the near-duplicate group of each row; its own where none is known."""
    if groups is None:
        return np.arange(bundle.n)
    if groups not in bundle.examples.columns:
        known = ", ".join(columns_of(bundle))
        raise InputError(f"groups must be a column of the bundle: got {groups!r}. It has {known}.")
    column = bundle.examples[groups]
    codes = pd.factorize(column.where(column.notna() & (column.astype(str) != "")))[0]
    alone = codes < 0
    codes = codes.astype(np.int64)
    codes[alone] = codes.max(initial=-1) + 1 + np.arange(alone.sum())
    return codes


def _strata(bundle: Bundle, null: str) -> NDArray[np.int64]:
    if null == "rest of data":
        return np.zeros(bundle.n, dtype=np.int64)
    if bundle.label_codes is None:
        raise InputError("null 'same label' needs labels: the bundle has none.")
    return bundle.label_codes


def _half(units: NDArray[np.int64], random: np.random.Generator) -> Mask:
    """The discovery half: half of the groups, rounded down."""
    numbers = np.unique(units)
    drawn = random.permutation(numbers)[: len(numbers) // 2]
    return np.isin(units, drawn)


def _with_groups(used: Mask, units: NDArray[np.int64]) -> Mask:
    return np.isin(units, np.unique(units[used]))


def _table(
    bundle: Bundle, match: Mask, units: NDArray[np.int64], strata: NDArray[np.int64], keep: Mask
) -> pd.DataFrame:
    """One line per independent unit: ``stratum``, ``match``, mean ``loss`` and ``error``.

    A group with matching and other rows makes two units. They are alike, which makes the
    difference smaller, never larger.
    """
    frame = pd.DataFrame(
        {
            "unit": units[keep],
            "stratum": strata[keep],
            "match": match[keep],
            "loss": bundle.losses[keep],
            "error": np.nan if bundle.correct is None else (~bundle.correct[keep]).astype(float),
        }
    )
    if frame["unit"].is_unique:
        return frame
    return frame.groupby(["unit", "stratum", "match"], as_index=False, sort=True).mean()


def _gap(losses: Floats, match: Mask, among: Mask) -> float | None:
    first, second = losses[match & among], losses[~match & among]
    return float(first.mean() - second.mean()) if len(first) and len(second) else None


def _errors(table: pd.DataFrame, level: float) -> dict[str, float | None]:
    """Error rates of both sides, and Newcombe's interval of their difference."""
    names = ("matching_error", "other_error", "error_difference", "error_low", "error_high")
    first = table["match"].to_numpy()
    errors = table["error"].to_numpy()
    a, b = errors[first], errors[~first]
    if not len(a) or not len(b) or np.isnan(errors).any():
        return dict.fromkeys(names)
    (p, q), (n, m) = (float(a.mean()), float(b.mean())), (len(a), len(b))
    low, high = wilson_interval([p * n, q * m], [n, m], 1 - level)
    under = p - q - math.hypot(p - low[0], high[1] - q)
    over = p - q + math.hypot(high[0] - p, q - low[1])
    return dict(zip(names, (p, q, p - q, under, over), strict=True))


# --- the test -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Found:
    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float


class _Compared:
    """Losses by stratum, and the statistic for any choice of who matches.

    ``n1``, ``n0`` (s,) sizes of the sides; ``small`` (s,) the lesser of the two: drawing the
    smaller side is enough, the other follows from the totals.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        self._values: list[Floats] = []
        self._first: list[Mask] = []
        self._center = float(table["loss"].mean())
        for _, part in table.groupby("stratum", sort=True):
            first = part["match"].to_numpy()
            if first.any() and not first.all():
                self._values.append(part["loss"].to_numpy() - self._center)
                self._first.append(first)
        self.n1 = np.array([first.sum() for first in self._first], dtype=np.float64)
        self.n0 = np.array([(~first).sum() for first in self._first], dtype=np.float64)
        self.small = np.minimum(self.n1, self.n0)
        self._share = self.n1 / self.n1.sum()
        self._sums = np.array([values.sum() for values in self._values])
        self._squares = np.array([values @ values for values in self._values])
        n = self.n1 + self.n0
        self._variance = np.maximum(0.0, self._squares - self._sums**2 / n) / (n - 1)

    def test(self, random: np.random.Generator, permutations: int, level: float) -> _Found:
        pairs = list(zip(self._values, self._first, strict=True))
        sums = np.array([[v[f].sum(), v[f] @ v[f]] for v, f in pairs])
        means1, means0, difference, parts = self._measure(sums[:, 0], sums[:, 1])
        error = math.sqrt(float(parts.sum()))
        first = float(self._center + self._share @ means1)
        second = float(self._center + self._share @ means0)
        if error == 0:  # all losses are equal
            return _Found(first, second, 0.0, 0.0, 0.0, 1.0)
        observed = difference / error
        null = np.sort([self._permuted(random) for _ in range(permutations)])
        # Sums are made in another order than the observed one: equal means equal up to rounding.
        slack = 1e-9 * max(1.0, abs(observed))
        above = int((null >= observed - slack).sum())
        below = int((null <= observed + slack).sum())
        p = 2 * (1 + min(above, below)) / (1 + permutations)
        at = max(1, math.floor(level / 2 * (permutations + 1)))
        freedom = self._freedom(parts)
        student = float(special.stdtrit(freedom, 1 - level / 2))
        upper, lower = max(student, null[permutations - at]), min(-student, null[at - 1])
        p = min(1.0, max(p, 2 * float(special.stdtr(freedom, -abs(observed)))))
        return _Found(
            first,
            second,
            float(difference),
            float(difference - upper * error),
            float(difference - lower * error),
            p,
        )

    def _permuted(self, random: np.random.Generator) -> float:
        sums, squares = np.empty(len(self._values)), np.empty(len(self._values))
        for at, values in enumerate(self._values):
            rows = random.choice(len(values), int(self.small[at]), replace=False, shuffle=False)
            drawn = values[rows]
            total, square = drawn.sum(), drawn @ drawn
            if self.n0[at] < self.n1[at]:  # the others were drawn
                total, square = self._sums[at] - total, self._squares[at] - square
            sums[at], squares[at] = total, square
        _, _, difference, parts = self._measure(sums, squares)
        return difference / math.sqrt(float(parts.sum()))

    def _measure(self, sums: Floats, squares: Floats) -> tuple[Floats, Floats, float, Floats]:
        """Means of both sides per stratum, the weighted difference, and its variance in parts.

        The parts (2, s) belong to the sides of the strata.
        """
        means1, means0 = sums / self.n1, (self._sums - sums) / self.n0
        spread1 = self._spread(squares - sums * means1, self.n1)
        other = self._squares - squares - (self._sums - sums) * means0
        spread0 = self._spread(other, self.n0)
        parts = self._share**2 * np.array([spread1 / self.n1, spread0 / self.n0])
        return means1, means0, float(self._share @ (means1 - means0)), parts

    def _freedom(self, parts: Floats) -> float:
        """Welch's and Satterthwaite's degrees of freedom."""
        shares = parts / parts.sum()
        return float(1 / (shares**2 / np.maximum([self.n1 - 1, self.n0 - 1], 1)).sum())

    def _spread(self, squares: Floats, n: Floats) -> Floats:
        return np.maximum(squares / np.maximum(n - 1, 1), self._variance / n)


def _too_few(table: pd.DataFrame, sides: tuple[int, int], common: dict[str, Any]) -> Verdict:
    first = table["match"].to_numpy()
    losses = table["loss"].to_numpy()
    means = [float(losses[side].mean()) if side.any() else None for side in (first, ~first)]
    difference = None if None in means else means[0] - means[1]  # type: ignore[operator]
    of = "examples" if common["groups"] is None else "groups"
    if len(table) < MIN_N:
        what = f"{len(table)} {of} were not used to find it, and {MIN_N} are needed"
    elif sides[0] < MIN_SIDE:
        what = f"{sides[0]} of the {of} not used to find it match, and {MIN_SIDE} are needed"
    else:
        what = f"only {sides[1]} of the {of} not used to find it do not match"
    return Verdict(
        verdict="too few examples",
        reason=f"Too few examples to say: {what}.",
        matching_loss=means[0],
        other_loss=means[1],
        difference=difference,
        low=None,
        high=None,
        p=None,
        permutations=0,
        **common,
    )


def _reason(supported: bool, found: _Found, sign: int, level: float, null: str) -> str:
    than = "others of the same label" if null == "same label" else "the others"
    side = "higher" if found.difference >= 0 else "lower"
    share = f"{100 * (1 - level):g} % interval {found.low:.3g} to {found.high:.3g}"
    told = f"The mean loss is {abs(found.difference):.3g} {side} than that of {than} ({share})."
    if supported:
        return told
    if sign and found.p <= level:
        return f"{told} The hypothesis says the opposite."
    return f"{told} That is not told apart from no difference."


def _fingerprint(
    bundle: Bundle, match: Mask, used: Mask, asked: dict[str, Any], permutations: int
) -> str:
    names = ("level", "alternative", "null", "groups", "seed", "version")
    told = json.dumps([bundle.digest, permutations, *(asked[name] for name in names)])
    made = hashlib.sha256(told.encode())
    for mask in (match, used):
        made.update(np.packbits(mask).tobytes())
    return made.hexdigest()
