"""Tags, region names, hypotheses and views: an append-only log, and the state folded from it."""

from backend.store.audit import Erased
from backend.store.authors import Author, Who, author_of
from backend.store.carry import CarriedTags
from backend.store.database import Moved, move_database
from backend.store.known import KnownRegion
from backend.store.links import RunLink
from backend.store.log import Event, clean_author, clean_tag
from backend.store.questions import GivenAnswer, Question
from backend.store.reader import Reader
from backend.store.sharing import grantee_of
from backend.store.sign_ins import SignIn
from backend.store.store import Store
from backend.store.views import SavedView

__all__ = [
    "Author",
    "CarriedTags",
    "Erased",
    "Event",
    "GivenAnswer",
    "KnownRegion",
    "Moved",
    "Question",
    "Reader",
    "RunLink",
    "SavedView",
    "SignIn",
    "Store",
    "Who",
    "author_of",
    "clean_author",
    "clean_tag",
    "grantee_of",
    "move_database",
]
