"""Tags, region names, hypotheses and views: an append-only log, and the state folded from it."""

from backend.store.log import Event, clean_author, clean_tag
from backend.store.reader import Reader
from backend.store.store import Store
from backend.store.views import SavedView

__all__ = ["Event", "Reader", "SavedView", "Store", "clean_author", "clean_tag"]
