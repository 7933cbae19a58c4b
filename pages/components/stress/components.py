"""The directions in which models deviate from their mean, example by example."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.groups import sharp_group
from backend.populations import (
    is_measured,
    loading_means,
    loading_trend,
    scored_models,
    strongest_rows,
)
from pages.components.gallery import gallery
from pages.components.group import tagging
from pages.components.shared import charts, link, palette, populations, text
from pages.components.shared.choice import Choice
from pages.components.stress.source import TABLE, Stressed

MOST_POINTS = 4000
MOST_MEANS = 40
MOST_MEMBERS = 96
NOTHING = "nothing"


def show_components(bundle: Bundle, source: str, held: Stressed) -> None:
    """Principal components of scores, or of right and wrong answers."""
    population = held.population
    if source == TABLE:
        scores = bundle.extras.get("stress_scores")
        if scores is None:
            st.info(
                "Components need a score of every model on every example: stress_scores of shape "
                "(models, examples), or the models of a population, which can be chosen above.",
                icon=":material/info:",
            )
            return
        models = scored_models(bundle.stress, population, len(scores))
        of_what = f"scores{'' if models else ', those that came with the bundle,'}"
    else:
        models, of_what = [], "right and wrong answers"
    found = populations.ask(
        bundle,
        "components",
        doing="Decomposing deviations",
        population="" if source == TABLE else population,
        models=models,
    )
    if found is None:
        return
    explained, loadings = found.arrays["explained"], found.arrays["loadings"]
    if not np.isfinite(explained).any():
        st.info("All models say the same about every example: nothing deviates.")
        return
    count = min(len(loadings), len(explained))
    first, second = st.columns([1, 1])
    with first:
        names = [f"PC{at + 1}" for at in range(count)]
        chosen = st.segmented_control(
            "Component", names, required=True, **link.bound("component", names)
        )
    at = names.index(str(chosen))
    loading = np.asarray(loadings[at], dtype=float)
    columns = list(bundle.attributes) if len(loading) == bundle.n else []
    with second:
        offered = [*columns, "loss"] if len(loading) == bundle.n else []
        against = NOTHING
        if offered:
            against = str(st.selectbox("Against", offered, **link.bound("against", offered)))
    st.markdown(
        f"PC{at + 1} holds **{text.percent(explained[at])}** of how {len(found.arrays['scores'])} models "
        f"deviate from their mean in {of_what} over {text.counted(len(loading), 'example')}."
    )
    left, right = st.columns([4, 8], gap="medium")
    with left:
        st.markdown("**Share of the deviation**")
        table = pd.DataFrame(
            {"component": [f"PC{i + 1}" for i in range(len(explained))], "share": explained}
        )
        charts.show_chart(
            explained_figure(explained, at), table, key="pca_explained", height=260,
            alt="Share of the deviation variance per component.",
            config=charts.percent_columns("share"),
        )  # fmt: skip
        charts.show_chart(
            models_figure(found.arrays["scores"][:, at], names_of(held, len(found.arrays["scores"]))),
            pd.DataFrame(
                {
                    "model": names_of(held, len(found.arrays["scores"])),
                    "score": found.arrays["scores"][:, at],
                }
            ),
            key="pca_models", height=120, alt="Place of each model on the component.",
        )  # fmt: skip
    with right:
        if against == NOTHING:
            st.info(
                f"The scores are of {text.count(len(loading))} examples and the bundle has "
                f"{text.count(bundle.n)}: loadings cannot be set against its columns."
            )
        else:
            show_against(bundle, loading, against)
    if len(loading) == bundle.n:
        show_members(bundle, loading, at)
    st.caption(
        "Deviations are each model's scores less the mean over models; models are rows and examples are "
        "columns of the decomposition (D'Amour et al. 2020). The largest loading is made positive."
    )


def explained_figure(explained: NDArray[np.float64], chosen: int) -> go.Figure:
    shown = explained[:12]
    colours = [
        palette.accent() if at == chosen else palette.context_colour() for at in range(len(shown))
    ]
    figure = go.Figure(
        go.Bar(
            x=[f"PC{at + 1}" for at in range(len(shown))],
            y=100 * shown,
            text=[text.percent(one, digits=0) for one in shown],
            textposition="outside",
            marker={"color": colours, "line": {"width": 0}},
            cliponaxis=False,
            hovertemplate="%{x}: %{y:.1f}\u00a0%<extra></extra>",
        )
    )
    figure.update_layout(yaxis={"title": "%", "rangemode": "tozero"}, margin={"t": 20})
    return figure


def names_of(held: Stressed, n: int) -> list[str]:
    """Names of the models; numbers where the scores are not of the models of the table."""
    return held.names if len(held.names) == n else [f"model {at + 1}" for at in range(n)]


def models_figure(scores: NDArray[np.float64], names: list[str]) -> go.Figure:
    figure = go.Figure(
        go.Scatter(
            x=scores,
            y=np.zeros(len(scores)),
            mode="markers",
            marker={"size": 10, "color": palette.text_colour(), "opacity": 0.75},
            customdata=[text.chart(name) for name in names],
            hovertemplate="%{customdata}: %{x:.3g}<extra></extra>",
        )
    )
    charts.zero_line(figure)
    figure.update_layout(
        xaxis={"title": "models on this component", "zeroline": False}, yaxis={"visible": False}
    )
    return figure


def show_against(bundle: Bundle, loading: NDArray[np.float64], against: str) -> None:
    """Loadings over a column: points for numbers, means for categories."""
    column = bundle.losses if against == "loss" else bundle.examples[against].to_numpy()
    st.markdown(f"**Loading of each example against {text.plain(against)}**")
    if is_measured(column):
        trend = loading_trend(loading, column, most=MOST_POINTS)
        rows = trend.rows
        table = pd.DataFrame(
            {"id": bundle.ids[rows], against: column[rows], "loading": loading[rows]}
        )
        charts.show_chart(
            points_figure(column[rows], loading[rows], against), table, key="pca_points", height=360,
            alt=f"Loading against {against}.",
        )  # fmt: skip
        st.markdown(
            f"Spearman **{text.number(trend.correlation)}** ({text.number(trend.low)} to "
            f"{text.number(trend.high)}) over {text.counted(trend.n, 'example')}"
            + (f"; {text.count(len(rows))} of them are drawn." if len(rows) < trend.n else ".")
        )
        return
    values = bundle.losses if against == "loss" else populations.column_of(bundle, against)
    table = loading_means(loading, values).head(MOST_MEANS)
    charts.show_chart(
        means_figure(table), table, key="pca_means", height=80 + charts.ROW_HEIGHT * len(table),
        alt=f"Mean loading per value of {against}.",
    )  # fmt: skip


def points_figure(x: NDArray[np.float64], y: NDArray[np.float64], name: str) -> go.Figure:
    figure = go.Figure(
        go.Scattergl(
            x=x, y=y, mode="markers", hovertemplate="%{x:.3g}: %{y:.3g}<extra></extra>",
            marker={"size": 4, "color": palette.accent(), "opacity": 0.5},
        )
    )  # fmt: skip
    figure.add_hline(y=0, line={"dash": "dot", "width": 1, "color": palette.text_colour()})
    figure.update_layout(xaxis={"title": text.chart(name)}, yaxis={"title": "loading"})
    return figure


def means_figure(table: pd.DataFrame) -> go.Figure:
    value = table["loading"].to_numpy()
    figure = go.Figure(
        go.Scatter(
            x=value,
            y=np.arange(len(table)),
            mode="markers",
            marker={"size": 9, "color": palette.accent()},
            error_x=charts.error_bars(value, table["low"], table["high"]),
            hovertemplate="%{x:.3g}<extra></extra>",
        )
    )
    charts.zero_line(figure)
    figure.update_layout(
        xaxis={
            "title": "mean loading, 95\u00a0% Student's t",
            "zeroline": False,
            "exponentformat": "power",
        },
        yaxis=charts.rows_axis(
            [f"{row.value} · n {text.count(row.n)}" for row in table.itertuples()]
        ),
    )
    return figure


def show_members(bundle: Bundle, loading: NDArray[np.float64], at: int) -> None:
    """The examples on which models deviate most along the component."""
    rows = strongest_rows(loading, MOST_MEMBERS)
    source = {"kind": "component", "component": at + 1}
    choice = Choice(
        "component", f"top of PC{at + 1}", sharp_group("component", rows, bundle.losses), source
    )
    st.subheader(f"Largest loadings on PC{at + 1}, either sign", anchor=False)
    bar = st.container()
    picked = gallery.show_gallery(bundle, choice.group, key="gallery_pca")
    with bar:
        tagging.show_bar(bundle, choice, picked)
