"""Saved views: what somebody looked at, under a name, to come back to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from backend.core.errors import InputError
from backend.store.authors import Who
from backend.store.keeper import LogKeeper
from backend.store.log import Event, clean_name


@dataclass(frozen=True)
class SavedView:
    """A saved view as it stands now.

    ``key`` stays the same when it is saved again; ``state`` is what was given to ``save_view``; ``author``
    and ``time`` are of the last change, ``seq`` is its event.
    """

    key: str
    name: str
    state: dict[str, Any]
    author: str
    time: str
    seq: int


class SavedViews(LogKeeper):
    """The part of ``Store`` that keeps views: events like all others, so undo and redo work."""

    def save_view(
        self, bundle: Any, name: str, state: dict[str, Any], author: Who = "local"
    ) -> Event:
        """Keep a view under a name; a view that has this name already is replaced.

        Parameters
        ----------
        name : str
            1 to 80 characters after trimming, no control characters.
        state : dict
            Anything JSON can hold, arrays included; the store does not look into it.

        Returns
        -------
        Event
            Its ``payload["key"]`` names the view from now on.

        Raises
        ------
        InputError
            If the name or the state cannot be stored.
        """
        name = clean_name("the name of a view", name)
        if not isinstance(state, dict):
            raise InputError(f"the state of a view must be a dict: got {type(state).__name__}.")
        same = [view for view in self.views(bundle) if view.name == name]
        key = same[0].key if same else uuid4().hex
        return self._write_view(bundle, key, name, state, author=author)

    def delete_view(self, bundle: Any, view: str, author: Who = "local") -> Event:
        """Take a view, given by its key or name, away; undo brings it back."""
        held = self._view(bundle, view)
        return self._write_view(bundle, held.key, "", None, author=author, was=held.name)

    def views(self, bundle: Any) -> list[SavedView]:
        """The saved views of a bundle, by whomever, the first saved first."""
        return [
            SavedView(
                key,
                event.payload["name"],
                event.payload["state"],
                event.author,
                event.time,
                event.seq,
            )
            for key, event in self._cards(bundle, "view").items()
        ]

    def _view(self, bundle: Any, view: str) -> SavedView:
        for one in self.views(bundle):
            if view in (one.key, one.name):
                return one
        raise InputError(f"there is no saved view '{view}'. It may have been deleted.")

    def _write_view(
        self,
        bundle: Any,
        key: str,
        name: str,
        state: dict[str, Any] | None,
        *,
        author: Who,
        was: str = "",
    ) -> Event:
        payload = {"key": key, "name": name, "was": was, "state": state}
        return self._change("view", bundle, author, payload=payload)
