"""Which imported bundles hold the same examples as another: a file that was imported anew."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from backend.bundle.bundle import Bundle
from backend.bundle.canonical import read_manifest
from backend.bundle.contents import MADE_IDS
from backend.bundle.faults import parsing
from backend.bundle.home import folder_of
from backend.core.errors import BundleError

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


def _are_made(notes: Iterable[object]) -> bool:
    return any(str(note).startswith(MADE_IDS) for note in notes)
