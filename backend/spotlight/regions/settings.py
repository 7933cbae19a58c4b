"""What the search for regions is made of: every choice in one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Choices of ``find_regions``; the benchmark ``regions_ablation`` changes one at a time.

    Parameters
    ----------
    sizes : tuple of float
        Shares of all rows that a search makes its regions.
    min_size : int
        Fewest rows of a region.
    starts : int
        Starts per size.
    rounds : int
        Searches one after the other; each lowers the losses of what the one before found.
    iterations : int
        Steps of one search.
    geometries : tuple of str
        ``x``: distances as they are. ``w``: after whitening the scope.
    components : int
        Principal components that are kept.
    quantile : float
        Losses above this quantile count as much as the quantile.
    caution : float
        Standard errors that are taken off a held-out mean.
    min_effective : float
        Smallest effective number of held-out rows of a candidate.
    most_labels : int
        Single labels that are searched alone.
    min_label : int
        Fewest rows of a label that is searched alone.
    most_bundles : int
        Bundles of similar labels that are searched, where single labels leave rows out.
    keep : int
        Candidates of each kind that the list is chosen from.
    apart : float
        Jaccard overlap from which a candidate repeats a chosen region.
    shuffles : int
        Shuffles of held-out losses behind a p-value.
    search_rows, claim_rows : int
        Rows of one half that a search, and the claim, read at most.
    """

    sizes: tuple[float, ...] = (0.01, 0.02, 0.05, 0.1)
    min_size: int = 10
    starts: int = 8
    rounds: int = 2
    iterations: int = 12
    geometries: tuple[str, ...] = ("x", "w")
    components: int = 64
    quantile: float = 0.9
    caution: float = 1.0
    min_effective: float = 4.0
    most_labels: int = 12
    min_label: int = 40
    most_bundles: int = 12
    keep: int = 150
    apart: float = 0.5
    shuffles: int = 199
    search_rows: int = 2**15
    claim_rows: int = 2**16
