"""Whether what models say goes with something outside: one correlation per model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.populations import external_correlation, is_measured, stress_report
from backend.populations.stress.external import external_scores
from pages.components.shared import charts, link, palette, populations, text
from pages.components.stress.source import TABLE, Stressed


def show_external(bundle: Bundle, source: str, held: Stressed) -> None:
    """Every model's correlation with a column of numbers, beside the held-out metric."""
    measured = [name for name in bundle.attributes if is_measured(bundle.examples[name].to_numpy())]
    if not measured:
        st.info(
            "An outside number per example is needed: a column of the examples table, such as the share "
            "of women in the occupation a sentence names.",
            icon=":material/info:",
        )
        return
    if source == TABLE:
        scores = bundle.extras.get("stress_scores")
        if scores is None or scores.shape[1] != bundle.n:
            st.info(
                "A score of every model on every example is needed: stress_scores of shape (models, "
                "examples), for instance a difference of two scores; or choose the models of a population "
                "above, whose right and wrong answers are taken.",
                icon=":material/info:",
            )
            return
    column = str(
        st.selectbox("Outside number", measured, width=260, **link.bound("outside", measured))
    )
    table = _correlated(bundle.digest, source, held.population, column, bundle)
    names = (
        held.names
        if len(held.names) == len(table)
        else [f"model {at + 1}" for at in table["model"]]
    )
    table = table.assign(model=names)
    of_what = "its score" if source == TABLE else "whether it is right"
    st.markdown(f"**Correlation of {of_what} with {text.plain(column)}, model by model**")
    shown = table.head(charts.SHOWN)
    charts.show_chart(
        external_figure(shown), table, key="stress_external",
        height=64 + charts.ROW_HEIGHT * len(shown),
        alt=f"Correlation of every model with {column}.",
    )  # fmt: skip
    if len(names) == len(held.iid) >= 3 and np.isfinite(table["correlation"]).all():
        report = stress_report(held.iid, table[["correlation"]])
        row = report.predictability.iloc[0]
        spread = report.spread.iloc[1]
        st.markdown(
            f"{text.count(len(table))} models from **{text.number(spread['low'])}** to "
            f"**{text.number(spread['high'])}**, standard deviation {text.number(spread['sd'])}. Rank "
            f"correlation with {text.plain(held.iid_name)}: {text.number(row['spearman'])} "
            f"({text.number(row['spearman_low'])} to {text.number(row['spearman_high'])})."
        )
    st.caption(
        "Pearson over examples with Fisher's 95\u00a0% interval (D'Amour et al. 2020: gendered correlations of "
        "fine-tunings that differ by seed alone). Models that look alike on held-out data may differ here."
    )


@st.cache_resource(show_spinner=False, max_entries=16)
def _correlated(
    digest: str, source: str, population: str, column: str, _bundle: Bundle
) -> pd.DataFrame:
    scores: NDArray[Any]
    if source == TABLE:
        scores = external_scores(_bundle.extras["stress_scores"], _bundle.stress, population)
    else:
        scores = populations.ensemble_of(_bundle).correct(population).astype(np.float32)
    return external_correlation(scores, _bundle.examples[column].to_numpy())


def external_figure(table: pd.DataFrame) -> go.Figure:
    value = table["correlation"].to_numpy()
    figure = go.Figure(
        go.Scatter(
            x=value, y=np.arange(len(table)), mode="markers",
            marker={"size": 10, "color": palette.accent()},
            error_x=charts.error_bars(value, table["low"], table["high"]),
            hovertemplate="%{x:.3f}<extra></extra>",
        )
    )  # fmt: skip
    charts.zero_line(figure)
    figure.update_layout(
        xaxis={"title": "Pearson's r, 95\u00a0% Fisher", "zeroline": False},
        yaxis=charts.rows_axis(list(table["model"])),
    )
    return figure
