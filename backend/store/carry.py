"""Tags of one bundle put on the examples of the same ids in another: a file that was imported anew."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import numpy as np

from backend.core.errors import InputError
from backend.store.authors import LOCAL, Who
from backend.store.keeper import TOGETHER, LogKeeper, digest_of

CARRIED = "carried"
"""Kind of the source of a tag that was carried over."""


@dataclass(frozen=True)
class CarriedTags:
    """What carrying tags over did.

    Attributes
    ----------
    tags : tuple of str
        Tags that at least one example got, in alphabetical order.
    carried : int
        Pairs of example and tag that are there now and were not before.
    known : int
        Pairs that were there before.
    missing : int
        Pairs whose example the other bundle does not have.
    """

    tags: tuple[str, ...] = ()
    carried: int = 0
    known: int = 0
    missing: int = 0


class CarriesTags(LogKeeper):
    """The part of ``Store`` that carries tags from one bundle to another."""

    def carry_tags(
        self, origin: Any, bundle: Any, ids: Iterable[str], *, author: Who = LOCAL
    ) -> CarriedTags:
        """Put the tags that are in force in ``origin`` on the same ids in ``bundle``.

        They are this author's changes, all of one moment: undo takes them back in one step, and
        redo brings them back in one. The source of each is ``{"kind": "carried", "bundle": digest
        of the origin, "from": the source there}``, so that what a tag was set by stays known.

        Parameters
        ----------
        origin, bundle
            Where the tags are, and where they shall be.
        ids : iterable of str
            Ids of all examples of ``bundle``.
        author : str or Author
            Who does it.

        Returns
        -------
        CarriedTags

        Raises
        ------
        InputError
            If both are the same bundle.
        """
        first, second = digest_of(origin), digest_of(bundle)
        if first == second:
            raise InputError("tags can be carried over from another bundle only.")
        with self._fold(first) as fold:
            held = fold.table().copy(deep=False)
        with self._fold(second) as fold:
            there = fold.table()
            known = set(zip(there["tag"], there["id"], strict=True))
        own = set(ids)
        pairs = list(zip(held["tag"], held["id"], held["source_seq"], strict=True))
        found = [pair for pair in pairs if pair[1] in own]
        new = [pair for pair in found if pair[:2] not in known]
        told = {
            event.seq: event.source
            for event in self.events_at(first, np.unique([seq for *_, seq in new]).tolist())
        }
        sets: dict[tuple[str, str], list[str]] = {}
        for tag, one, seq in new:
            sets.setdefault((tag, json.dumps(told.get(int(seq)))), []).append(one)
        batch = uuid4().hex
        changes = [
            self._values(
                "tag",
                second,
                author,
                payload={"source": {"kind": CARRIED, "bundle": first, "from": json.loads(source)}},
                ids=examples,
                tag=tag,
                operation=f"{TOGETHER}{batch} {place}",
            )
            for place, ((tag, source), examples) in enumerate(sets.items())
        ]
        if changes:
            with self._writing() as connection:
                for values in changes:
                    self._append(connection, values)
        return CarriedTags(
            tuple(sorted({tag for tag, _ in sets})),
            len(new),
            len(found) - len(new),
            len(pairs) - len(found),
        )
