"""The report as one HTML file that runs nothing and fetches nothing.

Everything a bundle or a person wrote goes through the template's escaping, and into text only:
never into a link, a style or an attribute that means something. A Content-Security-Policy without
any script source stands behind that.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from backend.core.wording import PERCENT, effect_cells, effect_names, effect_words, span
from backend.describe.words import SMOOTHING
from backend.report.contents import ReportContents
from backend.report.picture import HEIGHT, WIDTH, data_uri, hue, map_picture, place

POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)


def render_report(contents: ReportContents) -> bytes:
    """The report as UTF-8 HTML."""
    page = _environment().get_template("report.html")
    bundle = contents.bundle
    groups = [region.group.rows for region in contents.regions]
    effects = [region.effect for region in contents.regions if region.effect]
    figure = labels = None
    if contents.xy is not None:
        figure = data_uri(map_picture(contents.xy, groups))
        spots = place(contents.xy)
        labels = [
            (region.number, *np.median(spots[region.group.rows], axis=0).round(1).tolist())
            for region in contents.regions
            if len(region.group.rows)
        ]
    return page.render(
        c=contents,
        bundle=bundle,
        policy=POLICY,
        figure=figure,
        labels=labels,
        width=WIDTH,
        height=HEIGHT,
        measured=effect_names(effects) if effects else None,
        alphas=bool(contents.assessed or any(region.claim for region in contents.regions)),
    ).encode()


def number(value: Any) -> str:
    """Three significant digits, thousands separated; a dash for what is undefined."""
    if value is None or (isinstance(value, float | np.floating) and not np.isfinite(value)):
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    if isinstance(value, float | np.floating):
        plain = float(value)
        return f"{plain:,.0f}" if abs(plain) >= 1000 else f"{plain:.3g}"
    return clean(value)


def percent(value: Any) -> str:
    """A fraction as percent with three significant digits."""
    return "–" if value is None or not np.isfinite(value) else f"{100 * value:.3g}{PERCENT}"


def interval(low: Any, high: Any) -> str:
    """A range as ``wording.span`` writes it; a dash where it is undefined."""
    if low is None or high is None or not (np.isfinite(low) and np.isfinite(high)):
        return "–"
    return span(number(low), number(high))


def clean(value: Any) -> str:
    """Text without what would steer the page: control signs and direction overrides."""
    return "".join(
        " " if sign in "\n\t\r" else "\N{REPLACEMENT CHARACTER}" if _steers(sign) else sign
        for sign in str(value)
    )


def _steers(sign: str) -> bool:
    return (
        unicodedata.category(sign) in ("Cc", "Cs")
        or sign in "\u202a\u202b\u202d\u202e\u2066\u2067\u2068"
    )


def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "number": number,
        "percent": percent,
        "clean": clean,
        "data_uri": data_uri,
    }
    made.globals |= {
        "interval": interval,
        "hue": hue,
        "effect_cells": effect_cells,
        "effect_words": effect_words,
        "smoothing": SMOOTHING,
    }
    return made
