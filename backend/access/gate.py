"""What a person may do with a bundle, from role, owner and grants."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from typing import Any

from backend.access.people import EVERYBODY, Person
from backend.bundle import BundleInfo, RemovedBundle, list_bundles, owner_of, removed_bundles
from backend.bundle.records import SIGNED_IN
from backend.core.errors import AccessError
from backend.store import Store
from backend.store.keeper import digest_of

UNSEEN = (
    "There is no such bundle that you may see: it is not here, or it is not shared with you. Ask "
    "whoever gave you the link."
)
READER = "Your role on this server is reader: you may look, but not add, tag or remove anything."
LOOK_ONLY = (
    "You may look at this bundle, not change anything in it. Its owner can let you tag, too."
)
NOT_YOURS = "Only the owner of this bundle, or an admin, may do that."
ADMINS = "Only an admin may do that."

_DIGEST = re.compile(r"[0-9a-f]{64}")


class Right(IntEnum):
    """What somebody may do with a bundle; each includes those before it."""

    NONE = 0
    LOOK = 1
    TAG = 2
    OWN = 3
    """Rename, share and remove it."""
    ADMIN = 4
    """Take back what others did."""


_GRANTED = {"look": Right.LOOK, "tag": Right.TAG}


class Gate:
    """Answers who may do what with the bundles of one home folder.

    Parameters
    ----------
    store : Store
        Knows the grants.
    home : path-like, optional
        Home folder, see ``backend.core.home``.
    """

    def __init__(self, store: Store, home: str | os.PathLike[str] | None = None) -> None:
        self._store = store
        self._home = home

    def right(self, person: Person, bundle: Any) -> Right:
        """The most that a person may do with a bundle; NONE where there is none, for all but admins.

        Raises
        ------
        StoreError
            If the grants cannot be read.
        """
        if person == EVERYBODY:
            return Right.OWN
        if person.role == "admin":
            return Right.ADMIN
        if not person.key:
            return Right.NONE
        digest = digest_of(bundle).partition(":")[0]  # a part of it, such as its training set
        owner = owner_of(digest, self._home)
        if owner is None:
            return Right.NONE
        granted = {} if owner == person.key else self._store.granted(person.grantees, digest)
        return _right(person, owner, granted.get(digest))

    def check(self, person: Person, needed: Right, bundle: Any) -> None:
        """Refuse what a person may not do.

        Raises
        ------
        AccessError
            If they may not; whether there is a bundle that they may not see is not told.
        """
        right = self.right(person, bundle)
        if right >= needed:
            return
        if right < Right.LOOK:
            raise AccessError(UNSEEN)
        if needed == Right.ADMIN:
            raise AccessError(ADMINS)
        if person.role == "reader":
            raise AccessError(READER)
        raise AccessError(LOOK_ONLY if needed == Right.TAG else NOT_YOURS)

    def check_adding(self, person: Person) -> None:
        """Refuse whoever may not add bundles.

        Raises
        ------
        AccessError
            If they are a reader, or nobody.
        """
        if person.role == "reader":
            raise AccessError(READER)
        if not person.key and person != EVERYBODY:
            raise AccessError("Sign in first.")

    def check_task(self, person: Person, bundle: Any, options: Mapping[str, Any]) -> None:
        """Refuse a task that reads what a person may not see, in its options too, or adds a bundle.

        Raises
        ------
        AccessError
            If one of the bundles is not theirs to look at, or they may not add any.
        """
        if person == EVERYBODY:
            return
        if bundle:
            self.check(person, Right.LOOK, bundle)
        if not bundle or "owner" in options:
            self.check_adding(person)
        for digest in set(_digests(options)):
            # Results have names like digests; one that is no bundle's gives nothing away.
            if owner_of(digest, self._home) is not None:
                self.check(person, Right.LOOK, digest)

    def bundles(self, person: Person) -> list[BundleInfo]:
        """The bundles that a person may look at, newest first."""
        infos = list_bundles(self._home)
        if person == EVERYBODY or person.role == "admin":
            return infos
        if not person.key:
            return []
        granted = self._store.granted(person.grantees)
        return [one for one in infos if _right(person, one.owner, granted.get(one.digest))]

    def removed(self, person: Person) -> list[RemovedBundle]:
        """The removed bundles that a person may take back: their own, an admin's all."""
        found = removed_bundles(self._home)
        if person == EVERYBODY or person.role == "admin":
            return found
        mine = [one for one in found if one.info.owner == person.key]
        return mine if person.key and person.role != "reader" else []

    def check_removed(self, person: Person, digest: str) -> None:
        """Refuse whoever may not take a removed bundle back.

        Raises
        ------
        AccessError
            If it is not among ``removed``.
        """
        if digest not in {one.info.digest for one in self.removed(person)}:
            raise AccessError(UNSEEN)


def _right(person: Person, owner: str, granted: str | None) -> Right:
    """The right of somebody who signed in and is no admin to a bundle that is there."""
    if owner == person.key:
        found = Right.OWN
    else:
        found = _GRANTED.get(granted or "", Right.NONE)
        if not owner.startswith(SIGNED_IN):  # from before people signed in, or the command line
            found = Right.TAG
    return min(found, Right.LOOK) if person.role == "reader" else found


def _digests(value: Any) -> Iterator[str]:
    """Every text of the form of a digest in options, however deep."""
    if isinstance(value, str):
        if _DIGEST.fullmatch(value):
            yield value
    elif isinstance(value, Mapping):
        for one in (*value.keys(), *value.values()):
            yield from _digests(one)
    elif (
        isinstance(value, Iterable) and not isinstance(value, bytes) and not hasattr(value, "dtype")
    ):
        for one in value:
            yield from _digests(one)
