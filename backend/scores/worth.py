"""How far a score of a bundle tells what the model gets wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.errors import InputError
from backend.difficulty import accuracy_without_hardest, error_by_decile
from backend.scores.names import known_scores
from backend.scores.values import score_values


@dataclass(frozen=True)
class ScoreWorth:
    """What a score says of errors among some examples.

    Attributes
    ----------
    deciles : DataFrame
        As ``error_by_decile``, the easiest first, ``score_from`` and ``score_to`` as the score has
        them; without predictions no error rates.
    left_out : DataFrame or None
        As ``accuracy_without_hardest``; None without predictions.
    error : float or None
        Error rate of all these examples, a fraction; None without predictions.
    mean_loss : float
        Theirs.
    """

    deciles: pd.DataFrame
    left_out: pd.DataFrame | None
    error: float | None
    mean_loss: float


def score_worth(bundle: Bundle, name: str, shown: NDArray[np.bool_]) -> ScoreWorth:
    """Errors by decile of a score, and accuracy without the hardest, among the shown examples.

    Parameters
    ----------
    bundle : Bundle
    name : str
        One of ``known_scores``.
    shown : bool array of shape (n,)
        At least one of them.

    Raises
    ------
    InputError
        If nothing is shown.
    """
    rows = np.flatnonzero(shown)
    if len(rows) == 0:
        raise InputError("the filters leave no example: switch one off.")
    sign = known_scores(bundle)[name].sign
    difficulty, losses = sign * score_values(bundle, name)[rows], bundle.losses[rows]
    correct = None if bundle.correct is None else bundle.correct[rows]
    deciles = error_by_decile(difficulty, None if correct is None else ~correct, losses)
    if sign < 0:
        deciles[["score_from", "score_to"]] = -deciles[["score_from", "score_to"]]
    return ScoreWorth(
        deciles,
        None if correct is None else accuracy_without_hardest(difficulty, correct),
        None if correct is None else float(1 - correct.mean()),
        float(losses.mean()),
    )
