"""From tags to rows: ``export_flagged``, and the evaluation that replay shares with it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import backend
from backend.core.errors import InputError
from backend.export.manifest import Manifest, manifest_content, read_manifest
from backend.export.regions import region_of
from backend.export.table import column_kinds, to_csv, user_columns
from backend.export.weights import Shape, layer_of, region_weights
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
        ``author`` and ``time`` of whoever tagged first, ``region`` (see
        ``region_label``; empty when the tag was not put on a region), ``weight`` (of the example
        in that region, evaluated in its layer from its shape and the labels it is bound to; empty
        likewise, and when the shape, or for a tag put on by key the result of the search, is not
        in the home folder any more), ``loss``, ``label`` and
        ``prediction`` (class names where the bundle has classes; empty when it has none), then
        the user's own columns. A column of theirs that is called like one of ours gets
        ``_user`` after its name.

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
    return finish(manifest, rows)


def finish(manifest: Manifest, rows: pd.DataFrame) -> Export:
    """The export of these rows; says whether the CSV is the one the manifest knows."""
    csv = to_csv(rows)
    sha256 = hashlib.sha256(csv).hexdigest()
    content = manifest.content | {
        "columns": column_kinds(rows),
        "csv": {"sha256": sha256, "bytes": len(csv), "rows": len(rows)},
    }
    identical = None if manifest.sha256 is None else sha256 == manifest.sha256
    return Export(csv, content, rows, identical)


def flagged_rows(bundle: Any, manifest: Manifest) -> pd.DataFrame:
    """The rows that the events of a manifest leave, evaluated on the bundle."""
    fold = Fold()
    fold.advance(manifest.steps)
    pairs = fold.table()
    pairs = pairs[pairs["tag"].isin(manifest.tags)].reset_index(drop=True)
    place = pd.Index(bundle.examples["id"]).get_indexer(pairs["id"])
    if (place < 0).any():
        unknown = pairs["id"][place < 0]
        raise InputError(
            f"every tagged id must be in bundle '{bundle.name}': {len(unknown)} are not, the first "
            f"is {unknown.iloc[0][:80]!r}. Is it the bundle they were tagged in?"
        )
    order = np.lexsort((place, pd.factorize(pairs["tag"], sort=True)[0]))
    pairs, place = pairs.iloc[order].reset_index(drop=True), place[order]
    own = pd.DataFrame(
        {
            "id": pairs["id"],
            "tag": pairs["tag"],
            "author": pairs["author"],
            "time": pairs["time"],
            "region": _region_names(pairs["source_seq"], manifest, fold.names),
            "weight": _weights(bundle, pairs["source_seq"].to_numpy(), place, manifest),
            "loss": np.asarray(bundle.losses, dtype=np.float64)[place],
            "label": _named(bundle, bundle.labels, bundle.label_names, place),
            "prediction": _named(bundle, bundle.predictions, bundle.prediction_names, place),
        }
    )
    return pd.concat([own, user_columns(bundle.examples, place)], axis=1)


def region_shape(bundle: Any, manifest: Manifest, seq: int) -> Shape | None:
    """The region that event ``seq`` tagged, or in whose gallery it tagged; None for anything else."""
    source = manifest.sources.get(seq)
    return shape_of(bundle, manifest, region_of(source) or source, told=f"event {seq}")


def shape_of(
    bundle: Any, manifest: Manifest, source: dict[str, Any] | None, *, told: str
) -> Shape | None:
    """The region that a source of this manifest describes; None when it describes none."""
    if not source or source.get("center") is None:
        return None
    d = int(bundle.at_layer(layer_of(source, told)).d)
    return Shape.from_source(source, d, told=told, shapes=manifest.shapes)


def region_label(source: dict[str, Any] | None, names: dict[str, str]) -> str:
    """What a region is called: as somebody named it, else as it was described, else its number.

    Numbers count from 1. Examples picked or tagged by key among a region's members carry its name
    too. Empty for what is not a region.
    """
    source = region_of(source)
    if source is None:
        return ""
    key, described, index = source.get("key"), source.get("name"), source.get("index")
    if isinstance(key, str) and key in names:
        return names[key]
    if isinstance(described, str) and described:
        return described
    return str(index + 1) if isinstance(index, int) else ""


def _region_names(seqs: pd.Series, manifest: Manifest, names: dict[str, str]) -> pd.Series:
    labels = {seq: region_label(manifest.sources.get(seq), names) for seq in set(seqs)}
    return seqs.map(labels).astype("str")


def _weights(
    bundle: Any, seqs: NDArray[np.int64], place: NDArray[np.int64], manifest: Manifest
) -> NDArray[np.float64]:
    weights = np.full(len(seqs), np.nan)
    for seq in np.unique(seqs):
        shape = region_shape(bundle, manifest, int(seq))
        if shape is not None:
            held = seqs == seq
            weights[held] = region_weights(bundle, shape, place[held])
    return weights


def _named(bundle: Any, given: Any, names: Any, place: NDArray[np.int64]) -> Any:
    if given is None:
        return pd.Series([None] * len(place), dtype="str")
    if bundle.classes is not None and names is not None:
        return names[place]
    return np.asarray(given)[place]
