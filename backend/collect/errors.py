"""The one error of a collector: what was needed, what came, what to do."""

from __future__ import annotations


class CollectError(ValueError):
    """A model, a loader or an option cannot be used. The text names it and says what came."""
