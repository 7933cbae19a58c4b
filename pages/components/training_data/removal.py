"""What to leave out, what that takes from each class, and the lists to take away."""

from __future__ import annotations

from functools import partial

import streamlit as st

from backend.bundle import Bundle
from backend.bundle.training import Training
from backend.cache import Entry
from backend.core.errors import BackendError
from backend.store import Store
from backend.tasks.removal import (
    KEPT,
    MANIFEST,
    REMOVED,
    RemovalRule,
    removal_by,
    removal_files,
    subpopulations,
)
from pages.components.shared import charts, keys, services, text
from pages.components.training_data.questions import TrainingQuestion
from pages.components.training_data.searching import NUMBER, show_search

WAYS = {
    "sign": "All that harm",
    "number": "The most harmful",
    "subpopulations": "Whole subpopulations",
}
WAYS_HELP = (
    "All that harm: every score below 0, as D3M does. The most harmful: as many as you say, or as "
    "a search on half of the examples finds best. Whole subpopulations: all training examples of a label and value."
)


def show_removal(
    bundle: Bundle, training: Training, result: Entry, asked: TrainingQuestion, column: str
) -> None:
    """Choose a rule; see what it takes; take the lists along. Nothing is deleted."""
    rule = _rule(training, result, column)
    if rule is None:
        return
    if rule.kind == "number" and training.label_codes is not None:
        show_search(bundle, asked)
    try:
        removal = removal_by(training, result["scores"], rule)
    except BackendError as error:
        st.error(text.plain(error, limit=400), icon=":material/block:")
        return
    if not len(removal.rows):
        st.info("No training example has a score below 0: nothing would be removed.")
        return
    st.markdown(
        f"**{text.count(len(removal.rows))}** of {text.counted(training.n, 'training example')} "
        "would be left out. Retrain without them, and compare with as many drawn at random: a score is "
        "a forecast. What it is to be judged by must be examples that had no part in choosing."
    )
    if removal.classes is not None:
        charts.show_table(
            removal.classes.rename(columns={"n": "training examples", "removed": "left out"}),
            key="training_taken",
            config=charts.percent_columns(share="share of the class"),
        )
    files = removal_files(bundle, result["scores"], dict(asked.options), rule)
    with st.container(horizontal=True):
        for name, label, icon in (
            (REMOVED, "Download what to leave out", ":material/playlist_remove:"),
            (KEPT, "Download what to keep", ":material/playlist_add_check:"),
            (MANIFEST, "Download manifest", ":material/receipt_long:"),
        ):
            st.download_button(
                label,
                services.handed(bundle.digest, f"training-{name}", partial(_file, files, name)),
                file_name=f"training-{name}",
                mime="application/json" if name == MANIFEST else "text/csv",
                key=f"training_{name}",
                icon=icon,
                on_click="ignore",
            )


def _file(files: dict[str, bytes], name: str, store: Store) -> bytes:
    return files[name]


def _rule(training: Training, result: Entry, column: str) -> RemovalRule | None:
    way = st.segmented_control(
        "Leave out",
        list(WAYS),
        format_func=WAYS.__getitem__,
        default="number",
        required=True,
        key=keys.TRAINING_WAY,
        help=WAYS_HELP,
        persist_state="session",
    )
    if way == "number":
        most = max(1, training.n - 1)
        usual = min(most, max(1, training.n // 20))
        number = st.number_input(
            "How many", 1, most, usual, key=NUMBER, width=160, persist_state="session"
        )
        return RemovalRule("number", number=int(number))
    if way != "subpopulations":
        return RemovalRule("sign")
    table = subpopulations(training, result["scores"], column)
    table = table[table["n"] > 0]
    values = table["annotation"] if "annotation" in table else [""] * len(table)
    cells = [(str(a), str(b)) for a, b in zip(table["label"], values, strict=True)]
    chosen = st.multiselect(
        "Subpopulations, the most harmful first",
        cells,
        format_func=lambda cell: text.shorten(" · ".join(part for part in cell if part), 100),
        key=f"training_cells_{column}",
        help="Of label and the column chosen under Subpopulations.",
    )
    if not chosen:
        st.caption("Choose at least one.")
        return None
    return RemovalRule("subpopulations", column=column, cells=tuple(chosen))
