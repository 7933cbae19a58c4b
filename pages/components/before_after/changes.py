"""Every group with its change: a table, a chart of the intervals, and the members of one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from backend.before_after import ANY_RETRAIN, BETTER, MEANS, WORSE
from backend.bundle import Bundle
from backend.cache import Entry
from backend.core import wording
from backend.core.groups import by_loss, sharp_group
from backend.tasks.changes import change_table, control_words, group_rows, group_words
from pages.components.shared import charts, keys, link, palette, tables, text
from pages.components.shared.choice import Choice

TABLE = "changes"
CHOSEN = "_chosen_change"
"""Session field: which line was clicked, as (result, line)."""
GROUP, FAILED, REPAIRED = "group", "failed", "repaired"
VIEWS = {GROUP: "The group", FAILED: "Newly failing", REPAIRED: "Repaired"}
DRAWN = 16
"""Lines of the chart: the surest to be worse, and the surest to be better."""


def show_table(kept: Entry) -> None:
    """One line per group, the surest to be worse first; a click chooses one."""
    table, what = change_table(kept), _what(kept)
    errors = what == "error"
    shape, change = ("percent", tables.POINTS) if errors else ("%.3g", "%+.3g")
    frame = pd.DataFrame(
        {
            "group": [group_words(line) for line in table.to_dict("records")],
            "verdict": table["verdict"],
            "change": table[f"{what}_change"],
            "from": table[f"{what}_low"],
            "to": table[f"{what}_high"],
            "before": table[f"{what}_before"],
            "after": table[f"{what}_after"],
            wording.KEPT_ASIDE: table["n"],
            wording.MEMBERS: table["members"],
        }
    )
    if errors:
        frame["fails newly"], frame["repaired"] = table["failed"], table["repaired"]
    if "control_change" in table:
        frame["control"] = table["control_change"]
        frame["beyond it"] = table["beside_change"]
    frame["loss change"] = table["loss_change"]
    frame["p adjusted"] = table["p_adjusted"]
    frame["in the other run"] = table["nearest"]
    frame["shared"] = table["shared"]
    number = st.column_config.NumberColumn
    interval = "95\u00a0% interval of the change, for paired answers (Tango 1998)"
    told: dict[str, Any] = {
        name: number(format=shape, help=about)
        for name, about in (
            ("before", f"{'Error rate' if errors else 'Mean loss'} of the measured members."),
            ("after", "The same in this run."),
        )
    }
    told |= {
        name: number(format=change, help=about)
        for name, about in (
            ("change", "After less before, on the same examples; above 0 is worse."),
            ("from", f"Lower end of the {interval}."),
            ("to", f"Upper end of the {interval}."),
            (
                "control",
                "What the control changed: the run before, made anew with nothing changed.",
            ),
            (
                "beyond it",
                "This run less the control: what is left when the seed's share is taken away.",
            ),
        )
    }
    told |= {
        "group": st.column_config.TextColumn(width="medium"),
        "verdict": st.column_config.TextColumn(
            help="  \n".join(f"**{name}**: {said}" for name, said in MEANS.items())
        ),
        wording.KEPT_ASIDE: number(
            format="localized",
            help="Members whose losses had no part in choosing the group, in both runs: only these are "
            "measured. Of groups that nobody chose by losses all are.",
        ),
        "p adjusted": number(
            format="%.2g",
            help="Exact McNemar of what fails newly against what is repaired, adjusted over the groups "
            "(Benjamini, Hochberg 1995); of losses the paired t-test.",
        ),
        "loss change": number(format="%.3g", help="Of the mean loss, after less before."),
        "in the other run": st.column_config.TextColumn(
            help="Of a region the one of the other run that holds most of it."
        ),
        "shared": number(format="percent", help="Share of its members there."),
    }  # fmt: skip
    charts.show_table(frame, key=TABLE, config=told, on_select=lambda: _chose(kept.key))


def _chose(key: str) -> None:
    rows = st.session_state[TABLE].selection.get("rows") or []
    st.session_state[CHOSEN] = (key, int(rows[0])) if rows else None
    if rows:
        link.put(keys.CHANGED, GROUP)


def show_chart(kept: Entry) -> None:
    """The changes with their intervals, worst on top; with a control what it changed, as open signs."""
    table, what = change_table(kept), _what(kept)
    held = table[np.isfinite(table[f"{what}_low"].to_numpy())]
    if len(held) > DRAWN:
        held = pd.concat([held.head(DRAWN - DRAWN // 4), held.tail(DRAWN // 4)])
    names = [group_words(line) for line in held.to_dict("records")]
    hues = {WORSE: palette.accent(), BETTER: palette.HUES[1]}
    signs = {WORSE: "triangle-up", BETTER: "triangle-down"}
    places = list(range(len(held)))
    errors = what == "error"
    unit, form = (100, "+.3~g") if errors else (1, "+.3g")
    said = "%{x} points" if errors else "%{x}"
    columns = [f"{what}_{one}" for one in ("change", "low", "high")]
    change, low, high = (unit * held[one] for one in columns)
    figure = go.Figure()
    if "control_change" in held:
        figure.add_scatter(
            x=unit * held["control_change"],
            y=places,
            mode="markers",
            marker={"symbol": "diamond-open", "size": 9, "color": palette.text_colour()},
            hovertemplate=f"control: {said}<extra></extra>",
        )
    figure.add_scatter(
        x=change,
        y=places,
        error_x=charts.error_bars(change, low, high),
        mode="markers",
        marker={
            "size": 9,
            "color": [hues.get(one, palette.text_colour()) for one in held["verdict"]],
            "symbol": [signs.get(one, "circle") for one in held["verdict"]],
        },
        customdata=held[["verdict"]],
        hovertemplate=f"{said}: %{{customdata[0]}}<extra></extra>",
    )
    charts.zero_line(figure)
    title = "change of the error rate, points" if errors else "change of the mean loss"
    figure.update_layout(yaxis=charts.rows_axis(names), xaxis={"title": title, "tickformat": form})
    charts.show_chart(
        figure,
        held[["kind", "name", "verdict", *columns]],
        key="changes_chart",
        alt="Change of each group with its interval, the surest to be worse on top.",
        height=charts.ROW_HEIGHT * len(held) + 60,
        config=charts.points_columns(*columns) if errors else None,
    )
    st.caption(
        "▲ worse · ▼ better · ● neither"
        + (" · ◇ what the control changed" if "control_change" in held else "")
        + ". Bars: 95\u00a0%. To the right more fails than before."
    )


def show_note(kept: Entry) -> None:
    """Against what the changes are held, and what that leaves open."""
    st.caption(text.plain(control_words(kept.meta), limit=600))
    if not kept.meta["control"]:
        st.caption(
            f"A region of the run before that got better is “{ANY_RETRAIN}”: its errors led there. Link an "
            "unchanged retrain to the run before, as one that differs in the seed alone, to tell."
        )
    for note in kept.meta["notes"]:
        st.caption(f":material/info: {text.plain(note, limit=300)}")


def looked_at(bundle: Bundle, kept: Entry, before: str) -> tuple[Choice | None, list[Choice]]:
    """The group of the chosen line, or the examples that fail newly or are repaired."""
    key, at = st.session_state.get(CHOSEN) or ("", 0)
    at = at if key == kept.key else _first(kept)
    line = change_table(kept).iloc[at].to_dict()
    name = group_words(line)
    rows = {GROUP: by_loss(group_rows(kept, at), bundle.losses)}
    rows |= {one: np.asarray(kept[one]) for one in (FAILED, REPAIRED)}
    sources = {one: {"kind": "changed", "what": one, "before": before} for one in rows}
    sources[GROUP] |= {"group": name}
    choices = {
        one: Choice(
            one,
            name if one == GROUP else VIEWS[one].lower(),
            sharp_group(one, rows[one], bundle.losses),
            sources[one],
        )
        for one in rows
        if len(rows[one])
    }
    shown = st.segmented_control(
        "Look at",
        list(VIEWS),
        required=True,
        format_func=lambda one: f"{VIEWS[one]} · {text.count(len(rows[one]))}",
        **link.bound(keys.CHANGED, list(VIEWS)),
        help="Newly failing: right in the run before, wrong in this one. Repaired: the other way round. "
        "The largest change of the loss first.",
    )
    if shown == GROUP:
        st.markdown(f"**{text.plain(name, limit=120)}**: {text.plain(line['verdict'])}")
    chosen = choices.get(shown or GROUP)
    if chosen is None:
        st.info("No example: nothing changed so from the run before to this one.")
    return chosen, list(choices.values())


def _first(kept: Entry) -> int:
    """The line that is looked at before one is clicked: the first that got worse, else the first of all."""
    verdicts = [line["verdict"] for line in kept.meta["table"]]
    return verdicts.index(WORSE) if WORSE in verdicts else 0


def _what(kept: Entry) -> str:
    return "error" if kept.meta["errors"] else "loss"
