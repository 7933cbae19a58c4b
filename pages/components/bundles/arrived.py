"""What is offered for an imported bundle: its regions, the tags of the same examples, another name."""

from __future__ import annotations

from functools import partial

import streamlit as st

from backend.bundle import Bundle, SameExamples, same_examples
from backend.core.errors import BackendError
from pages.components.shared import allowed, frame, keys, services, text

ARRIVED = "_arrived"
"""Session field: the digest of the bundle that was imported last."""
DECLINED = "_tags_declined"
"""Session field: bundles whose tags this session does not want, as (origin, bundle)."""


def arrived(digest: str) -> None:
    """Remember that this bundle was imported just now."""
    st.session_state[ARRIVED] = digest


def show_next(bundle: Bundle) -> None:
    """What to do with a bundle that was just imported."""
    if st.session_state.get(ARRIVED) != bundle.digest:
        return
    with st.container(border=True, key="arrived"):
        st.markdown(f"**{text.plain(bundle.name)}** is imported and open.")
        st.page_link(
            "pages/spotlights.py", label="See where it fails together", icon=":material/flare:"
        )
        for origin in _origins(bundle):
            _offer_tags(bundle, origin)


def _origins(bundle: Bundle) -> list[SameExamples]:
    """Bundles of the same examples whose tags are in force, newest first; looked up once."""
    held = st.session_state.get("_origins")
    if held is None or held[0] != bundle.digest:
        tagged = [one for one in services.known_bundles() if services.known().tag_counts(one)]
        held = (bundle.digest, same_examples(bundle, tagged))
        st.session_state["_origins"] = held
    declined = st.session_state.get(DECLINED, set())
    return [one for one in held[1] if (one.digest, bundle.digest) not in declined]


def _offer_tags(bundle: Bundle, origin: SameExamples) -> None:
    counts = services.known().tag_counts(origin.digest)
    st.text(
        f"{text.shorten(origin.name, 60)} ({origin.digest[:6]}) has {text.count(origin.shared)} of "
        f"these examples and {text.counted(len(counts), 'tag')}: "
        f"{text.shorten(', '.join(counts), 120)}. Nothing is carried over unless you say so."
    )
    with st.container(horizontal=True):
        st.button(
            "Carry its tags over",
            key=f"carry_{origin.digest[:12]}",
            icon=":material/sell:",
            on_click=_carry,
            args=(bundle, origin),
            **allowed.control(
                "carry_tags",
                bundle.digest,
                help="By id, as changes of your own. Undo takes all of them back in one step.",
            ),
        )
        st.button(
            "No",
            key=f"decline_{origin.digest[:12]}",
            type="tertiary",
            on_click=partial(_decline, bundle, origin),
        )


def _carry(bundle: Bundle, origin: SameExamples) -> None:
    try:
        done = services.store().carry_tags(
            origin.digest, bundle.digest, bundle.ids.tolist(), author=frame.who()
        )
    except BackendError as error:
        st.session_state[keys.NOTICE] = (text.plain(error, limit=400), ":material/error:")
        return
    _decline(bundle, origin)
    st.session_state[keys.NOTICE] = (
        f"Carried over {text.counted(done.carried, 'tag')} on examples, {text.count(done.known)} were "
        f"there already, {text.count(done.missing)} not found. Undo takes them back in one step.",
        ":material/sell:",
    )


def _decline(bundle: Bundle, origin: SameExamples) -> None:
    declined = st.session_state.setdefault(DECLINED, set())
    declined.add((origin.digest, bundle.digest))


def rename(bundle: Bundle) -> None:
    """Call the open bundle by another name."""
    with (
        st.popover("Rename this bundle", icon=":material/edit:"),
        st.form("rename_bundle", border=False),
    ):
        st.text_input("Name", value=bundle.name, max_chars=200, key=f"called_{bundle.digest[:12]}")
        st.form_submit_button("Rename", on_click=_rename, args=(bundle.digest,))


def _rename(digest: str) -> None:
    try:
        name = services.rename(digest, st.session_state.get(f"called_{digest[:12]}", ""))
    except BackendError as error:
        st.session_state[keys.NOTICE] = (text.plain(error, limit=400), ":material/error:")
        return
    st.session_state[keys.NOTICE] = (f"It is called {text.plain(name)} now.", ":material/edit:")
