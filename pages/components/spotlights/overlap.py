"""How much regions overlap: one table, shaded by the share of members they have in common."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from backend.spotlight import shared_members
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
        table.style.map(_shade, subset=numbers).format("{:.0f} %", subset=numbers, na_rep="-"),
        hide_index=True,
        width="stretch",
        column_config={
            number: st.column_config.Column(number, width="small", help="Share of the row's region")
            for number in numbers
        },
    )
    most, one, other = _most_shared(shares, numbers)
    if most == 0:
        st.caption("No two regions share a member.")
    else:
        st.caption(
            f"Of the members of the region in a row, the share that the region in a column holds "
            f"too. Most shared: {most:.0%} of region {one} is in region {other}."
        )


def _name(region: Choice) -> str:
    number = f"{region.number} " if region.number else ""
    return f"{number}{text.shorten(region.name, LONGEST)}"


def _shade(percent: float) -> str:
    """A background that reads on light and dark: stronger where more is shared."""
    strength = 0.0 if pd.isna(percent) else 0.55 * percent / 100
    return f"background-color: rgba(217, 119, 6, {strength:.2f})"


def _most_shared(shares: NDArray[np.float64], numbers: Sequence[str]) -> tuple[float, str, str]:
    """The largest share between two different regions, and which they are."""
    pairs = [
        (float(shares[a, b]), numbers[a], numbers[b])
        for a in range(len(numbers))
        for b in range(len(numbers))
        if a != b and shares[a, b] == shares[a, b]
    ]
    return max(pairs, default=(0.0, "", ""), key=lambda pair: pair[0])
