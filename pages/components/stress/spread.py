"""How far models of one pipeline differ on stress tests, and whether held-out accuracy tells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from backend.populations import StressReport
from pages.components.shared import charts, palette, text
from pages.components.stress.source import Stressed

SHOWN = 26


def show_spread(held: Stressed, report: StressReport) -> None:
    """Every model on every test, as its distance from the mean of the test."""
    spread = report.spread.iloc[: SHOWN + 1]
    row = report.spread.iloc[0]
    worst = report.spread.iloc[1:].sort_values("ratio", ascending=False)
    line = (
        f"{text.count(int(row['n_models']))} models, {text.plain(held.iid_name)} "
        f"**{text.number(row['mean'])}** with a standard deviation of **{text.number(row['sd'])}**."
    )
    if len(worst) and np.isfinite(worst["ratio"].iloc[0]):
        line += (
            f" They spread most on {text.plain(worst['metric'].iloc[0], limit=50)}: "
            f"{text.times(worst['ratio'].iloc[0])} as much."
        )
    regret = report.spread.iloc[1:].sort_values("regret", ascending=False)
    if len(regret):
        line += (
            f" Choosing the model that is best on held-out data costs up to "
            f"{text.number(regret['regret'].iloc[0])} on {text.plain(regret['metric'].iloc[0], limit=50)}."
        )
    st.markdown(line)
    table = spread_table(held, report)
    left, right = st.columns([7, 5], gap="medium")
    height = 76 + charts.ROW_HEIGHT * len(spread)
    with left:
        st.markdown(
            "**Distance of each model from the mean of the test** · ◆ best on held-out data"
        )
        charts.show_chart(
            spread_figure(held, spread), table, key="stress_spread", height=height,
            alt="Every model on every test, as distance from the test's mean.",
        )  # fmt: skip
    with right:
        st.markdown("**Rank correlation with the held-out metric**")
        charts.show_chart(
            predictability_figure(report, spread["metric"].tolist()[1:]), report.predictability,
            key="stress_predictability", height=height,
            alt="Spearman correlation of each test with the held-out metric.",
        )  # fmt: skip
    charts.show_table(table, key="stress_table")
    said = (
        "Boxes span one standard deviation around the mean. Correlations: Spearman with Fisher's 95\u00a0% "
        "interval, which needs four models and is undefined at 1 and -1. Regret: the best model's value "
        "less that of the model that is best on held-out data."
    )
    if held.sizes is not None:
        said += (
            " Thin lines in the chart: noise, which is what sampling that many examples would do to an accuracy, "
            "sqrt(p(1 - p)/n): a rough guide, since all models see the same examples."
        )
    st.caption(said)
    if report.groups is not None:
        st.markdown("**Between groups of models over within them**")
        charts.show_table(report.groups, key="stress_groups")
        st.caption("F is descriptive: mean square between groups / within groups.")


def spread_table(held: Stressed, report: StressReport) -> pd.DataFrame:
    """Spread and predictability of every test in one line."""
    table = report.spread.merge(report.predictability, on="metric", how="left")
    if held.sizes is not None:
        table = table.merge(held.sizes, on="metric", how="left")
        table.insert(1, "n", table.pop("n"))
        table.insert(5, "noise", table.pop("noise"))
    for name in ("best_model", "worst_model"):
        table[name] = [held.names[at] for at in table[name]]
    table.loc[table["metric"] == "iid", "metric"] = held.iid_name
    return table.rename(
        columns={
            "n_models": "models",
            "ratio": "sd / sd held-out",
            "best_model": "best model",
            "worst_model": "worst model",
            "spearman_low": "spearman low",
            "spearman_high": "spearman high",
            "pearson_low": "pearson low",
            "pearson_high": "pearson high",
        }
    )


def spread_figure(held: Stressed, spread: pd.DataFrame) -> go.Figure:
    values = np.column_stack([held.iid, held.stress.to_numpy()])[:, : len(spread)]
    away = values - spread["mean"].to_numpy()
    best = int(spread["best_model"].iloc[0])
    lines = np.arange(len(spread))
    sd = spread["sd"].to_numpy()
    figure = go.Figure(
        go.Bar(
            base=-sd, x=2 * sd, y=lines, width=0.6, orientation="h", hoverinfo="skip",
            marker={"color": palette.context_colour(), "opacity": 0.35, "line": {"width": 0}},
        )
    )  # fmt: skip
    reach = float(max(away.max(), -away.min())) or 1.0
    noise = None
    if held.sizes is not None:
        noise = held.sizes.set_index("metric")["noise"].reindex(spread["metric"]).to_numpy()
        reach = max(reach, min(2 * reach, float(noise.max())))
        shown = lines[noise <= reach]
        figure.add_scatter(
            x=np.concatenate([-noise[shown], noise[shown]]), y=np.concatenate([shown, shown]),
            mode="markers", hoverinfo="skip",
            marker={"symbol": "line-ns", "size": 15, "line": {"width": 1, "color": palette.text_colour()}},
        )  # fmt: skip
    for models, symbol, size, colour in (
        (np.flatnonzero(np.arange(len(away)) != best), "circle", 8, palette.text_colour()),
        (np.array([best]), "diamond", 12, palette.accent()),
    ):
        figure.add_scatter(
            x=away[models].ravel(),
            y=np.tile(lines, len(models)),
            mode="markers",
            marker={"size": size, "symbol": symbol, "color": colour, "opacity": 0.8},
            customdata=[
                [text.chart(held.names[model]), value]
                for model in models
                for value in values[model]
            ],
            hovertemplate="%{customdata[0]}: %{customdata[1]:.4g}<extra></extra>",
        )
    charts.write_margin(
        figure,
        [f"{text.number(row.mean)} ± {text.number(row.sd)}" for row in spread.itertuples()],
    )
    charts.zero_line(figure)
    names = [held.iid_name, *spread["metric"].tolist()[1:]]
    figure.update_layout(
        xaxis={"title": "less the mean of the test",
               "range": [-1.1 * reach, 1.1 * reach], "zeroline": False},
        yaxis=charts.rows_axis(names, limit=30),
    )  # fmt: skip
    return figure


def predictability_figure(report: StressReport, names: list[str]) -> go.Figure:
    rows = report.predictability.set_index("metric").loc[names]
    value = rows["spearman"].to_numpy()
    figure = go.Figure(
        go.Scatter(
            x=value,
            y=np.arange(1, len(rows) + 1),
            mode="markers",
            marker={"size": 10, "color": palette.accent()},
            error_x=charts.error_bars(value, rows["spearman_low"], rows["spearman_high"]),
            hovertemplate="%{x:.2f}<extra></extra>",
        )
    )
    for at, one in enumerate(value, start=1):
        if not np.isfinite(one):
            figure.add_annotation(x=0, y=at, text=text.DASH, showarrow=False)
    charts.zero_line(figure)
    figure.update_layout(
        xaxis={
            "title": "Spearman's rho, 95\u00a0% Fisher",
            "range": [-1.05, 1.05],
            "zeroline": False,
        },
        # The same lines as the chart beside it, whose first one is the held-out metric itself.
        yaxis={**charts.rows_axis(["", *names], limit=30), "showticklabels": True},
    )
    return figure


def show_between(report: StressReport) -> None:
    """Does doing well on one test go with doing well on another?"""
    table = report.between.iloc[:SHOWN, :SHOWN]
    if len(table) < 2:
        st.info(
            "One test only: there is nothing to compare it with. Choose more attributes or tags."
        )
        return
    names = [str(name) for name in table.columns]
    values = table.to_numpy(dtype=float)
    words = np.array([[text.number(one) for one in row] for row in values], dtype=object)
    figure = go.Figure(
        go.Heatmap(
            z=values,
            zmin=-1,
            zmax=1,
            colorscale="RdBu",
            xgap=1,
            ygap=1,
            colorbar={"title": "rho", "thickness": 10},
            customdata=[[[text.chart(a), text.chart(b)] for b in names] for a in names],
            hovertemplate="%{customdata[0]}<br>%{customdata[1]}<br>rho %{z:.2f}<extra></extra>",
        )
    )
    charts.write_cells(figure, values, words, "RdBu", low=-1.0, high=1.0)
    figure.update_layout(
        xaxis={
            "tickvals": list(range(len(names))),
            "ticktext": [text.chart(text.shorten(name, 16)) for name in names],
            "showgrid": False,
        },
        yaxis=charts.rows_axis(names, limit=26),
    )
    st.markdown("**Spearman correlation between tests, over models**")
    charts.show_chart(
        figure, table.reset_index(names="test"), key="stress_between",
        height=130 + 30 * len(names), alt="Rank correlation between every two tests.",
    )  # fmt: skip
    st.caption("– is undefined: one of the two tests is constant over models.")


def show_disagreement(held: Stressed) -> None:
    """How often two models of the population answer differently, test by test."""
    if held.disagreement is None:
        st.info(
            "Disagreement needs the models' answers: choose the models of a population above.",
            icon=":material/info:",
        )
        return
    table = held.disagreement.iloc[: SHOWN + 1]
    value, low, high = (100 * table[name].to_numpy() for name in ("disagreement", "low", "high"))
    figure = go.Figure(
        go.Scatter(
            x=value,
            y=np.arange(len(table)),
            mode="markers",
            marker={
                "size": 10,
                "color": [palette.text_colour()] + [palette.accent()] * (len(table) - 1),
            },
            error_x=charts.error_bars(value, low, high),
            hovertemplate="%{x:.1f}\u00a0%<extra></extra>",
        )
    )
    charts.zero_line(figure, float(value[0]))
    names = [
        f"{held.iid_name if row.metric == 'iid' else row.metric} · n {text.count(row.n)}"
        for row in table.itertuples()
    ]
    figure.update_layout(
        xaxis={"title": "% of examples", "rangemode": "tozero", "zeroline": False},
        yaxis=charts.rows_axis(names, limit=40),
    )
    st.markdown("**Examples that two models answer differently, averaged over pairs**")
    charts.show_chart(
        figure, held.disagreement, key="stress_disagreement",
        height=70 + charts.ROW_HEIGHT * len(table),
        alt="Disagreement between models per test.",
        config=charts.percent_columns("disagreement", "low", "high"),
    )  # fmt: skip
    st.caption(
        "Lines run from the pair that agrees most to the pair that agrees least: a range, no "
        "confidence interval, since pairs share models."
    )
