"""Accuracy of the group that is served worst, beside the mean over groups."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from backend.bundle import Bundle
from backend.views import rows_by_tag
from pages.components.shared import charts, palette, populations, services, text
from pages.components.subgroups.controls import Asked

MOST_ATTRIBUTES = 2
_TAG = "tag: "


def show_worst_group(bundle: Bundle, asked: Asked) -> None:
    """Worst-group and balanced accuracy over the true class within the chosen attributes and tags."""
    tagged = rows_by_tag(bundle, services.known().tags(bundle.digest))
    by_tag = {f"{_TAG}{name}": (name, rows) for name, rows in tagged.items()}
    within, offered = list(asked.attributes), [*asked.attributes, *by_tag]
    if len(offered) > MOST_ATTRIBUTES or by_tag:
        held = st.session_state.get("worst_within")
        if held is not None and any(one not in offered for one in held):
            del st.session_state["worst_within"]
        within = st.multiselect(
            "Within", offered, max_selections=MOST_ATTRIBUTES, key="worst_within",
            default=within if len(within) <= MOST_ATTRIBUTES else within[:1],
            help="Groups are true classes within the values of up to two attributes. A tag, put on by hand "
            "or from a region, is an attribute of two values.",
        )  # fmt: skip
    tags = dict(by_tag[one] for one in within if one in by_tag)
    found = populations.ask(
        bundle, "worst", doing="Finding the worst group",
        **{
            **asked.served(),
            "attributes": [one for one in within if one not in by_tag],
            "tags": {name: rows.tolist() for name, rows in tags.items()},
        },
    )  # fmt: skip
    if found is None:
        return
    told = found.tables["told"].set_index("what")
    groups = found.tables["groups"]
    left, right = st.columns([5, 7], gap="medium")
    with left:
        _told("Worst-group accuracy", told.loc["worst"], of=f"{told.loc['worst', 'group']}")
        _told(
            "Chosen on one half, measured on the other", told.loc["held out"],
            of=f"{told.loc['held out', 'group']}",
        )  # fmt: skip
        _told(
            "Balanced accuracy", told.loc["balanced"], of="mean of the groups", unit="group",
        )  # fmt: skip
        _told("Accuracy", told.loc["overall"], of="everybody")
        st.caption(
            f"Groups are true classes within {', '.join(map(text.plain, within)) or 'everything'}. "
            f"Those under {text.counted(asked.min_n, 'example')} are marked † and cannot be the worst "
            "while others are there. The lowest of many is low by chance, too: the second line chooses "
            "the group on half of the examples and measures it on the other half. Intervals are 95\u00a0%."
            + (" A tag that was put on for its errors is low by choice." if tags else "")
        )
    with right:
        show_groups(groups)


def _told(name: str, row: pd.Series, *, of: str, unit: str = "example") -> None:
    value, low, high, n = (row[one] for one in ("accuracy", "low", "high", "n"))
    said = text.DASH if not np.isfinite(low) else f"{text.percent(low)} to {text.percent(high)}"
    st.markdown(
        f"{name} **{text.percent(value)}** ({said}) · {text.plain(of, limit=90)}, "
        f"{text.counted(int(n), unit)}"
    )


def show_groups(groups: pd.DataFrame) -> None:
    """The groups of lowest accuracy with their intervals; the table behind has all."""
    head = groups.head(charts.SHOWN)
    value, low, high = (100 * head[one].to_numpy() for one in ("accuracy", "low", "high"))
    figure = go.Figure(
        go.Scatter(
            x=value, y=np.arange(len(head)), mode="markers",
            marker={
                "size": 11, "color": palette.accent(),
                "symbol": np.where(head["small"], "circle-open", "circle"),
            },
            error_x=charts.error_bars(value, low, high),
            hovertemplate="%{x:.1f}\u00a0%<extra></extra>",
        )
    )  # fmt: skip
    names = [
        f"{name} · n {text.count(int(n))}{' †' if small else ''}"
        for name, n, small in zip(head["group"], head["n"], head["small"], strict=True)
    ]
    figure.update_layout(
        xaxis={"title": "accuracy, %", "range": [-2, 102], "zeroline": False},
        yaxis=charts.rows_axis(names, limit=64),
    )
    charts.show_chart(
        figure, groups, key="worst_groups", height=64 + charts.ROW_HEIGHT * len(head),
        alt="Accuracy of each true class within the attributes, lowest first.",
        config=charts.percent_columns("accuracy", "low", "high"),
    )  # fmt: skip
