"""Who somebody is to this server: key, name, verified address and role.

Roles are what whoever runs the server says: in the file that ``ERRORSCOPE_ROLES`` names, else in the
claim that ``ERRORSCOPE_ROLE_CLAIM`` names, else everybody who signs in is a member. The file has a line
for each person, a role and then a key or a verified mail address; ``*`` is whoever has no line:

    admin   ada@example.org
    reader  @9f2c0d
    member  *
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.core.errors import InputError

FILE, CLAIM = "ERRORSCOPE_ROLES", "ERRORSCOPE_ROLE_CLAIM"

ROLES = ("reader", "member", "admin")
"""A reader looks at what is shared; a member uploads, tags and shares; an admin may do all of it with
every bundle. Each may do what stands before it."""

DEFAULT = "member"


@dataclass(frozen=True)
class Person:
    """Somebody who asks for something.

    ``key`` tells people apart (``backend.store.authors``), ``mail`` is the address that the provider
    verified, in small letters, or empty; ``role`` is one of ``ROLES``, or that of ``EVERYBODY`` or
    ``NOBODY``.
    """

    key: str
    name: str
    mail: str = ""
    role: str = DEFAULT

    @property
    def grantees(self) -> tuple[str, ...]:
        """What grants may call this person."""
        return (self.key, "*", *([f"mail:{self.mail}"] if self.mail else []))


EVERYBODY = Person("", "everybody", role="everybody")
"""Whoever uses a server where nobody signs in: one machine, no roles, every bundle is theirs."""

NOBODY = Person("", "nobody", role="nobody")
"""Whoever is not signed in where people sign in."""


def person_of(key: str, name: str, claims: Mapping[str, Any]) -> Person:
    """The person of a sign-in, with the role that was given to them.

    Raises
    ------
    InputError
        If the file of roles cannot be read, or a line of it says no role.
    """
    verified = claims.get("email_verified") in (True, "true", "True")
    mail = claims.get("email")
    address = mail.strip().casefold() if verified and isinstance(mail, str) else ""
    return Person(key, name, address, _role(key, address, claims))


def _role(key: str, mail: str, claims: Mapping[str, Any]) -> str:
    file = os.environ.get(FILE, "").strip()
    if file:
        given = _given(Path(file))
        told = [given[one] for one in (key, mail) if one and one in given]
        return told[0] if told else given.get("*", DEFAULT)
    claim = os.environ.get(CLAIM, "").strip()
    if not claim:
        return DEFAULT
    value = claims.get(claim)
    said = {value} if isinstance(value, str) else set(map(str, value or ()))
    # Where the claim says no role of ours, the least is given.
    return max((role for role in ROLES if role in said), key=ROLES.index, default=ROLES[0])


def _given(file: Path) -> dict[str, str]:
    """Key, address or ``*`` -> role."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"the roles of this server cannot be read: {FILE} names {str(file)!r} ({error}). Whoever "
            "runs the server can mend that."
        ) from error
    given = {}
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 2 or words[0] not in ROLES:
            raise InputError(
                f"line {number} of the file of roles must be one of {', '.join(ROLES)} and a key or "
                f"mail address: got {line[:80]!r}."
            )
        given[words[1] if words[1][0] == "@" else words[1].casefold()] = words[0]
    return given
