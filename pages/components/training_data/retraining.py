"""What retraining bought: accuracy over the number removed, and every recipe beside the others."""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st

from backend.bundle import Bundle
from backend.retraining.factory import SETTING, configured
from backend.retraining.recipes import RECIPES, SEEDS
from backend.retraining.stored import RetrainingResult, results_of, results_stamp
from backend.tasks.retraining import readable_table
from pages.components.shared import allowed, charts, frame, keys, link, palette, services, text
from pages.components.shared.waiting import show_progress

JOB = "_retraining_job"
MEASURES = {"worst": "Worst group", "balanced": "Balanced"}
MEASURES_HELP = (
    "Worst group: the lowest accuracy of a group. Balanced: the mean of the groups' accuracies. Both on the half "
    "of the held-out examples that chose nothing."
)
SYMBOLS = {"d3m": ("circle", "●"), "d3m_trak": ("cross", "✚"), "auto_d3m": ("square", "■"), "random": ("diamond-open", "◇"), "majority": ("triangle-up-open", "△")}  # fmt: skip
HEIGHT = 320
FOLLOW_S = 3.0


def show_retraining(bundle: Bundle) -> None:
    """Results that are kept about this bundle; a way to make them where the server has a problem."""
    _offer(bundle)
    _follow(bundle.digest, results_stamp(bundle.digest))
    found = {one.folder.name: one for one in results_of(bundle.digest)}
    if not found:
        st.info(
            "No network was retrained for this bundle yet. `python -m backend retrain module:factory --bundle "
            f"{bundle.digest[:12]}` trains a small network of yours over {SEEDS} seeds by {len(RECIPES)} recipes, "
            "and keeps what comes out here.",
            icon=":material/model_training:",
        )
        return
    names = list(found)
    chosen: str | None = names[0]
    if len(names) > 1:
        chosen = st.selectbox("Result", names, width=280, **link.bound(keys.TRAINING_RESULT, names))
    result = found[chosen or names[0]]
    _tell(result)
    if len(result.curve):
        offered = list(MEASURES)
        measure = st.segmented_control(
            "The curve shows",
            offered,
            required=True,
            format_func=MEASURES.__getitem__,
            help=MEASURES_HELP,
            **link.bound(keys.TRAINING_MEASURE, offered),
        )
        _show_curve(result, str(measure or offered[0]))
    charts.show_table(
        readable_table(result),
        key="retraining_table",
        config={
            "group labels seen": st.column_config.TextColumn(
                help="Of which examples a recipe has to know the group. Validation is what chooses."
            ),
            "change": st.column_config.TextColumn(
                width=190,
                help="Of the worst group's accuracy against nothing removed, seed by seed.",
            ),
            **{
                one: st.column_config.Column(width="small")
                for one in ("left out", "planted", "seeds")
            },
            "chosen": st.column_config.TextColumn(
                width=190,
                help="What was best for the worst group on the half that chooses, over the seeds.",
            ),
        },
    )
    for name, why in result.facts["skipped"].items():
        st.caption(f"{RECIPES[name].title} is left out: {text.plain(why, limit=200)}.")


@st.fragment(run_every=FOLLOW_S)
def _follow(digest: str, seen: tuple[int, ...]) -> None:
    """Have the page run again when a recipe is finished, here or by the command line."""
    if results_stamp(digest) != seen:
        st.rerun()


def _tell(result: RetrainingResult) -> None:
    facts = result.facts
    planted = ""
    if facts["planted"] is not None:
        planted = (
            f" {text.count(facts['planted'])} of them are planted "
            f"({text.plain(facts['planted_name'])})."
        )
    st.caption(
        f"{text.plain(result.name)}: {text.counted(facts['n_train'], 'training example')}.{planted} For each seed "
        f"{text.count(facts['n_validation'])} held-out examples chose what a recipe leaves open and "
        f"{text.count(facts['n_report'])} others, which had no part, are measured here, in "
        f"{text.counted(len(facts['groups']), 'group')}. Intervals: 95\u00a0% over seeds. What is finished while "
        "you look comes by itself."
    )


def _show_curve(result: RetrainingResult, measure: str) -> None:
    curve = result.curve
    figure = go.Figure()
    told = []
    present = [name for name in SYMBOLS if (curve["recipe"] == name).any()]
    for name, hue in zip(present, (palette.accent(), *palette.HUES[1:]), strict=False):
        own = curve[curve["recipe"] == name]
        symbol, sign = SYMBOLS[name]
        told.append(f"{sign} {RECIPES[name].title}")
        figure.add_scatter(
            x=own["removed"],
            y=own[measure],
            error_y=charts.error_bars(
                own[measure], own[f"{measure}_low"], own[f"{measure}_high"], colour=hue
            ),
            mode="lines+markers",
            line={"color": hue, "dash": "solid" if "d3m" in name else "dot"},
            marker={"symbol": symbol, "size": 9},
            name=RECIPES[name].title,
            hovertemplate=f"{RECIPES[name].title}<br>%{{x:,}} left out: %{{y:.1%}}<extra></extra>",
        )
    figure.update_layout(
        xaxis={"title": "training examples left out", "tickformat": ","},
        yaxis={"title": f"{MEASURES[measure].lower()} accuracy", "tickformat": ".0%"},
    )
    charts.show_chart(
        figure,
        curve.drop(columns="recipe").rename(columns={"title": "recipe", "removed": "left out"}),
        key="retraining_curve",
        alt=f"{MEASURES[measure]} accuracy over the number of training examples left out.",
        height=HEIGHT,
        config=charts.percent_columns(
            "worst", "worst_low", "worst_high", "balanced", "balanced_low", "balanced_high"
        ),
    )
    st.caption(
        " · ".join(told)
        + ". All numbers are measured on the same examples, so the best of a line looks better than it is; the table "
        "has what each recipe chose without them."
    )


def _offer(bundle: Bundle) -> None:
    """A button where this server was given a problem; never a name that is typed here."""
    factory = configured()
    if not factory:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Retrain and compare",
            key="retraining_start",
            icon=":material/model_training:",
            on_click=_ask,
            args=(bundle.digest, factory),
            **allowed.control(
                allowed.ADD,
                bundle.digest,
                help=f"Trains the network of {text.plain(factory)} by every recipe over {SEEDS} seeds, and "
                f"keeps one network of each as a bundle. The server names it ({SETTING}). What is finished "
                "is not trained again.",
            ),
        )
        of, key = st.session_state.get(JOB, ("", ""))
        job = services.job(key) if of == bundle.digest else None
        if job is None or not show_progress(job, what="Retraining", key="retraining"):
            return
        for digest, name in job.result().meta["bundles"]:
            st.page_link(
                "pages/training_data.py",
                label=text.shorten(name, 60),
                icon=":material/open_in_new:",
                width="content",
                query_params={keys.BUNDLE: digest[:12]},
            )


def _ask(digest: str, factory: str) -> None:
    job = services.ask("retraining", digest, of=digest, factory=factory, owner=frame.who().key)
    services.repair_asked(digest, "networks that are trained anew")
    st.session_state[JOB] = (digest, job.key)
