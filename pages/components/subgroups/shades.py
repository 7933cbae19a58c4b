"""All classifiers of the bundle in one table: each rate of each, group by group."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from backend.bundle import Bundle
from backend.populations import OWN
from pages.components.shared import charts, populations, text
from pages.components.subgroups.controls import Asked, classes_of

TITLES = {"ppv": "PPV", "error": "Error", "tpr": "TPR", "fpr": "FPR"}


def show_shades(bundle: Bundle, asked: Asked) -> None:
    """Classifiers x rates down, groups across, as the Gender Shades table."""
    positive = asked.positive or classes_of(bundle, asked.source, asked.model)[-1]
    found = populations.ask(
        bundle, "shades", doing="Auditing every classifier",
        **{**asked.options(), "positive": positive},
    )  # fmt: skip
    if found is None:
        return
    table = found.tables["shades"]
    groups = [name for name in table if name not in ("classifier", "n_models", "rate")]
    shown = pd.DataFrame(
        {
            "classifier": [
                "this model" if name == OWN else f"{name}, mean of {n}" if n > 1 else name
                for name, n in zip(table["classifier"], table["n_models"], strict=True)
            ],
            "rate": table["rate"].map(TITLES),
            **{name: table[name] for name in groups},
        }
    )
    charts.show_table(shown, key="shades_table", config=charts.percent_columns(*groups))
    what = (
        "Inside each group every class takes its turn as the positive one"
        if asked.mode == "target"
        else f"{text.plain(positive, limit=40)} against the rest, the error as well"
    )
    st.caption(
        f"{what}; standard definitions (Buolamwini, Gebru 2018, table 4, whose rows printed as PPV and TPR "
        "behave as recall and precision). Of a population the mean over its models. – is undefined."
    )
