"""Moving a file of many events to PostgreSQL: how long it takes, and whether all is equal after.

    python -m tests.benchmarks.move_database [--events 100000]

Events of 20 bundles and 10 people: tags of 1 to 200 examples with and without the region they came
from, hypotheses, settings, answers and undo; then sharing and sign-ins.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
import time
from pathlib import Path

import sqlalchemy as sa

from backend.store import Author, SignIn, Store, move_database
from backend.store.database import metadata
from tests.postgres import Cluster

BUNDLES = [f"{number:064x}" for number in range(20)]
PEOPLE = [Author(f"Person {number}", f"@p{number}") for number in range(10)]


def fill(store: Store, count: int) -> None:
    """Write so many events, in one transaction, which is not what is measured."""
    values = []
    for number in range(count):
        bundle, who = random.choice(BUNDLES), random.choice(PEOPLE)
        kind = random.choices(
            ("tag", "untag", "hypothesis", "setting", "answer"), (80, 8, 2, 5, 5)
        )[0]
        first = random.randrange(10_000)
        size = 1 if kind == "answer" else random.randint(1, 200)
        source = {"kind": "region", "center": [random.gauss(0, 1) for _ in range(16)]}
        payload = {
            "tag": {"source": source} if number % 2 else {},
            "untag": {},
            "hypothesis": {"key": f"h{number}", "card": {"sentence": f"coats, {number}"}},
            "setting": {"name": "page size", "value": number},
            "answer": {"key": "q", "answer": "yes", "chance": random.random(), "name": "g"},
        }[kind]
        ids = [f"example-{first + row:06d}" for row in range(size)]
        values.append(
            store._values(kind, bundle, who, payload=payload, ids=ids, tag=f"tag {first % 30}")
        )
    with store._writing() as connection:
        for one in values:
            store._append(connection, one)
    for bundle in BUNDLES:
        store.undo(bundle, PEOPLE[0])
        store.share(bundle, "*", "look", author=PEOPLE[1])
    for number, who in enumerate(PEOPLE):
        store.holds(SignIn(f"s{number}", who.key, who.name, time.time()), longest_s=1e9)


def rows(url: str) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables, by their keys."""
    with contextlib.closing(Store(url)) as store, store._reading() as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(sa.select(table))))
            for table in metadata.sorted_tables
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random.seed(options.seed)
    with tempfile.TemporaryDirectory() as folder, Cluster() as cluster:
        file, url = f"sqlite:///{folder}/errorscope.sqlite", cluster.database()
        with contextlib.closing(Store(file)) as store:
            fill(store, options.events)
        size = (Path(folder) / "errorscope.sqlite").stat().st_size
        began = time.monotonic()
        moved = move_database(url, file)
        took = time.monotonic() - began
        back = f"sqlite:///{folder}/back.sqlite"
        began = time.monotonic()
        returned = move_database(back, url)
        took_back = time.monotonic() - began
        first = rows(file)
        same = first == rows(url) and first == rows(back) and moved.digest == returned.digest
        tables = True
        with contextlib.closing(Store(file)) as old, contextlib.closing(Store(url)) as new:
            for bundle in BUNDLES:
                tables &= old.tags(bundle).equals(new.tags(bundle))
                tables &= old.events(bundle) == new.events(bundle)
            last = old.tag("d", ["a"], "x").seq, new.tag("d", ["a"], "x").seq
    sys.stdout.write(
        "| rows | file | to PostgreSQL, compared | and back | all rows equal | tags and "
        "history equal | next number |\n| --- | --- | --- | --- | --- | --- | --- |\n"
        f"| {sum(moved.rows.values()):,} | {size / 2**20:.0f} MB | {took:.0f} s | {took_back:.0f} s | "
        f"{'yes' if same else 'NO'} | {'yes' if tables else 'NO'} | "
        f"{'the same' if last[0] == last[1] else last} |\n"
    )


if __name__ == "__main__":
    main()
