"""Who changed what in a bundle, and the way back and forth."""

from __future__ import annotations

import streamlit as st

from backend.bundle import Bundle
from backend.bundle.training import Training
from backend.core.errors import BackendError
from backend.store import Event
from pages.components.shared import allowed, frame, services, text
from pages.components.shared.notice import notify

SHOWN = 30
STEPS = (
    ("Undo", "Ctrl+Z", ":material/undo:"),
    ("Redo", "Ctrl+Shift+Z", ":material/redo:"),
)
HIDDEN = ("setting",)
ICONS = {
    "tag": ":material/sell:",
    "untag": ":material/label_off:",
    "rename_region": ":material/edit:",
    "hypothesis": ":material/rule:",
    "view": ":material/bookmark:",
    "blind_check": ":material/visibility_off:",
    "known": ":material/remove_circle_outline:",
    "link": ":material/link:",
    "undo": ":material/undo:",
    "redo": ":material/redo:",
}


def show_buttons(bundle: Bundle | Training) -> None:
    """Undo and redo over this author's changes to this bundle, and the list of everybody's."""
    _steps(bundle, prefix="", shortcuts=True)
    popover(bundle)


def popover(bundle: Bundle | Training) -> None:
    """The latest changes, newest first: who, when, what, and whether it was taken back."""
    place = st.popover(
        "History",
        icon=":material/history:",
        type="tertiary",
        key="history_popover",
        on_change="rerun",
        help="Who changed what: tags, names of regions, regions set aside, hypotheses, saved views, links. "
        "Ctrl+Z undoes, Ctrl+Shift+Z redoes; each author has their own steps.",
    )
    if not place.open:  # the list is read when somebody looks at it
        return
    with place:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption("Your own changes, step by step", width="stretch")
            _steps(bundle, prefix="history_", shortcuts=False)
        found = latest(bundle)
        if not found:
            st.caption("No change yet.")
        with st.container(height=min(380, 20 + 44 * max(1, len(found))), border=False):
            for event in found:
                _line(event)


def latest(bundle: Bundle | Training) -> list[Event]:
    """The newest events that people mean by a change; settings are not among them."""
    events = services.known().events(bundle.digest, limit=2 * SHOWN)
    return [event for event in events if event.kind not in HIDDEN][:SHOWN]


def _line(event: Event) -> None:
    what = text.plain(text.sentence(event.summary), limit=160)
    if event.undone:
        what = f":gray[~~{what}~~ · taken back]"
    when = event.time[:16].replace("T", " ")
    st.markdown(
        f"{ICONS.get(event.kind, ':material/edit:')} {what}  \n"
        f":gray[:small[{text.plain(event.author, limit=40)} · {when} UTC]]"
    )


def _steps(bundle: Bundle | Training, *, prefix: str, shortcuts: bool) -> None:
    known = services.known()
    for word, shortcut, icon in STEPS:
        next_one = known.undoable if word == "Undo" else known.redoable
        change = next_one(bundle.digest, frame.who())
        st.button(
            word,
            key=f"{prefix}{word.lower()}",
            icon=icon,
            type="tertiary",
            shortcut=shortcut if shortcuts else None,
            on_click=_step,
            args=(bundle.digest, word),
            **allowed.control(
                word.lower(),
                bundle.digest,
                disabled=change is None,
                help=f"{word}: {text.plain(change.summary, limit=120)}" if change else None,
            ),
        )


def _step(digest: str, word: str) -> None:
    store = services.store()
    try:
        event = (store.undo if word == "Undo" else store.redo)(digest, frame.who())
    except BackendError as error:
        notify(text.plain(error, limit=400), ":material/error:")
        return
    if event is None:
        notify(f"Nothing to {word.lower()}.", ":material/info:")
        return
    back = " Ctrl+Shift+Z brings it back." if word == "Undo" else " Ctrl+Z takes it back."
    notify(
        text.plain(text.sentence(event.summary), limit=160) + "." + back,
        ":material/history:",
    )
