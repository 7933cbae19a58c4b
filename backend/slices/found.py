"""What every method returns: groups with weights, and a rule that gives weights to unseen rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from backend.core.effects import Effect
from backend.core.errors import InputError
from backend.core.progress import Progress
from backend.core.wording import fewer_words
from backend.slices.inputs import Inputs, check_inputs, needed

Ranked = tuple[NDArray[np.float64], NDArray[np.float64]]
Rule = Callable[[Inputs], Ranked]
"""From ``m`` examples to weights (r, m) in [0, 1] and scores (r, m), higher for better members."""


class Refit(Protocol):
    """The same method with the same options on other examples."""

    def __call__(self, inputs: Inputs, *, progress: Progress) -> FoundGroups: ...


MIN_MEMBERS = 10
"""A part of a model with less weight than this is no group: its mean loss is an accident."""


@dataclass(frozen=True)
class OwnTest:
    """What a method says itself of its ``r`` groups, so that nothing is searched again to test them.

    ``p`` (r,) with what examples kept aside say of each group, and the verdict in words.
    """

    p: NDArray[np.float64]
    effects: tuple[Effect, ...]
    verdicts: tuple[str, ...]


@dataclass(frozen=True)
class FoundGroups:
    """Groups that one method found. ``r`` groups, ``n`` examples; the worst group first.

    Attributes
    ----------
    method : str
        Key of ``backend.slices.METHODS``.
    weights : float64 array of shape (r, n)
        Membership in [0, 1]; 0 or 1 for methods that draw sharp borders.
    scores : float64 array of shape (r, n)
        Ranking of the members, higher first: finer than the weights where those tie.
    names, kinds : tuple of r str
        What to call each group, no two the same, and what it is bound to ("class", "all", ...).
    sizes, effective_sizes : float64 array of shape (r,)
        Total weight, and ``(sum w)^2 / sum w^2``, in examples.
    mean_losses : float64 array of shape (r,)
        ``sum w l / sum w`` over the examples that are not kept aside: what groups are ordered by.
    group_notes : tuple of r str
        What the method says of each group; may be empty.
    notes : tuple of str
        What was assumed, capped or left out, as sentences.
    parameters : dict
        Options it ran with.
    sees : tuple of str
        What the rule for unseen examples looks at besides the embedding.
    own : OwnTest or None
        Of a method that tests its groups itself.
    fewer : str
        Why there are fewer groups than were asked for, a sentence that is among the notes too;
        empty where there are not.
    """

    method: str
    weights: NDArray[np.float64] = field(repr=False)
    scores: NDArray[np.float64] = field(repr=False)
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    sizes: NDArray[np.float64]
    effective_sizes: NDArray[np.float64]
    mean_losses: NDArray[np.float64]
    group_notes: tuple[str, ...]
    notes: tuple[str, ...]
    parameters: dict[str, Any]
    sees: tuple[str, ...]
    inputs: Inputs = field(repr=False)
    rule: Rule = field(repr=False)
    refit: Refit | None = field(repr=False)
    own: OwnTest | None = field(default=None, repr=False, kw_only=True)
    fewer: str = field(default="", kw_only=True)

    def __len__(self) -> int:
        return len(self.names)

    def members(self, group: int) -> NDArray[np.int64]:
        """Rows of the ``round(size)`` best members by score, best first; ties: lower row first."""
        count = min(round(float(self.sizes[group])), self.weights.shape[1])
        return np.argsort(-self.scores[group], kind="stable")[:count].astype(np.int64)

    def score(
        self,
        embeddings: Any,
        *,
        losses: Any = None,
        labels: Any = None,
        predictions: Any = None,
        probabilities: Any = None,
    ) -> NDArray[np.float64]:
        """Weights (r, m) of ``m`` unseen examples, by the rule this method found.

        Parameters
        ----------
        embeddings : array-like of shape (m, d)
        losses, labels, predictions, probabilities : array-like, optional
            As when the groups were found; ``sees`` says which are looked at.

        Raises
        ------
        InputError
            If a field that the rule looks at is missing, or the dimension differs.
        """
        needs = [name for name in self.sees if name != "labels" or self.inputs.labels is not None]
        inputs = check_inputs(
            f"the rule of {self.method}",
            embeddings,
            losses,
            labels,
            predictions,
            probabilities=probabilities,
            classes=self.inputs.classes or None,
            needs=needs,
        )
        d = self.inputs.embeddings.shape[1]
        if inputs.embeddings.shape[1] != d:
            raise InputError(
                f"embeddings must have the {d} dimensions the groups were found in: "
                f"got {inputs.embeddings.shape[1]}."
            )
        return self.rule(inputs)[0]

    def to_dict(self) -> dict[str, Any]:
        """Everything but the arrays of length n and the rules, as JSON."""
        return {
            "method": self.method,
            "groups": [
                {
                    "name": self.names[group],
                    "kind": self.kinds[group],
                    "size": float(self.sizes[group]),
                    "effective_size": float(self.effective_sizes[group]),
                    "mean_loss": float(self.mean_losses[group]),
                    "note": self.group_notes[group],
                }
                for group in range(len(self))
            ],
            "notes": list(self.notes),
            "fewer": self.fewer,
            "parameters": dict(self.parameters),
        }


def found_groups(
    method: str,
    inputs: Inputs,
    rule: Rule,
    refit: Refit | None,
    *,
    names: Sequence[str],
    kinds: Sequence[str],
    sees: Sequence[str] = (),
    group_notes: Sequence[str] | None = None,
    notes: Sequence[str] = (),
    parameters: dict[str, Any],
    asked: tuple[int, str],
    ranked: Ranked | None = None,
    kind: type[FoundGroups] = FoundGroups,
    **more: Any,
) -> Any:
    """A result, its numbers computed from the rule.

    ``ranked`` takes the place of the rule on the examples that found the groups, or on all. Else
    those kept aside get their weights from the rule, which then reads predictions in place of
    probabilities: how sure the model was is another name for the loss. ``asked`` is how many groups
    there should be, and why there may be fewer. A name that an earlier group has gets a number.
    """
    known = inputs.known
    weights, scores = rule(known) if ranked is None else ranked
    if inputs.kept_aside is not None and weights.shape[1] < len(inputs):
        weights, scores = _with_kept_aside(inputs, inputs.kept_aside, rule, (weights, scores))
    finding = weights if inputs.kept_aside is None else weights[:, ~inputs.kept_aside]
    sizes = weights.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        effective = sizes**2 / np.square(weights).sum(axis=1)
        means = finding @ needed(known.losses) / finding.sum(axis=1)
    fewer = fewer_words(len(names), *asked)
    return kind(
        method=method,
        weights=weights,
        scores=scores,
        names=told_apart(names),
        kinds=tuple(kinds),
        sizes=sizes,
        effective_sizes=effective,
        mean_losses=means,
        group_notes=tuple(group_notes) if group_notes is not None else ("",) * len(names),
        notes=(*notes, fewer) if fewer else tuple(notes),
        fewer=fewer,
        parameters=parameters,
        sees=tuple(sees),
        inputs=inputs,
        rule=rule,
        refit=refit,
        **more,
    )


def told_apart(names: Sequence[str]) -> tuple[str, ...]:
    """The names, those that come again with a number: "Shirt", "Shirt (2)"."""
    apart: list[str] = []
    taken = set(names)
    for at, name in enumerate(names):
        if name in names[:at]:
            name = next(one for number in count(2) if (one := f"{name} ({number})") not in taken)
            taken.add(name)
        apart.append(name)
    return tuple(apart)


def _with_kept_aside(
    inputs: Inputs, aside: NDArray[np.bool_], rule: Rule, ranked: Ranked
) -> Ranked:
    """Weights and scores of all examples, from those of the known ones and the rule for the rest."""
    unseen = replace(inputs.take(np.flatnonzero(aside)), probabilities=None, losses=None)
    whole = []
    for known, rest in zip(ranked, rule(unseen), strict=True):
        values = np.zeros((len(known), len(aside)))
        values[:, ~aside], values[:, aside] = known, rest
        whole.append(values)
    return whole[0], whole[1]


def worst_first(
    weights: NDArray[np.float64], losses: NDArray[np.float64], n_groups: int, least: float
) -> NDArray[np.int64]:
    """Up to ``n_groups`` rows of ``weights`` (k, n) by falling mean loss; ties: lower row first.

    Those with a total or an effective weight below ``least`` are left out.
    """
    totals = weights.sum(axis=1)
    squares = np.square(weights).sum(axis=1)
    enough = (totals >= least) & (totals**2 >= least * squares) & (totals > 0)
    means = np.where(enough, weights @ losses / np.where(totals > 0, totals, 1.0), -np.inf)
    order = np.argsort(-means, kind="stable")[:n_groups]
    return order[enough[order]]


def weighted_jaccard(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float64]:
    """``sum min / sum max`` of each row of (a, n) with each row of (b, n); shape (a, b).

    Between 0 and 1; for sharp groups the plain Jaccard index. NaN between two empty groups.
    """
    first = np.atleast_2d(np.asarray(first, dtype=np.float64))
    second = np.atleast_2d(np.asarray(second, dtype=np.float64))
    overlap = np.full((len(first), len(second)), np.nan)
    for i, one in enumerate(first):
        for j, other in enumerate(second):
            whole = np.maximum(one, other).sum()
            if whole > 0:
                overlap[i, j] = np.minimum(one, other).sum() / whole
    return overlap
