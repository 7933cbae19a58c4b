"""What did we flag? Tags and what is said of them: tests, blind checks, the report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.groups import by_loss, sharp_group
from backend.export import export_flagged
from backend.rules import RuleError, evaluate
from backend.views import rows_by_tag
from pages.components.flagged.blind import show_blind_check
from pages.components.flagged.hypotheses import show_hypotheses
from pages.components.flagged.report import latest, show_report
from pages.components.gallery import gallery
from pages.components.group import ask, history, sharpening, tagging, ways
from pages.components.shared import allowed, frame, keys, link, ruled, services, tables, text
from pages.components.shared.choice import Choice

SHARED = "of"  # the group whose words and columns are open; in the address
SHEET = "sheet"  # the open tab; its name in the address


def page() -> None:
    bundle = frame.choose_bundle()
    if bundle is None:
        return
    ask.open_if_asked(bundle, here=True)
    st.header("What did we flag?", anchor=False)
    if services.known().trouble(bundle.digest):
        return  # everything here is made of the log, and the line above says why it is not there
    counts = services.known().tag_counts(bundle.digest)
    chosen = choose_tags(counts) if counts else []
    with st.container(horizontal=True, vertical_alignment="center"):
        if counts:
            tagging.download_button(bundle, chosen or None)
            tagging.manifest_button(bundle, chosen or None)
            tagging.archive_button(bundle, chosen or None)
            tagging.show_replay(bundle)
        tagging.history_buttons(bundle)
        if counts:
            take_off(bundle, chosen)
    sheets: dict[str, Callable[[], None]] = {
        "Table": lambda: show_table(bundle, chosen) if counts else show_nothing(),
        "Gallery": lambda: show_gallery(bundle, chosen) if counts else show_nothing(),
        "What they share": lambda: show_shared(bundle, chosen),
        "Hypotheses": lambda: show_hypotheses(bundle),
        "Blind check": lambda: show_blind_check(bundle),
        "Report": lambda: show_report(bundle),
        "History": lambda: show_history(bundle),
    }
    tabs = st.tabs(list(sheets), key=SHEET, on_change="rerun", bind="query-params")
    for tab, show in zip(tabs, sheets.values(), strict=True):
        if tab.open:  # only what is looked at is computed
            with tab:
                show()
    tagging.show_notice()


def show_nothing() -> None:
    """Nothing is tagged yet, and the way to change that."""
    st.info("Nothing is tagged in this bundle yet. Tag a region, a selection or single examples.")
    st.page_link("pages/spotlights.py", label="Find regions to tag", icon=":material/flare:")


def choose_tags(counts: dict[str, int]) -> list[str]:
    """Which tags are shown and exported; none chosen means all."""
    chosen = st.pills(
        "Tags",
        list(counts),
        selection_mode="multi",
        format_func=lambda name: f"{text.plain(name)} · {text.count(counts[name])}",
        key=keys.TAG_FILTER,
        help="Choose tags to see and export only those.",
    )
    return list(chosen or [])


def tagged(bundle: Bundle, chosen: list[str]) -> pd.DataFrame:
    """One row per example and tag; of the chosen tags, or of all when none is chosen."""
    rows = tagging.tags_of(bundle)
    return rows[rows["tag"].isin(chosen)] if chosen else rows


def take_off(bundle: Bundle, chosen: list[str]) -> None:
    """Remove the chosen tags from everything that carries them; undo brings them back."""

    def remove() -> None:
        rows = tagged(bundle, chosen)
        for tag in chosen:
            if not tagging.take_off(
                bundle.digest, rows.loc[rows["tag"] == tag, "id"].tolist(), tag
            ):
                return
        st.session_state[keys.TAG_FILTER] = []
        back = "Undo brings it back." if len(chosen) == 1 else "Undo brings them back, one by one."
        history.notify(
            f"Removed {text.counted(len(chosen), 'tag')} from {text.counted(len(rows), 'row')}. {back}",
            ":material/undo:",
        )

    st.button(
        "Remove chosen tags",
        key="untag",
        icon=":material/label_off:",
        type="tertiary",
        on_click=remove,
        **allowed.control("untag", bundle.digest, disabled=not chosen),
    )


@st.cache_resource(show_spinner="Reading the tags", max_entries=8)
def flagged_rows(digest: str, seq: int, tags: tuple[str, ...], _bundle: Bundle) -> pd.DataFrame:
    """The rows of the CSV as the log stood at event ``seq``."""
    return export_flagged(_bundle, services.store(), tags=tags or None).rows


def show_table(bundle: Bundle, chosen: list[str]) -> None:
    """The rows of the CSV; numbers of the model's are cut to the digits that tell them apart."""
    rows = flagged_rows(bundle.digest, latest(bundle.digest), tuple(sorted(chosen)), bundle)
    st.caption(
        f"{text.counted(len(rows), 'row')}: one per example and tag, as in the CSV, which has every digit."
    )
    own = [name for name in bundle.attributes if name in rows]
    shown, full = tables.full_columns(rows, own)
    st.dataframe(
        shown,
        hide_index=True,
        column_config=tables.number_columns(shown) | full | told_columns(rows),
        height=460,
        placeholder="",
    )


TOLD = {
    "region": "The region that the tag was put on; empty for any other group.",
    "weight": "How strongly the example belongs to that region, from 0 to 1.",
    "kept_aside": "Whether searches for regions keep the example aside.",
    "score": "Place in the ranking that answers drew, higher first: what was answered yes stands above all "
    "others. Empty for tags that were not sharpened.",
    "answer": "What was said of the example when the group was sharpened: the majority, if several did.",
}


def told_columns(rows: pd.DataFrame) -> dict[str, Any]:
    """What the columns of the export say, over them; a column of the user's keeps its name alone."""
    kinds = {"score": st.column_config.NumberColumn, "weight": st.column_config.NumberColumn}
    return {
        name: kinds[name](format="%.3g", help=words)
        if name in kinds
        else st.column_config.Column(help=words)
        for name, words in TOLD.items()
        if name in rows
    }


def show_gallery(bundle: Bundle, chosen: list[str]) -> None:
    """The flagged examples themselves; picked ones can lose one tag."""
    rows = tagged(bundle, chosen)
    members = np.sort(bundle.rows_of(rows["id"].unique()))
    group = sharp_group("tag", members, bundle.losses)
    picked = gallery.show_gallery(bundle, group, key="gallery_flagged")
    held = sorted(rows.loc[rows["id"].isin(picked), "tag"].unique())
    if held:
        with st.container(horizontal=True):
            for tag in held:
                ids = rows.loc[rows["id"].isin(picked) & (rows["tag"] == tag), "id"].tolist()
                st.button(
                    f"Remove “{text.plain(tag)}” · {len(ids)}",
                    key=f"untag_{tag}",
                    on_click=untag,
                    args=(bundle.digest, ids, tag),
                    **allowed.control("untag", bundle.digest),
                )


def untag(digest: str, ids: list[str], tag: str) -> None:
    """Take a tag off some examples; a notice says why where that cannot be kept."""
    tagging.take_off(digest, ids, tag)


def show_shared(bundle: Bundle, chosen: list[str]) -> None:
    """Words and columns of what is tagged, or of what the rule of a hypothesis means."""
    question = sharpening.opened(bundle)
    if question is not None:
        sharpening.show(bundle, question, undo=False)
        return
    cards = [event.payload["card"] for event in services.store().hypotheses(bundle.digest)]
    if not ruled.ready(bundle, [card.get("rule") or "" for card in cards], key="shared"):
        return
    choices = shared_choices(bundle, chosen)
    if not choices:
        show_nothing()
        return
    by_key = {choice.key: choice for choice in choices}
    with st.container(horizontal=True, vertical_alignment="center"):
        key = st.selectbox(
            "Group",
            list(by_key),
            format_func=lambda key: (
                f"{text.shorten(by_key[key].name, 80)} · "
                f"{text.count(by_key[key].group.n_members)} examples"
            ),
            label_visibility="collapsed",
            width=420,
            **link.bound(SHARED, list(by_key)),
        )
        view = ways.choose_view(bundle, without=ways.NOT_SHARED)
        ask.start_form(bundle, by_key[str(key)])
        sharpening.start_button(bundle, by_key[str(key)], [])
    ways.show_view(bundle, view, by_key[str(key)], choices)


def shared_choices(bundle: Bundle, chosen: list[str]) -> list[Choice]:
    """Everything tagged, each tag, and the rule of each hypothesis, as groups; empty ones left out."""
    seq, held = latest(bundle.digest), rows_by_tag(bundle, tagged(bundle, chosen))
    named: dict[str, tuple[str, NDArray[np.int64], dict[str, Any]]] = {
        f"tag:{tag}": (f"tag: {tag}", rows, {"kind": "tag", "tag": tag})
        for tag, rows in held.items()
    }
    if len(named) > 1:
        every = np.unique(np.concatenate(list(held.values())))
        source = {"kind": "tag", "tags": list(held)}
        named = {"tags": ("everything tagged", every, source)} | named
    for event in services.store().hypotheses(bundle.digest):
        card = event.payload["card"]
        rows = rule_rows(bundle.digest, bundle.layer, card.get("rule", ""), seq, bundle)
        if len(rows):
            source = {"kind": "rule", "rule": card["rule"]}
            named[f"rule:{event.payload['key']}"] = (f"rule: {card['rule']}", rows, source)
    return [
        Choice(key, name, sharp_group("tag", by_loss(rows, bundle.losses), bundle.losses), source)
        for key, (name, rows, source) in named.items()
        if len(rows)
    ]


@st.cache_resource(show_spinner="Reading the rules", max_entries=64)
def rule_rows(digest: str, layer: str, rule: str, seq: int, _bundle: Bundle) -> NDArray[np.int64]:
    """Rows a rule means as the log stands at event ``seq``.

    No rows where it cannot be read any more, for instance because its tag is gone.
    """
    try:
        mask = (
            evaluate(rule, _bundle, services.store().tags(digest)) if rule else np.zeros(_bundle.n)
        )
    except RuleError:
        mask = np.zeros(_bundle.n)
    return np.flatnonzero(mask)


def show_history(bundle: Bundle) -> None:
    """Every change, newest first. The log only grows."""
    events = services.known().events(bundle.digest, limit=200)
    if not events:
        st.caption("No change yet.")
        return
    st.dataframe(
        pd.DataFrame(
            [
                {
                    "time": pd.to_datetime(e.time),
                    "author": e.author,
                    "what": text.sentence(e.summary),
                }
                for e in events
            ]
        ),
        hide_index=True,
        column_config={
            "time": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm:ss", width="medium"),
            "what": st.column_config.TextColumn(width="large"),
        },
    )


page()
