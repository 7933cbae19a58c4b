"""The recipes that are compared, and what each may see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from backend.core.errors import InputError

VERSION = 1
"""Raise it when a recipe starts to do something else: kept results are then made anew."""
BASE = "nothing"
SEEDS = 5
MOST_SEEDS = 50


@dataclass(frozen=True)
class RetrainingRecipe:
    """A way to train, by name.

    Attributes
    ----------
    title : str
        What tables call it.
    sees : str
        Which group labels it needs: "none", "validation", "training", or both.
    settings : str
        ``module:function`` in this package that gives the settings to choose from.
    chooses : str
        ``module:function`` that gives the groups by which it chooses; "" for the group labels.
    removes : bool
        Whether it leaves out numbers that are tried: a line of the chart.
    """

    title: str
    sees: str
    settings: str
    chooses: str = ""
    removes: bool = False

    def function(self, place: str) -> Callable[..., Any]:
        """A function of this package; it loads torch."""
        module, _, name = place.partition(":")
        found: Callable[..., Any] = getattr(import_module(f"{__package__}.{module}"), name)
        return found


RECIPES: dict[str, RetrainingRecipe] = {
    BASE: RetrainingRecipe("nothing removed", "none", ""),
    "d3m": RetrainingRecipe("D3M", "validation", "leaving_out:d3m", removes=True),
    "d3m_trak": RetrainingRecipe("D3M by TRAK", "validation", "leaving_out:d3m_trak", removes=True),
    "auto_d3m": RetrainingRecipe(
        "Auto-D3M", "none", "leaving_out:auto_d3m", "leaving_out:auto_groups", removes=True
    ),
    "random": RetrainingRecipe(
        "random removed", "validation", "leaving_out:at_random", removes=True
    ),
    "majority": RetrainingRecipe(
        "random removed from the majority",
        "training, validation",
        "leaving_out:of_majority",
        removes=True,
    ),
    "subsampling": RetrainingRecipe("balanced by subsampling", "training", "balancing:subsampling"),
    "reweighting": RetrainingRecipe("balanced by reweighting", "training", "balancing:reweighting"),
    "group_dro": RetrainingRecipe("group DRO", "training, validation", "balancing:group_dro"),
    "jtt": RetrainingRecipe("just train twice", "validation", "balancing:just_train_twice"),
    "dfr": RetrainingRecipe("last layer refitted", "validation", "refitting:last_layer"),
    "spotlight": RetrainingRecipe(
        "spotlight-adversarial", "validation", "steering:spotlight_training"
    ),
    "targeted": RetrainingRecipe("targeted augmentation", "none", "steering:targeted_augmentation"),
}


def chosen_recipes(names: Sequence[str] | None) -> list[str]:
    """Recipes by name, the plain one first: every other starts from it.

    Raises
    ------
    InputError
        If there is none of a name.
    """
    if unknown := sorted(set(names or ()) - set(RECIPES)):
        raise InputError(f"there is no recipe {unknown[0]!r}. There are {', '.join(RECIPES)}.")
    return [one for one in RECIPES if not names or one in names or one == BASE]
