"""The bar above a group's views: counts, filters and saved views, and room for the history."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from backend.bundle import Bundle
from backend.views import Looked
from pages.components.shared import text
from pages.components.view import filtering, saved, selection


def show_acting_bar(bundle: Bundle, looked: Looked) -> DeltaGenerator:
    """Draw the bar, which is one line at any width; the place at its end is returned, for undo."""
    with st.container(horizontal=True, vertical_alignment="center", key="acting_bar"):
        selection.show_bar(
            bundle,
            looked,
            lambda: filtering.show_popover(bundle),
            lambda: saved.show_popover(bundle, looked),
        )
        place = st.container(
            horizontal=True, vertical_alignment="center", width="content", key="acting_end"
        )
    for problem in looked.problems:
        st.warning(text.plain(problem, limit=300), icon=":material/filter_alt_off:")
    saved.check_opened(looked)
    return place
