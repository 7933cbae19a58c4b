"""Which models are stressed, and by which tests: the bundle's table, or answers group by group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.groups import SMALL
from backend.populations import StressColumns, read_stress_table, stress_columns
from backend.views import rows_by_tag
from pages.components.group import tagging
from pages.components.shared import keys, link, populations, services, text

TABLE = "table"
ALL = "all populations"
EVERYBODY = "all examples"
LOWER_IS_BETTER = ("loss", "error", "nll", "ece", "mse", "rmse", "mae", "perplexity")


@dataclass(frozen=True)
class Stressed:
    """Models of one pipeline on held-out data and on stress tests; higher is better.

    Attributes
    ----------
    iid : array of shape (M,)
    stress : DataFrame of shape (M, Q)
        A column per test.
    iid_name : str
        What the held-out metric is called.
    groups : array of shape (M,) or None
    sizes : DataFrame or None
        ``metric``, ``n`` and ``noise`` where the tests are groups of this bundle's examples.
    disagreement : DataFrame or None
        ``metric``, ``n``, ``disagreement``, ``low``, ``high``; likewise.
    names : list of str
        Of the models, as their table has them, else the population and a number.
    population : str
        Of the models, "" when they come from the table without one.
    notes : tuple of str
    """

    iid: NDArray[np.float64]
    stress: pd.DataFrame
    iid_name: str
    groups: NDArray[Any] | None
    sizes: pd.DataFrame | None
    disagreement: pd.DataFrame | None
    names: list[str]
    population: str
    notes: tuple[str, ...]


def offered(bundle: Bundle) -> list[str]:
    """What the tests can be made of."""
    names = [TABLE] if bundle.stress is not None else []
    if bundle.label_codes is not None:
        names += [f"population:{name}" for name in bundle.populations]
    return names


def choose(bundle: Bundle) -> Stressed | None:
    """The line of controls; None while something is computed or nothing can be."""
    sources = offered(bundle)
    first, second, third, fourth = st.columns([3, 3, 3, 3], vertical_alignment="bottom")
    with first:
        source = st.selectbox(
            "Models and tests",
            sources,
            format_func=lambda one: (
                "The bundle's stress table"
                if one == TABLE
                else f"Models of {one.removeprefix('population:')}, by group"
            ),
            help="A table of metrics that came with the bundle; or the models of one population, whose "
            "accuracy on each group of examples makes a test.",
            **link.bound(keys.STRESS_SOURCE, sources),
        )
    if source == TABLE:
        return _from_table(bundle, second, third, fourth)
    return _from_groups(bundle, str(source).removeprefix("population:"), second, third)


def _from_table(bundle: Bundle, second: Any, third: Any, fourth: Any) -> Stressed:
    frame = bundle.stress
    if frame is None:
        raise ValueError("only called with a stress table")
    held = stress_columns(frame)
    value = None
    if held.test is not None and len(held.values) > 1:
        with second:
            names = [str(held.value), *(str(one) for one in held.values if one != held.value)]
            value = st.selectbox("Metric", names, **link.bound("stress_value", names))
    population = choose_population(frame, held, third)
    table = read_stress_table(frame, value=value, population=population)
    columns = [str(name) for name in table.metrics.columns]
    guess = table.held_out()
    with fourth:
        iid = st.selectbox(
            "Held-out metric",
            [guess, *(name for name in columns if name != guess)],
            help="What the models were selected by: the metric on data like the training data.",
            **link.bound("iid", [guess, *(name for name in columns if name != guess)]),
        )
    metrics, notes = table.metrics, []
    word = str(value if value is not None else held.value)
    if held.test is not None and any(part in word.lower() for part in LOWER_IS_BETTER):
        metrics = -metrics
        notes.append(f"{word} is shown negated, so that higher is better everywhere.")
    if table.dropped:
        notes.append(
            f"{text.count(table.dropped)} models were left out because a test is missing for them."
        )
    return Stressed(
        metrics[iid].to_numpy(),
        metrics.drop(columns=str(iid)),
        str(iid),
        table.groups if population is None else None,
        None,
        None,
        table.names,
        population or "",
        tuple(notes),
    )


def choose_population(frame: pd.DataFrame, held: StressColumns, place: Any) -> str | None:
    """One population of the stress table, or None for all of them together."""
    if held.population is None:
        return None
    names = [str(name) for name in frame[held.population].unique()]
    if len(names) < 2:
        return None
    first = next((name for name in names if name.lower() == "baseline"), names[0])
    options = [first, *(name for name in names if name != first), ALL]
    with place:
        chosen = st.selectbox(
            "Population",
            options,
            help="Models of one population differ by seed only. All together, the population is the "
            "group factor.",
            **link.bound("stress_population", options),
        )
    return None if chosen == ALL else str(chosen)


def _from_groups(bundle: Bundle, population: str, second: Any, third: Any) -> Stressed | None:
    columns = populations.columns_of(bundle, with_label=True)
    counts = services.known().tag_counts(bundle.digest)
    with second:
        attributes = populations.choose_columns(
            columns, key="stress_columns", most=6, first=3, label="Tests from attributes",
            help="Accuracy on the examples of each value is one test. Values with fewer than "
            f"{SMALL} examples make none.",
        )  # fmt: skip
    with third:
        held = st.session_state.get("stress_tags")
        if held is not None and any(name not in counts for name in held):
            del st.session_state["stress_tags"]
        tags = st.multiselect(
            "Tests from tags", list(counts), key="stress_tags", disabled=not counts,
            placeholder="Choose tags" if counts else "Nothing is tagged", persist_state="session",
            help="Accuracy on the examples that carry the tag.",
        )  # fmt: skip
    found = populations.ask(
        bundle,
        "tests",
        doing="Measuring models on groups",
        population=population,
        attributes=attributes,
        tags=tagged_rows(bundle, list(tags)),
        min_n=SMALL,
    )
    if found is None:
        return None
    metrics = found.tables["metrics"]
    return Stressed(
        metrics["iid"].to_numpy(),
        metrics.drop(columns="iid"),
        EVERYBODY,
        None,
        found.tables["sizes"],
        found.tables["disagreement"],
        [f"{population} {at + 1}" for at in range(len(metrics))],
        population,
        (),
    )


def tagged_rows(bundle: Bundle, names: list[str]) -> dict[str, list[int]]:
    """Rows of each tag."""
    if not names:
        return {}
    held = rows_by_tag(bundle, tagging.tags_of(bundle))
    return {name: held[name].tolist() if name in held else [] for name in names}
