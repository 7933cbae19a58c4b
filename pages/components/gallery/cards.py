"""Which columns stand on cards: chosen for a bundle and kept, else those that a group's name speaks of."""

from __future__ import annotations

import streamlit as st

from backend.bundle import Bundle
from backend.core.errors import BackendError
from backend.views import card_columns, shown_columns
from backend.views.cards import MOST, SETTING
from pages.components.shared import frame, keys, services, text


def columns(bundle: Bundle, about: str = "", *, blind: bool = False) -> list[str]:
    """The columns of a card; ``about`` is what the examples are called, such as a region's name.

    With ``blind`` the model's own prediction is not among them.
    """
    chosen = services.known().setting(bundle.digest, SETTING, author=frame.who())
    shown = shown_columns(bundle, chosen, about)
    return [name for name in shown if name in bundle.attributes] if blind else shown


def columns_popover(bundle: Bundle, key: str, about: str) -> None:
    """Choose the columns of all cards of a bundle; kept per author and bundle."""
    offered = card_columns(bundle)
    if not offered:
        return
    place = st.popover(
        "Columns",
        icon=":material/view_column:",
        type="tertiary",
        key=f"{key}_columns_popover",
        on_change="rerun",
        help="Which of your columns stand on a card. Kept for this bundle, on every page.",
    )
    if not place.open:
        return
    chosen = services.known().setting(bundle.digest, SETTING, author=frame.who())
    shown = shown_columns(bundle, chosen, about)
    box = f"{key}_columns"
    if st.session_state.get(box) != shown:
        st.session_state[box] = shown
    with place:
        st.multiselect(
            "Columns on a card",
            offered,
            format_func=lambda name: text.shorten(name, 60),
            max_selections=MOST,
            key=box,
            placeholder="None",
            on_change=_keep,
            args=(bundle.digest, box),
            help=f"At most {MOST}, in the order in which you choose them.",
        )
        if isinstance(chosen, list):
            st.button(
                "As the group's name says",
                key=f"{key}_columns_follow",
                type="tertiary",
                icon=":material/undo:",
                on_click=_write,
                args=(bundle.digest, None),
                help="The columns that the name of the group in sight speaks of.",
            )
        else:
            st.caption("Until you choose: the columns that the group's name speaks of.")


def _keep(digest: str, box: str) -> None:
    _write(digest, list(st.session_state[box]))


def _write(digest: str, chosen: list[str] | None) -> None:
    try:
        services.store().write_setting(digest, SETTING, chosen, author=frame.who())
    except BackendError as error:
        st.session_state[keys.NOTICE] = (text.plain(error, limit=300), ":material/error:")
