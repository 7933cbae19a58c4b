"""Regions that somebody set aside, as known or of no interest, so that searches go on to others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from backend.core.errors import InputError
from backend.store.authors import Who, author_of
from backend.store.keeper import LogKeeper
from backend.store.log import Event, clean_name

REASONS = ("known", "not of interest", "label noise")
"""What pages offer; any other word will do."""


@dataclass(frozen=True)
class KnownRegion:
    """A region that is set aside now.

    ``key`` names it; ``name`` is what it was called, ``ids`` are its members; ``reason`` a word or a
    few, ``note`` more of it or empty; ``source`` where it came from, as of a tag, or None. Who did it
    when: ``author``, ``author_key``, ``time``; ``seq`` is the event.
    """

    key: str
    name: str
    reason: str
    note: str
    ids: tuple[str, ...]
    source: dict[str, Any] | None
    author: str
    author_key: str
    time: str
    seq: int


class KnownRegions(LogKeeper):
    """The part of ``Store`` that keeps what was set aside: events like all others, shared by everybody."""

    def set_aside(
        self,
        bundle: Any,
        ids: Iterable[str],
        reason: str,
        *,
        name: str,
        note: str = "",
        source: dict[str, Any] | None = None,
        author: Who = "local",
    ) -> Event:
        """Set a region aside.

        Parameters
        ----------
        ids : iterable of str
            Its members.
        reason : str
            1 to 80 characters: one of ``REASONS``, or another word.
        name : str
            What it is called, 1 to 200 characters.
        note : str
            Why, up to 1000 characters; may be empty.
        source : dict, optional
            Where it came from, without long numbers.

        Returns
        -------
        Event
            Its ``payload["key"]`` names what was set aside from now on.

        Raises
        ------
        InputError
            If there are no ids, or a text cannot be stored.
        """
        payload: dict[str, Any] = {
            "key": uuid4().hex,
            "reason": clean_name("the reason", reason),
            "name": clean_name("the name of a region", name, longest=200),
            "note": clean_name("the note", note, longest=1000) if str(note).strip() else "",
        }
        if source is not None:
            payload["source"] = source
        return self._change("known", bundle, author, ids=ids, payload=payload)

    def take_back(self, bundle: Any, key: str, *, author: Who = "local") -> Event:
        """Let a region be searched again that this author set aside; undo sets it aside again.

        Raises
        ------
        InputError
            If nothing is set aside under this key, or by somebody else.
        """
        held = {one.key: one for one in self.known_regions(bundle)}.get(key)
        if held is None:
            raise InputError("this region is not set aside any more: it was taken back already.")
        if held.author_key != author_of(author).key:
            raise InputError(
                f"'{held.name}' was set aside by {held.author}, who alone can take it back."
            )
        payload = {"key": key, "reason": "", "name": held.name, "note": ""}
        return self._change("known", bundle, author, payload=payload)

    def known_regions(self, bundle: Any) -> list[KnownRegion]:
        """What is set aside now, by whomever, the first first."""
        return [
            KnownRegion(
                key,
                event.payload["name"],
                event.payload["reason"],
                event.payload.get("note", ""),
                event.ids,
                event.source,
                event.author,
                event.author_key,
                event.time,
                event.seq,
            )
            for key, event in self._cards(bundle, "known").items()
        ]
