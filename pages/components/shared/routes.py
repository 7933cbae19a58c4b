"""Routes beside the pages: what one session may ask of them, and where they hang.

A page hands its browser a ticket, which is as secret as the session it was given to. Routes give and
take nothing without one, so another site cannot use them.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import streamlit as st
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import BaseRoute, Route

from backend.access import EVERYBODY, NOBODY, Person
from pages.components.door import identity
from pages.components.door.door import PERSON, WHO

TICKET_S = 12 * 3600
MAX_TICKETS = 4_096

Leave = TypeVar("Leave")


@dataclass
class Ticket(Generic[Leave]):
    """Leave of one session to use some routes.

    Attributes
    ----------
    key : str
        Stands in addresses.
    leave : Leave
        What may be asked, in a form that the routes understand: bundles to read, a folder to fill.
    expires : float
        In seconds of ``time.monotonic``.
    owner : str
        Key of who is signed in in that session; empty where nobody signs in.
    """

    key: str
    leave: Leave
    expires: float
    owner: str = ""


class Tickets(Generic[Leave]):
    """The tickets of this server for one kind of leave. Those unused for long are forgotten.

    Parameters
    ----------
    make : callable
        Makes the leave of a new ticket.
    drop : callable
        Gets the leave of a ticket that is forgotten, to remove what it stood for.
    """

    def __init__(
        self, make: Callable[[], Leave], drop: Callable[[Leave], None] = lambda leave: None
    ) -> None:
        self._make = make
        self._drop = drop
        self._tickets: OrderedDict[str, Ticket[Leave]] = OrderedDict()
        self._lock = threading.Lock()

    def issue(self) -> Ticket[Leave]:
        """A new ticket; where there are too many, the one unused for longest goes."""
        self.sweep(MAX_TICKETS - 1)
        owner = identity.present()
        ticket = Ticket(
            secrets.token_urlsafe(24),
            self._make(),
            time.monotonic() + TICKET_S,
            "" if owner is None else owner.key,
        )
        with self._lock:
            self._tickets[ticket.key] = ticket
        return ticket

    def sweep(self, most: int = MAX_TICKETS) -> None:
        """Forget tickets that expired, and those unused for longest where there are too many."""
        now = time.monotonic()
        with self._lock:
            old = [key for key, one in self._tickets.items() if one.expires < now]
            gone = [self._tickets.pop(key) for key in old]
            while len(self._tickets) > most:
                gone.append(self._tickets.popitem(last=False)[1])
        for ticket in gone:
            self._drop(ticket.leave)

    def spend(self, key: str) -> None:
        """Forget a ticket whose leave was used up; what it stood for stays."""
        with self._lock:
            self._tickets.pop(key, None)

    def get(self, key: str) -> Ticket[Leave] | None:
        """The ticket, valid for as long again as a new one; None for one nobody holds."""
        now = time.monotonic()
        with self._lock:
            ticket = self._tickets.get(key)
            if ticket is None or ticket.expires < now:
                return None
            ticket.expires = now + TICKET_S
            self._tickets.move_to_end(key)
            return ticket

    def of_session(self, field: str) -> Ticket[Leave]:
        """The ticket whose key this session keeps in ``field``; a new one where there is none."""
        ticket = self.get(st.session_state.get(field) or "")
        if ticket is None:
            ticket = self.issue()
            st.session_state[field] = ticket.key
        return ticket

    def of_request(self, request: Request) -> Ticket[Leave]:
        """The ticket in the address of a request.

        Raises
        ------
        HTTPException
            403, if it is none of these, has expired, or was given to another person.
        """
        ticket = self.get(request.path_params["ticket"])
        if person_of(request) == NOBODY:
            ticket = None
        if ticket is None or ticket.owner != request.scope.get(WHO, ""):
            raise HTTPException(403, "This page's session has ended. Reload the page.")
        return ticket


def person_of(request: Request) -> Person:
    """Who sent a request, as the door says; nobody where people sign in and it says nothing."""
    found: Person = request.scope.get(PERSON, NOBODY if identity.configured() else EVERYBODY)
    return found


def below(base_path: str, routes: Sequence[BaseRoute]) -> list[BaseRoute]:
    """The routes, and the same under ``server.baseUrlPath``: Streamlit moves only its own ones."""
    base = base_path.strip("/")
    plain = [one for one in routes if isinstance(one, Route)]
    moved = [
        Route(f"/{base}{one.path}", one.endpoint, methods=list(one.methods or ())) for one in plain
    ]
    return [*routes, *(moved if base else [])]
