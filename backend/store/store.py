"""The store that pages and the command line use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd
import sqlalchemy as sa

from backend.core.arrays import check_choice
from backend.core.errors import InputError
from backend.store.audit import Audit
from backend.store.authors import Who, author_of
from backend.store.carry import CarriesTags
from backend.store.database import events
from backend.store.keeper import LogKeeper, digest_of
from backend.store.known import KnownRegions
from backend.store.links import RunLinks
from backend.store.log import KINDS, Event, clean_name
from backend.store.questions import Questions
from backend.store.rows import event_of
from backend.store.sharing import Sharing
from backend.store.sign_ins import SignIns
from backend.store.views import SavedViews


class Store(
    SavedViews, KnownRegions, Questions, CarriesTags, RunLinks, SignIns, Sharing, Audit, LogKeeper
):
    """Tags, region names, hypotheses, views, answers and links of all bundles, in a log that only grows.

    >>> store = Store(home=folder)                                            # doctest: +SKIP
    >>> store.tag(bundle.digest, ["a", "b"], "blurred", author="Ada")         # doctest: +SKIP
    >>> store.undo(bundle.digest, "Ada").summary                              # doctest: +SKIP
    "undid: tagged 2 examples 'blurred'"

    Parameters
    ----------
    url : str, optional
        SQLAlchemy URL. Without one ``ERRORSCOPE_DATABASE``, else ``errorscope.sqlite`` in ``home``.
    home : path, optional
        Home folder, see ``backend.core.home``.
    wait_s : float
        Seconds to wait while another program writes, before giving up with ``StoreError``.
    later : bool
        Open the database at the first use. Where that fails the use raises, and a later one tries
        again; a server may then start before its database.
    until : int, optional
        Show every bundle as it stood at the event of this ``seq``, and change nothing: what is
        made of several looks then belongs together, whatever others do meanwhile.

    Notes
    -----
    Every method first reads what other processes appended, so two stores on one database agree.
    A store may be used by many threads at once. What a method returned is on disk: it survives
    ``kill -9``, and on SQLite a power cut as well (``synchronous=FULL``). ``backend.store.fold``
    says what undo means when several people tag the same examples.

    In all methods ``bundle`` is the digest of a bundle, or an object that has one as ``.digest``.

    Raises
    ------
    StoreError
        Here and in every method, if the database is locked, damaged or cannot be written.
    """

    def tag(
        self,
        bundle: Any,
        ids: Iterable[str],
        tag: str,
        *,
        author: Who = "local",
        source: dict[str, Any] | None = None,
        operation: str | None = None,
    ) -> Event:
        """Put a tag on examples.

        Parameters
        ----------
        ids : iterable of str
            Ids of the bundle's ``id`` column; repeated ones count once. Whether the bundle has
            them is the caller's matter.
        tag : str
            1 to 80 characters after trimming, no control characters.
        author : str or Author
            Who does it.
        source : dict, optional
            Where the examples came from, kept as it is: ``{"kind": "region", "index": 0,
            "key": ..., "center": [...], "precision": ..., "kernel": ..., "options": {...},
            "weighted_loss": ...}``, ``{"kind": "lasso", "projection": ..., "polygon": ...}``, ...
            Arrays become lists. The export computes weights from the center and precision.
        operation : str, optional
            A name of the caller's for this request, unique in the bundle. Asked again under the
            same name, by whomever, nothing is done and the first event is returned.

        Raises
        ------
        InputError
            If there are no ids, an id is not text, or the tag, author or source cannot be stored.
        """
        return self._change(
            "tag", bundle, author, ids=ids, tag=tag, payload=_sourced(source), operation=operation
        )

    def untag(
        self,
        bundle: Any,
        ids: Iterable[str],
        tag: str,
        *,
        author: Who = "local",
        source: dict[str, Any] | None = None,
        operation: str | None = None,
    ) -> Event:
        """Take a tag off examples, whoever put it there. Parameters as for ``tag``."""
        return self._change(
            "untag", bundle, author, ids=ids, tag=tag, payload=_sourced(source), operation=operation
        )

    def rename_region(self, bundle: Any, key: str, name: str, *, author: Who = "local") -> Event:
        """Call the region ``key`` by ``name`` (1 to 80 characters); an empty name takes it off."""
        key = clean_name("a region key", key, longest=200)
        name = clean_name("a region name", name) if str(name).strip() else ""
        return self._change("rename_region", bundle, author, payload={"key": key, "name": name})

    def write_hypothesis(
        self, bundle: Any, key: str, card: dict[str, Any] | None, *, author: Who = "local"
    ) -> Event:
        """Write or replace the hypothesis ``key``; None takes it away.

        Parameters
        ----------
        key : str
            1 to 200 characters; the same in every version of a card.
        card : dict or None
            At least ``sentence`` (1 to 1000 characters); ``backend.report`` says what else.
        """
        key = clean_name("the key of a hypothesis", key, longest=200)
        if card is not None:
            if not isinstance(card, dict):
                raise InputError(f"card must be a dict or None: got {type(card).__name__}.")
            sentence = clean_name("a hypothesis", card.get("sentence"), longest=1000)
            card = {**card, "sentence": sentence}
        return self._change("hypothesis", bundle, author, payload={"key": key, "card": card})

    def hypotheses(self, bundle: Any) -> list[Event]:
        """The event of every hypothesis as it stands now, the first written first."""
        return list(self._cards(bundle, "hypothesis").values())

    def record_blind_check(
        self, bundle: Any, check: dict[str, Any], *, author: Who = "local"
    ) -> Event:
        """Keep the answer to a blind check; ``backend.report.blind`` says what it holds."""
        if not isinstance(check, dict) or not check.get("answer"):
            raise InputError(f"a blind check must be a dict with an 'answer': got {check!r:.80}.")
        return self._change("blind_check", bundle, author, payload={"check": check})

    def write_setting(self, bundle: Any, name: str, value: Any, *, author: Who = "local") -> Event:
        """Remember something of this author's for this bundle: JSON under a name of 1 to 80 characters.

        The latest value counts. It changes nothing that others see, so undo passes it by.
        """
        name = clean_name("the name of a setting", name)
        return self._change("setting", bundle, author, payload={"name": name, "value": value})

    def setting(self, bundle: Any, name: str, *, author: Who = "local") -> Any:
        """What this author set last under this name; None when they never did."""
        with self._fold(bundle) as fold:
            seq = fold.setting(author_of(author).key, name)
        return None if seq is None else self.events_at(bundle, [seq])[0].payload["value"]

    def undo(
        self, bundle: Any, author: Who = "local", *, operation: str | None = None
    ) -> Event | None:
        """Revert this author's latest change in the bundle that is not reverted yet.

        ``operation`` as for ``tag``.

        Returns
        -------
        Event or None
            The ``undo`` event, which points at the change; None when there is nothing to undo.
        """
        return self._revert("undo", bundle, author, operation)

    def redo(
        self, bundle: Any, author: Who = "local", *, operation: str | None = None
    ) -> Event | None:
        """Bring back the change this author reverted last, unless they changed something since.

        Returns
        -------
        Event or None
            The ``redo`` event; None when there is nothing to redo.
        """
        return self._revert("redo", bundle, author, operation)

    def undoable(self, bundle: Any, author: Who = "local") -> Event | None:
        """The change that ``undo`` would revert, for the text of a button."""
        return self._peek(bundle, author, redo=False)

    def redoable(self, bundle: Any, author: Who = "local") -> Event | None:
        """The change that ``redo`` would bring back."""
        return self._peek(bundle, author, redo=True)

    def tags(self, bundle: Any) -> pd.DataFrame:
        """All tags in force: the union of what all authors tagged.

        Returns
        -------
        DataFrame
            One row per (id, tag), ordered by tag, then id; columns ``id``, ``tag``, ``author`` and
            ``time`` of whoever put it there first, ``source_seq`` (``seq`` of that event). Empty
            when nothing is tagged.
        """
        with self._fold(bundle) as fold:
            return fold.table().copy(deep=False)

    def tag_counts(self, bundle: Any) -> dict[str, int]:
        """Tag -> how many examples carry it, tags in alphabetical order."""
        with self._fold(bundle) as fold:
            return fold.counts()

    def names_of_tags(self, bundle: Any) -> list[str]:
        """Every tag that was ever set in this bundle, whether or not it stands, oldest first."""
        with self._fold(bundle) as fold:
            return fold.names_of_tags()

    def tags_of(self, bundle: Any, example: str) -> list[str]:
        """Tags of the example with this id, in alphabetical order."""
        with self._fold(bundle) as fold:
            return fold.tags_of(example)

    def tags_on(self, bundle: Any, examples: Iterable[str]) -> dict[str, list[str]]:
        """Example -> its tags in alphabetical order, for those of these examples that carry one."""
        with self._fold(bundle) as fold:
            return fold.tags_on(examples)

    def region_names(self, bundle: Any) -> dict[str, str]:
        """Region key -> the name somebody gave it."""
        with self._fold(bundle) as fold:
            return fold.names

    def events(
        self, bundle: Any, limit: int | None = None, *, kind: str | None = None
    ) -> list[Event]:
        """The latest ``limit`` events of a bundle (all by default), newest first.

        Those of ``AROUND`` are left out: ``history`` has them. With a ``kind`` only events of that kind, those that were taken back included.
        """
        digest = digest_of(bundle)
        if limit is not None and limit < 1:
            raise InputError(f"limit must be at least 1: got {limit}.")
        query = sa.select(events).where(self._of(digest)).order_by(events.c.seq.desc())
        if kind is not None:
            query = query.where(events.c.kind == check_choice("kind", kind, KINDS))
        with self._reading() as connection:
            fold = self._advance(connection, digest)
            rows = connection.execute(query.limit(limit)).all()
        with self._lock:
            return [event_of(row, fold.undone) for row in rows]

    def events_of(self, bundle: Any, example: str) -> list[Event]:
        """The tags, untags and settings aside, reverted or not, that name this example, oldest first."""
        with self._fold(bundle) as fold:
            seqs = fold.changes_of(example)
        return self.events_at(bundle, seqs)

    def last_seq(self, bundle: Any) -> int:
        """``seq`` of the bundle's latest event, 0 before the first; one look at an index."""
        of_bundle = self._of(digest_of(bundle))
        query = sa.select(events.c.seq).where(of_bundle).order_by(events.c.seq.desc()).limit(1)
        with self._reading() as connection:
            return int(connection.execute(query).scalar() or 0)


def _sourced(source: dict[str, Any] | None) -> dict[str, Any]:
    if source is None:
        return {}
    if not isinstance(source, dict):
        raise InputError(f"source must be a dict or None: got {type(source).__name__}.")
    return {"source": source}
