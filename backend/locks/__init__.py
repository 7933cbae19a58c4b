"""Who works: one program at a time, among all that share a home folder, on one machine or on several."""

from backend.locks.lock import Lock

__all__ = ["Lock"]
