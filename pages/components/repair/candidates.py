"""Which candidate contexts failures choose among, by which model; and what leaves the machine for it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from backend.bundle import Bundle
from backend.core.errors import BackendError
from backend.imagetext import (
    MODELS,
    configured_endpoint,
    model_state,
    offered_models,
    what_leaves,
)
from backend.repair.candidates import MOST_OWN, lists_for, own_list
from backend.tasks.encoded import EXAMPLES, MOST_ASKED, NAMES, failing_classes, reads_of
from pages.components.shared import keys, link, services, text
from pages.components.shared.waiting import show_progress

ASKED = "_named_asked"
"""Of a bundle: what somebody let leave, and where to."""


def choose_candidates(bundle: Bundle) -> dict[str, Any] | None:
    """Options of the task ``named``; None while something is missing, with a sentence that says what."""
    reads = reads_of(bundle)
    offered = offered_models(reads)
    ready = [name for name, why in offered.items() if not why]
    if not ready:
        st.info(
            f"No model that reads {reads} is installed on this server. Whoever runs it can add one:\n"
            + "\n".join(f"- {text.plain(why, limit=400)}" for why in offered.values()),
            icon=":material/deployed_code:",
        )
        return None
    lists = lists_for(reads)
    left, right = st.columns([5, 4], gap="medium")
    with left:
        chosen = st.pills(
            "Candidates",
            list(lists),
            selection_mode="multi",
            default=[next(iter(lists))],
            format_func=lambda one: lists[one].title,
            key=keys.REPAIR_LISTS,
            bind="query-params",
            help="Each list is an axis: of each list every example takes one context.",
        )
    with right:
        model = st.selectbox(
            "Model",
            ready,
            format_func=lambda one: MODELS[one].title,
            **link.bound(keys.REPAIR_MODEL, ready),
            help="Runs on this server; nothing is fetched and nothing leaves. ConSE knows what the "
            "thousand classes of ImageNet have names for, and says little about anything else.",
        )
    own = st.text_area(
        "A list of your own, one context a line",
        key=keys.REPAIR_OWN,
        height=92,
        max_chars=MOST_OWN * 20,
        placeholder="in the snow\non a striped background",
        persist_state="session",
    )
    try:
        lines = list(own_list(own or ""))
        asked = _asked(bundle, reads)
    except BackendError as error:
        st.error(text.plain(error, limit=600))
        return None
    if not (chosen or lines or asked):
        st.info("Choose a list, or write one.", icon=":material/list:")
        return None
    model = str(model or ready[0])
    return {
        "model": model,
        "state": model_state(model),
        "lists": list(chosen),
        "own": lines,
        "asked": asked,
    }


def _asked(bundle: Bundle, reads: str) -> dict[str, list[str]]:
    """What the configured language model named, once somebody let it be asked."""
    try:
        endpoint = configured_endpoint()
    except BackendError as error:
        st.warning(text.plain(error, limit=400), icon=":material/outbound:")
        return {}
    if endpoint is None:
        return {}
    with st.expander("Ask a language model", icon=":material/outbound:"):
        names = st.toggle(
            f"Names of classes may leave this machine, to {text.plain(endpoint.where, limit=120)}",
            key=keys.REPAIR_NAMES,
            persist_state="session",
        )
        shown = names and st.toggle(
            "Examples may leave it as well", key=keys.REPAIR_SHOWN, persist_state="session"
        )
        allowed = {"endpoint": endpoint.where, "allow": EXAMPLES if shown else NAMES}
        labels = list(failing_classes(bundle, MOST_ASKED))
        said = what_leaves(endpoint, labels, reads=reads, names=bool(names), examples=bool(shown))
        st.caption(text.plain(said, limit=800))
        st.button(
            "Ask for candidates",
            key="repair_ask",
            icon=":material/send:",
            disabled=not names,
            on_click=_ask,
            args=(bundle.digest, allowed),
        )
        # What was sent with other switches is not asked again with these, not even out of the cache.
        if not names or st.session_state.get(ASKED, {}).get(bundle.digest) != allowed:
            return {}
        job = services.ask("candidates", bundle.digest, **allowed)
        if not show_progress(job, what="Asking for candidates", key="candidates"):
            return {}
        found: dict[str, list[str]] = job.result().meta["contexts"]
        st.caption(
            f"{text.counted(len(found), 'class', 'classes')} answered for by "
            f"{text.plain(job.result().meta['from'], limit=200)}; they are among the candidates."
        )
        return found


def _ask(digest: str, allowed: dict[str, str]) -> None:
    """Send what is allowed now. A callback."""
    st.session_state[ASKED] = {**st.session_state.get(ASKED, {}), digest: allowed}
