"""The repaired model's answers as a bundle of their own, and the way between the two."""

from __future__ import annotations

from typing import Any

import streamlit as st

from backend.bundle import Bundle
from backend.tasks.repair import HOW, MADE, MOST_ROWS, origin_of
from pages.components.repair.choose import GroupAsked
from pages.components.shared import allowed, frame, keys, services, text
from pages.components.shared.waiting import show_progress

JOB = "_repaired_job"


def show_origin(bundle: Bundle) -> None:
    """Of a bundle that was made by a repair: from which one, with a way there."""
    origin = origin_of(bundle)
    if origin is None:
        return
    digest, how = origin
    names = services.names_of_bundles()
    name = names.get(digest)
    repaired = how.startswith(HOW)
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"Made from **{text.plain(name or digest[:12])}** ({text.plain(digest[:6])}): "
            f"{text.plain(how, limit=300)}."
            + (
                " Every answer comes from a head that the example had no part in."
                if repaired
                else ""
            )
        )
        if name is not None:
            st.page_link(
                "pages/repair.py",
                label="Open that one",
                icon=":material/arrow_back:",
                query_params={keys.BUNDLE: digest[:12]},
            )
        if not how.startswith(MADE):
            _worse(bundle.digest)


def offer(bundle: Bundle, asked: GroupAsked, strength: float, *, train: bool) -> None:
    """A button that keeps the repaired answers, and then the ways to what they changed."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Keep the repaired answers as a bundle",
            key="repair_keep",
            icon=":material/database:",
            type="tertiary",
            on_click=_ask,
            args=(bundle.digest, asked, strength, train),
            **allowed.control(
                allowed.ADD,
                bundle.digest,
                disabled=bundle.n > MOST_ROWS,
                help="The same examples with the answers of the refitted head, each half answered by the "
                f"head that the other half refitted; up to {text.count(MOST_ROWS)} examples.",
            ),
        )
        of, key = st.session_state.get(JOB, ("", ""))
        job = services.job(key) if of == bundle.digest else None
        if job is None or not show_progress(
            job, what="Keeping the repaired answers", key="repaired"
        ):
            return
        made: dict[str, Any] = dict(job.result().meta)
        st.page_link(
            "pages/repair.py",
            label=f"Open {text.shorten(made['name'], 60)}",
            icon=":material/open_in_new:",
            width="content",
            query_params={keys.BUNDLE: made["digest"][:12]},
        )
        _worse(made["digest"])


def _worse(digest: str) -> None:
    """To what changed from the bundle that it was made from."""
    st.page_link(
        "pages/before_after.py",
        label="What got worse",
        icon=":material/compare_arrows:",
        width="content",
        query_params={keys.BUNDLE: digest[:12]},
    )


def _ask(digest: str, asked: GroupAsked, strength: float, train: bool) -> None:
    job = services.ask(
        "repaired",
        digest,
        of=digest,
        members=asked.options["members"],
        groups=asked.options["groups"],
        train=train,
        strength=strength,
        what=text.shorten(asked.choice.name, 200),
        owner=frame.who().key,
    )
    services.repair_asked(digest, "a bundle with the repaired answers")
    st.session_state[JOB] = (digest, job.key)
