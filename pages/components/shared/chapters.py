"""What pages showed last of a bundle, kept for the report.

It is kept in the session, and among the results under a word that the address carries: a reload, which
begins a new session, finds it there. Whoever is sent such an address finds it too, under a word of their
own from then on; where people sign in only the same person does.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from typing import Any, cast

import streamlit as st

from backend.bundle import Bundle
from backend.cache.keys import key_of
from backend.core.errors import BackendError
from pages.components.shared import keys, services

Asked = dict[str, dict[str, Any]]
_WORD = re.compile(r"[0-9a-f]{16}")
_OWN, _FROM = "_chapters_word", "_chapters_from"
"""Session fields: the word that this session keeps under, and the one that it came with."""


def remember(bundle: Bundle, chapter: str, **asked: object) -> None:
    """Keep what a page shows now: options of its result, what it is about."""
    held = remembered(bundle)
    if held.get(chapter) != asked:
        _hold(bundle.digest, {**held, chapter: asked})
        _write(bundle.digest)
    st.query_params[keys.SHOWN] = _own_word()


def remembered(bundle: Bundle) -> Asked:
    """What pages showed of a bundle last, by chapter of the report."""
    digest = bundle.digest
    if digest not in st.session_state.get(keys.CHAPTERS, {}):
        _hold(digest, _read(digest))
        if _held(digest):
            _write(digest)
    if _held(digest):
        st.query_params[keys.SHOWN] = _own_word()
    return _held(digest)


def _held(digest: str) -> Asked:
    return cast(Asked, st.session_state[keys.CHAPTERS][digest])


def _hold(digest: str, chapters: Asked) -> None:
    held = st.session_state.get(keys.CHAPTERS, {})
    st.session_state[keys.CHAPTERS] = {**held, digest: chapters}


def _own_word() -> str:
    """The word of this session; the one in its first address is noted before it is written over."""
    if _OWN not in st.session_state:
        st.session_state[_FROM] = st.query_params.get(keys.SHOWN, "")
        st.session_state[_OWN] = secrets.token_hex(8)
    return str(st.session_state[_OWN])


def _key(digest: str, word: str) -> str:
    return key_of("chapters", digest, {"word": word, "person": services.person().key}, 1)


def _read(digest: str) -> Asked:
    _own_word()
    word = str(st.session_state[_FROM])
    kept = services.kept(digest, _key(digest, word)) if _WORD.fullmatch(word) else None
    return {} if kept is None else cast(Asked, dict(kept.meta["chapters"]))


def _write(digest: str) -> None:
    # Where results cannot be kept the session still has it.
    with contextlib.suppress(BackendError):
        services.keep(digest, _key(digest, _own_word()), {"chapters": _held(digest)})
