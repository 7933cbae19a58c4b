"""Whom does the model serve worst? Rates per group and combination of groups."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import streamlit as st

from backend.bundle import Bundle
from backend.core.errors import BackendError
from pages.components.group.panel import show_group
from pages.components.shared import frame, keys, populations, text
from pages.components.subgroups.controls import Asked, choose, rate_words, sources_of
from pages.components.subgroups.heat import show_crossed, show_target
from pages.components.subgroups.pairs import show_pairs
from pages.components.subgroups.shades import show_shades
from pages.components.subgroups.table import chosen_group, show_all, show_gaps, show_worst
from pages.components.subgroups.thresholds import show_thresholds
from pages.components.subgroups.worst import show_worst_group

TARGET = (
    "Inside each group every class takes its turn as the positive one, everybody else of the group "
    "being negative. The pooled column adds them up: there PPV, TPR and accuracy are one number, and "
    "FPR is the error."
)


def page() -> None:
    bundle = frame.choose_bundle()
    if bundle is None:
        return
    st.header(
        "Whom does the model serve worst?",
        anchor=False,
        help="Error rates of groups and of their combinations: a model can serve each attribute's "
        "groups alike and still fail where two of them meet (Buolamwini, Gebru 2018). Standard "
        "definitions of the rates; the published rows called PPV and TPR behave as recall and "
        "precision.",
    )
    columns = populations.columns_of(bundle)
    if not columns.usable:
        why = "; ".join(
            f"{text.plain(name)}: {reason}" for name, reason in columns.left_out.items()
        )
        populations.show_empty(
            "This bundle has no column that groups its examples. Add columns such as age or device "
            "to its examples table." + (f" Left out: {why}." if why else ""),
            key="subgroups",
            demos=("adult", "fashion"),
        )
        return
    if not sources_of(bundle):
        st.info(
            "Without labels and predictions only mean losses can be compared.",
            icon=":material/info:",
        )
    asked = choose(bundle, columns)
    if not asked.attributes:
        st.info("Choose at least one attribute.")
        return
    try:
        show_audit(bundle, asked)
    except BackendError as error:
        st.error(text.plain(error, limit=600))


def show_audit(bundle: Bundle, asked: Asked) -> None:
    found = populations.ask(bundle, "audit", doing="Auditing subgroups", **asked.options())
    if found is None:
        return
    table = found.tables["audit"]
    left, right = st.columns([7, 5], gap="medium")
    with left:
        st.markdown(f"**{rate_words(asked.metric, asked.positive)}**")
        if asked.mode == "target":
            show_target(bundle, asked, table)
        else:
            show_crossed(bundle, asked, table)
    with right:
        if "gaps" in found.tables:
            show_gaps(found.tables["gaps"], asked.metric, asked.min_n)
        elif asked.mode == "target":
            st.caption(TARGET)
            show_all(table, asked)
        else:
            show_worst(table, asked, bundle)
    show_parts(bundle, asked, table, gaps="gaps" in found.tables)
    choice = chosen_group(bundle, asked, table)
    if choice is None:
        return
    st.subheader(
        f"{text.plain(choice.name, limit=120)} · {text.count(choice.group.n_members)} examples · "
        f"mean loss {text.number(choice.group.member_loss)} ({text.times(choice.group.ratio)} base)",
        anchor=False,
    )
    show_group(bundle, choice, [choice])


def show_parts(bundle: Bundle, asked: Asked, table: pd.DataFrame, *, gaps: bool) -> None:
    """The groups of the audit as lists, then what is asked beyond it; only what is open is computed."""
    parts: dict[str, Callable[[], None]] = {}
    if asked.mode != "target":
        parts["Groups worst first"] = lambda: show_worst(table, asked, bundle) if gaps else None
        parts["All groups"] = lambda: show_all(table, asked)
    lists = len(parts)
    if sources_of(bundle):
        parts["One table"] = lambda: show_shades(bundle, asked)
        parts["Worst group"] = lambda: show_worst_group(bundle, asked)
        parts["Thresholds"] = lambda: show_thresholds(bundle, asked)
        parts["Pairs"] = lambda: show_pairs(bundle, asked)
    if not parts:
        return
    tabs = st.tabs(list(parts), key=keys.AUDIT_PART, on_change="rerun", bind="query-params")
    for at, (tab, show) in enumerate(zip(tabs, parts.values(), strict=True)):
        if at < lists or tab.open:
            with tab:
                asked_of(show)


def asked_of(show: Callable[[], None]) -> None:
    """A part that the bundle or the choices cannot answer says so, and leaves the others as they are."""
    try:
        show()
    except BackendError as error:
        st.info(text.plain(error, limit=600), icon=":material/info:")


page()
