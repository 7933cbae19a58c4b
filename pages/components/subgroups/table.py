"""An audit on screen: the widest gaps, groups worst first, all of them, one opened."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from backend.bundle import Bundle
from backend.core.groups import by_loss, sharp_group
from backend.populations.places import group_at, out_of, worst_first
from pages.components.shared import charts, keys, palette, populations, tables, text
from pages.components.shared.choice import Choice
from pages.components.subgroups.controls import RATES, Asked
from pages.components.subgroups.heat import (
    open_place,
    percents,
    pointed,
    scale_of,
    value_text,
)

SHOWN = 14


def show_gaps(gaps: pd.DataFrame, metric: str, min_n: int) -> None:
    """How far apart the best and the worst served group are."""
    rows = gaps.set_index("metric")
    if metric in rows.index and rows.loc[metric, "n_groups"] > 1:
        row = rows.loc[metric]
        st.markdown(
            f"Worst: **{text.plain(row['worst_group'], limit=70)}**, {RATES[metric]} "
            f"**{text.percent(row['worst'])}**. Best: {text.plain(row['best_group'], limit=70)}, "
            f"{text.percent(row['best'])}. Gap {text.points_apart(row['gap'])}"
            + (f", {text.times(row['ratio'])}." if np.isfinite(row["ratio"]) else ".")
        )
    # The others are complements of these: their gaps are the same.
    shown = gaps[gaps["metric"].isin(("error", "fpr", "fnr", "fdr"))]
    charts.show_table(
        shown.rename(columns={"metric": "rate", "worst_group": "worst group", "best_group": "best group",
                             "n_groups": "groups"})[
            ["rate", "worst", "best", "gap", "ratio", "worst group", "best group", "groups"]
        ],
        key="audit_gaps",
        config={
            **charts.percent_columns("worst", "best"),
            "gap": st.column_config.NumberColumn(format=tables.APART),
            "ratio": st.column_config.NumberColumn(format="%.2f", help="Worst / best."),
        },
    )  # fmt: skip
    st.caption(
        f"Over groups and combinations with at least {text.counted(min_n, 'example')} to be wrong about "
        "(positives for TPR and FNR). The worst of many groups is always somewhat bad by chance: see "
        "its interval."
    )


def show_worst(table: pd.DataFrame, asked: Asked, bundle: Bundle) -> None:
    """The worst served groups with their intervals, beside everybody."""
    metric = asked.metric
    ranked = worst_first(table, metric)
    # Those that say little come after those that say something.
    head = worst_first(table, metric, min_n=asked.min_n).head(SHOWN)
    if head.empty:
        st.info("This rate is undefined in every group.")
        return
    st.markdown(
        f"**{RATES[metric]}, worst first** · {text.count(len(head))} of "
        f"{text.counted(len(table) - 1, 'group')} · ○ and † out of fewer than {text.count(asked.min_n)}"
    )
    key = f"audit_worst_{bundle.digest[:8]}"
    names = ["group", "n", metric, f"{metric}_low", f"{metric}_high"]
    charts.show_chart(
        worst_figure(head, table, asked), ranked[names], key=key,
        height=64 + charts.ROW_HEIGHT * len(head),
        alt=f"{RATES[metric]} of the worst served groups.",
        on_select=lambda: pointed(key, asked),
        config=percents(metric, *names[2:]),
    )  # fmt: skip


def worst_figure(head: pd.DataFrame, table: pd.DataFrame, asked: Asked) -> go.Figure:
    metric, scale = asked.metric, scale_of(asked.metric)
    value, low, high = (
        scale * head[name].to_numpy() for name in (metric, f"{metric}_low", f"{metric}_high")
    )
    at = np.arange(len(head))
    small = out_of(head, metric) < asked.min_n
    figure = go.Figure(
        go.Scatter(
            x=value, y=at, mode="markers", customdata=head.index.to_numpy(),
            marker={
                "size": 11,
                "symbol": np.where(small, "circle-open", "circle"),
                "color": palette.accent(),
            },
            selected={"marker": {"opacity": 1}}, unselected={"marker": {"opacity": 1}},
            error_x=charts.error_bars(value, low, high),
            hovertext=[
                f"{text.chart(row['group'])}<br>{value_text(metric, row[metric])}, "
                f"{text.count(int(row['n']))} examples"
                for _, row in head.iterrows()
            ],
            hoverinfo="text",
        )
    )  # fmt: skip
    base = float(table[metric].iloc[0]) * scale
    if np.isfinite(base):
        charts.zero_line(figure, base)
        figure.add_annotation(
            x=base, y=len(head) - 0.45, text="all", showarrow=False, xanchor="left", xshift=4
        )
    counts = out_of(head, metric)
    figure.update_layout(
        xaxis={
            "title": RATES[metric] + ("" if metric == "mean_loss" else ", %"),
            "zeroline": False, "rangemode": "tozero",
        },
        yaxis=charts.rows_axis(
            [f"{name} · n {text.count(int(n))}{' †' if tiny else ''}"
             for name, n, tiny in zip(head["group"], counts, small, strict=True)], limit=64,
        ),
        clickmode="event+select",
    )  # fmt: skip
    return figure


def show_all(table: pd.DataFrame, asked: Asked) -> None:
    """Every group with every number; a click on a line opens the group."""
    rates = [one for one in ("error", "fpr", "fnr", "fdr", "tpr", "ppv") if one in table]
    shown = pd.DataFrame({"group": table["group"]})
    if "class" in table:
        shown["class"] = table["class"].astype(str)
    shown["n"] = table["n"]
    shown["small"] = np.where(table["small"], "†", "")
    for name in ("tp", "fp", "fn", "tn"):
        if name in table:
            shown[name] = table[name]
    for rate in rates:
        shown[rate] = table[rate]
        if rate in ("error", asked.metric):
            shown[f"{rate} low"], shown[f"{rate} high"] = (
                table[f"{rate}_low"],
                table[f"{rate}_high"],
            )
    if "mean_loss" in table:
        shown["mean loss"] = table["mean_loss"]
        if asked.metric == "mean_loss":
            shown["loss low"], shown["loss high"] = table["mean_loss_low"], table["mean_loss_high"]
    percents = [name for name in shown if name.split(" ")[0] in rates]
    charts.show_table(
        shown,
        key="audit_table",
        config=charts.percent_columns(*percents),
        on_select=lambda: _lined(asked),
    )
    one = (
        ""
        if "class" in table or not asked.positive
        else (
            f"tp to tn, and every rate but the error, are of {text.plain(asked.positive, limit=40)} against the rest. "
        )
    )
    st.caption(
        f"A click on a line or a cell opens the group below. {one}– is undefined: nobody to be wrong about. "
        "Intervals are Wilson's at 95\u00a0%; of mean losses Student's t. Combinations nobody belongs to "
        "are listed with n 0."
    )


def _lined(asked: Asked) -> None:
    rows = st.session_state["audit_table"].selection.get("rows") or []
    if rows:
        open_place(asked, int(rows[0]))


def chosen_group(bundle: Bundle, asked: Asked, table: pd.DataFrame) -> Choice | None:
    """The clicked group, else the worst one that is not small; None where nobody is in it."""
    of, place = st.session_state.get(keys.AUDIT_PLACE, (None, 0))
    if of != asked.groups() or place >= len(table):
        ranked = worst_first(table, asked.metric, min_n=asked.min_n)
        if ranked.empty:
            return None
        place = int(ranked.index[0])
    held = {name: populations.column_of(bundle, name) for name in asked.attributes}
    found = group_at(table, place, held, order=asked.order, labels=bundle.label_names)
    if len(found.rows) == 0:
        st.info(
            f"Nobody is in {text.plain(found.name, limit=120)}: n is 0, and its rates are undefined."
        )
        return None
    group = sharp_group("subgroup", by_loss(found.rows, bundle.losses), bundle.losses)
    source = {"kind": "subgroup", "group": found.name, "attributes": list(asked.attributes)}
    return Choice("subgroup", found.name, group, source)
