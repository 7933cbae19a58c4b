"""Failures in the contexts of lists: what they take most often, and what held-out ones say of it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from backend.bundle import Bundle
from backend.cache import Entry
from backend.core.groups import sharp_group
from backend.repair.candidates import LISTS
from backend.repair.contrast import EXPLAINS, LEVEL
from backend.tasks.encoded import MOST_EXAMPLES
from backend.tasks.named import context_members, context_source
from pages.components.group.panel import show_group
from pages.components.repair.candidates import choose_candidates
from pages.components.shared import chapters, charts, services, text, twin
from pages.components.shared.choice import Choice
from pages.components.shared.waiting import show_progress

TABLE = "repair_named"
WANTED = "_named_wanted"
PICKED = "_named_line"
AXES = {"own": "Your list", "asked": "Language model"}


def show_named(bundle: Bundle) -> None:
    """The candidates, the contexts that failures take, and the one that is chosen."""
    st.caption(
        "Every example takes the nearest candidate of its class. Failures that are not kept aside choose "
        "the most frequent contexts; those kept aside test them against right examples of the class: a "
        "context that is as frequent among these explains nothing."
    )
    options = choose_candidates(bundle)
    if options is None:
        return
    wanted = (bundle.digest, json.dumps(options, sort_keys=True))
    if st.session_state.get(WANTED) != wanted:
        st.button(
            "Name the failures",
            key="repair_name",
            type="primary",
            icon=":material/image_search:",
            on_click=_want,
            args=(wanted,),
            help=f"At most {text.count(MOST_EXAMPLES)} examples are read, which takes minutes the first "
            "time and is kept; other lists then take seconds.",
        )
        return
    job = services.ask("named", bundle.digest, **options)
    if show_progress(job, what="Naming the failures", key="named"):
        chapters.remember(bundle, "named", options=options, about="")
        _show_found(bundle, job.result())


def _want(wanted: tuple[str, str]) -> None:
    st.session_state[WANTED] = wanted
    st.session_state[PICKED] = 0


def _show_found(bundle: Bundle, result: Entry) -> None:
    lines, encoded = result.meta["lines"], result.meta["encoded"]
    if not lines:
        st.info("No failure chooses a context: none is left that is not kept aside.")
        return
    explaining = [one for one in lines if one["verdict"] == EXPLAINS]
    if explaining:
        said = [f"{one['label']} {one['context']}" for one in explaining[:3]]
        st.markdown(
            f"**{text.counted(len(explaining), 'context')} of {text.count(len(lines))} more frequent among "
            f"held-out failures than among right examples:** {text.plain('; '.join(said), limit=300)}."
        )
    else:
        st.markdown(
            f"**None of these {text.counted(len(lines), 'context')} is shown to explain failures**: each is as "
            "frequent among right examples of its class, or too few failures are held out to tell."
        )
    read = f"{text.count(encoded['n'])} of {text.counted(encoded['of'], 'example')} were read"
    without = f", {text.count(encoded['empty'])} were empty" if encoded["empty"] else ""
    same = text.counted(len(result.meta["dropped"]), "candidate")
    st.caption(f"{read}{without}; {same} left out that say what an earlier one says.")
    charts.show_table(_table(lines), key=TABLE, config=_config(), on_select=_chose)
    at = st.session_state.get(PICKED, 0)
    _show_line(bundle, result, at if at < len(lines) else 0)


def _chose() -> None:
    rows = st.session_state[TABLE].selection.get("rows") or [0]
    st.session_state[PICKED] = int(rows[0])


def _show_line(bundle: Bundle, result: Entry, at: int) -> None:
    line, members = result.meta["lines"][at], context_members(result, at)
    group = sharp_group("context", members["row"].to_numpy(), bundle.losses)
    name = f"{line['label']}, {line['context']}"
    st.subheader(
        f"{text.plain(name, limit=120)} · {text.counted(group.n_members, 'example')}", anchor=False
    )
    cells = [f"{one['prediction']} ({text.count(one['count'])})" for one in line["cells"][:4]]
    weak = ""
    if line["n_weak"]:
        weak = f" {text.count(line['n_weak'])} of these picks are weak."
    st.markdown(
        f"{text.percent(line['wrong_share'])} of {text.count(line['n_wrong'])} held-out failures of the class have "
        f"it, {text.percent(line['right_share'])} of right examples: **{text.plain(line['verdict'])}**. The "
        f"{text.counted(line['count'], 'failure')} that chose it were taken for "
        f"{text.plain(', '.join(cells), limit=300)}.{weak}"
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        twin.show_twin(_picks(bundle, members), key="repair_picks", label="All picks")
        st.caption("Tag it to have it as a rule (`tagged`), and to repair it.")
    choice = Choice("context", name, group, context_source(result, line))
    show_group(bundle, choice, [choice])


def _picks(bundle: Bundle, members: pd.DataFrame) -> pd.DataFrame:
    """Every example of a context with how near it is, and how much nearer than to the next."""
    rows = members["row"].to_numpy()
    answers = bundle.prediction_names
    return pd.DataFrame(
        {
            "id": bundle.ids[rows],
            "prediction": None if answers is None else answers[rows],
            "right": None if bundle.correct is None else bundle.correct[rows],
            "similarity": members["similarity"],
            "margin": members["margin"],
            "weak": members["weak"],
        }
    )


def _table(lines: list[dict[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(lines)
    table["axis"] = [AXES.get(one) or LISTS[one].title for one in table["axis"]]
    order = ["label", "context", "axis", "verdict", "count", "n_weak", "wrong_share", "right_share",
             "ratio", "n_wrong", "explained", "p_adjusted", "similarity", "margin"]  # fmt: skip
    numbers = [
        "wrong_share",
        "right_share",
        "ratio",
        "explained",
        "p_adjusted",
        "similarity",
        "margin",
    ]
    return table[order].astype(dict.fromkeys(numbers, np.float64))


def _config() -> dict[str, Any]:
    number, words = st.column_config.NumberColumn, st.column_config.TextColumn
    return {
        "label": words("label", width="small"),
        "context": words("context"),
        "axis": words("list"),
        "verdict": words(
            "held-out failures say",
            help=f"More frequent: adjusted p of at most {text.level(LEVEL)} (Fisher, one-sided), adjusted "
            "over the lines (Benjamini, Hochberg 1995).",
        ),
        "count": number(
            "failures",
            format="localized",
            help="That chose it: of those that are not kept aside, all whose nearest candidate it is.",
        ),
        "n_weak": number(
            "weak",
            format="localized",
            help="Of these, picks that are hardly nearer to it than to the next candidate, or of which "
            "the model is not sure what it saw.",
        ),
        "wrong_share": number(
            "of failures", format="percent", help="Held-out failures of the class that have it."
        ),
        "right_share": number(
            "of right ones",
            format="percent",
            help="Held-out right examples of the class that have it.",
        ),
        "ratio": number("ratio", format="×%.2g"),
        "n_wrong": number("held-out failures", format="localized", help="Of the class."),
        "explained": number(
            "explained",
            format="%.0f",
            help="Held-out failures that would not be there if examples with it failed as often as the "
            "others of their class. Not a promise: it may stand for something else.",
        ),
        "p_adjusted": number("adjusted p", format="%.2g"),
        "similarity": number(
            "similarity", format="%.2f", help="Cosine of these failures to it, on average."
        ),
        "margin": number(
            "margin", format="%.3f", help="Cosine above that of the next candidate, on average."
        ),
    }
