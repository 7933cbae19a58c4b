"""What a spotlight is compared with: five other ways to find groups, and one table over them all.

    >>> from backend.slices import compare_groups, find_groups
    >>> found = find_groups("mixture", embeddings, losses, labels, predictions)  # doctest: +SKIP
    >>> found.weights.shape, found.names, found.mean_losses                      # doctest: +SKIP
    >>> compare_groups([found], losses).table                                    # doctest: +SKIP

Names are loaded when they are first asked for: pages read ``METHODS`` without loading scikit-learn.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from backend.slices.methods import METHODS, Method

if TYPE_CHECKING:
    from backend.slices.compare import MethodComparison, compare_groups
    from backend.slices.directions import failure_directions
    from backend.slices.errors import error_clusters
    from backend.slices.find import find_groups
    from backend.slices.found import FoundGroups, weighted_jaccard
    from backend.slices.george import GeorgeClusters, george_clusters
    from backend.slices.hardest import highest_loss
    from backend.slices.mixture import mixture_slices

_HOMES = {
    "MethodComparison": "compare",
    "FoundGroups": "found",
    "GeorgeClusters": "george",
    "compare_groups": "compare",
    "error_clusters": "errors",
    "failure_directions": "directions",
    "find_groups": "find",
    "george_clusters": "george",
    "highest_loss": "hardest",
    "mixture_slices": "mixture",
    "weighted_jaccard": "found",
}

__all__ = [
    "METHODS",
    "FoundGroups",
    "GeorgeClusters",
    "Method",
    "MethodComparison",
    "compare_groups",
    "error_clusters",
    "failure_directions",
    "find_groups",
    "george_clusters",
    "highest_loss",
    "mixture_slices",
    "weighted_jaccard",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
