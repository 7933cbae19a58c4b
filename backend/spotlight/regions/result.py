"""What a search for regions gives back."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Regions:
    """Regions in the order of the list. ``r`` regions, ``n`` examples, ``d`` dimensions.

    Parameters
    ----------
    scores : float64 array of shape (r, n)
        How strongly each example belongs; higher first. Examples of other labels than the region's
        are -inf. A ranking: the numbers of two regions cannot be compared.
    weights : float64 array of shape (r, n)
        The kernel that was found, in [0, 1]: ``exp(-q/2)`` with the squared distance ``q`` from the
        center in the region's precision, of rows drawn in to ``reach``; 0 for examples of other
        labels than the region's.
    centers : float64 array of shape (r, d)
        In the units of the embeddings.
    roots : float64 array of shape (r, d, q)
        Roots of the precisions: ``q_i = |(x_i - center) root|^2``.
    shift : float64 array of shape (d,)
        Middle of the rows, far outliers aside.
    reach : float
        A row farther from ``shift`` than this counts as if it lay on the way there, at this
        distance: its ``x_i`` is ``shift + (row - shift) reach / |row - shift|``. Infinite where
        nothing was searched.
    round_precisions : float64 array of shape (r,)
        Precision of the round region of the same center and total weight, where one number must
        do: it comes near the region, and is the region where it was round to begin with.
    scopes : tuple of r str
        Among which examples the region was looked for, in words.
    scope_labels : tuple of r tuples
        Labels that the region is bound to; () where it goes across labels.
    held_out_losses : float64 array of shape (r,)
        Weighted mean loss on the half of the examples that did not find the region, in loss units,
        with losses cut at ``loss_cap``.
    held_out_errors : float64 array of shape (r,)
        Standard errors of these.
    held_out_bases : float64 array of shape (r,)
        Mean of the cut losses of all examples of that half: what to compare with.
    held_out_sizes : float64 array of shape (r,)
        Effective number of examples of that half, ``(sum k)^2 / sum k^2``.
    p_values : float64 array of shape (r,)
        How often the best of all candidates looks as good when held-out losses are shuffled within
        labels, times two; small is good. Says whether the region stands out *within* its labels.
    z_values : float64 array of shape (r,)
    weighted_losses : float64 array of shape (r,)
        On all raw losses, in loss units.
    sizes : float64 array of shape (r,)
        Examples a region was made to hold; its first so many by ``scores`` are its ``members``.
    members : tuple of r int arrays
        Rows, the strongest first.
    found_first : bool array of shape (r,)
        Whether the half that found the region is the one in ``first_half``.
    first_half : bool array of shape (n,)
        Which examples were on the first half.
    geometries : tuple of r str
        ``x``: round in the embedding. ``w``: round after whitening the scope.
    n_candidates : int
        Candidates that were compared.
    mean_loss : float
        Of all examples, raw.
    loss_cap : float
        Losses above it counted as this much.
    notes : tuple of str
        What a reader should know, in sentences.
    options : dict
        What was asked for.
    """

    scores: NDArray[np.float64]
    weights: NDArray[np.float64]
    centers: NDArray[np.float64]
    roots: NDArray[np.float64]
    shift: NDArray[np.float64]
    reach: float
    round_precisions: NDArray[np.float64]
    scopes: tuple[str, ...]
    scope_labels: tuple[tuple[Any, ...], ...]
    held_out_losses: NDArray[np.float64]
    held_out_errors: NDArray[np.float64]
    held_out_bases: NDArray[np.float64]
    held_out_sizes: NDArray[np.float64]
    p_values: NDArray[np.float64]
    z_values: NDArray[np.float64]
    weighted_losses: NDArray[np.float64]
    sizes: NDArray[np.float64]
    members: tuple[NDArray[np.int64], ...]
    found_first: NDArray[np.bool_]
    first_half: NDArray[np.bool_]
    geometries: tuple[str, ...]
    n_candidates: int
    mean_loss: float
    loss_cap: float
    notes: tuple[str, ...]
    options: dict[str, Any]

    def __len__(self) -> int:
        return len(self.scopes)

    @property
    def total_weights(self) -> NDArray[np.float64]:
        """(r,) sums of the weights."""
        return np.asarray(self.weights.sum(axis=1), np.float64)

    @property
    def precisions(self) -> NDArray[np.float64]:
        """(r, d, d) precisions, in inverse squared units of the embeddings.

        As ``spotlight_objective`` takes them, and of low rank where the search ran on principal
        components. Made when asked for: ``roots`` say the same in less room.
        """
        return np.einsum("rdq,req->rde", self.roots, self.roots)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, numbers and texts, for JSON; infinite numbers become None."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        plain |= {name: value.tolist() for name, value in plain.items() if hasattr(value, "tolist")}
        plain["scores"] = [
            [None if value == -np.inf else value for value in row] for row in plain["scores"]
        ]
        plain["reach"] = self.reach if np.isfinite(self.reach) else None
        plain["members"] = [rows.tolist() for rows in self.members]
        plain["scope_labels"] = [
            [label.item() if hasattr(label, "item") else label for label in labels]
            for labels in self.scope_labels
        ]
        return plain
