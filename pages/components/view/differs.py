"""What is special about a group: columns ranked by how far it differs from the others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.content import content_key
from backend.core.errors import BackendError
from backend.views import Looked, what_differs
from backend.views.differs import LEVEL
from pages.components.shared import text
from pages.components.shared.choice import Choice

HELP = (
    "Distance: for numbers the largest gap between the two cumulative shares (Kolmogorov and Smirnov), "
    "for values half the sum of the gaps between shares (total variation). 0 is alike, 1 has nothing in "
    "common. p is adjusted over the columns (Benjamini and Hochberg 1995)."
)


def show_differs(bundle: Bundle, choice: Choice, looked: Looked) -> None:
    """The ranking for the members of a group, beside everything else that the filters show."""
    member = np.zeros(bundle.n, dtype=bool)
    member[choice.group.rows] = True
    key = content_key(bundle.digest, member, looked.shown)
    try:
        table = _ranked(key, bundle, member, looked.shown)
    except BackendError as error:
        st.info(text.plain(error, limit=300))
        return
    others = int(np.count_nonzero(looked.shown & ~member))
    where = "that the filters show" if looked.filtering else "of the bundle"
    told = int(np.count_nonzero(table["p_adjusted"] <= LEVEL))
    st.caption(
        f"{text.counted(len(choice.group.rows), 'member')} of group {text.plain(choice.number)} beside the "
        f"other {text.counted(others, 'example')} {where}: {told} of {len(table)} columns differ at an "
        f"adjusted p of {text.level(LEVEL)}. A group chosen by its loss differs in loss by construction.",
        help=HELP,
    )
    st.dataframe(
        table,
        hide_index=True,
        placeholder=text.DASH,
        lazy=False,
        column_order=[
            "column", "distance", "here", "elsewhere", "p_adjusted", "n", "n_rest",
        ],
        column_config={
            "distance": st.column_config.ProgressColumn(
                format="%.3f", min_value=0, max_value=1, help=HELP
            ),
            "here": st.column_config.TextColumn("in the group", help="Mean, or the value whose share differs most."),
            "elsewhere": st.column_config.TextColumn("in the others"),
            "p_adjusted": st.column_config.NumberColumn("p adjusted", format="%.3g"),
            "n": st.column_config.NumberColumn(
                "n in the group", format="localized", help="Examples with a value."
            ),
            "n_rest": st.column_config.NumberColumn("n in the others", format="localized"),
        },
    )  # fmt: skip


@st.cache_resource(show_spinner=False, max_entries=32)
def _ranked(
    key: str, _bundle: Bundle, _member: NDArray[np.bool_], _shown: NDArray[np.bool_]
) -> pd.DataFrame:
    return what_differs(_bundle, _member, _shown)
