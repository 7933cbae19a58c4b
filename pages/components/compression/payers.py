"""One sentence at the top of the compression page: who pays, and how sure that is."""

from __future__ import annotations

import math

import streamlit as st

from backend.bundle import Bundle
from backend.core.statistics import Interval
from backend.populations import Payer, PopulationPair, who_pays
from pages.components.shared import populations, text

HOW = (
    "Top-1 accuracy and recall are means over the models of a population, compressed less baseline; "
    "95\u00a0% intervals are Welch's over models and say what other seeds would do on the same examples. "
    "Who pays most is the class whose recall falls farthest behind the change of accuracy (Hooker et "
    "al. 2019, arXiv:1911.05248); its p-value is adjusted for the number of classes after Benjamini "
    "and Hochberg 1995."
)


def show_payers(bundle: Bundle, held: PopulationPair) -> None:
    """The answer to the question of the page; without true labels nobody can be said to pay."""
    if bundle.label_codes is None:
        return
    found = populations.ask(
        bundle,
        "classes",
        doing="Comparing classes",
        place="_payers",
        baseline=held.baseline,
        compressed=held.compressed,
    )
    if found is None:
        return
    overall = Interval(*(float(found.tables["overall"][name].iloc[0]) for name in COLUMNS))
    words = [overall_words(held.compressed, overall)]
    payer = who_pays(found.tables["classes"])
    if payer is not None:
        words.append(payer_words(payer))
    st.markdown(" ".join(words), help=HOW)


COLUMNS = ("change", "low", "high")


def between(found: Interval) -> str:
    """The interval in points, what is lost counted as positive; empty where there is none."""
    if not math.isfinite(found.low):
        return ""
    low, high = (round(-100 * end, 1) + 0.0 for end in (found.high, found.low))
    return f"95\u00a0% interval {low:.1f} to {high:.1f}".replace("-", "−")


def overall_words(name: str, change: Interval) -> str:
    """What compression costs everybody."""
    told = text.plain(name, limit=40)
    interval = between(change)
    inside = f" ({interval})" if interval else " (one model on a side: no interval)"
    if interval and change.low <= 0 <= change.high:
        if change.low == change.high:
            return f"{told} leaves the accuracy as it is."
        verb = "lower" if change.value < 0 else "higher"
        return (
            f"{told} costs no accuracy that could be told from chance: it is "
            f"{text.points_apart(change.value)} {verb}{inside}, losses counted as positive."
        )
    if change.value > 0:
        return f"{told} gains **{text.points_apart(change.value)}** of accuracy overall{inside}."
    return f"{told} costs **{text.points_apart(change.value)}** of accuracy overall{inside}."


def payer_words(payer: Payer) -> str:
    """Which class pays most, or that none does that could be told from chance."""
    name = text.plain(payer.label, limit=40)
    does = "falls" if payer.change < 0 else "rises"
    interval = between(payer.beyond)
    more = f"{text.points_apart(payer.beyond.value)} behind the average"
    if not payer.n_tested:
        return (
            f"By the numbers class **{name}** pays most: its recall {does} by {text.points_apart(payer.change)}, "
            f"{more} (n {text.count(payer.n)}); without several models that differ this cannot be tested."
        )
    tested = f"{text.count(payer.n_tested)} classes"
    if not payer.significant:
        return (
            f"No class pays more than the average once {tested} are accounted for; farthest behind is "
            f"{name}, whose recall {does} by {text.points_apart(payer.change)}, {more} ({interval or 'no interval'}, "
            f"adjusted p {text.p_value(payer.p_adjusted)}, n {text.count(payer.n)})."
        )
    others = (
        f"{text.count(payer.n_paying)} of {tested} pay more than the average after adjustment"
        if payer.n_paying > 1
        else f"it is the only one of {tested} that pays more than the average after adjustment"
    )
    return (
        f"Class **{name}** pays most: its recall {does} by **{text.points_apart(payer.change)}**, {more} "
        f"({interval}, adjusted p {text.p_value(payer.p_adjusted)}, n {text.count(payer.n)}); {others}."
    )
