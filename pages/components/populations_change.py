"""Who pays: attributes over-represented among PIEs, classes and subgroups that lose more."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from backend.bundle import Bundle
from pages.components import palette, populations, text
from pages.components import populations_chart as charts
from pages.components.populations_examples import Comparison

SHOWN = 24
"""Lines of a chart; the table behind it has all."""
METRICS = {"error": "Error", "fpr": "False positive rate", "fnr": "False negative rate"}


def show_representation(bundle: Bundle, held: Comparison, share: float, tie: str) -> None:
    """Which values the changed examples have more often than the data."""
    columns = populations.columns_of(bundle, with_label=True)
    if not columns.usable:
        populations.show_empty(
            "This bundle has no column that groups its examples, and no labels.", key="attributes"
        )
        return
    chosen = populations.choose_columns(columns, key="pie_columns", most=12, first=6)
    if not chosen:
        st.info("Choose at least one attribute.")
        return
    found = populations.ask(
        bundle,
        "representation",
        doing="Counting attributes",
        baseline=held.baseline,
        compressed=held.compressed,
        kind=held.kind,
        share=share,
        tie=tie,
        attributes=chosen,
    )
    if found is None:
        return
    table = found.tables["representation"]
    if not held.mask.any():
        st.info("No example differs between the two populations: there is nothing to count.")
        return
    shown = table.assign(distance=(table["ratio"] - 1).abs()).sort_values(
        ["p", "distance"], ascending=[True, False], kind="stable"
    )
    head = shown.head(SHOWN)
    st.markdown(
        f"**Share among {held.word} (●) beside the share in the data (│)** · "
        f"{_of(len(head), len(table), 'values')}, smallest p first"
    )
    charts.show_chart(
        representation_figure(head),
        shown.drop(columns="distance"),
        key="pie_representation",
        height=70 + charts.ROW_HEIGHT * len(head),
        alt="Share of attribute values among changed examples and in the data.",
        config=representation_config(held.word),
    )
    st.caption(
        "Lines are Wilson 95 % intervals. p is Fisher's exact test of being changed against having "
        "the value; adjusted by Benjamini and Hochberg over all values counted. ◆ marks an adjusted "
        "p below .05. Small groups have wide intervals."
    )


def representation_config(word: str) -> dict[str, object]:
    return {
        "n": st.column_config.NumberColumn("n", format="localized"),
        "n_pie": st.column_config.NumberColumn(f"n {word}", format="localized"),
        **charts.percent_columns(share="share in data", pie_share=f"share of {word}"),
        **charts.percent_columns(pie_low="low", pie_high="high"),
        "ratio": st.column_config.NumberColumn(
            format="%.2f", help="Share among the changed examples / share in the data."
        ),
        "p": st.column_config.NumberColumn("p", format="%.3g"),
        "p_adjusted": st.column_config.NumberColumn("adjusted p", format="%.3g"),
    }


def representation_figure(table: pd.DataFrame) -> go.Figure:
    at = np.arange(len(table))
    names = [f"{row.attribute} = {row.value}" for row in table.itertuples()]
    value, low, high = (
        100 * table[name].to_numpy() for name in ("pie_share", "pie_low", "pie_high")
    )
    significant = (table["p_adjusted"] < 0.05).to_numpy()
    figure = go.Figure()
    figure.add_scatter(
        x=100 * table["share"], y=at, mode="markers", hoverinfo="skip",
        marker={"symbol": "line-ns", "size": 13, "line": {"width": 3, "color": palette.context_colour()}},
    )  # fmt: skip
    figure.add_scatter(
        x=value,
        y=at,
        mode="markers",
        marker={
            "size": 10,
            "symbol": np.where(significant, "diamond", "circle"),
            "color": np.where(significant, palette.accent(), palette.text_colour()),
        },
        error_x=charts.error_bars(value, low, high),
        customdata=[
            [
                text.chart(name),
                text.number(row.ratio),
                text.p_value(row.p_adjusted),
                text.count(row.n),
            ]
            for name, row in zip(names, table.itertuples(), strict=True)
        ],
        hovertemplate="%{customdata[0]}<br>%{x:.1f} %, ×%{customdata[1]} the data<br>"
        "n %{customdata[3]}, adjusted p %{customdata[2]}<extra></extra>",
    )
    charts.write_margin(
        figure, [f"×{text.number(row.ratio)} · n {text.count(row.n)}" for row in table.itertuples()]
    )
    top = max(float(np.nanmax(high)), float(100 * table["share"].max()))
    figure.update_layout(
        xaxis={"title": "% of the changed examples", "range": [0, 1.25 * top], "zeroline": False},
        yaxis=charts.rows_axis(names),
    )
    return figure


def show_classes(bundle: Bundle, held: Comparison) -> None:
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
    if len(present) > 2 * SHOWN:
        shown = pd.concat([present.head(SHOWN), present.tail(SHOWN)])
    tested = int(present["p"].notna().sum())
    significant = int((present["p"] < 0.05).sum())
    adjusted = int((present["p_adjusted"] < 0.05).sum())
    if tested:
        st.markdown(
            f"**{text.count(significant)}** of {text.count(tested)} classes change more or less than "
            f"the average at p < .05, **{text.count(adjusted)}** after adjustment."
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
        "Lines are Welch 95 % intervals over models; ◆ marks an adjusted p (Benjamini and Hochberg) "
        "below .05, ◇ an unadjusted one (Hooker et al. 2019 do not adjust)."
    )
    if absent:
        names = ", ".join(text.plain(name, limit=40) for name in absent[:8])
        caption += f" Without examples, so undefined: {names}{' …' if len(absent) > 8 else ''}."
    st.caption(caption)


def classes_config() -> dict[str, object]:
    return {
        "label": "class",
        **charts.percent_columns(
            baseline_recall="baseline recall", compressed_recall="compressed recall",
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
    sure, maybe = (table["p_adjusted"] < 0.05).to_numpy(), (table["p"] < 0.05).to_numpy()
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


def show_subgroups(bundle: Bundle, held: Comparison) -> None:
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
        occurring = occurring_classes(held)
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
        )  # fmt: skip
    with fourth:
        order = st.segmented_control(
            "Combined up to", [1, 2, 3], default=2, required=True, key="change_order",
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
    head = defined.head(SHOWN)
    if head.empty:
        st.info("This rate is undefined in every group.")
        return
    st.markdown(
        f"**{METRICS[str(metric)]}: compressed less baseline** · "
        f"{_of(len(head), len(own), 'groups')}, largest rise first"
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
        "Rates are averaged over models first. Lines are Welch 95 % intervals over models: they say "
        "what other seeds would do on the same examples, not what other examples would. The "
        "percentage is the difference in percent of the baseline rate (Hooker et al. 2020, table 3); "
        f"it is undefined where the baseline never errs. † under 30 examples. {text.count(undefined)} "
        "groups without examples to err on are in the table only."
    )


def occurring_classes(held: Comparison) -> list[str]:
    """Names of the classes that occur among labels or answers: only those can be positive."""
    parts = [held.before, held.after]
    if held.ensemble.labels is not None:
        parts.append(held.ensemble.labels)
    codes = np.unique(np.concatenate([part.ravel() for part in parts]))
    return [held.ensemble.names[code] for code in codes]


def subgroups_config() -> dict[str, object]:
    return {
        "n_positive": st.column_config.NumberColumn("n positive", format="localized"),
        **charts.percent_columns("baseline", "compressed", "difference"),
        **charts.percent_columns(difference_low="low", difference_high="high"),
        "difference_percent": st.column_config.NumberColumn(
            "difference, % of baseline", format="%+.1f"
        ),
    }


def subgroups_figure(table: pd.DataFrame) -> go.Figure:
    at = np.arange(len(table))
    value, low, high = (
        100 * table[name].to_numpy() for name in ("difference", "difference_low", "difference_high")
    )
    small = (table["n"] < 30).to_numpy()
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
            f"{f'{row.difference_percent:+.1f} %' if np.isfinite(row.difference_percent) else text.DASH}"
            f" · n {text.count(row.n)}"
            for row in table.itertuples()
        ],
    )
    charts.zero_line(figure)
    ends = np.concatenate([value, low[np.isfinite(low)], high[np.isfinite(high)], [0.0]])
    width = float(np.ptp(ends)) or 1.0
    figure.update_layout(
        xaxis={
            "title": "percentage points",
            "range": [float(ends.min()) - 0.05 * width, float(ends.max()) + 0.35 * width],
            "zeroline": False,
        },
        yaxis=charts.rows_axis(
            [f"{row.group}{' †' if row.n < 30 else ''}" for row in table.itertuples()], limit=44
        ),
    )
    return figure


def _of(shown: int, all_of_them: int, what: str) -> str:
    if shown == all_of_them:
        return f"{text.count(shown)} {what}"
    return f"{text.count(shown)} of {text.count(all_of_them)} {what}"
