"""How many groups a person looks at until each planted failure is found.

Run with ``OMP_NUM_THREADS=1 ERRORSCOPE_PLANTED=FOLDER python -m
tests.benchmarks.looks_until_found [PROBLEM ...]``; without names, on a handful of the tuning
problems of ``planted``.

A failure is found by a look at a group of whose first ten examples at least eight belong to it. The
person looks at one group after the other, in the order of a list:

list      the regions as they are listed
next      the first region; it is set aside, whatever it is, and the search goes on
fives     the first five regions; they are set aside, and the search goes on to the next five
mixture   the groups of a mixture with labels and answers in it (Domino), in their order
losses    the examples of highest loss, ten at a look

What is not found after ``MOST`` looks counts as one look more.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import numpy as np

from backend.slices import find_groups
from backend.spotlight import find_regions
from tests.benchmarks.planted import TUNING, Problem, problems

MOST = 12
FIRST, RIGHT = 10, 8
HANDFUL = (
    ("fashion", "rare", 0),
    ("fashion", "both", 1),
    ("mnist", "mark", 0),
    ("mnist", "both", 0),
    ("adult", "noise", 0),
    ("adult", "both", 1),
    ("reviews", "rare", 1),
    ("reviews", "both", 0),
)


def as_listed(problem: Problem) -> Iterator[np.ndarray]:
    """First members of each region of one list."""
    yield from find_regions(**given(problem), n_regions=MOST).members


def known_next(problem: Problem) -> Iterator[np.ndarray]:
    """First members of the first region, again and again."""
    known: list[np.ndarray] = []
    while True:
        found = find_regions(**given(problem), n_regions=1, known=known)
        if not len(found):
            return
        yield found.members[0]
        known.append(found.members[0])


def by_fives(problem: Problem) -> Iterator[np.ndarray]:
    """First members of each of five regions, and again of five more."""
    known: list[np.ndarray] = []
    while True:
        found = find_regions(**given(problem), n_regions=5, known=known)
        if not len(found):
            return
        yield from found.members
        known += found.members


def mixture(problem: Problem) -> Iterator[np.ndarray]:
    """Heaviest members of each group of a mixture."""
    given = {"labels": problem.labels, "probabilities": problem.probabilities}
    groups = find_groups("mixture", problem.embeddings, problem.losses, **given, n_groups=MOST)
    for at in range(len(groups)):
        yield groups.members(at)


def highest(problem: Problem) -> Iterator[np.ndarray]:
    """Ten examples at a time, of descending loss."""
    order = np.argsort(-problem.losses, kind="stable")
    yield from order[: FIRST * MOST].reshape(-1, FIRST)


WAYS = {
    "list": as_listed,
    "next": known_next,
    "fives": by_fives,
    "mixture": mixture,
    "losses": highest,
}


def given(problem: Problem) -> dict[str, np.ndarray]:
    """What a search is told of a problem."""
    return {
        "embeddings": problem.embeddings,
        "losses": problem.losses,
        "labels": problem.labels,
        "probabilities": problem.probabilities,
    }


def looks(groups: Iterator[np.ndarray], planted: np.ndarray) -> list[int]:
    """Looks until each of the (s, n) planted failures was found; ``MOST`` + 1 where it was not."""
    found = [MOST + 1] * len(planted)
    for look, rows in enumerate(groups, start=1):
        for at, mask in enumerate(planted):
            if look < found[at] and mask[rows[:FIRST]].sum() >= RIGHT:
                found[at] = look
        if look == MOST or max(found) <= look:
            break
    return found


def main() -> None:
    named = {"-".join(map(str, spec)): spec for spec in TUNING}
    specs = [named[name] for name in sys.argv[1:]] or list(HANDFUL)
    every: dict[str, list[int]] = {name: [] for name in WAYS}
    print(f"{'problem':>20s}" + "".join(f"{name:>10s}" for name in WAYS), flush=True)
    for problem in problems(specs):
        line = []
        for name, way in WAYS.items():
            began = time.perf_counter()
            needed = looks(way(problem), problem.planted)
            every[name] += needed
            spent = time.perf_counter() - began
            line.append(
                ",".join("-" if one > MOST else str(one) for one in needed) + f" {spent:.0f}s"
            )
        print(f"{problem.name:>20s}" + "".join(f"{one:>10s}" for one in line), flush=True)
    total = len(next(iter(every.values())))
    for what, measure in (
        ("mean looks", lambda needed: f"{np.mean(needed):.1f}"),
        ("found", lambda needed: f"{sum(one <= MOST for one in needed)} of {total}"),
        ("within 5", lambda needed: f"{sum(one <= 5 for one in needed)} of {total}"),
    ):
        print(f"{what:>20s}" + "".join(f"{measure(every[name]):>10s}" for name in WAYS), flush=True)


if __name__ == "__main__":
    main()
