"""Is a region real? What the examples say that neither found nor chose it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from backend.core import wording
from backend.core.effects import Effect
from backend.tasks.regions import LISTED, count_shown
from pages.components.shared import keys, link, palette, text
from pages.components.shared.choice import Choice
from pages.components.spotlights import overlap

Facts = Mapping[str, Any]


def verdicts(regions: Sequence[Facts]) -> dict[str, str]:
    """Group key -> what is said of it below its name."""
    return {f"region-{at}": _words(region) for at, region in enumerate(regions, start=1)}


def _words(region: Facts) -> str:
    effect = Effect.from_dict(region["effect"])
    parts = [wording.effect_words(effect), f"{_verdict(region, effect)}, p {_p(region)}"]
    if region["inside"] is not None:
        parts.append(f"inside {region['inside']}")
    if region["bound"] and region["kind"] != "label" and effect.error_label == effect.error_label:
        parts.append(f"all of its label {wording.percent(effect.error_label)} wrong")
    if region["also"] is not None:
        inner = Effect.from_dict(region["also"]["effect"])
        worse = f", {wording.percent(inner.error)} wrong" if inner.error == inner.error else ""
        parts.append(f"also: its {text.count(region['also']['n_members'])} worst{worse}")
    return " · ".join(parts)


def _verdict(region: Facts, effect: Effect) -> str:
    return wording.verdict(
        region["p"], effect, region["kind"], bound=region["bound"], cell=region["cell"]
    )


def _p(region: Facts) -> str:
    return wording.p_value(region["p"], None if region["kind"] == "label" else wording.LEAST_P)


def first_regions(regions: list[Choice], facts: Sequence[Facts] | None) -> list[Choice]:
    """The entries that are shown: labels that fail and so many regions as were asked for.

    A link to a later one shows the list as far as that.
    """
    if facts is None:
        return regions
    shown = count_shown(facts, int(st.session_state[keys.N_REGIONS]))
    wanted = link.chosen(keys.GROUP) or st.query_params.get(keys.GROUP)
    named = [at for at, region in enumerate(regions, start=1) if region.key == wanted]
    return regions[: max([shown, *named])]


def show_explained(regions: Sequence[Facts], shown: int) -> None:
    """How much of the excess loss the list holds, and a button for the rest of it."""
    rest = len(regions) - shown
    known = [one["explained"] for one in regions]
    if shown and known[-1] is not None:
        these = "This entry holds" if shown == 1 else f"These {text.count(shown)} entries hold"
        words = f"{these} {wording.percent(known[shown - 1])} of the excess loss"
        if rest > 0:
            further = "1 more holds" if rest == 1 else f"{text.count(rest)} more hold"
            words += f"; {further} {wording.percent(known[-1] - known[shown - 1])}"
        st.caption(f"{words}.", help=wording.MEANS[wording.EXPLAINED])
    if rest > 0:
        st.button(
            f"More regions · {text.count(rest)} further",
            key="more_regions",
            type="tertiary",
            icon=":material/expand_more:",
            on_click=_show_all,
        )


def _show_all() -> None:
    st.session_state[keys.N_REGIONS] = LISTED


def show_claims(choices: Sequence[Choice], meta: Facts) -> None:
    """Every region's numbers on the examples kept aside, as a chart and a table."""
    st.caption(text.plain(wording.HOW, limit=900))
    named = [choice for choice in choices if choice.source["kind"] == "region"]
    regions = meta["regions"][: len(named)]
    if not regions:
        st.info("No region was found, so there is nothing to check.")
        return
    effects = [Effect.from_dict(one["effect"]) for one in regions]
    left, right = st.columns([5, 6], gap="medium")
    with left:
        _chart(named, effects, [bool(one["real"]) for one in regions])
    with right:
        overlap.show(named)
    rows = zip(named, regions, effects, strict=False)
    table = pd.DataFrame([_row(choice, region, effect) for choice, region, effect in rows])
    st.dataframe(
        table,
        hide_index=True,
        lazy=False,
        column_config={
            name: st.column_config.NumberColumn(format="%.3g", help=words)
            for name, words in wording.MEANS.items()
            if name in table
        },
    )
    notes = " ".join(text.plain(note, limit=300) for note in meta["notes"])
    st.caption(
        f"{text.counted(int(meta['n_candidates']), 'candidate')} compared; "
        f"{text.counted(int(meta['n_aside']), 'example')} kept aside. {notes}"
    )


def _row(choice: Choice, region: Facts, effect: Effect) -> dict[str, Any]:
    wrong = effect.error == effect.error
    measured = {
        wording.ERROR: effect.error,
        "low": effect.error_low,
        "high": effect.error_high,
        wording.ERROR_OTHERS: effect.error_base,
        wording.ERROR_LABEL: effect.error_label,
    }
    if not wrong:
        measured = {
            wording.LOSS: effect.loss,
            "low": effect.loss_low,
            "high": effect.loss_high,
            wording.LOSS_OTHERS: effect.loss_base,
            wording.LOSS_LABEL: effect.loss_label,
        }
    return {
        "region": f"{choice.number} {choice.name}",
        "looked for": str(region["scope"]),
        "verdict": _verdict(region, effect),
        wording.MEMBERS: region["n_members"],
        wording.KEPT_ASIDE: effect.n,
        **measured,
        wording.MULTIPLE: effect.multiple,
        wording.P: region["p"],
        wording.P_CELL: region["p_cell"],
        wording.EXPLAINED: region["explained"],
        wording.MEAN: region["member_loss"],
    }


def _chart(choices: Sequence[Choice], effects: Sequence[Effect], real: Sequence[bool]) -> None:
    """Error rates, else mean losses, of members kept aside with their intervals, and of the others."""
    wrong = all(effect.error == effect.error for effect in effects)
    figure = go.Figure()
    for at, (choice, effect) in enumerate(zip(choices, effects, strict=False)):
        value, low, high, others = (
            (effect.error, effect.error_low, effect.error_high, effect.error_base)
            if wrong
            else (effect.loss, effect.loss_low, effect.loss_high, effect.loss_base)
        )
        figure.add_scatter(
            x=[value],
            y=[at],
            error_x={
                "symmetric": False,
                "array": [high - value],
                "arrayminus": [value - low],
                "thickness": 2,
            },
            mode="markers",
            marker={
                "size": 11,
                "color": choice.colour if real[at] else palette.context_colour(),
                "symbol": "circle" if real[at] else "circle-open",
            },
            hovertemplate="members kept aside %{x:.3g}<extra></extra>",
            showlegend=False,
        )
        figure.add_scatter(
            x=[others],
            y=[at],
            mode="markers",
            marker={"symbol": "line-ns-open", "size": 16, "color": palette.text_colour()},
            hovertemplate="others kept aside %{x:.3g}<extra></extra>",
            showlegend=False,
        )
    what = wording.ERROR if wrong else wording.MEAN
    figure.update_layout(
        height=60 + 44 * len(effects),
        margin={"l": 0, "r": 0, "t": 18, "b": 0},
        xaxis={"title": {"text": f"{what} of members kept aside; | others"}, "rangemode": "tozero"},
        yaxis={
            "tickvals": list(range(len(effects))),
            "ticktext": [text.chart(choice.number) for choice in choices],
            "autorange": "reversed",
        },
    )
    st.plotly_chart(
        figure,
        config={"displaylogo": False},
        key="claims",
        alt=f"{what} of the members kept aside, with intervals, beside that of the others.",
    )
