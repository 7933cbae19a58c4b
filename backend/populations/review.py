"""A person looks at PIEs and at random examples, blind to which, and says what is odd about each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.statistics import wilson_interval
from backend.populations.encode import check_mask
from backend.populations.pies import matched_non_pies

ANSWERS = ("noisy", "atypical", "unsure", "ordinary")
"""In the order of their keys, 1 to 4; ``ordinary``, nothing is odd about it, is our addition."""
KINDS = ("pie", "random")


def review_order(mask: Any, *, seed: int = 0) -> NDArray[np.int64]:
    """PIEs and as many random other examples, shuffled so that neither can be told by its place.

    Parameters
    ----------
    mask : bool array of shape (n,)
        The PIEs.
    seed : int
        Draws both the sample and the order.

    Returns
    -------
    int array of shape (k,)
        Rows to review, each once.
    """
    chosen = check_mask(mask)
    rows = np.concatenate([np.flatnonzero(chosen), matched_non_pies(chosen, seed=seed)])
    return np.random.default_rng(seed).permutation(rows).astype(np.int64)


def review_summary(answers: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """Share of each answer among PIEs beside random examples.

    Parameters
    ----------
    answers : iterable of (kind, answer)
        ``kind`` is "pie" or "random", ``answer`` one of ``ANSWERS``; one pair per reviewed example. Other pairs are not counted.

    Returns
    -------
    DataFrame
        One row per answer and kind: ``answer``, ``kind``, ``count``, ``n`` answers of that kind,
        ``share`` with its Wilson 95 % interval ``low`` and ``high``; NaN where nothing of that
        kind was answered.

    References
    ----------
    Hooker et al., What Do Compressed Deep Neural Networks Forget?, 2019, arXiv:1911.05248: the
    taxonomy of noisy and atypical exemplars.
    """
    given = list(answers)
    rows = []
    for answer in ANSWERS:
        for kind in KINDS:
            n = sum(own == kind and said in ANSWERS for own, said in given)
            count = sum(own == kind and said == answer for own, said in given)
            low, high = (float(bound) for bound in wilson_interval(count, n))
            rows.append((answer, kind, count, n, count / n if n else np.nan, low, high))
    columns = ["answer", "kind", "count", "n", "share", "low", "high"]
    return pd.DataFrame(rows, columns=columns)
