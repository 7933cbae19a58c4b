"""Tags, notes and region names: an append-only log in a database, and the state folded from it."""

from backend.store.log import Event, clean_author, clean_tag
from backend.store.store import Store

__all__ = ["Event", "Store", "clean_author", "clean_tag"]
