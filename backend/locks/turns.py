"""Advisory locks of PostgreSQL, for programs on several machines that share one database."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import time

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine

from backend.core.errors import StoreError
from backend.core.journal import tell
from backend.store.database import database_url, engine_of, is_postgresql, plain_errors

WAIT_S = 2.0
"""The longest that the database may take to answer."""
AGAIN_S = 10.0
"""How long a database that did not answer is not asked again."""
_LEFT: list[tuple[Engine | None, Connection | None]] = []
"""Connections of the program before a fork; letting them go would speak on them."""


class Turns:
    """The locks of this program, all held by one connection of their own.

    A lock may be taken several times by the program that holds it; who asks twice keeps apart what
    it does itself (``backend.locks``).
    """

    def __init__(self, url: URL) -> None:
        self._url = url
        self._engine: Engine | None = None
        self._connection: Connection | None = None
        self._process = os.getpid()
        self._asked_again = 0.0
        self._lock = threading.Lock()

    def take(self, number: int) -> bool | None:
        """Whether the lock of this number was taken; None where the database cannot tell."""
        return self._ask(sa.func.pg_try_advisory_lock(number))

    def leave(self, number: int) -> None:
        """Let a lock go; one that went with its connection is gone already."""
        self._ask(sa.func.pg_advisory_unlock(number))

    def _ask(self, question: sa.ColumnElement[bool]) -> bool | None:
        with self._lock:
            if (
                self._process != os.getpid()
            ):  # the connection is that of the program before the fork
                _LEFT.append((self._engine, self._connection))
                self._process, self._engine, self._connection = os.getpid(), None, None
            if time.monotonic() < self._asked_again:
                return None
            for _ in range(2):  # the server may have been started anew since
                had = self._connection is not None
                try:
                    return self._answer(question)
                except StoreError:
                    self._let_go()
                if not had:
                    break
            self._asked_again = time.monotonic() + AGAIN_S
            tell("locks by files", reason="database")
            return None

    def _answer(self, question: sa.ColumnElement[bool]) -> bool:
        if self._engine is None:
            self._engine = engine_of(self._url, wait_s=WAIT_S, lasting=True)
        with plain_errors(self._url):
            if self._connection is None:
                self._connection = self._engine.connect()
            return bool(self._connection.execute(sa.select(question)).scalar())

    def _let_go(self) -> None:
        """Close a connection that failed, and with it whatever it held."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sa.exc.DBAPIError):
                connection.invalidate()
                connection.close()


def turns() -> Turns | None:
    """The locks of the database that ``ERRORSCOPE_DATABASE`` names, where that is PostgreSQL."""
    return _turns_of(os.environ.get("ERRORSCOPE_DATABASE", ""))


@functools.cache
def _turns_of(text: str) -> Turns | None:
    try:
        url = database_url(text, None) if text else None
    except StoreError:
        return None
    return None if url is None or not is_postgresql(url) else Turns(url)
