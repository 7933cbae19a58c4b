"""A back-up that is made while people tag, and restored: is everything there that was acknowledged before?

    python -m tests.benchmarks.back_up [--rounds 5] [--people 4] [--seed 0]

For the home folder with its file those of ``assets/deploy``, ``backup.sh`` and ``restore.sh``; for PostgreSQL
the commands of ``postgresql.md`` there, ``pg_dump`` and ``pg_restore``.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from backend.store import Store
from tests.benchmarks.kill import BUNDLE, child, tagging
from tests.postgres import USER, Cluster, binaries

DEPLOY = Path(__file__).parents[2] / "assets" / "deploy"
GUIDE = DEPLOY / "postgresql.md"
BACK_UP = "pg_dump --format=custom --file=errorscope.dump errorscope"
RESTORE = (
    "createdb --owner=errorscope --encoding=UTF8 --template=template0 restored",
    "pg_restore --exit-on-error --single-transaction --dbname=restored errorscope.dump",
)


def run(command: str, folder: Path, environment: dict[str, str]) -> None:
    """Run a command of the guide as it stands there."""
    assert command in GUIDE.read_text(encoding="utf-8"), f"the guide has no line {command}"
    subprocess.run(["sh", "-ec", command], cwd=folder, env=environment, check=True)


def script(path: Path, *arguments: Path) -> None:
    """Run one of the scripts."""
    environment = {**os.environ, "PYTHON": sys.executable}
    subprocess.run(["sh", str(path), *map(str, arguments)], env=environment, check=True)


@contextlib.contextmanager
def people(home: Path, count: int) -> Iterator[list[list[str]]]:
    """So many processes that tag; what each has acknowledged so far."""
    with contextlib.ExitStack() as stack:
        told = [
            stack.enter_context(child(tagging(home, f"{time.time_ns()} {number}")))[1]
            for number in range(count)
        ]
        while not all(told):
            time.sleep(0.01)
        yield told


def measured(
    home: Path, count: int, back_up: Callable[[], None], restore: Callable[[], Store]
) -> tuple[int, int, int, float, float]:
    """Acknowledged before the back-up began, how many of them are not in it, more that are, seconds."""
    with people(home, count) as told:
        time.sleep(random.uniform(0.2, 1.0))
        before = {line for lines in told for line in list(lines)}
        began = time.monotonic()
        back_up()
        backed = time.monotonic() - began
        time.sleep(0.2)
    began = time.monotonic()
    with contextlib.closing(restore()) as store:
        held = set(store.tags(BUNDLE)["id"])
        store.tag(BUNDLE, ["after"], "x")  # what was restored takes more
    restored = time.monotonic() - began
    return len(before), len(before - held), len(held - before), backed, restored


def file_rounds(rounds: int, count: int) -> Iterator[tuple[int, int, int, float, float]]:
    os.environ.pop("ERRORSCOPE_DATABASE", None)
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            home, kept, other = (Path(folder) / one for one in ("home", "kept", "other"))
            Store(home=home).close()

            def back_up(home: Path = home, kept: Path = kept) -> None:
                script(DEPLOY / "backup.sh", home, kept)

            def restore(kept: Path = kept, other: Path = other) -> Store:
                script(DEPLOY / "restore.sh", kept, other)
                return Store(home=other)

            yield measured(home, count, back_up, restore)


def server_rounds(rounds: int, count: int) -> Iterator[tuple[int, int, int, float, float]]:
    with Cluster() as cluster, tempfile.TemporaryDirectory() as folder:
        environment = cluster.environment
        environment["PATH"] = f"{cluster.programs}:{environment['PATH']}"
        cluster.sql("CREATE ROLE errorscope LOGIN PASSWORD 'x'")
        for _ in range(rounds):
            cluster.sql(
                "DROP DATABASE IF EXISTS errorscope WITH (FORCE)",
                "DROP DATABASE IF EXISTS restored WITH (FORCE)",
                "CREATE DATABASE errorscope OWNER errorscope TEMPLATE template0",
            )
            os.environ["ERRORSCOPE_DATABASE"] = cluster.url("errorscope", user=USER)
            Store().close()

            def back_up() -> None:
                run(BACK_UP, Path(folder), environment)

            def restore() -> Store:
                for command in RESTORE:
                    run(command, Path(folder), environment)
                return Store(cluster.url("restored"))

            yield measured(Path(folder), count, back_up, restore)
    del os.environ["ERRORSCOPE_DATABASE"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random.seed(options.seed)
    sys.stdout.write(
        "| database | back-ups | acknowledged before they began | of these missing | later ones in "
        "it | longest back-up | longest restore |\n| --- | --- | --- | --- | --- | --- | --- |\n"
    )
    kinds = {"SQLite": file_rounds}
    if binaries() is not None:
        kinds["PostgreSQL"] = server_rounds
    for name, of_kind in kinds.items():
        rows = list(of_kind(options.rounds, options.people))
        before, missing, later = (sum(row[place] for row in rows) for place in range(3))
        longest = " | ".join(f"{max(row[place] for row in rows):.1f} s" for place in (3, 4))
        sys.stdout.write(
            f"| {name} | {len(rows)} | {before:,} | {missing} | {later:,} | {longest} |\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
