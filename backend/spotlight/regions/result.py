"""What a search for regions gives back."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.effects import Effect
from backend.core.wording import LEVEL


@dataclass(frozen=True)
class Inner:
    """The best of what a region holds: fewer, worse examples.

    ``rows`` the strongest first; ``effect`` what is measured of those kept aside.
    """

    rows: NDArray[np.int64]
    effect: Effect


@dataclass(frozen=True)
class Regions:
    """Regions in the order of the list. ``r`` regions, ``n`` examples, ``d`` dimensions.

    A region is a ranking of the examples and a size: its members are the first so many. Everything
    said of it is about its members; what is called held out is measured on those of them that were
    kept aside while it was found and chosen, in raw losses.

    Parameters
    ----------
    scores : float64 array of shape (r, n)
        How strongly each example belongs; higher first. Examples of other labels than the region's
        are -inf. A ranking: the numbers of two regions cannot be compared.
    sizes : int array of shape (r,)
        How many members a region has.
    members : tuple of r int arrays
        Rows, the strongest first.
    kinds : tuple of r str
        ``label``: all examples of a label that fails as a whole. ``ball``: around a center.
        ``direction``: beyond a cut along a vector.
    weights : float64 array of shape (r, n)
        Of a ball the kernel that was found, in [0, 1]: ``exp(-q/2)`` with the squared distance
        ``q`` from the center in the region's precision, of rows drawn in to ``reach``; 0 for
        examples of other labels than the region's. Of the other kinds 1 for members.
    centers : float64 array of shape (r, d)
        In the units of the embeddings; NaN where the region is no ball.
    roots : float64 array of shape (r, d, q)
        Roots of the precisions: ``q_i = |(x_i - center) root|^2``; NaN likewise.
    shift : float64 array of shape (d,)
        Middle of the rows, far outliers aside.
    reach : float
        A row farther from ``shift`` than this counts as if it lay on the way there, at this
        distance: its ``x_i`` is ``shift + (row - shift) reach / |row - shift|``. Infinite where
        nothing was searched.
    round_precisions : float64 array of shape (r,)
        Precision of the round region of the same center and total weight, where one number must
        do; NaN where the region is no ball.
    vectors : float64 array of shape (r, d)
        Of directions: members are the examples of the scope with ``x @ vector >= cut``. NaN else.
    cuts : float64 array of shape (r,)
        NaN where the region is no direction.
    scopes : tuple of r str
        Among which examples the region was looked for, in words.
    scope_labels : tuple of r tuples
        Labels that the region is bound to; () where it goes across labels.
    inside : int array of shape (r,)
        Place in the list of the label that fails as a whole, inside which the region was looked
        for; -1 for none.
    kept_aside : bool array of shape (n,)
        Examples that had no part in finding and choosing.
    effects : tuple of r Effect
        What is measured of the members that were kept aside; the fields ``held_out_...`` say the
        same as arrays.
    p_values : float64 array of shape (r,)
        Of the search: how often the best of all candidates looks as good when losses of the rows
        that judge are shuffled within labels, times two. Of a label: exact, against the other
        labels, adjusted for their number (Holm 1979).
    p_cells : float64 array of shape (r,)
        The same with losses shuffled within label and prediction: whether the region is more than
        a cell of the confusion matrix. NaN without predictions, with losses of two values, and
        for labels.
    cells : bool array of shape (r,)
        Whether the region is no more than one wrong cell of the confusion matrix.
    explained : float64 array of shape (r,)
        Share of the excess loss, ``sum(max(loss - mean, 0))`` over the examples kept aside, that
        members of this and all regions before it hold together.
    also : tuple of r, each None or Inner
        The best candidate that lies inside the region and is at most half as large.
    weighted_losses : float64 array of shape (r,)
        On all raw losses, with the weights: high by construction, as the search saw most of them.
    views : tuple of r str
        ``x``: round in the embedding; ``w``: after whitening the scope; ``o`` before either: beside
        the model's own answer. Empty for the other kinds.
    n_candidates : int
        Candidates that were compared.
    mean_loss : float
        Of all examples, raw.
    loss_cap : float
        Losses above it counted as this much in the search; NaN where nothing was searched.
    notes : tuple of str
        What a reader should know, in sentences.
    options : dict
        What was asked for.
    known : tuple of int arrays
        Rows of each group that was set aside before the search, ascending.
    """

    scores: NDArray[np.float64]
    sizes: NDArray[np.int64]
    members: tuple[NDArray[np.int64], ...]
    kinds: tuple[str, ...]
    weights: NDArray[np.float64]
    centers: NDArray[np.float64]
    roots: NDArray[np.float64]
    shift: NDArray[np.float64]
    reach: float
    round_precisions: NDArray[np.float64]
    vectors: NDArray[np.float64]
    cuts: NDArray[np.float64]
    scopes: tuple[str, ...]
    scope_labels: tuple[tuple[Any, ...], ...]
    inside: NDArray[np.int64]
    kept_aside: NDArray[np.bool_]
    effects: tuple[Effect, ...]
    p_values: NDArray[np.float64]
    p_cells: NDArray[np.float64]
    cells: NDArray[np.bool_]
    explained: NDArray[np.float64]
    also: tuple[Inner | None, ...]
    weighted_losses: NDArray[np.float64]
    views: tuple[str, ...]
    n_candidates: int
    mean_loss: float
    loss_cap: float
    notes: tuple[str, ...]
    options: dict[str, Any]
    known: tuple[NDArray[np.int64], ...] = ()

    def __len__(self) -> int:
        return len(self.scopes)

    @property
    def total_weights(self) -> NDArray[np.float64]:
        """(r,) sums of the weights."""
        return np.asarray(self.weights.sum(axis=1), np.float64)

    @property
    def precisions(self) -> NDArray[np.float64]:
        """(r, d, d) precisions, in inverse squared units of the embeddings; NaN where none.

        As ``spotlight_objective`` takes them, and of low rank where the search ran on principal
        components. Made when asked for: ``roots`` say the same in less room.
        """
        return np.einsum("rdq,req->rde", self.roots, self.roots)

    @property
    def real(self) -> NDArray[np.bool_]:
        """(r,) whether p is at most .05 and the interval of the members kept aside above the base."""
        above = np.array([effect.above for effect in self.effects], bool)
        return above & (self.p_values <= LEVEL)

    @property
    def held_out_sizes(self) -> NDArray[np.int64]:
        """(r,) members that were kept aside."""
        return np.array([effect.n for effect in self.effects], np.int64)

    @property
    def held_out_losses(self) -> NDArray[np.float64]:
        """(r,) mean raw loss of these."""
        return self._of_effects("loss")

    @property
    def held_out_low(self) -> NDArray[np.float64]:
        """(r,) lower end of its 95 % interval; NaN below 10 members."""
        return self._of_effects("loss_low")

    @property
    def held_out_high(self) -> NDArray[np.float64]:
        """(r,) upper end."""
        return self._of_effects("loss_high")

    @property
    def held_out_bases(self) -> NDArray[np.float64]:
        """(r,) mean raw loss of the examples kept aside that are not members."""
        return self._of_effects("loss_base")

    @property
    def held_out_label_losses(self) -> NDArray[np.float64]:
        """(r,) mean raw loss of the examples of the region's own labels kept aside."""
        return self._of_effects("loss_label")

    @property
    def held_out_error_rates(self) -> NDArray[np.float64]:
        """(r,) share of wrong predictions among the members kept aside; NaN without predictions."""
        return self._of_effects("error")

    @property
    def held_out_error_rates_low(self) -> NDArray[np.float64]:
        """(r,) lower end of its 95 % interval; NaN below 10 members."""
        return self._of_effects("error_low")

    @property
    def held_out_error_rates_high(self) -> NDArray[np.float64]:
        """(r,) upper end."""
        return self._of_effects("error_high")

    @property
    def held_out_error_rates_bases(self) -> NDArray[np.float64]:
        """(r,) share of wrong predictions among the examples kept aside that are not members."""
        return self._of_effects("error_base")

    @property
    def held_out_error_rates_labels(self) -> NDArray[np.float64]:
        """(r,) the same among the examples of the region's own labels kept aside."""
        return self._of_effects("error_label")

    def _of_effects(self, name: str) -> NDArray[np.float64]:
        return np.array([getattr(effect, name) for effect in self.effects], np.float64)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, numbers and texts, for JSON; numbers that are not finite become None."""
        plain = {field.name: _plain(getattr(self, field.name)) for field in fields(self)}
        plain["effects"] = [effect.to_dict() for effect in self.effects]
        plain["also"] = [
            None if one is None else {"rows": one.rows.tolist(), "effect": one.effect.to_dict()}
            for one in self.also
        ]
        return plain


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
