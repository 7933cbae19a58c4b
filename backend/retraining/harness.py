"""Follow recipes over seeds, each on its own part of the examples, and keep what is finished."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from backend.cache import Entry
from backend.core.content import content_key
from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress, share_of
from backend.retraining.checks import Checked, checked
from backend.retraining.measure import group_accuracies, measured
from backend.retraining.problem import RetrainingProblem
from backend.retraining.recipes import BASE, MOST_SEEDS, RECIPES, SEEDS, VERSION, chosen_recipes
from backend.retraining.situation import REPORT, VALIDATION, Base, Setting, Situation, halves
from backend.retraining.steering import NEEDS
from backend.retraining.stored import RetrainingResult, Shelf, results_folder
from backend.retraining.training import Course, Floats, Said, ask, train

SHARES = (0.025, 0.05, 0.1, 0.2, 0.4, 0.6)
"""Numbers of training examples that recipes of removal try, as shares of all."""


def retrain(
    problem: RetrainingProblem,
    folder: str | Path,
    *,
    recipes: Sequence[str] | None = None,
    seeds: int = SEEDS,
    candidates: Sequence[int] | None = None,
    made_from: str = "",
    progress: Progress = ignore_progress,
) -> RetrainingResult:
    """Train by every recipe with every seed, and compare on examples that had no part.

    For each seed the held-out examples are dealt anew, alike within groups: one half chooses what a
    recipe leaves open (how many to remove, regularisers, sizes), the other half reports. All recipes
    of a seed have the same halves, and as many steps of training.

    Parameters
    ----------
    problem : RetrainingProblem
    folder : path
        Where results are kept. A recipe and seed that are finished there are not trained again.
    recipes : sequence of str, optional
        Names of ``RECIPES``; by default all that the problem allows. The plain network is always
        among them.
    seeds : int
        How many, from 0; of first weights, order, draws, and halves.
    candidates : sequence of int, optional
        Numbers of training examples to try to remove. By default six shares of all, 2.5 to 60 %.
        They are part of a result: another list needs another folder.
    made_from : str
        Digest of the bundle whose examples are the held-out ones.
    progress : Progress
        Hears of every step of training; what it raises stops the run and leaves nothing half.

    Returns
    -------
    RetrainingResult

    Raises
    ------
    InputError
        If the problem is refused (see ``checked``), a recipe cannot be followed though it was asked
        for, scores cannot be computed (a singular Gram matrix), or every number to remove would empty
        a class.

    References
    ----------
    Jain, Hamidieh et al. 2024, arXiv:2406.16846, table 1. The other recipes are cited where they
    are.
    """
    if isinstance(seeds, bool) or int(seeds) != seeds or not 1 <= seeds <= MOST_SEEDS:
        raise InputError(f"seeds must be a whole number from 1 to {MOST_SEEDS}: got {seeds!r}.")
    ready = checked(problem, version=VERSION)
    tried = _candidates(candidates, ready.n_train)
    wanted = chosen_recipes(recipes)
    skipped = {}
    if problem.augment is None:
        if "targeted" in (recipes or ()):
            raise InputError(NEEDS)
        wanted = [one for one in wanted if one != "targeted"]
        skipped["targeted"] = "the problem does not say how to augment"
    planted = None if ready.planted is None else int(ready.planted.sum())
    parts = halves(ready, 0)
    facts = {
        "name": problem.name,
        "key": _key(ready, tried),
        "made_from": made_from,
        "n_train": ready.n_train,
        "n_validation": int((parts == VALIDATION).sum()),
        "n_report": int((parts == REPORT).sum()),
        "groups": list(ready.groups),
        "planted": planted,
        "planted_name": problem.planted_name,
        "skipped": skipped,
    }
    shelf = Shelf(Path(folder), facts)
    work = [(seed, recipe) for seed in range(seeds) for recipe in wanted]
    for place, (seed, recipe) in enumerate(work):
        if shelf.read(recipe, seed) is not None:
            continue
        title = f"Seed {seed + 1} of {seeds}: {RECIPES[recipe].title}"
        step = share_of(progress, place / len(work), (place + 1) / len(work))
        shelf.write(recipe, seed, *_follow(ready, recipe, seed, tried, shelf, step, title))
        shelf.tell()
    progress(1.0, "Everything is trained.")
    return shelf.tell()


def place_of(
    problem: RetrainingProblem,
    digest: str,
    *,
    candidates: Sequence[int] | None = None,
    home: str | os.PathLike[str] | None = None,
) -> Path:
    """Where results about a bundle are kept: a folder for each content of a problem."""
    ready = checked(problem, version=VERSION)
    key = content_key(_key(ready, _candidates(candidates, ready.n_train)))
    return results_folder(digest, f"{problem.name}-{key[:8]}", home)


def _key(ready: Checked, candidates: tuple[int, ...]) -> str:
    return f"{ready.key}-{'-'.join(map(str, candidates))}"


def _candidates(given: Sequence[int] | None, n_train: int) -> tuple[int, ...]:
    if given is None:
        given = [round(share * n_train) for share in SHARES]
        given = [one for one in given if 1 <= one < n_train]
    for one in given:
        if isinstance(one, bool) or int(one) != one or not 1 <= one < n_train:
            raise InputError(
                f"candidates must be whole numbers from 1 to {n_train - 1}: got {one!r}."
            )
    return tuple(sorted({int(one) for one in given}))


def _follow(
    problem: Checked,
    name: str,
    seed: int,
    candidates: tuple[int, ...],
    shelf: Shelf,
    progress: Progress,
    title: str,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arrays and facts of one recipe and seed."""
    parts = halves(problem, seed)
    recipe = RECIPES[name]
    if name == BASE:
        base = _plain(problem, seed, lambda share: progress(share, title))
        settings = [Setting(removed=np.zeros(0, np.int64))]
        at = Situation(problem, seed, base, parts, candidates)
    else:
        kept = shelf.read(BASE, seed)
        assert kept is not None  # the plain network comes first
        at = Situation(problem, seed, _base_of(kept), parts, candidates)
        progress(0.0, title)
        settings = recipe.function(recipe.settings)(at)
        if recipe.removes and len(settings) < 2:
            raise InputError(
                f"{recipe.title}: every number to remove would empty a class of the "
                f"{problem.n_train:,} training examples. Try smaller ones than "
                f"{', '.join(map(str, candidates))}."
            )
    codes = np.where(parts == VALIDATION, problem.own_group, -1)
    if recipe.chooses:
        codes = recipe.function(recipe.chooses)(at)
    reported = np.where(parts == REPORT, problem.own_group, -1)
    best: tuple[float, int, Said] | None = None
    lines = []
    for place, setting in enumerate(settings):
        told = f"{title}, {setting.name}" if setting.name else title
        step = share_of(progress, place / len(settings), (place + 1) / len(settings))
        said, score = _answers(at, setting, lambda share, step=step, told=told: step(share, told))
        right = said.log_p.argmax(1) == problem.own
        if np.isnan(score):
            score = float(group_accuracies(right, codes).min())
        removed = setting.removed
        known = problem.planted is not None and removed is not None
        lines.append(
            {
                "name": setting.name,
                "removed": None if removed is None else len(removed),
                "planted": int(problem.planted[removed].sum()) if known else None,  # type: ignore[index]
                "validation": score,
                "report": measured(right, reported),
            }
        )
        if best is None or score > best[0]:  # of equal ones the first: the least removed
            best = score, place, said
    assert best is not None
    chosen = settings[best[1]]
    arrays = {
        "log_p": best[2].log_p.astype(np.float32),
        "embeddings": best[2].embeddings,
        "parts": parts.astype(np.int8),
        "removed": np.zeros(0, np.int64) if chosen.removed is None else chosen.removed,
    }
    if name == BASE:
        arrays |= {
            "train_embeddings": at.base.train.embeddings,
            "train_log_p": at.base.train.log_p.astype(np.float32),
            "early": at.base.early,
        }
    return arrays, {"recipe": name, "seed": seed, "chosen": best[1], "settings": lines}


def _answers(at: Situation, setting: Setting, tick: Any) -> tuple[Said, float]:
    """What is said of the held-out examples, and what chooses the setting where it is known."""
    plain = at.base.held_out
    if setting.answers is not None:
        tick(0.0)
        log_p, score = setting.answers()
        return Said(plain.embeddings, log_p), score
    if setting.course is None:
        return plain, float("nan")
    network = train(
        at.problem.problem.network,
        at.problem.x,
        torch.from_numpy(at.problem.y),
        at.problem.problem.schedule,
        setting.course(),
        at.seed,
        tick,
    )
    return ask(network, at.problem.z, lambda: tick(1.0)), float("nan")


class _Watched(Course):
    """Training on everything, with a look at what is said after the first pass."""

    def __init__(self, problem: Checked) -> None:
        super().__init__(np.ones(problem.n_train))
        self.x = problem.x
        self.early: Any = None

    def weights(self, done: int, network: torch.nn.Module) -> Floats:
        if done == 1:
            self.early = ask(network, self.x).log_p.argmax(1)
        return self.drawn


def _plain(problem: Checked, seed: int, tick: Any) -> Base:
    course = _Watched(problem)
    plan, make = problem.problem.schedule, problem.problem.network
    network = train(make, problem.x, torch.from_numpy(problem.y), plan, course, seed, tick)
    own, held_out = (ask(network, one, lambda: tick(1.0)) for one in (problem.x, problem.z))
    early = own.log_p.argmax(1) if course.early is None else course.early
    return Base(own, held_out, np.asarray(early, np.int64))


def _base_of(kept: Entry) -> Base:
    return Base(
        Said(np.asarray(kept["train_embeddings"]), kept["train_log_p"].astype(np.float64)),
        Said(np.asarray(kept["embeddings"]), kept["log_p"].astype(np.float64)),
        np.asarray(kept["early"]),
    )
