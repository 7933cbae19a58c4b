"""What compression does against its level, on an axis of numbers: those in the populations' names, or given by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from backend.bundle import Bundle
from backend.populations import Answer, changed_classes
from backend.populations.payers import LEVEL
from backend.populations.rates.levels import BITS, MEASURES, level_lines, level_table
from pages.components.compression.given import given_levels, show_form
from pages.components.shared import charts, palette, populations, text

COUNTED = "classes"
MOST_TESTED = 20
"""Populations whose classes are tested one after the other."""


def show_levels(bundle: Bundle, baseline: str, found: Answer) -> None:
    """PIE share, accuracy on PIEs and on the others, and changed classes against the level."""
    counts, accuracy = found.tables["counts"], found.tables["accuracy"]
    names = list(counts["population"])
    show_form(bundle, baseline, names)
    changed = tested(bundle, baseline, names)
    table = level_table(counts, accuracy, baseline, changed, given_levels(bundle))
    if table.empty:
        st.info(
            "No population has a number in its name, as pruned-30, pruned-90 and int8 have: give levels "
            "by hand.",
            icon=":material/info:",
        )
        return
    offered = [one for one in MEASURES if one in set(table["measure"])]
    columns = st.columns(2, gap="large")
    for place, measure in enumerate(offered):
        with columns[place % 2]:
            st.markdown(f"**{MEASURES[measure][0].upper()}{MEASURES[measure][1:]}**")
            scale = 1 if measure == COUNTED else 100
            charts.show_chart(
                level_figure(table, measure, scale), table[table["measure"] == measure],
                key=f"level_{measure}", height=230, margin={"r": 90},
                alt=f"{MEASURES[measure]} against the level of compression.",
                config={} if measure == COUNTED else charts.percent_columns("value", "low", "high"),
            )  # fmt: skip
    st.caption(
        "The level is the number in a population's name, or the one given by hand; the baseline is level 0, except of kinds that "
        f"count bits ({', '.join(BITS[:3])}). Lines are 95\u00a0% intervals: Wilson's of the share of PIEs, "
        "Student's t over models of accuracies. Classes: those that change more or less than the average "
        f"at a p below {text.level(LEVEL)}, unadjusted as in the source (Hooker et al. 2019)."
    )


def tested(bundle: Bundle, baseline: str, names: list[str]) -> dict[str, int] | None:
    """How many classes each population changes; None where no test can be made."""
    if bundle.label_codes is None or len(names) > MOST_TESTED:
        return None
    counts: dict[str, int] = {}
    for name in names:
        if min(len(bundle.populations[name]), len(bundle.populations[baseline])) < 2:
            continue
        found = populations.ask(
            bundle, "classes", doing=f"Comparing classes of {name}", place=f"level_{name}",
            baseline=baseline, compressed=name,
        )  # fmt: skip
        if found is not None:
            held = found.tables["classes"]
            counts[name] = changed_classes(held[held["n"] > 0]).n_significant
    return counts


def level_figure(table: pd.DataFrame, measure: str, scale: float) -> go.Figure:
    """One line per kind of compression, with its name at the end."""
    figure = go.Figure()
    notes = []
    for place, line in enumerate(level_lines(table, measure)):
        value, low, high = (scale * line[name].to_numpy(float) for name in ("value", "low", "high"))
        colour = palette.region_hue(place)
        figure.add_scatter(
            x=line["level"], y=value, mode="lines+markers", cliponaxis=False,
            line={"color": colour}, marker={"size": 9},
            error_y=charts.error_bars(value, low, high, colour=colour),
            customdata=[text.chart(name) for name in line["population"]],
            hovertemplate="%{customdata}: %{y:.3g}<extra></extra>",
        )  # fmt: skip
        known = np.flatnonzero(np.isfinite(value))
        if len(known):
            notes.append(
                {
                    "x": line["level"].iloc[known[-1]], "y": value[known[-1]], "xanchor": "left",
                    "xshift": 8, "text": text.chart(text.shorten(line["kind"].iloc[0] or "level", 14)),
                    "font": {"size": 11},
                }
            )  # fmt: skip
    charts.write_notes(figure, notes)
    figure.update_layout(
        xaxis={"title": "level", "zeroline": False, "rangemode": "tozero"},
        yaxis={"title": "classes" if measure == COUNTED else "%", "rangemode": "tozero"},
    )
    return figure
