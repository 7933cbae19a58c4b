"""Recipes that draw groups alike, or draw again what was wrong: subsampling, reweighting, DRO, JTT."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from backend.retraining.leaving_out import removal
from backend.retraining.situation import Setting, Situation
from backend.retraining.training import Course, Floats

STEPS_UP = (0.01, 0.1)
"""Step sizes of group DRO; the paper's is the first."""
TIMES = (5.0, 20.0)
"""How often JTT draws what was wrong, for once that it draws the others."""


def subsampling(at: Situation) -> list[Setting]:
    """As many of every group as its smallest has, by lot."""
    codes = at.problem.train_group
    rng = at.draws("subsampling")
    least = int(np.bincount(codes).min())
    kept = [
        rng.permutation(np.flatnonzero(codes == one))[:least]
        for one in range(len(at.problem.groups))
    ]
    rows = np.setdiff1d(np.arange(len(codes)), np.concatenate(kept))
    return [removal("", rows, len(codes))]


def reweighting(at: Situation) -> list[Setting]:
    """Every group is drawn equally often."""
    return [Setting("", lambda: Course(balanced(at)))]


def balanced(at: Situation) -> Floats:
    """Draws of each training example, the same in sum for every group."""
    codes = at.problem.train_group
    found: Floats = 1 / np.bincount(codes)[codes]
    return found


def group_dro(at: Situation) -> list[Setting]:
    """Groups are drawn alike, and the worse one does the more it counts."""
    return [
        Setting(f"step {up:g}", lambda up=up: GroupDro(at, up))  # type: ignore[misc]
        for up in STEPS_UP
    ]


class GroupDro(Course):
    """``q_g`` grows with ``exp(step * mean loss of g in the batch)``; a step lowers ``sum_g q_g loss_g``.

    Sagawa, Koh, Hashimoto, Liang, Distributionally Robust Neural Networks, ICLR 2020,
    arXiv:1911.08731, algorithm 1.
    """

    def __init__(self, at: Situation, step: float) -> None:
        super().__init__(balanced(at))
        self.codes = torch.from_numpy(at.problem.train_group)
        self.step = step
        self.q = torch.full((len(at.problem.groups),), 1 / len(at.problem.groups))

    def loss(self, losses: Tensor, rows: Tensor) -> Tensor:
        codes = self.codes[rows]
        counts = torch.bincount(codes, minlength=len(self.q))
        means = torch.zeros(len(self.q)).index_add(0, codes, losses) / counts.clamp_min(1)
        q = self.q * torch.exp(self.step * means.detach())
        self.q = q / q.sum()
        return (self.q * means).sum()


def just_train_twice(at: Situation) -> list[Setting]:
    """What the plain network has wrong in training, after one pass or at the end, is drawn more often.

    Liu et al., Just Train Twice, ICML 2021, arXiv:2107.09044, algorithm 1.
    """
    ends = {
        "after one pass": at.base.early,
        "at the end": at.base.train.log_p.argmax(1),
    }
    return [
        Setting(f"wrong {when}, ×{times:g}", lambda drawn=drawn: Course(drawn))  # type: ignore[misc]
        for when, predicted in ends.items()
        for times in TIMES
        for drawn in [np.where(predicted != at.problem.y, times, 1.0)]
    ]
