"""Who did something: the name that is shown, and the key that tells people apart."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TypeAlias

from backend.core.errors import InputError
from backend.store.log import clean_author, clean_name

LOCAL = "local"
"""Name and key of whoever gives no name."""


@dataclass(frozen=True)
class Author:
    """Somebody who does something.

    Attributes
    ----------
    name : str
        What is shown; several people may have the same.
    key : str
        Whose history it is: undo, redo and settings go by it. That of a typed name follows from the
        name (``key_of``); whoever signs people in gives a key of their own that begins with ``@``,
        which no typed name's does.
    """

    name: str
    key: str


Who: TypeAlias = str | Author
"""A name as somebody typed it, or a name with its key."""


def key_of(name: str) -> str:
    """The key of a typed name: however it is spaced and whatever the case of its letters.

    Examples
    --------
    >>> key_of("  Ada   LOVELACE "), key_of("@ada"), key_of("@")
    ('ada lovelace', 'ada', 'local')
    """
    plain = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
    return plain.lstrip("@ ")[:200] or LOCAL


def author_of(who: Who) -> Author:
    """Name and key as they are stored.

    Raises
    ------
    InputError
        If either has no character, more than 200, or a control character.
    """
    if isinstance(who, Author):
        return Author(clean_author(who.name), clean_name("an author's key", who.key, longest=200))
    if not isinstance(who, str):
        raise InputError(f"an author must be a name or an Author: got {type(who).__name__}.")
    name = clean_author(who)
    return Author(name, key_of(name))
