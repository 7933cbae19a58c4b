"""Which training examples cause it? Scores of training examples, by target and by group.

    >>> from backend.attribution import default_regularizer, group_alignment, trak_scores
    >>> weak = default_regularizer(train_features)                  # doctest: +SKIP
    >>> scores = trak_scores(train_features, target_features, residuals, regularizer=weak)  # doctest: +SKIP
    >>> group_alignment(scores, groups, losses).scores.argsort()[:10]  # doctest: +SKIP
    array([ 811, 1204,   77, ...])

Names are loaded when they are first asked for: only ``margin_gradients`` needs torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backend.attribution.agreement import (
        RankAgreement,
        column_halves,
        projection_agreement,
        rank_agreement,
    )
    from backend.attribution.alignment import GroupAlignment, group_alignment
    from backend.attribution.factored import (
        Factored,
        factored_influence,
        factored_scores,
        factored_trak,
    )
    from backend.attribution.gauss_newton import GaussNewton, gauss_newton_influence
    from backend.attribution.gradients import margin_gradients
    from backend.attribution.head import Head, refit_head
    from backend.attribution.last_layer import last_layer_features
    from backend.attribution.projection import project_features
    from backend.attribution.pseudo import PseudoGroups, pseudo_components, pseudo_groups
    from backend.attribution.removal import (
        Removal,
        mean_alignment,
        remove_harmful,
        search_removal,
    )
    from backend.attribution.trak import default_regularizer, trak_scores

_HOMES = {
    "Factored": "factored",
    "GaussNewton": "gauss_newton",
    "GroupAlignment": "alignment",
    "Head": "head",
    "PseudoGroups": "pseudo",
    "RankAgreement": "agreement",
    "Removal": "removal",
    "column_halves": "agreement",
    "default_regularizer": "trak",
    "factored_influence": "factored",
    "factored_scores": "factored",
    "factored_trak": "factored",
    "gauss_newton_influence": "gauss_newton",
    "group_alignment": "alignment",
    "last_layer_features": "last_layer",
    "margin_gradients": "gradients",
    "mean_alignment": "removal",
    "project_features": "projection",
    "projection_agreement": "agreement",
    "pseudo_components": "pseudo",
    "pseudo_groups": "pseudo",
    "rank_agreement": "agreement",
    "refit_head": "head",
    "remove_harmful": "removal",
    "search_removal": "removal",
    "trak_scores": "trak",
}

__all__ = [
    "Factored",
    "GaussNewton",
    "GroupAlignment",
    "Head",
    "PseudoGroups",
    "RankAgreement",
    "Removal",
    "column_halves",
    "default_regularizer",
    "factored_influence",
    "factored_scores",
    "factored_trak",
    "gauss_newton_influence",
    "group_alignment",
    "last_layer_features",
    "margin_gradients",
    "mean_alignment",
    "project_features",
    "projection_agreement",
    "pseudo_components",
    "pseudo_groups",
    "rank_agreement",
    "refit_head",
    "remove_harmful",
    "search_removal",
    "trak_scores",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
