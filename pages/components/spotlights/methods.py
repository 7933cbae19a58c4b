"""Other ways to find groups, beside the regions: which findings depend on the method?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.cache import Entry
from backend.core import wording
from backend.core.effects import Effect
from backend.core.groups import Group, weighted_group
from backend.slices import METHODS
from backend.slices.agreement import FOLD_SHARE, count_folded
from backend.slices.methods import PIECES, REDUCTIONS
from backend.spotlight.options import usual_size
from backend.tasks.methods import (
    GEORGE,
    HOW,
    MOST_CLUSTERS,
    comparison_options,
    comparison_table,
    fewer_groups,
    george_options,
    group_source,
    named_rows,
)
from pages.components.gallery import gallery
from pages.components.shared import charts, keys, link, palette, services, text, twin
from pages.components.shared.choice import Choice
from pages.components.shared.waiting import RUNNING, show_progress
from pages.components.spotlights import agreement

ASKED = "_methods_asked"
FOLDED = "methods_folded"
TABLE = "methods_table"
WHOLE, SPLIT = "off", "on"
_PAPER = "Sohoni et al. 2020 (arXiv:2011.12945)"
REDUCTION_HELP = (
    "How the embeddings of a class are brought to two coordinates before they are clustered. pca: "
    f"principal components. umap: a neighbour embedding, as in {_PAPER}; slower. none: all dimensions. "
    "hardness: first the direction in which the model decides between two classes, then principal "
    "components of the rest; with more classes the method is left out, and the reason said."
)
MAX_K_HELP = (
    "Each class is cut into every number of clusters up to this; the number with the highest mean "
    f"silhouette is kept ({_PAPER}, section 4)."
)
OVERCLUSTER_HELP = (
    f"Splits every cluster in {PIECES} and keeps the pieces that stand apart better than the cluster did and "
    f"have a mean loss at least as high ({_PAPER}, appendix B)."
)
_OURS = {"spotlights": "Spotlights", "regions": "Regions"}


def show_methods(
    bundle: Bundle, options: Mapping[str, Any], regions: Sequence[Choice], *, ours: str
) -> tuple[Choice, list[str]] | None:
    """The comparison, once somebody asked for it; returns the group marked in its table.

    With the group come the ids picked in its gallery. ``regions`` are those of
    the page, and ``ours`` the search that found them, with these ``options``.
    """
    if bundle.label_codes is not None:
        _choose_george()
    asked = asked_of(bundle, ours, options)
    wanted = (bundle.digest, bundle.layer, json.dumps(asked, sort_keys=True))
    if st.session_state.get(ASKED) != wanted:
        st.caption(
            "Runs other methods on the same data, measures every group on the examples kept aside, "
            "and shows where the methods agree."
        )
        st.button(
            "Compare the methods",
            key="ask_methods",
            icon=":material/compare:",
            on_click=_ask,
            args=(wanted,),
        )
        show_definitions()
        return None
    job = services.ask("methods", bundle.digest, **asked)
    if not show_progress(job, what="Comparing methods", key="methods"):
        parts = job.partial()
        if parts:
            show_parts([part.meta for part in parts])
        elif job.state in RUNNING:
            st.skeleton(height=220)
        return None
    result = job.result()
    rows = named_rows(result.meta, services.store().region_names(bundle.digest))
    table = pd.DataFrame(rows)
    told = result.meta["methods"]
    concluded = agreement.conclude(
        table,
        [rows_of(result, table, row) for row in range(len(table))],
        [title_of(method) for method in table["method"]],
        regions=[choice.group.rows for choice in regions],
        ours=ours,
        by_loss=[name for name, row in METHODS.items() if "losses" in row.sees],
    )
    if concluded:
        st.markdown(concluded, help=agreement.HELP)
    marked = show_table(rows)
    for method, why in fewer_groups(result.meta).items():
        st.caption(f"{text.plain(title_of(method))}: {text.plain(why, limit=300)}")
    for method, reason in result.meta["skipped"].items():
        st.caption(f"{text.plain(title_of(method))}: left out. {text.plain(reason, limit=300)}")
    chosen = None
    if marked is None:
        st.caption("Mark a row to see the members of its group and to tag them.")
    else:
        chosen = show_members(bundle, result, table, marked)
    st.caption(text.plain(HOW, limit=1200))
    show_overlap(table, result["overlap"])
    with st.expander("What was assumed, capped or left out"):
        for method, one in told.items():
            for note in one["notes"]:
                st.markdown(f"**{text.plain(title_of(method))}** {text.plain(note, limit=300)}")
    show_definitions()
    return chosen


def asked_of(bundle: Bundle, task: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a comparison with what a search lists, as they are chosen on this page."""
    reduction = link.chosen(keys.REDUCTION) or st.query_params.get(keys.REDUCTION)
    max_k = link.number(keys.MAX_K, GEORGE["max_k"], 2, MOST_CLUSTERS)
    split = link.chosen(keys.OVERCLUSTER) or st.query_params.get(keys.OVERCLUSTER)
    george = george_options(
        reduction if reduction in REDUCTIONS else GEORGE["reduction"], max_k, split == SPLIT
    )
    return comparison_options(task, options, size=usual_size(bundle.has_images), george=george)


def _choose_george() -> None:
    """How clusters within each class are made; ``asked_of`` reads it."""
    with st.popover(f"Options of {METHODS['george'].title.lower()}", icon=":material/tune:"):
        st.selectbox(
            "Few coordinates by",
            REDUCTIONS,
            help=REDUCTION_HELP,
            **link.bound(keys.REDUCTION, REDUCTIONS),
        )
        st.number_input(
            "Clusters in a class, at most",
            help=MAX_K_HELP,
            **link.bound_number(keys.MAX_K, GEORGE["max_k"], 2, MOST_CLUSTERS),
        )
        st.segmented_control(
            "Overclustering",
            [WHOLE, SPLIT],
            required=True,
            help=OVERCLUSTER_HELP,
            **link.bound(keys.OVERCLUSTER, [WHOLE, SPLIT]),
        )


def _ask(wanted: tuple[Any, ...]) -> None:
    st.session_state[ASKED] = wanted


def show_definitions() -> None:
    with st.expander("Which methods these are"):
        for row in METHODS.values():
            st.markdown(
                f"**{text.plain(row.title)}** – {text.plain(row.definition, limit=400)} "
                f"*{text.plain(row.paper, limit=200)}*"
            )


def title_of(method: str) -> str:
    """What a page calls a method."""
    return _OURS.get(method) or METHODS[method].title


def show_parts(found: list[Mapping[str, Any]]) -> None:
    """Groups of the methods that have ended, before they are measured and tested."""
    rows = [
        {
            "method": title_of(part["method"]),
            "group": group["name"],
            wording.MEMBERS: round(group["size"]),
        }
        for part in found
        for group in part["groups"]
    ]
    st.dataframe(
        pd.DataFrame(rows, columns=["method", "group", wording.MEMBERS]),
        hide_index=True,
        placeholder=text.DASH,
        column_config={
            wording.MEMBERS: st.column_config.NumberColumn(
                format="localized", help=wording.MEANS[wording.MEMBERS]
            )
        },
    )
    st.caption("What the examples kept aside say follows when every method has run.")


def show_table(rows: Sequence[Mapping[str, Any]]) -> int | None:
    """One row per group of any method; returns the row that is marked."""
    shown = comparison_table(rows)
    shown["method"] = [title_of(method) for method in shown["method"]]
    for name, field in ((wording.MULTIPLE, "multiple"), (wording.P, "p")):
        shown[name] = pd.Series([row[field] for row in rows], dtype=float)
    shown.insert(0, "#", np.arange(1, len(shown) + 1))
    event = st.dataframe(
        # Numbers, so that they sort as such; p in the words that lists of regions have.
        shown.style.format({wording.P: wording.p_value, wording.MULTIPLE: wording.times}),
        hide_index=True,
        placeholder=text.DASH,
        height=min(35 * (len(shown) + 1) + 3, 460),
        row_height=35,
        on_select="rerun",
        selection_mode="single-row",
        key=TABLE,
        lazy=False,
        column_config={
            name: st.column_config.Column(help=words)
            for name, words in wording.MEANS.items()
            if name in shown
        }
        | {
            "#": st.column_config.NumberColumn(width=40),
            "method": st.column_config.TextColumn(width=150),
            "group": st.column_config.TextColumn(width=385),
            wording.MEMBERS: st.column_config.NumberColumn(
                format="localized", step=1, help=wording.MEANS[wording.MEMBERS]
            ),
            wording.P: st.column_config.NumberColumn(help=HOW),
            "inside": st.column_config.TextColumn(
                width="small",
                help=f"The larger group that holds {text.percent(FOLD_SHARE, digits=0)} of its members.",
            ),
        },
    )
    marked = [row for row in event.selection.rows if row < len(rows)]
    return int(marked[0]) if marked else None


def show_members(
    bundle: Bundle, result: Entry, table: pd.DataFrame, row: int
) -> tuple[Choice, list[str]] | None:
    """The members of one group as tiles, and the group as something that can be tagged."""
    method, at = _place(table, row)
    rows = rows_of(result, table, row)
    if not len(rows):
        st.caption("This group has no members.")
        return None
    group = _group(bundle.digest, result.key, method, at, result, rows, bundle.losses)
    name = str(table["group"][row])
    effect = table["effect"][row]
    said = "" if effect is None else f" · {wording.effect_words(Effect.from_dict(effect))}"
    st.markdown(
        f"**#{row + 1} {text.plain(title_of(method))}: {text.plain(name, limit=80)}** · "
        f"{text.counted(group.n_members, 'member')}{text.plain(said, limit=200)}"
    )
    choice = Choice(
        key=f"method-{method}-{at}",
        name=f"{title_of(method)}: {name}",
        group=group,
        number=f"#{row + 1}",
        source=group_source(result.meta, method)
        | {
            "index": at,
            "name": name,
            "key": f"{result.key}:{method}:{at}",
            "weighted_loss": group.weighted_loss,
            "total_weight": group.total_weight,
        },
    )
    picked = gallery.show_gallery(bundle, group, key=f"gallery_{method}_{at}", about=name)
    return choice, picked


def _place(table: pd.DataFrame, row: int) -> tuple[str, int]:
    """The method of a row, and the place of its group among those of the method."""
    method = str(table["method"][row])
    return method, int(np.count_nonzero(table["method"][:row] == method))


def rows_of(result: Entry, table: pd.DataFrame, row: int) -> NDArray[np.int64]:
    """Members of the group in this row of the table."""
    method, at = _place(table, row)
    rows: NDArray[np.int64] = result[f"members_{method}"][at]
    return rows[rows >= 0]


@st.cache_resource(show_spinner=False, max_entries=64)
def _group(
    digest: str,
    job_key: str,
    method: str,
    at: int,
    _result: Entry,
    _rows: NDArray[np.int64],
    _losses: NDArray[Any],
) -> Group:
    return weighted_group("method", _rows, _result[f"weights_{method}"][at], _losses)


def show_overlap(table: pd.DataFrame, overlap: NDArray[Any]) -> None:
    """How much every two groups share; those inside others only when asked for."""
    inside = table["folded_into"].notna().to_numpy()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("**Overlap of every two groups** (weighted Jaccard, 1 is the same group)")
        everything = bool(inside.any()) and st.toggle(
            f"Also the {np.count_nonzero(inside)} inside larger ones", key=FOLDED
        )
    kept = np.arange(len(table)) if everything else np.flatnonzero(~inside)
    titles = [
        f"{title_of(table['method'][at])} · {text.shorten(table['group'][at], 32)}" for at in kept
    ]
    folded = count_folded(table)[kept].tolist()
    values = np.asarray(overlap, dtype=float)[np.ix_(kept, kept)]
    names = [text.chart(title) for title in titles]
    numbers = [f"#{at + 1}" for at in kept]
    places = list(range(len(kept)))
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=places,
            y=places,
            zmin=0,
            zmax=1,
            colorscale=[[0, palette.paper_colour()], [1, palette.accent()]],
            xgap=1,
            ygap=1,
            customdata=[[[one, other] for other in names] for one in names],
            hovertemplate="%{customdata[0]}<br>%{customdata[1]}<br>%{z:.2f}<extra></extra>",
            text=[
                [f"{value:.2f}"[1:] if 0.05 <= value < 0.995 else "" for value in line]
                for line in values
            ],
            texttemplate="%{text}",
            textfont={"size": 9},
            colorbar={"thickness": 8},
        )
    )
    figure.update_layout(
        height=max(240, 21 * len(kept) + 50),
        margin={"l": 0, "r": 0, "t": 24, "b": 0},
        yaxis={
            "tickvals": places,
            "ticktext": [
                f"{name} {number}" + (f" (+{more})" if more and not everything else "")
                for name, number, more in zip(names, numbers, folded, strict=True)
            ],
            "tickfont": {"size": 11},
            "autorange": "reversed",
            "showgrid": False,
        },
        xaxis={
            "tickvals": places,
            "ticktext": numbers,
            "tickfont": {"size": 10},
            "side": "top",
            "showgrid": False,
        },
    )
    charts.ink(figure)
    st.plotly_chart(
        figure, key="overlap_chart", config={"displaylogo": False}, alt="Overlap of groups."
    )
    numbered = pd.DataFrame(values, columns=numbers)
    numbered.insert(0, "group", [f"{one} {at}" for one, at in zip(titles, numbers, strict=True)])
    twin.show_twin(numbered, key="overlap_chart")
    if inside.any() and not everything:
        st.caption("(+2) after a group: two more lie inside it and are not drawn.")
