"""A bundle from a live model, in the user's own training environment.

Every module here needs numpy alone, and torch for torch models, and imports nothing of the rest, so
that ``standalone`` can hand all of them out as one file.
"""

from backend.collect.collecting import collect
from backend.collect.errors import CollectError
from backend.collect.gathering import Collected
from backend.collect.standalone import FILE_NAME, OF_ARRAYS, SNIPPET, standalone
from backend.collect.training import Confidence, Indexed

__all__ = [
    "FILE_NAME",
    "OF_ARRAYS",
    "SNIPPET",
    "CollectError",
    "Collected",
    "Confidence",
    "Indexed",
    "collect",
    "standalone",
]
