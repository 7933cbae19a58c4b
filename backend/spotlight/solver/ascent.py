"""Climbing from many starts at once: limited-memory BFGS along the solved size.

Each start keeps its own parameters, memory and step length; all share the passes over the data.
The first step of each is a loss-weighted mean shift, later ones use the curvature seen so far,
which cuts the long tail of mean-shift steps in flat regions to a few dozen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from backend.spotlight.solver.look import foreseen, look
from backend.spotlight.solver.shapes import AscentShape
from backend.spotlight.solver.sizes import Problem, Sizes

# A step must win this share of what the slope promises, but for rounding (in loss deviations).
_ENOUGH = 1e-4
_ROUNDING = {torch.float64: 1e-12, torch.float32: 3e-7}
_SHRINK, _SHORTEST = 0.35, 1e-3
# No promise is counted on to fall to less of the one before.
_FASTEST = 0.2


@dataclass(frozen=True)
class Race:
    """After ``steps`` steps, climbers more than ``gap`` behind the best stop; ``keep`` never do."""

    steps: int
    gap: float
    keep: int

    def running(self, value: Tensor, best: Tensor) -> Tensor:
        """Which of the climbers still on their way go on, beside the best value of all so far."""
        close = value >= best - self.gap
        rank = torch.argsort(torch.argsort(value, descending=True, stable=True))
        return close | (rank < self.keep)


@dataclass
class Memory:
    """(k, m, p) past steps and slope falls along them, newest first; ``inverse`` is 0 if blank."""

    steps: Tensor
    changes: Tensor
    inverse: Tensor

    @classmethod
    def blank(cls, parameters: Tensor, length: int) -> Memory:
        """Room for so many steps of (k, p) parameters."""
        k, p = parameters.shape
        zeros = torch.zeros((k, length, p), dtype=torch.float64, device=parameters.device)
        return cls(zeros, zeros.clone(), zeros[:, :, 0].clone())

    def __getitem__(self, which: Tensor | slice) -> Memory:
        return Memory(*(part[which] for part in self.parts()))

    def __setitem__(self, which: Tensor, other: Memory) -> None:
        for part, new in zip(self.parts(), other.parts(), strict=True):
            part[which] = new

    def parts(self) -> tuple[Tensor, ...]:
        """The fields in order."""
        return self.steps, self.changes, self.inverse

    def learn(self, which: Tensor, step: Tensor, change: Tensor) -> None:
        """Remember (k, p) steps and the fall of the slope along them, where ``which``."""
        product = (step * change).sum(1)
        which = which & (product > 1e-10 * step.norm(dim=1) * change.norm(dim=1))
        which = which.nonzero()[:, 0]  # once: each use of a mask would wait for the device
        for kept, new in ((self.steps, step), (self.changes, change)):
            kept[which] = torch.cat([new[which, None], kept[which, :-1]], dim=1)
        inverse = 1.0 / product[which]
        self.inverse[which] = torch.cat([inverse[:, None], self.inverse[which, :-1]], dim=1)

    def direction(self, slope: Tensor, scale: Tensor) -> Tensor:
        """Two-loop recursion from (k, p) slopes, with first step scales as first metric."""
        toward, shares = slope.clone(), []
        length = int((self.inverse != 0).any(0).sum())
        for i in range(length):
            share = self.inverse[:, i] * (self.steps[:, i] * toward).sum(1)
            toward -= share[:, None] * self.changes[:, i]
            shares.append(share)
        # The newest step tells how long a step along the metric should be.
        bent = (self.changes[:, 0].square() * scale).sum(1)
        known = self.inverse[:, 0] > 0
        fit = torch.where(known, 1.0 / (self.inverse[:, 0] * bent), torch.ones_like(bent))
        toward *= scale * fit[:, None]
        for i in reversed(range(length)):
            back = self.inverse[:, i] * (self.changes[:, i] * toward).sum(1)
            toward += (shares[i] - back)[:, None] * self.steps[:, i]
        return toward


@dataclass
class Climbers:
    """Where ``k`` starts stand, or ended.

    Parameters
    ----------
    parameters : float64 tensor of shape (k, p)
    sizes : Sizes
    memory : Memory
    steps : int tensor of shape (k,)
        Steps tried.
    arrived : bool tensor of shape (k,)
        Whether no further step improves.
    ahead : float64 tensor of shape (k, p)
        Where a last step leads that was not looked at; else the parameters.
    """

    parameters: Tensor
    sizes: Sizes
    memory: Memory
    steps: Tensor
    arrived: Tensor
    ahead: Tensor

    def __getitem__(self, which: Tensor | slice) -> Climbers:
        return Climbers(*(getattr(self, field.name)[which] for field in fields(self)))

    def __setitem__(self, which: Tensor, other: Climbers) -> None:
        for field in fields(self):
            getattr(self, field.name)[which] = getattr(other, field.name)

    def changed(self, change: Callable[[Tensor], Tensor]) -> Climbers:
        """Climbers with every tensor changed."""
        return Climbers(
            change(self.parameters),
            Sizes(*map(change, self.sizes.parts())),
            Memory(*map(change, self.memory.parts())),
            change(self.steps),
            change(self.arrived),
            change(self.ahead),
        )

    def ranking(self) -> Tensor:
        """Positions by value, highest first; equal values keep their order, NaN comes last."""
        value = torch.nan_to_num(self.sizes.value, nan=-torch.inf)
        return torch.argsort(value, descending=True, stable=True)

    @classmethod
    def joined(cls, groups: list[Climbers]) -> Climbers:
        """All climbers of all groups."""
        return cls(
            torch.cat([group.parameters for group in groups]),
            Sizes(*_stacked([group.sizes.parts() for group in groups])),
            Memory(*_stacked([group.memory.parts() for group in groups])),
            torch.cat([group.steps for group in groups]),
            torch.cat([group.arrived for group in groups]),
            torch.cat([group.ahead for group in groups]),
        )

    @classmethod
    def at(cls, shape: AscentShape, centers: Tensor, guess: Tensor) -> Climbers:
        """Spherical starts around (k, d) centers with (k,) guessed log precisions."""
        parameters = shape.first(centers)
        blank, steps = torch.zeros_like(guess), torch.zeros_like(guess, dtype=torch.int64)
        sizes = Sizes(guess, blank, blank.clone(), blank.clone(), steps.bool())
        memory = Memory.blank(parameters, shape.memory)
        return cls(parameters, sizes, memory, steps, steps.bool(), parameters)


def ascend(
    shape: AscentShape,
    climbers: Climbers,
    problem: Problem,
    *,
    max_steps: int,
    tolerance: float,
    tick: Callable[[], None],
    race: Race | None = None,
    left: float = 0.0,
    fold: bool = False,
) -> Climbers:
    """Climb from every start until no step improves, or ``max_steps`` are tried.

    Parameters
    ----------
    shape : AscentShape
    climbers : Climbers
        Parameters to start from, a guess of their sizes, and what is known of the curvature.
        Values need not be those of this problem: they are computed anew.
    problem : Problem
    max_steps : int
    tolerance : float
        A start has arrived when its slope promises less than this twice, in loss deviations.
    tick : callable
        Called before each step; may raise to stop.
    race : Race, optional
        Lets those that fall behind stop early.
    left : float
        A step is the last one when it leaves so little: were promises to fall on as they did from
        the step won before to this one, and no faster than to a fifth, the next would be below
        this. Where it is the last of all starts, it is not looked at (``Climbers.ahead``).
    fold : bool
        Read the rows once per step: see ``look``.

    Returns
    -------
    Climbers
        In the order they came.
    """
    ids = torch.arange(len(climbers.steps), device=climbers.steps.device)
    ended, start = climbers[ids], climbers[ids]  # two copies: the caller's stay as they are
    parameters, memory = start.parameters, start.memory
    first = look(shape, parameters, start.sizes, problem, fold=fold)
    sizes, dtype = first.sizes, first.distances.dtype
    everyone = torch.arange(len(ids), device=ids.device)
    (slope, scale), lean = first.slopes(everyone), first.lean(everyone)
    length = torch.ones_like(sizes.value)
    calm, before = torch.zeros_like(ids), torch.zeros_like(length)
    for step in range(1, max_steps + 1):
        tick()
        move = memory.direction(slope, scale)
        uphill = (move * slope).sum(1) > 0
        move = torch.where(uphill[:, None], move, scale * slope)
        far = shape.reach(parameters, move, sizes.log_precision)
        move *= (length / far.clamp_min(1.0))[:, None]
        # Where processes share the search, the first one leads: others may round differently.
        led = problem.ranks.lead(torch.cat([move, (move * slope).sum(1, keepdim=True)], dim=1))
        move, promise = led[:, :-1], led[:, -1]

        tried = parameters + move
        last = (promise * (promise / before).clamp_min(_FASTEST) < left) & (length == 1)
        if left > 0 and bool(last.all()):
            tries = torch.full_like(ids, step)
            ended[ids] = Climbers(parameters, sizes, memory, tries, last, tried)
            break
        seen = look(shape, tried, foreseen(sizes, lean, move), problem, fold=fold)
        gain = seen.sizes.value - sizes.value
        better = gain >= _ENOUGH * promise - _ROUNDING[dtype]  # false for NaN, too
        won = better.nonzero()[:, 0]
        parameters[won] = tried[won]
        sizes[won] = seen.sizes[won]
        length = torch.where(better, torch.ones_like(length), length * _SHRINK)
        calm = torch.where(promise < tolerance, calm + 1, torch.zeros_like(calm))
        before = torch.where(better, promise, before)
        arrived = (calm >= 2) | (length < _SHORTEST) | (last & better)
        kept = torch.arange(len(ids), device=ids.device)
        racing = race is not None and step == race.steps
        if bool(arrived.any()) or step == max_steps or racing:
            tries = torch.full_like(ids, step)
            ended[ids] = Climbers(parameters, sizes, memory, tries, arrived, parameters)
            stay = ~arrived
            if race is not None and racing:
                stay &= race.running(sizes.value, ended.sizes.value.max())
            if step == max_steps or not bool(stay.any()):
                break
            ids, parameters, sizes, memory = ids[stay], parameters[stay], sizes[stay], memory[stay]
            slope, scale, move, better = slope[stay], scale[stay], move[stay], better[stay]
            length, calm, before = length[stay], calm[stay], before[stay]
            lean = None if lean is None else lean[stay]
            kept, won = kept[stay], better.nonzero()[:, 0]
        if len(won):  # slopes of those that go on only: each is a reading of the rows
            new_slope, new_scale = seen.slopes(kept[won])
            change = torch.zeros_like(slope)
            change[won] = slope[won] - new_slope
            memory.learn(better, move, change)
            slope[won] = new_slope
            scale = scale.clone()
            scale[won] = new_scale
            new_lean = seen.lean(kept[won])
            if lean is not None and new_lean is not None:
                lean[won] = new_lean
    return ended


def _stacked(groups: list[tuple[Tensor, ...]]) -> list[Tensor]:
    """Each field of all groups, one group after the other."""
    return [torch.cat(parts) for parts in zip(*groups, strict=True)]
