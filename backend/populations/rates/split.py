"""How divided a population of models is over each example."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.errors import InputError
from backend.populations.encode import Codes, check_populations
from backend.populations.modal import column_blocks


def split_votes(predictions: Any) -> NDArray[np.float64]:
    """Share of the pairs of models that answer an example differently, from 0 to 1.

    Parameters
    ----------
    predictions : array-like of shape (m, n)
        One row per model, two or more: class numbers or names.

    Returns
    -------
    float array of shape (n,)
        ``1 - sum_c v_c (v_c - 1) / (m (m - 1))`` with ``v_c`` the models that answer c. 0 where all
        agree, 1 where no two do. Its mean over examples is the mean disagreement of two models.

    Raises
    ------
    InputError
        As ``modal_label``; or if there is one model only.

    References
    ----------
    D'Amour et al., Underspecification Presents Challenges for Credibility in Modern Machine
    Learning, 2020, arXiv:2011.03395, which takes the same mean over pairs of models.
    """
    codes = check_populations(predictions=predictions).parts[0]
    m, n = codes.shape
    if m < 2:
        raise InputError(f"predictions must be of 2 or more models to differ: got {m}.")
    divided = np.empty(n)
    for at in column_blocks(m, n):
        divided[at] = 1 - _agreeing_pairs(codes[:, at]) / (m * (m - 1) / 2)
    return divided


def _agreeing_pairs(codes: Codes) -> NDArray[np.float64]:
    """Pairs of equal answers of each column: in sorted order, those of a run come one by one."""
    ordered = np.sort(codes, axis=0)
    pairs = np.zeros(codes.shape[1])
    run = np.zeros(codes.shape[1])
    for before, own in pairwise(ordered):
        run = np.where(own == before, run + 1, 0)
        pairs += run
    return pairs
