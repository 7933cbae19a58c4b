"""What is out of reach now, said where the page begins; the page looks again by itself."""

from __future__ import annotations

import streamlit as st

from backend.core.errors import BackendError
from backend.store.keeper import RETRY_S
from pages.components.shared import keys, services, text

LOOK_S = RETRY_S + 0.5
"""Seconds between two looks at a database that refused, a little longer than it is left alone."""


def show_trouble(digest: str) -> bool:
    """Say that the tags of a bundle cannot be read or kept now, and why; whether that is so."""
    why = services.known().trouble(digest)
    if why:
        st.warning(
            f"Tags, names and hypotheses cannot be shown or kept now: {text.plain(why, limit=600)} "
            "Map, regions and everything else that needs none of them works meanwhile. The page "
            "looks again by itself.",
            icon=":material/database_off:",
        )
        _look_again(digest)
    return bool(why)


@st.fragment(run_every=LOOK_S)
def _look_again(digest: str) -> None:
    if not services.known().trouble(digest):
        st.rerun()


def show_refusal(error: BackendError) -> None:
    """The sentence of an error that stopped a page, with a way on; the page tries again by itself."""
    st.error(text.plain(error, limit=800), icon=":material/error:")
    st.button("Try again", key="try_again", icon=":material/refresh:")
    _try_again()


@st.fragment(run_every=4 * LOOK_S)
def _try_again() -> None:
    if st.session_state.pop(keys.REFUSED, False):
        st.rerun()
    st.session_state[keys.REFUSED] = True
