"""From rows of the database to events and to the steps that the fold takes."""

from __future__ import annotations

import json
from collections.abc import Container
from typing import Any

from sqlalchemy.engine import Row

from backend.core.errors import StoreError
from backend.store.authors import key_of
from backend.store.fold import Step
from backend.store.log import CHANGES, Event, unpack_ids

NAMED = ("rename_region", "hypothesis", "view", "known", "setting", "answer", "link")
"""Kinds whose payload the fold needs."""


def step_of(row: Row[*tuple[Any, ...]]) -> Step:
    """What the fold needs; ``name`` holds the payload of the kinds in ``NAMED``."""
    payload = _payload(row.name, row.seq) if row.kind in NAMED else {}
    name = "a card" if payload.get("card") else payload.get("name", "")
    if row.kind == "answer":
        name = ""
    if row.kind == "view" and payload.get("state") is None:
        name = ""
    if row.kind == "known":
        name = payload.get("reason", "")
    return Step(
        row.seq,
        row.author,
        row.time,
        row.kind,
        row.tag,
        row.target,
        unpack_ids(row.ids, row.seq) if row.kind in CHANGES else (),
        payload.get("key", ""),
        name,
        _key(row),
    )


def event_of(row: Row[*tuple[Any, ...]], undone: Container[int]) -> Event:
    """A whole row; ``undone`` are the events that were taken back."""
    return Event(
        seq=row.seq,
        bundle=row.bundle,
        author=row.author,
        time=row.time,
        kind=row.kind,
        tag=row.tag,
        target=row.target,
        n_ids=row.n_ids,
        payload=_payload(row.payload, row.seq),
        undone=row.seq in undone,
        packed=row.ids,
        operation=row.operation,
        author_key=_key(row),
    )


def _key(row: Row[*tuple[Any, ...]]) -> str:
    """The author's key; a program of the version before that is still running writes none."""
    return str(row.author_key or key_of(row.author))


def _payload(text: str, seq: int) -> dict[str, Any]:
    try:
        return dict(json.loads(text))
    except (TypeError, ValueError) as error:
        raise StoreError(
            f"event {seq} is damaged: its payload cannot be read ({error}). "
            "Restore the database from a backup."
        ) from error
