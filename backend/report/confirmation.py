"""Who is compared when a hypothesis is tested, and who is set aside.

Examples that match are compared with those that do not, among the *confirmation* rows: all rows but
those used to find the hypothesis and, where groups of near-duplicates are known, their whole groups.
A hypothesis that came from nowhere gets a seeded half of the groups; the other half is for looking.
A tag that its rule names brings the rows that were used to set it (``origin``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.errors import InputError
from backend.report.origin import Mask, Origins, units_of
from backend.rules import Rule, evaluate
from backend.rules.circular import Reliance, reliance
from backend.rules.mentions import Mentions, mentions

MIN_N = 30
MIN_SIDE = 10


@dataclass(frozen=True, eq=False)
class Confirmation:
    """The examples of one test.

    Attributes
    ----------
    match, used : bool array of shape (n,)
        Which examples the hypothesis is about; which are set aside.
    halved : bool
        Whether those set aside are a random half.
    table : DataFrame
        One line per independent unit that is left: ``stratum``, ``match``, mean ``loss`` and
        ``error`` (NaN where it is not known which predictions are right).
    groups : str or None
        The column that says which rows are one unit.
    reliance : Reliance
        Whether the rule confirms itself.
    """

    match: Mask = field(repr=False)
    used: Mask = field(repr=False)
    halved: bool
    table: pd.DataFrame = field(repr=False)
    groups: str | None
    reliance: Reliance

    @property
    def n_meant(self) -> int:
        """Examples that match, used or not."""
        return int(self.match.sum())

    @property
    def n_matching(self) -> int:
        """Unused examples that match."""
        return int((self.match & ~self.used).sum())

    @property
    def n_other(self) -> int:
        """Unused examples that do not: what they are compared with."""
        return int((~self.match & ~self.used).sum())

    @property
    def n_used(self) -> int:
        """Examples that are set aside."""
        return int(self.used.sum())

    @property
    def shortage(self) -> str:
        """Why these are too few examples for a test; "" where they are enough."""
        of = "examples" if self.groups is None else "groups"
        matching = int(self.table["match"].sum())
        other = len(self.table) - matching
        if len(self.table) < MIN_N:
            return f"{len(self.table)} {of} were not used to find it, and {MIN_N} are needed"
        if matching < MIN_SIDE:
            return f"{matching} of the {of} not used to find it match, and {MIN_SIDE} are needed"
        if other < MIN_SIDE:
            return f"only {other} of the {of} not used to find it do not match"
        shared = self.table.groupby("stratum")["match"].nunique()
        if not (shared == 2).any():
            return (
                f"none of the {of} not used to find it has the label of another on the other side"
            )
        return ""


def choose_rows(
    bundle: Bundle,
    mask_or_rule: Any,
    *,
    used_rows: Any,
    groups: str | None,
    tags: Any,
    origins: Origins | None,
    null: str,
    seed: int,
) -> Confirmation:
    """The examples of a test; arguments as for ``test_hypothesis``."""
    match = _mask(bundle, mask_or_rule, tags)
    units = units_of(bundle, groups)
    strata = _strata(bundle, null)
    named, relies = Mentions(), Reliance()
    if isinstance(mask_or_rule, str | Rule):
        named = mentions(mask_or_rule)
        relies = reliance(mask_or_rule, origins.sources if origins else lambda tag: ())
    by_tags = [origins.of(tag).used for tag in sorted(named.tags)] if origins else []
    known = [mask for mask in by_tags if mask is not None]
    halved = used_rows is None and not known
    if halved:
        used = _half(units, np.random.default_rng([seed, 0]))
    else:
        given = np.zeros(bundle.n, dtype=bool) if used_rows is None else _rows(bundle, used_rows)
        used = _with_groups(np.logical_or.reduce([given, *known]), units)
    table = _table(bundle, match, units, strata, ~used)
    return Confirmation(match, used, halved, table, groups, relies)


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
