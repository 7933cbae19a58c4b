"""A problem by the name of a function of the user's: from the command line and the server's settings.

Never from a page: whoever names a function has it run.
"""

from __future__ import annotations

import os

from backend.collect.command import module_at
from backend.collect.errors import CollectError
from backend.core.errors import InputError
from backend.retraining.problem import RetrainingProblem

SETTING = "ERRORSCOPE_RETRAIN"


def configured() -> str:
    """The factory that this server was given, ``module:function`` or ``file.py:function``; "" without."""
    return os.environ.get(SETTING, "").strip()


def problem_of(factory: str) -> RetrainingProblem:
    """What the function returns.

    Raises
    ------
    InputError
        If there is no such function, or it returns something else.
    """
    place, mark, name = factory.rpartition(":")
    if not mark or not place or not name:
        raise InputError(
            f"the factory must be MODULE:FUNCTION, as in train:problem: got {factory!r}."
        )
    try:
        module = module_at(place)
    except CollectError as error:
        raise InputError(str(error)) from error
    function = getattr(module, name, None)
    if not callable(function):
        raise InputError(f"{place} has no function {name!r}.")
    made = function()
    if not isinstance(made, RetrainingProblem):
        raise InputError(
            f"{factory} must return a RetrainingProblem (backend.retraining): got a "
            f"{type(made).__name__}."
        )
    return made
