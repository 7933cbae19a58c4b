"""Keystrokes that arrive in numbered queues: each is done once and in order.

A browser cannot know what reached the server: a later state replaces an earlier one on the way, a
rerun may swallow one, a connection may drop. So it numbers its actions 1, 2, 3 ... under a name it
draws when the page opens (the *instance*) and sends all that are not acknowledged, again and again.
The server keeps the last number it did for each instance and tells it. Beside its number each
action carries a name of its own (``operation``), which the store does only once: it holds where the
numbers do not, after the server has forgotten the session.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

TAGGING = ("tag", "untag")
ANSWER = "answer"
KINDS = (*TAGGING, ANSWER, "undo", "redo")
DIGITS = tuple("123456789")
LONGEST_QUEUE = 2000
INSTANCES_KEPT = 16


@dataclass(frozen=True)
class Action:
    """One keystroke that changes something.

    Attributes
    ----------
    n : int
        Its number in the instance, from 1.
    operation : str
        Its name everywhere and for ever.
    kind : str
        ``tag``, ``untag``, ``answer``, ``undo`` or ``redo``.
    bundle : str
        Digest of the bundle that was on screen.
    ids : tuple of str
        Examples to tag, untag or answer; empty for undo and redo.
    tag : str
        The tag, or the answer; empty for undo and redo.
    digit : str
        The key that set the tag, "1" to "9"; empty where none did.
    question : str
        Key of the question that was on screen when it was answered.
    chance : float or None
        With which the example was drawn to be asked; None for one that was chosen.
    """

    n: int
    operation: str
    kind: str
    bundle: str
    ids: tuple[str, ...] = ()
    tag: str = ""
    digit: str = ""
    question: str = ""
    chance: float | None = None


@dataclass(frozen=True)
class Taken:
    """What of a message is to be done now.

    Attributes
    ----------
    instance : str
        Who sent it; empty when there is nothing to answer.
    actions : tuple of Action
        To be done, in this order. Done actions are left out, and so are those after a gap: they
        come again.
    refused : dict of {int: str}
        Number of an action that cannot be understood -> why. It counts as done.
    start : int
        The last number that was done before.
    """

    instance: str = ""
    actions: tuple[Action, ...] = ()
    refused: Mapping[int, str] = ()  # type: ignore[assignment]
    start: int = 0


def take(message: Any, done: Mapping[str, int]) -> Taken:
    """Read a queue: what of it was not done yet, in order, without gaps.

    Parameters
    ----------
    message : object
        ``{"instance": str, "items": [{"n", "operation", "kind", "bundle", "ids", "tag", "digit", "question",
        "chance"}, ...]}`` as a browser sends it; anything else is an empty queue. Items may stand in any order, several
        times.
    done : dict of {str: int}
        Instance -> the last number done. An instance that is not in it starts with the smallest
        number it sends: what it sent before was done by a session that is gone.
    """
    instance, items = _parts(message)
    if not instance or not items:
        return Taken(instance, start=done.get(instance, 0))
    start = done.get(instance, min(items) - 1)
    actions: list[Action] = []
    refused: dict[int, str] = {}
    at = start + 1
    while at in items:
        action = _action(at, items[at])
        if isinstance(action, Action):
            actions.append(action)
        else:
            refused[at] = action
        at += 1
    return Taken(instance, tuple(actions), refused, start)


def remember(done: Mapping[str, int], instance: str, n: int) -> dict[str, int]:
    """``done`` with this instance's last number, which never falls; old instances are forgotten."""
    kept = {name: last for name, last in done.items() if name != instance}
    kept[instance] = max(n, done.get(instance, 0))
    return dict(list(kept.items())[-INSTANCES_KEPT:])


def _parts(message: Any) -> tuple[str, dict[int, Mapping[str, Any]]]:
    """Instance and items by number; the first of several with one number counts."""
    if not isinstance(message, Mapping):
        return "", {}
    instance, items = message.get("instance"), message.get("items")
    if not isinstance(instance, str) or not 8 <= len(instance) <= 64:
        return "", {}
    found: dict[int, Mapping[str, Any]] = {}
    for item in items[:LONGEST_QUEUE] if isinstance(items, list) else []:
        n = item.get("n") if isinstance(item, Mapping) else None
        if isinstance(n, int) and not isinstance(n, bool) and n >= 1:
            found.setdefault(n, item)
    return instance, found


def _action(n: int, item: Mapping[str, Any]) -> Action | str:
    """The action, or why it is none."""
    kind, tag, ids = item.get("kind"), item.get("tag", ""), item.get("ids", [])
    operation, bundle = item.get("operation"), item.get("bundle")
    if kind not in KINDS:
        return f"There is no action {str(kind)[:40]!r}."
    if not isinstance(operation, str) or not operation or not isinstance(bundle, str):
        return "The action has no name, or names no bundle."
    if kind in ("undo", "redo"):
        return Action(n, operation, str(kind), bundle)
    if not isinstance(tag, str) or not isinstance(ids, list) or not ids:
        return "There is no tag or answer, or no example for it."
    if not all(isinstance(one, str) for one in ids):
        return "Ids must be text."
    digit = item.get("digit")
    pressed = digit if isinstance(digit, str) and digit in DIGITS and kind == "tag" else ""
    done = Action(n, operation, str(kind), bundle, tuple(ids), tag, pressed)
    if kind != ANSWER:
        return done
    question, chance = item.get("question", ""), item.get("chance")
    number = isinstance(chance, int | float) and not isinstance(chance, bool)
    if not isinstance(question, str) or not (chance is None or (number and 0 < chance <= 1)):
        return "An answer needs its question, and a chance above 0 and at most 1 or none."
    return replace(done, question=question, chance=None if chance is None else float(chance))
