"""Two populations beside each other: the examples on which they differ, and who voted how on one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.errors import InputError
from backend.populations.answers import MODAL, most_divergent
from backend.populations.ensemble import Ensemble

MOST_LABELS = 7
"""Labels of a table of votes; models seldom give more to one example."""


@dataclass(frozen=True)
class PairCounts:
    """How many examples differ, how many of them by a tie, and which side is right on them.

    ``n_baseline_right`` and ``n_compressed_right`` count those whose modal label is the true one;
    None without labels.
    """

    n: int
    n_tied: int
    n_baseline_right: int | None
    n_compressed_right: int | None


@dataclass(frozen=True)
class ExampleVotes:
    """What every model of two populations says of one example.

    Attributes
    ----------
    table : DataFrame
        ``label``; ``baseline`` and ``compressed``, the share of the models of each population that
        give it; ``n baseline`` and ``n compressed``. The seven labels of most votes at most, shares
        of both populations added; ties go to the lower class.
    answers : int array of shape (2, w)
        Class of each model, the baseline's first; -1 where a population has fewer models.
    kinds : float array of shape (2, w)
        0 where a model says the baseline's mode, 1 the other mode, 0.5 something else; NaN where
        there is no model.
    changed : bool array of shape (w,), or None
        Where the models of one place differ; None where the populations are not equally large.
    """

    table: pd.DataFrame
    answers: NDArray[np.int64] = field(repr=False)
    kinds: NDArray[np.float64] = field(repr=False)
    changed: NDArray[np.bool_] | None = field(repr=False)


@dataclass(frozen=True)
class PopulationPair:
    """Two populations of one bundle and the examples on which they differ.

    Attributes
    ----------
    ensemble : Ensemble
    baseline, compressed : str
        Their names.
    kind : {"modal", "taxicab"}
        What counts as a difference; see ``cie_mask``.
    mask : bool array of shape (n,)
        The examples that differ.
    modes : int array of shape (2, n)
        Modal class of each population, the baseline's first.
    tied : bool array of shape (n,)
        Where either mode was one of several.
    taxicab : float array of shape (n,)
        How differently the populations answer, from 0 to 2.
    """

    ensemble: Ensemble
    baseline: str
    compressed: str
    kind: str
    mask: NDArray[np.bool_] = field(repr=False)
    modes: NDArray[Any] = field(repr=False)
    tied: NDArray[np.bool_] = field(repr=False)
    taxicab: NDArray[np.float64] = field(repr=False)

    @property
    def before(self) -> NDArray[Any]:
        """Answers of the baseline's models, shape (m, n)."""
        return self.ensemble.populations[self.baseline]

    @property
    def after(self) -> NDArray[Any]:
        """Answers of the compressed models, shape (m, n)."""
        return self.ensemble.populations[self.compressed]

    @property
    def word(self) -> str:
        """What the examples that differ are called."""
        return "PIE" if self.kind == MODAL else "taxicab CIE"

    @property
    def counts(self) -> PairCounts:
        """How many examples differ, by a tie, and with which side right."""
        labels = self.ensemble.labels
        right: list[int | None] = [None, None]
        if labels is not None:
            hits = self.modes[:, self.mask] == labels[self.mask]
            right = [int(own) for own in hits.sum(axis=1)]
        return PairCounts(int(self.mask.sum()), int(self.tied[self.mask].sum()), *right)

    def rows(self) -> NDArray[np.int64]:
        """The examples that differ, strongest change first; ties go to the lower row."""
        rows = np.flatnonzero(self.mask)
        return rows[np.argsort(-self.taxicab[rows], kind="stable")]

    def source(self) -> dict[str, object]:
        """What the record of a tag says of the examples that differ."""
        return {
            "kind": "pie",
            "selection": self.kind,
            "baseline": self.baseline,
            "compressed": self.compressed,
        }

    def table(self, rows: NDArray[np.int64]) -> pd.DataFrame:
        """What both populations say of some examples.

        Returns
        -------
        DataFrame
            ``true class`` where labels are known; ``baseline mode`` and ``compressed mode``;
            ``taxicab``; ``changed``, the share of compressed models off the baseline's mode; and
            ``tie``.
        """
        names = np.asarray(self.ensemble.names, dtype=object)
        labels = self.ensemble.labels
        known = {} if labels is None else {"true class": names[labels[rows]]}
        return pd.DataFrame(
            {
                **known,
                "baseline mode": names[self.modes[0, rows]],
                "compressed mode": names[self.modes[1, rows]],
                "taxicab": self.taxicab[rows],
                "changed": (self.after[:, rows] != self.modes[0, rows]).mean(axis=0),
                "tie": self.tied[rows],
            }
        )

    def votes(self, row: int) -> ExampleVotes:
        """How every model answered one example."""
        parts = [np.asarray(own[:, row], dtype=np.int64) for own in (self.before, self.after)]
        n_models = np.array([[len(own)] for own in parts])
        width = int(n_models.max())
        answers = np.full((2, width), -1, dtype=np.int64)
        for line, own in zip(answers, parts, strict=True):
            line[: len(own)] = own
        first, second = self.modes[:, row]
        kinds = np.select(
            [answers == -1, answers == first, answers == second], [np.nan, 0.0, 1.0], 0.5
        )
        names = self.ensemble.names
        counts = np.array([np.bincount(own, minlength=len(names)) for own in parts])
        shares = counts / n_models
        both = shares.sum(axis=0)
        order = np.argsort(-both, kind="stable")
        order = order[both[order] > 0][:MOST_LABELS]
        table = pd.DataFrame(
            {
                "label": [names[code] for code in order],
                "baseline": shares[0, order],
                "compressed": shares[1, order],
                "n baseline": counts[0, order],
                "n compressed": counts[1, order],
            }
        )
        paired = len(parts[0]) == len(parts[1])
        return ExampleVotes(table, answers, kinds, parts[0] != parts[1] if paired else None)

    def occurring(self) -> list[str]:
        """Names of the classes that are a label or an answer of either population."""
        return self.ensemble.occurring(self.before, self.after)


def make_pair(
    ensemble: Ensemble,
    compared: Mapping[str, NDArray[Any]],
    baseline: str,
    compressed: str,
    *,
    kind: str = MODAL,
    share: float = 0.05,
) -> PopulationPair:
    """Two populations out of the comparison of all with the baseline.

    Parameters
    ----------
    ensemble : Ensemble
    compared : mapping
        ``modes``, ``tied`` and ``taxicab`` of ``compare_populations`` with this baseline.
    baseline, compressed : str
    kind : {"modal", "taxicab"}
    share : float
        See ``cie_mask``.

    Raises
    ------
    InputError
        If there is no population of one of these names.
    """
    names = list(ensemble.populations)
    for name in (baseline, compressed):
        if name not in names:
            raise InputError(
                f"a pair needs populations of {', '.join(map(repr, names))}: got {name!r}."
            )
    first, second = names.index(baseline), names.index(compressed)
    modes, divergence = compared["modes"], compared["taxicab"][second]
    mask = np.asarray(modes[first] != modes[second])
    if kind != MODAL:
        mask = most_divergent(divergence, share)
    return PopulationPair(
        ensemble,
        baseline,
        compressed,
        kind,
        mask,
        np.stack([modes[first], modes[second]]),
        np.asarray(compared["tied"][first] | compared["tied"][second]),
        divergence,
    )
