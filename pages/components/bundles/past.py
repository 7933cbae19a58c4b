"""What happened to a bundle: who did what, when, by person, kind and words."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from backend.access import Right
from backend.bundle import Bundle
from backend.core.errors import BackendError
from backend.store import Event
from backend.store.log import CHANGES, KINDS
from pages.components.shared import frame, services, text
from pages.components.shared.notice import notify

MOST = 500
"""Lines that are shown; the search goes through all of them."""
SHOWN, PERSON, KIND, WORDS, NUMBER = "past_shown", "past_person", "past_kind", "past_words", "past_number"  # fmt: skip


def show_past(bundle: Bundle) -> None:
    """The history of the open bundle, read once somebody looks at it."""
    if not st.toggle("History of this bundle", key=SHOWN):
        return
    store = services.store()
    people = store.people(bundle)
    by, of, words = st.columns([2, 2, 3])
    person = by.selectbox(
        "Person", ["", *people], format_func=lambda key: people.get(key, "everybody"), key=PERSON
    )
    kind = of.selectbox(
        "Kind",
        ["", *KINDS],
        format_func=lambda one: one.replace("_", " ") or "everything",
        key=KIND,
    )
    search = words.text_input("Search", key=WORDS, max_chars=80, placeholder="words of a line")
    found = store.history(bundle, person=person or "", kind=kind or "", words=search, limit=MOST)
    if not found:
        st.caption("Nothing of that happened.")
        return
    st.dataframe(
        history_table(found),
        hide_index=True,
        column_config={
            "when": st.column_config.DatetimeColumn("when (UTC)", format="YYYY-MM-DD HH:mm:ss"),
            "what": st.column_config.TextColumn(width=270),
        },
        height=min(35 * (len(found) + 1) + 3, 388),
    )
    st.caption(
        f"{text.counted(len(found), 'line')}, the latest first. `python -m backend log` writes all of "
        "them as CSV."
    )
    if services.may(Right.ADMIN, bundle.digest):
        _overruling(bundle, found)


def history_table(found: list[Event]) -> pd.DataFrame:
    """One row for each event: when, who, what, whether it was taken back, and its number."""
    return pd.DataFrame(
        {
            "when": pd.to_datetime([event.time for event in found]),
            "who": [event.author for event in found],
            "what": [event.summary for event in found],
            "state": ["taken back" if event.undone else "" for event in found],
            "number": [event.seq for event in found],
        }
    )


def _overruling(bundle: Bundle, found: list[Event]) -> None:
    """For admins: take back what others did, or bring it back."""
    changes = {event.seq: event for event in found if event.kind in CHANGES}
    if not changes:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        number = st.selectbox(
            "Change of anybody's",
            list(changes),
            format_func=lambda seq: f"{seq}: {text.shorten(changes[seq].summary, 60)}",
            key=NUMBER,
        )
        chosen = changes[number]
        st.button(
            "Bring it back" if chosen.undone else "Take it back",
            key="past_overrule",
            icon=":material/redo:" if chosen.undone else ":material/undo:",
            on_click=_overrule,
            args=(chosen.bundle, chosen.seq, chosen.undone),
            help="Logged as yours. Changes that were one step to their author go and come together.",
        )


def _overrule(digest: str, seq: int, back: bool) -> None:
    try:
        event = services.store().overrule(digest, seq, author=frame.who(), back=back)
    except BackendError as error:
        notify(text.plain(error, limit=400), ":material/error:")
        return
    notify(f"{text.plain(text.sentence(event.summary), limit=200)}.", ":material/history:")
