"""What happens on a disk that is really full: every stage says so, loses nothing, and recovers.

Run as root on Linux: ``python -m tests.benchmarks.full_disk``. It mounts a small tmpfs as the home
folder for each stage, and ends with a sentence where it may not. The last stage has PostgreSQL,
where it is installed, on such a disk.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
from starlette.applications import Starlette
from starlette.testclient import TestClient

from backend.bundle import Bundle, import_bundle, list_bundles, open_bundle, rename_bundle
from backend.cache import Cache, key_of
from backend.cli.main import main as command
from backend.core.errors import BackendError, StoreError
from backend.core.home import is_full
from backend.store import Store
from pages.components.bundles import streamed
from pages.components.bundles.uploads import keep_upload
from tests.benchmarks.kill import sentence
from tests.bundles import npz, planted
from tests.postgres import Cluster, binaries

MEGABYTES = 24


@dataclass
class Place:
    """A home folder on a small disk, with a bundle, and the tags that were acknowledged there."""

    home: Path
    bundle: Bundle
    store: Store
    acknowledged: set[tuple[str, str]]

    def tag(self, number: int) -> None:
        ids = self.bundle.ids.tolist()
        self.store.tag(self.bundle, ids, f"tag {number}")
        self.acknowledged |= {(f"tag {number}", one) for one in ids}

    def held(self) -> set[tuple[str, str]]:
        with contextlib.closing(Store(home=self.home)) as store:
            table = store.tags(self.bundle)
        return set(zip(table["tag"], table["id"], strict=True))


def upload(place: Place, again: int) -> None:
    content = np.random.default_rng(again).bytes(2_000_000)
    file = SimpleNamespace(name="run.npz", getbuffer=lambda: memoryview(content))
    keep_upload([file])


def streamed_upload(place: Place, again: int) -> None:
    content = np.random.default_rng(again).bytes(2_000_000)
    ticket = streamed.TICKETS.issue()
    # The server keeps a gigabyte free, more than this disk has: here it finds out while it writes.
    with mock.patch.object(streamed, "_room", lambda upload, name: (10**9, "")):
        answer = TestClient(Starlette(routes=streamed.ROUTES)).put(
            f"/upload/{ticket.key}", params={"name": "run.npz"}, content=content
        )
    if answer.status_code != 200:
        raise BackendError(answer.text)


def take_in(place: Place, again: int) -> None:
    fields = planted(4000, 64, seed=5 + again)
    fields.pop("planted")
    with tempfile.TemporaryDirectory() as elsewhere:
        path = Path(elsewhere) / "other.npz"
        path.write_bytes(npz(**fields))
        import_bundle(path, place.home, name=f"other {again}")


def cache(place: Place, again: int) -> None:
    key = key_of("words", place.bundle.digest, {"again": again}, 1)
    Cache(place.home).write(key, {"x": np.random.default_rng(again).normal(size=200_000)}, {})


def tags(place: Place, again: int) -> None:
    for number in range(200):  # some fit into what the database has already
        place.tag(1000 * (1 + again) + number)


def view(place: Place, again: int) -> None:
    for number in range(400):
        place.store.save_view(place.bundle, f"view {again} {number}", {"x": "y" * 20_000})
        if again:
            return


def called(*arguments: str) -> None:
    """Run a command; its refusal is raised again with what it said."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        status = command(list(arguments))
    if status:
        raise BackendError(said.getvalue())


def export(place: Place, again: int) -> None:
    out = str(place.home / f"flagged-{again}.csv")
    called("export", place.bundle.digest[:12], "--home", str(place.home), "--out", out)


def report(place: Place, again: int) -> None:
    out = str(place.home / f"report-{again}.html")
    called(
        "report", place.bundle.digest[:12], "--home", str(place.home), "--out", out,
        "--spotlights", "1",
    )  # fmt: skip


def rename(place: Place, again: int) -> None:
    rename_bundle(place.bundle.digest, f"name {again} " + "x" * 150, place.home)


STAGES: dict[str, Callable[[Place, int], None]] = {
    "upload": upload,
    "streamed upload": streamed_upload,
    "import": take_in,
    "cached result": cache,
    "tag": tags,
    "saved view": view,
    "export": export,
    "report": report,
    "rename": rename,
}


@contextlib.contextmanager
def small_disk(megabytes: int = MEGABYTES) -> Iterator[Path]:
    """A folder that holds so much, 24 MB by default.

    Raises
    ------
    OSError
        If nothing may be mounted here.
    """
    with tempfile.TemporaryDirectory() as folder:
        size = f"size={megabytes}m"
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], capture_output=True, text=True
        )
        if done.returncode:
            raise OSError(done.stderr.strip())
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


def fill(home: Path) -> Path:
    """Fill the disk to its last byte; removing the file that is returned makes room again."""
    filler = home / "filler"
    with filler.open("wb", buffering=0) as file:
        for block in (2**20, 2**12, 1):
            with contextlib.suppress(OSError):
                while file.write(b"\1" * block) == block:
                    pass
    return filler


def says_full(error: BaseException) -> bool:
    return "is full" in str(error) or "disk is full" in str(error)


def tried(name: str, stage: Callable[[Place, int], None]) -> tuple[str, ...]:
    """One stage on a full disk: what it said, what is lost, what is left over, whether it recovers."""
    with small_disk() as home, contextlib.closing(Store(home=home)) as store:
        fields = planted(400, 8, seed=2)
        fields.pop("planted")
        first = home / "first.npz"
        first.write_bytes(npz(**fields))
        place = Place(home, import_bundle(first, home), store, set())
        first.unlink()
        for number in range(3):
            place.tag(number)
        files = {path for path in home.rglob("*") if path.is_file()}
        os.environ["ERRORSCOPE_HOME"] = str(home)  # where uploads go
        filler = fill(home)
        try:
            stage(place, 0)
            said = "nothing: it fitted"
        except BackendError as error:
            said = "full" if says_full(error) else f"OTHER: {error!s:.160}"
        except OSError as error:
            said = f"TRACEBACK ({'full' if is_full(error) else 'other'})"
        lost = len(place.acknowledged - place.held())
        readable = open_bundle(place.bundle.digest, home).n == 400 and len(list_bundles(home)) == 1
        new = {path for path in home.rglob("*") if path.is_file()} - files - {filler}
        left = sum(path.stat().st_size for path in new if "sqlite" not in path.name)
        filler.unlink()
        try:
            stage(place, 1)
            again = "yes"
        except Exception as error:
            again = f"NO: {error!s:.160}"
        lost += len(place.acknowledged - place.held())
    return name, said, str(lost), "yes" if readable else "NO", f"{left:,}", again


def postgres_full() -> tuple[str, ...]:
    """PostgreSQL on a disk that is filled while somebody tags: the row of ``tried``."""
    said: Counter[str] = Counter()
    ids = [f"example-{row}" for row in range(2000)]
    acknowledged: set[str] = set()

    def tag(store: Store, numbers: range, *, until_refused: bool) -> None:
        for number in numbers:
            try:
                store.tag("d", [f"{number} {one}" for one in ids], f"tag {number}")
            except StoreError as error:
                said[sentence(error)] += 1
                if until_refused:
                    return
            else:
                acknowledged.add(f"tag {number}")

    with small_disk(160) as folder:
        cluster = Cluster(folder=folder / "postgres")
        cluster.start()
        try:
            url = cluster.database()
            with contextlib.closing(Store(url, wait_s=3)) as store:
                tag(store, range(3), until_refused=True)
                filler = fill(folder)
                tag(store, range(100, 3000), until_refused=True)
                tag(store, range(3000, 3003), until_refused=False)
                filler.unlink()
                ended = cluster.process is None or cluster.process.poll() is not None
                if ended:  # it stops for good where it cannot even write that it goes on
                    cluster.start()
                cluster.wait()
                before = len(acknowledged)
                tag(store, range(5000, 5003), until_refused=False)
                again = len(acknowledged) - before == 3
            with contextlib.closing(Store(url)) as store:
                lost = acknowledged - set(store.tag_counts("d"))
        finally:
            cluster.kill()
    words = ", ".join(f"{one} ({n})" for one, n in said.items())
    works = "yes" + (", once started anew" if ended else "") if again else "NO"
    name = f"tag, PostgreSQL ({len(acknowledged)} kept)"
    return name, words, str(len(lost)), "yes", "0", works


def main() -> None:
    lines = [
        "| stage | says the disk is | acknowledged tags lost | bundle readable | bytes left over | "
        "works once there is room |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    for name, stage in STAGES.items():
        try:
            row = tried(name, stage)
        except OSError as error:
            sys.stdout.write(f"Nothing can be mounted here: {error}\n")
            return
        sys.stdout.write("| " + " | ".join(row) + " |\n")
        sys.stdout.flush()
    if binaries() is not None:
        sys.stdout.write("| " + " | ".join(postgres_full()) + " |\n")


if __name__ == "__main__":
    main()
