"""The numbers behind a chart, one click away from it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages.components.shared import charts


def show_twin(table: pd.DataFrame, *, key: str, label: str = "Table") -> None:
    """A button that opens what a chart shows, as a table to sort, search, copy and download.

    Undefined numbers are a dash.
    """
    with st.popover(label, icon=":material/table:", type="tertiary", key=f"{key}_twin"):
        charts.show_table(table, key=f"{key}_table")
