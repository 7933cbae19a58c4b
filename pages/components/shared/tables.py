"""Tables with their numbers right-aligned and readable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from backend.core import wording
from backend.core.groups import SMALL
from backend.describe import short_fractions
from pages.components.shared import text

LONGEST = 120
"""Characters of a word or value that a cell shows."""
STYLED = 6000
"""Cells of a table whose shares are written one by one."""
POINTS, APART = "points", "points apart"
"""Formats of columns of differences of shares, which are no percent of anything: with and without a sign."""
PLAIN = {POINTS: "%+.3f", APART: "%.3f"}
"""What such differences are written as where their cells are not written one by one."""
WRITERS = {"percent": text.share, POINTS: text.points, APART: text.points_apart}
EXACT = 2**53
"""Whole numbers from here on are not all told apart by a browser, which is given their text instead."""


def full_columns(frame: pd.DataFrame, names: Sequence[str]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Columns of a user's with every digit that says something: the frame to show, and its settings.

    Whole numbers are whole, without separators, for they may be years or ids; fractions have up to
    fifteen digits, which is what any of them can be told apart by.
    """
    settings: dict[str, Any] = {}
    texts: dict[str, Any] = {}
    for name in names:
        kind = frame[name].dtype.kind
        if kind == "f":
            settings[name] = st.column_config.NumberColumn(format="%.15g")
        elif kind in "iu":
            ends = (int(frame[name].min()), int(frame[name].max())) if len(frame) else (0, 0)
            if max(map(abs, ends)) >= EXACT:
                texts[name] = frame[name].astype(str)
            else:
                settings[name] = st.column_config.NumberColumn(format="%d")
    return frame.assign(**texts), settings


def number_columns(frame: pd.DataFrame) -> dict[str, Any]:
    """Column settings: for fractions the digits in which they differ, thousands for whole numbers."""
    settings: dict[str, Any] = {}
    for name in frame.columns:
        if frame[name].dtype.kind == "f":
            digits = wording.telling_digits(frame[name])
            settings[name] = st.column_config.NumberColumn(format=f"%.{digits}g")
        elif frame[name].dtype.kind in "iu":
            settings[name] = st.column_config.NumberColumn(format="localized")
    return settings


def written(frame: pd.DataFrame, settings: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A frame and its settings with shares in percent with one decimal, and differences of them in
    points; the cells stay numbers.

    Bars keep the two decimals of their own, which a styled frame does not reach; so do shares of
    tables of more than ``STYLED`` cells, each of which takes time, and differences are fractions there.
    """
    shares = {
        name: kept
        for name, kept in settings.items()
        if name in frame and isinstance(kept, dict)  # a column may have no more than a label
        if kept.get("type_config", {}).get("type") == "number"
        if kept["type_config"].get("format") in WRITERS
    }
    formats = {name: kept["type_config"]["format"] for name, kept in shares.items()}
    styled = bool(shares) and frame.size <= STYLED
    left = {name: None if styled else PLAIN.get(one, one) for name, one in formats.items()}
    plain = {
        name: {**kept, "type_config": {**kept["type_config"], "format": left[name]}}
        for name, kept in shares.items()
    }
    cells = {name: WRITERS[one] for name, one in formats.items()}
    return frame.style.format(cells) if styled else frame, {**settings, **plain}


def ratio_table(
    table: pd.DataFrame,
    what: str,
    *,
    key: str,
    base: str = "in all",
    rows: int = 10,
    formula: str = "Share in the group / share in what it is compared with.",
) -> int | None:
    """A token or attribute table, shares as bars; returns the place of the row that is marked.

    ``base`` is the head of the baseline's column, ``rows`` how many are seen without scrolling,
    ``formula`` what the ratio is.
    """
    if table.empty:
        st.caption("Nothing to count.")
        return None
    short = {
        name: [text.shorten(value, LONGEST) for value in table[name]]
        for name in ("column", what)
        if name in table
    }
    shown = table.assign(
        **short,
        small=[f"under {SMALL}" if small else "" for small in table["small"]],
    )
    eyes = short_fractions(table, what)
    order = ["column", what] if "column" in table else [what]
    order += ["ratio", "group_share", "base_share", "group_count", "count"]
    order += ["mean_loss"] if "mean_loss" in table and table["mean_loss"].notna().any() else []
    order += ["p_adjusted", "p"] + (["small"] if table["small"].any() else [])
    most = float(table[["group_share", "base_share"]].to_numpy().max()) or 1.0
    event = st.dataframe(
        shown[order].style.format({what: lambda one: eyes.get(one, one)}) if eyes else shown[order],
        hide_index=True,
        placeholder=text.DASH,
        key=key,
        on_select="rerun",
        selection_mode="single-row",
        column_config=_settings(what, base, most, formula),
        height=35 * (min(len(table), rows) + 1) + 3,
        row_height=35,
        lazy=False,
    )
    marked = event.selection.rows
    return int(marked[0]) if marked and marked[0] < len(table) else None


def _settings(what: str, base: str, most: float, formula: str) -> dict[str, Any]:
    """``most`` is the longest share, which fills its bar."""
    number = st.column_config.NumberColumn
    return {
        "column": st.column_config.TextColumn(width=135),
        what: st.column_config.TextColumn(width="medium"),
        "ratio": number(
            format="%.2f",
            width="small",
            help=f"How much more often in the group. {formula} Empty where it divides by 0.",
        ),
        "group_share": st.column_config.ProgressColumn(
            "in group",
            format="percent",
            width="small",
            help="Share of the group's weight. Where membership is graded, it is spread wider than the "
            "members.",
            min_value=0.0,
            max_value=most,
        ),
        "base_share": st.column_config.ProgressColumn(
            base,
            format="percent",
            width="small",
            help="Share of the baseline.",
            min_value=0.0,
            max_value=most,
        ),
        "group_count": number(
            "members", format="localized", width="small", help="Members of the group that have it."
        ),
        "count": number(
            "of all",
            format="localized",
            width="small",
            help=f"Examples of the whole set that have it. Under {SMALL} says little.",
        ),
        "mean_loss": number(
            "mean loss", format="%.3g", width="small", help="Over all examples that have it."
        ),
        "p": number(
            format="%.2g",
            width="small",
            help="How often chance alone gives as many members or more: Fisher's exact test, one-sided; "
            "against the same label a bound that is never too small (Hoeffding 1956).",
        ),
        "p_adjusted": number(
            "adjusted p",
            format="%.2g",
            width="small",
            help="Over every row looked at, shown or not (Benjamini, Hochberg 1995).",
        ),
        "small": st.column_config.TextColumn(
            "small",
            width="small",
            help=f"Fewer than {SMALL} of all examples have it: it says little.",
        ),
    }


def summary_table(table: pd.DataFrame, *, key: str, base: str) -> None:
    """Numeric columns: means in the group and in its baseline."""
    if table.empty:
        return
    number = st.column_config.NumberColumn
    shown = table.assign(column=[text.shorten(name, LONGEST) for name in table["column"]])
    order = ["column", "group_mean", "base_mean", "shift", "p_adjusted", "p", "n", "n_missing"]
    st.dataframe(
        shown[order],
        hide_index=True,
        placeholder=text.DASH,
        key=key,
        column_config={
            "column": st.column_config.TextColumn("number", width="small"),
            "group_mean": number("in group", format="%.6g", width="small", help="Weighted mean."),
            "base_mean": number(base, format="%.6g", width="small", help="Mean of the baseline."),
            "shift": number(
                format="%+.2f",
                width="small",
                help="Difference of the two in standard deviations of the baseline.",
            ),
            "p": number(
                format="%.2g",
                width="small",
                help="That members and others have values alike: Wilcoxon's rank-sum test, two-sided; "
                "inside each label where labels are compared alike.",
            ),
            "p_adjusted": number(
                "adjusted p", format="%.2g", width="small", help="Over the numbers listed here."
            ),
            "n": number(format="localized", width="small", help="Examples with a value."),
            "n_missing": number("missing", format="localized", width="small"),
        },
        height=35 * (min(len(table), 8) + 1) + 3,
        row_height=35,
        lazy=False,
    )
