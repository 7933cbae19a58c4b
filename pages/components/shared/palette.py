"""Colours: grey for structure, amber for what is active, Okabe and Ito's hues for kinds."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

ASSETS = Path(__file__).parents[3] / "assets" / "components"

# Okabe, Ito: Color Universal Design, 2008. Black is left out: it is the text colour.
HUES = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#D55E00", "#0072B2", "#F0E442")
# Ten hues at most on one chart; what comes after is "other".
MORE_HUES = (*HUES, "#8C6BB1", "#7F7F7F", "#66A61E")

_theme = st.components.v2.component(
    "errorscope_theme",
    html='<span class="probe"></span>',
    css=".probe { color: var(--st-background-color); transition: color 1ms; }",
    js=(ASSETS / "theme.js").read_text(encoding="utf-8"),
)


def follow_theme() -> None:
    """Have the page run again when the reader's theme changes; call it once."""
    with st.container(key="theme"):
        _theme(
            key="theme_told",
            data={"dark": is_dark()},
            default={"dark": None},
            on_dark_change=lambda: None,
        )


def is_dark() -> bool:
    """Whether the reader's theme is dark."""
    return st.context.theme.type == "dark"


def context_colour() -> str:
    """Points that are there but not meant."""
    return "#5c6168" if is_dark() else "#c2c4c6"


def accent() -> str:
    """The spotlight: what is selected or active."""
    return "#f2a93b" if is_dark() else "#9a5b00"


def text_colour() -> str:
    return "#e6e6e3" if is_dark() else "#1d1f21"


def paper_colour() -> str:
    return "#15171a" if is_dark() else "#ffffff"


def loss_scale() -> str:
    """A perceptually even scale whose high end stands out from the page."""
    return "Cividis" if is_dark() else "Cividis_r"


def region_hue(index: int) -> str:
    return HUES[index % len(HUES)]
