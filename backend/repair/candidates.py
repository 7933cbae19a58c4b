"""Candidate contexts that ship: short lists, an axis each, for pictures and for texts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from backend.core.errors import InputError

MOST_OWN = 200
"""Lines of a list of somebody's own."""
LONGEST = 80
"""Signs of one line."""


@dataclass(frozen=True)
class CandidateList:
    """One axis: contexts of which an example has one, more or less."""

    title: str
    reads: str
    texts: tuple[str, ...]


LISTS = {
    "backgrounds": CandidateList(
        "Backgrounds",
        "pictures",
        (
            "on a white background", "on a black background", "on a striped background",
            "in a forest", "in grass", "in the desert", "on sand", "in the snow", "in water",
            "on a street", "in front of a wall", "in a room", "on a table", "in a hand",
            "in a crowd", "against the sky", "behind a fence",
        ),
    ),
    "colours": CandidateList(
        "Colours",
        "pictures",
        (
            "in black", "in white", "in grey", "in red", "in orange", "in yellow", "in green",
            "in blue", "in purple", "in pink", "in brown", "in many colours",
        ),
    ),
    "sizes": CandidateList(
        "Sizes",
        "pictures",
        (
            "that is tiny", "that is small", "that fills the picture", "that is cut off",
            "half hidden behind something", "far away", "among many others",
        ),
    ),
    "weather": CandidateList(
        "Weather and light",
        "pictures",
        (
            "in bright sunlight", "in the rain", "in fog", "in falling snow", "in a storm",
            "at night", "at sunset", "in the dark", "in shadow", "in flash light",
        ),
    ),
    "viewpoints": CandidateList(
        "Viewpoints and quality",
        "pictures",
        (
            "seen from the front", "seen from the side", "seen from behind", "seen from above",
            "seen from below", "turned on its side", "upside down", "in close-up", "out of focus",
            "in a noisy picture", "in a drawing", "in a black and white photo",
        ),
    ),
    "tones": CandidateList(
        "Tone",
        "texts",
        (
            "an angry complaint", "a happy recommendation", "an ironic remark",
            "a sober description", "mixed feelings, good and bad", "a disappointment",
            "a question", "a joke", "a polite request",
        ),
    ),
    "subjects": CandidateList(
        "Subject",
        "texts",
        (
            "about the price", "about the size and the fit", "about quality and material",
            "about the colour", "about delivery and returns", "about customer service",
            "about the story and the actors", "about food", "about travel", "about health",
            "about politics", "about sports", "about technology",
        ),
    ),
    "forms": CandidateList(
        "Form",
        "texts",
        (
            "a single short phrase", "a long text with many details", "a list of points",
            "a comparison with something else", "a story about oneself", "a negated sentence",
            "a text full of spelling mistakes", "a text with many numbers", "a quotation",
        ),
    ),
}  # fmt: skip


def lists_for(reads: str) -> dict[str, CandidateList]:
    """The lists that ship for examples of a kind, ``pictures`` or ``texts``."""
    return {name: one for name, one in LISTS.items() if one.reads == reads}


def own_list(lines: str | Iterable[str]) -> tuple[str, ...]:
    """Somebody's own candidates, one a line; empty lines are none.

    Raises
    ------
    InputError
        If there are more than ``MOST_OWN``, or one is longer than ``LONGEST``.
    """
    given = lines.splitlines() if isinstance(lines, str) else [str(one) for one in lines]
    found = [" ".join(one.split()) for one in given if one.strip()]
    if len(found) > MOST_OWN:
        raise InputError(f"a list of your own has at most {MOST_OWN} lines: got {len(found):,}.")
    long = next((one for one in found if len(one) > LONGEST), None)
    if long is not None:
        raise InputError(
            f"a context has at most {LONGEST} signs: got {len(long):,} in {long[:40]!r}."
        )
    return tuple(found)
