"""The groups a page offers: the regions found so far, the high-loss set, a random sample, a selection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.cache import Entry
from backend.core import wording
from backend.core.errors import HomeError
from backend.core.found import SAMPLED, FoundRegion, exact_shape, one_region
from backend.core.groups import SMALL, Group, sharp_group, weighted_group
from backend.core.home import home_folder
from backend.core.sampling import random_rows
from backend.core.shape import Shape
from backend.describe.naming.bundle import name_all_in_bundle
from backend.difficulty import high_loss
from backend.export import keep_shape
from pages.components.shared import keys, link, palette, services, text
from pages.components.shared.choice import SELECTION, Choice, sampled_key


def region_choices(
    bundle: Bundle, found: list[Any], options: dict[str, Any], job_key: str, method: str
) -> list[Choice]:
    """One choice per region of a finished search, or of the parts a running one has written.

    ``method`` is the task that searched: ``regions`` or ``spotlights``. Everything shown of a region
    is about its members; a spotlight has weights beside them.
    """
    given = services.known().region_names(bundle.digest)
    identities = tuple(f"{job_key}:{index}" for index in range(len(found)))
    names = _names(bundle, identities, found)
    choices: list[Choice] = []
    for index, (part, identity) in enumerate(zip(found, identities, strict=True)):
        sharp = method == "regions"
        group = _region(bundle.digest, job_key, index, sharp, part, bundle.losses)
        exact = exact_shape(part.arrays, part.meta)
        record = FoundRegion.from_result(
            part.arrays,
            part.meta,
            job=job_key,
            index=index,
            method=method,
            options=options | {"layer": bundle.layer},
            name=given.get(identity) or names[index],
            shape="" if exact is None else _name_of_shape(identity, exact),
        )
        outcome = part.meta["outcome"]
        choices.append(
            Choice(
                key=f"region-{index + 1}",
                name=record.name,
                group=group,
                number=str(record.number),
                colour=palette.region_hue(index),
                note="" if outcome["status"] == "converged" else outcome["message"],
                scope=record.scope,
                among=record.labels,
                source=record.to_source(),
            )
        )
    return choices


def sampled_choices(
    bundle: Bundle, first: Entry, options: dict[str, Any], job_key: str
) -> list[Choice]:
    """The regions of a sample, shown until the whole is searched: to be looked at, not to be kept."""
    held = first["members"]
    return [
        Choice(
            key=sampled_key(index),
            name=str(facts["name"]),
            group=_sampled(job_key, index, held[index][held[index] >= 0], bundle.losses),
            number=str(facts["number"]),
            colour=palette.region_hue(index),
            scope=str(facts["scope"]),
            among=tuple(facts["labels"]),
            source={
                "kind": SAMPLED,
                "index": index,
                "number": facts["number"],
                "name": facts["name"],
                "method": "regions",
                "version": first.meta["version"],
                "options": options | {"layer": bundle.layer},
                "sample": first.meta["sample"],
            },
        )
        for index, facts in enumerate(first.meta["regions"])
    ]


@st.cache_resource(show_spinner=False, max_entries=64)
def _sampled(job_key: str, index: int, _rows: NDArray[np.int64], _losses: NDArray[Any]) -> Group:
    return sharp_group("region", _rows, _losses)


@st.cache_resource(show_spinner=False, max_entries=64)
def _names(_bundle: Bundle, identities: tuple[str, ...], _found: list[Any]) -> list[str]:
    """The names the search gave, else those that its members get now: no two alike."""
    if all("name" in part.meta for part in _found):
        return [str(part.meta["name"]) for part in _found]
    return name_all_in_bundle(_bundle, [part["members"] for part in _found])


@dataclass(frozen=True)
class Part:
    """One region, as a running search writes it and a finished one holds it."""

    arrays: Mapping[str, NDArray[Any]]
    meta: Mapping[str, Any]

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.arrays[name]


def parts_of(result: Entry) -> list[Part]:
    """The regions of a finished search."""
    return [
        Part(one_region(result.arrays, index), {**facts, "version": result.meta["version"]})
        for index, facts in enumerate(result.meta["regions"])
    ]


def _name_of_shape(identity: str, shape: Shape) -> str:
    """The name of the shape; empty while it cannot be kept, and then neither can a tag."""
    try:
        return _kept(str(home_folder()), identity, shape)
    except HomeError:
        return ""


@st.cache_resource(show_spinner=False, max_entries=256)
def _kept(home: str, identity: str, _shape: Shape) -> str:
    """The name under which the shape is kept; kept now, because a tag may name it any time."""
    return keep_shape(_shape, home)


@st.cache_resource(show_spinner=False, max_entries=64)
def _region(
    digest: str, job_key: str, index: int, sharp: bool, _part: Any, _losses: NDArray[Any]
) -> Group:
    if sharp:
        return sharp_group("region", _part["members"], _losses)
    return weighted_group("region", _part["members"], _part["weights"], _losses)


def baselines(bundle: Bundle, size: float, *, seed: int) -> list[Choice]:
    """The high-loss set and a random sample, as large as a region: what regions are compared with.

    ``size`` as a search takes it: a share below 1, else a number of examples.
    """
    size = min(bundle.n, max(1, round(size * bundle.n if size < 1 else size)))
    mask = _high_loss(bundle.digest, bundle.losses, 1 - size / bundle.n)
    rows = np.flatnonzero(mask)
    rows = rows[np.argsort(-bundle.losses[rows], kind="stable")]
    sample = random_rows(bundle.n, size, seed=seed)
    return [
        Choice(
            "high-loss",
            "highest losses",
            sharp_group("high loss", rows, bundle.losses),
            {"kind": "high loss", "quantile": 1 - size / bundle.n},
            number="H",
        ),
        Choice(
            "random",
            "random sample",
            sharp_group("random", sample, bundle.losses),
            {"kind": "random", "seed": seed, "size": size},
            number="R",
        ),
    ]


@st.cache_resource(show_spinner=False, max_entries=32)
def _high_loss(digest: str, _losses: NDArray[Any], quantile: float) -> NDArray[np.bool_]:
    return high_loss(_losses, quantile=quantile)


def selection_choice(bundle: Bundle, rows: NDArray[np.int64], said: dict[str, Any]) -> Choice:
    """The selection, highest loss first; ``said`` are the filters and gestures that made it."""
    group = sharp_group("selection", rows, bundle.losses)
    return Choice(SELECTION, "selection", group, {"kind": "selection", **said}, number="S")


def within(
    choices: list[Choice], shown: NDArray[np.bool_], losses: NDArray[Any], rules: list[Any]
) -> list[Choice]:
    """The groups as far as the filters show them; one may be empty then."""
    found = []
    for choice in choices:
        rows = choice.group.rows[shown[choice.group.rows]]
        group = part_of(choice.group, rows, shown, losses)
        source = {**choice.source, "within": rules}
        found.append(replace(choice, group=group, source=source, whole=choice.group.n_members))
    return found


def part_of(
    group: Group, rows: NDArray[np.int64], shown: NDArray[np.bool_], losses: NDArray[Any]
) -> Group:
    """These members of a group, with the weight that the shown examples have in it."""
    weights = np.where(shown, group.weights, 0).astype(np.float32)
    if len(rows) and weights.any():
        return weighted_group(group.kind, rows, weights, losses)
    nothing = float("nan")
    return Group(
        group.kind, rows, weights, len(rows), nothing, nothing, 0.0, 0.0, group.base_loss, nothing
    )


def filtered_choice(bundle: Bundle, shown: NDArray[np.bool_], rules: list[Any]) -> Choice:
    """Everything that the filters show, highest loss first."""
    rows = np.flatnonzero(shown)
    rows = rows[np.argsort(-bundle.losses[rows], kind="stable")]
    group = sharp_group("filtered", rows, bundle.losses)
    return Choice(
        "filtered", "what the filters show", group, {"kind": "filter", "rules": rules}, "F"
    )


def choose_group(
    choices: list[Choice], *, final: bool, verdicts: Mapping[str, str] | None = None
) -> Choice:
    """The list of groups, one line of numbers each; returns the chosen one.

    Until the list is final its choice is kept apart from the address, which may name a region that
    is not found yet.
    """
    by_key = {choice.key: choice for choice in choices}
    hues = "".join(
        f".stApp .st-key-group_list [data-testid=stRadioGroup] > div:nth-child({at})"
        f" {{ border-left-color: {choice.colour}; }}"
        for at, choice in enumerate(choices, start=1)
        if choice.colour
    )
    st.html(f"<style>{hues}</style>")
    with st.container(key="group_list"):
        chosen = st.radio(
            "Groups",
            list(by_key),
            format_func=lambda key: _title(by_key[key]),
            captions=[_caption(choice, (verdicts or {}).get(choice.key)) for choice in choices],
            **link.bound(keys.GROUP, list(by_key), final=final),
            label_visibility="collapsed",
            width="stretch",
        )
    return by_key[chosen or choices[0].key]


def _title(choice: Choice) -> str:
    """Number and name; what regions are compared with says its numbers on the same line."""
    title = f"**{choice.number}**  {text.plain(choice.name, limit=90)}"
    if choice.found:
        return title
    return f"{title} · :gray[{_numbers(choice)}]"


def _numbers(choice: Choice) -> str:
    """How many examples, and their mean loss."""
    group = choice.group
    if choice.whole is not None and choice.whole != group.n_members:
        line = f"{text.count(group.n_members)} of {text.count(choice.whole)} pass the filters"
        return line + (f" · mean loss {text.number(group.member_loss)}" if group.n_members else "")
    words = text.counted(group.n_members, "member")
    if not choice.found:
        words = text.count(group.n_members)
    if len(choice.among) == 1 and choice.among[0] not in choice.name:
        words += f" {text.plain(choice.scope)}"
    return f"{words} · mean loss {text.number(group.member_loss)}"


def _caption(choice: Choice, verdict: str | None) -> str:
    """The numbers of a region: its members and mean loss, then what held-out examples say."""
    if not choice.found:
        return ""
    group = choice.group
    whole = choice.whole in (None, group.n_members)
    if whole and verdict and choice.source.get("method") == "regions":
        return f"{text.counted(group.n_members, 'member')}, {text.plain(verdict, limit=300)}"
    line = _numbers(choice)
    if choice.whole is None and group.weighted_loss <= group.base_loss:
        line += " · not above base"
    if group.small and whole:
        line += f" · small: under {SMALL}"
    if verdict:
        line += f" · {text.plain(verdict, limit=300)}"
    if choice.note:
        line += f" · {text.plain(choice.note, limit=120)}"
    return line


def explain_numbers(method: str) -> None:
    """One word below the list that says over which rows its numbers are taken."""
    names = (wording.MEMBERS, wording.MEAN, wording.HELD_OUT_RATIO)
    if method == "regions":
        names = (wording.MEMBERS, wording.KEPT_ASIDE, wording.MULTIPLE)
    lines = [f"- **{name}**: {wording.MEANS[name]}" for name in names]
    told = "\n".join(lines) + (f"\n\n{wording.HOW}" if method == "regions" else "")
    st.caption("What the numbers mean", help=told, width="content")
