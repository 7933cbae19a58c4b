"""What pages show of a store that may be out of reach."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import pandas as pd

from backend.core.errors import StoreError
from backend.store.authors import Who
from backend.store.fold import Fold
from backend.store.keeper import RETRY_S, digest_of
from backend.store.known import KnownRegion
from backend.store.links import RunLink
from backend.store.log import Event
from backend.store.questions import GivenAnswer, Question
from backend.store.store import Store
from backend.store.views import SavedView

Read = TypeVar("Read")


class Reader:
    """Reads a store; while that cannot be read, nothing is kept there, and ``trouble`` says why.

    For what is only looked at beside other things. Whatever leaves the program, or is kept, asks the
    store itself, which raises. A bundle whose log refused is left alone for ``RETRY_S`` seconds, so
    that a page does not wait for a dead database once for everything it shows.

    Methods are those of ``Store`` that read. Readers of one database for several people share what
    they know of its refusals, ``refused``.
    """

    def __init__(self, store: Store, refused: dict[str, tuple[float, str]] | None = None) -> None:
        self._store = store
        self._refused = {} if refused is None else refused

    def trouble(self, bundle: Any) -> str:
        """Why the log of this bundle cannot be read now; empty while it can."""
        self.tag_counts(bundle)
        return self._refused.get(digest_of(bundle), (0.0, ""))[1]

    def tags(self, bundle: Any) -> pd.DataFrame:
        return self._read(bundle, lambda: self._store.tags(bundle), Fold().table)

    def tag_counts(self, bundle: Any) -> dict[str, int]:
        return self._read(bundle, lambda: self._store.tag_counts(bundle), dict)

    def names_of_tags(self, bundle: Any) -> list[str]:
        return self._read(bundle, lambda: self._store.names_of_tags(bundle), list)

    def tags_on(self, bundle: Any, examples: Iterable[str]) -> dict[str, list[str]]:
        return self._read(bundle, lambda: self._store.tags_on(bundle, examples), dict)

    def region_names(self, bundle: Any) -> dict[str, str]:
        return self._read(bundle, lambda: self._store.region_names(bundle), dict)

    def events(
        self, bundle: Any, limit: int | None = None, *, kind: str | None = None
    ) -> list[Event]:
        return self._read(bundle, lambda: self._store.events(bundle, limit, kind=kind), list)

    def events_of(self, bundle: Any, example: str) -> list[Event]:
        return self._read(bundle, lambda: self._store.events_of(bundle, example), list)

    def views(self, bundle: Any) -> list[SavedView]:
        return self._read(bundle, lambda: self._store.views(bundle), list)

    def known_regions(self, bundle: Any) -> list[KnownRegion]:
        return self._read(bundle, lambda: self._store.known_regions(bundle), list)

    def run_links(self, bundle: Any) -> list[RunLink]:
        return self._read(bundle, lambda: self._store.run_links(bundle), list)

    def retrains_of(self, older: Any, among: Iterable[str]) -> list[RunLink]:
        return self._read(older, lambda: self._store.retrains_of(older, among), list)

    def question(self, bundle: Any, key: str) -> Question | None:
        return self._read(bundle, lambda: self._store.question(bundle, key), lambda: None)

    def answers(self, bundle: Any, key: str) -> list[GivenAnswer]:
        return self._read(bundle, lambda: self._store.answers(bundle, key), list)

    def setting(self, bundle: Any, name: str, *, author: Who = "local") -> Any:
        return self._read(
            bundle, lambda: self._store.setting(bundle, name, author=author), lambda: None
        )

    def undoable(self, bundle: Any, author: Who = "local") -> Event | None:
        return self._read(bundle, lambda: self._store.undoable(bundle, author), lambda: None)

    def redoable(self, bundle: Any, author: Who = "local") -> Event | None:
        return self._read(bundle, lambda: self._store.redoable(bundle, author), lambda: None)

    def people(self, bundle: Any) -> dict[str, str]:
        return self._read(bundle, lambda: self._store.people(bundle), dict)

    def last_seq(self, bundle: Any) -> int:
        return self._read(bundle, lambda: self._store.last_seq(bundle), int)

    def _read(self, bundle: Any, read: Callable[[], Read], nothing: Callable[[], Read]) -> Read:
        digest = digest_of(bundle)
        if time.monotonic() < self._refused.get(digest, (0.0, ""))[0]:
            return nothing()
        try:
            found = read()
        except StoreError as error:
            self._refused[digest] = (time.monotonic() + RETRY_S, str(error))
            return nothing()
        self._refused.pop(digest, None)
        return found
