"""Where does the model fail together? Regions of embedding space with a high weighted loss.

    >>> from backend.spotlight import find_spotlights
    >>> found = find_spotlights(embeddings, losses, size=0.02)  # doctest: +SKIP
    >>> found.weighted_losses, found.weights.argmax(axis=1)     # doctest: +SKIP

Names are loaded when they are first asked for, so that pages can use ``members`` and
``effective_size`` (plain numpy) without loading torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backend.spotlight.find import Region, Spotlights, find_spotlights, iterate_spotlights
    from backend.spotlight.membership import effective_size, members, shared_members
    from backend.spotlight.objective import SpotlightObjective, spotlight_objective
    from backend.spotlight.outcome import Outcome
    from backend.spotlight.ranks_search import find_spotlights_on_ranks
    from backend.spotlight.regions.find import find_regions
    from backend.spotlight.regions.result import Regions
    from backend.spotlight.regions.saved import region_arrays, region_facts
    from backend.spotlight.trust.assess import assess_spotlight, assess_spotlights
    from backend.spotlight.trust.findings import Assessment, RegionAssessment

_HOMES = {
    "Assessment": "trust.findings",
    "Outcome": "outcome",
    "Region": "find",
    "RegionAssessment": "trust.findings",
    "Regions": "regions.result",
    "SpotlightObjective": "objective",
    "Spotlights": "find",
    "assess_spotlight": "trust.assess",
    "assess_spotlights": "trust.assess",
    "effective_size": "membership",
    "find_regions": "regions.find",
    "find_spotlights": "find",
    "find_spotlights_on_ranks": "ranks_search",
    "iterate_spotlights": "find",
    "members": "membership",
    "region_arrays": "regions.saved",
    "region_facts": "regions.saved",
    "shared_members": "membership",
    "spotlight_objective": "objective",
}

__all__ = [
    "Assessment",
    "Outcome",
    "Region",
    "RegionAssessment",
    "Regions",
    "SpotlightObjective",
    "Spotlights",
    "assess_spotlight",
    "assess_spotlights",
    "effective_size",
    "find_regions",
    "find_spotlights",
    "find_spotlights_on_ranks",
    "iterate_spotlights",
    "members",
    "region_arrays",
    "region_facts",
    "shared_members",
    "spotlight_objective",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
