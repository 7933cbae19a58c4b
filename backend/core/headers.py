"""Headers of .npy files, read by one thread at a time.

numpy parses them with ``ast``. Before Python 3.11.9 and 3.12.4 all threads share the depth that it
counts, and where the garbage collector lets another one in between, a sound file ends in a
``SystemError``. A server has a thread for every visitor, and opens arrays at each click.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_READING = threading.Lock()
_TRIES = 5
"""The framework compiles pages in threads that know nothing of the lock, but seldom."""


def one_at_a_time(read: Callable[[], T]) -> T:
    """What ``read`` gives, which parses a header; called again where another thread disturbed it."""
    with _READING:
        for _ in range(_TRIES - 1):
            try:
                return read()
            except SystemError:
                continue
        return read()
