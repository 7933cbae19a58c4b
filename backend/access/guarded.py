"""The store as one person may use it: every method asks the gate before it reads or writes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

from backend.access.gate import Gate, Right
from backend.access.people import Person
from backend.core.errors import AccessError
from backend.store import Author, Store, author_of

_LOOK = (
    *("tags", "tag_counts", "names_of_tags", "tags_of", "tags_on", "region_names", "events"),
    *("events_of", "events_at", "last_seq", "undoable", "redoable", "hypotheses", "views"),
    *("known_regions", "run_links", "question", "answers", "setting", "write_setting", "note"),
    *("history", "people"),
)
_TAG = (
    *("tag", "untag", "rename_region", "write_hypothesis", "record_blind_check", "undo", "redo"),
    *("set_aside", "take_back", "save_view", "delete_view", "ask_question", "answer_question"),
    "unlink_runs",
)

RIGHTS: dict[str, dict[str, Right]] = {
    **{name: {"bundle": Right.LOOK} for name in _LOOK},
    **{name: {"bundle": Right.TAG} for name in _TAG},
    "carry_tags": {"origin": Right.LOOK, "bundle": Right.TAG},
    "link_runs": {"bundle": Right.TAG, "older": Right.LOOK},
    "retrains_of": {"older": Right.LOOK, "among": Right.LOOK},
    "share": {"bundle": Right.OWN},
    "grants": {"bundle": Right.OWN},
    "overrule": {"bundle": Right.ADMIN},
}
"""What a method of ``Store`` needs, for each of its arguments that is a bundle or several."""

CLOSED = (
    *(
        "holds",
        "end_sign_in",
        "end_sign_ins_of",
        "sign_ins",
        "granted",
        "erase",
        "place",
        "probe",
        "close",
    ),
)
"""Methods for the door and the command line alone."""


class GuardedStore:
    """Has the methods of ``Store`` in ``RIGHTS``, and no others: a new one without a row is refused.

    Parameters
    ----------
    store : Store
    gate : Gate
    person : Person
        Who uses it. Where people sign in, whatever is written has this person as its author.
    """

    def __init__(self, store: Store, gate: Gate, person: Person) -> None:
        self._store = store
        self._gate = gate
        self._person = person

    def __getattr__(self, name: str) -> Any:
        needs = RIGHTS.get(name)
        if needs is None:
            raise AttributeError(f"the store lets no page use {name!r}: it has no row in RIGHTS")
        method: Callable[..., Any] = getattr(self._store, name)

        def guarded(*args: Any, **kwargs: Any) -> Any:
            signature = _signature(name)
            given = signature.bind_partial(*args, **kwargs).arguments
            for argument, right in needs.items():
                several = argument == "among"
                if several:
                    given[argument] = list(given[argument])
                for bundle in given[argument] if several else [given.get(argument)]:
                    self._check(right, bundle)
            if "author" in signature.parameters and self._person.key:
                self._sign(given)
            found = method(**given)
            if name == "history" and self._gate.right(self._person, given["bundle"]) < Right.OWN:
                return [event for event in found if event.kind != "sharing"]
            return found

        return guarded

    def _check(self, right: Right, bundle: Any) -> None:
        if bundle is None:
            raise AccessError(
                "Only an admin may look at the log of all bundles, by the command line."
            )
        self._gate.check(self._person, right, bundle)

    def _sign(self, given: dict[str, Any]) -> None:
        """Have what is done stand under the name of who does it."""
        own = Author(self._person.name, self._person.key)
        if author_of(given.setdefault("author", own)).key != own.key:
            raise AccessError("Nothing is done in the name of somebody else.")


@cache
def _signature(name: str) -> inspect.Signature:
    whole = inspect.signature(getattr(Store, name))
    return whole.replace(parameters=list(whole.parameters.values())[1:])
