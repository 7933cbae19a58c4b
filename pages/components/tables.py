"""Tables with their numbers right-aligned and readable."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st


def number_columns(frame: pd.DataFrame) -> dict[str, Any]:
    """Column settings: three significant digits for fractions, thousands for whole numbers."""
    settings: dict[str, Any] = {}
    for name in frame.columns:
        if frame[name].dtype.kind == "f":
            settings[name] = st.column_config.NumberColumn(format="%.3g")
        elif frame[name].dtype.kind in "iu":
            settings[name] = st.column_config.NumberColumn(format="localized")
    return settings


def ratio_table(table: pd.DataFrame, what: str, *, key: str) -> None:
    """A token or attribute table, shares as bars."""
    if table.empty:
        st.caption("Nothing to count.")
        return
    share: dict[str, Any] = {"min_value": 0.0, "max_value": 1.0, "format": "percent"}
    config = {
        what: st.column_config.TextColumn(width="medium"),
        "ratio": st.column_config.NumberColumn(
            format="%.2f", help="How much more often in the group than in the data."
        ),
        "group_share": st.column_config.ProgressColumn("in group", **share),
        "base_share": st.column_config.ProgressColumn("in data", **share),
        "count": st.column_config.NumberColumn(
            format="localized", help="Examples of the whole set. Under 30 says little."
        ),
        "mean_loss": st.column_config.NumberColumn("mean loss", format="%.3g"),
    }
    st.dataframe(
        table,
        hide_index=True,
        key=key,
        column_config={name: value for name, value in config.items() if name in table},
        height=min(35 * (len(table) + 1) + 3, 388),
    )
