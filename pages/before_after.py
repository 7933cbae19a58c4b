"""What did a new run change? Every group of two runs on the same examples, before and after."""

from __future__ import annotations

import streamlit as st

from backend.bundle import Bundle
from backend.core.errors import BackendError
from backend.store import RunLink
from backend.tasks.linked import before_after_options, controls_of
from pages.components.before_after import changes, links
from pages.components.group import tagging
from pages.components.group.panel import show_group
from pages.components.shared import chapters, frame, keys, link, services, text
from pages.components.shared.waiting import show_progress


def page() -> None:
    bundle = frame.choose_bundle()
    if bundle is None:
        return
    bundle = bundle.at_layer("")
    st.header(
        "What did a new run change?",
        anchor=False,
        help="The same examples in two runs, matched by id: every region, tag, hypothesis, label and value "
        "of a column with its change and a paired interval. Measured on members that had no part in "
        "choosing the group, because what was chosen by its errors gets better under any new run.",
    )
    with st.container(horizontal=True, vertical_alignment="bottom", key="runs_bar"):
        known = links.show_links(bundle)
        before, control = choose_runs(bundle, known)
    if before is None:
        st.info(
            "This bundle is linked to no older run on this machine. Link one under *Links*: a repair and a "
            "retrained model link themselves, two uploaded runs of the same examples are linked by hand.",
            icon=":material/link:",
        )
        tagging.show_notice()
        return
    try:
        show_changes(bundle, before, control)
    except BackendError as error:
        st.error(text.plain(error, limit=600))
    tagging.show_notice()


def choose_runs(bundle: Bundle, known: list[RunLink]) -> tuple[str | None, str | None]:
    """Digests of the older run and of the control: "" for none, None for the usual one."""
    names = services.names_of_bundles()
    older = {one.older[:12]: one.older for one in known if one.older in names}
    if not older:
        return None, None
    chosen = st.selectbox(
        "Run before",
        list(older),
        format_func=lambda one: f"{text.shorten(names[older[one]], 60)} ({one[:6]})",
        **link.bound(keys.RUN_BEFORE, list(older)),
        width=360,
    )
    before = older[chosen or next(iter(older))]
    others = [one for one in names if one not in (bundle.digest, before)]
    usual = controls_of(before, others, services.known(), beside=bundle)
    retrains = {one.bundle[:12]: one.bundle for one in usual}
    if not retrains:
        return before, ""
    offered = [*retrains, "none"]
    beside = st.selectbox(
        "Control",
        offered,
        format_func=lambda one: (
            text.shorten(names[retrains[one]], 60) if one in retrains else "none"
        ),
        **link.bound(keys.RUN_CONTROL, offered),
        width=280,
        help="The run before made anew with nothing changed: another seed, or the plain refit that is kept beside "
        "a repair. One that you link by hand as such comes first.",
    )
    return before, retrains.get(str(beside), "")


def show_changes(bundle: Bundle, before: str, control: str | None) -> None:
    options = before_after_options(
        bundle, before, services.known(), services.known_bundles(), control
    )
    job = services.ask("before_after", bundle.digest, **options)
    if not show_progress(job, what="Comparing the two runs", key="before_after"):
        return
    kept = job.result()
    chapters.remember(bundle, "before_after", options=options, about=kept.meta["before"])
    older = services.bundle_of(before)
    chapters.remember(older, "after", options=options, about=bundle.name, of=bundle.digest)
    st.markdown(text.plain(kept.meta["sentence"], limit=600))
    left, right = st.columns([8, 5], gap="medium")
    with left:
        changes.show_table(kept)
        changes.show_note(kept)
    with right:
        changes.show_chart(kept)
    choice, choices = changes.looked_at(bundle, kept, before)
    if choice is not None:
        show_group(bundle, choice, choices)


page()
