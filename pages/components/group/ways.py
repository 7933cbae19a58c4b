"""Ways to look at one group: its members, a table, its words, its columns, beside the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from backend.bundle import Bundle
from backend.views import (
    MARGIN,
    first_columns,
    is_tabular,
    member_table,
    rating_columns,
)
from pages.components.gallery import cards, gallery
from pages.components.group import columns, pair, tagging, words
from pages.components.shared import charts, keys, tables
from pages.components.shared.choice import Choice

REGION_VIEWS = ("What differs", "Breakdown", "Is it real?", "Other methods")
VIEWS = ("Members", "Side by side", "Table", "Words", "Columns", *REGION_VIEWS)
ANSWERS = ("label", "prediction", "target", "loss")
"""Columns of the table that stand before the bundle's own ones; scores of difficulty come after."""
NO_ROWS = np.empty(0, np.int64)
NOT_SHARED = tuple(view for view in VIEWS if view not in ("Words", "Columns"))
"""Views that do not say what a group shares."""


def choose_view(bundle: Bundle, *, without: tuple[str, ...] = ()) -> str:
    """Which view is open; kept in the URL. Where columns are all there is to see the table is first."""
    offered = [
        view for view in VIEWS if view not in without and (view != "Words" or bundle.has_text)
    ]
    if is_tabular(bundle):
        offered.sort(key="Table".__ne__)
    if st.session_state.get(keys.VIEW) not in (None, *offered):
        st.session_state[keys.VIEW] = offered[0]
    view = st.segmented_control(
        "View",
        offered,
        default=offered[0],
        required=True,
        key=keys.VIEW,
        bind="query-params",
        label_visibility="collapsed",
    )
    return view or offered[0]


def show_view(bundle: Bundle, view: str, choice: Choice, choices: list[Choice]) -> list[str]:
    """The chosen way to look at a group; returns the ids picked in it."""
    if view == "Members":
        return gallery.show_gallery(bundle, choice.group, about=choice.about)
    if view == "Side by side":
        return pair.show(bundle, choice, choices)
    if view == "Table":
        return show_table(bundle, choice)
    if view == "Words":
        return words.show_words(bundle, choice, choices)
    return columns.show_columns(bundle, choice)


def show_table(bundle: Bundle, choice: Choice) -> list[str]:
    """All members as a table; the ids of the rows marked in it."""
    if not len(choice.group.rows):
        gallery.say_empty()
        return []
    frame = member_table(bundle, choice.group, tagging.tags_of(bundle))
    apart = {name: f"{name} (column)" for name in bundle.attributes}
    own = {name: apart[name] if apart[name] in frame else name for name in apart}
    spoken = [own[one] for one in cards.columns(bundle, choice.about) if one in own]
    ratings = [own.get(one, one) for one in first_columns(bundle)]
    first = ["id", *dict.fromkeys([*ratings, *spoken])]
    shown, full = tables.full_columns(frame, list(own.values()))
    event = st.dataframe(
        shown,
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        key=f"table_{choice.key}",
        height=charts.table_height(len(shown)),
        row_height=charts.TABLE_ROW,
        column_order=list(dict.fromkeys([*first, *ANSWERS, *own.values(), *frame])),
        column_config=tables.number_columns(shown)
        | full
        | {MARGIN: margin_column()}
        | rating_settings(bundle),
        lazy=False,
    )
    tagging.group_button(bundle, choice)
    return frame["id"].iloc[event.selection.rows].tolist()


def rating_settings(bundle: Bundle) -> dict[str, Any]:
    """What the averages of items and users mean; nothing where there are no ratings."""
    among = (
        "held-out and training ratings" if bundle.rated_in_training() else "ratings of this bundle"
    )
    return {
        name: st.column_config.NumberColumn(
            format="localized" if name.endswith("ratings") else "%.2f",
            help=f"Of all other {among} with the same {name.split()[0]}: the row itself is not counted.",
        )
        for name in rating_columns(bundle, NO_ROWS)
    }


def margin_column() -> Any:
    """How the table of members shows the label's margin."""
    return st.column_config.NumberColumn(
        format="%+.3f",
        help="Probability of the label less the highest probability of another class: near -1 the model is "
        "sure of another class, near 0 undecided, near 1 sure of the label (Northcutt et al. 2021).",
    )
