"""Removed bundles: they can be taken back for some days, and are deleted after."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from backend.bundle.bundle import BundleInfo
from backend.bundle.canonical import change_manifest
from backend.bundle.faults import refuse
from backend.bundle.home import (
    NO_BUNDLE,
    TRASH,
    PathLike,
    all_manifests,
    bundles_in,
    folder_of,
    locked,
)
from backend.bundle.records import REMOVED, info_of, removed_manifests
from backend.core.errors import InputError
from backend.core.home import written_in

SETTING = "ERRORSCOPE_GRACE_DAYS"
DEFAULT_DAYS = 7.0
DAY_S = 24 * 3600


@dataclass(frozen=True)
class RemovedBundle:
    """A bundle that was removed and can be taken back.

    ``info`` is its line of the list as it was; ``removed`` and ``until``, in seconds since 1970, say
    when it was removed and when it is deleted.
    """

    info: BundleInfo
    removed: float
    until: float


def grace_days() -> float:
    """Days that a removed bundle is kept: ``ERRORSCOPE_GRACE_DAYS``, 7 by default.

    Raises
    ------
    InputError
        If that is no number of at least 0.
    """
    given = os.environ.get(SETTING, "").strip()
    try:
        days = float(given) if given else DEFAULT_DAYS
    except ValueError:
        days = -1.0
    if not 0 <= days < 1e6:
        raise InputError(f"{SETTING} must be a number of days, 0 or more: got {given[:40]!r}.")
    return days


def _grace_s() -> float:
    return grace_days() * DAY_S


def remove_bundle(digest: str, home: PathLike | None = None) -> float:
    """Take an imported bundle out of every list; it can be taken back for a while.

    Returns
    -------
    float
        When it is deleted, in seconds since 1970.

    Raises
    ------
    BundleError
        If there is none of this digest.
    """
    grace, now = _grace_s(), time.time()
    folder = folder_of(digest, home)
    with locked(folder.parent), written_in(folder.parent):
        # The same one, removed before and imported again since, is of no more use.
        for earlier, _, named in _removed(folder.parent):
            if named == digest:
                _delete(earlier)
        try:
            folder.rename(folder.with_name(f".removed-{int(now)}-{digest}"))
        except FileNotFoundError as error:
            raise refuse(digest[:12], "", None, "there is no such bundle.", NO_BUNDLE) from error
    return now + grace


def removed_bundles(home: PathLike | None = None) -> list[RemovedBundle]:
    """What can be taken back, the latest removed first."""
    found, grace = [], _grace_s()
    for folder, manifest in removed_manifests(bundles_in(home)):
        named = REMOVED.fullmatch(folder.name)
        assert named is not None
        when = float(named[1])
        if when + grace > time.time():
            found.append(RemovedBundle(info_of(manifest), when, when + grace))
    return sorted(found, key=lambda one: (one.removed, one.info.digest), reverse=True)


def restore_bundle(digest: str, home: PathLike | None = None) -> None:
    """Take a removed bundle back.

    Raises
    ------
    BundleError
        If it was not removed, is past its time, or was imported again since.
    """
    bundles = bundles_in(home)
    with locked(bundles), written_in(bundles):
        folder = next((one for one, _, named in _removed(bundles) if named == digest), None)
        if folder is None:
            problem = "it cannot be taken back: it was not removed, or is deleted by now."
            raise refuse(str(digest)[:12], "", None, problem, "Import it again.")
        if (bundles / digest).exists():
            problem = "it cannot be taken back: it was imported again since."
            raise refuse(str(digest)[:12], "", None, problem, "Open that one.")
        folder.rename(bundles / digest)


def delete_removed(digest: str, home: PathLike | None = None) -> bool:
    """Delete a removed bundle before its time; whether none of this digest is left then."""
    bundles = bundles_in(home)
    with locked(bundles):
        for folder, _, named in _removed(bundles):
            if named == digest:
                _delete(folder)
    return not (bundles / digest).exists()


def sweep_removed(home: PathLike | None = None) -> list[str]:
    """Delete what is past its time; the digests of which no bundle is left then."""
    bundles, oldest = bundles_in(home), time.time() - _grace_s()
    with locked(bundles):
        late = [(folder, named) for folder, when, named in _removed(bundles) if when <= oldest]
        for folder, _ in late:
            _delete(folder)
    return [named for _, named in late if not (bundles / named).exists()]


def give_to(owner: str, other: str, home: PathLike | None = None) -> int:
    """Have the bundles of one person, removed ones included, belong to another; how many.

    What each is called stays, so that links and tags stay with it.
    """
    changed = 0
    bundles = bundles_in(home)
    with locked(bundles), written_in(bundles):
        kept = [*all_manifests(home), *removed_manifests(bundles)]
        for folder, manifest in kept:
            if manifest.get("owner") == owner:
                change_manifest(folder, str(manifest["digest"]), owner=other)
                changed += 1
    return changed


def _removed(bundles: Path) -> Iterator[tuple[Path, float, str]]:
    """Folders of removed bundles, readable or not, each with when and which."""
    for folder in bundles.glob(".removed-*"):
        named = REMOVED.fullmatch(folder.name)
        if named is not None:
            yield folder, float(named[1]), named[2]


def _delete(folder: Path) -> None:
    """Out of sight at once, then gone; what a kill leaves is swept as trash by the next import."""
    trash = folder.with_name(TRASH + uuid.uuid4().hex)
    folder.rename(trash)
    shutil.rmtree(trash, ignore_errors=True)
