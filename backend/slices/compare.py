"""Groups of several methods side by side: one table, one overlap matrix, one test for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core import wording
from backend.core.arrays import as_numpy, check_vector
from backend.core.effects import Effect
from backend.core.errors import InputError
from backend.core.groups import SMALL
from backend.core.progress import Progress, ignore_progress
from backend.slices.agreement import FOLD_SHARE
from backend.slices.effects import REFOUND, measure_groups
from backend.slices.found import FoundGroups, weighted_jaccard
from backend.slices.held_out import held_out_numbers
from backend.slices.inputs import check_aside

COLUMNS = (
    "method",
    "group",
    "kind",
    "size",
    "effective_size",
    "members",
    "mean_loss",
    "ratio",
    "held_out_loss",
    "held_out_ratio",
    "rediscovered",
    "multiple",
    "p",
    "verdict",
    "small",
    "folded_into",
    "note",
)


@dataclass(frozen=True)
class MethodComparison:
    """Groups of several methods, in the order given.

    Attributes
    ----------
    table : DataFrame
        One row per group.

        method, group, kind, note : text
        size, effective_size, members : examples; the first two by weight
        mean_loss, ratio : the weighted mean loss over the examples that are not kept aside, and
            that over the mean of all their losses (NaN unless the latter is positive)
        held_out_loss, held_out_ratio : weighted mean loss on the half on which the group was not
            found, mean of both directions, and that over the mean loss of those halves
        rediscovered : weighted Jaccard index in [0, 1] between the group and the one found on half
            of the data that resembles it most, mean of both directions
        multiple, verdict : of the effect, and of effect and p together (``backend.core.wording``);
            NaN and empty where nothing is kept aside
        p : see ``compare_groups``
        small : fewer than 30 effective examples
        folded_into : row of the larger group that holds 80 % of its members, or missing
    overlap : float array of shape (g, g)
        Weighted Jaccard index of every two groups; 1 on the diagonal.
    members : tuple of g int arrays
        Rows of each group's members, best first.
    effects : tuple of g, each Effect or None
        What examples kept aside say of each group; None where none are, and of groups that are
        defined by the loss.
    """

    table: pd.DataFrame
    overlap: NDArray[np.float64]
    members: tuple[NDArray[np.int64], ...]
    effects: tuple[Effect | None, ...]


def compare_groups(
    results: Sequence[FoundGroups],
    losses: Any,
    *,
    held_out: bool = True,
    shuffles: int = 199,
    fold_share: float = FOLD_SHARE,
    kept_aside: Any = None,
    groups: Any = None,
    seed: int = 0,
    progress: Progress = ignore_progress,
) -> MethodComparison:
    """Put the groups of several methods into one table, tested on data they were not found on.

    *Effect.* Of groups that were found without the examples kept aside: raw losses and errors of
    their members among these (``backend.core.effects.measure_effect``). A method that looked at
    all examples is run once more without them, and what it finds then is measured in place of its
    groups: the counterpart of a group with a small p, matched one to one by overlap of weights;
    the others take what is left, in order, as which of two chance findings resembles a group more
    is decided by the very losses to be reported.

    *p.* Every method is run again on each of two random halves of the examples that are not kept
    aside (balanced within each label). Its rule
    gives weights to the examples of the other half: clusters assign the nearest part, mixtures
    their posterior, directions their plane and threshold, error clusters their ball, a spotlight
    its kernel. A group's counterpart is the group of a half whose weights on all examples overlap
    with it most; only weights are compared, so no held-out loss takes part in the choice. Below a
    weighted Jaccard index of 0.2 there is none: the group was not found again, its held-out loss
    in that direction is missing and its p is 1.

    The claim is a permutation test. Residuals are losses minus the mean of their stratum: the true
    label where there is one, and label and prediction where the rule looks at predictions. For
    every group that the half found, ``z = sum w r / sqrt(sum w^2 var r)`` on the other half; the
    residuals of that half are shuffled within strata, and the largest ``z`` over *all* groups that
    the method found there is recorded. ``p = 2 (1 + b) / (1 + shuffles)``, at most 1, the smaller
    of both directions; ``b`` counts maxima at or above the counterpart's ``z`` and 2 pays for the
    choice of direction. So p asks whether the place matters beyond the label, for the number of
    groups this method lists; it does not pay for comparing several methods. A method that tests its
    groups itself (``FoundGroups.own``) is not run again.

    Parameters
    ----------
    results : sequence of FoundGroups
        All found on the same ``n`` examples.
    losses : array-like of shape (n,)
    held_out : bool
        Run the methods on halves; takes about as long as finding the groups did. Without it the
        held-out columns and p are NaN.
    shuffles : int
        At least 19: fewer cannot reach p = 0.1.
    fold_share : float
        In (0.5, 1]: a group is folded into the largest other one (any method) that has more
        members and holds at least this share of its members. Groups of equal size fold into the
        earlier row. A group never folds into one that is folded itself.
    kept_aside : bool array-like of shape (n,), optional
        Examples that measure; by default those without which the results were found.
    groups : int array-like of shape (n,), optional
        Rows of one code stay in one half and count as one; below 0 a row goes alone.
    seed : int
        Of the halves and the shuffles.
    progress : Progress

    Returns
    -------
    MethodComparison

    Notes
    -----
    Rules that look at predictions know a mistake when they see one, and a loss threshold knows the
    loss: their ``held_out_ratio`` is high by construction and says so in ``note``. Where a rule
    reads probabilities it reads one-hot predictions on the held-out half, since confidence is
    another name for the loss. Groups defined by the loss itself have no p.

    Raises
    ------
    InputError
        If there is no result, lengths differ, a result was found without other examples than those
        kept aside, or an option is out of range.

    References
    ----------
    Westfall and Young, Resampling-Based Multiple Testing, Wiley 1993 (max-T).
    """
    losses = check_vector("losses", losses)
    if not results:
        raise InputError("compare_groups needs at least one result: got none.")
    for result in results:
        if result.weights.shape[1] != len(losses):
            raise InputError(
                f"losses must be one per example: {result.method} weighs "
                f"{result.weights.shape[1]} examples and there are {len(losses)} losses."
            )
    if shuffles < 19:
        raise InputError(f"shuffles must be at least 19: got {shuffles}.")
    if not 0.5 < fold_share <= 1:
        raise InputError(f"fold_share must be in (0.5, 1]: got {fold_share}.")
    aside = _aside(results, kept_aside, len(losses))
    units = _units(groups, len(losses))
    known = np.arange(len(losses)) if aside is None else np.flatnonzero(~aside)
    weights = np.concatenate([result.weights for result in results])
    members = tuple(result.members(group) for result in results for group in range(len(result)))
    numbers = {
        name: np.full(len(weights), np.nan) for name in ("held_out_loss", "rediscovered", "p")
    }
    base = float(losses[known].mean())
    held_base = np.nan
    if held_out and len(known) >= 4:
        held_base, numbers = held_out_numbers(
            results,
            losses,
            shuffles,
            seed,
            lambda done, told: progress(0.8 * done, told),
            known=known,
            units=units,
        )
    own = np.concatenate(
        [np.full(len(one), np.nan) if one.own is None else one.own.p for one in results]
    )
    p = numbers["p"] = np.where(np.isnan(own), numbers["p"], own)
    effects: tuple[Effect | None, ...] = (None,) * len(members)
    if aside is not None:
        effects = measure_groups(
            results,
            members,
            losses,
            aside,
            p,
            units=units,
            progress=lambda done, told: progress(0.8 + 0.2 * done, told),
        )
    table = pd.DataFrame(
        [
            {
                "method": result.method,
                "group": result.names[group],
                "kind": result.kinds[group],
                "size": result.sizes[group],
                "effective_size": result.effective_sizes[group],
                "mean_loss": result.mean_losses[group],
                "note": "; ".join(
                    filter(None, (result.group_notes[group], _caution(result, aside is not None)))
                ),
            }
            for result in results
            for group in range(len(result))
        ],
        columns=["method", "group", "kind", "size", "effective_size", "mean_loss", "note"],
    )
    table["members"] = [len(rows) for rows in members]
    table["ratio"] = table["mean_loss"] / base if base > 0 else np.nan
    for name, values in numbers.items():
        table[name] = values
    table["held_out_ratio"] = table["held_out_loss"] / held_base if held_base > 0 else np.nan
    table["multiple"] = [np.nan if one is None else one.multiple for one in effects]
    said = [text for one in results for text in _verdicts(one)]
    table["verdict"] = [
        "" if aside is None else given or _verdict(kind, value, effect)
        for given, kind, value, effect in zip(said, table["kind"], p, effects, strict=True)
    ]
    table["small"] = table["effective_size"] < SMALL
    table["folded_into"] = pd.array(fold(members, len(losses), fold_share), dtype="Int64")
    progress(1.0, "Done")
    overlap = weighted_jaccard(weights, weights)
    return MethodComparison(table[list(COLUMNS)], overlap, members, effects)


def fold(
    members: Sequence[NDArray[np.int64]], n: int, share: float = FOLD_SHARE
) -> list[int | None]:
    """For each group the larger group that holds ``share`` of its members, or None.

    Parameters
    ----------
    members : sequence of int arrays
        Rows of each group, among ``n``.
    n : int
    share : float

    Returns
    -------
    list of int or None
        Groups are visited from the largest down (equal sizes: in order); each is folded into the
        largest of those visited and not folded themselves, ties to the earlier. Empty groups stay.
    """
    into: list[int | None] = [None] * len(members)
    kept: list[tuple[int, NDArray[np.bool_]]] = []
    for group in sorted(range(len(members)), key=lambda at: -len(members[at])):
        rows = members[group]
        if len(rows) == 0:
            continue
        for at, held in kept:
            if held[rows].sum() >= share * len(rows) - 1e-9:
                into[group] = at
                break
        else:
            held = np.zeros(n, dtype=bool)
            held[rows] = True
            kept.append((group, held))
    return into


def _aside(results: Sequence[FoundGroups], kept_aside: Any, n: int) -> NDArray[np.bool_] | None:
    """The rows that measure: as given, or those without which the results were found."""
    left_out = [one.inputs.kept_aside for one in results if one.inputs.kept_aside is not None]
    aside = next(iter(left_out), None) if kept_aside is None else check_aside(kept_aside, n)
    if any(aside is None or not np.array_equal(one, aside) for one in left_out):
        raise InputError(
            "kept_aside must be the examples without which every result was found: got others."
        )
    return aside


def _units(groups: Any, n: int) -> NDArray[np.int64] | None:
    """Number of the unit of each row: its group, or a number of its own."""
    if groups is None:
        return None
    codes = np.asarray(as_numpy(groups))
    if codes.shape != (n,) or codes.dtype.kind not in "iu":
        raise InputError(
            f"groups must be one whole number per example: got {codes.dtype} of shape "
            f"{codes.shape} for {n} examples."
        )
    codes = codes.astype(np.int64)
    alone = codes < 0
    codes[alone] = codes.max(initial=-1) + 1 + np.arange(alone.sum())
    return codes


def _verdicts(result: FoundGroups) -> Sequence[str]:
    """What the method says itself; empty where it leaves that to the comparison."""
    return ("",) * len(result) if result.own is None else result.own.verdicts


def _verdict(kind: str, p: float, effect: Effect | None) -> str:
    """What is said of a group that the comparison tested."""
    if kind == "confusion" and p > wording.LEVEL and effect is not None and effect.above:
        return wording.CELL  # within which its losses were shuffled
    return wording.verdict(p, effect, bound=kind == "class")


def _caution(result: FoundGroups, measured: bool) -> str:
    if "losses" in result.sees:
        said = "there is nothing to test" if measured else "its losses are high by construction"
        return f"defined by the loss: {said}"
    if "predictions" in result.sees:
        return "its rule sees predictions: errors and losses are high by construction"
    if measured and result.own is None and result.inputs.kept_aside is None:
        return REFOUND
    return ""
