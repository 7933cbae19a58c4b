"""How a search ended."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Status = Literal["converged", "max_steps", "not_finite", "no_contrast"]
Constraint = Literal["binding", "slack"]


@dataclass(frozen=True)
class Outcome:
    """How the search for one region ended.

    Parameters
    ----------
    status : str
        ``"converged"``: no further step improves the region. ``"max_steps"``: the step limit came
        first; the region is the best one seen. ``"not_finite"``: the last step overflowed; the
        region is the last finite one. ``"no_contrast"``: all losses are equal, so every region is
        as good as any other.
    message : str
        The same as one sentence for a person, with anything worth knowing about the size.
    steps : int
        Steps taken by the start that won.
    constraint : str
        ``"binding"``: the region has the smallest allowed size. ``"slack"``: it is larger,
        because a larger one has a higher weighted loss (or many rows share one point).
    """

    status: Status
    message: str
    steps: int
    constraint: Constraint

    def to_dict(self) -> dict[str, object]:
        return asdict(self)
