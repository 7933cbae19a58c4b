"""How long tagging, undoing and reading 100 000 tags takes.

Run: ``python -m tests.benchmarks.store_bulk [rows]``. Budget: 1 s for a tag, 1 s for an undo.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from backend.store import Store


def main(rows: int) -> None:
    ids = [f"example-{row:07d}" for row in range(rows)]
    with tempfile.TemporaryDirectory() as home:
        store = timed("open a new database", lambda: Store(home=home))
        timed("open it again", lambda: Store(home=home))
        timed(f"tag {rows:,} examples", lambda: store.tag("d", ids, "x"))
        timed("first read after it", lambda: store.tags("d"))
        timed("read again (a page rerun)", lambda: store.tags("d"))
        timed("counts (a page rerun)", lambda: store.tag_counts("d"))
        timed("undo", lambda: store.undo("d"))
        timed("first read after it", lambda: store.tags("d"))
        for _ in range(20):
            store.tag("d", ids, "x")
        store.tags("d")
        timed("undo with 20 such events", lambda: store.undo("d"))
        timed("first read after it", lambda: store.tags("d"))
        timed("the same in a new process", lambda: Store(home=home).tags("d"))


def timed(what: str, work: Callable[[], Any]) -> Any:
    start = time.perf_counter()
    result = work()
    sys.stdout.write(f"{what:32s} {1e3 * (time.perf_counter() - start):8.1f} ms\n")
    return result


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
