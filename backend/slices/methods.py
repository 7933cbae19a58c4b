"""The methods a spotlight is compared with, as a table. Loads nothing: pages read it."""

from __future__ import annotations

from dataclasses import dataclass

REDUCTIONS = ("pca", "umap", "none", "hardness")
"""How clusters within each class bring embeddings to few coordinates."""
PIECES = 5
"""Into so many overclustering splits each of them."""


@dataclass(frozen=True)
class Method:
    """One row of the table.

    Attributes
    ----------
    function : str
        Name in ``backend.slices``.
    title : str
        What a page calls it.
    needs : tuple of str
        Fields without which it cannot run, besides embeddings and losses. ``predictions`` may be
        given as ``probabilities``.
    definition : str
        What its groups are, in one sentence.
    paper : str
        Where the idea comes from; empty for the plain baselines.
    sees : tuple of str
        What its rule for unseen examples looks at besides the embedding.
    takes_size : bool
        Whether ``size`` sets how many examples a group holds.
    """

    function: str
    title: str
    needs: tuple[str, ...]
    definition: str
    paper: str
    sees: tuple[str, ...] = ()
    takes_size: bool = False


METHODS: dict[str, Method] = {
    "mixture": Method(
        "mixture_slices",
        "Mixture slices",
        ("labels", "predictions"),
        "Parts of a mixture model over embedding, label and prediction together, the worst first.",
        "Eyuboglu et al., Domino: Discovering Systematic Errors with Cross-Modal Embeddings, "
        "ICLR 2022, arXiv:2203.14960",
        sees=("labels", "predictions"),
    ),
    "george": Method(
        "george_clusters",
        "Clusters within each class",
        ("labels",),
        "Clusters of each true class by itself, as many as separate best, the worst first.",
        "Sohoni et al., No Subclass Left Behind, NeurIPS 2020, arXiv:2011.12945",
        sees=("labels",),
    ),
    "directions": Method(
        "failure_directions",
        "Failure directions",
        ("labels", "predictions"),
        "For each true class, the examples farthest along the direction that separates wrong from "
        "right ones.",
        "Jain et al., Distilling Model Failures as Directions in Latent Space, ICLR 2023, "
        "arXiv:2206.14754",
        sees=("labels",),
        takes_size=True,
    ),
    "error_clusters": Method(
        "error_clusters",
        "Clusters of errors",
        (),
        "Clusters of the wrong (or the hardest) examples, with everything that lies as near to "
        "their centers.",
        "",
    ),
    "highest_loss": Method(
        "highest_loss",
        "Highest loss",
        (),
        "The examples with the largest losses, over all and within the worst classes.",
        "",
        sees=("losses", "labels"),
        takes_size=True,
    ),
}
"""Name in options and results -> method."""
