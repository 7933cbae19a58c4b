"""Who pays for compression? Examples whose answer changes when the model is compressed."""

from __future__ import annotations

import numpy as np
import streamlit as st

from backend.bundle import Bundle
from backend.core.errors import BackendError
from backend.core.groups import sharp_group
from backend.populations import (
    PieSelection,
    matched_non_pies,
    pie_accuracy,
    select_pies,
    taxicab,
)
from pages.components import frame, gallery, keys, tagging, text, views
from pages.components.groups import Choice


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
        st.info(
            "This bundle holds no populations: predictions of several models per intervention, as "
            "populations/<name>.npy of shape (models, examples). Add them to the bundle and import it "
            "again, or open the demo bundle, which has two.",
            icon=":material/info:",
        )
        return
    try:
        show_pies(bundle)
    except BackendError as error:
        st.error(text.plain(error, limit=600))


def show_pies(bundle: Bundle) -> None:
    baseline, compressed, tie = choose_populations(bundle)
    if compressed is None:
        st.info("One population is there; a second one is needed to compare it with.")
        return
    before, after = bundle.populations[baseline], bundle.populations[compressed]
    pies = select_pies(before, after, tie=tie)
    rows = np.flatnonzero(pies.mask)
    show_counts(bundle, rows, pies, before, after)
    if len(rows) == 0:
        st.info(
            "No example changes its modal label between the two populations: there is no PIE to show."
        )
        return
    divergence = taxicab(before, after)
    rows = rows[np.argsort(-divergence[rows], kind="stable")]
    others = matched_non_pies(pies.mask, seed=0)
    tags = tagging.tags_of(bundle)
    source = {"kind": "pie", "baseline": baseline, "compressed": compressed, "tie": tie}
    choice = Choice("pie", "all PIE", sharp_group("PIE", rows, bundle.losses), source)
    bar = st.container()
    left, right = st.columns(2)
    with left:
        st.subheader(
            f"PIE · {text.count(len(rows))}", anchor=False, help="Strongest change first (taxicab)."
        )
        picked = gallery.show_gallery(bundle, choice.group, tags, key="gallery_pie")
    with right:
        st.subheader(
            f"Not PIE · {text.count(len(others))} drawn at random",
            anchor=False,
            help="A random sample of the examples on which both populations agree, as many as there are PIEs.",
        )
        if len(others):
            beside = sharp_group("not PIE", others, bundle.losses)
            picked += gallery.show_gallery(bundle, beside, tags, key="gallery_other")
    with bar:
        tagging.show_bar(bundle, choice, picked)
    with st.expander("What PIEs have in common"):
        views.show_columns(bundle, choice)


def choose_populations(bundle: Bundle) -> tuple[str, str | None, str]:
    """Which population is compressed, which is the baseline, and how ties are broken."""
    names = list(bundle.populations)
    first, second, third = st.columns([3, 3, 2])
    baseline = first.selectbox(
        "Baseline",
        names,
        index=names.index("baseline") if "baseline" in names else 0,
        key="baseline",
        bind="query-params",
        help="Models trained alike, differing by seed.",
    )
    rest = [name for name in names if name != baseline]
    compressed = second.selectbox(
        "Compressed", rest, key=keys.INTERVENTION, bind="query-params", disabled=not rest
    )
    tie = third.selectbox(
        "Ties go to",
        ["largest", "smallest"],
        key=keys.TIE,
        bind="query-params",
        help="When two labels are predicted equally often: the larger (the authors' code) or the smaller.",
    )
    return str(baseline), compressed, str(tie)


def show_counts(
    bundle: Bundle, rows: np.ndarray, pies: PieSelection, before: np.ndarray, after: np.ndarray
) -> None:
    """How many PIEs, and the accuracy on them, beside the rest."""
    words, numbers = st.columns([2, 3], vertical_alignment="center")
    words.markdown(
        f"**{text.count(len(rows))}** of {text.count(bundle.n)} examples "
        f"({text.percent(len(rows) / bundle.n)}) are PIE, from {len(before)} baseline and {len(after)} "
        f"compressed models; {text.count(int(pies.tied[rows].sum()))} of them involve a tie."
    )
    if len(before) < 2 or len(after) < 2:
        words.warning(
            "A population of one model: PIE is then plain disagreement between two models.",
            icon=":material/warning:",
        )
    if bundle.labels is not None:
        table = pie_accuracy(before, after, bundle.labels, pies.mask)
        wide = table.pivot(index="population", columns="subset", values="accuracy")
        sizes = table.groupby("subset")["n"].first()
        subsets = ["pie", "non-pie", "all"]
        numbers.dataframe(
            wide[subsets].reset_index(),
            hide_index=True,
            column_config={
                "population": "mean top-1 accuracy",
                **{
                    name: st.column_config.NumberColumn(
                        f"{name} (n {text.count(int(sizes[name]))})", format="percent"
                    )
                    for name in subsets
                },
            },
        )


page()
