"""The candidates of the long tails one by one, least confident first: noisy, atypical or unsure?"""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.difficulty import LongTails
from pages.components.group import judging, tagging
from pages.components.shared import charts, frame, palette, services, text, twin

MEANINGS = {
    "noisy": "Mislabelled, badly corrupted, or several objects: one label cannot be right.",
    "atypical": "A fair example that is unusual: an odd angle, a rare variant, a fine distinction.",
    "unsure": "It cannot be said.",
}


def show_review(bundle: Bundle, tails: LongTails, rows: NDArray[Any]) -> None:
    """The next of these rows that this person has not answered, with its own curve."""
    counts = services.known().tag_counts(bundle.digest)
    done = answered(bundle)
    left = [int(row) for row in rows if str(bundle.ids[row]) not in done]
    st.markdown(
        f"**Review** · {text.count(len(rows) - len(left))} of {text.count(len(rows))} answered by "
        f"{text.plain(frame.author(), limit=30)} · "
        + ", ".join(f"{name} {text.count(counts.get(name, 0))}" for name in MEANINGS)
    )
    if not left:
        st.info("Nothing is left to review here.", icon=":material/check:")
        tagging.show_notice()
        return
    row = judging.fresh(bundle, left)[0]
    picture, words = st.columns([5, 7], gap="large")
    with picture:
        judging.show_example(bundle, row, key="tails_item")
    with words:
        st.text(str(bundle.ids[row]))
        if bundle.label_names is not None:
            st.markdown(f"labelled **{text.plain(bundle.label_names[row])}**")
        show_curve(bundle, tails, row)
        source = {"kind": "long tails", "of": tails.reference, "epoch": tails.epoch}
        judging.show_answers(bundle, row, MEANINGS, source, key="tails")
    tagging.show_notice()


def answered(bundle: Bundle) -> set[str]:
    """Ids that this person has reviewed here, with an answer that still stands."""
    tags = tagging.tags_of(bundle)
    standing = set(zip(tags["id"], tags["tag"], strict=True))
    who = frame.who().key
    return {
        example
        for event in services.known().events(bundle.digest, kind="tag")
        if not event.undone
        and event.author_key == who
        and (event.source or {}).get("kind") == "long tails"
        for example in event.ids
        if (example, event.tag) in standing
    }


def show_curve(bundle: Bundle, tails: LongTails, row: int) -> None:
    """The confidence in the label of one example, epoch by epoch."""
    figure = go.Figure()
    for place, variant in enumerate(tails.variants):
        figure.add_scatter(
            y=bundle.msp[variant][row], mode="lines", x0=1,
            line={"color": palette.region_hue(place)},
            hovertemplate=f"{text.chart(variant)}<br>epoch %{{x}}: %{{y:.3f}}<extra></extra>",
        )  # fmt: skip
    figure.update_layout(
        height=130, margin={"l": 0, "r": 0, "t": 4, "b": 0}, showlegend=False,
        xaxis={"title": "epoch"}, yaxis={"title": "confidence", "range": [0, 1.02]},
    )  # fmt: skip
    charts.ink(figure)
    st.plotly_chart(
        figure, key="tails_curve", config={"displaylogo": False, "displayModeBar": False},
        alt="Confidence in the label of this example per epoch.",
    )  # fmt: skip
    curves = {variant: bundle.msp[variant][row] for variant in tails.variants}
    epochs = range(1, 1 + len(next(iter(curves.values()))))
    twin.show_twin(pd.DataFrame({"epoch": epochs, **curves}), key="tails_curve")
