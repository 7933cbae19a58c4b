"""Saved views: filters, selection and what was open, under a name, to come back to."""

from __future__ import annotations

from typing import Any

import streamlit as st

from backend.bundle import Bundle
from backend.core.errors import BackendError
from backend.views import Looked, View
from pages.components.shared import allowed, frame, keys, link, services, text
from pages.components.view import selection

NAME = "saved_view_name"
BY_KEY = (keys.LAYER, keys.METHOD, keys.GROUP, keys.COLOUR)
"""Choices that ``link`` keeps."""
BY_WIDGET = (keys.VIEW, keys.MAP_METHOD)
"""Choices that widgets keep themselves."""


def show_popover(bundle: Bundle, looked: Looked) -> None:
    """Save what is shown, or open what was saved."""
    views = services.known().views(bundle.digest)
    with st.popover(
        f"Views · {len(views)}" if views else "Views",
        icon=":material/bookmark:",
        type="tertiary",
        help="The address of this page opens the same rows too. A saved view has a name, and is "
        "there for everybody who works on this bundle.",
    ):
        with st.form("save_view", border=False, clear_on_submit=True):
            st.text_input(
                "Save this view as", key=NAME, max_chars=80, placeholder="Shirts with high loss"
            )
            st.form_submit_button(
                "Save view",
                icon=":material/bookmark_add:",
                on_click=_save,
                args=(bundle, looked),
                **allowed.control("save_view", bundle.digest),
            )
        if not views:
            st.caption("None is saved yet. Filters and selections are kept as rules, not as rows.")
        for view in views:
            with st.container(horizontal=True, vertical_alignment="center", gap=None):
                st.button(
                    text.plain(view.name, limit=60),
                    key=f"open_view_{view.key}",
                    type="tertiary",
                    width="stretch",
                    on_click=_open,
                    args=(bundle, view.state),
                    help=f"{_told(view.state)} Saved by {text.plain(view.author, limit=40)}.",
                )
                st.button(
                    "Delete",
                    key=f"delete_view_{view.key}",
                    icon=":material/delete:",
                    type="tertiary",
                    on_click=_delete,
                    args=(bundle, view.key),
                    **allowed.control("delete_view", bundle.digest, help="Undo brings it back."),
                )


def check_opened(looked: Looked) -> None:
    """Say when a view that was just opened holds other rows than when it was saved."""
    was = st.session_state.get(keys.SAVED_COUNTS)
    now = _counts(looked)
    if was is not None and was != now:
        st.info(
            f"This view showed {text.count(was[0])} and selected {text.counted(was[1], 'example')} "
            f"when it was saved; now {text.count(now[0])} and {text.count(now[1])}. Its rules are "
            "the same: tags have changed since.",
            icon=":material/difference:",
        )
    st.session_state.pop(keys.SAVED_COUNTS, None)


def _counts(looked: Looked) -> list[int]:
    return [looked.n_shown, len(looked.selected)]


def _told(state: dict[str, Any]) -> str:
    counts = state.get("counts")
    if not isinstance(counts, list) or not all(isinstance(one, int) for one in counts):
        return ""
    return f"{text.count(counts[0])} shown, {text.count(counts[1])} selected."


def _save(bundle: Bundle, looked: Looked) -> None:
    name = str(st.session_state.get(NAME) or "").strip()
    if not name:
        _notice("Type a name for the view first.", ":material/info:")
        return
    chosen = {key: link.chosen(key) for key in BY_KEY}
    chosen |= {key: st.session_state.get(key) for key in BY_WIDGET}
    state = {"view": looked.view.to_dict(), "open": chosen, "counts": _counts(looked)}
    try:
        services.store().save_view(bundle.digest, name, state, author=frame.who())
    except BackendError as error:
        _notice(text.plain(error, limit=300), ":material/error:")
        return
    _notice(
        f"View “{text.plain(name)}” is saved. Ctrl+Z takes it back.", ":material/bookmark_added:"
    )


def _open(bundle: Bundle, state: dict[str, Any]) -> None:
    try:
        selection.put(bundle, View.from_dict(state.get("view")))
    except BackendError as error:
        _notice(text.plain(error, limit=300), ":material/error:")
        return
    chosen = state.get("open")
    chosen = chosen if isinstance(chosen, dict) else {}
    for key in BY_KEY:
        if isinstance(chosen.get(key), str):
            link.put(key, chosen[key])
    for key in BY_WIDGET:
        if isinstance(chosen.get(key), str):
            st.session_state[key] = chosen[key]
    st.session_state[keys.SAVED_COUNTS] = state.get("counts")


def _delete(bundle: Bundle, key: str) -> None:
    try:
        services.store().delete_view(bundle.digest, key, author=frame.who())
    except BackendError as error:
        _notice(text.plain(error, limit=300), ":material/error:")
    else:
        _notice("The view is deleted. Undo brings it back.", ":material/bookmark_remove:")


def _notice(words: str, icon: str) -> None:
    st.session_state[keys.NOTICE] = (words, icon)
