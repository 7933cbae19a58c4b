"""Who is compared when a hypothesis is tested, and who is set aside.

Examples that match are compared with those that do not, among the *confirmation* rows: all rows but
those used to find the hypothesis and, where groups of near-duplicates are known, their whole groups.
A hypothesis that came from nowhere gets a seeded half of the groups; the other half is for looking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.errors import InputError
from backend.rules import Rule, columns_of, evaluate

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Confirmation:
    """The examples of one test.

    Attributes
    ----------
    match, used : bool array of shape (n,)
        Which examples the hypothesis is about; which are set aside.
    table : DataFrame
        One line per independent unit that is left: ``stratum``, ``match``, mean ``loss`` and
        ``error`` (NaN where it is not known which predictions are right).
    """

    match: Mask
    used: Mask
    table: pd.DataFrame


def choose_rows(
    bundle: Bundle,
    mask_or_rule: Any,
    *,
    used_rows: Any,
    groups: str | None,
    tags: Any,
    null: str,
    random: np.random.Generator,
) -> Confirmation:
    """The examples of a test; arguments as for ``test_hypothesis``, ``random`` draws the halves."""
    match = _mask(bundle, mask_or_rule, tags)
    units = _units(bundle, groups)
    strata = _strata(bundle, null)
    used = (
        _half(units, random) if used_rows is None else _with_groups(_rows(bundle, used_rows), units)
    )
    return Confirmation(match, used, _table(bundle, match, units, strata, ~used))


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
