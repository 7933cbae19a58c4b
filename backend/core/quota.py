"""How much the home folder may hold altogether, and the sentence when it is full."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from backend.core.errors import InputError
from backend.core.memory import bytes_of

SETTING = "ERRORSCOPE_DISK_GB"
PERSON_SETTING = "ERRORSCOPE_PERSON_GB"
LOOK_EVERY_S = 2.0


def quota_bytes(setting: str = SETTING) -> int | None:
    """Most bytes of the home folder, ``ERRORSCOPE_DISK_GB``; None where nobody set a limit.

    With ``ERRORSCOPE_PERSON_GB`` as the ``setting``, most bytes of the bundles that one person imported.

    Raises
    ------
    InputError
        If the setting is not a positive number.
    """
    told = os.environ.get(setting)
    if not told:
        return None
    try:
        size = float(told) * 1e9
    except ValueError:
        size = -1.0
    if not 0 < size < 1e18:
        raise InputError(f"{setting} must be a positive number of GB: got {told[:40]!r}.")
    return int(size)


def room_left(home: Path) -> int | None:
    """Bytes that still fit into the home folder, negative where it is over; None without a limit."""
    quota = quota_bytes()
    return None if quota is None else quota - bytes_of(home)


def check_room(home: Path, needed: int = 0) -> None:
    """Refuse what does not fit.

    Raises
    ------
    InputError
        If less than ``needed`` bytes are left.
    """
    left = room_left(home)
    if left is not None and left < needed:
        quota = (quota_bytes() or 0) / 1e9
        raise InputError(
            f"the disk space of this server is used up: it may keep {quota:.3g} GB ({SETTING}), "
            f"{max(0, left) / 1e9:.3g} GB are left and {needed / 1e9:.3g} GB or more are needed. "
            "Remove a bundle that nobody needs, or have the limit raised."
        )


def check_share(held: int, needed: int) -> None:
    """Refuse what one person may not keep beside what they keep already.

    Raises
    ------
    InputError
        If ``held`` and ``needed`` bytes together are more than ``ERRORSCOPE_PERSON_GB``.
    """
    share = quota_bytes(PERSON_SETTING)
    if share is not None and held + needed > share:
        raise InputError(
            f"your share of this server's disk is used up: one person may keep {share / 1e9:.3g} GB "
            f"({PERSON_SETTING}), your bundles take {held / 1e9:.3g} GB and {needed / 1e9:.3g} GB or "
            "more are needed. Remove one of your bundles, or have the limit raised."
        )


def room_watch(home: Path) -> Callable[[], None]:
    """What checks the room when it is called, at most every two seconds."""
    looked = float("-inf")

    def check() -> None:
        nonlocal looked
        if time.monotonic() - looked >= LOOK_EVERY_S:
            check_room(home)
            looked = time.monotonic()

    return check
