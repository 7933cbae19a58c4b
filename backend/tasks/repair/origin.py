"""Which bundle a repair made, of which, and how; and which bundles hold examples made for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from backend.bundle import Bundle, BundleInfo

HOW = "repaired: "
"""How a bundle that a repair made says how it was made."""

REFITTED = "refitted: the last layer"
"""How its control says so."""

VARIATIONS = "variations"
"""Stands for Gaussian variations of the group where another bundle's digest could."""

MADE = "made: "
"""How a bundle of examples that were made for a repair says so."""


def origin_of(bundle: Bundle) -> tuple[str, str] | None:
    """Digest of the bundle that this one was made from, and how; None where it does not say."""
    told = bundle.extras.get("made_from")
    if told is None or not len(told):
        return None
    return str(told[0]), str(told[1]) if len(told) > 1 else ""


def debug_bundles(bundle: Bundle, known: Iterable[BundleInfo]) -> dict[str, str]:
    """Digest and name of the imported bundles whose embeddings have this one's dimensions.

    Those that were made for a repair of this one come first; those that hold its examples with other
    answers, as a repair keeps them, are left out.
    """
    from backend.bundle import made_from

    made, others = {}, {}
    for one in known:
        if one.d != bundle.d or one.digest == bundle.digest:
            continue
        origin = made_from(one.digest)
        how = origin[1] if len(origin) > 1 else ""
        if how.startswith(MADE) and origin[0] == bundle.digest:
            made[one.digest] = one.name
        elif not how.startswith((HOW, REFITTED)):
            others[one.digest] = one.name
    return made | others
