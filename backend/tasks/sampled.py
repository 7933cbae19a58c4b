"""A first list of regions from a sample of a large bundle, shown while the whole is searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backend.core.sampling import random_rows

if TYPE_CHECKING:
    from backend.bundle import Bundle
    from backend.spotlight import Regions

SAMPLE = 12_000
"""Examples that a first list is made from; bundles up to twice as large have none."""
QUICK: Mapping[str, Any] = {
    "starts": 4,
    "rounds": 1,
    "views": ("x",),
    "few": 0,
    "most_labels": 6,
    "most_bundles": 4,
}
"""What the search of a sample leaves out, as ``backend.spotlight.regions.settings`` names it."""
_SHARED = 0.25


def sample_of(n: int) -> NDArray[np.int64] | None:
    """Rows (k,) of a first list, ascending; None where the whole is searched as soon."""
    return np.sort(random_rows(n, SAMPLE)) if n > 2 * SAMPLE else None


def taken(bundle: Bundle, rows: NDArray[np.int64]) -> Bundle:
    """A bundle of these rows alone, as far as searching and naming regions look at it."""

    def cut(values: Any) -> Any:
        return None if values is None else values[rows]

    return replace(
        bundle,
        path=None,
        embeddings=np.asarray(bundle.embeddings[rows]),
        losses=bundle.losses[rows],
        examples=bundle.examples.iloc[rows].reset_index(drop=True),
        labels=cut(bundle.labels),
        predictions=cut(bundle.predictions),
        targets=cut(bundle.targets),
        probabilities=cut(bundle.probabilities),
        logits=cut(bundle.logits),
        classes=bundle.class_names,
        populations={},
        layers={},
        main=None,
        msp={},
        train={},
        extras={},
        stress=None,
        media=None,
        thumbnails=None,
    )


def find_as(embeddings: Any, losses: Any, changed: Mapping[str, Any], **given: Any) -> Regions:
    """``find_regions`` with some of its ``SETTINGS`` changed, as ``QUICK`` does for a sample."""
    import torch

    from backend.core.threads import calm_threads
    from backend.spotlight.regions.call import check_call
    from backend.spotlight.regions.find import SETTINGS, run

    asked = check_call(embeddings, losses, **given)
    settings = replace(SETTINGS, **changed)
    with calm_threads(), torch.no_grad():
        return run(asked, settings if asked.sizes is None else replace(settings, sizes=asked.sizes))


def found_again(members: NDArray[np.int64], regions: Sequence[NDArray[np.int64]]) -> int | None:
    """Place of the region that holds the most of these rows; None below a quarter of them.

    Parameters
    ----------
    members : int array of shape (k,)
        Rows of a region that a sample showed.
    regions : sequence of int arrays
        Rows of each region of the whole list. Of equal ones the first counts.

    Examples
    --------
    >>> found_again(np.array([1, 2, 3]), [np.array([9]), np.array([2, 3, 4])])
    1
    """
    held = [int(np.isin(members, rows).sum()) for rows in regions]
    if not held or max(held) < _SHARED * max(1, len(members)):
        return None
    return int(np.argmax(held))
