"""The command that lists regions, within and across labels."""

from __future__ import annotations

import io
import json
import math
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.cache import Cache
from backend.cli.bundles import column_map, find_bundle
from backend.cli.region_files import read_regions
from backend.cli.report import (
    Report,
    StderrProgress,
    aligned,
    check_target,
    plain,
    taken_out,
    write_file,
)
from backend.core.effects import Effect
from backend.core.errors import InputError
from backend.core.wording import (
    KEPT_ASIDE,
    LEAST_P,
    MEMBERS,
    MULTIPLE,
    P,
    effect_cells,
    effect_names,
    explained_words,
    inner_words,
    p_value,
    verdict,
)
from backend.store import Store
from backend.tasks import complete_options
from backend.tasks.kept import kept_result
from backend.tasks.regions import LISTED, count_shown, known_rows
from backend.tasks.results import fewer_listed

_OF_ALL = ("shift", "reach", "kept_aside")
"""Arrays of a result that are not one row per region."""


def regions(options: Namespace) -> Report:
    """List the regions that the page lists, with what examples kept aside say of each.

    A search that the page or a report made is read where it is kept, and one made here is kept for
    them.
    """
    if options.out is not None:
        check_target(options.out)
    bundle = find_bundle(
        options.bundle,
        home=options.home,
        columns=column_map(options.map),
        layer=options.layer,
    )
    asked = region_options(bundle, options)
    found = kept_result(
        "regions",
        bundle,
        asked,
        progress=StderrProgress(),
        cache=Cache(options.home),
        device=options.device,
    )
    key, meta = found.key, found.meta
    shown = count_shown(meta["regions"], options.regions)
    facts = _named(bundle, key, meta["regions"][:shown], options)
    if options.out is not None:
        write_file(options.out, _file(bundle, key, found.arrays, {**meta, "regions": facts}))
        taken_out(bundle, "the regions of a search", options)
    data = {
        "bundle": bundle.digest,
        "name": bundle.name,
        "layer": bundle.layer,
        "base_loss": meta["base_loss"],
        "n_aside": meta["n_aside"],
        "notes": meta["notes"],
        "options": asked,
        "out": None if options.out is None else str(options.out),
        "regions": facts,
    }
    parts = [
        f"{bundle.name}: {bundle.n:,} examples, mean loss {bundle.base_loss:.4g}; "
        f"{meta['n_aside']:,} kept aside"
    ]
    parts.append(_table(facts) if facts else "No region was found.")
    explained = explained_words([one["explained"] for one in meta["regions"]], shown)
    parts += [f"{explained}."] if explained else []
    fewer = fewer_listed("regions", meta["regions"], options.regions)
    parts += [fewer] if fewer and facts else []
    parts += meta["notes"]
    if options.out is not None:
        parts.append(f"Written to {options.out}.")
    return Report(plain(data), "\n\n".join(parts))


def region_options(bundle: Bundle, options: Namespace) -> dict[str, Any]:
    """Options of the task from those of the command: without any, what the page asks for."""
    if not 1 <= options.regions <= 50:
        raise InputError(f"--regions must be a whole number from 1 to 50: got {options.regions}.")
    if options.groups is not None and options.groups not in bundle.examples:
        known = ", ".join(map(str, bundle.examples.columns))
        raise InputError(
            f"--groups must name a column: got {options.groups!r}. There are: {known}."
        )
    if options.size is not None and not 0 < options.size < 0.5:
        raise InputError(f"--size must be a share above 0 and below 0.5: got {options.size:g}.")
    return complete_options(
        "regions",
        {
            "n_regions": max(LISTED, options.regions),
            "sizes": None if options.size is None else [options.size],
            "views": options.views,
            "groups": options.groups,
            "known": _known(bundle, options),
            "seed": options.seed,
            "layer": options.layer,
        },
    )


def _known(bundle: Bundle, options: Namespace) -> list[list[int]] | None:
    """Rows of the regions that ``--known`` names."""
    if options.known is None:
        return None
    if options.known == "store":
        store = Store(home=options.home)
        try:
            return known_rows(bundle, store.known_regions(bundle))
        finally:
            store.close()
    if not options.known.endswith(".json"):
        members = read_regions(bundle, options.known)["members"]
        return sorted(sorted(rows[rows >= 0].tolist()) for rows in members)
    try:
        listed = json.loads(Path(options.known).read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{options.known} cannot be read as JSON: {str(error)[:120]}") from error
    if not isinstance(listed, list) or not all(isinstance(one, list) and one for one in listed):
        raise InputError(f"{options.known} must hold a list of lists of ids, one for each region.")
    places = [bundle.places([str(name) for name in one]) for one in listed]
    for one, at in zip(listed, places, strict=True):
        if (at < 0).any():
            lost = str(one[int((at < 0).argmax())])[:80]
            raise InputError(f"{options.known} names {lost!r}, which is no id of the bundle.")
    return sorted(sorted(set(at.tolist())) for at in places)


def said_of(fact: Mapping[str, Any]) -> tuple[str, str]:
    """p and the verdict of a region, in words."""
    label = fact["kind"] == "label"
    effect = Effect.from_dict(fact["effect"])
    words = verdict(fact["p"], effect, fact["kind"], bound=fact["bound"], cell=fact["cell"])
    return p_value(fact["p"], None if label else LEAST_P), words


def also_of(fact: Mapping[str, Any]) -> str | None:
    """The worst that a region holds, in words; None where nothing smaller stands out in it."""
    inner = fact.get("also")
    if inner is None:
        return None
    return inner_words(inner["n_members"], Effect.from_dict(inner["effect"]))


def _named(
    bundle: Bundle, key: str, facts: list[dict[str, Any]], options: Namespace
) -> list[dict[str, Any]]:
    """Facts with the names that somebody gave, where somebody did, and the verdict in words."""
    store = Store(home=options.home)
    try:
        given = store.region_names(bundle)
    finally:
        store.close()
    return [
        fact
        | {
            "name": given.get(f"{key}:{at}", fact["name"]),
            "multiple": _finite(Effect.from_dict(fact["effect"]).multiple),
            "verdict": said_of(fact)[1],
        }
        for at, fact in enumerate(facts)
    ]


def _table(facts: list[dict[str, Any]]) -> str:
    effects = [Effect.from_dict(one["effect"]) for one in facts]
    header = ["region", "name", "looked for", MEMBERS, KEPT_ASIDE, *effect_names(effects)]
    rows = []
    for one, effect in zip(facts, effects, strict=True):
        rows.append(
            [
                one["number"],
                one["name"],
                one["scope"],
                one["n_members"],
                effect.n,
                *effect_cells(effect),
                *said_of(one),
                also_of(one),
            ]
        )
    return aligned(rows, [*header, MULTIPLE, P, "verdict", "also"])


def _file(
    bundle: Bundle, key: str, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]
) -> bytes:
    """Arrays of the regions listed, their names, numbers and ids, and all that is said as JSON."""
    facts = meta["regions"]
    cut = {
        name: values if name in _OF_ALL else values[: len(facts)] for name, values in arrays.items()
    }
    sink = io.BytesIO()
    told = {
        **cut,
        "names": np.array([one["name"] for one in facts], dtype=str),
        "numbers": np.array([one["number"] for one in facts], dtype=np.int64),
        "scopes": np.array([one["scope"] for one in facts], dtype=str),
        "ids": bundle.ids,
        "key": np.array(key),
        "meta": np.array(json.dumps(plain(meta), ensure_ascii=False)),
    }
    np.savez(sink, **told)  # type: ignore[arg-type]
    return sink.getvalue()


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
