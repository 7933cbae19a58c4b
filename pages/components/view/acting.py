"""The bar above a group's views: counts, filters and saved views, and room for what acts on it."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from backend.bundle import Bundle
from backend.views import Looked
from pages.components.view import filtering, saved, selection


def show_acting_bar(bundle: Bundle, looked: Looked) -> DeltaGenerator:
    """Draw the bar; the place at its end is returned, for tags and undo."""
    with st.container(horizontal=True, vertical_alignment="center", key="acting_bar"):
        selection.show_bar(
            bundle,
            looked,
            lambda: filtering.show_popover(bundle),
            lambda: saved.show_popover(bundle, looked),
        )
        place = st.container(width="stretch")
    saved.check_opened(looked)
    return place
