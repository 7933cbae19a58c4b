"""The tour of a demo: four steps in a line above the page, until somebody closes it."""

from __future__ import annotations

import streamlit as st

from backend.bundle import Bundle
from backend.core.errors import BackendError
from backend.demo import TourStep, demo_called
from backend.store.authors import Author
from pages.components.shared import keys, services, text

SETTING = "tour"
"""Name of the setting that says that a person closed the tour of one bundle."""
CLOSED = "closed"


def show_tour(bundle: Bundle, who: Author) -> None:
    """The step that is looked at, with the ways on; nothing where it was closed, or is no demo."""
    demo = demo_called(bundle.name)
    if demo is None or not demo.tour:
        return
    if services.known().setting(bundle.digest, SETTING, author=who) == CLOSED:
        return
    place = min(st.session_state.get(_field(bundle), 0), len(demo.tour) - 1)
    step = demo.tour[place]
    with st.container(key="tour", border=True):
        said, ways = st.columns([7, 4], vertical_alignment="center")
    said.markdown(f"**Tour, {place + 1} of {len(demo.tour)}**  {text.plain(step.text, limit=400)}")
    with ways.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"):
        st.page_link(
            f"pages/{step.page}.py",
            label="Show me",
            icon=":material/arrow_forward:",
            width="content",
            query_params=address(bundle.digest, step),
        )
        for label, to, icon in (
            ("Back", place - 1, ":material/chevron_left:"),
            ("Next", place + 1, ":material/chevron_right:"),
        ):
            st.button(
                label,
                key=f"tour_{label.lower()}",
                icon=icon,
                type="tertiary",
                disabled=not 0 <= to < len(demo.tour),
                on_click=_go,
                args=(bundle, to),
            )
        st.button(
            "Close tour",
            key="tour_close",
            icon=":material/close:",
            type="tertiary",
            on_click=_write,
            args=(bundle, CLOSED, who),
            help="It stays closed for you. The Bundles page opens it again.",
        )


def offer_again(bundle: Bundle, who: Author) -> None:
    """A button that opens the tour of a demo again, where it was closed."""
    demo = demo_called(bundle.name)
    if demo is None or not demo.tour:
        return
    if services.known().setting(bundle.digest, SETTING, author=who) == CLOSED:
        st.button(
            "Take the tour",
            key="tour_again",
            icon=":material/signpost:",
            type="tertiary",
            on_click=_write,
            args=(bundle, None, who),
        )


def address(digest: str, step: TourStep) -> dict[str, str]:
    """What the address of a step says."""
    return {keys.BUNDLE: digest[:12], **step.shows}


def _field(bundle: Bundle) -> str:
    return f"_tour_{bundle.digest[:12]}"


def _go(bundle: Bundle, place: int) -> None:
    st.session_state[_field(bundle)] = place


def _write(bundle: Bundle, value: str | None, who: Author) -> None:
    try:
        services.store().write_setting(bundle.digest, SETTING, value, author=who)
    except BackendError as error:
        st.session_state[keys.NOTICE] = (text.plain(error, limit=300), ":material/error:")
        return
    st.session_state[_field(bundle)] = 0
