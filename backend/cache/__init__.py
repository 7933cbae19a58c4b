"""Results on disk, found again by what they were computed from.

    >>> cache = Cache()                                                          # doctest: +SKIP
    >>> key = key_of("spotlights", bundle.digest, {"size": 0.02}, version=1)     # doctest: +SKIP
    >>> entry = cache.read(key) or cache.write(key, {"weights": k}, {"seed": 0}) # doctest: +SKIP
    >>> entry["weights"], entry.meta                                             # doctest: +SKIP

A key covers bundle digest, task, options and method version, so an entry never becomes wrong: it
is there or it is not. An entry is a folder of ``.npy`` files and a ``meta.json`` that holds the
checksum of each. It appears in one rename, is read by memory map, and is checked in full the first
time a process reads it; a damaged one is logged, removed, and counts as absent.
"""

from backend.cache.cache import DEFAULT_BYTES, Cache
from backend.cache.entry import DamagedEntry, Entry, read_folder, write_folder
from backend.cache.keys import canonical, key_of

__all__ = [
    "DEFAULT_BYTES",
    "Cache",
    "DamagedEntry",
    "Entry",
    "canonical",
    "key_of",
    "read_folder",
    "write_folder",
]
