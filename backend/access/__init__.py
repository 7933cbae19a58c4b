"""Who may do what: the one place that answers whether a person may look at, tag or administer a bundle.

Pages, routes, jobs and downloads ask here. What they are handed (``GuardedStore``, and what
``pages.components.shared.services`` gives) asks by itself, so that nobody has to remember to.
"""

from backend.access.addresses import shared_words
from backend.access.gate import Gate, Right
from backend.access.guarded import GuardedStore
from backend.access.people import EVERYBODY, NOBODY, ROLES, Person, person_of

__all__ = [
    "EVERYBODY",
    "NOBODY",
    "ROLES",
    "Gate",
    "GuardedStore",
    "Person",
    "Right",
    "person_of",
    "shared_words",
]
