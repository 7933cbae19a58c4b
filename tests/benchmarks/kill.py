"""Killed at random moments: what was acknowledged and is not found, what is left over, what works again.

    python -m tests.benchmarks.kill [--rounds 60] [--servers 3] [--seed 0] [--only WORD]

SIGKILL for a process that writes tags, for a process that imports bundles, for a worker in the
middle of an import, and for a whole server whose visitor tags and uploads; then a database that
another program locks, and one that is taken away. PostgreSQL, where it is installed, is killed and
stopped under two processes that tag, and locked.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import re
import signal
import sqlite3
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil

from backend.bundle import import_bundle, list_bundles, open_bundle
from backend.core.errors import BackendError, StoreError
from backend.jobs import Jobs
from backend.store import Store
from backend.store.database import WRITING
from tests.benchmarks.soak import left_over, small
from tests.benchmarks.wire import Client, Trouble
from tests.e2e.conftest import start_server
from tests.postgres import Cluster, binaries

BUNDLE = "a" * 64


@contextlib.contextmanager
def child(work: Callable[[Callable[[str], None]], None]) -> Iterator[tuple[int, list[str]]]:
    """A process that does ``work`` until it is killed; lines that it acknowledged until then."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)

        def told(line: str) -> None:
            os.write(write, f"{line}\n".encode())

        try:
            work(told)
        finally:
            os._exit(0)
    os.close(write)
    lines: list[str] = []

    def listen() -> None:
        with os.fdopen(read) as pipe:
            lines.extend(line.strip() for line in pipe if line.endswith("\n"))

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        yield pid, lines
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        listener.join()


def tagging(home: Path, name: str) -> Callable[[Callable[[str], None]], None]:
    """Tags one example after the other; every seventh tag is taken back and not told."""

    def tag(told: Callable[[str], None]) -> None:
        store = Store(home=home)
        for step in range(100_000):
            event = store.tag(BUNDLE, [f"e{name}-{step}"], "x", author=name)
            if step % 7 == 6:
                store.undo(BUNDLE, name)
            else:
                told(event.ids[0])

    return tag


def writers(home: Path, rounds: int) -> str:
    """Two processes tag at once, one of them is killed; both begin anew."""
    acknowledged: set[str] = set()
    for number in range(rounds):
        with (
            child(tagging(home, f"{number}")) as (_, told),
            child(tagging(home, f"{number} b")) as (_, more),
        ):
            began = time.monotonic()
            while not (told and more) and time.monotonic() - began < 30:
                time.sleep(0.01)
            time.sleep(random.uniform(0, 0.5))
        acknowledged |= {*told, *more}
    with contextlib.closing(Store(home=home)) as store:
        found = set(store.tags(BUNDLE)["id"])
        store.tag(BUNDLE, ["after"], "x")
    with sqlite3.connect(home / "errorscope.sqlite") as database:
        whole = database.execute("pragma integrity_check").fetchone()[0]
    return f"{2 * rounds} | {len(acknowledged)} | {len(acknowledged - found)} | {whole} | yes"


def importers(home: Path, rounds: int) -> str:
    """A process imports small bundles and is killed."""
    acknowledged: list[str] = []
    began = time.monotonic()
    (home.parent / "timed.npz").write_bytes(small(600, 16, seed=5_000))
    import_bundle(home.parent / "timed.npz", home.parent / "timed")
    usual_s = time.monotonic() - began
    for number in range(rounds):
        path = home.parent / f"run-{number}.npz"
        path.write_bytes(small(600, 16, seed=number))

        def take(told: Callable[[str], None], path: Path = path) -> None:
            told(import_bundle(path, home).digest)
            time.sleep(60)

        with child(take) as (_, told):
            time.sleep(random.uniform(0, 1.5 * usual_s))
        acknowledged += told
    sound = [digest for digest in acknowledged if _opens(digest, home)]
    listed = [info.digest for info in list_bundles(home)]
    broken = [digest for digest in listed if not _opens(digest, home)]
    left = left_over(home)
    for number in range(rounds):  # what was broken off is imported after all
        import_bundle(home.parent / f"run-{number}.npz", home)
    again = "yes" if len(list_bundles(home)) == rounds else "NO"
    lost = len(acknowledged) - len(sound)
    after = left_over(home)
    return (
        f"{rounds} | {len(acknowledged)} | {lost} | {len(broken)} broken, left over {left}, "
        f"then {after} | {again}"
    )


def _opens(digest: str, home: Path) -> bool:
    try:
        bundle = open_bundle(digest, home)
        return bool(np.isfinite(np.asarray(bundle.embeddings)).all() and bundle.n == 600)
    except (BackendError, OSError, ValueError):
        return False


def workers(home: Path, rounds: int) -> str:
    """The worker of an import is killed; the import is asked for again."""
    done = lost = 0
    said: set[str] = set()
    with Jobs(home) as jobs:
        for number in range(rounds):
            path = home.parent / f"worked-{number}.npz"
            path.write_bytes(small(600, 16, seed=10_000 + number))
            job = jobs.submit("import", "", {"path": str(path)})
            job.wait(random.uniform(0.0, 1.5))
            for one in psutil.Process().children():
                with contextlib.suppress(psutil.Error):
                    one.kill()
            job.wait(120)
            if job.state == "failed":
                said.add((job.error or "")[:40])
                job = jobs.retry(job)
                job.wait(240)
            done += job.state == "done"
            lost += job.state == "done" and not _opens(str(job.result().meta["digest"]), home)
    left = left_over(home)
    return f"{rounds} | {done} | {lost} | said {sorted(said)}, left over {left} | {'yes' if done == rounds else 'NO'}"


def servers(home: Path, rounds: int) -> str:
    """A server whose visitor tags and uploads is killed and started again on the same home."""
    acknowledged: set[tuple[str, str]] = set()
    (home.parent / "first.npz").write_bytes(small(600, 16, seed=99))
    digest = import_bundle(home.parent / "first.npz", home).digest
    orphans, works = 0, 0

    async def visit(url: str, until: float, number: int) -> None:
        client = Client(url, patience_s=60)
        try:
            await client.open("spotlights", f"bundle={digest[:12]}")
            await client.until(lambda: client.has("gallery_keys"), "the gallery", wait_s=120)
            ids = [one["id"] for one in client.data("gallery")["items"]]
            instance, n = uuid.uuid4().hex, 0
            while time.monotonic() < until:
                n += 1
                item = {"n": n, "operation": f"{instance}-{n}", "kind": "tag", "bundle": digest}
                item |= {"ids": [ids[n % len(ids)]], "tag": f"round {number} {n}"}
                queue = {"instance": instance, "items": [item], "sent": n}
                await client.tell("gallery_keys", {"queue": queue, "opened": None})
                if client.data("gallery_keys")["acknowledged"] >= n:
                    acknowledged.add((ids[n % len(ids)], f"round {number} {n}"))
        except (Trouble, OSError):
            pass  # it was killed
        finally:
            await client.close()

    async def killed(number: int) -> None:
        nonlocal orphans, works
        server = await asyncio.to_thread(start_server, home)
        visiting = asyncio.create_task(visit(server.url, time.monotonic() + 300, number))
        before = len(acknowledged)
        while len(acknowledged) < before + 3 and not visiting.done():
            await asyncio.sleep(0.1)
        works += len(acknowledged) >= before + 3
        await asyncio.sleep(random.uniform(0, 3))
        children = psutil.Process(server.process.pid).children(recursive=True)
        await asyncio.to_thread(server.kill)
        await visiting
        _, alive = psutil.wait_procs(children, timeout=10)
        orphans += sum(one.status() != psutil.STATUS_ZOMBIE for one in alive if one.is_running())

    for number in range(rounds):
        asyncio.run(killed(number))
    with contextlib.closing(Store(home=home)) as store:
        table = store.tags(digest)
    found = set(zip(table["id"], table["tag"], strict=True))
    return (
        f"{rounds} | {len(acknowledged)} | {len(acknowledged - found)} | {orphans} workers outlived "
        f"it, left over {left_over(home)} | {'yes' if works == rounds else 'NO'}"
    )


def locked(home: Path, held_s: float = 3.0) -> str:
    """Another program holds the file: writers wait, then say so; readers go on."""
    with contextlib.closing(Store(home=home, wait_s=1.0)) as store:
        store.tag(BUNDLE, ["before"], "locked")
        other = sqlite3.connect(home / "errorscope.sqlite", isolation_level=None)
        other.execute("begin immediate")
        began = time.monotonic()
        try:
            store.tag(BUNDLE, ["during"], "locked")
            said = "NOTHING"
        except StoreError as error:
            said = "locked" if "is locked by another program" in str(error) else str(error)[:80]
        waited = time.monotonic() - began
        read = "before" in set(store.tags(BUNDLE)["id"])
        threading.Timer(held_s, other.execute, ("rollback",)).run()
        store.tag(BUNDLE, ["after"], "locked")
        held = set(store.tags(BUNDLE)["id"])
        other.close()
    kept = {"before", "after"} <= held and "during" not in held
    return f"1 | 2 | {0 if kept else 'SOME'} | said {said} after {waited:.1f} s, read meanwhile: {read} | yes"


def taken_away(home: Path) -> str:
    """The file is moved away while it is open, and put back."""
    file = home / "errorscope.sqlite"
    with contextlib.closing(Store(home=home)) as store:
        store.tag(BUNDLE, ["before"], "gone")
        with sqlite3.connect(file) as source, sqlite3.connect(home / "copy.sqlite") as copy:
            source.backup(copy)
        for one in list(home.glob("errorscope.sqlite*")):
            one.rename(home / f"gone-{one.name}")
        try:
            store.tag(BUNDLE, ["during"], "gone")
            said = "NOTHING"
        except StoreError as error:
            said = "taken away" if "was taken away" in str(error) else str(error)[:80]
        (home / "copy.sqlite").rename(file)
        store.tag(BUNDLE, ["after"], "gone")
        held = set(store.tags(BUNDLE)["id"])
    kept = {"before", "after"} <= held and "during" not in held
    return f"1 | 2 | {0 if kept else 'SOME'} | said {said} | yes"


def persisting(url: str, name: str) -> Callable[[Callable[[str], None]], None]:
    """Tags one example after the other and tries again what was refused; tells both."""

    def tag(told: Callable[[str], None]) -> None:
        store = Store(url, wait_s=5, later=True)
        for step in range(100_000):
            while True:
                try:
                    event = store.tag(
                        BUNDLE, [f"e{name}-{step}"], "x", author=name, operation=f"{name}-{step}"
                    )
                except StoreError as error:
                    told(f"!{sentence(error)}")
                    time.sleep(0.05)
                else:
                    told(event.ids[0])
                    break

    return tag


def sentence(error: StoreError) -> str:
    """What happened, of what is said; without the place."""
    return re.sub(r"^.*'test_\w+'( at [\w.:]+)? ?", "", str(error)).split(". ")[0]


def server_of_the_database(home: Path, rounds: int) -> str:
    """PostgreSQL is killed, and stopped every other time, under two processes that tag, and started anew."""
    acknowledged: list[str] = []
    said: Counter[str] = Counter()
    went_on = 0
    with Cluster() as cluster:
        url = cluster.database()
        for number in range(rounds):
            with (
                child(persisting(url, f"{number}")) as (_, told),
                child(persisting(url, f"{number} b")) as (_, more),
            ):
                _until(lambda told=told, more=more: len(told) > 5 and len(more) > 5)
                time.sleep(random.uniform(0, 0.5))
                cluster.stop() if number % 2 else cluster.kill()
                time.sleep(random.uniform(0, 0.5))
                cluster.start()
                seen = len(told), len(more)
                went_on += _until(
                    lambda told=told, more=more, seen=seen: all(
                        len([one for one in lines[had:] if one[0] != "!"]) > 5
                        for lines, had in zip((told, more), seen, strict=True)
                    )
                )
            lines = [*told, *more]
            acknowledged += [line for line in lines if line[0] != "!"]
            said.update(line[1:] for line in lines if line[0] == "!")
        with contextlib.closing(Store(url)) as store:
            kept = Counter(event.ids[0] for event in store.events(BUNDLE))
    lost, doubled = set(acknowledged) - set(kept), [one for one, n in kept.items() if n > 1]
    words = ", ".join(f"'{one}' {n} times" for one, n in said.most_common())
    return (
        f"{rounds} | {len(acknowledged)} | {len(lost)} | {len(doubled)} doubled; said {words} | "
        f"{'yes' if went_on == rounds else 'NO'}"
    )


def _until(holds: Callable[[], bool], wait_s: float = 60.0) -> bool:
    began = time.monotonic()
    while not holds() and time.monotonic() - began < wait_s:
        time.sleep(0.01)
    return holds()


def locked_server(home: Path) -> str:
    """Another program holds the right to write on PostgreSQL, then the whole table."""
    import psycopg

    said = {}
    with Cluster() as cluster:
        url = cluster.database()
        with contextlib.closing(Store(url, wait_s=1.0)) as store, psycopg.connect(url) as other:
            store.tag(BUNDLE, ["before"], "locked")
            for name, held in {
                "the right to write": f"SELECT pg_advisory_xact_lock({WRITING})",
                "the table": "LOCK TABLE events",
            }.items():
                other.execute(held)
                began = time.monotonic()
                try:
                    store.tag(BUNDLE, ["during"], "locked")
                    said[name] = "NOTHING"
                except StoreError as error:
                    said[name] = f"'{sentence(error)}' after {time.monotonic() - began:.1f} s"
                other.rollback()
            store.tag(BUNDLE, ["after"], "locked")
            held_now = set(store.tags(BUNDLE)["id"])
    kept = held_now == {"before", "after"}
    return f"2 | 2 | {0 if kept else 'SOME'} | said {said} | yes"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--servers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="stages whose name has this word")
    options = parser.parse_args()
    random.seed(options.seed)
    stages: dict[str, Callable[[Path], str]] = {
        "process that writes tags": lambda home: writers(home, options.rounds),
        "process that imports": lambda home: importers(home, options.rounds),
        "worker in an import": lambda home: workers(home, max(3, options.rounds // 6)),
        "server": lambda home: servers(home, options.servers),
        "locked database": locked,
        "database taken away": taken_away,
    }
    if binaries() is not None:
        stages["PostgreSQL"] = lambda home: server_of_the_database(home, options.rounds)
        stages["PostgreSQL locked"] = locked_server
    lines = [
        "| killed or disturbed | times | acknowledged | lost | what is left, what is said | works again |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    for name, stage in stages.items():
        if options.only not in name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder) / "home"
            home.mkdir()
            sys.stdout.write(f"| {name} | {stage(home)} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
