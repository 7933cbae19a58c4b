"""What somebody set aside before the search: nothing of it counts as a failure any more."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backend.core.plural import counted


def lowered(
    losses: NDArray[np.float64], known: NDArray[np.bool_], codes: NDArray[np.int64] | None
) -> NDArray[np.float64]:
    """Losses in which those of known rows are at most the mean of what is left of their label.

    Parameters
    ----------
    losses : float64 array of shape (m,)
        Of rows that find and choose.
    known : bool array of shape (m,)
        Not all of them.
    codes : int array of shape (m,) or None
        Labels from 0. Where nothing is left of one, the mean of all rows that are left counts.
    """
    if not known.any():
        return losses
    labels = np.zeros(len(losses), np.int64) if codes is None else codes
    counts = np.bincount(labels[~known], minlength=int(labels.max()) + 1)
    sums = np.bincount(labels[~known], weights=losses[~known], minlength=len(counts))
    everything = float(losses[~known].mean())
    base = np.where(counts > 0, sums / np.maximum(counts, 1), everything)
    return np.where(known, np.minimum(losses, base[labels]), losses)


def repeats(rows: NDArray[np.int64], known: Sequence[NDArray[np.bool_]], share: float) -> bool:
    """Whether these rows hold ``share`` of a known group, or it holds so much of them.

    ``known`` are (n,) masks.
    """
    return any(mask[rows].sum() >= share * min(len(rows), int(mask.sum())) for mask in known)


def note_of(known: Sequence[NDArray[np.int64]]) -> tuple[str, ...]:
    """What a reader should know of a search after these groups were set aside; () for none."""
    if not known:
        return ()
    rows = len(np.unique(np.concatenate(known)))
    were = "was" if len(known) == 1 else "were"
    return (
        f"Searched after {counted(len(known), 'region')} {were} set aside "
        f"({counted(rows, 'example')}): p is about what was left.",
    )
