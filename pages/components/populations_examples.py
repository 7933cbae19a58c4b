"""The examples that change beside some that do not, and how the models voted on one of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.groups import sharp_group
from backend.core.statistics import wilson_interval
from backend.populations import Answer, Ensemble, matched_non_pies
from pages.components import gallery, palette, tagging, text
from pages.components import populations_chart as charts
from pages.components.groups import Choice, rows_of_ids

MOST_LABELS = 7


@dataclass(frozen=True)
class Comparison:
    """Two populations of one bundle and the examples on which they differ.

    ``before`` and ``after`` are codes (m, n); ``modes`` (2, n); ``mask``, ``tied`` and
    ``taxicab`` (n,).
    """

    ensemble: Ensemble
    baseline: str
    compressed: str
    kind: str
    mask: NDArray[np.bool_]
    modes: NDArray[np.int32]
    tied: NDArray[np.bool_]
    taxicab: NDArray[np.float64]

    @property
    def before(self) -> NDArray[np.int32]:
        return self.ensemble.populations[self.baseline]

    @property
    def after(self) -> NDArray[np.int32]:
        return self.ensemble.populations[self.compressed]

    @property
    def word(self) -> str:
        """What its examples are called."""
        return "PIE" if self.kind == "modal" else "taxicab CIE"

    def rows(self) -> NDArray[np.int64]:
        """The examples, strongest change first."""
        rows = np.flatnonzero(self.mask)
        return rows[np.argsort(-self.taxicab[rows], kind="stable")]

    def source(self) -> dict[str, object]:
        """What the record of a tag says."""
        return {
            "kind": "pie",
            "selection": self.kind,
            "baseline": self.baseline,
            "compressed": self.compressed,
        }


def make_comparison(
    ensemble: Ensemble, found: Answer, baseline: str, compressed: str, kind: str, share: float
) -> Comparison:
    """Two populations out of the comparison of all with the baseline."""
    names = list(ensemble.populations)
    first, second = names.index(baseline), names.index(compressed)
    modes, divergence = found.arrays["modes"], found.arrays["taxicab"][second]
    mask = np.asarray(modes[first] != modes[second])
    if kind != "modal":
        order = np.argsort(-divergence, kind="stable")[: max(1, round(share * len(divergence)))]
        mask = np.zeros(len(divergence), dtype=bool)
        mask[order] = True
        mask &= divergence > 0
    return Comparison(
        ensemble,
        baseline,
        compressed,
        kind,
        mask,
        np.stack([modes[first], modes[second]]),
        found.arrays["tied"][first] | found.arrays["tied"][second],
        divergence,
    )


def show_examples(bundle: Bundle, held: Comparison) -> None:
    """Galleries or a table, and the votes on the picked example."""
    rows = held.rows()
    if len(rows) == 0:
        st.info(
            f"No example differs between {text.plain(held.baseline)} and "
            f"{text.plain(held.compressed)} by this rule: there is nothing to show.",
            icon=":material/info:",
        )
        return
    others = matched_non_pies(held.mask, seed=0)
    tags = tagging.tags_of(bundle)
    choice = Choice(
        "pie", f"all {held.word}", sharp_group(held.word, rows, bundle.losses), held.source()
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        view = st.segmented_control(
            "View", ["Gallery", "Table"], default="Gallery", required=True, key="pie_view",
            label_visibility="collapsed",
        )  # fmt: skip
        bar = st.container(width="stretch")
    main, detail = st.columns([8, 4], gap="medium")
    with main:
        if view == "Table":
            picked = show_rows(bundle, held, rows)
        else:
            picked = show_beside(bundle, held, choice, others, tags)
    with bar:
        tagging.show_bar(bundle, choice, picked)
    shown = rows_of_ids(bundle, picked[-1:])
    with detail:
        show_votes(bundle, held, int(shown[0] if len(shown) else rows[0]))


def show_beside(
    bundle: Bundle,
    held: Comparison,
    choice: Choice,
    others: NDArray[np.int64],
    tags: pd.DataFrame,
) -> list[str]:
    left, right = st.columns(2)
    with left:
        st.subheader(
            f"{held.word} · {text.count(choice.group.n_members)}", anchor=False,
            help="Strongest change first (taxicab distance). Pick one to see how the models voted.",
        )  # fmt: skip
        picked = gallery.show_gallery(bundle, choice.group, tags, key="gallery_pie")
    with right:
        st.subheader(
            f"Not {held.word} · {text.count(len(others))} at random", anchor=False,
            help="As many of the other examples, drawn at random.",
        )  # fmt: skip
        if len(others):
            beside = sharp_group(f"not {held.word}", others, bundle.losses)
            picked = gallery.show_gallery(bundle, beside, tags, key="gallery_other") + picked
    return picked


def show_rows(bundle: Bundle, held: Comparison, rows: NDArray[np.int64]) -> list[str]:
    table = rows_table(bundle, held, rows)
    event = st.dataframe(
        table,
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        key=f"pie_rows_{held.baseline}_{held.compressed}_{held.kind}",
        height=420,
        placeholder=text.DASH,
        column_config={
            "taxicab": st.column_config.NumberColumn(
                format="%.2f", help="0: the populations vote alike; 2: they share no answer."
            ),
            "changed": st.column_config.NumberColumn(
                "compressed models off the baseline mode", format="percent"
            ),
            "loss": st.column_config.NumberColumn(format="%.3g"),
        },
        lazy=False,
    )
    return table["id"].iloc[event.selection.rows].tolist()


def rows_table(bundle: Bundle, held: Comparison, rows: NDArray[np.int64]) -> pd.DataFrame:
    """What both populations say of each example."""
    names = np.asarray(held.ensemble.names, dtype=object)
    table = pd.DataFrame({"id": bundle.ids[rows]})
    if held.ensemble.labels is not None:
        table["true class"] = names[held.ensemble.labels[rows]]
    table["baseline mode"] = names[held.modes[0, rows]]
    table["compressed mode"] = names[held.modes[1, rows]]
    table["taxicab"] = held.taxicab[rows]
    table["changed"] = (held.after[:, rows] != held.modes[0, rows]).mean(0)
    table["tie"] = held.tied[rows]
    table["loss"] = bundle.losses[rows]
    return table


def show_votes(bundle: Bundle, held: Comparison, row: int) -> None:
    """One example: what it is, what both populations say, and which models changed."""
    names = held.ensemble.names
    before, after = held.before[:, row], held.after[:, row]
    image = bundle.image(row) if bundle.has_images else None
    words = st.container()
    if image:
        picture, words = st.columns([1, 2], vertical_alignment="center")
        picture.image(image, width=96)
    with words:
        st.text(str(bundle.ids[row]))
        if held.ensemble.labels is not None:
            st.markdown(f"true class **{text.plain(names[held.ensemble.labels[row]])}**")
        for side, votes, mode in zip(
            (held.baseline, held.compressed), (before, after), held.modes[:, row], strict=True
        ):
            st.markdown(
                f"{text.plain(side)}: **{text.plain(names[mode])}**, "
                f"{int((votes == mode).sum())} of {len(votes)} models"
            )
    if bundle.has_text:
        st.text(text.shorten(bundle.examples["text"].iloc[row], 600))
    if held.tied[row]:
        st.caption("A mode is tied: the rule for ties decides whether this example changes.")
    table = votes_table(before, after, names)
    charts.show_chart(
        votes_figure(table, held), table, key="pie_votes", height=70 + 44 * len(table),
        alt="Share of the models of each population per label.", margin={"t": 4},
        config=charts.percent_columns("baseline", "compressed"),
    )  # fmt: skip
    show_strip(held, row)


def votes_table(
    before: NDArray[np.int32], after: NDArray[np.int32], names: tuple[str, ...]
) -> pd.DataFrame:
    """Share of the models of each population that give each label, most votes first."""
    votes = np.array([np.bincount(one, minlength=len(names)) for one in (before, after)])
    shares = votes / np.array([[len(before)], [len(after)]])
    order = np.argsort(-shares.sum(0), kind="stable")
    order = order[shares.sum(0)[order] > 0][:MOST_LABELS]
    return pd.DataFrame(
        {
            "label": [names[code] for code in order],
            "baseline": shares[0, order],
            "compressed": shares[1, order],
            "n baseline": votes[0, order],
            "n compressed": votes[1, order],
        }
    )


def votes_figure(table: pd.DataFrame, held: Comparison) -> go.Figure:
    figure = go.Figure()
    at = np.arange(len(table))
    for side, colour, shift, m in (
        ("baseline", palette.context_colour(), -0.2, len(held.before)),
        ("compressed", palette.accent(), 0.2, len(held.after)),
    ):
        low, high = wilson_interval(table[f"n {side}"].to_numpy(), m)
        share = 100 * table[side].to_numpy()
        figure.add_bar(
            x=share,
            y=at + shift,
            width=0.36,
            orientation="h",
            marker={"color": colour, "line": {"width": 0}},
            error_x=charts.error_bars(share, 100 * low, 100 * high, width=1),
            hovertemplate=f"{side}: %{{x:.0f}} % of {m} models<extra></extra>",
        )
    figure.update_layout(
        xaxis={
            "title": text.chart(f"% of models: {held.baseline} above, {held.compressed} below"),
            "range": [0, 101],
            "zeroline": False,
        },
        yaxis=charts.rows_axis(table["label"].tolist(), limit=16),
    )
    return figure


def show_strip(held: Comparison, row: int) -> None:
    """Every model as one cell: does it say the baseline's mode, the other mode, or neither?"""
    before, after = held.before[:, row], held.after[:, row]
    first, second = held.modes[:, row]
    names = held.ensemble.names
    paired = len(before) == len(after)
    width = max(len(before), len(after))
    answers = np.full((2, width), -1)
    answers[0, : len(before)], answers[1, : len(after)] = before, after
    kinds = np.select([answers == -1, answers == first, answers == second], [np.nan, 0.0, 1.0], 0.5)
    marks = np.select([answers == -1, answers == first, answers == second], ["", "○", "●"], "·")
    hover = [
        [
            "" if code < 0 else f"model {at + 1}: {text.chart(names[code])}"
            for at, code in enumerate(line)
        ]
        for line in answers
    ]
    if paired:
        flips = np.where(before != after, "↕", "")
    figure = go.Figure(
        go.Heatmap(
            z=kinds,
            text=marks,
            texttemplate="%{text}" if width <= 40 else None,
            hovertext=hover,
            hoverinfo="text",
            xgap=1,
            ygap=2,
            zmin=0,
            zmax=1,
            showscale=False,
            colorscale=[
                [0, palette.context_colour()], [0.5, palette.HUES[1]], [1, palette.accent()],
            ],
        )
    )  # fmt: skip
    if paired:
        for at in np.flatnonzero(before != after)[:60]:
            figure.add_annotation(x=int(at), y=2, text=str(flips[at]), showarrow=False, yref="y")
    figure.update_layout(
        xaxis={"visible": False},
        yaxis={
            "tickvals": [0, 1, 2],
            "ticktext": [text.chart(text.shorten(held.baseline, 14)),
                         text.chart(text.shorten(held.compressed, 14)), "changed" if paired else ""],
            "range": [2.5 if paired else 1.5, -0.5],
            "showgrid": False,
        },
    )  # fmt: skip
    table = pd.DataFrame(
        {
            "model": np.arange(1, width + 1),
            "baseline": [names[code] if code >= 0 else None for code in answers[0]],
            "compressed": [names[code] if code >= 0 else None for code in answers[1]],
        }
    )
    charts.show_chart(
        figure, table, key="pie_strip", height=112, margin={"t": 2},
        alt="Which models change their answer.",
    )  # fmt: skip
    line = f"○ {text.plain(names[first])}, ● {text.plain(names[second])}, · another answer."
    if paired:
        changed = int((before != after).sum())
        line += (
            f" {changed} of {width} models change their answer, if models of both populations "
            "stand in the same order of seeds."
        )
    st.caption(line)
