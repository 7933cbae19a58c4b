"""Is a region real? What the examples say that neither found nor chose it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from backend.bundle import Bundle
from backend.cache import Entry
from backend.core import wording
from backend.core.effects import Effect
from backend.core.groups import SMALL
from backend.tasks.regions import count_shown
from backend.tasks.results import fewer_listed
from backend.tasks.sampled import found_again
from pages.components.shared import charts, keys, link, palette, tables, text
from pages.components.shared.choice import Choice, sampled_key
from pages.components.spotlights import overlap

Facts = Mapping[str, Any]


def verdicts(choices: Sequence[Choice], regions: Sequence[Facts]) -> dict[str, str]:
    """Group key -> what is said of it below its name."""
    found = [choice for choice in choices if choice.found]
    return {
        choice.key: _words(region)
        for choice, region in zip(found, regions[: len(found)], strict=True)
    }


def _words(region: Facts) -> str:
    effect = Effect.from_dict(region["effect"])
    own = 0 if region["kind"] == "label" else len(region["labels"])
    said = wording.effect_words(effect, labels=own)
    return f"{said} · {_verdict(region, effect)}, p {_p(region)}"


def show_detail(bundle: Bundle, choice: Choice, regions: Sequence[Facts]) -> None:
    """What the list has no room for, of the chosen region."""
    if not choice.found:
        wrong = wording.wrong_words(bundle.correct, choice.group.rows)
        st.caption(
            f"{choice.number}: {text.plain(choice.name)}"
            + (f", {wrong}" if wrong else "")
            + ". No search found it, so no examples are kept aside to measure it on."
        )
        return
    region = regions[choice.source["index"]]
    parts = [
        f"{choice.number}: {region['scope']}",
        f"mean loss of all its members {wording.number(region['member_loss'])}",
    ]
    if region["n_members"] < SMALL:
        parts.append(f"small: under {SMALL} members")
    if region["inside"] is not None:
        outer = regions[region["inside"] - 1]
        parts.append(f"inside {region['inside']}, {outer['name']}")
    if region["also"] is not None:
        inner = Effect.from_dict(region["also"]["effect"])
        parts.append(f"also {wording.inner_words(region['also']['n_members'], inner)}")
    st.caption(text.plain(" · ".join(parts), limit=400), help=wording.MEANS[wording.MEAN])


def _verdict(region: Facts, effect: Effect) -> str:
    return wording.verdict(
        region["p"], effect, region["kind"], bound=region["bound"], cell=region["cell"]
    )


def _p(region: Facts) -> str:
    return wording.p_value(region["p"], None if region["kind"] == "label" else wording.LEAST_P)


def first_regions(
    digest: str, regions: list[Choice], facts: Sequence[Facts] | None
) -> list[Choice]:
    """The entries that are shown: labels that fail and so many regions as were asked for.

    A link to a later one shows the list as far as that.
    """
    if facts is None or digest in _opened():
        return regions
    shown = count_shown(facts, int(st.session_state[keys.N_REGIONS]))
    wanted = link.chosen(keys.GROUP) or st.query_params.get(keys.GROUP)
    named = [at for at, region in enumerate(regions, start=1) if region.key == wanted]
    return regions[: max([shown, *named])]


def show_explained(regions: Sequence[Facts], shown: int) -> None:
    """How much of the excess loss the list holds."""
    words = wording.explained_words([one["explained"] for one in regions], shown)
    if words:
        st.caption(f"{words}.", help=f"{wording.MEANS[wording.EXPLAINED]}\n\n{wording.ORDER}")


def offer_more(digest: str, regions: Sequence[Facts], shown: int) -> None:
    """A button for the rest of the list."""
    rest = len(regions) - shown
    if rest > 0 or digest in _opened():
        st.button(
            text.counted(rest, "more region") if rest > 0 else "Fewer regions",
            key="more_regions",
            type="tertiary",
            icon=":material/expand_more:" if rest > 0 else ":material/expand_less:",
            on_click=_open_or_close,
            args=(digest,),
        )


def show_fewer(method: str, regions: Sequence[Facts]) -> None:
    """Say below the list why it is shorter than was asked for, in the words of all lists."""
    words = fewer_listed(method, regions, int(st.session_state[keys.N_REGIONS]))
    if words:
        st.caption(text.plain(words, limit=200))


def _opened() -> frozenset[str]:
    """Bundles whose whole list this session looks at."""
    opened: frozenset[str] = st.session_state.get(keys.ALL_REGIONS, frozenset())
    return opened


def _open_or_close(digest: str) -> None:
    st.session_state[keys.ALL_REGIONS] = _opened() ^ {digest}


def show_sample(first: Entry, n: int, *, coming: bool) -> None:
    """Say that the list is of a sample, and whether that of all examples is on its way."""
    then = "the whole list is on its way" if coming else "the whole was not searched"
    st.caption(
        f":material/hourglass_top: From a sample of {text.count(first.meta['sample'])} of {text.count(n)} "
        f"examples; {then}.",
        help="A shorter search of some of the examples, to look at meanwhile. Its regions can be "
        "tagged once the whole list is there.",
    )


def keep_place(parts: Sequence[Entry], regions: Sequence[Choice]) -> None:
    """What was looked at in the list of a sample stays chosen, as far as the whole list has it."""
    chosen = link.chosen(keys.GROUP)
    place = {sampled_key(at): at for at in range(len(parts[0].meta["regions"]))} if parts else {}
    if chosen not in place:
        return
    at = place[chosen]
    held = parts[0]["members"][at]
    again = found_again(held[held >= 0], [one.group.rows for one in regions])
    link.put(keys.GROUP, None if again is None else regions[again].key)
    name = text.plain(parts[0].meta["regions"][at]["name"])
    words = f"All examples are searched. Region {at + 1} of the sample, {name}, "
    words += (
        "is not in the list."
        if again is None
        else f"is region {regions[again].number} of the list."
    )
    st.session_state[keys.NOTICE] = (words, ":material/info:")


def show_claims(choices: Sequence[Choice], meta: Facts) -> None:
    """Every region's numbers on the examples kept aside, as a chart and a table."""
    st.caption(text.plain(wording.HOW, limit=900))
    named = [choice for choice in choices if choice.found]
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
    table = table.dropna(axis="columns", how="all")  # without labels nothing is said of them
    shown, settings = tables.written(table, _columns(table))
    st.dataframe(shown, hide_index=True, placeholder=text.DASH, lazy=False, column_config=settings)
    notes = " ".join(text.plain(note, limit=300) for note in meta["notes"])
    st.caption(
        f"{text.counted(int(meta['n_candidates']), 'candidate')} compared; "
        f"{text.counted(int(meta['n_aside']), 'example')} kept aside. {notes}"
    )


def _columns(table: pd.DataFrame) -> dict[str, Any]:
    """How the columns are written, and what they mean: rates in percent, counts whole."""
    rates = [wording.ERROR, wording.ERROR_OTHERS, wording.ERROR_LABEL, wording.EXPLAINED]
    if wording.ERROR in table:
        rates += ["low", "high"]
    formats = dict.fromkeys((wording.MEMBERS, wording.KEPT_ASIDE), "localized")
    formats |= dict.fromkeys(rates, "percent")
    return {
        name: st.column_config.NumberColumn(
            format=formats.get(name, "%.3g"), help=wording.MEANS.get(name)
        )
        for name in table.columns.drop(["region", "looked for", "verdict"])
    }


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
    charts.ink(figure)
    st.plotly_chart(
        figure,
        config={"displaylogo": False},
        key="claims",
        alt=f"{what} of the members kept aside, with intervals, beside that of the others.",
    )
