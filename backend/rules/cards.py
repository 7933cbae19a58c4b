"""Stored hypotheses in the words of today.

Verdicts of version 1 knew one word, ``refused``, for two answers, and tested rules that confirm
themselves like any other. Their numbers say which answer it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend.rules.circular import Reliance, SourcesOf, reliance
from backend.rules.syntax import RuleError

SUPPORTED, CONTRADICTED, NOT_SHOWN = "supported", "contradicted", "not shown"
TOO_FEW, CIRCULAR = "too few examples", "circular"
VERDICTS = (SUPPORTED, CONTRADICTED, NOT_SHOWN, TOO_FEW, CIRCULAR)
REFUSED = "refused"
"""Said of both ``contradicted`` and ``not shown`` by version 1."""


def card_now(card: Mapping[str, Any], sources_of: SourcesOf = lambda tag: ()) -> dict[str, Any]:
    """A card with the verdict that would be given now; what it holds beside that stays.

    Parameters
    ----------
    card : mapping
        With ``rule`` and ``verdict`` where it has them; it may come from anybody.
    sources_of : callable, optional
        See ``backend.rules.circular.reliance``.
    """
    verdict = card.get("verdict")
    if not isinstance(verdict, Mapping) or "verdict" not in verdict:
        return dict(card)
    why = _reliance(card.get("rule"), sources_of).circular
    if why and verdict["verdict"] != CIRCULAR:
        untested = {"verdict": CIRCULAR, "reason": circular_reason(why)}
        return {**card, "verdict": {**verdict, **untested, "p": None, "low": None, "high": None}}
    if verdict["verdict"] == REFUSED:
        return {**card, "verdict": {**verdict, "verdict": _refused(verdict)}}
    return dict(card)


def circular_reason(why: str) -> str:
    """The reason of a verdict ``circular``."""
    return f"Nothing was tested: it confirms itself. {why}"


def _refused(verdict: Mapping[str, Any]) -> str:
    """Which of two answers ``refused`` was: an interval that leaves out 0 lies on the other side."""
    low, high = verdict.get("low"), verdict.get("high")
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return NOT_SHOWN
    return CONTRADICTED if low > 0 or high < 0 else NOT_SHOWN


def _reliance(rule: Any, sources_of: SourcesOf) -> Reliance:
    try:
        return reliance(rule, sources_of) if isinstance(rule, str) and rule else Reliance()
    except RuleError:  # it could be read when it was written
        return Reliance()
