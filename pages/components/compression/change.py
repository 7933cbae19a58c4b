"""Classes that lose more than accuracy as a whole."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from backend.bundle import Bundle
from backend.populations import PopulationPair, changed_classes
from backend.populations.payers import LEVEL
from pages.components.shared import charts, palette, populations, text


def show_classes(bundle: Bundle, held: PopulationPair) -> None:
    """Which classes lose more than accuracy as a whole."""
    if bundle.label_codes is None:
        populations.show_empty(
            "Class by class needs true labels, which this bundle does not have.", key="classes"
        )
        return
    found = populations.ask(
        bundle,
        "classes",
        doing="Comparing classes",
        baseline=held.baseline,
        compressed=held.compressed,
    )
    if found is None:
        return
    table = found.tables["classes"].sort_values("normalized_change", kind="stable")
    absent = table.loc[table["n"] == 0, "label"].tolist()
    present = table[table["n"] > 0]
    shown = present
    if len(present) > 2 * charts.SHOWN:
        shown = pd.concat([present.head(charts.SHOWN), present.tail(charts.SHOWN)])
    counts = changed_classes(present)
    if counts.n_tested:
        st.markdown(
            f"**{text.count(counts.n_significant)}** of {text.count(counts.n_tested)} classes change "
            f"more or less than the average at p < {text.level(LEVEL)}, "
            f"**{text.count(counts.n_adjusted)}** after adjustment."
        )
    else:
        st.info(
            "No test: it needs at least two models in both populations, and answers that vary.",
            icon=":material/info:",
        )
    charts.show_chart(
        classes_figure(shown),
        table,
        key="class_change",
        height=70 + charts.ROW_HEIGHT * len(shown),
        alt="Change of recall per class, less the change of accuracy.",
        config=classes_config(),
    )
    caption = (
        "Recall of a class, less the mean top-1 accuracy of its population; compressed less baseline. "
        "Lines are Welch 95\u00a0% intervals over models; ◆ marks an adjusted p (Benjamini and Hochberg) "
        f"below {text.level(LEVEL)}, ◇ an unadjusted one (Hooker et al. 2019 do not adjust)."
    )
    if absent:
        names = ", ".join(text.plain(name, limit=40) for name in absent[:8])
        caption += f" Without examples, so undefined: {names}{' …' if len(absent) > 8 else ''}."
    st.caption(caption)


def classes_config() -> dict[str, object]:
    return {
        "label": "class",
        **charts.percent_columns(
            baseline_recall="baseline recall", compressed_recall="compressed recall"
        ),
        **charts.points_columns(
            change="change", normalized_change="change beyond the average",
            normalized_low="low", normalized_high="high",
        ),
        "p_adjusted": st.column_config.NumberColumn("adjusted p", format="%.3g"),
    }  # fmt: skip


def classes_figure(table: pd.DataFrame) -> go.Figure:
    at = np.arange(len(table))
    value, low, high = (
        100 * table[name].to_numpy()
        for name in ("normalized_change", "normalized_low", "normalized_high")
    )
    sure, maybe = (table["p_adjusted"] < LEVEL).to_numpy(), (table["p"] < LEVEL).to_numpy()
    figure = go.Figure(
        go.Scatter(
            x=value,
            y=at,
            mode="markers",
            marker={
                "size": 10,
                "symbol": np.select([sure, maybe], ["diamond", "diamond-open"], "circle"),
                "color": np.where(sure | maybe, palette.accent(), palette.text_colour()),
            },
            error_x=charts.error_bars(value, low, high),
            customdata=[
                [
                    text.chart(row.label),
                    text.percent(row.baseline_recall),
                    text.percent(row.compressed_recall),
                    text.p_value(row.p_adjusted),
                    text.count(row.n),
                ]
                for row in table.itertuples()
            ],
            hovertemplate="%{customdata[0]}: recall %{customdata[1]} → %{customdata[2]}<br>"
            "%{x:+.2f} points beyond the average<br>n %{customdata[4]}, adjusted p %{customdata[3]}"
            "<extra></extra>",
        )
    )
    charts.zero_line(figure)
    figure.update_layout(
        xaxis={"title": "loses more than the average  ←  points  →  loses less", "zeroline": False},
        yaxis=charts.rows_axis(
            [f"{row.label} · n {text.count(row.n)}" for row in table.itertuples()]
        ),
    )
    return figure
