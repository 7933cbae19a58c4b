"""Which sign-ins hold: a browser's cookie outlives signing out, so the server keeps its own record."""

from __future__ import annotations

import time
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from backend.store.authors import Author, Who
from backend.store.database import sign_ins
from backend.store.keeper import LogKeeper
from backend.store.log import SERVER, clean_author, clean_name

LONGEST_S = 400 * 24 * 3600
"""Records older than this are forgotten; no cookie lives as long."""


@dataclass(frozen=True)
class SignIn:
    """One sign-in of one person.

    Attributes
    ----------
    id : str
        Tells it from every other one, for example a hash of what the provider said.
    key : str
        The person's key (``backend.store.authors.Author``).
    name : str
        The person's name as it is shown.
    began : float
        When the provider issued it, seconds since 1970.
    ended : float or None
        When somebody ended it; None while nobody did.
    """

    id: str
    key: str
    name: str
    began: float
    ended: float | None = None


class SignIns(LogKeeper):
    """The part of ``Store`` that knows which sign-ins were ended."""

    def holds(self, sign_in: SignIn, *, longest_s: float) -> bool:
        """Whether a sign-in is still good; one that was never seen is written down.

        It is not where it began more than ``longest_s`` seconds ago, where it was ended, or where
        all sign-ins of its person were ended after it began.

        Raises
        ------
        StoreError
            If the database cannot tell.
        """
        if time.time() - sign_in.began > longest_s:
            return False
        asked = sa.select(sign_ins).where(sign_ins.c.id.in_((sign_in.id, sign_in.key)))
        with self._reading() as connection:
            found = {row.id: row for row in connection.execute(asked)}
        all_of_them = found.get(sign_in.key)
        if all_of_them is not None and sign_in.began <= (all_of_them.ended or 0.0):
            return False
        if sign_in.id in found:
            return found[sign_in.id].ended is None
        with self._writing() as connection:
            if _write(connection, sign_in):
                self._enter(connection, "sign_in", Author(sign_in.name, sign_in.key))
        return True

    def end_sign_in(self, sign_in: SignIn) -> None:
        """End one sign-in: whoever holds a copy of its cookie is out, too."""
        with self._writing() as connection:
            _write(connection, sign_in)
            mine = sign_ins.update().where(sign_ins.c.id == sign_in.id)
            open_one = mine.where(sign_ins.c.ended.is_(None))
            if connection.execute(open_one.values(ended=time.time())).rowcount:
                self._enter(connection, "sign_out", Author(sign_in.name, sign_in.key))

    def end_sign_ins_of(self, key: str, *, author: Who = "local") -> int:
        """End all sign-ins of a person that began until now; how many of them were open."""
        key = clean_name("an author's key", key, longest=200)
        now = time.time()
        with self._writing() as connection:
            theirs = (sign_ins.c.author_key == key) & sign_ins.c.ended.is_(None)
            name = connection.execute(
                sa.select(sign_ins.c.name).where(sign_ins.c.author_key == key).limit(1)
            ).scalar()
            # That of the person as a whole meets sign-ins which nobody has used yet.
            _write(connection, SignIn(key, key, name or key, 0.0))
            ended = sign_ins.update().where(theirs & (sign_ins.c.id != key))
            count = connection.execute(ended.values(ended=now)).rowcount
            whole = sign_ins.update().where(sign_ins.c.id == key)
            connection.execute(whole.values(ended=now))
            self._enter(connection, "sign_out", author, what=key)
        return int(count)

    def _enter(self, connection: Connection, kind: str, author: Who, **payload: str) -> None:
        self._append(connection, self._values(kind, SERVER, author, payload=payload))

    def sign_ins(self) -> list[SignIn]:
        """All sign-ins that are known, the latest first."""
        asked = sa.select(sign_ins).where(sign_ins.c.id != sign_ins.c.author_key)
        with self._reading() as connection:
            rows = connection.execute(asked.order_by(sign_ins.c.began.desc(), sign_ins.c.id)).all()
        return [SignIn(row.id, row.author_key, row.name, row.began, row.ended) for row in rows]


def _write(connection: Connection, sign_in: SignIn) -> bool:
    """Write a sign-in down where it is not, which it says, and forget those of long ago."""
    known = sa.select(sign_ins.c.id).where(sign_ins.c.id == sign_in.id)
    if connection.execute(known).scalar() is not None:
        return False
    oldest = time.time() - LONGEST_S
    connection.execute(
        sign_ins.delete().where(sign_ins.c.began < oldest, sign_ins.c.id != sign_ins.c.author_key)
    )
    connection.execute(
        sign_ins.insert().values(
            id=clean_name("the id of a sign-in", sign_in.id),
            author_key=clean_name("an author's key", sign_in.key, longest=200),
            name=clean_author(sign_in.name),
            began=sign_in.began,
        )
    )
    return True
