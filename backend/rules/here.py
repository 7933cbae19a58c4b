"""What of rules is worked out where it is asked for, and what is left to a worker."""

from __future__ import annotations

from collections.abc import Iterable

from backend.bundle import Bundle
from backend.rules.evaluate import checked
from backend.rules.kept import Budget, TooSlowHereError
from backend.rules.parser import parse
from backend.rules.pieces import keep_pieces, missing_pieces, steps_of, work_out
from backend.rules.syntax import Rule, RuleError

HERE_STEPS = 100_000_000
"""Numbers that rules may look at where they are asked for: a fraction of a second."""
HERE_S = 0.5
"""Seconds that this may take; whatever takes longer is given up there, and begun by a worker."""


def left_to_worker(rules: Iterable[str], bundle: Bundle) -> list[str]:
    """Work out what is cheap, and say which pieces a worker has to work out first.

    Parameters
    ----------
    rules : iterable of str
        Those that cannot be read or do not fit are left out: ``evaluate`` says why.
    bundle : Bundle

    Returns
    -------
    list of str
        For the task "rules", sorted; empty where ``evaluate`` has all it needs.
    """
    pieces = sorted(
        piece for piece in missing_pieces(_readable(rules), bundle) if _fits(piece, bundle)
    )
    if not pieces or steps_of(pieces, bundle) > HERE_STEPS:
        return pieces
    try:
        keep_pieces(pieces, work_out(pieces, bundle, Budget(seconds=HERE_S)), bundle)
    except TooSlowHereError:
        return pieces
    return []


def _readable(rules: Iterable[str]) -> list[Rule]:
    found = []
    for rule in rules:
        try:
            found.append(parse(rule))
        except RuleError:
            continue
    return found


def _fits(piece: str, bundle: Bundle) -> bool:
    try:
        checked(piece, bundle)
    except RuleError:
        return False
    return True
