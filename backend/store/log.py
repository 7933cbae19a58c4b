"""One entry of the log: what it holds, how it is packed, how it reads in a history list."""

from __future__ import annotations

import json
import unicodedata
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from backend.core.arrays import as_numpy
from backend.core.content import TRAINING
from backend.core.errors import InputError, StoreError
from backend.core.plural import counted

CHANGES = (
    *("tag", "untag", "rename_region", "hypothesis", "view", "blind_check", "known", "answer"),
    "link",
)
"""Kinds that change what is shown, and that undo and redo therefore act on."""

AROUND = (
    *("imported", "sharing", "renamed", "removed", "restored", "deleted", "exported", "repair"),
    *("sign_in", "sign_out"),
)
"""Kinds that say what was done with a bundle, or by whom the server was entered, and change nothing
of what a bundle shows: neither its state nor its latest number knows of them."""

ERASURE = "erasure"
"""Kind that says that a person's name and key were replaced in all earlier events of a bundle."""

KINDS = (*CHANGES, "setting", "question", "undo", "redo", ERASURE, *AROUND)

SERVER = "server"
"""Stands in place of a bundle's digest in events that are about none."""

RIGHTS = ("none", "look", "tag")
"""What a bundle can be shared for; each with what stands before it."""

OF_EXAMPLES = ("tag", "untag", "answer", "question")
"""Kinds that always name examples."""

_REFUSED = ("Cc", "Cs", "Zl", "Zp")  # control characters, broken halves, line breaks


@dataclass(frozen=True)
class Event:
    """One thing somebody did.

    Attributes
    ----------
    seq : int
        Position in the log; later events have larger numbers, gaps are possible.
    bundle : str
        Digest of the bundle it is about.
    author : str
        Who did it, as it is shown.
    time : str
        When, in UTC: ``2026-11-22T16:00:50.123Z``.
    kind : str
        ``tag``, ``untag``, ``rename_region``, ``hypothesis``, ``view``, ``blind_check``,
        ``known``, ``answer``, ``link``, ``setting``, ``question``, ``undo``, ``redo``, ``erasure`` or
        one of ``AROUND``.
    tag : str or None
        The tag of a ``tag`` or ``untag``.
    target : int or None
        ``seq`` of the event that an ``undo`` or ``redo`` is about.
    n_ids : int
        How many examples a ``tag``, ``untag``, ``known``, ``answer`` or ``question`` names.
    payload : dict
        ``source`` of a ``tag`` or ``untag`` (where the examples came from); ``key`` and ``name`` of
        a ``rename_region``; ``key`` and ``card`` (None takes it away) of a ``hypothesis``; ``key``,
        ``name``, ``was`` (the name of one that is taken away) and ``state`` (None takes it away) of
        a ``view``; ``check`` of a ``blind_check``; ``key``,
        ``name``, ``reason`` (empty takes it back), ``note`` and ``source`` of a ``known``; ``name`` and ``value`` of a ``setting``;
        ``key`` (the older bundle), ``name``, ``unchanged`` and ``linked`` of a ``link``;
        what ``backend.store.questions`` says of a ``question`` and an ``answer``; ``of``,
        the summary of the target, and ``whose``, where that was another person's, of an ``undo`` or
        ``redo``; ``what`` of those in ``AROUND`` that need a word, ``with`` and ``right`` of a
        ``sharing``; ``name``, the pseudonym, of an ``erasure``.
    undone : bool
        Whether the change was reverted, as of the moment the event was read.
    packed : bytes
        The ids, compressed; read them from ``ids``.
    operation : str or None
        The caller's own name for what was asked, where one was given: the same name is done once.
    author_key : str
        Who did it, as people are told apart (``backend.store.authors``).
    """

    seq: int
    bundle: str
    author: str
    time: str
    kind: str
    tag: str | None = None
    target: int | None = None
    n_ids: int = 0
    payload: dict[str, Any] = field(default_factory=dict)
    undone: bool = False
    packed: bytes = field(default=b"", repr=False)
    operation: str | None = None
    author_key: str = ""

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the examples named, in the order given, each once."""
        return unpack_ids(self.packed, self.seq)

    @property
    def source(self) -> dict[str, Any] | None:
        """Where the examples came from; None when nothing was said."""
        return self.payload.get("source")

    @property
    def summary(self) -> str:
        """What happened, for a history list: ``tagged 212 examples 'coat-like shirts'``."""
        what = "training example" if self.bundle.endswith(TRAINING) else "example"
        examples = counted(self.n_ids, what)
        if self.kind == "tag":
            return f"tagged {examples} '{self.tag}'"
        if self.kind == "untag":
            return f"took '{self.tag}' off {examples}"
        if self.kind == "rename_region":
            name = self.payload.get("name", "")
            return f"named a region '{name}'" if name else "took the name off a region"
        if self.kind == "hypothesis":
            card = self.payload.get("card")
            return f"wrote the hypothesis '{card['sentence']}'" if card else "deleted a hypothesis"
        if self.kind == "view":
            if self.payload.get("state") is None:
                return f"deleted the view '{self.payload.get('was', '')}'"
            return f"saved the view '{self.payload.get('name', '')}'"
        if self.kind == "blind_check":
            return f"answered a blind check: {self.payload['check'].get('answer', '')}"
        if self.kind == "known":
            name, reason = self.payload.get("name", ""), self.payload.get("reason", "")
            if not reason:
                return f"took back '{name}', which was set aside"
            return f"set aside '{name}', {examples}: {reason}"
        if self.kind == "answer":
            name = self.payload.get("name") or "a group"
            return f"answered '{self.payload.get('answer', '')}' for '{name}'"
        if self.kind == "link":
            name = self.payload.get("name", "")
            if not self.payload.get("linked"):
                return f"took the link to '{name}' back"
            how = ", the same with another seed" if self.payload.get("unchanged") else ""
            return f"linked it to the older run '{name}'{how}"
        if self.kind == "question":
            return f"began to sharpen '{self.payload.get('name', '')}'"
        if self.kind == "setting":
            return f"set {self.payload.get('name', '')}"
        if self.kind == "sharing":
            return _shared(str(self.payload.get("with", "")), str(self.payload.get("right", "")))
        if self.kind == ERASURE:
            return f"replaced the name of a person by '{self.payload.get('name', '')}'"
        if self.kind in _SAID:
            return _SAID[self.kind].format(what=self.payload.get("what", "")).strip()
        verb = "undid" if self.kind == "undo" else "redid"
        whose = ", another person's" if self.payload.get("whose") else ""
        return f"{verb}{whose}: {self.payload.get('of', f'event {self.target}')}"


_SAID = {
    "imported": "imported the bundle",
    "renamed": "called the bundle '{what}'",
    "removed": "removed the bundle",
    "restored": "took the removed bundle back",
    "deleted": "deleted the removed bundle before its time",
    "exported": "took out {what}",
    "repair": "asked for {what}",
    "sign_in": "signed in",
    "sign_out": "signed out {what}",
}


def _shared(who: str, right: str) -> str:
    name = "everybody who signs in" if who == "*" else who.removeprefix("mail:")
    if right == "none":
        return f"no longer shares it with {name}"
    return f"lets {name} look" + (" and tag" if right == "tag" else "")


def clean_name(what: str, value: Any, *, longest: int = 80) -> str:
    """``value`` trimmed, if it is 1 to ``longest`` printable characters; else ``InputError``."""
    if not isinstance(value, str):
        raise InputError(f"{what} must be text: got {type(value).__name__}.")
    text = value.strip()
    if not 1 <= len(text) <= longest:
        raise InputError(f"{what} must have 1 to {longest} characters: got {len(text)}.")
    bad = [c for c in text if unicodedata.category(c) in _REFUSED]
    if bad:
        raise InputError(
            f"{what} must not hold control characters or line breaks: "
            f"got U+{ord(bad[0]):04X}. Remove it."
        )
    return text


def clean_tag(value: Any) -> str:
    """A tag as it is stored: trimmed, 1 to 80 characters, none of them a control character."""
    return clean_name("a tag", value)


def clean_author(value: Any) -> str:
    """An author as it is stored: trimmed, 1 to 200 characters, none of them a control character."""
    return clean_name("an author", value, longest=200)


def clean_operation(value: Any) -> str | None:
    """The caller's name for an operation, 1 to 80 characters; None stays None."""
    return None if value is None else clean_name("the name of an operation", value)


def clean_ids(ids: Iterable[Any]) -> list[str]:
    """Ids as a list of text, each once, in the order given; ``InputError`` when there are none."""
    if isinstance(ids, (str, bytes)):
        raise InputError(f"ids must be a list of ids: got the single text {ids[:80]!r}.")
    values = ids.tolist() if hasattr(ids, "tolist") else list(ids)
    if not values:
        raise InputError("ids must name at least one example: got none. Select some first.")
    for value in values:
        if not isinstance(value, str):
            raise InputError(
                f"ids must be text, as in the bundle's id column: got {value!r} "
                f"({type(value).__name__})."
            )
    try:
        "".join(values).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"ids must be proper Unicode text: {error}.") from error
    return list(dict.fromkeys(values))


def pack_ids(ids: list[str]) -> bytes:
    """Ids as compressed JSON: 100 000 of them take some tens of milliseconds and a few 100 KB."""
    return zlib.compress(json.dumps(ids, separators=(",", ":")).encode(), 1)


def unpack_ids(packed: bytes, seq: int) -> tuple[str, ...]:
    """The ids of ``pack_ids``; ``StoreError`` naming event ``seq`` when the bytes are damaged."""
    if not packed:
        return ()
    try:
        return tuple(json.loads(zlib.decompress(packed)))
    except (zlib.error, ValueError, TypeError) as error:
        raise StoreError(
            f"event {seq} is damaged: its ids cannot be read ({error}). "
            "Restore the database from a backup."
        ) from error


def pack_payload(payload: dict[str, Any]) -> str:
    """A payload as JSON. Arrays and tensors become lists; NaN and infinity are refused."""
    try:
        return json.dumps(payload, default=_plain, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"source must hold only text, finite numbers, lists, dicts and arrays: {error}."
        ) from error


def _plain(value: Any) -> Any:
    array = as_numpy(value)
    if array.dtype == object:
        raise TypeError(f"got a {type(value).__name__}")
    return array.tolist()
