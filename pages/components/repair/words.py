"""Failures in words: what they have more often than right examples of the same label."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from backend.bundle import Bundle
from backend.core.groups import by_loss, sharp_group
from backend.repair.contrast import LEVEL
from backend.rules import evaluate
from backend.tasks.encoded import reads_of
from pages.components.group.panel import show_group
from pages.components.repair.named import show_named
from pages.components.shared import chapters, charts, keys, link, services, text, twin
from pages.components.shared.choice import Choice
from pages.components.shared.waiting import show_progress

TABLE = "repair_contexts"
NOBODY = "any label"


COLUMNS, CONTEXTS = "columns", "contexts"
SAID = {COLUMNS: "Words and columns", CONTEXTS: "Contexts of a list"}


def show_in_words(bundle: Bundle) -> None:
    """Failures in the user's own words and columns, or in those of lists where a model can read them."""
    if not reads_of(bundle):
        show_words(bundle)
        return
    said = st.segmented_control(
        "Say it with",
        list(SAID),
        required=True,
        format_func=SAID.__getitem__,
        **link.bound(keys.REPAIR_SAID, list(SAID)),
    )
    (show_named if said == CONTEXTS else show_words)(bundle)


def show_words(bundle: Bundle) -> None:
    """The contexts found, what held-out failures say of them, and the one that is chosen."""
    st.caption(
        "Words of texts and notes, values and ranges of columns. One half of the failures finds them; the "
        "other half tests them against right examples of the same label, so a context that is as "
        "frequent among these explains nothing. Each line is a rule: tag it, test it, repair it."
    )
    job = services.ask("contexts", bundle.digest)
    if not show_progress(job, what="Comparing words and values", key="contexts"):
        return
    chapters.remember(bundle, "words", options={}, about="")
    meta = job.result().meta
    lines = meta["contexts"]
    if not meta["looked_at"]:
        st.info(
            "There is nothing to say it with: add a text, a note or columns that say what is in an "
            "example to the examples table.",
            icon=":material/info:",
        )
    elif not lines:
        st.info(
            "No word or value is more frequent among failures than among right examples: "
            f"{text.counted(meta['looked_at'], 'word or value', 'words and values')} were compared.",
            icon=":material/info:",
        )
    else:
        charts.show_table(_table(lines), key=TABLE, config=_config(), on_select=_chose)
        _show_chosen(bundle, lines)
    if meta["absent"]:
        twin.show_twin(
            _absent(meta["absent"]), key="repair_absent", label="Combinations that are absent"
        )


def _chose() -> None:
    rows = st.session_state[TABLE].selection.get("rows") or []
    st.session_state["_context"] = int(rows[0]) if rows else None


def _show_chosen(bundle: Bundle, lines: list[dict[str, Any]]) -> None:
    at = st.session_state.get("_context")
    line = lines[at] if at is not None and at < len(lines) else lines[0]
    mask = evaluate(line["rule"], bundle)
    group = sharp_group("rule", by_loss(mask, bundle.losses), bundle.losses)
    name = text.shorten(line["rule"], 80)
    choice = Choice("context", name, group, {"kind": "rule", "rule": line["rule"]})
    st.subheader(
        f"{text.plain(name, limit=120)} · {text.counted(group.n_members, 'example')}", anchor=False
    )
    near = ""
    if line["together"] is not None:
        near = (
            f" Its failures lie {'together' if line['together_p'] <= LEVEL else 'no closer than chance'}: "
            f"{text.percent(line['together'])} of their nearest neighbours are such failures, "
            f"{text.percent(line['together_expected'])} of random ones of these labels."
        )
    st.markdown(
        f"{text.percent(line['wrong_share'])} of {text.count(line['n_wrong'])} held-out failures have it, "
        f"{text.percent(line['right_share'])} of right examples: **{text.plain(line['verdict'])}**.{near}"
    )
    show_group(bundle, choice, [choice])


def _table(lines: list[dict[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(lines)
    table["label"] = [one or NOBODY for one in table["label"]]
    order = ["label", "context", "verdict", "wrong_share", "right_share", "ratio", "n_wrong",
             "explained", "p_adjusted", "together", "n"]  # fmt: skip
    numbers = [one for one in order if one not in ("label", "context", "verdict")]
    return table[order].astype(dict.fromkeys(numbers, float)).astype({"n": int, "n_wrong": int})


def _config() -> dict[str, Any]:
    number, words = st.column_config.NumberColumn, st.column_config.TextColumn
    return {
        "label": words("label", width="small"),
        "context": words("context", help="The rule of the word, value or range."),
        "verdict": words(
            "held-out failures say",
            help=f"More frequent: adjusted p of at most {text.level(LEVEL)}, one-sided (Fisher; Mantel "
            "and Haenszel over all labels), adjusted over the lines (Benjamini, Hochberg 1995).",
        ),
        "wrong_share": number(
            "of failures", format="percent", help="Held-out failures that have it."
        ),
        "right_share": number(
            "of right ones", format="percent", help="Held-out right examples of the same label."
        ),
        "ratio": number("ratio", format="×%.2g"),
        "n_wrong": number("held-out failures", format="localized"),
        "explained": number(
            "explained",
            format="%.0f",
            help="Held-out failures that would not be there if examples with it failed as often as the "
            "others of their label. Not a promise: it may stand for something else.",
        ),
        "p_adjusted": number("adjusted p", format="%.2g"),
        "together": number(
            "together",
            format="percent",
            help="Share of the nearest neighbours of its failures that are such failures, too.",
        ),
        "n": number("examples", format="localized", help="All that fit the rule."),
    }


def _absent(lines: list[dict[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(lines)
    return table.rename(
        columns={
            "expected": "expected examples",
            "n_neighbours": "have one of the two",
            "neighbours_wrong": "of these wrong",
            "others_wrong": "of the others wrong",
        }
    )
