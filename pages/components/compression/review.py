"""The review: one example at a time, PIE or random and nobody says which; noisy, atypical or ordinary?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.populations import PopulationPair, review_order, review_summary
from backend.populations.review import ANSWERS
from pages.components.group import judging, tagging
from pages.components.shared import charts, frame, palette, services, text

MEANINGS = {
    "noisy": "Mislabelled, badly corrupted, or several objects: one label cannot be right.",
    "atypical": "A fair example that is unusual: an odd angle, a rare variant, a fine distinction.",
    "unsure": "It cannot be said.",
    "ordinary": "A usual example of its label: nothing is wrong with it.",
}
SEED = 1  # not the sample that stands beside the PIEs in the gallery


def show_review(bundle: Bundle, held: PopulationPair) -> None:
    """The next example and four answers by key; the result when it is asked for."""
    if not held.mask.any():
        st.info("No example differs between the two populations: there is nothing to review.")
        return
    answers = answers_of(bundle, held)
    rows = order_of(held, bundle.digest)
    done = {answer["id"] for answer in answers if answer["author_key"] == frame.who().key}
    left = [int(row) for row in rows if bundle.ids[row] not in done]
    st.progress(
        1 - len(left) / len(rows),
        text=f"{text.count(len(rows) - len(left))} of {text.count(len(rows))} reviewed by "
        f"{text.plain(frame.author(), limit=30)}: {held.word} and random other examples, mixed",
    )
    if not left:
        st.info("You have reviewed every example.", icon=":material/check:")
    else:
        show_one(bundle, held, judging.fresh(bundle, left)[0])
    tagging.show_notice()
    if st.toggle(
        "Show what was answered so far",
        key="review_result",
        help="Off while you review: watching the numbers move tells you which kind you just saw.",
    ):
        show_result(answers)


@st.cache_resource(show_spinner=False, max_entries=16)
def _order(digest: str, packed: bytes, n: int) -> NDArray[np.int64]:
    mask = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), count=n).astype(bool)
    return review_order(mask, seed=SEED)


def order_of(held: PopulationPair, digest: str) -> NDArray[np.int64]:
    return _order(digest, np.packbits(held.mask).tobytes(), len(held.mask))


def show_one(bundle: Bundle, held: PopulationPair, row: int) -> None:
    """One example with its true label; nothing of what any model said."""
    picture, words = st.columns([5, 7], gap="large")
    with picture:
        judging.show_example(bundle, row, key="review_item")
    with words:
        st.text(str(bundle.ids[row]))
        if held.ensemble.labels is not None:
            name = held.ensemble.names[held.ensemble.labels[row]]
            st.markdown(f"labelled **{text.plain(name)}**")
        of = "pie" if held.mask[row] else "random"
        judging.show_answers(
            bundle, row, MEANINGS, {**held.source(), "kind": "review", "of": of}, key="review"
        )
        st.caption(
            "Noisy and atypical are Hooker et al. 2019, arXiv:1911.05248; ordinary is our addition: "
            "random examples are mostly that."
        )


def answers_of(bundle: Bundle, held: PopulationPair) -> list[dict[str, Any]]:
    """Answers in force for this pair of populations, one per person and example: the last."""
    tags = tagging.tags_of(bundle)
    standing = set(zip(tags["id"], tags["tag"], strict=True))
    wanted = held.source()
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for event in reversed(services.known().events(bundle.digest, kind="tag")):
        source = event.source or {}
        same = all(
            source.get(name) == wanted[name] for name in ("selection", "baseline", "compressed")
        )
        if event.undone or source.get("kind") != "review" or not same or event.tag not in ANSWERS:
            continue
        for example in event.ids:
            if (example, event.tag) in standing:
                found[(event.author_key, example)] = {
                    "id": example,
                    "author": event.author,
                    "author_key": event.author_key,
                    "answer": event.tag,
                    "of": source.get("of"),
                }
    return list(found.values())


def show_result(answers: list[dict[str, Any]]) -> None:
    """Share of each answer among PIEs beside random examples."""
    if not answers:
        st.caption("Nothing is answered yet for these two populations.")
        return
    table = review_summary((str(one["of"]), str(one["answer"])) for one in answers)
    sizes = table.drop_duplicates("kind").set_index("kind")["n"]
    st.markdown(
        f"**Answers: ● PIE (n {text.count(int(sizes['pie']))}) beside ○ random "
        f"(n {text.count(int(sizes['random']))})**"
    )
    charts.show_chart(
        result_figure(table), table, key="review_chart", height=220,
        alt="Share of each answer among PIE and random examples.",
        config=charts.percent_columns("share", "low", "high"),
    )  # fmt: skip
    st.caption(
        "Lines are Wilson 95\u00a0% intervals. Answers of several people to one example all count."
    )


def result_figure(table: pd.DataFrame) -> go.Figure:
    figure = go.Figure()
    for kind, symbol, shift, colour in (
        ("pie", "circle", -0.15, palette.accent()),
        ("random", "circle-open", 0.15, palette.text_colour()),
    ):
        rows = table[table["kind"] == kind]
        value, low, high = (100 * rows[name].to_numpy() for name in ("share", "low", "high"))
        figure.add_scatter(
            x=value,
            y=np.arange(len(rows)) + shift,
            mode="markers",
            marker={"symbol": symbol, "size": 11, "color": colour, "line": {"width": 2}},
            error_x=charts.error_bars(value, low, high, colour=colour),
            customdata=rows[["count", "n"]].to_numpy(),
            hovertemplate=f"{kind}: %{{x:.0f}}\u00a0%, %{{customdata[0]}} of %{{customdata[1]}}<extra></extra>",
        )
    figure.update_layout(
        xaxis={"title": "% of the reviewed", "range": [-2, 102], "zeroline": False},
        yaxis=charts.rows_axis(list(ANSWERS)),
    )
    return figure
