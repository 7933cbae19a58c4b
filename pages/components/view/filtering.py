"""Adding a filter by hand: a column and its values, or a rule."""

from __future__ import annotations

import streamlit as st

from backend.bundle import Bundle
from backend.rules import columns_of, read_column
from backend.rules.write import range_rule, value_rule
from backend.views import Query
from pages.components.shared import text
from pages.components.view import selection
from pages.components.view.rulebox import show_rule_box

COLUMN = "filter_column"
LISTED = 300
"""Values of a column that are offered, the most frequent ones."""


def show_popover(bundle: Bundle) -> None:
    """A button that opens the two ways to add a filter."""
    with st.popover(
        "Filter", icon=":material/add:", type="tertiary", help="Keep only some examples."
    ):
        column = st.selectbox(
            "Column",
            list(_columns(bundle.digest, bundle)),
            format_func=lambda name: text.shorten(name, 60),
            key=COLUMN,
        )
        if _columns(bundle.digest, bundle)[column] == "number":
            _range(bundle, column)
        else:
            _values(bundle, column)
        st.divider()
        show_rule_box(bundle)
        st.caption(
            "The language of hypotheses: \\=, \\!=, <, <=, \\>, \\>=, in (…), between … and …, contains "
            "(whole words; refund\\* for all that begin so), tagged, near, joined by and, or, not. Enter "
            "adds the rule; arrows choose what comes next."
        )


def _range(bundle: Bundle, column: str) -> None:
    low, high = _extent(bundle.digest, column, bundle) or (0.0, 0.0)
    if low == high:
        st.caption("Every example has the same value here.")
        return
    st.slider(
        "Range", low, high, (low, high), key=f"filter_range_{column}", format="%.4g",
        help="Both ends included. Examples without a value are set aside.",
    )  # fmt: skip
    st.button(
        "Add the range", key="filter_add_range", on_click=_add_range, args=(bundle, column),
        icon=":material/filter_alt:",
    )  # fmt: skip


def _values(bundle: Bundle, column: str) -> None:
    offered = _frequent(bundle.digest, column, bundle)
    st.multiselect(
        "Values",
        list(offered),
        format_func=lambda value: f"{text.shorten(value, 60)} · {text.count(offered[value])}",
        key=f"filter_values_{column}",
        help=f"The {LISTED} most frequent ones are offered; a rule reaches the others.",
    )
    st.button(
        "Add the values", key="filter_add_values", on_click=_add_values, args=(bundle, column),
        icon=":material/filter_alt:",
    )  # fmt: skip


def _add_range(bundle: Bundle, column: str) -> None:
    low, high = st.session_state[f"filter_range_{column}"]
    selection.keep_only(bundle, Query(range_rule(column, low, high)))


def _add_values(bundle: Bundle, column: str) -> None:
    chosen = st.session_state.get(f"filter_values_{column}") or []
    rule = value_rule(column, chosen[0] if len(chosen) == 1 else tuple(chosen)) if chosen else None
    if rule:
        selection.keep_only(bundle, Query(rule))


@st.cache_resource(show_spinner=False, max_entries=8)
def _columns(digest: str, _bundle: Bundle) -> dict[str, str]:
    columns = columns_of(_bundle)
    return {name: kind for name, kind in columns.items() if name not in ("id", "text")}


@st.cache_resource(show_spinner=False, max_entries=64)
def _extent(digest: str, column: str, _bundle: Bundle) -> tuple[float, float] | None:
    return read_column(_bundle, column).extent()


@st.cache_resource(show_spinner=False, max_entries=64)
def _frequent(digest: str, column: str, _bundle: Bundle) -> dict[str, int]:
    return read_column(_bundle, column).frequent(LISTED)
