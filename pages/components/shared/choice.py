"""The choice: what a page is looking at, with its name and where it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from backend.core.found import SAMPLED
from backend.core.groups import Group

SELECTION = "selection"
"""Key of the group that somebody selected on the page."""


@dataclass(frozen=True)
class Choice:
    """A group with its name on screen and what the record of a tag says about it."""

    key: str
    name: str
    group: Group
    source: dict[str, Any]
    number: str = ""
    colour: str = ""
    note: str = ""
    scope: str = ""
    """Among which examples a region was looked for, where not among all."""
    whole: int | None = None
    """Members before filters took some away; None where none did."""
    among: tuple[str, ...] = ()
    """Labels among which a region was looked for; empty where among all examples."""

    @property
    def about(self) -> str:
        """What it is called and, where filters made it, what they say: the columns both speak of."""
        parts = [one for name in ("rules", "filters", "steps") for one in self.source.get(name, ())]
        return " ".join([self.name, *(str(one["what"].get("rule", "")) for one in parts)])

    @property
    def sampled(self) -> bool:
        """Whether it is a region of a sample, shown while the whole is searched."""
        return self.source["kind"] == SAMPLED

    @property
    def found(self) -> bool:
        """Whether a search found it."""
        return self.sampled or self.source["kind"] == "region"


def sampled_key(index: int) -> str:
    """Key of a region of a sample, as ``region-1`` is that of one of the whole list."""
    return f"sample-{index + 1}"
