"""The directions in which models deviate from their mean, example by example."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.groups import sharp_group
from backend.core.statistics import mean_interval
from backend.populations import fisher_interval, read_stress_table, stress_columns
from backend.populations.stress import rank_correlation
from pages.components.gallery import gallery
from pages.components.group import tagging
from pages.components.shared import charts, link, palette, populations, text
from pages.components.shared.choice import Choice
from pages.components.stress.source import TABLE

MOST_POINTS = 4000
MOST_MEMBERS = 96
NOTHING = "nothing"


def show_components(bundle: Bundle, source: str, population: str) -> None:
    """Principal components of scores, or of right and wrong answers."""
    if source == TABLE:
        scores = bundle.extras.get("stress_scores")
        if scores is None:
            st.info(
                "Components need a score of every model on every example: stress_scores of shape "
                "(models, examples), or the models of a population, which can be chosen above.",
                icon=":material/info:",
            )
            return
        models = models_of(bundle, population)
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
            models_figure(found.arrays["scores"][:, at]),
            pd.DataFrame({"model": np.arange(1, len(found.arrays["scores"]) + 1), "score": found.arrays["scores"][:, at]}),
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


def models_of(bundle: Bundle, population: str) -> list[int]:
    """Rows of the scores that belong to a population of the stress table; empty for all.

    The scores' rows stand in the order in which models come in the table; where their numbers
    differ nothing can be told apart.
    """
    scores = bundle.extras["stress_scores"]
    if not population or bundle.stress is None:
        return []
    held = stress_columns(bundle.stress)
    every = read_stress_table(bundle.stress)
    if held.population is None or len(every.metrics) != len(scores) or every.groups is None:
        return []
    return [at for at, name in enumerate(every.groups) if str(name) == population]


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
            hovertemplate="%{x}: %{y:.1f} %<extra></extra>",
        )
    )
    figure.update_layout(yaxis={"title": "%", "rangemode": "tozero"}, margin={"t": 20})
    return figure


def models_figure(scores: NDArray[np.float64]) -> go.Figure:
    figure = go.Figure(
        go.Scatter(
            x=scores,
            y=np.zeros(len(scores)),
            mode="markers",
            marker={"size": 10, "color": palette.text_colour(), "opacity": 0.75},
            customdata=np.arange(1, len(scores) + 1),
            hovertemplate="model %{customdata}: %{x:.3g}<extra></extra>",
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
    if column.dtype.kind in "iuf" and len(np.unique(column[:1000])) > 8:
        numbers = column.astype(float)
        known = np.isfinite(numbers)
        rho = rank_correlation(numbers[known], loading[known])
        low, high = fisher_interval(rho, int(known.sum()))
        rows = np.flatnonzero(known)
        if len(rows) > MOST_POINTS:
            rows = np.sort(np.random.default_rng(0).choice(rows, MOST_POINTS, replace=False))
        table = pd.DataFrame(
            {"id": bundle.ids[rows], against: numbers[rows], "loading": loading[rows]}
        )
        charts.show_chart(
            points_figure(numbers[rows], loading[rows], against), table, key="pca_points", height=360,
            alt=f"Loading against {against}.",
        )  # fmt: skip
        st.markdown(
            f"Spearman **{text.number(rho)}** ({text.number(low)} to {text.number(high)}) over "
            f"{text.counted(int(known.sum()), 'example')}"
            + (f"; {text.count(len(rows))} of them are drawn." if len(rows) < known.sum() else ".")
        )
        return
    values = pd.Series(
        bundle.losses if against == "loss" else populations.column_of(bundle, against)
    )
    rows_ = []
    for name, held in pd.Series(loading).groupby(values.astype(str), sort=True):
        found = mean_interval(held.to_numpy())
        rows_.append((str(name) or "unknown", len(held), found.value, found.low, found.high))
    table = pd.DataFrame(rows_, columns=["value", "n", "loading", "low", "high"])
    table = table.sort_values("loading", ascending=False, kind="stable").head(40)
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
            "title": "mean loading, 95 % Student's t",
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
    rows = np.argsort(-np.abs(loading), kind="stable")[: min(MOST_MEMBERS, bundle.n)]
    source = {"kind": "component", "component": at + 1}
    choice = Choice(
        "component", f"top of PC{at + 1}", sharp_group("component", rows, bundle.losses), source
    )
    st.subheader(f"Largest loadings on PC{at + 1}, either sign", anchor=False)
    bar = st.container()
    picked = gallery.show_gallery(bundle, choice.group, key="gallery_pca")
    with bar:
        tagging.show_bar(bundle, choice, picked)
