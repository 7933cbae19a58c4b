"""Does it help? Small networks trained anew by a dozen recipes, compared on examples nobody used.

    >>> from backend.retraining import retrain
    >>> retrain(problem, "results", seeds=5).table[["title", "worst", "removed"]]  # doctest: +SKIP
                 title  worst  removed
    0  nothing removed   0.41      0.0
    1              D3M   0.63    280.0
    ...

A problem is what a function of the user's returns; it is named on the command line or in the
settings of the server, never on a page. Names are loaded when they are first asked for: reading
results needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backend.retraining.bundles import keep_bundles
    from backend.retraining.harness import retrain
    from backend.retraining.problem import RetrainingProblem, Sample, Schedule
    from backend.retraining.recipes import RECIPES, RetrainingRecipe
    from backend.retraining.stored import RetrainingResult, read_result, results_of

_HOMES = {
    "Sample": "problem",
    "Schedule": "problem",
    "RECIPES": "recipes",
    "RetrainingProblem": "problem",
    "RetrainingRecipe": "recipes",
    "RetrainingResult": "stored",
    "keep_bundles": "bundles",
    "read_result": "stored",
    "results_of": "stored",
    "retrain": "harness",
}

__all__ = [
    "RECIPES",
    "RetrainingProblem",
    "RetrainingRecipe",
    "RetrainingResult",
    "Sample",
    "Schedule",
    "keep_bundles",
    "read_result",
    "results_of",
    "retrain",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
