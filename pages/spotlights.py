"""Where does the model fail together? The map, the regions, their members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from backend.bundle import Bundle
from backend.cache import Entry
from backend.tasks.spotlights import untested
from backend.views import Looked
from pages.components.group import groups, tagging
from pages.components.group.panel import show_group
from pages.components.map import mapview
from pages.components.shared import frame, keys, link, services, text
from pages.components.shared.choice import Choice
from pages.components.shared.waiting import RUNNING, follow, show_progress
from pages.components.spotlights import claims, known, methods, search, trust
from pages.components.view import breakdown, differs, selection
from pages.components.view.acting import show_acting_bar

BASELINE_SHARE = 0.02
"""Size of the high-loss set and the random sample where the search takes no size."""


def page() -> None:
    bundle = frame.choose_bundle()
    if bundle is None:
        return
    tags = tagging.tags_of(bundle)
    set_aside = services.known().known_regions(bundle.digest)
    with st.container(horizontal=True, vertical_alignment="center", key="title_bar"):
        st.header(
            "Where does the model fail together?",
            anchor=False,
            width="stretch",
            help="Regions of representation space in which the loss is high, after the spotlights of "
            "d'Eon et al. 2021 (arXiv:2107.00758).",
        )
        method = search.choose_method()
        options = search.options_of(bundle, method, set_aside)
        drawn = mapview.controls(bundle, tags)
    if fault := search.fault_of(bundle, method, options):
        st.warning(text.plain(fault, limit=600), icon=":material/tune:")
        return
    job = services.ask(method, bundle.digest, **options)
    map_place, list_place = st.columns([7, 5])
    done = job.state == "done"  # read once: it may end between two looks
    with list_place:
        result = job.result() if done else None
        parts = job.partial()
        listed = (result or next(iter(parts), None)) if method == search.REGIONS else None
        facts = listed.meta["regions"] if listed else None
        if method == search.REGIONS and listed and not result:
            regions = groups.sampled_choices(bundle, listed, options, job.key)
        else:
            found = groups.parts_of(result) if result else parts
            regions = groups.region_choices(bundle, found, options, job.key, method)
        if result and method == search.REGIONS:
            claims.keep_place(parts, regions)
        regions = claims.first_regions(bundle.digest, regions, facts)
        if not done and show_progress(job, what="Searching regions", key="fit"):
            st.rerun()  # it ended just now, and nothing polls any more
        if listed and not result:
            claims.show_sample(listed, bundle.n, coming=job.state in RUNNING)
    with map_place:
        looked = selection.look(bundle, mapview.layouts(bundle))
    if looked is None:
        return
    choices = offered_groups(bundle, regions, looked, options) if regions or done else []
    with map_place:
        mapview.show_map(
            bundle,
            [choice for choice in choices if choice.colour],
            chosen_before(choices),
            looked,
            tags,
            drawn,
            rested=done,
        )
    if not choices:
        if job.state in RUNNING:
            list_place.skeleton(height=mapview.HEIGHT - 60)
        if method == search.REGIONS:
            with list_place:
                known.show(bundle, set_aside)
        show_acting_bar(bundle, looked)
        if job.state in RUNNING:  # what was below the map a moment ago, and will be again
            st.skeleton(height=mapview.HEIGHT)
        return
    trusted = Trusted(bundle, method, options, result, choices, facts)
    with list_place:
        if done and not regions:
            st.info("No region stands out from the rest: the losses are equal, or too few.")
        choice = groups.choose_group(choices, final=done, verdicts=trusted.verdicts())
        if facts is not None:
            with st.container(key="list_detail"):  # as high for every group: nothing below moves
                claims.show_detail(bundle, choice, facts)
        with st.container(horizontal=True, vertical_alignment="center", key="list_notes"):
            if facts is not None:
                claims.show_explained(facts, len(regions))
            if method == search.SPOTLIGHTS and result is not None and result.meta.get("notes"):
                st.caption(" ".join(text.plain(note, limit=300) for note in result.meta["notes"]))
            if result is not None and regions:
                claims.show_fewer(method, result.meta["regions"])
            if regions:
                groups.explain_numbers(method)
            trusted.follow()
        with st.container(horizontal=True, vertical_alignment="center", key="list_acts"):
            if facts is not None:
                claims.offer_more(bundle.digest, facts, len(regions))
            if choice.found and not choice.sampled:
                tagging.rename_form(bundle, choice)
                if method == search.REGIONS:
                    known.offer(bundle, regions[choice.source["index"]])
        if method == search.REGIONS:
            known.show(bundle, set_aside)
    bar = show_acting_bar(bundle, looked)
    more: dict[str, Any] = {
        "What differs": lambda: differs.show_differs(bundle, choice, looked),
        "Breakdown": lambda: breakdown.show_breakdown(bundle, looked),
    }
    if done:
        more["Is it real?"] = trusted.show
        more["Other methods"] = lambda: methods.show_methods(bundle, options, regions, ours=method)
    show_group(bundle, choice, choices, more=more, bar=bar)
    selection.write_link(bundle)


class Trusted:
    """What is known of whether the regions are real: from the search itself, or from a job after it."""

    def __init__(
        self,
        bundle: Bundle,
        method: str,
        options: dict[str, Any],
        result: Entry | None,
        choices: list[Choice],
        facts: Sequence[claims.Facts] | None,
    ) -> None:
        trust.remember(bundle, method, options)
        self._meta = result.meta if result is not None else None
        self._choices = choices
        self._facts = facts
        self._job = None
        self._untested = untested(options) if method == search.SPOTLIGHTS else ""
        if result is not None and method == search.SPOTLIGHTS and not self._untested:
            self._job = trust.ask(bundle, options)

    def verdicts(self) -> dict[str, str]:
        """Group key -> a few words, as far as they are known."""
        if self._job is not None:
            return trust.verdicts(self._job)
        return claims.verdicts(self._choices, self._facts) if self._facts else {}

    def follow(self) -> None:
        """A line on what is still being checked."""
        if self._job is not None:
            follow(self._job, what="Check whether they are real")

    def show(self) -> None:
        """The numbers behind the verdicts."""
        if self._job is not None:
            trust.show_trust(self._job, self._choices)
        elif self._untested:
            st.info(self._untested)
        elif self._meta is not None:
            claims.show_claims(self._choices, self._meta)


def offered_groups(
    bundle: Bundle, regions: list[Choice], looked: Looked, options: dict[str, Any]
) -> list[Choice]:
    """Regions, what they are compared with, what the filters show and what is selected."""
    size = options.get("size", BASELINE_SHARE)
    choices = regions + groups.baselines(bundle, size, seed=options["seed"])
    said = looked.view.told()
    if looked.filtering:
        choices = groups.within(choices, looked.shown, bundle.losses, said["filters"])
        if looked.shown.any():
            choices.append(groups.filtered_choice(bundle, looked.shown, said["filters"]))
    if len(looked.selected):
        choices.append(groups.selection_choice(bundle, looked.selected, said))
    return choices


def chosen_before(choices: list[Choice]) -> Choice | None:
    """The group that the list will show as chosen, for the map, which is drawn before it."""
    if not choices:
        return None
    by_key = {choice.key: choice for choice in choices}
    return by_key[link.settled(keys.GROUP, list(by_key))]


page()
