"""Choices kept in the address, so that a link opened elsewhere shows the same.

Streamlit's own binding writes what a choice *says* into the address; region names and bundle names
change, so these are bound by key.
"""

from __future__ import annotations

from collections.abc import Collection

import streamlit as st


def restore(key: str, allowed: Collection[str]) -> None:
    """Before the widget: take its value from the address once, and drop one that is not offered."""
    if key not in st.session_state and st.query_params.get(key) in allowed:
        st.session_state[key] = st.query_params[key]
    if key in st.session_state and st.session_state[key] not in allowed:
        del st.session_state[key]


def keep(key: str, value: str | None) -> None:
    """After the widget: write its value into the address."""
    if value is not None and st.query_params.get(key) != value:
        st.query_params[key] = value
