"""What a cheap repair of one group would buy, measured on rows that had no part in it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress, share_of
from backend.repair.asked import (
    Floats,
    RepairCall,
    Standardised,
    check_debug,
    refitting_rows,
)
from backend.repair.head import WEIGHT_DECAY, HeadProblem, RetrainedHead, log_probabilities
from backend.repair.tally import (
    BALANCED,
    BEFORE,
    GROUP,
    RANDOM,
    REFIT,
    TARGETED,
    RepairTally,
)

STRENGTHS = (0.1, 0.25, 0.5, 1.0, 2.0)
SEEDS = 5
BALANCED_HEADS = 5
_SLOPE = 1e-4

HELPS = "the group gains"
NOT_MORE = "no more than a plain refit gives"
NOT_TARGETED = "random rows do as much"
NOTHING = "nothing is gained"
MEANING = {
    HELPS: "The group gains, and more than from random rows.",
    NOT_TARGETED: "The group gains, but as much from as many random rows: what counts more does not matter.",
    NOT_MORE: "More weight brings nothing that a plain refit does not bring.",
    NOTHING: "Nothing is gained.",
}
"""What the verdicts mean, in a sentence each."""

Debug = tuple[Any, Any] | Callable[[Floats, NDArray[np.int64], int], tuple[Any, Any]]


@dataclass(frozen=True)
class GroupRepair:
    """A group counted more in refitting the last layer, beside what else would be done.

    Attributes
    ----------
    table : DataFrame
        ``arm`` (one of ``ARMS``), ``strength`` (0 where it has none), ``part`` (one of ``PARTS``),
        ``n`` (rows measured, mean over the splits), ``accuracy``, ``low``, ``high``: mean and 95 %
        interval over the splits (Student's t).
    gains : DataFrame
        ``strength``, ``part`` (the group or the others), ``against`` (plain refit or random rows),
        ``n`` (examples), ``gain``, ``low``, ``high``: mean change of accuracy, per example first, over
        the splits that measured it, with an interval over examples.
    right : dict of {(arm, strength): float array of shape (n,)}
        Share of the splits measuring an example in which it came out right; NaN where none did.
    n_refit, n_counted : int
        Rows that refit the head in the first split, and members of the group among them.
    n_measured : int
        Members measured in the first split.
    n_balanced : int
        Rows of the balanced set in the first split; 0 where there is none.
    outcomes : dict of {str: int}
        How the trainings ended, and how many.
    """

    table: pd.DataFrame
    gains: pd.DataFrame
    right: dict[tuple[str, float], Floats] = field(repr=False)
    n_refit: int
    n_counted: int
    n_measured: int
    n_balanced: int
    outcomes: dict[str, int]


def repair_group(
    embeddings: Any,
    labels: Any,
    members: Any,
    *,
    predictions: Any = None,
    train: tuple[Any, Any] | None = None,
    debug: Debug | None = None,
    measurable: Any = None,
    together: Any = None,
    worst_of: Any = None,
    strengths: Sequence[float] = STRENGTHS,
    seeds: int = SEEDS,
    key: str = "",
    weight_decay: float = WEIGHT_DECAY,
    progress: Progress = ignore_progress,
) -> GroupRepair:
    """Let a group count more when the last layer is refitted, and measure it on other rows.

    Several times, half of the rows refit the head and the other half measures it. All heads are
    found by the same recipe (the minimum of ``mean CE + strength * mean CE(group)`` with weight
    decay) from the same rows, features standardised by these.

    Parameters
    ----------
    embeddings : array-like of shape (n, d)
        Of the last layer.
    labels : int array-like of shape (n,)
        Classes ``0 .. C - 1``.
    members : int array-like of shape (m,)
        Rows of the group, each once.
    predictions : int array-like of shape (n,), optional
        Of the model as it is: the arm ``before``.
    train : tuple of embeddings (t, d) and labels (t,), optional
        The training set. With it the training rows refit the head, and the group's rows of the half
        that refits are put beside them; without it that half refits alone.
    debug : tuple of embeddings and labels, or function, optional
        Made or collected examples that count more in place of the group's own. A function gets the
        embeddings and labels of the group's rows of the half that refits, and the split's number.
    measurable : bool array-like of shape (n,), optional
        Rows that may measure: those kept aside, for a group that losses have chosen. The others
        always refit. All by default.
    together : int array-like of shape (n,), optional
        Rows of one code are on one side of a split; below 0 a row goes alone.
    worst_of : int array-like of shape (n,), optional
        Groups of which the worst is told; the classes by default.
    strengths : sequence of float
        Each above 0.
    seeds : int
        Splits, from 2.
    key : str
        What the rows are; decides the splits.
    weight_decay : float
        Above 0.
    progress : Progress

    Returns
    -------
    GroupRepair

    Raises
    ------
    InputError
        If a length or a value is wrong, there are fewer than two classes, or a half has no member.

    Notes
    -----
    *Random rows count more* draws as many rows as the group has, of the half that refits, anew in
    each split. *Balanced* is deep feature reweighting (Kirichenko et al. 2023): a head on as many rows
    of every cell of label and membership as the smallest has, the mean of five draws.

    What a group gains is told against the plain refit and against random rows, of the same examples
    in the same splits. Its interval is over examples: splits of one data set are alike, so an
    interval over them says how steady the refit is, not how well other members would fare.

    References
    ----------
    Chegini, Feizi 2023, arXiv:2312.05464, section 5; Kirichenko, Izmailov, Wilson, ICLR 2023,
    arXiv:2204.02937.
    """
    asked = RepairCall.of(
        embeddings, labels, members, predictions, train, measurable, together, worst_of
    )
    if seeds < 2 or not strengths or any(not 0 < one < np.inf for one in strengths):
        raise InputError(
            "repair needs two splits or more and strengths above 0: got "
            f"{seeds} and {list(strengths)}."
        )
    if debug is not None and not callable(debug):
        debug = check_debug(debug, asked)
    tally = RepairTally(asked.n)
    sizes = (0, 0, 0, 0)
    for seed in range(seeds):
        measures = asked.split(f"{key} {seed}")
        if seed == 0:
            sizes = asked.sizes(measures, beside=debug is None)

        step = share_of(progress, seed / seeds, (seed + 1) / seeds)
        with threadpool_limits(1, user_api="blas"):
            _one_split(asked, measures, strengths, seed, debug, weight_decay, tally, step)
    return GroupRepair(
        tally.table(asked), tally.gains(asked, strengths), tally.means(), *sizes, tally.outcomes
    )


def repair_verdict(repair: GroupRepair, strength: float) -> str:
    """What more weight on the group, or on what stands for it, bought, in a few words.

    Parameters
    ----------
    repair : GroupRepair
    strength : float
        One of those tried.

    Returns
    -------
    str
        "the group gains" where both intervals, against plain refit and random rows, lie above 0;
        "random rows do as much" where only the first does; "no more than a plain refit gives" where
        the refit itself is above before; else "nothing is gained".
    """
    own = repair.gains[
        np.isclose(repair.gains["strength"], strength) & (repair.gains["part"] == GROUP)
    ].set_index("against")["low"]
    if own[REFIT] > 0:
        return HELPS if own[RANDOM] > 0 else NOT_TARGETED
    table = repair.table[repair.table["part"] == GROUP].set_index("arm")["accuracy"]
    before = float(table[BEFORE]) if BEFORE in table else float("nan")
    return NOT_MORE if float(table[REFIT]) > before else NOTHING


def repaired_outputs(
    embeddings: Any,
    labels: Any,
    members: Any,
    *,
    strength: float,
    n_classes: int,
    train: tuple[Any, Any] | None = None,
    together: Any = None,
    key: str = "",
    weight_decay: float = WEIGHT_DECAY,
    progress: Progress = ignore_progress,
) -> NDArray[np.float64]:
    """Log-probabilities of the head with the group counting more, for rows that did not refit it.

    Each half of the rows is answered by the head that the other half refitted (with a training
    part: that refits, and the group's rows of the other half are put beside it), so no row had a
    part in its own answer.

    Parameters
    ----------
    embeddings, labels, members, train, together, key, weight_decay, progress
        As for ``repair_group``.
    strength : float
        0 or more; 0 is the plain refit, in which nothing counts more.
    n_classes : int
        C, for classes that no label has.

    Returns
    -------
    float64 array of shape (n, C)

    Raises
    ------
    InputError
        As for ``repair_group``.
    """
    asked = RepairCall.of(embeddings, labels, members, None, train, None, together, None)
    if not 0 <= strength < np.inf or n_classes < asked.n_classes:
        raise InputError(
            f"strength must be 0 or more and n_classes at least {asked.n_classes}: got {strength} and "
            f"{n_classes}."
        )
    half = asked.split(f"{key} outputs")
    found = np.empty((asked.n, n_classes))
    for at, measures in enumerate((half, ~half)):
        progress(at / 2, f"half {at + 1} of 2")
        refits = np.flatnonzero(~measures)
        counted = refits[asked.inside[refits]]
        base, n_base, places = refitting_rows(asked, refits, {TARGETED: counted})
        scaled = Standardised.of(base[0], n_base)
        with threadpool_limits(1, user_api="blas"):
            problem = HeadProblem(
                scaled.apply(base[0]), base[1], n_classes, weight_decay=weight_decay
            )
            weights = np.zeros(len(base[1]))
            weights[:n_base] = 1 / n_base
            weights[places[TARGETED]] += strength / len(counted)
            head = problem.solve(
                weights,
                slope=_SLOPE,
                tick=lambda at=at: progress(at / 2, f"half {at + 1} of 2"),  # type: ignore[misc]
            )
        measured = np.flatnonzero(measures)
        found[measured] = log_probabilities(head.logits(scaled.apply(asked.x[measured])))
    progress(1.0, "answered")
    return found


def _one_split(
    asked: RepairCall,
    measures: NDArray[np.bool_],
    strengths: Sequence[float],
    seed: int,
    debug: Debug | None,
    weight_decay: float,
    tally: RepairTally,
    progress: Progress,
) -> None:
    """Fit all heads of one split and note what they get right."""
    rng = np.random.default_rng(seed)
    refits, measured = np.flatnonzero(~measures), np.flatnonzero(measures)
    counted = refits[asked.inside[refits]]
    made = debug(asked.x[counted], asked.y[counted], seed) if callable(debug) else debug
    size = len(counted) if made is None else len(made[1])
    drawn = np.sort(rng.permutation(refits)[:size])
    wanted = {RANDOM: drawn} if made is not None else {TARGETED: counted, RANDOM: drawn}
    (base_x, base_y), n_base, places = refitting_rows(asked, refits, wanted)
    if made is not None:
        places = {TARGETED: len(base_y) + np.arange(size), **places}
        base_x = np.concatenate([base_x, made[0].astype(base_x.dtype)])
        base_y = np.concatenate([base_y, made[1]])
    scaled = Standardised.of(base_x, n_base)
    x = scaled.apply(base_x)
    problem = HeadProblem(x, base_y, asked.n_classes, weight_decay=weight_decay)
    base = np.zeros(len(x))
    base[:n_base] = 1 / n_base
    others = scaled.apply(asked.x[measured])
    truth = asked.y[measured]
    if asked.predictions is not None:
        tally.note(BEFORE, 0.0, measured, asked.predictions[measured] == truth, asked)

    ticks = _Ticks(2 + 2 * len(strengths), progress, f"split {seed + 1}")
    plain = problem.solve(base, slope=_SLOPE, tick=ticks.tick)
    tally.fitted(REFIT, 0.0, measured, plain, others, truth, asked)
    ticks.done("the head refitted")

    def chain(arm: str) -> list[RetrainedHead]:
        rows, heads = places[arm], [plain]
        for strength in sorted(strengths):
            weights = base.copy()
            weights[rows] += strength / len(rows)
            heads.append(problem.solve(weights, heads[-1], slope=_SLOPE, tick=ticks.tick))
            ticks.done(f"{arm}, strength {strength:g}")
        return heads[1:]

    # Two at once, a thread of products each: threads inside one product wait for each other.
    with ThreadPoolExecutor(2) as pool:
        chains = dict(zip(places, pool.map(chain, places), strict=True))
    for arm, heads in chains.items():
        for strength, head in zip(sorted(strengths), heads, strict=True):
            tally.fitted(arm, strength, measured, head, others, truth, asked)
    balanced = _balanced(asked, refits, scaled, rng, weight_decay, ticks.tick)
    if balanced is not None:
        tally.fitted(BALANCED, 0.0, measured, balanced, others, truth, asked)
    ticks.done("measured")


class _Ticks:
    """Progress that two threads report, and that stops both."""

    def __init__(self, steps: int, progress: Progress, what: str) -> None:
        self.steps, self.progress, self.what = steps, progress, what
        self.count, self.message = 0, "refitting"
        self.lock = threading.Lock()

    def tick(self) -> None:
        with self.lock:
            self.progress(self.count / self.steps, f"{self.what}: {self.message}")

    def done(self, message: str) -> None:
        with self.lock:
            self.count, self.message = self.count + 1, message
        self.tick()


def _balanced(
    asked: RepairCall,
    refits: NDArray[np.int64],
    scaled: Standardised,
    rng: np.random.Generator,
    weight_decay: float,
    tick: Callable[[], None],
) -> RetrainedHead | None:
    """The mean of heads on balanced draws; None where a cell is too small."""
    cells = asked.cells(refits)
    if cells is None:
        return None
    size = min(map(len, cells))
    heads = []
    for _ in range(BALANCED_HEADS):
        rows = np.sort(np.concatenate([rng.permutation(cell)[:size] for cell in cells]))
        x = scaled.apply(asked.x[rows])
        problem = HeadProblem(x, asked.y[rows], asked.n_classes, weight_decay=weight_decay)
        weights = np.full(len(rows), 1 / len(rows))
        heads.append(problem.solve(weights, slope=_SLOPE, tick=tick))
    return RetrainedHead(
        np.mean([one.weights for one in heads], axis=0),
        np.mean([one.bias for one in heads], axis=0),
        min((one.outcome for one in heads), key=lambda one: one == "converged"),
        sum(one.steps for one in heads),
        float(np.mean([one.objective for one in heads])),
    )
