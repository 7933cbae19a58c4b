"""Recipes that leave out training examples: by what scores say of them, or by lot."""

from __future__ import annotations

import numpy as np
import torch

from backend.attribution import (
    Factored,
    GaussNewton,
    default_regularizer,
    factored_influence,
    factored_trak,
    group_alignment,
    margin_gradients,
    pseudo_groups,
    remove_harmful,
)
from backend.attribution.removal import removal_of
from backend.core.errors import InputError
from backend.retraining.checks import Codes
from backend.retraining.situation import Rows, Setting, Situation
from backend.retraining.training import Course, Floats, train

DIMENSIONS = 512
"""Of the projected gradients, where there are four training examples or more for each."""
NEGATIVE = "all with a negative score"


def d3m_scores(at: Situation) -> Floats:
    """What each training example does to the worst groups, by validation's group labels (D3M)."""
    return _aligned(at, _influence(at), at.problem.own_group[at.validation])


def auto_scores(at: Situation) -> Floats:
    """The same with groups that attributions make of each class (Auto-D3M)."""
    factored = _influence(at)
    return _aligned(at, factored, _pseudo(at, factored))


def auto_groups(at: Situation) -> Codes:
    """Groups (n,) by which Auto-D3M chooses, no group label being seen; -1 where none chooses."""
    found = np.full(len(at.parts), -1, np.int64)
    found[at.validation] = _pseudo(at, _influence(at))
    return found


def d3m(at: Situation) -> list[Setting]:
    """Leave out the training examples that harm the worst groups."""
    return _by_scores(at, d3m_scores(at))


def d3m_trak(at: Situation) -> list[Setting]:
    """The same by TRAK at one checkpoint: gradients of the whole network in place of its last layer."""
    return _by_scores(at, _aligned(at, _trak(at), at.problem.own_group[at.validation]))


def auto_d3m(at: Situation) -> list[Setting]:
    """The same without group labels."""
    return _by_scores(at, auto_scores(at))


def at_random(at: Situation) -> list[Setting]:
    """Leave out as many by lot."""
    return _by_order(at, at.draws("random").permutation(at.problem.n_train))


def of_majority(at: Situation) -> list[Setting]:
    """Leave out as many by lot from the largest group of each class."""
    return _by_order(at, at.draws("majority").permutation(majority(at)))


def majority(at: Situation) -> Rows:
    """Training examples of the largest group of their class; ties go to the first group."""
    problem = at.problem
    counts = np.zeros((problem.n_classes, len(problem.groups)), np.int64)
    np.add.at(counts, (problem.y, problem.train_group), 1)
    return np.flatnonzero(counts.argmax(axis=1)[problem.y] == problem.train_group)


def removal(name: str, rows: Rows, n_train: int) -> Setting:
    """A network trained without these rows."""
    keep = np.ones(n_train)
    keep[rows] = 0
    return Setting(name, lambda: Course(keep), removed=np.sort(rows))


def _by_scores(at: Situation, scores: Floats) -> list[Setting]:
    n = at.problem.n_train
    found = [NOTHING]
    for k in at.candidates:
        try:
            rows = remove_harmful(scores, k, labels=at.problem.y).rows
        except InputError:  # it would empty a class
            continue
        found.append(removal(f"{k:,}", rows, n))
    try:
        rows = remove_harmful(scores, labels=at.problem.y).rows
    except InputError:
        return found
    if len(rows) and len(rows) not in at.candidates:
        found.append(removal(NEGATIVE, rows, n))
    return found


def _by_order(at: Situation, order: Rows) -> list[Setting]:
    n = at.problem.n_train
    found = [NOTHING]
    for k in at.candidates:
        if k > len(order):
            continue
        try:
            removal_of(order[:k], n, at.problem.y)
        except InputError:
            continue
        found.append(removal(f"{k:,}", order[:k], n))
    return found


NOTHING = Setting("nothing", removed=np.zeros(0, np.int64))
"""What every recipe of removal tries besides: the plain network."""


def _influence(at: Situation) -> Factored:
    """Influence of training examples through the last layer, on the examples that choose."""
    rows, said = at.validation, at.base
    layer = GaussNewton.of(said.train.embeddings, np.exp(said.train.log_p), at.problem.y)
    return factored_influence(
        layer,
        said.held_out.embeddings[rows],
        np.exp(said.held_out.log_p[rows]),
        at.problem.own[rows],
    )


def _trak(at: Situation) -> Factored:
    """The same by projected gradients of the plain network, which is trained once more."""
    problem, rows = at.problem, at.validation
    plain = Course(np.ones(problem.n_train))
    labels, plan = torch.from_numpy(problem.y), problem.problem.schedule
    network = train(problem.problem.network, problem.x, labels, plan, plain, at.seed)
    k = min(DIMENSIONS, max(1, problem.n_train // 4))
    own = torch.from_numpy(problem.own[rows])
    features, residuals = margin_gradients(network, problem.x, labels, k=k, seed=at.seed)
    targets, _ = margin_gradients(
        network, problem.z[torch.from_numpy(rows)], own, k=k, seed=at.seed
    )
    features = features[None]
    weak = default_regularizer(features)
    return factored_trak(features, targets[None], residuals[None], regularizer=weak)


def _pseudo(at: Situation, factored: Factored) -> Codes:
    rows, labels = at.validation, at.problem.own[at.validation]
    right = at.base.held_out.log_p[rows].argmax(1) == labels
    return labels * 2 + pseudo_groups(factored.compressed(), labels, right, at.losses())


def _aligned(at: Situation, factored: Factored, groups: Codes) -> Floats:
    names, codes = np.unique(groups, return_inverse=True)
    losses = np.bincount(codes, at.losses()) / np.bincount(codes)
    scores = factored.group_scores(codes, len(names))
    return group_alignment(scores, np.arange(len(names)), losses).scores
