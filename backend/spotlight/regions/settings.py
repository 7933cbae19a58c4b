"""What the search for regions is made of: every choice in one place."""

from __future__ import annotations

from dataclasses import dataclass

from backend.core.wording import SHUFFLES


@dataclass(frozen=True)
class Settings:
    """Choices of ``find_regions``; the benchmark ``regions_ablation`` changes one at a time.

    Parameters
    ----------
    sizes : tuple of float
        Shares of all rows that a search makes its regions.
    min_size : int
        Fewest rows of a region, where neither the data nor the scope are small: a third of them is kept aside, and
        below ten of those nothing is said with an interval.
    min_core : int
        Fewest rows that are searched and judged together. A smaller core than ``min_size`` is the
        first of its region; those that rank next fill it up.
    most_filled : float
        Share of its scope that a region is filled up to at most.
    starts : int
        Starts per size.
    rounds : int
        Searches one after the other; each lowers the losses of what the one before found.
    iterations : int
        Steps of one search.
    views : tuple of str
        ``x``: distances as they are. ``w``: after whitening the scope. ``o`` before either: beside the
        model's own answer, without the directions of its outputs.
    views_few : tuple of str
        The same with no more rows than ``few``, where little is found and a further look costs little.
    few : int
    views_without : tuple of str
        The same where the model's answer is not known, however many rows.
    directions : tuple of float
        Ridges of the linear directions that compete with round regions, in mean variances; () for
        none.
    direction_most : float
        Share of its scope that a region along a direction holds at most.
    direction_worth : float
        Factor of a direction's score.
    whiteness : float
        How far whitening goes: 0 not at all, 1 to equal variances.
    components : int
        Principal components that are kept.
    quantile : float
        Losses above this quantile count as much as the quantile.
    caution : float
        Standard errors that are taken off a held-out mean.
    own_base : float
        How far the mean that is taken off is the scope's, rather than that of all rows.
    apartness : float
        Power of the gap that a score is multiplied with: how far the rows of the other half that
        rank first in the draft are above those that come next.
    around : int
        How far "next" goes, in sizes of the candidate.
    growth : float
        Power of the size that a score is multiplied with.
    min_held_out : int
        Fewest held-out members of a candidate.
    most_labels : int
        Single labels that are searched alone.
    min_label : int
        Fewest rows of a label, or bundle of labels, that is searched alone.
    most_bundles : int
        Bundles of similar labels that are searched, where single labels leave rows out.
    keep : int
        Candidates of each scope that the list is chosen from.
    nested : float
        Share of the smaller of two regions from which one repeats the other.
    alike, sure : float
        Candidates that share this much of all their members (Jaccard) are nearly the same; of those
        with this share of the best one's score, the one with the smallest p is listed.
    one_cell : float
        Share of the members in one wrong cell of the confusion matrix from which a region is no more
        than that cell, if it also holds much of it and losses do not tell it from the rest.
    whole_cell : float
        How much of it: a smaller part of a cell is a place inside it, which is more than the cell.
    cell_worth : float
        Factor of the score of such a region.
    fails : float
        Times the mean of all others that the lower end of a label's mean must reach, to fail as a
        whole.
    fails_share : float
        Share of all excess loss that it must hold.
    ranking : str
        Members by ``both``, ``kernel`` or ``linear``.
    tellings : int
        How often the rows that rank first are told from rows of low loss; 0 leaves the draft.
    ridge : float
        Share of a discriminant's covariance that is the same along every axis.
    shuffles : int
        Shuffles of held-out losses behind a p-value.
    turned : int
        Strata of more rows are not shuffled: they lie in one random order that is turned.
    axes_rows : int
        Rows that tell the axes of the spaces, of more than these at most twice as many.
    search_rows, judge_rows, direction_rows : int
        Rows of one half that a search, a judgement, and the fit of a direction read at most. Where
        to look takes few rows; how bad it is there takes more, and a direction in all dimensions
        most. Members are told by what the judging rows are, and chosen among all.
    """

    sizes: tuple[float, ...] = (0.005, 0.01, 0.02, 0.05)
    min_size: int = 30
    min_core: int = 15
    most_filled: float = 1 / 3
    starts: int = 8
    rounds: int = 2
    iterations: int = 12
    views: tuple[str, ...] = ("w", "ow")
    views_few: tuple[str, ...] = ("x", "w", "ow")
    few: int = 2**14
    views_without: tuple[str, ...] = ("x", "w")
    directions: tuple[float, ...] = (0.1, 1.0)
    direction_most: float = 0.1
    direction_worth: float = 0.5
    whiteness: float = 0.5
    components: int = 64
    quantile: float = 0.9
    caution: float = 1.5
    own_base: float = 0.5
    apartness: float = 0.4
    around: int = 4
    growth: float = 0.12
    min_held_out: int = 3
    most_labels: int = 12
    min_label: int = 40
    most_bundles: int = 12
    keep: int = 40
    nested: float = 0.5
    alike: float = 0.5
    sure: float = 0.8
    one_cell: float = 0.9
    whole_cell: float = 0.7
    cell_worth: float = 0.8
    fails: float = 2.0
    fails_share: float = 0.1
    ranking: str = "both"
    tellings: int = 2
    ridge: float = 0.2
    shuffles: int = SHUFFLES
    turned: int = 2**13
    axes_rows: int = 2**17
    search_rows: int = 2**13
    judge_rows: int = 2**15
    direction_rows: int = 2**15
