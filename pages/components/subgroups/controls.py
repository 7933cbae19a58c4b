"""What the audit of subgroups is asked: whose answers, which attributes, which rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from backend.bundle import Bundle
from backend.populations import OWN
from backend.tasks import GroupingColumns
from pages.components.shared import keys, link, populations, text

RATES = {
    "error": "Error",
    "fpr": "FPR",
    "fnr": "FNR",
    "fdr": "FDR",
    "tpr": "TPR",
    "ppv": "PPV",
    "mean_loss": "Mean loss",
}
TARGET_RATES = ("tpr", "ppv", "fpr", "fnr", "fdr", "error")
"""With the target as the axis, in this order: of two classes the error is the same in every column."""
MEANINGS = {
    "error": "Share of the group's examples that are answered wrongly, whatever the class.",
    "fpr": "False positives / all negatives of the group.",
    "fnr": "False negatives / all positives of the group.",
    "fdr": "False positives / everything called positive, 1 - precision.",
    "tpr": "True positives / all positives of the group, recall; low is bad.",
    "ppv": "True positives / everything called positive, precision; low is bad.",
    "mean_loss": "Mean of the bundle's losses in the group.",
}
MODES = {"generic": "Rates per group", "target": "The target is the axis"}


@dataclass(frozen=True)
class Asked:
    """One audit: ``source`` is the bundle's predictions or a population, ``model`` its row."""

    digest: str
    mode: str
    source: str
    model: int
    positive: str
    metric: str
    attributes: tuple[str, ...]
    order: int
    min_n: int

    def groups(self) -> tuple[object, ...]:
        """What decides which group stands in which line of the audit."""
        return self.digest, self.mode, self.source, self.attributes, self.order

    def served(self) -> dict[str, Any]:
        """What questions about other things than the audit's own table are asked with."""
        return {name: value for name, value in self.options().items() if name != "mode"}

    def options(self) -> dict[str, Any]:
        """As ``backend.populations.answers.served`` takes them."""
        return {
            "mode": self.mode,
            "source": self.source,
            "model": self.model,
            "positive": self.positive,
            "attributes": list(self.attributes),
            "order": self.order,
            "min_n": self.min_n,
        }


def sources_of(bundle: Bundle) -> list[str]:
    """Whose answers can be audited; none without labels or without any answers."""
    if bundle.label_codes is None:
        return []
    own = [OWN] if bundle.prediction_codes is not None else []
    return [*own, *bundle.populations]


def classes_of(bundle: Bundle, source: str, model: int) -> list[str]:
    """Names of the classes that occur in labels or answers: only those can be positive."""
    if source == OWN:
        codes = np.unique(np.concatenate([bundle.label_codes, bundle.prediction_codes]))
        return [(bundle.class_names or ())[code] for code in codes]
    ensemble = populations.ensemble_of(bundle)
    return ensemble.occurring(ensemble.populations[source][model])


def choose(bundle: Bundle, columns: GroupingColumns) -> Asked:
    """The line of controls."""
    sources = sources_of(bundle)
    first = st.columns([4, 3, 2, 2], vertical_alignment="bottom")
    mode, source, model, positive = "generic", OWN, 0, ""
    with first[0]:
        attributes = populations.choose_columns(
            columns,
            key="audit_columns",
            most=5,
            first=2,
            help="Groups are their values, alone and combined. Numbers are cut into four ranges of "
            "about equal count; a missing value is the group unknown.",
        )
    if sources:
        with first[1]:
            source = st.selectbox(
                "Whose answers",
                sources,
                format_func=lambda one: "The model of this bundle" if one == OWN else one,
                help="The predictions of the bundle, or one model of a population.",
                **link.bound("answers", sources),
            )
        if source != OWN:
            with first[2]:
                count = len(bundle.populations[source])
                held = st.session_state.get("audit_model")
                if held is not None and held > count:
                    del st.session_state["audit_model"]
                model = int(
                    st.number_input(
                        "Model", 1, count, 1, key="audit_model", disabled=count == 1,
                        help="Which of the population's models answers, in the order of the bundle.",
                    )
                ) - 1  # fmt: skip
    with first[3]:
        min_n = int(
            st.number_input(
                "Small below", 1, 10_000, 30, key="audit_min_n", persist_state="session",
                help="Groups with fewer examples are marked † and take no part in gaps.",
            )
        )  # fmt: skip
    second = st.columns([3, 5, 3, 2], vertical_alignment="bottom")
    if sources:
        with second[0]:
            mode = st.segmented_control(
                "Audit", list(MODES), format_func=MODES.__getitem__, required=True,
                help="The target is the axis: where the audited attribute is itself what is predicted "
                "(gender in Gender Shades), inside each group every class takes its turn as the "
                "positive one (Buolamwini, Gebru 2018, table 4).",
                **link.bound(keys.AUDIT_MODE, list(MODES)),
            )  # fmt: skip
    rates, rate_key = [one for one in RATES if sources or one == "mean_loss"], keys.AUDIT_METRIC
    if mode == "target":
        rates, rate_key = list(TARGET_RATES), keys.AUDIT_TARGET_METRIC
    with second[1]:
        metric = st.segmented_control(
            "Rate", rates, format_func=RATES.__getitem__, required=True,
            help=" ".join(f"**{RATES[one]}**: {MEANINGS[one]}" for one in rates),
            **link.bound(rate_key, rates),
        )  # fmt: skip
    if sources and mode != "target":
        with second[2]:
            names = classes_of(bundle, source, model)
            positive = st.selectbox(
                "Positive class",
                names,
                help="One class against the rest, for every rate but the error, which does not depend on "
                "it. With two classes the other choice swaps FPR and FNR.",
                **link.bound("positive", [names[1], names[0]] if len(names) == 2 else names),
            )
    with second[3]:
        order = st.segmented_control(
            "Combined up to", [1, 2, 3], default=2, required=True, key="audit_order", persist_state="session",
            disabled=mode == "target",
            help="How many attributes a group is made of at most; with one, each is looked at alone.",
        )  # fmt: skip
    return Asked(
        bundle.digest, str(mode), str(source), model, str(positive), str(metric), tuple(attributes),
        1 if mode == "target" else int(order or 2), min_n,
    )  # fmt: skip


def rate_words(metric: str, positive: str) -> str:
    """The rate with what it is about."""
    if metric in ("fpr", "fnr", "fdr", "tpr", "ppv") and positive:
        return f"{RATES[metric]} of {text.plain(positive, limit=40)}"
    return RATES[metric]
