"""What did we flag? Tags, their history, and the way out."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from backend.bundle import Bundle
from backend.core.groups import sharp_group
from backend.export import export_flagged
from pages.components import frame, gallery, keys, services, tables, tagging, text
from pages.components.groups import rows_of_ids


def page() -> None:
    bundle = frame.choose_bundle()
    if bundle is None:
        return
    st.header("What did we flag?", anchor=False)
    counts = services.store().tag_counts(bundle.digest)
    if not counts:
        st.info(
            "Nothing is tagged in this bundle yet. Tag a region, a selection or single examples."
        )
        st.page_link("pages/spotlights.py", label="Find regions to tag", icon=":material/flare:")
        with st.container(horizontal=True):
            tagging.history_buttons(bundle)
        show_history(bundle)
        tagging.show_notice()
        return
    chosen = choose_tags(counts)
    rows = export_flagged(bundle, services.store(), tags=chosen or None).rows
    with st.container(horizontal=True, vertical_alignment="center"):
        tagging.download_button(bundle, chosen or None)
        tagging.manifest_button(bundle, chosen or None)
        tagging.history_buttons(bundle)
        take_off(bundle, chosen, rows)
    tab_table, tab_gallery, tab_history = st.tabs(["Table", "Gallery", "History"])
    with tab_table:
        st.caption(
            f"{text.count(len(rows))} rows: one per example and tag, as they stand in the CSV."
        )
        st.dataframe(rows, hide_index=True, column_config=tables.number_columns(rows), height=460)
    with tab_gallery:
        show_gallery(bundle, rows)
    with tab_history:
        show_history(bundle)
    tagging.show_notice()


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


def take_off(bundle: Bundle, chosen: list[str], rows: pd.DataFrame) -> None:
    """Remove the chosen tags from everything that carries them; undo brings them back."""

    def remove() -> None:
        for tag in chosen:
            ids = rows.loc[rows["tag"] == tag, "id"].tolist()
            untag(bundle.digest, ids, tag)
        st.session_state[keys.TAG_FILTER] = []
        st.session_state[keys.NOTICE] = (
            f"Removed {len(chosen)} tags from {text.count(len(rows))} rows. Undo brings them back.",
            ":material/undo:",
        )

    st.button(
        "Remove chosen tags",
        key="untag",
        icon=":material/label_off:",
        type="tertiary",
        disabled=not chosen,
        on_click=remove,
    )


def show_gallery(bundle: Bundle, rows: pd.DataFrame) -> None:
    """The flagged examples themselves; picked ones can lose one tag."""
    members = rows_of_ids(bundle, rows["id"].unique())
    group = sharp_group("tag", members, bundle.losses)
    picked = gallery.show_gallery(bundle, group, tagging.tags_of(bundle), key="gallery_flagged")
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
                )


def untag(digest: str, ids: list[str], tag: str) -> None:
    """Take a tag off some examples."""
    services.store().untag(digest, ids, tag, author=frame.author())


def show_history(bundle: Bundle) -> None:
    """Every change, newest first. The log only grows."""
    events = services.store().events(bundle.digest, limit=200)
    if not events:
        st.caption("No change yet.")
        return
    st.dataframe(
        pd.DataFrame(
            [
                {"time": pd.to_datetime(e.time), "author": e.author, "what": e.summary}
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
