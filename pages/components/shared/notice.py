"""What the last action did, said once on whichever page comes next."""

from __future__ import annotations

import time

import streamlit as st

from pages.components.shared import keys

AGAIN_S = 1
"""Seconds for which further runs of a page repeat a notice; it stays on screen for ten."""


def notify(words: str, icon: str) -> None:
    """Have the page say this once, in Markdown."""
    st.session_state[keys.NOTICE] = (words, icon)


def show() -> None:
    """Say what is to be said: at the start of a page for a click, at its end for what came up in it.

    For a moment each further run says it anew: a browser that draws two runs at once draws the last
    alone. What is on screen stays as it is.
    """
    run, now = st.session_state.get(keys.RUN, 0), time.monotonic()
    notice, told = st.session_state.get(keys.NOTICE), st.session_state.get(keys.TOLD)
    if notice is None and told and told["run"] != run and now - told["since"] < AGAIN_S:
        st.toast(told["notice"][0], icon=told["notice"][1], duration="long")
        told["run"] = run
    elif notice is not None:
        st.toast(notice[0], icon=notice[1], duration="long")
        st.session_state[keys.TOLD] = {"notice": notice, "since": now, "run": run}
        st.session_state.pop(keys.NOTICE, None)
