"""Who somebody is where sign-in is configured: what Streamlit's signed cookie says of them.

Streamlit signs people in by OpenID Connect where its secrets have a section ``[auth]``, and keeps
what the provider said in a cookie for 30 days. Issuer and subject together are the person; names and
addresses are for display, since they change and can be given anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import streamlit as st
from streamlit.auth_util import (
    get_cookie_with_chunks,
    get_redirect_uri,
    get_secrets_auth_section,
)
from streamlit.web.server.server_util import get_cookie_secret
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from backend.access import EVERYBODY, NOBODY, Person, person_of
from backend.core.errors import InputError
from backend.store import Author, SignIn

DEFAULT_HOURS = 12.0
"""How long a sign-in holds, where ``ERRORSCOPE_SIGN_IN_HOURS`` does not say."""

_OUR_OWN = ("origin", "is_logged_in", "provider")
"""What Streamlit adds to what the provider said."""


def configured() -> bool:
    """Whether people sign in here: the secrets have a section ``[auth]``."""
    return _configured(int(time.monotonic()))


@lru_cache(maxsize=1)
def _configured(second: int) -> bool:
    """Asked for once a second: where there are no secrets their files are looked for each time."""
    return bool(get_secrets_auth_section())


def providers() -> list[str]:
    """Names of the providers in ``[auth]``; that of a single one without a name is "default"."""
    section = get_secrets_auth_section()
    named = [name for name, value in section.items() if isinstance(value, Mapping)]
    return named or ["default"]


def origin() -> str:
    """Scheme, host and port under which people sign in, as ``redirect_uri`` says.

    Raises
    ------
    InputError
        If there is none, or it is no address that ends in ``/oauth2callback``.
    """
    given = get_redirect_uri(get_secrets_auth_section()) or ""
    parts = urlsplit(given)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise InputError(
            "the section [auth] of the secrets needs redirect_uri, the address of this server that "
            f"ends in /oauth2callback: got {given!r}."
        )
    return f"{parts.scheme}://{parts.netloc}"


def longest_s() -> float:
    """Seconds that a sign-in holds: ``ERRORSCOPE_SIGN_IN_HOURS``, 12 hours by default.

    Raises
    ------
    InputError
        If that is no number above 0.
    """
    given = os.environ.get("ERRORSCOPE_SIGN_IN_HOURS", "").strip()
    try:
        hours = float(given) if given else DEFAULT_HOURS
    except ValueError:
        hours = 0.0
    if not 0 < hours < float("inf"):
        raise InputError(f"ERRORSCOPE_SIGN_IN_HOURS must be a number above 0: got {given!r}.")
    return hours * 3600


def claims_in(cookies: Mapping[str, str]) -> dict[str, Any] | None:
    """What the provider said, in a request's cookies; None without it, or where the signature is wrong."""

    def opened(name: str) -> bytes | None:
        value = cookies.get(name)
        if value is None:
            return None
        # Cookies are bytes that were read as latin-1; those of somebody else may be any text.
        return decode_signed_value(get_cookie_secret(), name, value.encode("latin-1", "replace"))

    kept = get_cookie_with_chunks(opened, USER_COOKIE_NAME)
    try:
        said = json.loads(kept) if kept is not None else None
    except ValueError:
        return None
    if not isinstance(said, dict) or not said.get("is_logged_in") or said.get("origin") != origin():
        return None
    return said


def of_claims(said: Mapping[str, Any]) -> SignIn | None:
    """The sign-in that a provider's claims stand for; None where they name nobody."""
    issuer, subject = said.get("iss"), said.get("sub")
    if not (isinstance(issuer, str) and isinstance(subject, str) and issuer and subject):
        return None
    claims = {name: value for name, value in said.items() if name not in _OUR_OWN}
    packed = json.dumps(claims, sort_keys=True, separators=(",", ":"), default=str)
    began = said.get("iat")
    return SignIn(
        id=hashlib.sha256(packed.encode()).hexdigest(),
        key=f"@{hashlib.sha256(json.dumps([issuer, subject]).encode()).hexdigest()[:40]}",
        name=_shown(said),
        began=float(began) if isinstance(began, int | float) else time.time(),
    )


def person_in(said: Mapping[str, Any]) -> Person:
    """The person that a provider's claims stand for, with role and verified address.

    Raises
    ------
    InputError
        If the roles of this server cannot be read.
    """
    found = of_claims(said)
    return NOBODY if found is None else person_of(found.key, found.name, said)


def person() -> Person:
    """Who uses the session that runs, for what is asked of ``backend.access``."""
    if not configured():
        return EVERYBODY
    if not getattr(st.user, "is_logged_in", False):
        return NOBODY
    return person_in(st.user.to_dict())


def present() -> Author | None:
    """Whoever is signed in in the session that runs; None where nobody signs in."""
    if not getattr(st.user, "is_logged_in", False):
        return None
    found = of_claims(st.user.to_dict())
    return None if found is None else Author(found.name, found.key)


def _shown(said: Mapping[str, Any]) -> str:
    """What a person is called: the name, else the address, else the subject."""
    for field in ("name", "preferred_username", "email", "sub"):
        value = said.get(field)
        if isinstance(value, str):
            printed = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in value)
            words = " ".join(printed.split())[:200].strip()
            if words:
                return words
    return "somebody"
