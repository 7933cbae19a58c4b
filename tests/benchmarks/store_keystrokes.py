"""What one keystroke in a gallery costs the server, beside 100 000 tags that are there already.

Run: ``python -m tests.benchmarks.store_keystrokes [rows]``. Ten keys a second leave 100 ms for each.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time

from backend.store import Store

KEYS = 200
SHOWN = 48


def main(rows: int) -> None:
    ids = [f"example-{row:07d}" for row in range(rows)]
    with tempfile.TemporaryDirectory() as home:
        store = Store(home=home)
        for tag in ("one", "two", "three"):
            store.tag("d", ids, tag)
        store.write_setting("d", "digit tags", {"1": "one"})
        spent: dict[str, list[float]] = {"tag": [], "read the page": [], "undo": []}
        for n in range(KEYS):
            spent["tag"].append(
                timed(lambda n=n: store.tag("d", [ids[n]], "four", operation=f"k-{n}"))
            )
            spent["read the page"].append(timed(lambda: page(store, ids[:SHOWN])))
        for n in range(KEYS):
            spent["undo"].append(timed(lambda n=n: store.undo("d", operation=f"u-{n}")))
    for what, times in spent.items():
        sys.stdout.write(
            f"{what:16s} median {1e3 * statistics.median(times):6.1f} ms, "
            f"worst {1e3 * max(times):6.1f} ms\n"
        )


def page(store: Store, ids: list[str]) -> None:
    """What the line of keys under a page of tiles asks for."""
    store.tags_on("d", ids)
    store.setting("d", "digit tags")
    store.tag_counts("d")


def timed(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
