"""How much regions overlap: one table, shaded by the share of members they have in common."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from backend.spotlight.membership import most_shared, shared_members
from pages.components.shared import text
from pages.components.shared.choice import Choice

LONGEST = 48
"""Characters of a region's name in the first column."""


def show(choices: Sequence[Choice]) -> None:
    """A square table of the regions among the choices; nothing where there are fewer than two."""
    regions = [choice for choice in choices if choice.source.get("kind") == "region"]
    if len(regions) < 2:
        return
    shares = shared_members([region.group.rows for region in regions])
    numbers = [region.number or region.key for region in regions]
    apart = shares.copy()
    np.fill_diagonal(apart, np.nan)  # all of a region is in itself
    table = pd.DataFrame(100 * apart, columns=numbers)
    table.insert(0, "region", [_name(region) for region in regions])
    st.dataframe(
        table.style.map(_shade, subset=numbers).format(
            "{:.0f}\u00a0%", subset=numbers, na_rep=text.DASH
        ),
        hide_index=True,
        placeholder=text.DASH,
        width="stretch",
        column_config={
            number: st.column_config.Column(number, width=62, help="Share of the row's region")
            for number in numbers
        },
    )
    most = most_shared(shares)
    if most is None:
        st.caption("No two regions share a member.")
    else:
        st.caption(
            f"Of the members of the region in a row, the share that the region in a column holds "
            f"too. Most shared: {text.percent(most.share, digits=0)} of region {numbers[most.group]} is in region "
            f"{numbers[most.holder]}."
        )


def _name(region: Choice) -> str:
    number = f"{region.number} " if region.number else ""
    return f"{number}{text.shorten(region.name, LONGEST)}"


def _shade(percent: float) -> str:
    """A background that reads on light and dark: stronger where more is shared."""
    strength = 0.0 if pd.isna(percent) else 0.55 * percent / 100
    return f"background-color: rgba(217, 119, 6, {strength:.2f})"
