"""The numbers behind a chart, one click away from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from pages.components.shared import charts


def show_twin(table: pd.DataFrame, *, key: str, label: str = "Table") -> None:
    """A button that opens what a chart shows, as a table to sort, search, copy and download.

    Undefined numbers are a dash.
    """
    with st.popover(label, icon=":material/table:", type="tertiary", key=f"{key}_twin"):
        charts.show_table(table, key=f"{key}_table")


def histogram_table(edges: NDArray[np.float64], **counts: NDArray[Any]) -> pd.DataFrame:
    """One row per bar: from, to, and how many of each kind lie there.

    ``edges`` (n + 1,) borders of the bars, ascending; ``counts`` (n,) each. The last bar holds its
    upper border, the others do not.
    """
    return pd.DataFrame({"from": edges[:-1], "to": edges[1:], **counts})
