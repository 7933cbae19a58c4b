"""Would another seed behave the same? Underspecification, and failures that models share."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from backend.bundle import Bundle
from backend.core.errors import BackendError
from backend.core.groups import SMALL
from backend.populations import StressReport, stress_report
from pages.components.shared import frame, keys, populations, text
from pages.components.stress.components import show_components
from pages.components.stress.external import show_external
from pages.components.stress.levels import show_levels
from pages.components.stress.overlap import show_overlap
from pages.components.stress.source import TABLE, Stressed, choose, offered
from pages.components.stress.spread import show_between, show_disagreement, show_spread


def page() -> None:
    bundle = frame.choose_bundle()
    if bundle is None:
        return
    st.header(
        "Would another seed behave the same?",
        anchor=False,
        help="Models that look alike on held-out data may differ where it matters: the training recipe "
        "does not specify that part of their behaviour (underspecification, D'Amour et al. 2020, "
        "arXiv:2011.03395).",
    )
    if not offered(bundle):
        populations.show_empty(
            "This bundle holds neither a stress table nor labelled answers of several models: add "
            "stress.csv with columns model, test and a metric, or populations/<name>.npy and labels.",
            key="stress",
            demos=("compression", "fashion"),
        )
        return
    try:
        held = choose(bundle)
        if held is not None:
            show_page(bundle, held)
    except BackendError as error:
        st.error(text.plain(error, limit=600))


def show_page(bundle: Bundle, held: Stressed) -> None:
    for note in held.notes:
        st.caption(text.plain(note, limit=300))
    source = str(st.session_state.get(keys.STRESS_SOURCE))
    parts: dict[str, Callable[[], None]] = {
        "Spread": lambda: with_report(held, lambda report: show_spread(held, report)),
        "Between tests": lambda: with_report(held, show_between),
        "Disagreement": lambda: show_disagreement(held),
        "Components": lambda: components(bundle, source, held),
        "Outside number": lambda: show_external(bundle, source, held),
        "Compression levels": lambda: show_levels(bundle, source),
        "Failure overlap": lambda: show_overlap(bundle),
    }
    tabs = st.tabs(list(parts), key=keys.STRESS_PART, on_change="rerun", bind="query-params")
    for tab, show in zip(tabs, parts.values(), strict=True):
        if tab.open:  # only what is looked at is computed
            with tab:
                show()


def with_report(held: Stressed, show: Callable[[StressReport], None]) -> None:
    """The report where there are models and tests enough, else the sentence that says what lacks."""
    if len(held.iid) < 3:
        st.info(
            f"{text.count(len(held.iid))} model{'s' if len(held.iid) != 1 else ''}: how far seeds "
            "differ needs three or more.",
            icon=":material/info:",
        )
        return
    if held.stress.empty:
        st.info(
            "There is no test beside the held-out metric. Choose attributes or tags with at least "
            f"{SMALL} examples per value.",
            icon=":material/info:",
        )
        return
    show(stress_report(held.iid, held.stress, held.groups))


def components(bundle: Bundle, source: str, held: Stressed) -> None:
    if source != TABLE and len(held.iid) < 3:
        st.info("Components need three or more models.", icon=":material/info:")
        return
    show_components(bundle, source, held)


page()
