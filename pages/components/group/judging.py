"""One example at a time and what a person says of it, by button or key: an answer becomes a tag."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from backend.bundle import Bundle
from backend.core.errors import BackendError
from pages.components.gallery import media
from pages.components.shared import allowed, frame, keys, services, text


def show_example(bundle: Bundle, row: int, *, key: str) -> None:
    """The picture or text of an example, else its columns; nothing of what a model said."""
    with st.container(height=330, key=key):
        if bundle.has_images and bundle.image(row):
            media.show_picture(bundle, row, width=290)
        elif bundle.has_text:
            st.text(str(bundle.examples["text"].iloc[row]))
        else:
            st.text("No picture or text; these are its columns.")
            st.dataframe(
                pd.DataFrame(
                    {
                        "column": bundle.attributes,
                        "value": bundle.examples[bundle.attributes].iloc[row].astype(str).tolist(),
                    }
                ),
                hide_index=True,
            )


def show_answers(
    bundle: Bundle, row: int, meanings: Mapping[str, str], source: dict[str, Any], *, key: str
) -> None:
    """A button and a digit per answer, and keys to skip and to take back.

    ``source`` is what the record of the tag says of where the example came from.
    """
    example = str(bundle.ids[row])
    st.markdown("What is it?")
    with st.container(horizontal=True, key=f"{key}_answers"):
        for at, (answer, means) in enumerate(meanings.items(), start=1):
            st.button(
                answer.capitalize(), key=f"{key}_{answer}", shortcut=str(at),
                on_click=_answer, args=(bundle.digest, example, answer, source),
                **allowed.control("tag", bundle.digest, help=means),
            )  # fmt: skip
    with st.container(horizontal=True):
        st.button(
            "Skip", key=f"{key}_skip", shortcut="S", type="tertiary", on_click=_skip,
            args=(example,), help="Comes back at the end.",
        )  # fmt: skip
        change = services.known().undoable(bundle.digest, frame.who())
        st.button(
            "Undo", key=f"{key}_undo", shortcut="U", type="tertiary", icon=":material/undo:",
            on_click=_undo, args=(bundle.digest,),
            **allowed.control(
                "undo", bundle.digest, disabled=change is None,
                help=text.plain(change.summary, limit=120) if change else None,
            ),
        )  # fmt: skip
    st.caption(
        "Answers become tags of these names. "
        + " ".join(f"**{name.capitalize()}**: {words}" for name, words in meanings.items())
    )


def fresh(bundle: Bundle, left: list[int]) -> list[int]:
    """Of the rows that are left those that were not skipped; all of them once nothing else is."""
    skipped = st.session_state.get(keys.REVIEW_SKIPPED, set())
    return [row for row in left if bundle.ids[row] not in skipped] or left


def _answer(digest: str, example: str, answer: str, source: dict[str, Any]) -> None:
    try:
        services.store().tag(digest, [example], answer, author=frame.who(), source=source)
    except BackendError as error:
        st.session_state[keys.NOTICE] = (text.plain(error, limit=300), ":material/error:")


def _skip(example: str) -> None:
    held = st.session_state.get(keys.REVIEW_SKIPPED, set())
    st.session_state[keys.REVIEW_SKIPPED] = {*held, example}


def _undo(digest: str) -> None:
    try:
        services.store().undo(digest, frame.who())
    except BackendError as error:
        st.session_state[keys.NOTICE] = (text.plain(error, limit=300), ":material/error:")
