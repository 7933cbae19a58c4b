"""Two groups beside each other: how many, how much they share, how the model does on each."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core import wording
from backend.core.effects import Effect, measure_effect

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]

UNSEEN = "examples measured"


def pair_effects(
    bundle: Bundle, groups: tuple[Rows, Rows], used: tuple[Mask | None, Mask | None]
) -> tuple[Effect, Effect]:
    """What the losses say of each of two groups, on rows that had no part in making it.

    Parameters
    ----------
    bundle : Bundle
    groups : two int arrays
        Rows of the members of each.
    used : two bool arrays of shape (n,), or None
        Rows whose losses had a say in which examples the group holds; None where none had.
    """
    correct = bundle.correct
    wrong = None if correct is None else ~np.asarray(correct, dtype=bool)
    first, second = (
        measure_effect(
            rows,
            np.ones(bundle.n, dtype=bool) if seen is None else ~np.asarray(seen, dtype=bool),
            bundle.losses,
            wrong=wrong,
        )
        for rows, seen in zip(groups, used, strict=True)
    )
    return first, second


def pair_table(groups: tuple[Rows, Rows], effects: tuple[Effect, Effect]) -> pd.DataFrame:
    """Counts, error rates and mean losses of two groups in words, with their difference.

    Parameters
    ----------
    groups : two int arrays
        Rows of the members of each.
    effects : two Effects
        Of ``pair_effects``.

    Returns
    -------
    DataFrame
        ``of`` (what is told), ``first``, ``second`` and ``difference`` (first less second), as text.
        Error rate and mean loss come with their 95 % intervals; that of a difference is made of the
        two (Zou and Donner 2008).

    References
    ----------
    Zou, Donner, Construction of confidence limits about effect measures: a general approach.
    Statistics in Medicine 27 (2008), 1693-1702.
    """
    first, second = groups
    a, b = effects
    both = f"{len(np.intersect1d(first, second)):,}"
    told = [
        (wording.MEMBERS, f"{len(first):,}", f"{len(second):,}", ""),
        ("members of both", both, both, ""),
        (UNSEEN, f"{a.n:,}", f"{b.n:,}", ""),
    ]
    if math.isfinite(a.error) or math.isfinite(b.error):
        ends = [(one.error, one.error_low, one.error_high) for one in effects]
        cells = [
            _with(wording.percent(share), wording.percent_range(low, high))
            for share, low, high in ends
        ]
        told.append((wording.ERROR, cells[0], cells[1], wording.points_words(*difference(*ends))))
    ends = [(one.loss, one.loss_low, one.loss_high) for one in effects]
    cells = [_with(_minus(wording.number(loss)), _range(low, high)) for loss, low, high in ends]
    gap, low, high = difference(*ends)
    told.append((wording.MEAN, cells[0], cells[1], _with(_signed(gap), _range(low, high))))
    return pd.DataFrame(told, columns=["of", "first", "second", "difference"])


def difference(
    first: tuple[float, float, float], second: tuple[float, float, float]
) -> tuple[float, float, float]:
    """First less second with an interval, from two independent numbers and their intervals.

    Each is ``(value, low, high)``. NaN where a part is.
    """
    (a, a_low, a_high), (b, b_low, b_high) = first, second
    gap = a - b
    return (
        gap,
        gap - math.hypot(a - a_low, b_high - b),
        gap + math.hypot(a_high - a, b - b_low),
    )


def _with(value: str, interval: str) -> str:
    return value if interval == wording.DASH else f"{value} ({interval})"


def _range(low: float, high: float) -> str:
    if not (math.isfinite(low) and math.isfinite(high)):
        return wording.DASH
    return f"{_minus(wording.number(low))} to {_minus(wording.number(high))}"


def _signed(value: Any) -> str:
    said = _minus(wording.number(value))
    return f"+{said}" if math.isfinite(value) and value > 0 else said


def _minus(said: str) -> str:
    return said.replace("-", wording.MINUS, 1) if said.startswith("-") else said
