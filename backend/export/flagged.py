"""From tags to rows: ``export_flagged``, and the evaluation that replay shares with it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import backend
from backend.core.errors import InputError
from backend.core.found import FoundRegion, is_placed
from backend.core.parts import bundle_aside
from backend.core.shape import Shape
from backend.export.manifest import Manifest, manifest_content, read_manifest
from backend.export.regions import region_of
from backend.export.table import (
    ASIDE,
    SHARPENED,
    column_kinds,
    free_names,
    own_columns,
    to_csv,
    user_columns,
)
from backend.sharpen.record import KIND, Record, evaluate
from backend.store import Store
from backend.store.fold import Fold


@dataclass(frozen=True)
class Export:
    """Flagged examples, ready to be taken away.

    Attributes
    ----------
    csv : bytes
        The file; ``read_export`` reads it back.
    manifest : dict
        What rebuilds it next to the same bundle; ``manifest_json`` is the file.
    rows : DataFrame
        The same rows unescaped, with numbers as numbers.
    identical : bool or None
        After a replay, whether the CSV is the very file that the manifest was written with, byte by
        byte; None for a new export.
    membership : DataFrame or None
        After a replay with ``refit``, how the regions changed; see ``replay``.
    """

    csv: bytes = field(repr=False)
    manifest: dict[str, Any] = field(repr=False)
    rows: pd.DataFrame
    identical: bool | None = None
    membership: pd.DataFrame | None = None

    @property
    def manifest_json(self) -> bytes:
        """The manifest as a file."""
        return json.dumps(self.manifest, ensure_ascii=False, separators=(",", ":")).encode()


def export_flagged(
    bundle: Any,
    store: Store,
    *,
    tags: Sequence[str] | None = None,
    home: str | os.PathLike[str] | None = None,
) -> Export:
    """The tagged examples of a bundle as CSV, with the manifest that rebuilds it.

    Parameters
    ----------
    bundle : Bundle
    store : Store
    tags : sequence of str, optional
        The tags wanted; all by default.
    home : path, optional
        Home folder with the shapes of regions; that of the bundle by default.

    Returns
    -------
    Export
        One row per (id, tag), ordered by tag, then by the bundle's rows. Columns: ``id``, ``tag``,
        ``author`` and ``time`` of whoever tagged first, ``region`` (number and name of the region
        the tag was put on, ``FoundRegion.label``; empty when it was put on none), ``weight`` (of
        the example in that region, evaluated in its layer from its shape and the labels it is
        bound to; empty likewise, and when the shape, or for a tag put on by key the result of the
        search, is not in the home folder any more), ``kept_aside`` (whether the example is among
        those that a search for regions of this bundle keeps aside, with the groups of that
        search), where a tag is of a group sharpened by answers ``score`` (of its ranking, higher first,
        to 4 digits) and ``answer`` (``yes``, ``no``, ``skipped``, ``tied``, or empty), ``loss``,
        ``label`` and ``prediction`` (class names where the bundle has classes;
        empty when it has none), then the user's own columns. A column of theirs that is called
        like one of ours gets ``_user`` after its name.

    Raises
    ------
    InputError
        If nothing is tagged, a wanted tag does not exist, or a tagged id is not in the bundle.
    """
    if isinstance(tags, str):
        raise InputError(f"tags must be a list of tags: got the single text {tags!r}.")
    bundle = bundle.at_layer("")
    if home is None and bundle.path is not None:
        home = bundle.path.parents[1]
    events = store.events(bundle.digest)
    known = sorted({str(event.tag) for event in events if event.kind == "tag" and not event.undone})
    if not known:
        raise InputError(f"nothing is tagged in bundle '{bundle.name}'. Tag some examples first.")
    for tag in tags or ():
        if tag not in known:
            raise InputError(f"there is no tag {tag!r}. The tags are: {', '.join(known)}.")
    content = manifest_content(bundle, events, list(tags or known), backend.__version__, home)
    manifest = read_manifest(content, complete=False)
    rows = flagged_rows(bundle, manifest)
    if rows.empty:
        raise InputError(
            f"nothing carries {', '.join(map(repr, manifest.tags))} in bundle '{bundle.name}' any "
            "more. Tag some examples first."
        )
    return finish(manifest, rows, bundle)


def finish(manifest: Manifest, rows: pd.DataFrame, bundle: Any) -> Export:
    """The export of these rows; says whether the CSV is the one the manifest knows.

    Cells leave as they came into the bundle, where it knows that from numbers.
    """
    written = written_cells(bundle, bundle.places(rows["id"]), manifest.columns)
    return packed(manifest, rows, written)


def packed(
    manifest: Manifest,
    rows: pd.DataFrame,
    written: Mapping[str, NDArray[Any]] = MappingProxyType({}),
) -> Export:
    """Rows as a file, with ``written`` cells as they came, and its sum in the manifest."""
    csv = to_csv(rows, written)
    sha256 = hashlib.sha256(csv).hexdigest()
    content = manifest.content | {
        "columns": column_kinds(rows),
        "csv": {"sha256": sha256, "bytes": len(csv), "rows": len(rows)},
    }
    identical = None if manifest.sha256 is None else sha256 == manifest.sha256
    return Export(csv, content, rows, identical)


def written_cells(
    bundle: Any, rows: NDArray[np.int64], taken: Sequence[str]
) -> dict[str, NDArray[Any]]:
    """Cells of these rows as they came, by the names that columns have beside those taken."""
    named = free_names(own_columns(bundle.examples), taken)
    called = {f"examples/{name}": new for name, new in named.items()}
    for name in ("labels", "predictions"):
        if bundle.classes is None:
            called[name] = name.removesuffix("s")
    return {called[key]: text[rows] for key, text in bundle.written.items() if key in called}


def kept_pairs(
    manifest: Manifest,
    places: Callable[[pd.Series], NDArray[np.int64]],
    told: str,
    fold: Fold | None = None,
) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """The pairs of id and tag that a manifest leaves, by tag, then by row; and the row of each.

    Raises
    ------
    InputError
        If ``places`` knows no row of one of them.
    """
    if fold is None:
        fold = Fold()
        fold.advance(manifest.steps)
    pairs = fold.table()
    pairs = pairs[pairs["tag"].isin(manifest.tags)].reset_index(drop=True)
    place = places(pairs["id"])
    if (place < 0).any():
        unknown = pairs["id"][place < 0]
        raise InputError(
            f"every tagged id must be in {told}: {len(unknown)} are not, the first "
            f"is {unknown.iloc[0][:80]!r}. Is it the bundle they were tagged in?"
        )
    order = np.lexsort((place, pd.factorize(pairs["tag"], sort=True)[0]))
    return pairs.iloc[order].reset_index(drop=True), place[order]


def flagged_rows(bundle: Any, manifest: Manifest) -> pd.DataFrame:
    """The rows that the events of a manifest leave, evaluated on the bundle."""
    fold = Fold()
    fold.advance(manifest.steps)
    index = pd.Index(bundle.examples["id"])
    pairs, place = kept_pairs(manifest, index.get_indexer, f"bundle '{bundle.name}'", fold)
    own = pd.DataFrame(
        {
            "id": pairs["id"],
            "tag": pairs["tag"],
            "author": pairs["author"],
            "time": pairs["time"],
            **_of_regions(bundle, pairs["source_seq"].to_numpy(), place, manifest, fold.names),
            **_of_answers(bundle, pairs["source_seq"].to_numpy(), place, manifest),
            "loss": np.asarray(bundle.losses, dtype=np.float64)[place],
            "label": named_values(bundle, bundle.labels, bundle.label_names, place),
            "prediction": named_values(bundle, bundle.predictions, bundle.prediction_names, place),
        }
    )
    theirs = user_columns(bundle.examples, place, taken=manifest.columns)
    return pd.concat([own[list(manifest.columns)], theirs], axis=1)


def shape_of(
    bundle: Any, manifest: Manifest, source: dict[str, Any] | None, *, told: str
) -> Shape | None:
    """Where the region of a source of this manifest lies; None when the source does not say it."""
    if not source or not is_placed(source):
        return None
    record = FoundRegion.from_source(source, told=told)
    d = int(bundle.at_layer(record.layer).d)
    return record.place(d, told=told, shapes=manifest.shapes)


def _of_regions(
    bundle: Any,
    seqs: NDArray[np.int64],
    place: NDArray[np.int64],
    manifest: Manifest,
    names: Mapping[str, str],
) -> dict[str, Any]:
    """The columns that follow from the regions that the rows were tagged on, or in the gallery of."""
    called = np.full(len(seqs), "", dtype=object)
    weights = np.full(len(seqs), np.nan)
    aside = np.zeros(len(seqs), dtype=bool)
    # Events of one source share it: a thousand strokes in a gallery are evaluated together.
    held: dict[int, list[int]] = {}
    for seq in np.unique(seqs).tolist():
        held.setdefault(id(manifest.sources.get(seq)), []).append(seq)
    splits: dict[str | None, NDArray[np.bool_]] = {}
    for shared in held.values():
        rows = np.isin(seqs, shared)
        source, told = manifest.sources.get(shared[0]), f"event {shared[0]}"
        region = region_of(source)
        groups = None
        if region is not None:
            record = FoundRegion.from_source(region, told=told)
            called[rows] = record.label(names)
            groups = record.groups
        shape = shape_of(bundle, manifest, region or source, told=told)
        if shape is not None:
            weights[rows] = shape.weights_in(bundle, place[rows])
        if ASIDE in manifest.columns:
            if groups not in splits:
                splits[groups] = bundle_aside(bundle, groups)
            aside[rows] = splits[groups][place[rows]]
    return {"region": pd.Series(called, dtype="str"), "weight": weights, ASIDE: aside}


def _of_answers(
    bundle: Any, seqs: NDArray[np.int64], place: NDArray[np.int64], manifest: Manifest
) -> dict[str, Any]:
    """The columns of rows that were tagged as part of a group sharpened by answers."""
    if SHARPENED[0] not in manifest.columns:
        return {}
    scores, words = np.full(len(seqs), np.nan), np.full(len(seqs), "", dtype=object)
    for seq in np.unique(seqs).tolist():
        source = manifest.sources.get(seq)
        if not source or source.get("kind") != KIND:
            continue
        record = Record.from_source(source, told=f"the sharpened group of event {seq}")
        found, told = evaluate(record, bundle)
        for at in np.flatnonzero(seqs == seq):
            # Rounded: it is ranked again on replay, where a processor may differ in the last bits.
            scores[at] = float(f"{found.scores[place[at]]:.4g}")
            words[at] = told.word(int(place[at]))
    return dict(zip(SHARPENED, (scores, pd.Series(words, dtype="str")), strict=True))


def named_values(bundle: Any, given: Any, names: Any, place: NDArray[np.int64]) -> Any:
    if given is None:
        return pd.Series([None] * len(place), dtype="str")
    if bundle.classes is not None and names is not None:
        return names[place]
    return np.asarray(given)[place]
