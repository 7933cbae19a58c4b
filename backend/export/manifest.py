"""The manifest: everything beside the bundle that the exported rows follow from.

A JSON object of format ``errorscope-export``, version 1::

    {"format": "errorscope-export", "version": 1, "errorscope": "0.1.0", "created": "...Z",
     "bundle":  {"digest": "...", "name": "...", "n": 10000, "d": 64},
     "tags":    ["coat-like shirts"],
     "sources": [{"kind": "region", "index": 0, "key": "...", "number": 1, "name": "...",
                  "center": [...], "precision": ..., "kernel": "gaussian", "options": {...},
                  "weighted_loss": ..., "layer": "", "shape": "<sha256>", "labels": ["Shirt"]},
                 {"kind": "region", "region_kind": "direction", "number": 2, "cut": 1.25,
                  "shape": "<sha256>", "labels": ["Bag"], ...}],
     "shapes":  {"<sha256>": "<base64>"},
     "events":  [{"seq": 1, "author": "Ada", "author_key": "ada", "time": "...Z", "kind": "tag",
                  "tag": "coat-like shirts", "ids": [...], "source": 0},
                 {"seq": 2, "author": "Ada", "author_key": "ada", "time": "...Z",
                  "kind": "rename_region", "key": "...", "name": "shirts"}],
     "hypotheses": [{"key": "...", "author": "Ada", "time": "...Z", "sentence": "...",
                     "rule": "label = \\"Shirt\\"", "source": null, "verdict": {...}}],
     "columns": [{"name": "id", "kind": "text"}, ...],
     "csv":     {"sha256": "...", "bytes": 123, "rows": 212}}

``events`` are those in force, oldest first: changes that were taken back are left out, and so are
other tags. ``author_key`` tells people of one name apart. ``source`` counts into ``sources`` (one entry per distinct source), or is null.
Method, options, seed and method version stand in each source, since tags may come from several.
A source of kind ``region`` is the record of one (``backend.core.found``), a ball unless
``region_kind`` says otherwise. ``shapes``, where there are any, are the exact shapes that sources
name, each once (``backend.export.shapes``); center and precision of such a source are a round
stand-in. ``labels`` are those that the region is bound to, ``layer`` the layer it was found in. A
source of kind ``keyboard`` or ``picked`` holds the region in whose gallery the examples were tagged
in ``from``, completed with where it lies as far as that is known (``backend.export.regions``).
A source of kind ``sharpened`` (``backend.sharpen.record``) holds every answer with its author, time
and the chance with which the example was drawn, the examples and the source of the group it started
from, layer, seed, cut, and the versions that made the ranking: its scores are ranked again on replay.
``columns`` are those of the CSV. One from before examples were kept aside has no ``kept_aside``,
and is replayed without it.
One of tagged training examples says ``"of": "training"``; its bundle has no ``d``, ``n`` counts the training
examples, and there are no hypotheses.
``hypotheses`` are all cards of the bundle, whatever their tags, for people and other programs, with
their verdicts in the words of today: replay carries them along and reads nothing from them.
Manifests without them are read too.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from backend.core.errors import BackendError, InputError
from backend.core.shape import Shape
from backend.export.regions import completed, key_of, region_of
from backend.export.shapes import packed_shapes, read_shapes
from backend.export.table import OLD_COLUMNS, OWN_COLUMNS, SHARPENED_COLUMNS, TRAINING_COLUMNS
from backend.rules.cards import card_now
from backend.sharpen.record import KIND
from backend.store import Event, clean_author, clean_tag
from backend.store.fold import Step
from backend.store.log import clean_ids, clean_name, pack_payload

FORMAT = "errorscope-export"
VERSION = 1
TRAINING = "training"
"""What a manifest of tagged training examples says under ``of``."""
MAX_BYTES = 2**29
"""A manifest of a million tagged ids takes some 20 MB; more than 512 MB is not one."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")


@dataclass(frozen=True)
class Manifest:
    """A manifest whose every part has been checked.

    Attributes
    ----------
    digest, name : str
        The bundle it belongs to.
    n, d : int
        Its rows and dimensions; of training examples their number, and 0.
    tags : tuple of str
        The tags exported.
    steps : tuple of Step
        The changes in force, oldest first.
    sources : dict
        ``seq`` of a change -> where its examples came from; only changes that say it.
    sha256 : str or None
        Of the CSV that was written with it; None while that is being written.
    content : dict
        The JSON object itself.
    columns : tuple of str
        Our columns of the CSV; the user's follow.
    shapes : dict of {name: Shape}
        Exact shapes of regions.
    of : str
        "training" where training examples are tagged, else "".
    """

    digest: str
    name: str
    n: int
    d: int
    tags: tuple[str, ...]
    steps: tuple[Step, ...]
    sources: dict[int, dict[str, Any]]
    sha256: str | None
    content: dict[str, Any]
    columns: tuple[str, ...] = OWN_COLUMNS
    shapes: Mapping[str, Shape] = field(default_factory=dict, repr=False)
    of: str = ""


def manifest_content(
    bundle: Any,
    events: Iterable[Event],
    tags: Sequence[str],
    version: str,
    home: str | os.PathLike[str] | None = None,
    *,
    of: str = "",
) -> dict[str, Any]:
    """The manifest of these tags, without ``columns`` and ``csv``; ``events`` newest first.

    Shapes are taken from the home folder. With ``of`` the bundle is a ``Training``.
    """
    sources: dict[str, int] = {}
    kept, keys = [], set()
    events = list(events)
    live = [event for event in events if not event.undone]
    for event in reversed(live):
        if event.kind not in ("tag", "untag") or event.tag not in tags:
            continue
        place = None
        if event.source is not None:
            place = sources.setdefault(pack_payload(event.source), len(sources))
            keys.add(key_of(region_of(event.source) or event.source))
        said = {"kind": event.kind, "tag": event.tag, "ids": list(event.ids), "source": place}
        kept.append(_signed(event) | said)
    for event in reversed(live):
        if event.kind == "rename_region" and event.payload.get("key") in keys:
            said = {"key": event.payload["key"], "name": event.payload["name"]}
            kept.append(_signed(event) | {"kind": event.kind} | said)
    told = completed(map(json.loads, sources), (event.source for event in events), home)
    shapes = packed_shapes(((region_of(one) or one).get("shape") for one in told), home)
    return {
        "format": FORMAT,
        "version": VERSION,
        "errorscope": version,
        "created": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        **({"of": of} if of else {}),
        "bundle": {
            "digest": bundle.content,
            "name": bundle.name,
            "n": int(bundle.n),
            **({} if of else {"d": int(bundle.d)}),
        },
        "tags": sorted(tags),
        "sources": told,
        **({"shapes": shapes} if shapes else {}),
        "events": sorted(kept, key=lambda event: event["seq"]),
        "hypotheses": _cards(live),
    }


def _cards(live: Sequence[Event]) -> list[dict[str, Any]]:
    """The hypotheses that stand, the first written first; ``live`` events newest first."""
    cards: dict[str, dict[str, Any]] = {}
    sources: dict[str, list[dict[str, Any] | None]] = {}
    for event in live:
        if event.kind == "tag" and event.tag is not None:
            sources.setdefault(event.tag, []).append(event.source)
    for event in reversed(live):
        if event.kind != "hypothesis":
            continue
        key, card = event.payload["key"], event.payload["card"]
        if card is None:
            cards.pop(key, None)
        else:
            told = card_now(card, lambda tag: sources.get(tag, ()))
            cards[key] = {**told, "key": key, "author": event.author, "time": event.time}
    return list(cards.values())


def read_manifest(data: bytes | str | dict[str, Any], *, complete: bool = True) -> Manifest:
    """Check a manifest that may come from anybody.

    Parameters
    ----------
    data : bytes, str or dict
        The JSON text, or what it parses to.
    complete : bool
        Whether the sum of the CSV must be there.

    Raises
    ------
    InputError
        If it is not JSON, not an export manifest, of a later version, or any part has the wrong
        type or value; the part is named.
    """
    content = data if isinstance(data, dict) else _parse(data)
    if content.get("format") != FORMAT:
        raise InputError(
            f"the manifest must have format '{FORMAT}': got {str(content.get('format'))[:60]!r}. "
            "Take the .json file that was exported together with the CSV."
        )
    if content.get("version") != VERSION:
        raise InputError(
            f"the manifest must have version {VERSION}: got {str(content.get('version'))[:20]!r}. "
            "Install the Errorscope version that wrote it."
        )
    bundle = _take(content, "bundle", dict)
    digest = _take(bundle, "digest", str, "bundle.")
    if not _DIGEST.fullmatch(digest):
        raise InputError("bundle.digest of the manifest must be 64 hexadecimal digits.")
    of = content.get("of", "")
    if of not in ("", TRAINING):
        raise InputError(
            f"'of' of the manifest must be '{TRAINING}' or left out: {str(of)[:40]!r}."
        )
    sources = _take(content, "sources", list)
    for place, source in enumerate(sources):
        if not isinstance(source, dict):
            raise InputError(f"sources[{place}] of the manifest must be an object.")
    if "hypotheses" in content:
        for place, card in enumerate(_take(content, "hypotheses", list)):
            if not isinstance(card, dict) or not isinstance(card.get("sentence"), str):
                raise InputError(
                    f"hypotheses[{place}] of the manifest must be an object with a 'sentence'."
                )
    tags = tuple(_named(clean_tag, tag, "tags") for tag in _take(content, "tags", list))
    steps, places = _steps(_take(content, "events", list), len(sources))
    sha256 = None
    if complete:
        sha256 = _take(_take(content, "csv", dict), "sha256", str, "csv.")
        if not _DIGEST.fullmatch(sha256):
            raise InputError("csv.sha256 of the manifest must be 64 hexadecimal digits.")
    return Manifest(
        digest,
        _take(bundle, "name", str, "bundle."),
        _take(bundle, "n", int, "bundle."),
        0 if of else _take(bundle, "d", int, "bundle."),
        tags,
        tuple(steps),
        {seq: sources[place] for seq, place in places.items()},
        sha256,
        content,
        _columns(content, of) if complete else _own_columns(sources, of),
        read_shapes(content.get("shapes", {})),
        of,
    )


def _own_columns(sources: list[dict[str, Any]], of: str) -> tuple[str, ...]:
    """Our columns of a new CSV."""
    if of:
        return TRAINING_COLUMNS
    sharpened = any(source.get("kind") == KIND for source in sources)
    return SHARPENED_COLUMNS if sharpened else OWN_COLUMNS


def _columns(content: dict[str, Any], of: str) -> tuple[str, ...]:
    """Our columns of the CSV that was written with a manifest."""
    kinds = (TRAINING_COLUMNS,) if of else (SHARPENED_COLUMNS, OWN_COLUMNS, OLD_COLUMNS)
    given = content.get("columns", [{"name": name} for name in kinds[-1]])
    listed = given if isinstance(given, list) else []
    names = [one.get("name") if isinstance(one, dict) else None for one in listed]
    for ours in kinds:
        if tuple(names[: len(ours)]) == ours:
            return ours
    raise InputError(
        f"'columns' of the manifest must begin with {', '.join(kinds[-1])}: got {str(given)[:60]}."
    )


def _signed(event: Event) -> dict[str, Any]:
    return {
        "seq": event.seq,
        "author": event.author,
        "author_key": event.author_key,
        "time": event.time,
    }


def _parse(data: bytes | str) -> dict[str, Any]:
    if len(data) > MAX_BYTES:
        raise InputError(
            f"the manifest must be smaller than {MAX_BYTES:,} bytes: got {len(data):,}."
        )
    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
        content = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the manifest is not a JSON file: {str(error)[:200]}.") from error
    if not isinstance(content, dict):
        raise InputError(f"the manifest must be an object: got a {type(content).__name__}.")
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number of JSON")


def _take(part: dict[str, Any], name: str, kind: type, path: str = "") -> Any:
    if name not in part:
        raise InputError(f"the manifest must have '{path}{name}': it is missing.")
    value = part[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InputError(
            f"'{path}{name}' of the manifest must be of type {kind.__name__}: "
            f"got {type(value).__name__}."
        )
    return value


def _named(check: Any, value: Any, where: str) -> Any:
    try:
        return check(value)
    except BackendError as error:
        raise InputError(f"{where} of the manifest: {error}") from error


def _steps(events: list[Any], n_sources: int) -> tuple[list[Step], dict[int, int]]:
    steps: list[Step] = []
    places: dict[int, int] = {}
    for number, event in enumerate(events):
        path = f"events[{number}]."
        if not isinstance(event, dict):
            raise InputError(f"events[{number}] of the manifest must be an object.")
        seq = _take(event, "seq", int, path)
        if not (steps[-1].seq if steps else 0) < seq < 2**62:
            raise InputError(f"'{path}seq' of the manifest must grow from event to event: {seq}.")
        time = _take(event, "time", str, path)
        if not _TIME.fullmatch(time):
            raise InputError(f"'{path}time' of the manifest must look like 2026-11-22T16:00:50Z.")
        author = _named(clean_author, _take(event, "author", str, path), f"{path}author")
        kind = _take(event, "kind", str, path)
        if kind == "rename_region":
            key, name = _take(event, "key", str, path), _take(event, "name", str, path)
            if name:
                name = _named(lambda text: clean_name("a name", text), name, f"{path}name")
            steps.append(Step(seq, author, time, kind, key=key, name=name))
            continue
        if kind not in ("tag", "untag"):
            raise InputError(
                f"'{path}kind' of the manifest must be 'tag', 'untag' or 'rename_region': "
                f"got {kind[:40]!r}."
            )
        tag = _named(clean_tag, _take(event, "tag", str, path), f"{path}tag")
        ids = _named(clean_ids, _take(event, "ids", list, path), f"{path}ids")
        steps.append(Step(seq, author, time, kind, tag, None, tuple(ids)))
        if event.get("source") is not None:
            place = _take(event, "source", int, path)
            if not 0 <= place < n_sources:
                raise InputError(f"'{path}source' of the manifest must count into sources.")
            places[seq] = place
    return steps, places
