"""How long work tells that it goes on, and learns that it should stop."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called as ``progress(fraction, message)``; raises ``JobCancelled`` when the work should stop.

    ``fraction`` is in [0, 1] and never falls; ``message`` says what is being done, in the words a
    page shows. Call it at least every half second of work, so that cancelling feels prompt.
    """

    def __call__(self, fraction: float, message: str) -> None: ...


def ignore_progress(fraction: float, message: str) -> None:
    """The progress of a caller who does not ask for any."""


def share_of(progress: Progress, low: float, high: float) -> Progress:
    """Progress of a stage that covers ``[low, high]`` of the whole."""

    def staged(fraction: float, message: str) -> None:
        progress(low + (high - low) * fraction, message)

    return staged
