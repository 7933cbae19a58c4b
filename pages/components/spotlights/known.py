"""Setting a region aside, so that the search goes on; and what is set aside, with the way back."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from backend.bundle import Bundle
from backend.core.errors import BackendError
from backend.core.found import short
from backend.store import KnownRegion
from backend.store.known import REASONS
from pages.components.shared import allowed, frame, keys, services, text
from pages.components.shared.choice import Choice

OPEN = 3
"""So many regions set aside are listed without a click."""


def offer(bundle: Bundle, choice: Choice) -> None:
    """Set this region aside, for everybody who looks at the bundle: with a reason and a note."""
    told = allowed.control(
        "set_aside",
        bundle.digest,
        help="The list closes ranks and the search goes on to further failures. Everybody who "
        "looks at this bundle sees it; whoever set it aside can take it back.",
    )
    with (
        st.popover(
            f"Set {choice.number} aside",
            icon=":material/remove_circle_outline:",
            type="tertiary",
            **told,
        ),
        st.form("set_aside", border=False),
    ):
        st.radio("Why", REASONS, key=keys.ASIDE_REASON)
        st.text_input("Or in your own word", max_chars=80, key=keys.ASIDE_WORD)
        st.text_input("Note", max_chars=1000, key=keys.ASIDE_NOTE)
        st.form_submit_button(
            "Set aside",
            on_click=_set_aside,
            args=(bundle, choice),
            **allowed.control("set_aside", bundle.digest),
        )


def _set_aside(bundle: Bundle, choice: Choice) -> None:
    state = st.session_state
    reason = str(state.get(keys.ASIDE_WORD) or "").strip() or state.get(keys.ASIDE_REASON)
    try:
        services.store().set_aside(
            bundle.digest,
            bundle.ids[choice.group.rows].tolist(),
            reason or REASONS[0],
            name=choice.name[:200],
            note=str(state.get(keys.ASIDE_NOTE) or ""),
            source=short(choice.source),
            author=frame.who(),
        )
    except BackendError as error:
        _notify(text.plain(error, limit=300), ":material/error:")
        return
    for key in (keys.ASIDE_WORD, keys.ASIDE_NOTE):
        state[key] = ""
    _notify(
        f"Region {choice.number} is set aside, and the search goes on. Ctrl+Z takes it back.",
        ":material/remove_circle_outline:",
    )


def show(bundle: Bundle, known: Sequence[KnownRegion]) -> None:
    """What is set aside now: who, when, why; one's own can be taken back."""
    if not known:
        return
    with st.expander(
        f"Set aside: {text.counted(len(known), 'region')}",
        expanded=len(known) <= OPEN,
        key="set_aside_list",
    ):
        st.caption(
            "Searched on after these. Not listed is what holds half of one of them, or lies in one by half, "
            "so other regions may have gone with it; p is about what was left. This is another search, in "
            "which regions have names of their own: those you gave come back with what is taken back."
        )
        for one in known:
            words, back = st.columns([5, 2], vertical_alignment="center")
            words.markdown(_line(one))
            if one.author_key == frame.who().key:
                back.button(
                    "Take back",
                    key=f"take_back_{one.key}",
                    type="tertiary",
                    icon=":material/undo:",
                    on_click=_take_back,
                    args=(bundle.digest, one.key),
                    **allowed.control("take_back", bundle.digest),
                )


def _line(one: KnownRegion) -> str:
    members = text.counted(len(one.ids), "member")
    note = f": {text.plain(one.note, limit=200)}" if one.note else ""
    when = one.time[:16].replace("T", " ")
    return (
        f"{text.plain(one.name, limit=90)} · {members} · **{text.plain(one.reason)}**{note}  \n"
        f":gray[:small[{text.plain(one.author, limit=40)} · {when} UTC]]"
    )


def _take_back(digest: str, key: str) -> None:
    try:
        event = services.store().take_back(digest, key, author=frame.who())
    except BackendError as error:
        _notify(text.plain(error, limit=300), ":material/error:")
        return
    _notify(f"{text.plain(text.sentence(event.summary), limit=160)}.", ":material/undo:")


def _notify(words: str, icon: str) -> None:
    st.session_state[keys.NOTICE] = (words, icon)
