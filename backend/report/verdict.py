"""Does a group really have the higher loss? A test on examples that were not used to find it.

``confirmation`` says who is compared with whom, ``studentised`` how. p is two-sided, and a directed
hypothesis must also have the right sign: a false one is supported with a chance of at most half the
level.

References
----------
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

from backend.bundle import Bundle
from backend.core.arrays import check_choice
from backend.core.errors import InputError
from backend.core.statistics import adjust_p, wilson_interval
from backend.report.confirmation import Mask, choose_rows
from backend.report.studentised import Difference, StratifiedLosses

VERSION = 1
"""Raised whenever the same arguments start to give another verdict."""
ALTERNATIVES = ("higher loss", "lower loss", "different loss")
NULLS = ("rest of data", "same label")
MIN_N = 30
MIN_SIDE = 10


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
    split, draws = (np.random.default_rng([seed, part]) for part in (0, 1))
    chosen = choose_rows(
        bundle,
        mask_or_rule,
        used_rows=used_rows,
        groups=groups,
        tags=tags,
        null=null,
        random=split,
    )
    match, used, table = chosen.match, chosen.used, chosen.table
    n1, n0 = int((~used & match).sum()), int((~used & ~match).sum())
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
    compared = StratifiedLosses(table)
    if not compared.n1.size:
        return _too_few(table, (0, sides[1]), common)
    made = compared.affordable(permutations)
    found = compared.test(draws, made, level)
    sign = {"higher loss": 1, "lower loss": -1}.get(alternative, 0)
    supported = found.p <= level and (sign == 0 or sign * found.difference > 0)
    return Verdict(
        verdict="supported" if supported else "refused",
        reason=_reason(supported, found, sign, level, null),
        matching_loss=found.first,
        other_loss=found.second,
        difference=found.difference,
        low=found.low,
        high=found.high,
        p=found.p,
        permutations=made,
        **common,
    )


test_hypothesis.__test__ = False  # type: ignore[attr-defined]  # pytest: not one of your tests


def adjusted(ps: list[float | None]) -> list[float | None]:
    """Benjamini-Hochberg adjusted p-values; None stays None and is not counted."""
    filled = adjust_p(np.array([math.nan if p is None else p for p in ps], dtype=np.float64))
    return [None if math.isnan(p) else float(p) for p in filled]


def _check(level: Any, seed: Any, permutations: Any) -> float:
    if not isinstance(level, int | float) or not 0 < level <= 0.5:
        raise InputError(f"level must be in (0, 0.5], for instance 0.05: got {level!r}.")
    if not isinstance(seed, int | np.integer) or not 0 <= seed < 2**63:
        raise InputError(f"seed must be a whole number of at least 0: got {seed!r}.")
    if not isinstance(permutations, int) or not 199 <= permutations <= 99_999:
        raise InputError(f"permutations must be 199 to 99 999: got {permutations!r}.")
    return float(level)


def _gap(losses: NDArray[np.float64], match: Mask, among: Mask) -> float | None:
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


def _reason(supported: bool, found: Difference, sign: int, level: float, null: str) -> str:
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
