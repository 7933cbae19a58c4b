"""The groups that scores are about, subpopulations of the training set, and both ends of a component."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from backend.bundle import Bundle
from backend.bundle.training import Training
from backend.cache import Entry
from backend.core.groups import SMALL
from backend.tasks.removal import grouping_of_training, subpopulations
from pages.components.gallery import gallery
from pages.components.shared import charts, keys, link, text

NO_COLUMN = "label alone"
EXTREMES = 12
"""Examples of each end of a component."""


def show_groups(result: Entry) -> None:
    """The groups, the worst first, with the weight of each."""
    table = pd.DataFrame(result.meta["groups"]).sort_values("loss", ascending=False)
    table["small"] = np.where(table["n"] < SMALL, f"under {SMALL}", "")
    charts.show_table(
        table[["name", "n", "loss", "accuracy", "weight", "small"]].rename(
            columns={"name": "group", "n": "examples", "loss": "mean loss"}
        ),
        key="training_groups",
        config={
            **charts.percent_columns("accuracy"),
            "weight": st.column_config.NumberColumn(
                format="percent",
                help="How much the group counts in a score: the soft-max of the mean losses.",
            ),
        },
    )


def chosen_split(training: Training) -> str:
    """The column that makes subpopulations beside the label; "" for the label alone."""
    offered = _splits(training)
    wanted = (link.chosen(keys.TRAINING_SPLIT), st.query_params.get(keys.TRAINING_SPLIT))
    name = next((one for one in wanted if one in offered), offered[0])
    return "" if name == NO_COLUMN else str(name)


def _splits(training: Training) -> list[str]:
    return [*grouping_of_training(training), NO_COLUMN]


def show_subpopulations(training: Training, result: Entry) -> None:
    """Mean score of each training subpopulation, the most harmful first."""
    offered = _splits(training)
    st.selectbox(
        "Beside the label",
        offered,
        help="A column of the training examples (train/NAME in the bundle).",
        width=320,
        **link.bound(keys.TRAINING_SPLIT, offered),
    )
    column = chosen_split(training)
    table = subpopulations(training, result["scores"], column)
    table["small"] = np.where(table["small"], f"under {SMALL}", "")
    charts.show_table(
        table.rename(columns={"n": "training examples", "annotation": column or "value"}),
        key=f"training_split_{column}",
        config={
            "mean": st.column_config.NumberColumn(
                "mean score", format="%.3g", help="Below 0: on average they harm."
            ),
            "negative": st.column_config.NumberColumn("harmful", format="percent"),
        },
    )


def show_extremes(bundle: Bundle, result: Entry, name: str) -> None:
    """Both ends of the component of a class, as galleries, and what the component explains."""
    classes = result.meta["classes"]
    at = classes.index(name) if name in classes else -1
    if at < 0 or result.meta["explained"][at][0] is None:
        st.info(
            f"{text.plain(name)} has too few examples, or too much alike, for two groups.",
            icon=":material/info:",
        )
        return
    taken = result.meta["components"][at]
    shares = ", ".join(
        f"{place + 1}: {text.percent(share)}"
        for place, share in enumerate(result.meta["explained"][at])
        if share is not None
    )
    st.caption(
        f"Component {taken + 1} of the attributions of {text.plain(name)} is shown. "
        f"What each explains: {shares}."
    )
    rows = np.flatnonzero(bundle.label_names == name)
    order = rows[np.argsort(result["projections"][rows], kind="stable")]
    low_is_worse = result.meta["low_end"][at]
    ends = (order[:EXTREMES], order[::-1][:EXTREMES])
    worse, other = ends if low_is_worse else ends[::-1]
    for place, title, shown, key in zip(
        st.columns(2, gap="medium"),
        ("The end where the model does worse", "The other end"),
        (worse, other),
        ("worse", "other"),
        strict=True,
    ):
        with place:
            st.subheader(title, anchor=False)
            gallery.tiles(bundle, shown, label=f"{name}, {key} end", key=f"extremes_{key}")
