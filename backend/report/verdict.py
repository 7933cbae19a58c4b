"""Does a group really have the higher loss? A test on examples that were not used to find it.

``confirmation`` says who is compared with whom, ``studentised`` how. p is two-sided, and a directed
hypothesis must also have the right sign: a false one is supported with a chance of at most half the
level. One whose rule goes by how the model did confirms itself, and is not tested at all
(``backend.rules.circular``).

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
from backend.report.confirmation import Confirmation, Mask, choose_rows
from backend.report.origin import Origins
from backend.report.studentised import Difference, StratifiedLosses
from backend.rules.cards import (
    CIRCULAR,
    CONTRADICTED,
    NOT_SHOWN,
    SUPPORTED,
    TOO_FEW,
    circular_reason,
)

VERSION = 2
"""Raised whenever the same arguments start to give another verdict."""
ALTERNATIVES = ("higher loss", "lower loss", "different loss")
NULLS = ("rest of data", "same label")


@dataclass(frozen=True)
class Verdict:
    """What a test of one hypothesis said. Numbers are None where they are undefined.

    Attributes
    ----------
    verdict : str
        ``supported``; ``contradicted``, the difference is shown to go the other way; ``not shown``,
        no difference could be told; ``too few examples``; ``circular``, which was not tested.
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
        return self.verdict == SUPPORTED

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
    origins: Origins | None = None,
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
    origins : Origins, optional
        Where these tags come from: rows that were used to set them are set aside as well, instead
        of a random half. Without it nothing is known of them.
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
    What found a region cannot confirm it. Where its search kept rows aside, all others are used
    (``Origins.rows_used``), and its kept-aside members are the test. A spotlight is found on all rows:
    its members are set aside although they match best, and what is left is the harder part of the
    claim.

    Raises
    ------
    InputError
        If an option cannot be used, a mask is not one bool per example, the rule does not fit the
        bundle, or ``same label`` is asked for without labels.
    """
    level = _check(level, permutations)
    check_choice("alternative", alternative, ALTERNATIVES)
    chosen = plan_hypothesis(
        bundle,
        mask_or_rule,
        used_rows=used_rows,
        groups=groups,
        tags=tags,
        origins=origins,
        seed=seed,
        null=null,
    )
    match, used, table = chosen.match, chosen.used, chosen.table
    common: dict[str, Any] = {
        "n": chosen.n_matching + chosen.n_other,
        "n_matching": chosen.n_matching,
        "n_other": chosen.n_other,
        "n_used": chosen.n_used,
        "units": len(table),
        "discovery_difference": _gap(bundle.losses, match, used) if chosen.halved else None,
        "level": level,
        "alternative": alternative,
        "null": null,
        "groups": groups,
        "seed": seed,
        "version": VERSION,
    }
    common["fingerprint"] = _fingerprint(bundle, match, used, common, permutations)
    common |= _errors(table, level)
    if chosen.reliance.circular:
        return _untested(CIRCULAR, circular_reason(chosen.reliance.circular), table, common)
    if chosen.shortage:
        why = f"Too few examples to say: {chosen.shortage}."
        return _untested(TOO_FEW, why, table, common)
    compared = StratifiedLosses(table)
    made = compared.affordable(permutations)
    found = compared.test(np.random.default_rng([seed, 1]), made, level)
    sign = {"higher loss": 1, "lower loss": -1}.get(alternative, 0)
    verdict = NOT_SHOWN
    if found.p <= level:
        verdict = SUPPORTED if sign == 0 or sign * found.difference > 0 else CONTRADICTED
    told = [_reason(verdict, found, level, null), chosen.reliance.note]
    return Verdict(
        verdict=verdict,
        reason=" ".join(filter(None, told)),
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


def plan_hypothesis(
    bundle: Bundle,
    mask_or_rule: Any,
    *,
    used_rows: Any = None,
    groups: str | None = None,
    tags: Mapping[str, Any] | pd.DataFrame | None = None,
    origins: Origins | None = None,
    seed: int = 0,
    null: str = "rest of data",
) -> Confirmation:
    """The examples that a test would be made on, before it is made.

    Parameters and errors as for ``test_hypothesis``, which takes them from here.

    Returns
    -------
    Confirmation
        ``n_meant`` examples match, ``n_matching`` of them are unused and ``n_other`` are there to
        be compared with; ``shortage`` says why that is too few, ``reliance`` whether the rule
        confirms itself.
    """
    check_choice("null", null, NULLS)
    if not isinstance(seed, int | np.integer) or not 0 <= seed < 2**63:
        raise InputError(f"seed must be a whole number of at least 0: got {seed!r}.")
    return choose_rows(
        bundle,
        mask_or_rule,
        used_rows=used_rows,
        groups=groups,
        tags=tags,
        origins=origins,
        null=null,
        seed=int(seed),
    )


def adjusted(ps: list[float | None]) -> list[float | None]:
    """Benjamini-Hochberg adjusted p-values; None stays None and is not counted."""
    filled = adjust_p(np.array([math.nan if p is None else p for p in ps], dtype=np.float64))
    return [None if math.isnan(p) else float(p) for p in filled]


def _check(level: Any, permutations: Any) -> float:
    if not isinstance(level, int | float) or not 0 < level <= 0.5:
        raise InputError(f"level must be in (0, 0.5], for instance 0.05: got {level!r}.")
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


def _untested(verdict: str, reason: str, table: pd.DataFrame, common: dict[str, Any]) -> Verdict:
    """A verdict without a test: the means as they are, no interval and no p."""
    first = table["match"].to_numpy()
    losses = table["loss"].to_numpy()
    means = [float(losses[side].mean()) if side.any() else None for side in (first, ~first)]
    difference = None if None in means else means[0] - means[1]  # type: ignore[operator]
    return Verdict(
        verdict=verdict,
        reason=reason,
        matching_loss=means[0],
        other_loss=means[1],
        difference=difference,
        low=None,
        high=None,
        p=None,
        permutations=0,
        **common,
    )


def _reason(verdict: str, found: Difference, level: float, null: str) -> str:
    than = "others of the same label" if null == "same label" else "the others"
    side = "higher" if found.difference >= 0 else "lower"
    share = f"{100 * (1 - level):g}\u00a0% interval {found.low:.3g} to {found.high:.3g}"
    told = f"The mean loss is {abs(found.difference):.3g} {side} than that of {than} ({share})."
    if verdict == CONTRADICTED:
        return f"{told} The hypothesis says the opposite."
    if verdict == NOT_SHOWN:
        return f"{told} That is not told apart from no difference."
    return told


def _fingerprint(
    bundle: Bundle, match: Mask, used: Mask, asked: dict[str, Any], permutations: int
) -> str:
    names = ("level", "alternative", "null", "groups", "seed", "version")
    told = json.dumps([bundle.content, permutations, *(asked[name] for name in names)])
    made = hashlib.sha256(told.encode())
    for mask in (match, used):
        made.update(np.packbits(mask).tobytes())
    return made.hexdigest()
