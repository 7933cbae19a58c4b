"""What a repair bought: a sentence, a chart over strengths, a table of all that could be done."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from backend.cache import Entry
from backend.repair.gain import MEANING, NOT_MORE, NOTHING
from backend.repair.tally import ALL, BALANCED, BEFORE, GROUP, RANDOM, REFIT, REST, TARGETED
from backend.tasks.repair import gain_words, repair_frames, strength_lines
from pages.components.shared import charts, palette, text, twin

HEIGHT = 300
LINES = (
    # arm, part, name on the chart, symbol
    (TARGETED, GROUP, "the group when {counts} counts more", "circle"),
    (RANDOM, GROUP, "the group when random rows count more", "diamond-open"),
    (TARGETED, REST, "the others when {counts} counts more", "square"),
)
ADVICE = (
    "The last layer can only use what the features tell apart. Where they do not, more weight does not "
    "help: look at the labels of the group, collect more of it, or train the features on it."
)
HOW = {
    BEFORE: "The model as it is, on the same measured examples.",
    REFIT: "The last layer refitted by the same recipe from the same examples, nothing counting more. "
    "Examples that were wrong before can only come out better: what this repairs is no merit of the group.",
    TARGETED: "The mean loss of what counts more, the group or what stands in its place, is added to the "
    "mean loss of all, times the strength.",
    RANDOM: "As many random rows of the half that refits count more instead, drawn anew each time.",
    BALANCED: "As many rows of every class inside and outside the group as the rarest of these has "
    "(deep feature reweighting, Kirichenko et al. 2023, arXiv:2204.02937).",
}


def show_verdict(result: Entry, strength: float, counts: str) -> None:
    """In a few sentences: was it worth it, and who paid; ``counts`` says what counted more."""
    verdict = result.meta["verdicts"][f"{strength:g}"]
    said, told = gain_words(result, strength), _shares(result, strength, GROUP)
    everybody = _shares(result, strength, ALL)
    paid = " The others pay for it." if said["harm"] else ""
    st.markdown(f"**{MEANING[verdict]}{paid}**")
    before = f"{told[BEFORE]} right now, " if BEFORE in told else ""
    st.markdown(
        f"Of the group, {before}{told[REFIT]} after a plain refit, **{told[TARGETED]}** when "
        f"×{strength:g} of the mean loss of {text.plain(counts)} is added. Against the plain refit **{said['refit']}**, against as many random rows "
        f"{said['random']}. The others: {said['others']}; all together {everybody[REFIT]} after a plain "
        f"refit, {everybody[TARGETED]} then."
    )
    if verdict in (NOTHING, NOT_MORE):
        st.caption(ADVICE)
    sizes = result.meta["sizes"]
    notes = [
        "The last layer alone is refitted; your model is not touched. "
        f"{text.counted(sizes['refit'], 'example')} refit{_members(sizes['counted'])}; "
        f"{text.counted(sizes['measured'], 'member')} measured in each split, never one that "
        "refitted. Intervals of changes are over examples, of shares over splits, at 95\u00a0%."
    ]
    made = result.meta["made"]
    if made is not None:
        left = (
            f"; {text.count(made['left_out'])} that this bundle has itself are left out"
            if made["left_out"]
            else ""
        )
        notes.append(
            f"{text.counted(made['n'], 'example')} of the other bundle count more{left}. Only examples kept "
            "aside measure, which had no part in making them."
        )
    elif result.meta["aside"]:
        notes.append("Only examples that had no part in finding the group measure.")
    if result.meta["chosen_by_loss"]:
        notes.append(
            "These members were chosen by how the model did on them, so what they show now is low by "
            "choice: only the difference from the plain refit says something."
        )
    unsettled = [name for name in result.meta["outcomes"] if name != "converged"]
    if unsettled:
        notes.append(f"Some heads ended {text.plain(', '.join(unsettled))}.")
    st.caption(" ".join(notes))


def _members(n: int) -> str:
    """How many members of the group refit: none with a training part where something else counts more."""
    return f", {text.counted(n, 'member')} of the group among them" if n else ""


def _shares(result: Entry, strength: float, part: str) -> dict[str, str]:
    """What each arm gets right of a part."""
    lines = strength_lines(result, strength)
    return dict(zip(lines["what"], (one.split(" (")[0] for one in lines[part]), strict=True))


def show_sweep(result: Entry, strength: float, counts: str) -> None:
    """Shares right over strengths, with their intervals; the plain refit stands at the left."""
    table, _ = repair_frames(result)
    figure = go.Figure()
    hues = (palette.accent(), palette.text_colour(), palette.HUES[1])
    shown = []
    names = [name.format(counts=counts) for _, _, name, _ in LINES]
    for (arm, part, _, symbol), name, hue in zip(LINES, names, hues, strict=True):
        own = table[(table["part"] == part) & table["arm"].isin([REFIT, arm])]
        own = own.sort_values("strength")
        shown.append(own.assign(line=name))
        figure.add_scatter(
            x=[f"×{one:g}" if one else REFIT for one in own["strength"]],
            y=own["accuracy"],
            error_y=charts.error_bars(own["accuracy"], own["low"], own["high"], colour=hue),
            mode="lines+markers",
            line={"color": hue, "dash": "dot" if arm == RANDOM else "solid"},
            marker={"symbol": symbol, "size": 9},
            name=text.chart(name),
            hovertemplate=f"{text.chart(name)}<br>%{{x}}: %{{y:.1%}}<extra></extra>",
        )
    before = table[(table["arm"] == BEFORE) & (table["part"] == GROUP)]["accuracy"]
    for value in before:
        figure.add_hline(y=value, line={"dash": "dash", "color": palette.text_colour(), "width": 1})
        note = {"x": 1, "xref": "paper", "xanchor": "left", "y": value, "align": "left"}
        charts.write_notes(figure, [{**note, "text": "the group,<br>before"}])
    figure.update_layout(
        xaxis={"title": "how much of the mean loss is added", "type": "category"},
        yaxis={"title": "right", "tickformat": ".0%"},
    )
    charts.show_chart(
        figure,
        _readable(pd.concat(shown)),
        key="repair_sweep",
        alt=f"Share right of the group and of the others over strengths; chosen: {strength:g}.",
        height=HEIGHT,
        margin={"r": 70},
        config=charts.percent_columns("right", "low", "high"),
    )
    told = [text.plain(name, limit=120) for name in names]
    st.caption(
        f"● {told[0]} · ◇ {told[1]} · ■ {told[2]}. Bars: 95\u00a0% over splits. "
        "All strengths are measured on the same examples, so the best of them looks better than it is."
    )


def _readable(table: pd.DataFrame) -> pd.DataFrame:
    return table.rename(columns={"accuracy": "right"})[
        ["line", "strength", "n", "right", "low", "high"]
    ]


def show_arms(result: Entry, strength: float, worst: str, counts: str) -> None:
    """Everything that could be done, side by side."""
    lines = strength_lines(result, strength, counts)
    config: dict[str, Any] = {
        "what": st.column_config.TextColumn(
            "what is done", help="  \n".join(f"{name}: {said}" for name, said in HOW.items())
        ),
        "worst class": st.column_config.TextColumn(
            f"worst of {text.shorten(worst, 30)}",
            help="The lowest share right of its groups in each split, of those with enough measured "
            "examples.",
        ),
    }
    charts.show_table(lines, key="repair_arms", config=config)
    twin.show_twin(
        _readable(
            repair_frames(result)[0].assign(line=lambda one: one["arm"] + ": " + one["part"])
        ),
        key="repair_all",
        label="All strengths",
    )
