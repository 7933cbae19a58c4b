"""Which imported bundles hold the same examples as another, and which of their rows are the same."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.bundle.bundle import Bundle
from backend.bundle.canonical import read_manifest
from backend.bundle.contents import MADE_IDS
from backend.bundle.faults import parsing
from backend.bundle.home import folder_of
from backend.core.errors import BundleError, InputError
from backend.core.parts import FEWEST_ROWS

UNCHANGED = "unchanged"
"""Third text of ``made_from``: a control, made anew with nothing changed but the seed or the refit itself.
Of another bundle the third text is the digest of its control, if it has one."""
LEAST_SHARED = 0.9
"""Share of the ids of the smaller bundle that both must have."""


@dataclass(frozen=True)
class SameExamples:
    """A bundle with the examples of another.

    Attributes
    ----------
    digest, name : str
        Which it is.
    n : int
        How many examples it has.
    shared : int
        How many of their ids the other one has, too.
    """

    digest: str
    name: str
    n: int
    shared: int


def same_examples(
    bundle: Bundle, digests: Iterable[str], home: str | os.PathLike[str] | None = None
) -> list[SameExamples]:
    """Those of other bundles that hold the same examples, as their ids tell, in the order given.

    At least nine tenths of the ids of the smaller one have to be in both. Ids that were made from
    row numbers tell nothing: such bundles hold the same examples only where they are equally long
    and equally called. Damaged bundles are passed over.

    Parameters
    ----------
    bundle : Bundle
    digests : iterable of str
        Bundles to look at; ``bundle`` itself is passed over.
    home : path-like, optional
        As for ``open_bundle``.
    """
    own, made = set(bundle.ids.tolist()), _are_made(bundle.notes)
    found = []
    for digest in digests:
        if digest == bundle.digest:
            continue
        try:
            folder = folder_of(digest, home)
            manifest = read_manifest(folder)
            with parsing(folder.name[:12], "the examples", ""):
                ids = pd.read_parquet(folder / "examples.parquet", columns=["id"])["id"]
        except BundleError:
            continue
        name, n = str(manifest["name"]), int(manifest["n"])
        shared = len(own.intersection(ids.tolist()))
        if made or _are_made(manifest["notes"]):
            same = made and _are_made(manifest["notes"]) and (name, n) == (bundle.name, bundle.n)
        else:
            same = shared >= LEAST_SHARED * min(n, bundle.n)
        if same:
            found.append(SameExamples(digest, name, n, shared))
    return found


def made_from(digest: str, home: str | os.PathLike[str] | None = None) -> tuple[str, ...]:
    """What an imported bundle says of its origin, without opening it: digest, how, perhaps ``UNCHANGED``.

    Empty where it says nothing, or where there is no such bundle.
    """
    try:
        path = folder_of(digest, home) / "made_from.npy"
        with parsing(digest[:12], "made_from", ""):
            return tuple(map(str, np.load(path, allow_pickle=False))) if path.is_file() else ()
    except BundleError:
        return ()


@dataclass(frozen=True)
class SharedRows:
    """Rows of two bundles that are the same examples, in one order.

    Attributes
    ----------
    before, after : int array of shape (k,)
        Rows of the older bundle and of the newer one; ascending in the newer one.
    notes : tuple of str
        What was left out and what was taken for granted, in sentences.
    """

    before: NDArray[np.int64] = field(repr=False)
    after: NDArray[np.int64] = field(repr=False)
    notes: tuple[str, ...]


def shared_rows(before: Bundle, after: Bundle) -> SharedRows:
    """The examples that two runs have in common, as their ids tell.

    Parameters
    ----------
    before, after : Bundle

    Returns
    -------
    SharedRows
        Examples of which the label or target is another one are left out: such a change is no
        change of the model.

    Raises
    ------
    InputError
        If fewer than 20 examples are left, or rows cannot be told apart: one bundle has ids and the
        other numbers of rows that are not these ids, or both have numbers and differ in length or labels.

    Notes
    -----
    A bundle that was made here of one without ids, as a repair is, holds its numbers of rows as ids:
    row by row they are the same examples.
    """
    numbered = [_are_made(one.notes) for one in (before, after)]
    by_row = any(numbered)
    names = [f"'{one.name[:60]}' ({one.digest[:8]})" for one in (before, after)]
    again = "Give both runs the same ids and import them again."
    if numbered[0] != numbered[1] and not np.array_equal(before.ids, after.ids):
        which = names[0] if numbered[0] else names[1]
        raise InputError(
            f"two runs are compared example by example, by their ids: {which} has none, its rows were "
            f"numbered. {again}"
        )
    if by_row and before.n != after.n:
        raise InputError(
            "two runs are compared example by example, and neither has ids, so their rows must be the "
            f"same ones in the same order: got {before.n:,} and {after.n:,} rows. {again}"
        )
    places = before.places(after.ids)
    rows = np.flatnonzero(places >= 0)
    places = places[rows]
    notes = []
    if by_row and _source(before) != _source(after):
        notes.append(
            ("Neither run has" if all(numbered) else "One of the runs does not have")
            + " ids of its own: row by row they are taken for the same examples."
        )
    if len(rows) < max(before.n, after.n):
        notes.append(
            f"{len(rows):,} examples are in both runs, of {before.n:,} before and {after.n:,} after; "
            "the others are left out."
        )
    same = _same_truth(before, places, after, rows)
    other = int((~same).sum())
    if other and by_row:
        raise InputError(
            f"the labels of {other:,} of {len(rows):,} rows differ between {names[0]} and {names[1]}, "
            f"which have no ids of their own: these are not the same examples in the same order. {again}"
        )
    if other:
        notes.append(f"{other:,} examples whose label is another one now are left out.")
    places, rows = places[same], rows[same]
    if len(rows) < FEWEST_ROWS:
        raise InputError(
            f"two runs must share {FEWEST_ROWS} examples or more, by id and label: {names[0]} and "
            f"{names[1]} share {len(rows):,}"
            + (f", and {other:,} more whose labels differ" if other else "")
            + ". Compare runs on the same evaluation set."
        )
    return SharedRows(places.astype(np.int64), rows.astype(np.int64), tuple(notes))


def _same_truth(
    before: Bundle, places: NDArray[Any], after: Bundle, rows: NDArray[Any]
) -> NDArray[np.bool_]:
    """Where label or target is the same in both; where one run does not say, nothing differs."""
    if before.label_names is not None and after.label_names is not None:
        if before.labels is None or after.labels is None:
            return np.ones(len(rows), dtype=bool)
        was, now = before.label_names[places], after.label_names[rows]
        return np.asarray(was.astype(str) == now.astype(str))
    if before.targets is not None and after.targets is not None:
        return np.asarray(before.targets[places] == after.targets[rows])
    return np.ones(len(rows), dtype=bool)


def _source(bundle: Bundle) -> str:
    """Digest of the bundle whose rows these are: of the one it was made from, else its own."""
    told = bundle.extras.get("made_from")
    return bundle.digest if told is None or not len(told) else str(told[0])


def _are_made(notes: Iterable[object]) -> bool:
    return any(str(note).startswith(MADE_IDS) for note in notes)
