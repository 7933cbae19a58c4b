"""What whoever shares a bundle is told of the name they typed, which tells nothing of other people."""

from __future__ import annotations

from difflib import SequenceMatcher

LIKE = 0.8
"""Likeness, from 0 to 1 (Ratcliff and Obershelp 1988), of two domains that may be meant to be one."""
_SILENT = "Whether somebody does is told to nobody: look at its spelling."


def shared_words(grantee: str, *, own: str = "") -> str:
    """Who finds what was shared, and what to look at in the spelling.

    The same words whether or not somebody is called so: nobody may find out about others.

    Parameters
    ----------
    grantee : str
        As grants name a person (``backend.store.sharing.grantee_of``); ``*`` is everybody.
    own : str
        The verified address of whoever shares, in small letters, or empty.

    Returns
    -------
    str
        One to three sentences; "" of everybody.
    """
    if not grantee.startswith("mail:"):
        return "" if grantee == "*" else f"It waits for whoever has exactly this key. {_SILENT}"
    address = grantee.removeprefix("mail:")
    said = f"It waits for whoever signs in with exactly this address. {_SILENT}"
    domain, known = address.rpartition("@")[2], own.rpartition("@")[2]
    if "." not in domain:
        return f"{said} It ends in @{domain}, without a dot."
    if known and domain != known and SequenceMatcher(None, domain, known).ratio() >= LIKE:
        return f"{said} It ends in @{domain}, your own in @{known}."
    return said
