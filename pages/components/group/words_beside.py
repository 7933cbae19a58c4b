"""The first words of all groups side by side, as the paper prints them."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from backend.bundle import Bundle
from backend.core.content import content_key
from backend.core.errors import BackendError
from backend.describe import Comparison, WordIndex, words_beside
from backend.describe.beside import in_columns
from backend.describe.words import LEVEL
from backend.export.cells import neutralise
from pages.components.group import against
from pages.components.shared import services, text
from pages.components.shared.choice import Choice

FAINT = "color: #7a7a7a"
"""Read on light and dark, and told from the words that stand out."""
LONGEST = 48
"""Characters of a group's name at the head of its column."""


def show(
    bundle: Bundle,
    choices: list[Choice],
    baseline: str,
    index: WordIndex,
    lacking: bool,
    by_p: bool,
) -> None:
    """One column of words for each group, and all their numbers as CSV."""
    beside: dict[str, Comparison] = {}
    left_out = []
    for choice in choices:
        name = _name(choice, beside)
        try:
            beside[name] = against.compare(bundle, choice, baseline).comparison
        except BackendError as error:
            left_out.append(f"{text.plain(name)}: {text.plain(error, limit=200)}")
    key = content_key("beside", bundle.digest, baseline, lacking, by_p, *map(_rows_of, choices))
    words = _words(key, index, beside, lacking, by_p)
    if not len(words):
        st.info(" ".join(left_out) or "No group holds a word more often than others.")
        return
    shown, chances = in_columns(words)
    side = "less often" if lacking else "more often"
    order = "The surest first" if by_p else f"{'Lowest' if lacking else 'Highest'} ratio first"
    st.caption(
        f"Words that each group has {side} than {against.NAMES[baseline]} (d'Eon et al. 2021, section 3.3). "
        f"{order}; grey where the p-value, adjusted over the words of the group, is above "
        f"{text.level(LEVEL)}."
    )
    st.dataframe(
        shown.style.apply(
            lambda column: ["" if chance <= LEVEL else FAINT for chance in chances[column.name]],
            axis=0,
        ),
        width="stretch",
        placeholder=text.DASH,
        lazy=False,
        key=f"words_beside_{key}",
    )
    for line in left_out:
        st.caption(line)
    st.download_button(
        "Download as CSV",
        data=services.handed(bundle.digest, "the words of groups", lambda store: _csv(words)),
        file_name="words-of-groups.csv",
        mime="text/csv",
        key="download_words",
        icon=":material/download:",
        on_click="ignore",
        help="One row for each group and word, with its ratio, shares, counts and p-values.",
    )


def _name(choice: Choice, taken: dict[str, Comparison]) -> str:
    """What the group is called at the head of its column: no two alike."""
    name = f"{choice.number} {text.shorten(choice.name, LONGEST)}".strip()
    return name if name not in taken else f"{name} ({choice.key})"


def _rows_of(choice: Choice) -> str:
    return content_key(choice.key, choice.name, choice.group.rows, choice.group.weights)


@st.cache_resource(show_spinner="Comparing the words of all groups", max_entries=8)
def _words(
    key: str, _index: WordIndex, _beside: dict[str, Comparison], lacking: bool, by_p: bool
) -> pd.DataFrame:
    return words_beside(_index, _beside, lacking=lacking, by_p=by_p)


def _csv(words: pd.DataFrame) -> bytes:
    safe = words.map(lambda cell: neutralise(cell) if isinstance(cell, str) else cell)
    return safe.to_csv(index=False, lineterminator="\n").encode()
