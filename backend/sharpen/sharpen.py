"""Sharpen a group by answers: all examples ranked anew, whom to ask next, how many members there are.

>>> told = sharpen(embeddings, scores, rows, answers)      # doctest: +SKIP
>>> told.next                                              # doctest: +SKIP
array([ 811, 1204,   77, ...])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.arrays import as_numpy, check_matrix
from backend.core.errors import InputError
from backend.sharpen.asking import whom_to_ask
from backend.sharpen.counting import FEWEST, count_members
from backend.sharpen.learner import (
    LATEST,
    Features,
    describe_examples,
    membership,
    principal_parts,
)

ROUND = 10
"""Examples of a round, after which the ranking is made anew."""
_FOLDS = 5

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Sharpened:
    """What is known after so many answers.

    Attributes
    ----------
    scores : float64 array of shape (n,)
        Ranking, higher first: what was answered yes comes first, what was answered no last.
    probabilities : float64 array of shape (n,)
        That an example belongs, by the classifier: 1 and 0 where it was answered. For ranking and
        drawing; they err upward and do not count members.
    next : int64 array of shape (at most n_next,)
        Rows to ask next, in random order: the least sure that lie far apart, and a drawn part.
    chances : float64 array like ``next``
        With which each was drawn; NaN for those that were chosen. To be given back with the answer.
    expected, low, high : float
        Number of members with a 95 % interval, corrected by drawn answers alone. Below 20 drawn
        answers ``low`` is the number of yes: at least as many.
    drawn : int
        Drawn answers that the interval stands on.
    audit : int64 array of shape (drawn, 2)
        Of each drawn answer: its place in a ranking, from 0, by classifiers that did not see it,
        and 1 or 0 for yes or no. What the precision of a cut stands on (``cut_precision``).
    audit_weights : float64 array of shape (drawn,)
        One over the chance with which each was drawn.
    cut : int
        Where the ranking may end if nobody says otherwise: after the expected number from 20 drawn
        answers on, before that after those of probability .5 or more; never among those told yes.
    changed : float
        Share of the first ``cut`` that the latest ten answers brought in; NaN before 20 answers.
    """

    scores: Floats
    probabilities: Floats
    next: Rows
    chances: Floats
    expected: float
    low: float
    high: float
    drawn: int
    audit: Rows
    audit_weights: Floats
    cut: int
    changed: float


def sharpen(
    embeddings: Any,
    prior: Any,
    answered: Any,
    answers: Any,
    *,
    skipped: Any = (),
    chances: Any = None,
    labels: Any = None,
    n_next: int = ROUND,
    seed: int = 0,
    parts: tuple[NDArray[np.float32], ...] | None = None,
    version: int = LATEST,
) -> Sharpened:
    """Rank all examples by a person's answers, and say whom to ask next.

    Ridge logistic regressions on principal components (half whitened, beside the mean of the label),
    label and prior, with a few hundred random examples as weak negatives. Neither losses nor
    predictions are features: the group stays defined by what its examples are, so its effect on
    kept-aside examples stays honest. The next examples are among those least sure to belong, far
    apart from each other (``whom_to_ask``), but for three in ten that are drawn with known chances:
    only these can say how many members there are. The same arguments give the same result, bit for
    bit.

    Parameters
    ----------
    embeddings : array-like of shape (n, d)
    prior : array-like of shape (n,)
        Where to start: scores of a region, higher first; -inf outside its scope.
    answered : array-like of int, shape (k,)
        Rows that were answered, each once, in any number, the latest last.
    answers : array-like of bool, shape (k,)
        Whether each belongs.
    skipped : array-like of int
        Rows that are not asked again.
    chances : array-like of shape (k,), optional
        Of the answered rows, as ``chances`` of the result gave them; NaN for those that were chosen.
        Without it all were chosen.
    labels : array-like of shape (n,), optional
    n_next : int
        Rows to ask next; fewer where fewer are left.
    seed : int
    parts : tuple of arrays, optional
        What ``principal_parts`` made of the same embeddings with the same seed, kept from an
        earlier round; the embeddings are not read then.
    version : int
        Of the method, 1 to 3; ``parts`` must be of the same.

    Returns
    -------
    Sharpened

    Raises
    ------
    InputError
        If lengths differ, a row is outside the data, answered twice, or both answered and skipped,
        a chance is outside (0, 1], or the prior holds NaN or +inf.

    References
    ----------
    Zrnic and Candes, Active Statistical Inference, 2024, arXiv:2403.03208.
    """
    if parts is None:
        parts = principal_parts(check_matrix("embeddings", embeddings), seed=seed, version=version)
    n = len(parts[0])
    start = _prior(prior, n)
    rows, told, passed = _answers(answered, answers, skipped, n)
    drawn_with = _chances(chances, len(rows))
    if isinstance(n_next, bool) or int(n_next) != n_next or n_next < 0:
        raise InputError(f"n_next must be a whole number, 0 or more: got {n_next!r}.")
    apart = np.union1d(rows, passed)
    features = describe_examples(parts, start, _codes(labels, n), seed, version)
    odds, probabilities = membership(features, rows, told, apart)
    scores = _told_first(odds, rows, told)
    asked, with_chance = whom_to_ask(
        features, odds, probabilities, rows, told, apart, int(n_next), seed=seed, version=version
    )
    drawn = ~np.isnan(drawn_with)
    unseen = probabilities  # of a classifier that did not see the drawn answers
    if drawn.any():
        unseen = membership(features, rows[~drawn], told[~drawn], apart)[1]
    expected, low, high = _count(unseen, rows, told, drawn_with, n)
    probabilities = probabilities.copy()
    probabilities[rows] = told
    likely = expected if drawn.sum() >= FEWEST else (probabilities >= 0.5).sum()
    cut = min(max(round(float(likely)), int(told.sum()), 1), n)
    changed = np.nan
    if len(rows) >= 2 * ROUND:
        before = membership(features, rows[:-ROUND], told[:-ROUND], apart)[0]
        earlier = _first(_told_first(before, rows[:-ROUND], told[:-ROUND]), cut)
        changed = 1 - len(np.intersect1d(_first(scores, cut), earlier)) / cut
    return Sharpened(
        scores,
        probabilities,
        asked,
        with_chance,
        expected,
        low,
        high,
        int(drawn.sum()),
        _audit(features, rows, told, np.flatnonzero(drawn), apart),
        1 / drawn_with[drawn],
        cut,
        changed,
    )


def ranking(scores: Floats) -> Rows:
    """All rows, the highest score first; ties: lower row first."""
    return np.argsort(-scores, kind="stable").astype(np.int64)


def _first(scores: Floats, k: int) -> Rows:
    return ranking(scores)[:k]


def _audit(
    features: Features, rows: Rows, told: NDArray[np.bool_], drawn: Rows, apart: Rows
) -> Rows:
    """Place and answer of drawn rows, each placed by classifiers that were not told its answer."""
    places = np.zeros(len(drawn), np.int64)
    for fold in range(min(_FOLDS, len(drawn))):
        held = np.arange(fold, len(drawn), _FOLDS)
        kept = np.setdiff1d(np.arange(len(rows)), drawn[held])
        odds, _ = membership(features, rows[kept], told[kept], apart)
        scores = _told_first(odds, rows[kept], told[kept])
        for one in held:
            row = rows[drawn[one]]
            ahead = scores > scores[row]
            places[one] = ahead.sum() + (scores[:row] == scores[row]).sum()
    return np.column_stack([places, told[drawn].astype(np.int64)])


def _told_first(odds: Floats, rows: Rows, told: NDArray[np.bool_]) -> Floats:
    scores = odds.copy()
    room = float(np.ptp(odds)) + 1
    scores[rows] += np.where(told, room, -room)
    return scores


def _count(
    unseen: Floats, rows: Rows, told: NDArray[np.bool_], chances: Floats, n: int
) -> tuple[float, float, float]:
    """Members by a classifier that did not see the drawn answers, corrected by these."""
    drawn = ~np.isnan(chances)
    chosen = rows[~drawn]
    others = np.ones(n, bool)
    others[chosen] = False
    expected = float(told[~drawn].sum() + unseen[others].sum())
    residuals = told[drawn] - unseen[rows[drawn]]
    found = int(told.sum())
    return count_members(
        n, found, len(told) - found, expected, residuals, chances[drawn], int(others.sum())
    )


# --- checks ---------------------------------------------------------------------------------------


def _prior(given: Any, n: int) -> Floats:
    prior = np.asarray(as_numpy(given))
    if prior.shape != (n,) or prior.dtype.kind not in "biuf":
        raise InputError(
            f"prior must hold one number for each of {n} examples: got {prior.dtype} of shape "
            f"{prior.shape}."
        )
    prior = prior.astype(np.float64)
    bad = np.isnan(prior) | (prior == np.inf)
    if bad.any():
        raise InputError(
            f"prior must hold numbers or -inf: row {int(np.argmax(bad))} holds "
            f"{prior[np.argmax(bad)]}."
        )
    return prior


def _rows(name: str, given: Any, n: int) -> Rows:
    rows = np.asarray(as_numpy(given))
    if rows.size == 0:
        return np.zeros(0, np.int64)
    if rows.ndim != 1 or rows.dtype.kind not in "iu":
        raise InputError(f"{name} must be a list of rows: got {rows.dtype} of shape {rows.shape}.")
    if rows.min() < 0 or rows.max() >= n:
        raise InputError(
            f"{name} must be rows from 0 to {n - 1}: got {rows.min()} to {rows.max()}."
        )
    rows = rows.astype(np.int64)
    if len(np.unique(rows)) < len(rows):
        values, counts = np.unique(rows, return_counts=True)
        raise InputError(
            f"{name} must name each row once: row {values[counts > 1][0]} is repeated."
        )
    return rows


def _answers(
    answered: Any, answers: Any, skipped: Any, n: int
) -> tuple[Rows, NDArray[np.bool_], Rows]:
    rows, passed = _rows("answered", answered, n), _rows("skipped", skipped, n)
    told = np.asarray(as_numpy(answers))
    if told.shape != rows.shape or (told.size and not np.isin(told, (0, 1)).all()):
        raise InputError(
            f"answers must hold True or False for each of {len(rows)} answered rows: got "
            f"{told.dtype} of shape {told.shape}."
        )
    both = np.intersect1d(rows, passed)
    if len(both):
        raise InputError(f"a row is answered or skipped, not both: row {both[0]} is in both.")
    return rows, told.astype(bool), passed


def _chances(given: Any, k: int) -> Floats:
    if given is None:
        return np.full(k, np.nan)
    chances = np.asarray(as_numpy(given), dtype=np.float64)
    if chances.shape != (k,):
        raise InputError(
            f"chances must hold one number for each of {k} answered rows: got shape {chances.shape}."
        )
    known = chances[~np.isnan(chances)]
    if ((known <= 0) | (known > 1)).any():
        raise InputError("chances must lie in (0, 1], or be NaN for rows that were chosen.")
    return chances


def _codes(labels: Any, n: int) -> Rows | None:
    if labels is None:
        return None
    given = np.asarray(as_numpy(labels))
    if given.shape != (n,):
        raise InputError(
            f"labels must hold one value for each of {n} examples: got shape {given.shape}."
        )
    if given.dtype.kind == "O":
        given = given.astype(str)
    return np.unique(given, return_inverse=True)[1].astype(np.int64)
