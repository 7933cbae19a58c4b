"""What would a cheap repair buy? The last layer refitted with more weight on one group."""

from __future__ import annotations

from typing import Any

import streamlit as st

from backend.bundle import Bundle
from backend.cache import Entry
from backend.core.errors import BackendError
from backend.core.groups import sharp_group
from backend.repair.gain import SEEDS, STRENGTHS
from backend.repair.head import STRENGTH
from backend.tasks.repair import (
    VARIATIONS,
    changed_rows,
    debug_bundles,
    has_training_part,
    repair_needs,
)
from pages.components.group import mend
from pages.components.group.panel import show_group
from pages.components.repair import gained, linked
from pages.components.repair.choose import IN_WORDS, MAKE, REPAIR, GroupAsked, choose
from pages.components.repair.make import show_make
from pages.components.repair.words import show_in_words
from pages.components.shared import chapters, frame, keys, link, populations, services, text
from pages.components.shared.choice import Choice
from pages.components.shared.waiting import show_progress

CLASSES = "classes"
ITSELF = "group"
COUNTS = {ITSELF: "the group itself", VARIATIONS: "Gaussian variations of the group"}
VIEWS = {"group": "The group", "repaired": "Repaired", "broken": "What got worse"}


def page() -> None:
    mend.arrived()
    bundle = frame.choose_bundle()
    if bundle is None:
        return
    st.header(
        "What would a cheap repair buy?",
        anchor=False,
        help="Refits the last layer on frozen features with more weight on a group (Chegini, Feizi 2023, "
        "arXiv:2312.05464, section 5) and measures it on examples that had no part in it, beside a plain "
        "refit, random rows and a balanced set. Your model is not touched.",
    )
    why = repair_needs(bundle)
    if why:
        populations.show_empty(why, key="repair", demos=("fashion",))
        return
    linked.show_origin(bundle)
    parts = {REPAIR: show_repair, IN_WORDS: show_in_words, MAKE: show_make}
    tabs = st.tabs(list(parts), key=keys.REPAIR_PART, on_change="rerun", bind="query-params")
    for tab, show in zip(tabs, parts.values(), strict=True):
        if tab.open:
            with tab:
                try:
                    show(bundle)
                except BackendError as error:
                    st.error(text.plain(error, limit=600))


def show_repair(bundle: Bundle) -> None:
    left, right = st.columns([5, 7], gap="medium")
    with left:
        asked = choose(
            bundle,
            label="What is to count more",
            help="Examples of this group get more weight when the last layer is refitted. Nothing is "
            "generated and no label changes.",
        )
        if asked is None:
            return
        show_asked(bundle, asked)
        strength = st.select_slider(
            "How much of its mean loss is added",
            STRENGTHS,
            STRENGTH,
            format_func=lambda one: f"×{one:g}",
            key=keys.REPAIR_STRENGTH,
            help="The paper's lambda: the mean loss of what counts more is added to the mean loss of all, "
            "times this. All of them are tried at once.",
        )
        options = asked.options | settings(bundle)
    job = services.ask("repair", bundle.digest, **options)
    with right:
        if not show_progress(job, what="Refitting the last layer", key="repair"):
            return
        about = counting(options, asked.choice.name)
        chapters.remember(bundle, "repair", options=options, about=about, strength=strength)
        gained.show_sweep(job.result(), strength, counting(options))
    with left:
        gained.show_verdict(job.result(), strength, counting(options))
    worst = str(options["worst_of"] or CLASSES)
    gained.show_arms(job.result(), strength, worst, counting(options))
    if not options.get("debug"):
        linked.offer(bundle, asked, strength, train=bool(options.get("train")))
    choice, choices = looked_at(bundle, asked, job.result(), strength)
    if choice is not None:
        show_group(bundle, choice, choices)


def counting(options: dict[str, Any], group: str = "the group") -> str:
    """What counts more, in words for one thing."""
    if not options.get("debug"):
        return group
    if options["debug"] == VARIATIONS:
        return f"the set of variations of {group}"
    return f"“{text.shorten(services.names_of_bundles()[options['debug']], 40)}”"


def show_asked(bundle: Bundle, asked: GroupAsked) -> None:
    group = asked.choice.group
    st.markdown(
        f"**{text.plain(asked.choice.name, limit=120)}** · {text.counted(group.n_members, 'example')} · "
        f"mean loss {text.number(group.member_loss)} ({text.times(group.ratio)} base)"
    )


def settings(bundle: Bundle) -> dict[str, Any]:
    """What else can be asked for: the training part, and whose worst group is told."""
    options: dict[str, Any] = {"worst_of": None}
    with st.popover("Settings", icon=":material/tune:"):
        others = debug_bundles(bundle, services.bundles())
        counts = [ITSELF, VARIATIONS, *(digest[:12] for digest in others)]
        named = {digest[:12]: name for digest, name in others.items()}
        what = st.selectbox(
            "What counts more",
            counts,
            format_func=lambda one: COUNTS.get(one) or f"bundle {text.shorten(named[one], 60)}",
            **link.bound(keys.REPAIR_COUNTS, counts),
            help="The group's own examples of the half that refits; points drawn around them in "
            "representation space, which are no pictures and nobody can look at; or examples of another "
            "bundle, made here (*Make examples*) or elsewhere and imported with embeddings of the same "
            "layer and with labels. With these, only examples kept aside measure.",
        )
        if what == VARIATIONS:
            options["debug"] = VARIATIONS
        elif what != ITSELF:
            options["debug"] = next(one for one in others if one[:12] == what)
        columns = [CLASSES, *populations.columns_of(bundle).usable]
        worst = st.selectbox("Worst group of", columns, **link.bound(keys.REPAIR_WORST, columns))
        if worst != CLASSES:
            options["worst_of"] = worst
        if has_training_part(bundle):
            options["train"] = st.toggle(
                "Refit on the training part",
                value=True,
                key=keys.REPAIR_TRAIN,
                help="The training examples refit, with the group's examples of one half beside them. "
                "Without it one half of these examples refits alone.",
            )
        st.caption(f"{SEEDS} splits: in each, half of the examples measures.")
    return options


def looked_at(
    bundle: Bundle, asked: GroupAsked, result: Entry, strength: float
) -> tuple[Choice | None, list[Choice]]:
    """The group, or the examples that come out otherwise than after a plain refit."""
    changed = changed_rows(result, strength)
    choices = {"group": asked.choice}
    for name, rows in changed.items():
        if len(rows):
            group = sharp_group(name, rows, bundle.losses)
            source = {"kind": name, "strength": strength, "from": asked.choice.source}
            choices[name] = Choice(name, VIEWS[name].lower(), group, source)
    shown = st.segmented_control(
        "Look at",
        list(VIEWS),
        required=True,
        format_func=lambda one: (
            f"{VIEWS[one]} · {text.count(choices[one].group.n_members if one in choices else 0)}"
        ),
        **link.bound(keys.REPAIR_VIEW, list(VIEWS)),
        help="Repaired and worse beside the plain refit, in most splits that measured an example.",
    )
    chosen = choices.get(shown or "group")
    if chosen is None:
        st.info("No example: in most splits all come out as after the plain refit.")
    return chosen, list(choices.values())


page()
