"""The region behind the source of a tag, also where examples were tagged one by one in its gallery."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from backend.cache import Cache
from backend.core.found import exact_shape, is_placed, one_region
from backend.export.shapes import keep_shape

ONE_BY_ONE = ("keyboard", "picked")
"""Kinds of source that name the group they were taken from under ``from``."""
MOST_NUMBERS = 4_000_000
"""Numbers of a center and precision that a manifest takes up; a full precision of 2000 dimensions."""

_KEY = re.compile(r"([0-9a-f]{64}):(\d{1,6})")


def region_of(source: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The region that a source is, or whose members were tagged one by one; None for neither."""
    if source and source.get("kind") in ONE_BY_ONE:
        within = source.get("from")
        source = within if isinstance(within, dict) else None
    return dict(source) if source and source.get("kind") == "region" else None


def key_of(source: Mapping[str, Any]) -> str | None:
    """The key under which a region is known; None for whatever is no text."""
    key = source.get("key")
    return key if isinstance(key, str) else None


def completed(
    sources: Iterable[dict[str, Any]],
    known: Iterable[dict[str, Any] | None],
    home: str | os.PathLike[str] | None = None,
) -> list[dict[str, Any]]:
    """Sources in which a region that is only named also says where it lies.

    A tag put on by key names its region without repeating center and precision at every stroke.
    They are taken from a source of the same region that says them, else from the kept result of
    the search that found it; an exact shape in that result is kept in the home folder, and named.
    A region of which neither is there stays as it is.

    Parameters
    ----------
    sources : iterable of dict
        Sources to complete; never changed themselves.
    known : iterable of dict or None
        Further sources of the same bundle.
    home : path, optional
        Home folder with the results of searches.
    """
    sources = list(sources)
    told: dict[Any, dict[str, Any]] = {}
    for source in (*known, *sources):
        region = region_of(source)
        if region is not None and is_placed(region):
            told.setdefault(key_of(region), region)
    cache: Cache | None = None
    complete = []
    for source in sources:
        region = region_of(source)
        if source.get("kind") in ONE_BY_ONE and region and not is_placed(region):
            key = key_of(region)
            found = told.get(key)
            if found is None and "options" in region and key and _KEY.fullmatch(key):
                cache = cache or Cache(home)
                found = _from_result(cache, region, home)
            if found is not None:
                source = {**source, "from": {**found, **region}}
        complete.append(source)
    return complete


def _from_result(
    cache: Cache, region: dict[str, Any], home: str | os.PathLike[str] | None
) -> dict[str, Any] | None:
    """Where a region lies, out of the result it was found in."""
    match = _KEY.fullmatch(region["key"])
    entry = cache.read(match[1]) if match else None
    if match is None or entry is None or not {"centers", "precisions"} <= set(entry.arrays):
        return None
    index = int(match[2])
    if index >= len(entry["centers"]):
        return None
    part = one_region(entry.arrays, index)
    told = entry.meta.get("regions", [])
    facts = told[index] if index < len(told) else {}
    kind = facts.get("kind", "ball")
    found: dict[str, Any] = {"labels": list(facts.get("labels", []))}
    if kind == "ball":
        if part["center"].size + part["precision"].size > MOST_NUMBERS:
            return None
        found |= {name: part[name].astype(float).tolist() for name in ("center", "precision")}
    else:
        found["region_kind"] = kind
    exact = exact_shape(part, facts)
    if exact is not None:
        found["shape"] = keep_shape(exact, home)
    if kind == "direction":
        found["cut"] = float(part["cut"])
    return found
