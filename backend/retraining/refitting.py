"""The last layer of the plain network refitted on held-out examples with every group alike (DFR)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from backend.attribution import refit_head
from backend.core.parts import deal
from backend.retraining.situation import Rows, Setting, Situation
from backend.retraining.training import Floats

PENALTIES = (0.3, 3.0, 30.0)
SUBSETS = 5
"""Balanced subsets over which heads are averaged."""


def last_layer(at: Situation) -> list[Setting]:
    """Refit on balanced validation examples; the regulariser is chosen on half of these.

    Kirichenko, Izmailov, Wilson, Last Layer Re-Training is Sufficient for Robustness to Spurious
    Correlations, ICLR 2023, arXiv:2204.02937, with squared weights in place of absolute ones.
    """
    return [
        Setting(f"penalty {one:g}", answers=lambda one=one: _refitted(at, one))  # type: ignore[misc]
        for one in PENALTIES
    ]


def _refitted(at: Situation, penalty: float) -> tuple[Floats, float]:
    rows = at.validation
    groups = at.problem.own_group[rows]
    side = deal(len(rows), key=f"dfr {at.seed}", shares=(1, 1), labels=groups)
    fitted, other = rows[side == 0], rows[side == 1]
    right = _heads(at, fitted, penalty)[other].argmax(1) == at.problem.own[other]
    codes = at.problem.own_group[other]
    shares = np.bincount(codes, right)[np.unique(codes)] / np.bincount(codes)[np.unique(codes)]
    return _heads(at, rows, penalty), float(shares.min())


def _heads(at: Situation, rows: Rows, penalty: float) -> Floats:
    """Log-probabilities (n, C) of heads fitted on balanced subsets of ``rows``, averaged."""
    embeddings = at.base.held_out.embeddings
    found = [
        np.log(
            np.maximum(
                refit_head(
                    embeddings[chosen],
                    at.problem.own[chosen],
                    at.problem.n_classes,
                    penalty=penalty,
                ).probabilities(embeddings),
                np.finfo(np.float64).tiny,
            )
        )
        for chosen in balanced_subsets(at, rows)
    ]
    return np.asarray(log_softmax(np.mean(found, axis=0), axis=1))


def balanced_subsets(at: Situation, rows: Rows) -> list[NDArray[np.int64]]:
    """Held-out examples among ``rows``, as many of every group as the smallest has, by lot."""
    rng, codes = at.draws("dfr"), at.problem.own_group[rows]
    present, counts = np.unique(codes, return_counts=True)
    return [
        np.concatenate(
            [rng.permutation(rows[codes == one])[: int(counts.min())] for one in present]
        )
        for _ in range(SUBSETS)
    ]
