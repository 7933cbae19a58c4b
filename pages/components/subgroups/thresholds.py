"""One threshold for the probability of the positive class, and what it does to every group."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from backend.bundle import Bundle
from backend.populations import OWN
from backend.populations.rates.thresholds import (
    CALIBRATION_BINS,
    CURVES,
    STEPS,
    curve_lines,
    rates_of_threshold,
)
from pages.components.shared import charts, keys, palette, populations, text
from pages.components.subgroups.controls import Asked, classes_of

NAMES = {
    "tpr": "TPR", "fpr": "FPR", "fnr": "FNR", "tnr": "TNR", "ppv": "PPV", "fdr": "FDR",
    "error": "Error", "called": "Called positive",
}  # fmt: skip
MOST_LINES = 10


def show_thresholds(bundle: Bundle, asked: Asked) -> None:
    """Rates of all groups at one threshold, their curves, ranking and calibration of each."""
    if asked.source != OWN or (bundle.probabilities is None and bundle.logits is None):
        st.info(
            "Thresholds need labels and probabilities (or logits) of the bundle's own model.",
            icon=":material/info:",
        )
        return
    positive = asked.positive or classes_of(bundle, OWN, 0)[-1]
    found = populations.ask(
        bundle, "thresholds", doing="Ranking every group",
        **{**asked.served(), "positive": positive, "order": 1},
    )  # fmt: skip
    if found is None:
        return
    quality, curves = found.tables["quality"], found.tables["curves"]
    left, right = st.columns([4, 8], gap="medium")
    with left:
        threshold = st.slider(
            f"Positive ({text.plain(positive, limit=40)}) from a probability of",
            0.0, 1.0, 0.5, 1 / STEPS,
            key=keys.THRESHOLD,
            bind="query-params",
        )  # fmt: skip
        rate = st.selectbox(
            "Curve of", list(CURVES), format_func=NAMES.__getitem__, key="threshold_rate",
            persist_state="session",
        )  # fmt: skip
        of = st.selectbox(
            "Of the groups by", list(asked.attributes), key="threshold_of",
            format_func=lambda one: text.shorten(one, 60),
        )  # fmt: skip
    with right:
        show_curves(curves, str(of or asked.attributes[0]), str(rate), threshold)
    show_rates(curves, quality, threshold)
    st.caption(
        f"AUC with DeLong's 95\u00a0% interval. Average precision stands beside prevalence, what a random "
        f"ranking gets. Calibration error: over {CALIBRATION_BINS} bins of the probability, how far the "
        "share of positives is from the mean probability (Guo et al. 2017). † fewer than "
        f"{text.counted(asked.min_n, 'example')}."
    )


def show_rates(curves: pd.DataFrame, quality: pd.DataFrame, threshold: float) -> None:
    """All rates of all groups at the threshold, beside what does not depend on it."""
    at = rates_of_threshold(curves, threshold)
    table = pd.DataFrame(
        {
            "group": [
                f"{name} †" if small else name
                for name, small in zip(quality["group"], quality["small"], strict=True)
            ],
            "n": quality["n"],
            "positives": quality["n_positive"],
            **{NAMES[one]: at[one].to_numpy() for one in CURVES},
            "AUC": quality["auc"],
            "AUC low": quality["auc_low"],
            "AUC high": quality["auc_high"],
            "average precision": quality["average_precision"],
            "prevalence": quality["prevalence"],
            "calibration error": quality["calibration_error"],
        }
    )
    shares = [NAMES[one] for one in CURVES] + ["prevalence", "calibration error"]
    areas = ("AUC", "AUC low", "AUC high", "average precision")
    config = {one: st.column_config.NumberColumn(format="%.3f") for one in areas}
    charts.show_table(
        table, key="threshold_table", config={**config, **charts.percent_columns(*shares)}
    )


def show_curves(curves: pd.DataFrame, attribute: str, rate: str, threshold: float) -> None:
    """One line per value of an attribute over all thresholds; the chosen one stands across."""
    figure = go.Figure()
    lines = curve_lines(curves, rate, attribute, most=MOST_LINES)
    for place, line in enumerate(lines):
        everybody = place == 0
        colour = palette.text_colour() if everybody else palette.region_hue(place - 1)
        figure.add_scatter(
            x=line.thresholds, y=100 * line.values, mode="lines",
            name=text.chart(text.shorten(line.group, 40)),
            line={"color": colour, "width": 3 if everybody else 1.6,
                  "dash": "dot" if everybody else "solid"},
            hovertemplate=f"{text.chart(line.group)}<br>from %{{x:.2f}}: %{{y:.1f}}\u00a0%<extra></extra>",
        )  # fmt: skip
    figure.add_vline(x=threshold, line={"color": palette.accent()})
    figure.update_layout(
        xaxis={"title": "positive from a probability of", "range": [0, 1], "zeroline": False},
        yaxis={"title": f"{NAMES[rate]}, %", "range": [-2, 102], "zeroline": False},
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    )
    shown = curves[["group", "threshold", rate]]
    charts.show_chart(
        figure, shown, key="threshold_curves", height=360, margin={"t": 36},
        alt=f"{NAMES[rate]} of each group against the threshold.",
        config=charts.percent_columns(rate),
    )  # fmt: skip
