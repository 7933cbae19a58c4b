"""Which training examples cause it? Scores of the training set, by what it does to a group."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from backend.attribution.agreement import LEAST
from backend.bundle import Bundle
from backend.bundle.training import Training
from backend.cache import Entry
from backend.core.errors import BackendError
from backend.tasks.attribution import METHODS, attributable
from backend.tasks.chapters import agreement_words, mostly_chance
from pages.components.group import tagging
from pages.components.shared import chapters, frame, keys, populations, services, text, waiting
from pages.components.training_data.groups import (
    chosen_split,
    show_extremes,
    show_groups,
    show_subpopulations,
)
from pages.components.training_data.harm import show_ends, show_scores
from pages.components.training_data.questions import TrainingQuestion, choose_question
from pages.components.training_data.removal import show_removal
from pages.components.training_data.retraining import show_retraining
from pages.components.training_data.tagged import show_tagged
from pages.components.training_data.unfitted import show_unfitted

NEEDS = (
    "This bundle says nothing of the examples its model was trained on. It needs `train/embeddings` and "
    "`train/labels` (`collect(..., train=loader)` writes them), and `train/images` or `train/text` to show them (`train_images=`, "
    "`train_texts=`); "
    "or gradients of the model, `attribution/train_features`, `attribution/target_features` and "
    "`attribution/train_residuals` (`collect(..., train=loader, attribution=k)`); or ready scores, `attribution`."
)


def page() -> None:
    bundle = frame.choose_bundle()
    if bundle is None:
        return
    st.header(
        "Which training examples cause it?",
        anchor=False,
        help="A score says what a training example does to the margin of other examples, the logarithm of the odds "
        "of their true class: above 0 it raises it, below 0 it lowers it. Scores are forecasts of what "
        "retraining without an example would do.",
    )
    bundle = bundle.at_layer("")
    held = attributable(bundle)
    if not held.methods or held.training is None:
        populations.show_empty(NEEDS, key="training_data", demos=("marked", "fashion"))
        return
    try:
        asked = choose_question(bundle, held)
        if asked is None:
            return
        job = services.ask("attribution", bundle.digest, **asked.options)
        if waiting.show_progress(job, what="Scoring the training examples", key="attribution"):
            chapters.remember(bundle, "cause", options=asked.options, about=asked.name)
            show_found(bundle, held.training, job.result(), asked)
    except BackendError as error:
        st.error(text.plain(error, limit=600))


def show_found(bundle: Bundle, training: Training, result: Entry, asked: TrainingQuestion) -> None:
    left, right = st.columns([6, 6], gap="medium")
    with left:
        show_scores(result["scores"])
    with right:
        tell(result, asked)
    agreement = result.meta["agreement"] or {}
    correlation = agreement.get("correlation")
    noise = mostly_chance(result.meta)
    parts: dict[str, Callable[[], None]] = {
        "Examples": lambda: (
            show_noise(correlation) if noise else show_ends(bundle, training, result, asked)
        ),
        "Subpopulations": lambda: subpopulations_tab(training, result),
        "Removal": lambda: show_removal(bundle, training, result, asked, chosen_split(training)),
        **({} if asked.kind == "rows" else {"Groups": lambda: show_groups(result)}),
        **(
            {}
            if training.losses is None
            else {"Highest loss": lambda: show_unfitted(bundle, training)}
        ),
        "Tagged": lambda: show_tagged(bundle, training, result["scores"], asked),
        "Retraining": lambda: show_retraining(bundle),
    }
    if asked.kind == "pseudo":
        parts = {
            "Both ends": lambda: show_extremes(
                bundle, result, str(st.session_state.get(keys.TRAINING_CLASS, ""))
            ),
            **parts,
        }
    tabs = st.tabs(list(parts), key=keys.TRAINING_PART, on_change="rerun", bind="query-params")
    for tab, show in zip(tabs, parts.values(), strict=True):
        if tab.open:  # only what is looked at is computed
            with tab:
                show()
    tagging.follow_others(training)


def tell(result: Entry, asked: TrainingQuestion) -> None:
    """What the scores are about, how they were made and whether they repeat."""
    groups = result.meta["groups"]
    about = f"**{text.plain(asked.name, limit=160)}**"
    if asked.kind == "rows":
        [group] = groups
        right = "" if group["accuracy"] is None else f", accuracy {text.percent(group['accuracy'])}"
        about += f" · {text.counted(group['n'], 'example')}, mean loss {text.number(group['loss'])}{right}"
    else:
        about += f" · {text.counted(len(groups), 'group')}, the worst counting most"
    st.markdown(about)
    st.markdown(text.plain(agreement_words(result.meta), limit=400))
    st.caption(
        f"**{METHODS[result.meta['method']]}**. "
        + " ".join(text.plain(one, limit=300) for one in result.meta["how"])
    )
    for note in result.meta["notes"]:
        st.caption(f":material/info: {text.plain(note, limit=300)}")


def show_noise(correlation: float | None) -> None:
    """Why no examples are shown."""
    st.warning(
        f"Two projections agree to {text.number(correlation)} only, below {LEAST:g}: which examples come first is "
        "mostly chance, so none are shown. Store more checkpoints or more dimensions, or use the last layer.",
        icon=":material/blur_on:",
    )


def subpopulations_tab(training: Training, result: Entry) -> None:
    st.caption("Mean score of the training examples of each kind, the most harmful first.")
    show_subpopulations(training, result)


page()
