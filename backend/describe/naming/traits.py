"""Something that is true of some members of a group, and how much it says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from backend.describe.naming.reference import Mask, Reference, Rows

PLAINLY, MOSTLY = 0.75, 0.5
"""Share of a group for which a thing is said without more, and with "mostly"; below with "often"."""
RARE = 0.02
"""What so few of the rest have is rare: rarer is no better."""


@dataclass(frozen=True, eq=False)
class Trait:
    """Something that is true of some examples, as it is said of one group. Made by ``measured``.

    Attributes
    ----------
    say : callable
        ``say(limit)`` with parts of that many characters at most; without "mostly".
    source : object
        Where it comes from: two traits of one source are not said together.
    reference : Reference
    share, base, overall : float
        Share of the members, of the rest of their labels, of all, for which it is true.
    telling : float
        Divergence in nats of ``share`` from ``base``: higher says more.
    searched : float
        How many such traits the source looked at for each of those it counts.
    plainly : bool
        Whether it is said without "mostly" and "often", for how many members it may be true.
    held, elsewhere : bool arrays
        For which members and for which of the rest it is true.
    among : callable
        ``among(rows)`` is the share of other rows for which it is true; NaN where none was read.
    """

    say: Callable[[int], str]
    source: Any
    reference: Reference = field(repr=False)
    share: float
    base: float
    overall: float
    telling: float
    searched: float
    plainly: bool
    held: Mask = field(repr=False)
    elsewhere: Mask = field(repr=False)
    among: Callable[[Rows], float] = field(repr=False)

    @cached_property
    def p(self) -> float:
        """How often as many members, or more, have it by chance."""
        return min(1.0, self.reference.p(self.held, self.elsewhere) * self.searched)

    def text(self, limit: int) -> str:
        """As it stands in a name, with "mostly" or "often" where it is not true of nearly all."""
        if self.plainly or self.share >= PLAINLY:
            return self.say(limit)
        return ("mostly " if self.share >= MOSTLY else "often ") + self.say(limit)


class Source(Protocol):
    """One column that traits are drawn from."""

    @property
    def searched(self) -> int:
        """Traits that could be said."""

    def traits(self, reference: Reference, least: float, lead: float) -> Iterator[Trait]:
        """Those true of this share of the members, and of so much less of the rest."""


def telling(share: Any, base: Any) -> NDArray[np.float64]:
    """Divergence ``g log(g/f) + (1-g) log((1-g)/(1-f))`` of shares in a group from those elsewhere.

    A share elsewhere counts as ``RARE`` at least and as ``1 - RARE`` at most: beyond, how many of
    the group have a thing says more than how few others do. 0 where the group does not have more.
    """
    g = np.asarray(share, dtype=np.float64)
    f = np.clip(np.asarray(base, dtype=np.float64), RARE, 1 - RARE)
    with np.errstate(divide="ignore", invalid="ignore"):
        some = np.where(g > 0, g * np.log(g / f), 0.0)
        none = np.where(g < 1, (1 - g) * np.log((1 - g) / (1 - f)), 0.0)
    return np.where(g > f, some + none, 0.0)


def measured(
    say: Callable[[int], str],
    source: Any,
    reference: Reference,
    holds: Callable[[Rows], Mask],
    overall: float,
    *,
    among: Callable[[Rows], float] | None = None,
    plainly: bool = False,
    searched: float = 1.0,
) -> Trait:
    """The trait that ``holds(rows)`` tells, measured for one group."""
    held, elsewhere = holds(reference.members), holds(reference.rest)
    share = float(held.mean())
    base = min(1.0, float(reference.weights[elsewhere].sum()))
    return Trait(
        say=say,
        source=source,
        reference=reference,
        share=share,
        base=base,
        overall=overall,
        telling=round(float(telling(share, base)), 9),
        searched=searched,
        plainly=plainly,
        held=held,
        elsewhere=elsewhere,
        among=among or (lambda rows: float(holds(rows).mean())),
    )
