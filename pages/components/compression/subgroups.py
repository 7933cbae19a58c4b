"""Error, false positive and false negative rates of two populations per subgroup."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from backend.bundle import Bundle
from backend.core.groups import SMALL
from backend.populations import PopulationPair
from pages.components.compression.training import relative_words, show_training
from pages.components.shared import charts, palette, populations, text

METRICS = {"error": "Error", "fpr": "False positive rate", "fnr": "False negative rate"}


def show_subgroups(bundle: Bundle, held: PopulationPair) -> None:
    """Error, false positive and false negative rates of both populations per subgroup."""
    if bundle.label_codes is None:
        populations.show_empty(
            "Error rates per subgroup need true labels, which this bundle does not have.",
            key="change",
        )
        return
    columns = populations.columns_of(bundle)
    if not columns.usable:
        populations.show_empty(
            "This bundle has no column that groups its examples.", key="change_columns"
        )
        return
    names = held.ensemble.names
    first, second, third, fourth = st.columns([4, 2, 2, 2])
    with first:
        chosen = populations.choose_columns(columns, key="change_columns", most=5, first=2)
    with second:
        occurring = held.occurring()
        positive = st.selectbox(
            "Positive class",
            occurring,
            index=1 if len(occurring) == 2 else 0,
            key="change_positive",
            help="For false positives and negatives; with more than two classes this one against "
            "the rest.",
        )
    with third:
        metric = st.segmented_control(
            "Rate", list(METRICS), format_func=lambda one: {"error": "Error"}.get(one, one.upper()),
            default="error", required=True, key="change_metric",
            help="Error: share answered wrong. FPR: of the examples of other classes, the share taken for "
            "the positive one. FNR: of the positive class, the share taken for another.",
        )  # fmt: skip
    with fourth:
        order = st.segmented_control(
            "Combined up to", [1, 2, 3], default=2, required=True, key="change_order",
            help="How many attributes a group is made of at most; with one, each is looked at alone.",
        )  # fmt: skip
    if positive is None or positive not in names:
        return
    found = populations.ask(
        bundle,
        "subgroups",
        doing="Measuring subgroups",
        baseline=held.baseline,
        compressed=held.compressed,
        attributes=chosen,
        positive=positive,
        order=int(order or 2),
    )
    if found is None:
        return
    table = found.tables["subgroups"]
    own = table[table["metric"] == metric].drop(columns="metric")
    defined = own[own["difference"].notna()].sort_values(
        "difference", ascending=False, kind="stable"
    )
    undefined = len(own) - len(defined)
    head = defined.head(charts.SHOWN)
    if head.empty:
        st.info("This rate is undefined in every group.")
        return
    st.markdown(
        f"**{METRICS[str(metric)]}: compressed less baseline** · "
        f"{charts.of_all(len(head), len(own), 'groups')}, largest rise first"
    )
    charts.show_chart(
        subgroups_figure(head),
        own,
        key="subgroup_change",
        height=70 + charts.ROW_HEIGHT * len(head),
        alt="Change of the rate per subgroup.",
        config=subgroups_config(),
    )
    st.caption(
        "Rates are averaged over models first. Lines are Welch 95\u00a0% intervals over models: they say "
        "what other seeds would do on the same examples, not what other examples would. The "
        "percentage is the difference in percent of the baseline rate (Hooker et al. 2020, table 3); "
        f"it is undefined where the baseline never errs. † under {SMALL} examples."
        + (
            f" {text.counted(undefined, 'group')} without examples to err on: in the table only."
            if undefined
            else ""
        )
    )
    show_training(bundle, own, list(chosen), METRICS[str(metric)])


def subgroups_config() -> dict[str, object]:
    return {
        "n_positive": st.column_config.NumberColumn("n positive", format="localized"),
        **charts.percent_columns("baseline", "compressed"),
        **charts.points_columns("difference", difference_low="low", difference_high="high"),
        "difference_percent": st.column_config.NumberColumn(
            "difference, % of baseline", format="%+.1f"
        ),
    }


def subgroups_figure(table: pd.DataFrame) -> go.Figure:
    at = np.arange(len(table))
    value, low, high = (
        100 * table[name].to_numpy() for name in ("difference", "difference_low", "difference_high")
    )
    small = (table["n"] < SMALL).to_numpy()
    figure = go.Figure(
        go.Scatter(
            x=value,
            y=at,
            mode="markers",
            marker={
                "size": 10,
                "symbol": np.where(small, "circle-open", "circle"),
                "color": np.where(
                    (table["group"] == "all").to_numpy(), palette.text_colour(), palette.accent()
                ),
            },
            error_x=charts.error_bars(value, low, high),
            customdata=[
                [text.chart(row.group), text.percent(row.baseline, digits=2),
                 text.percent(row.compressed, digits=2), text.count(row.n), text.count(row.n_positive)]
                for row in table.itertuples()
            ],
            hovertemplate="%{customdata[0]}: %{customdata[1]} → %{customdata[2]}<br>"
            "n %{customdata[3]}, positive %{customdata[4]}<extra></extra>",
        )
    )  # fmt: skip
    charts.write_margin(
        figure,
        [
            f"{relative_words(row.difference_percent)} · n {text.count(row.n)}"
            for row in table.itertuples()
        ],
    )
    charts.zero_line(figure)
    ends = np.concatenate([value, low[np.isfinite(low)], high[np.isfinite(high)], [0.0]])
    width = float(ends.max() - ends.min()) or 1.0
    figure.update_layout(
        xaxis={
            "title": "percentage points",
            "range": [float(ends.min()) - 0.05 * width, float(ends.max()) + 0.05 * width],
            "zeroline": False,
        },
        yaxis=charts.rows_axis(
            [f"{row.group}{' †' if row.n < SMALL else ''}" for row in table.itertuples()], limit=44
        ),
    )
    return figure
