"""Rebuild an export from its manifest, next to the same bundle, without fitting anything."""

from __future__ import annotations

import os
from dataclasses import replace as changed
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.bundle.training import training_of
from backend.core.counts import counts_of
from backend.core.errors import BundleError, InputError, StoreError
from backend.core.found import FoundRegion
from backend.core.progress import Progress, ignore_progress
from backend.export.flagged import Export, finish, flagged_rows, shape_of
from backend.export.manifest import Manifest, read_manifest
from backend.export.training import export_again
from backend.store.fold import Fold

_REFIT_OPTIONS: dict[str, tuple[type, ...]] = {
    "size": (int, float),
    "n_spotlights": (int,),
    "solver": (str,),
    "seed": (int,),
    "kernel": (str,),
    "precision": (str,),
    "starts": (int,),
    "prepare": (str,),
    "components": (int, type(None)),
    "mode": (str,),
    "flip": (bool,),
    "barrier_scale": (int, float, type(None)),
    "counts": (str, type(None)),
}
_MOST = {"n_spotlights": 100, "starts": 1000}


def replay(
    manifest: bytes | str | dict[str, Any],
    *,
    home: str | os.PathLike[str] | None = None,
    refit: bool = False,
    progress: Progress = ignore_progress,
) -> Export:
    """The rows that a manifest describes, evaluated on the bundle it names.

    A manifest of tagged training examples gives those. The bundle must have been imported on this machine; it is found by its digest, so its content is
    the same. Events are folded again, weights evaluated from center, precision and kernel, or from
    the exact shape in the manifest, in the layer where the region was found; nothing is fitted and
    no tag store is needed. The columns are those of the CSV that the manifest was written with.

    Parameters
    ----------
    manifest : bytes, str or dict
        Content of the ``.json`` file, or what it parses to.
    home : path, optional
        Home folder with the imported bundle.
    refit : bool
        Fit the regions again as well, with the options in the manifest, and report how their
        members changed. The exported rows stay those of the manifest.
    progress : Progress
        Told while regions are fitted.

    Returns
    -------
    Export
        ``identical`` tells whether the CSV is the one written then, byte by byte. With ``refit``,
        ``membership`` has one row per region: ``region``, ``members`` (its ``round(total weight)``
        heaviest examples, lower row first among equals), ``members_refit``, ``shared``,
        ``jaccard`` (shared over either, in [0, 1]), ``weighted_loss`` and ``weighted_loss_refit``.

    Raises
    ------
    InputError
        If the manifest is not one, or names ids, centers or options that the bundle cannot have.
    StoreError
        If the bundle is not imported here; says how to import it.
    """
    known = read_manifest(manifest)
    bundle = _imported(known, home)
    if known.of:
        training = training_of(bundle)
        if training is None or refit:
            raise InputError(
                "this manifest is about training examples, which nothing is fitted to. Replay it "
                "without refitting."
                if refit
                else f"the manifest is about training examples, of which bundle '{bundle.name}' says "
                "nothing. The manifest was changed."
            )
        return export_again(training, known)
    if int(bundle.n) != known.n or int(bundle.d) != known.d:
        raise InputError(
            f"the manifest must fit its bundle: it says {known.n} x {known.d}, the bundle has "
            f"{bundle.n} x {bundle.d}. The manifest was changed."
        )
    export = finish(known, flagged_rows(bundle, known), bundle)
    if not refit:
        return export
    return changed(export, membership=_refit(bundle, known, progress))


def _imported(manifest: Manifest, home: str | os.PathLike[str] | None) -> Any:
    from backend.bundle import list_bundles, open_bundle

    kept = [info.digest for info in list_bundles(home) if info.content == manifest.digest]
    if not kept:
        raise StoreError(
            f"the bundle of this manifest, '{manifest.name}' ({manifest.digest[:12]}), is not "
            "imported here. Import the same files first: python -m backend import BUNDLE"
        )
    try:
        return open_bundle(kept[0], home)
    except BundleError as error:
        raise StoreError(
            f"the bundle '{manifest.name}' cannot be opened: {error} Delete and import it again."
        ) from error


def _refit(bundle: Any, manifest: Manifest, progress: Progress) -> pd.DataFrame:
    wanted = []
    for source in _region_sources(manifest):
        shape = shape_of(bundle, manifest, source, told="a region")
        if shape is not None:
            wanted.append((source, shape, _fit_options(source)))
    if not wanted:
        raise InputError(
            "this manifest holds no region that can be fitted again: its tags were put on by hand, "
            "or their options were not kept. Replay it without refitting."
        )
    # Fitting needs torch, which nothing else here does.
    from backend.spotlight import find_spotlights

    fold = Fold()
    fold.advance(manifest.steps)
    losses = np.asarray(bundle.losses, dtype=np.float64)
    fits: dict[tuple[str, tuple[tuple[str, Any], ...]], Any] = {}
    rows = []
    for source, shape, options in wanted:
        key = (shape.layer, tuple(sorted(options.items())))
        if key not in fits:
            embeddings = bundle.at_layer(shape.layer).embeddings
            asked = options | {"counts": counts_of(bundle, options.get("counts"))}
            fits[key] = find_spotlights(embeddings, losses, progress=progress, **asked)
        found, index = fits[key], source["index"]
        if not 0 <= index < len(found.weights):
            raise InputError(
                f"the index of a region must be below the {len(found.weights)} regions that its "
                f"options find: got {index}. The manifest was changed."
            )
        before, after = shape.weights_in(bundle), found.weights[index]
        total = float(before.sum())
        counts = counts_of(bundle, options.get("counts"))
        then, now = (_members(w, counts) for w in (before, after))
        rows.append(
            {
                "region": FoundRegion.from_source(source).label(fold.names),
                "members": len(then),
                "members_refit": len(now),
                "shared": len(then & now),
                "jaccard": len(then & now) / max(1, len(then | now)),
                "weighted_loss": float(before @ losses) / total if total > 0 else float("nan"),
                "weighted_loss_refit": float(after @ losses) / float(after.sum()),
            }
        )
    return pd.DataFrame(rows)


def _members(weights: NDArray[np.float64], counts: NDArray[np.float64] | None) -> set[int]:
    from backend.spotlight import members

    total = float(weights.sum() if counts is None else weights @ counts)
    return set(members(weights, total, counts).tolist())


def _region_sources(manifest: Manifest) -> list[dict[str, Any]]:
    """Sources that are spotlights with options, each once, in manifest order."""
    distinct = []
    for source in manifest.sources.values():
        fitted = source.get("kind") == "region" and isinstance(source.get("options"), dict)
        spotlight = source.get("method", "spotlights") == "spotlights"
        if fitted and spotlight and isinstance(source.get("index"), int) and source not in distinct:
            distinct.append(source)
    return distinct


def _fit_options(source: dict[str, Any]) -> dict[str, Any]:
    given = source["options"]
    options: dict[str, Any] = {}
    for name, kinds in _REFIT_OPTIONS.items():
        if name not in given:
            continue
        value = given[name]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise InputError(f"option '{name}' of a region cannot be {str(value)[:40]!r}.")
        if name in _MOST and not 1 <= given[name] <= _MOST[name]:
            raise InputError(f"option '{name}' of a region must be 1 to {_MOST[name]}: {value}.")
        options[name] = value
    return options
