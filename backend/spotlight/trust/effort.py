"""How much is searched again: a matter of the size of the data, never of the clock.

A p-value that ends where time is up is another one on a faster machine. How many shuffled searches
are made, and on how many rows, therefore follows from what a search costs, in seconds of one core as
they were once measured. The seconds of another machine may be others; the numbers are the same.
"""

from __future__ import annotations

import math

from backend.spotlight.options import SearchOptions

SHUFFLED_S, RESAMPLED_S = 30.0, 15.0
"""What shuffled searches may cost together, and those on bootstrap samples."""
# Of one search with 16 starts: by itself, per row and per number it looks at.
_STARTS = 16
_ROUND = (0.1, 5e-6, 8e-8)
_DIAGONAL = 1.5e-6  # per number, on top
_FULL = (0.4, 5e-7)  # on top: by itself, and per product of two numbers of a row


def search_cost(rows: int, dimensions: int, options: SearchOptions) -> float:
    """What one search for one region costs, in seconds of one core."""
    itself, per_row, per_number = _ROUND
    numbers = rows * dimensions
    cost = itself + per_row * rows + per_number * numbers
    if options.precision == "diagonal":
        cost += _DIAGONAL * numbers
    elif options.precision == "full":
        once, per_product = _FULL
        cost += once + per_product * numbers * dimensions
    return cost * options.starts / _STARTS


def affordable(asked: int, cost: float, budget: float, *, needed: int = 0) -> int:
    """How many of the searches asked for are made; none where fewer than ``needed`` could be.

    Examples
    --------
    >>> [affordable(199, cost, 30.0, needed=39) for cost in (0.14, 0.5, 0.75, 3.0)]
    [199, 60, 40, 0]
    """
    made = min(asked, math.floor(budget / cost))
    return made if made >= min(asked, needed) else 0


def shuffles_needed(level: float) -> int:
    """The fewest shuffles after which p can be at most ``level``.

    Examples
    --------
    >>> shuffles_needed(0.05), shuffles_needed(0.025)
    (19, 39)
    """
    return math.ceil(1 / level - 1e-9) - 1
