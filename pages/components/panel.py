"""Below the map or chart of a page: one group, ways to look at it, and tagging."""

from __future__ import annotations

import streamlit as st

from backend.bundle import Bundle
from pages.components import tagging, views
from pages.components.groups import Choice


def show_group(bundle: Bundle, choice: Choice, choices: list[Choice]) -> None:
    """Look at the chosen group and tag it; ``choices`` are the groups it can stand beside."""
    tags = tagging.tags_of(bundle)
    with st.container(horizontal=True, vertical_alignment="center", key="group_bar"):
        with st.container(width="content"):
            view = views.choose_view(bundle, without=("Side by side",) if len(choices) < 2 else ())
        bar = st.container(width="stretch")
    picked = views.show_view(bundle, view, choice, choices, tags)
    with bar:
        tagging.show_bar(bundle, choice, picked)
