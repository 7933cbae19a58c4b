"""The task that compares regions with what other methods find."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.cache import key_of
from backend.core.arrays import check_choice
from backend.core.effects import Effect
from backend.core.errors import InputError
from backend.core.parts import bundle_aside, group_codes
from backend.core.progress import Progress
from backend.core.wording import (
    DASH,
    KEPT_ASIDE,
    LEAST_P,
    MEMBERS,
    MULTIPLE,
    SHUFFLES,
    P,
    effect_cells,
    effect_names,
    p_value,
)
from backend.describe.naming.bundle import name_all_in_bundle
from backend.tasks.checks import check_count, check_layer, check_number, chosen_layer
from backend.tasks.regions import LISTED, count_shown, region_names, search_regions
from backend.tasks.regions import TASK as REGIONS_TASK
from backend.tasks.results import padded_rows
from backend.tasks.spotlights import TASK as SPOTLIGHTS_TASK
from backend.tasks.spotlights import of_search, untested
from backend.tasks.task import Arrays, Meta, Options, Task, WritePart, completed

if TYPE_CHECKING:
    from backend.bundle import Bundle
    from backend.slices import FoundGroups
    from backend.slices.inputs import Inputs

_OWN_METHODS = ("regions", "spotlights")
_OWN = {"regions": REGIONS_TASK, "spotlights": SPOTLIGHTS_TASK}
HOW = (
    "Every method finds and orders its groups without the examples kept aside, which say what is "
    "printed. Spotlights look at all examples, so what is measured is what the same search finds "
    "without those kept aside. p of regions is that of their search. For other methods each half of "
    "the remaining examples is searched anew, and on the other half a group is compared with the "
    f"best of all groups of its method when losses are shuffled {SHUFFLES} times. Many groups can "
    f"stand at the least p there is ({p_value(LEAST_P)}), so p orders nothing: regions stand as in "
    "their list, spotlights in the order in which the search found them (each the worst that is left "
    "when the earlier ones are taken away), groups of other methods by the mean loss of the examples "
    "that found them."
)
"""How groups are found, measured, tested and ordered in a comparison."""


GEORGE: Options = {"reduction": "pca", "max_k": 10, "overcluster": False}
"""What may be asked of clusters within each class, with defaults; None in options for these."""
MOST_CLUSTERS = 50


def run_methods(
    bundle: Bundle | None,
    options: Options,
    progress: Progress,
    part: WritePart,
    *,
    device: str = "auto",
) -> tuple[Arrays, Meta]:
    """Other ways to find groups, each written as a part when it is done, and one table over all.

    Arrays: ``weights_<method>`` (r, n) float32, ``members_<method>`` (r, max) rows best first,
    padded with -1, and ``overlap`` (g, g) over the groups in the order of ``meta["table"]``. A part
    holds weights and members of one method. Methods that miss a field of the bundle are left out,
    with the reason in ``meta["skipped"]``; when that leaves none, the first reason is raised.

    Every method but spotlights, and those that are defined by the loss, finds and chooses its groups
    without the examples that the bundle keeps aside; these say what is printed of all
    (``backend.slices.compare_groups``). ``regions`` and ``spotlights`` are options of the tasks of
    these names, and ``george`` some of ``GEORGE``; what those find is listed as those list it, numbered and named alike, and
    ``meta["keys"]`` holds the keys of their results.
    """
    from backend.core.device import choose_device
    from backend.slices import compare_groups

    bundle = chosen_layer("methods", bundle, options)
    began = time.perf_counter()
    data = _Data(bundle, options, choose_device(device))
    arrays: Arrays = {}
    results: list[FoundGroups] = []
    told: dict[str, Meta] = {}
    skipped: dict[str, str] = {}
    share = 0.5 / len(options["methods"])
    for done, method in enumerate(options["methods"]):
        started = time.perf_counter()

        def step(fraction: float, message: str, done: int = done) -> None:
            progress(share * (done + fraction), message)

        try:
            found = data.find(method, step)
        except InputError as error:
            skipped[method] = str(error)
            continue
        rows = [found.members(group) for group in range(len(found))]
        made: Arrays = {
            "weights": found.weights.astype(np.float32),
            "members": padded_rows(rows),
        }
        told[method] = {**found.to_dict(), "seconds": time.perf_counter() - started}
        part(made, told[method])
        arrays |= {f"{name}_{method}": values for name, values in made.items()}
        results.append(found)
    if not results:
        raise InputError(next(iter(skipped.values())))
    compared = compare_groups(
        results,
        bundle.losses,
        held_out=options["held_out"],
        kept_aside=data.aside,
        groups=data.groups,
        seed=options["seed"],
        progress=lambda fraction, message: progress(0.5 + 0.5 * fraction, message),
    )
    table = compared.table.astype(object).where(compared.table.notna(), None)
    return {**arrays, "overlap": compared.overlap}, {
        "version": TASK.version,
        "options": options,
        "methods": told,
        "skipped": skipped,
        "table": [
            row | {"effect": None if effect is None else effect.to_dict()}
            for row, effect in zip(table.to_dict("records"), compared.effects, strict=True)
        ],
        "keys": data.keys,
        "base_loss": float(np.mean(bundle.losses)),
        "n_aside": int(data.aside.sum()),
        "seconds": time.perf_counter() - began,
    }


class _Data:
    """What the methods are given: the bundle's fields, its split, and the options of each."""

    def __init__(self, bundle: Bundle, options: Options, device: Any) -> None:
        self.bundle, self.options, self.device = bundle, options, device
        together = (options["regions"] or {}).get("groups")
        self.aside = bundle_aside(bundle, together)
        self.groups = None if together is None else group_codes(bundle, together)
        classified = bundle.label_codes is not None
        self.fields: dict[str, Any] = {
            "labels": bundle.labels if classified else None,
            "predictions": bundle.predictions if bundle.prediction_codes is not None else None,
            "probabilities": bundle.probabilities if classified else None,
            "classes": bundle.class_names if classified else None,
        }
        self.keys: dict[str, str] = {}

    def find(self, method: str, progress: Progress) -> FoundGroups:
        """The groups of one method."""
        from backend.slices import METHODS, find_groups

        if method == "regions":
            return self._regions(progress)
        if method == "spotlights":
            return self._spotlights(progress)
        own: Options = {"size": self.options["size"]} if METHODS[method].takes_size else {}
        if method == "george":
            own |= GEORGE | (self.options["george"] or {})
        return find_groups(
            method,
            self.bundle.embeddings,
            self.bundle.losses,
            **self.fields,
            n_groups=self.options["n_groups"],
            kept_aside=self.aside,
            seed=self.options["seed"],
            progress=progress,
            **own,
        )

    def _regions(self, progress: Progress) -> FoundGroups:
        from backend.spotlight import region_facts
        from backend.tasks.compared import region_groups

        asked = own_options("regions", self.options)
        found = search_regions(self.bundle, asked, device=self.device, progress=progress)
        facts = region_facts(found, self.bundle.losses)
        names = region_names(self.bundle, found.members, facts)
        listed = count_shown(facts, self.options["n_groups"])
        named = [one | {"name": name} for one, name in zip(facts, names, strict=True)]
        self._keep("regions", asked)
        return region_groups(
            found, named[:listed], self._inputs(self.aside), self.options["n_groups"]
        )

    def _spotlights(self, progress: Progress) -> FoundGroups:
        from backend.spotlight.options import SearchOptions
        from backend.tasks.compared import spotlight_groups

        asked = own_options("spotlights", self.options)
        if why := untested(asked):
            raise InputError(why)
        said = SearchOptions(**of_search(asked))
        found = spotlight_groups(self._inputs(None), said, device=self.device, progress=progress)
        names = name_all_in_bundle(
            self.bundle, [found.members(group) for group in range(len(found))]
        )
        self._keep("spotlights", asked)
        return replace(found, names=tuple(f"{at} {name}" for at, name in enumerate(names, 1)))

    def _inputs(self, aside: NDArray[np.bool_] | None) -> Inputs:
        from backend.slices.inputs import check_inputs

        return check_inputs(
            "a comparison",
            self.bundle.embeddings,
            self.bundle.losses,
            **self.fields,
            kept_aside=aside,
        )

    def _keep(self, task: str, asked: Options) -> None:
        self.keys[task] = key_of(task, self.bundle.digest, asked, _OWN[task].version)


def comparison_options(
    task: str, options: Mapping[str, Any], *, size: float, george: Options | None = None
) -> Options:
    """Options that compare what a search of regions or spotlights lists with other methods.

    Parameters
    ----------
    task : {"regions", "spotlights"}
        The search, whose complete ``options`` the comparison takes over.
    size : float
        Of a group, where the search takes none.
    george : dict, optional
        As ``george_options`` gives them.
    """
    asked: Options = {task: dict(options), "seed": options["seed"] % 2**32}
    asked |= {"size": size, "george": george}
    if task == "spotlights":
        asked |= {"n_groups": options["n_spotlights"], "size": options["size"]}
    return asked


def george_options(reduction: str, max_k: int, overcluster: bool) -> Options | None:
    """The option ``george``: None for the defaults, so that one choice has one form."""
    asked = {"reduction": reduction, "max_k": int(max_k), "overcluster": bool(overcluster)}
    return None if asked == GEORGE else asked


def own_options(task: str, options: Options) -> Options:
    """Options of the task ``regions`` or ``spotlights``, complete, in a comparison with these."""
    given = dict(options[task] or {"seed": options["seed"]})
    if task == "regions":
        given["n_regions"] = max(LISTED, options["n_groups"])
    elif options[task] is None:
        given |= {"n_spotlights": options["n_groups"], "size": options["size"]}
    return completed(task, _OWN[task], given | {"layer": options["layer"]})


def comparison_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The rows of a comparison as text, under the names that lists of regions have.

    Columns: method, group, members, kept aside, error rate or loss with its interval, that of the
    others, the multiple, p, verdict, inside (number of the larger group that holds it) and note.
    """
    effects = [None if row["effect"] is None else Effect.from_dict(row["effect"]) for row in rows]
    measured, others = effect_names([one for one in effects if one is not None])
    table = []
    for row, effect in zip(rows, effects, strict=True):
        cells = (DASH, DASH, DASH) if effect is None else effect_cells(effect)
        into = row["folded_into"]
        table.append(
            {
                "method": row["method"],
                "group": row["group"],
                MEMBERS: row["members"],
                KEPT_ASIDE: DASH if effect is None else f"{effect.n:,}",
                measured: cells[0],
                others: cells[1],
                MULTIPLE: cells[2],
                P: p_value(row["p"]),
                "verdict": row["verdict"],
                "inside": "" if into is None else f"#{int(into) + 1}",
                "note": row["note"],
            }
        )
    columns = ["method", "group", MEMBERS, KEPT_ASIDE, measured, others, MULTIPLE, P]
    return pd.DataFrame(table, columns=[*columns, "verdict", "inside", "note"])


def fewer_groups(meta: Mapping[str, Any]) -> dict[str, str]:
    """Method -> why it lists fewer groups than were asked for, where it does."""
    return {name: one["fewer"] for name, one in meta["methods"].items() if one["fewer"]}


def group_source(meta: Mapping[str, Any], method: str) -> dict[str, Any]:
    """What the source of a tag on a group of this comparison says of how it was found.

    ``kept_aside`` says whether the examples kept aside had no part in it, ``groups`` which column
    of near-duplicates stayed on one side; a hypothesis that begins here is tested on them.
    """
    from backend.slices.methods import METHODS

    asked = meta["options"]
    regions = asked["regions"] or {}
    row = METHODS.get(method)
    return {
        "kind": "method",
        "method": method,
        "version": meta["version"],
        "options": meta["methods"][method]["parameters"],
        "kept_aside": method == "regions" or (row is not None and "losses" not in row.sees),
        "groups": regions.get("groups"),
    }


def named_rows(meta: Mapping[str, Any], given: Mapping[str, str]) -> list[dict[str, Any]]:
    """The rows of a comparison, regions and spotlights under the names that somebody gave them.

    ``given`` are those names by key, as ``Store.region_names`` has them.
    """
    place = dict.fromkeys(meta["keys"], 0)
    rows = []
    for row in meta["table"]:
        method = row["method"]
        if method in place:
            number = row["group"].partition(" ")[0]
            name = given.get(f"{meta['keys'][method]}:{place[method]}")
            row = row | ({} if name is None else {"group": f"{number} {name}"})
            place[method] += 1
        rows.append(row)
    return rows


def _check_methods(options: Options) -> None:
    from backend.slices.methods import METHODS

    check_layer(options)
    methods = options["methods"]
    allowed = (*_OWN_METHODS, *METHODS)
    if not isinstance(methods, list | tuple) or not methods:
        raise InputError(
            f"methods must list at least one of {', '.join(allowed)}: got {methods!r}."
        )
    for method in methods:
        check_choice("methods", method, allowed)
    if len(set(methods)) < len(methods):
        raise InputError(f"methods must list each once: got {', '.join(methods)}.")
    if not isinstance(options["held_out"], bool):
        raise InputError(f"held_out must be true or false: got {options['held_out']!r}.")
    check_count("n_groups", options["n_groups"], 1, 50)
    check_count("seed", options["seed"], 0, 2**32 - 1)
    check_number("size", options["size"], above=0)
    _check_george(options["george"])
    for task in _OWN_METHODS:
        if options[task] is not None and not isinstance(options[task], Mapping):
            raise InputError(f"{task} must be options or None: got {options[task]!r}.")
        own_options(task, options)


def _check_george(given: Any) -> None:
    """Refuse what are no options of clusters within each class."""
    from backend.slices.methods import REDUCTIONS

    if given is None:
        return
    if not isinstance(given, Mapping) or not set(given) <= set(GEORGE):
        raise InputError(
            f"george must hold some of {', '.join(GEORGE)}, or be None: got {given!r:.80}."
        )
    asked = GEORGE | dict(given)
    check_choice("reduction", asked["reduction"], REDUCTIONS)
    check_count("max_k", asked["max_k"], 2, MOST_CLUSTERS)
    if not isinstance(asked["overcluster"], bool):
        raise InputError(f"overcluster must be true or false: got {asked['overcluster']!r}.")


TASK = Task(
    "backend.tasks.methods:run_methods",
    version=9,
    defaults={
        "methods": [
            "regions",
            "spotlights",
            "mixture",
            "george",
            "directions",
            "error_clusters",
            "highest_loss",
        ],
        "n_groups": 5,
        "seed": 0,
        "size": 0.02,
        "held_out": True,
        "regions": None,
        "spotlights": None,
        "george": None,
        "layer": "",
    },
    check=_check_methods,
    # A comparison is asked for beside a search, never instead of one.
    lane=lambda options: "background",
)
