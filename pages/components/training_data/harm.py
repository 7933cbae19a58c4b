"""The training examples at both ends of a ranking, and the examples on which each acts most."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.bundle.training import Training
from backend.cache import Entry
from backend.core.bars import count_bars
from pages.components.gallery import gallery
from pages.components.shared import charts, palette, text
from pages.components.training_data.questions import TrainingQuestion
from pages.components.training_data.tagged import score_notes, show_bar, source_of, tagged_tiles

SHOWN = 24
"""Examples of each end."""
ENDS = {
    "harmful": ("Most harmful", "Without them the group would do better, the scores say."),
    "helpful": ("Most helpful", "Without them the group would do worse, the scores say."),
}
BARS = 60
NOTHING_TO_SEE = (
    "The bundle holds no pictures or texts of its training examples, so they stand here by id and label. "
    "`train/images` or `train/text` shows them (`collect(..., train_images=, train_texts=)`)."
)


def show_ends(bundle: Bundle, training: Training, result: Entry, asked: TrainingQuestion) -> None:
    """Both galleries with the bar to tag from them, and the examples that a picked one acts on."""
    bar = st.container()
    source = source_of(asked)
    order = result["shown"]
    harmful = order[:SHOWN]
    helpful = order[::-1][:SHOWN]
    picked: list[tuple[str, int]] = []
    for place, (end, rows) in zip(
        st.columns(2, gap="medium"),
        (("harmful", harmful), ("helpful", helpful)),
        strict=True,
    ):
        title, help = ENDS[end]
        with place:
            st.subheader(title, anchor=False, help=help)
            notes = score_notes(result["scores"], rows)
            found = tagged_tiles(
                bundle,
                training,
                rows,
                key=f"training_{end}",
                label=title,
                notes=notes,
                source=source,
            )
            picked += [(end, row) for row in found]
    with bar:
        show_bar(training, [row for _, row in picked], source)
    if not training.has_pictures and training.texts is None:
        st.caption(NOTHING_TO_SEE)
    if not picked:
        st.caption(
            "Pick training examples to tag them, and to see the examples on which the last one acts most; "
            "digits tag the one in focus, ? lists all keys."
        )
        return
    end, row = picked[-1]
    at = int(np.flatnonzero(order == row)[0])
    score = float(result["scores"][row])
    direction = "lowers" if score < 0 else "raises"
    st.markdown(
        f"**{text.plain(training.ids[row])}** (score {text.number(score)}) {direction} the margin "
        "of these most:"
    )
    gallery.tiles(
        bundle,
        result["acted_on"][at],
        label=f"acted on by {training.ids[row]}",
        key="gallery_acted_on",
    )


def show_scores(scores: NDArray[np.float64]) -> None:
    """How the scores are spread, with the line between harm and help."""
    parts = {"harm": scores < 0, "help": scores >= 0}
    bars = count_bars(scores, parts, most=BARS, whole=False)
    figure = go.Figure()
    for name, colour in (("harm", palette.accent()), ("help", palette.context_colour())):
        figure.add_bar(
            x=bars.middles,
            y=bars.counts[name],
            width=bars.widths,
            marker={"color": colour, "line": {"width": 0}},
            hovertemplate="score %{x:.3g}<br>%{y} training examples<extra></extra>",
        )
    figure.add_vline(x=0, line={"dash": "dot", "color": palette.text_colour()})
    for word, anchor, shift in (("← harm", "right", -4), ("help →", "left", 4)):
        figure.add_annotation(
            x=0, y=1, yref="paper", text=word, showarrow=False, xanchor=anchor, xshift=shift
        )
    figure.update_layout(
        barmode="stack",
        bargap=0,
        xaxis={"title": "score"},
        yaxis={"title": "training examples, log scale", "type": "log", "dtick": 1},
    )
    n = int(parts["harm"].nonzero()[0].size)
    charts.show_chart(
        figure,
        bars.table(),
        key="training_scores",
        alt=f"Histogram of scores of {len(scores)} training examples; {n} are below 0.",
        height=230,
    )
