"""Who may look at a bundle beside its owner, as its owner said.

This keeps and tells what was said. What it means for a person, with roles and owners, is decided in
``backend.access`` and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from backend.core.arrays import check_choice
from backend.core.errors import InputError
from backend.store.authors import Who
from backend.store.database import grants
from backend.store.keeper import LogKeeper, digest_of
from backend.store.log import RIGHTS, Event, clean_name

EVERYBODY = "*"
"""Stands for all who sign in."""

_LOCAL = r"[^@\s.,;:<>()\[\]\\\"]+"
_LABEL = r"\w(?:[\w-]*\w)?"
_MAIL = re.compile(rf"(?=.{{1,100}}@.{{1,200}}$){_LOCAL}(?:\.{_LOCAL})*@{_LABEL}(?:\.{_LABEL})*")
"""An address as people write it: no signs of lists, no dot without something on both its sides."""


def grantee_of(named: str) -> str:
    """A person as grants name them: by the key, by the mail address, or everybody.

    Raises
    ------
    InputError
        If it is neither a key, which begins with ``@``, nor an address.

    Examples
    --------
    >>> grantee_of(" Ada@Example.org "), grantee_of("@1f"), grantee_of("*")
    ('mail:ada@example.org', '@1f', '*')
    """
    text = clean_name("whom it is shared with", named, longest=320).removeprefix("mail:")
    if text == EVERYBODY or re.fullmatch(r"@[\w-]+", text):
        return text
    if not _MAIL.fullmatch(text):
        raise InputError(
            "a bundle is shared by mail address, as the provider of the sign-in knows it, or by key, "
            f"which begins with @: {text[:80]!r} looks like neither."
        )
    return f"mail:{text.casefold()}"


class Sharing(LogKeeper):
    """The part of ``Store`` that keeps grants, each written together with its event."""

    def share(self, bundle: Any, named: str, right: str, *, author: Who) -> Event:
        """Let somebody look at a bundle, look and tag, or neither.

        Parameters
        ----------
        named : str
            A mail address, a key, or ``*`` for everybody who signs in.
        right : str
            ``look``, ``tag`` (which includes looking) or ``none``.

        Raises
        ------
        InputError
            If nobody can be called so.
        """
        digest = digest_of(bundle)
        # What was granted can be taken away, whatever an address may look like by now.
        held = right == "none" and named in self.grants(digest)
        grantee = named if held else grantee_of(named)
        check_choice("right", right, RIGHTS)
        payload = {"with": grantee, "right": right}
        values = self._values("sharing", digest, author, payload=payload)
        with self._writing() as connection:
            mine = (grants.c.bundle == digest) & (grants.c.grantee == grantee)
            connection.execute(grants.delete().where(mine))
            if right != "none":
                said = {"bundle": digest, "grantee": grantee, "right": right}
                connection.execute(grants.insert().values(said))
            return self._append(connection, values)

    def grants(self, bundle: Any) -> dict[str, str]:
        """Grantee -> right of a bundle, in alphabetical order."""
        asked = sa.select(grants).where(grants.c.bundle == digest_of(bundle))
        with self._reading() as connection:
            rows = connection.execute(asked).all()
        # Not ordered by the database, whose alphabet depends on where it was made.
        return dict(sorted((row.grantee, row.right) for row in rows))

    def granted(self, grantees: Iterable[str], bundle: Any = None) -> dict[str, str]:
        """Bundle -> the most that any of these grantees may do; of one bundle, or of all."""
        asked = sa.select(grants).where(grants.c.grantee.in_(list(grantees)))
        if bundle is not None:
            asked = asked.where(grants.c.bundle == digest_of(bundle))
        found: dict[str, str] = {}
        with self._reading() as connection:
            for row in connection.execute(asked):
                found[row.bundle] = max(
                    found.get(row.bundle, RIGHTS[0]), row.right, key=RIGHTS.index
                )
        return found
