"""Below the map or chart of a page: one group, ways to look at it, and tagging."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from backend.bundle import Bundle
from pages.components.gallery import known
from pages.components.group import ask, mend, pair, sharpening, tagging, ways
from pages.components.shared.choice import Choice


def show_group(
    bundle: Bundle,
    choice: Choice,
    choices: list[Choice],
    *,
    more: Mapping[str, Callable[[], tuple[Choice, list[str]] | None]] | None = None,
    bar: DeltaGenerator | None = None,
) -> None:
    """Look at the chosen group and tag it; ``choices`` are the groups it can stand beside.

    ``more`` are views only this page has: name and what shows it. One that shows a group of its own
    returns it, with the ids picked in it: that is what is tagged then. ``bar`` is where undo and
    history go; beside the tags by default.
    """
    tagging.follow_others(bundle)
    known.know_groups(bundle, choices)
    ask.open_if_asked(bundle)
    mend.open_if_asked(bundle)
    question = sharpening.opened(bundle)
    if question is not None:
        sharpening.show(bundle, question)
        return
    more = more or {}
    without = [view for view in ways.REGION_VIEWS if view not in more]
    if len(pair.offered(bundle, choices)) < 2:
        without.append("Side by side")
    with st.container(horizontal=True, vertical_alignment="center", key="group_bar"):
        with st.container(width="content", key="group_views"):
            view = ways.choose_view(bundle, without=tuple(without))
        acts = st.container(horizontal=True, vertical_alignment="center", key="group_acts")
        st.html('<span id="examples" tabindex="-1"></span>')
    picked: list[str] = []
    if view in more:
        own = more[view]()
        if own is not None:
            choice, picked = own
    else:
        picked = ways.show_view(bundle, view, choice, choices)
    with acts:
        if not choice.sampled:
            ask.start_form(bundle, choice)
            sharpening.start_button(bundle, choice, picked)
            mend.start_button(bundle, choice)
        tagging.show_bar(bundle, choice, picked, end=bar, ordered=True)
