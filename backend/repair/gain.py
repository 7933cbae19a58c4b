"""What a cheap repair of one group would buy, measured on rows that had no part in it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from backend.core.arrays import as_numpy, check_matrix
from backend.core.errors import InputError
from backend.core.parts import deal
from backend.core.progress import Progress, ignore_progress, share_of
from backend.core.statistics import UNDEFINED, Interval, mean_interval
from backend.repair.head import (
    WEIGHT_DECAY,
    HeadProblem,
    RetrainedHead,
    check_classes,
    log_probabilities,
)

BEFORE = "before"
REFIT = "plain refit"
TARGETED = "the group counts more"
RANDOM = "random rows count more"
BALANCED = "refit on a balanced set"
ARMS = (BEFORE, REFIT, TARGETED, RANDOM, BALANCED)
GROUP, REST, ALL, WORST = "the group", "the others", "all", "worst class"
PARTS = (GROUP, REST, ALL, WORST)

STRENGTHS = (0.1, 0.25, 0.5, 1.0, 2.0)
SEEDS = 5
FEWEST_CLASS = 10
"""Measured rows of a class (or group) below which it cannot be the worst."""
FEWEST_CELL = 5
"""Rows of the smallest cell below which there is no balanced set."""
BALANCED_HEADS = 5
_CHUNK = 200_000
_SLOPE = 1e-4

HELPS = "the group gains"
NOT_MORE = "no more than a plain refit gives"
NOT_TARGETED = "random rows do as much"
NOTHING = "nothing is gained"

Floats = NDArray[Any]
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
    asked = _Asked.of(
        embeddings, labels, members, predictions, train, measurable, together, worst_of
    )
    if seeds < 2 or not strengths or any(not 0 < one < np.inf for one in strengths):
        raise InputError(
            "repair needs two splits or more and strengths above 0: got "
            f"{seeds} and {list(strengths)}."
        )
    if debug is not None and not callable(debug):
        debug = _checked_debug(debug, asked)
    tally = _Tally(asked.n)
    sizes = (0, 0, 0, 0)
    for seed in range(seeds):
        measures = asked.split(f"{key} {seed}")
        if seed == 0:
            sizes = asked.sizes(measures)

        step = share_of(progress, seed / seeds, (seed + 1) / seeds)
        with threadpool_limits(1, user_api="blas"):
            _one_split(asked, measures, strengths, seed, debug, weight_decay, tally, step)
    return GroupRepair(
        tally.table(asked), tally.gains(asked, strengths), tally.means(), *sizes, tally.outcomes
    )


def repair_verdict(repair: GroupRepair, strength: float) -> str:
    """What counting the group more bought, in a few words.

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
        Above 0.
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
    asked = _Asked.of(embeddings, labels, members, None, train, None, together, None)
    if not 0 < strength < np.inf or n_classes < asked.n_classes:
        raise InputError(
            f"strength must be above 0 and n_classes at least {asked.n_classes}: got {strength} and "
            f"{n_classes}."
        )
    half = asked.split(f"{key} outputs")
    found = np.empty((asked.n, n_classes))
    for at, measures in enumerate((half, ~half)):
        progress(at / 2, f"half {at + 1} of 2")
        refits = np.flatnonzero(~measures)
        counted = refits[asked.inside[refits]]
        base, n_base, places = _base(asked, refits, {TARGETED: counted})
        scaled = _Scaled.of(base[0], n_base)
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


def _checked_debug(debug: tuple[Any, Any], asked: _Asked) -> tuple[Floats, NDArray[np.int64]]:
    x = check_matrix("debug embeddings", debug[0])
    if x.shape[1] != asked.x.shape[1]:
        raise InputError(
            "debug embeddings must have the dimensions of the embeddings: got "
            f"{x.shape[1]} and {asked.x.shape[1]}. Take both from the same layer."
        )
    y = check_classes("debug labels", debug[1], len(x))
    if int(y.max()) >= asked.n_classes:
        raise InputError(f"debug labels must be below {asked.n_classes}: got {y.max()}.")
    return x, y


def _base(
    asked: _Asked, refits: NDArray[np.int64], more: Mapping[str, NDArray[np.int64]]
) -> tuple[tuple[Floats, NDArray[np.int64]], int, dict[str, NDArray[np.int64]]]:
    """Features and labels of what refits, how many of them are the original ones, places of ``more``."""
    if asked.train is None:
        places = {name: np.searchsorted(refits, rows) for name, rows in more.items()}
        return (asked.x[refits], asked.y[refits]), len(refits), places
    extra = np.unique(np.concatenate(list(more.values())))
    n_base = len(asked.train[1])
    x = np.concatenate([asked.train[0], asked.x[extra]])
    y = np.concatenate([asked.train[1], asked.y[extra]])
    return (x, y), n_base, {n: n_base + np.searchsorted(extra, r) for n, r in more.items()}


@dataclass(frozen=True)
class _Asked:
    """What is repaired, checked."""

    x: Floats
    y: NDArray[np.int64]
    inside: NDArray[np.bool_]
    predictions: NDArray[np.int64] | None
    train: tuple[Floats, NDArray[np.int64]] | None
    measurable: NDArray[np.bool_]
    together: NDArray[Any] | None
    worst_of: NDArray[np.int64]
    n_classes: int

    @classmethod
    def of(
        cls,
        embeddings: Any,
        labels: Any,
        members: Any,
        predictions: Any,
        train: tuple[Any, Any] | None,
        measurable: Any,
        together: Any,
        worst_of: Any,
    ) -> _Asked:
        x = check_matrix("embeddings", embeddings)
        n = len(x)
        y = check_classes("labels", labels, n)
        rows = np.asarray(as_numpy(members))
        if rows.ndim != 1 or rows.dtype.kind not in "iu" or len(np.unique(rows)) < len(rows):
            raise InputError(f"members must be rows, each once: got shape {rows.shape}.")
        if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < n:
            raise InputError(f"members must be rows from 0 to {n - 1}: got {rows.max()}.")
        inside = np.zeros(n, bool)
        inside[rows] = True
        own = None if predictions is None else check_classes("predictions", predictions, n)
        n_classes = 1 + int(max(y.max(), -1 if own is None else own.max()))
        if train is not None:
            given = check_matrix("train embeddings", train[0])
            if given.shape[1] != x.shape[1]:
                raise InputError(
                    "train embeddings must have the dimensions of the embeddings: got "
                    f"{given.shape[1]} and {x.shape[1]}."
                )
            codes = check_classes("train labels", train[1], len(given))
            train = (given, codes)
            n_classes = max(n_classes, 1 + int(codes.max()))
        if n_classes < 2:
            raise InputError("a head needs two classes or more to tell apart: got 1.")
        may = np.ones(n, bool) if measurable is None else np.asarray(as_numpy(measurable))
        if may.shape != (n,) or may.dtype != bool:
            raise InputError(f"measurable must be true or false per embedding: got {may.shape}.")
        if together is not None and len(together) != n:
            raise InputError(f"together must be one per embedding: got {len(together)} for {n}.")
        worst = y if worst_of is None else check_classes("worst_of", worst_of, n)
        held = None if together is None else np.asarray(together)
        return cls(x, y, inside, own, train, may, held, worst, n_classes)

    @property
    def n(self) -> int:
        return len(self.x)

    def split(self, key: str) -> NDArray[np.bool_]:
        """Which rows measure: half of those that may, evenly in each label and the group."""
        may = np.flatnonzero(self.measurable)
        cells = (2 * self.y + self.inside)[may]
        groups = None if self.together is None else self.together[may]
        half = deal(len(may), key=f"repair {key}", shares=(1, 1), labels=cells, groups=groups) == 0
        measures = np.zeros(self.n, bool)
        measures[may[half]] = True
        if not (measures & self.inside).any() or not (~measures & self.inside).any():
            where = "" if self.measurable.all() else " kept aside"
            raise InputError(
                "the group needs members on both sides, to refit and to measure: it has "
                f"{int((self.inside & self.measurable).sum())}{where} of {int(self.inside.sum())}."
            )
        return measures

    def sizes(self, measures: NDArray[np.bool_]) -> tuple[int, int, int, int]:
        counted = ~measures & self.inside
        n_refit = (
            int((~measures).sum())
            if self.train is None
            else len(self.train[1]) + int(counted.sum())
        )
        cells = self.cells(np.flatnonzero(~measures))
        balanced = 0 if cells is None else len(cells) * min(map(len, cells))
        return n_refit, int(counted.sum()), int((measures & self.inside).sum()), balanced

    def cells(self, rows: NDArray[np.int64]) -> list[NDArray[np.int64]] | None:
        """These rows by label and membership; None where a cell is too small to balance."""
        code = 2 * self.y[rows] + self.inside[rows]
        cells = [rows[code == one] for one in np.unique(code)]
        return cells if min(map(len, cells)) >= FEWEST_CELL else None


def _one_split(
    asked: _Asked,
    measures: NDArray[np.bool_],
    strengths: Sequence[float],
    seed: int,
    debug: Debug | None,
    weight_decay: float,
    tally: _Tally,
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
    (base_x, base_y), n_base, places = _base(asked, refits, wanted)
    if made is not None:
        places = {TARGETED: len(base_y) + np.arange(size), **places}
        base_x = np.concatenate([base_x, made[0].astype(base_x.dtype)])
        base_y = np.concatenate([base_y, made[1]])
    scaled = _Scaled.of(base_x, n_base)
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
    asked: _Asked,
    refits: NDArray[np.int64],
    scaled: _Scaled,
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


@dataclass(frozen=True)
class _Scaled:
    """Features standardised by the rows that refit, as deep feature reweighting has them."""

    center: Floats
    spread: Floats

    @classmethod
    def of(cls, x: Floats, n: int) -> _Scaled:
        center = x[:n].mean(axis=0, dtype=np.float64)
        total = np.zeros(x.shape[1])
        for start in range(0, n, _CHUNK):
            total += np.square(x[start : min(n, start + _CHUNK)] - center).sum(axis=0)
        spread = np.sqrt(total / n)
        return cls(center, np.where(spread > 1e-6 * spread.max(initial=1e-30), spread, np.inf))

    def apply(self, x: Floats) -> Floats:
        return np.asarray((x - self.center) / self.spread, np.float32)


class _Tally:
    """What every arm got right, split by split."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.shares: dict[tuple[str, float], dict[str, list[tuple[float, int]]]] = {}
        self.sums: dict[tuple[str, float], Floats] = {}
        self.times = np.zeros(n)
        self.outcomes: dict[str, int] = {}

    def fitted(
        self,
        arm: str,
        strength: float,
        rows: NDArray[np.int64],
        head: RetrainedHead,
        x: Floats,
        truth: NDArray[np.int64],
        asked: _Asked,
    ) -> None:
        """Note what a head gets right on these rows."""
        self.outcomes[head.outcome] = self.outcomes.get(head.outcome, 0) + 1
        if arm == REFIT:
            self.times[rows] += 1
        self.note(arm, strength, rows, head.predict(x) == truth, asked)

    def note(
        self,
        arm: str,
        strength: float,
        rows: NDArray[np.int64],
        right: NDArray[np.bool_],
        asked: _Asked,
    ) -> None:
        key = (arm, float(strength))
        mine = asked.inside[rows]
        if key not in self.sums:
            self.sums[key] = np.zeros(self.n)
            self.shares[key] = {part: [] for part in PARTS}
        self.sums[key][rows] += right
        held = self.shares[key]
        for part, chosen in ((GROUP, mine), (REST, ~mine), (ALL, np.ones(len(rows), bool))):
            if chosen.any():
                held[part].append((float(right[chosen].mean()), int(chosen.sum())))
        code = asked.worst_of[rows]
        counts = np.bincount(code)
        enough = np.flatnonzero(counts >= FEWEST_CLASS)
        if len(enough):
            rates = np.bincount(code, weights=right)[enough] / counts[enough]
            at = int(rates.argmin())
            held[WORST].append((float(rates[at]), int(counts[enough[at]])))

    def table(self, asked: _Asked) -> pd.DataFrame:
        """The accuracies of all arms with intervals over splits."""
        lines = []
        for (arm, strength), parts in sorted(
            self.shares.items(), key=lambda item: (ARMS.index(item[0][0]), item[0][1])
        ):
            for part, found in parts.items():
                mean = mean_interval([share for share, _ in found])
                n = float(np.mean([size for _, size in found])) if found else 0.0
                ends = np.clip([mean.low, mean.high], 0, 1)  # no share lies beyond
                lines.append((arm, strength, part, n, mean.value, *map(float, ends)))
        columns = ["arm", "strength", "part", "n", "accuracy", "low", "high"]
        return pd.DataFrame(lines, columns=columns)

    def means(self) -> dict[tuple[str, float], Floats]:
        with np.errstate(invalid="ignore"):
            return {key: sums / self.times for key, sums in self.sums.items()}

    def gains(self, asked: _Asked, strengths: Sequence[float]) -> pd.DataFrame:
        """Changes per example, against the plain refit and against random rows."""
        means = self.means()
        lines = []
        for strength in sorted(map(float, strengths)):
            for part, chosen in ((GROUP, asked.inside), (REST, ~asked.inside)):
                rows = np.flatnonzero(chosen & (self.times > 0))
                for against in (REFIT, RANDOM):
                    base = (REFIT, 0.0) if against == REFIT else (RANDOM, strength)
                    change = means[TARGETED, strength][rows] - means[base][rows]
                    gain = mean_interval(change) if len(rows) else UNDEFINED
                    lines.append((strength, part, against, len(rows), *_ends(gain)))
        columns = ["strength", "part", "against", "n", "gain", "low", "high"]
        return pd.DataFrame(lines, columns=columns)


def _ends(interval: Interval) -> tuple[float, float, float]:
    return interval.value, interval.low, interval.high
