"""Who pays for compression? Examples whose answer changes when the model is compressed."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from backend.bundle import Bundle
from backend.core.errors import BackendError
from backend.populations import Ensemble, PopulationPair, make_pair
from pages.components.compression.attributes import show_representation
from pages.components.compression.change import show_classes
from pages.components.compression.examples import show_examples
from pages.components.compression.levels import show_levels
from pages.components.compression.overview import show_overview
from pages.components.compression.payers import show_payers
from pages.components.compression.review import show_review
from pages.components.compression.subgroups import show_subgroups
from pages.components.shared import frame, keys, link, populations, text

KINDS = {"modal": "Modal label (PIE)", "taxicab": "Taxicab (CIE)"}


def page() -> None:
    bundle = frame.choose_bundle()
    if bundle is None:
        return
    st.header(
        "Who pays for compression?",
        anchor=False,
        help="A PIE (pruning identified exemplar, Hooker et al. 2019, arXiv:1911.05248) is an example on "
        "which most baseline models say one thing and most compressed models another. With other kinds of "
        "compression it is called CIE (Hooker et al. 2020, arXiv:2010.03058). The true label plays no part.",
    )
    if not bundle.populations:
        populations.show_empty(
            "This bundle holds no populations: predictions of several models per intervention, as "
            "populations/<name>.npy of shape (models, examples).",
            key="compression",
            demos=("compression", "fashion"),
        )
        return
    try:
        show_page(bundle)
    except BackendError as error:
        st.error(text.plain(error, limit=600))


def show_page(bundle: Bundle) -> None:
    ensemble = populations.ensemble_of(bundle)
    controls = st.columns([3, 3, 4, 2], vertical_alignment="bottom")
    with controls[0]:
        baseline = choose(
            keys.BASELINE, "Baseline", _first(list(ensemble.populations), ensemble.baseline()),
            ensemble, "What the others are compared with: models trained alike, differing by seed.",
        )  # fmt: skip
    rest = [name for name in ensemble.populations if name != baseline]
    if not rest:
        st.info(
            f"This bundle holds one population, {text.plain(baseline)}. A second one is needed to "
            "compare it with.",
            icon=":material/info:",
        )
        return
    with controls[1]:
        compressed = choose(
            keys.INTERVENTION, "Compressed", rest, ensemble,
            "The intervention that the tabs below look at; the overview shows all.",
        )  # fmt: skip
    with controls[2]:
        kind = st.segmented_control(
            "Changed means", list(KINDS), format_func=KINDS.__getitem__, required=True,
            help="Modal: most models of the two populations give different labels. Taxicab: the most "
            "divergent examples by the summed difference of the shares of models per label, 0 to 2.",
            **link.bound(keys.CIE_KIND, list(KINDS)),
        )  # fmt: skip
    with controls[3]:
        tie, share = choose_rule(str(kind))
    for name in (baseline, compressed):
        if len(ensemble.populations[name]) < 2:
            st.warning(
                f"{text.plain(name)} is one model: a PIE is then plain disagreement with it, and "
                "nothing varies between seeds.",
                icon=":material/warning:",
            )
    found = populations.ask(
        bundle, "compare", doing="Comparing populations", baseline=baseline, tie=tie
    )
    if found is None:
        return
    held = make_pair(ensemble, found.arrays, baseline, compressed, kind=str(kind), share=share)
    parts: dict[str, Callable[[], None]] = {
        "Overview": lambda: show_overview(baseline, found),
        "Levels": lambda: show_levels(bundle, baseline, found),
        "Examples": lambda: show_examples(bundle, held),
        "Attributes": lambda: show_representation(bundle, held, share, tie),
        "Classes": lambda: show_classes(bundle, held),
        "Subgroups": lambda: show_subgroups(bundle, held),
        "Review": lambda: show_review(bundle, held),
    }
    show_payers(bundle, held)
    show_counts(bundle, held)
    tabs = st.tabs(list(parts), key=keys.PART, on_change="rerun", bind="query-params")
    for tab, show in zip(tabs, parts.values(), strict=True):
        if tab.open:  # only what is looked at is computed
            with tab:
                show()


def _first(names: list[str], name: str) -> list[str]:
    """The same names, this one first."""
    return [name, *(one for one in names if one != name)]


def choose(key: str, label: str, names: list[str], ensemble: Ensemble, help: str) -> str:
    chosen = st.selectbox(
        label,
        names,
        format_func=lambda name: f"{name} · {len(ensemble.populations[name])}",
        help=f"{help} The number is how many models it has.",
        **link.bound(key, names),
    )
    return str(chosen or names[0])


def choose_rule(kind: str) -> tuple[str, float]:
    """How ties are broken, or how many of the most divergent examples are taken."""
    if kind == "taxicab":
        percent = st.number_input(
            "Most divergent, %", 0.1, 100.0, 5.0, 1.0, key=keys.CIE_SHARE, persist_state="session"
        )
        return "largest", float(percent) / 100
    tie = st.selectbox(
        "Ties go to",
        ["largest", "smallest"],
        key=keys.TIE,
        bind="query-params",
        help="When two labels are predicted equally often: the later class (the authors' code) or "
        "the earlier one.",
    )
    return str(tie), 0.05


def show_counts(bundle: Bundle, held: PopulationPair) -> None:
    """One line: how many examples change between the two chosen populations."""
    counts = held.counts
    line = (
        f"{text.plain(held.baseline)} → {text.plain(held.compressed)}: **{text.count(counts.n)}** of "
        f"{text.count(bundle.n)} examples ({text.percent(counts.n / bundle.n)}) are {held.word}"
    )
    if held.kind == "modal" and counts.n:
        line += f", {text.count(counts.n_tied)} of them by a tie"
    before, after = counts.n_baseline_right, counts.n_compressed_right
    if counts.n and before is not None and after is not None:
        line += (
            f". The true class is the baseline's mode on {text.count(before)} of them and the "
            f"compressed mode on {text.count(after)}"
        )
    st.markdown(line + ".")


page()
