"""Tagged training examples as CSV with the manifest that rebuilds it, as those of a bundle are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

import backend
from backend.bundle.training import Training
from backend.core.errors import InputError
from backend.export.flagged import Export, kept_pairs, packed
from backend.export.manifest import TRAINING, Manifest, manifest_content, read_manifest
from backend.export.table import TRAINING_COLUMNS, free_names
from backend.store import Store


def export_training(
    training: Training, store: Store, *, tags: Sequence[str] | None = None
) -> Export:
    """The tagged training examples of a bundle as CSV, with the manifest that rebuilds it.

    Parameters
    ----------
    training : Training
    store : Store
        Holds their tags under ``training.digest``.
    tags : sequence of str, optional
        The tags wanted; all by default.

    Returns
    -------
    Export
        One row per (id, tag), ordered by tag, then by row of the training set. Columns: ``id``,
        ``tag``, ``author`` and ``time`` (of the last time it was put on), ``row`` (counts from 0 as
        the training set was given), ``label``, ``prediction`` and ``text`` (empty where there are
        none), then the columns of the training set. Cells are as in ``export_flagged``.

    Raises
    ------
    InputError
        If nothing is tagged, a wanted tag does not exist, or a tagged id is none of the training set.
    """
    if isinstance(tags, str):
        raise InputError(f"tags must be a list of tags: got the single text {tags!r}.")
    known = sorted(set(store.tags(training.digest)["tag"]))
    if not known:
        raise InputError("no training example is tagged. Tag some first.")
    for tag in tags or ():
        if tag not in known:
            raise InputError(f"there is no tag {tag!r}. The tags are: {', '.join(known)}.")
    events = store.events(training.digest)
    content = manifest_content(
        training, events, list(tags or known), backend.__version__, of=TRAINING
    )
    return export_again(training, read_manifest(content, complete=False))


def export_again(training: Training, manifest: Manifest) -> Export:
    """The rows that the events of a manifest leave, and whether the file is the one it knows.

    Raises
    ------
    InputError
        If the manifest counts other training examples, or names ids that are none of them.
    """
    if training.n != manifest.n:
        raise InputError(
            f"the manifest must fit its bundle: it says {manifest.n} training examples, the bundle "
            f"has {training.n}. The manifest was changed."
        )
    return packed(manifest, _rows(training, manifest))


def _rows(training: Training, manifest: Manifest) -> pd.DataFrame:
    told = f"the training set of bundle '{training.name}'"
    pairs, rows = kept_pairs(manifest, training.places, told)
    own: dict[str, Any] = {name: pairs[name] for name in TRAINING_COLUMNS[:4]} | {"row": rows}
    names = np.asarray(training.class_names or (), dtype=object)
    for name, codes in (
        ("label", training.label_codes),
        ("prediction", training.prediction_codes),
    ):
        own[name] = np.full(len(rows), "") if codes is None else names[codes[rows]]
    own["text"] = np.full(len(rows), "") if training.texts is None else training.texts[rows]
    called = free_names(training.columns, TRAINING_COLUMNS)
    theirs = {new: training.columns[name][rows] for name, new in called.items()}
    return pd.DataFrame({**own, **theirs})
