"""Many people at once for half an hour: what is lost, what is left over, what grows.

    python -m tests.benchmarks.soak [--clients 50] [--minutes 30] [--think 60]

Each client speaks Streamlit's protocol to a real server and does what people do, at random: opens
pages, tags by keys, adds rules, exports, follows links in a new tab, uploads small bundles and
removes its own ones again. Memory and descriptors are those of the server and of all its workers;
slopes are fitted to the second half of the time. ``lost`` counts tags that the page acknowledged
and that are not in the database at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import random
import re
import sys
import tempfile
import time
import urllib.error
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from websockets.exceptions import WebSocketException

from backend.bundle import import_bundle, list_bundles
from backend.store import Store
from tests.benchmarks.wire import Client, Trouble
from tests.bundles import npz, planted
from tests.e2e.conftest import Server, start_server

PAGES = ("spotlights", "hardest", "compression", "subgroups", "stress", "flagged", "bundles")
RULES = ("loss > 0.3", "label != prediction", "label = cat", "not correct = yes and loss < 3")
EMPTY = "No member of this group passes the filters"
SAMPLE_S = 10.0
REST_S = 150.0
"""Streamlit keeps the session of a closed tab for two minutes."""


@dataclass
class Record:
    """What all clients did and saw."""

    done: collections.Counter[str] = field(default_factory=collections.Counter)
    troubles: collections.Counter[str] = field(default_factory=collections.Counter)
    waits: dict[str, list[float]] = field(default_factory=lambda: collections.defaultdict(list))
    tagged: set[tuple[str, str, str]] = field(default_factory=set)
    """Digest, id and tag of what the page said was kept."""
    operations: set[str] = field(default_factory=set)
    """Names of the keystrokes that the page said were kept."""
    links: list[tuple[str, str]] = field(default_factory=list)
    """Addresses somebody looked at."""


class Person:
    """One tab after another of somebody who works on bundles."""

    def __init__(self, number: int, server: Server, record: Record, think_s: float) -> None:
        self.number, self.server, self.record, self.think_s = number, server, record, think_s
        self.random = random.Random(number)
        self.client: Client | None = None
        self.own = ""
        """Short digest of the bundle this person uploaded last."""
        self.uploads = 0

    async def live(self, until: float) -> None:
        """Do one thing after another until the time is up."""
        await asyncio.sleep(self.random.uniform(0, self.think_s))
        while time.monotonic() < until:
            doing = self.random.choices(*zip(*self.doings(), strict=True))[0]
            name = doing.__name__
            started = time.monotonic()
            try:
                if self.client is None:
                    await self.arrive("spotlights", "")
                await doing()
                self.record.done[name] += 1
                self.record.waits[name].append(time.monotonic() - started)
            except (Trouble, OSError, WebSocketException, urllib.error.HTTPError) as error:
                self.record.troubles[f"{name}: {type(error).__name__}: {error}"[:160]] += 1
                await self.leave()
            rest = self.random.expovariate(1 / self.think_s)
            await asyncio.sleep(max(0.0, min(rest, until - time.monotonic())))
        await self.leave()

    def doings(self) -> list[tuple[Callable[[], Awaitable[None]], int]]:
        """What this person does, with how often."""
        return [
            *((self.look, 35), (self.tag, 25), (self.rule, 10)),
            *((self.export, 12), (self.follow, 13), (self.upload, 5)),
        ]

    async def arrive(self, page: str, query: str) -> None:
        await self.leave()
        self.client = self.new_tab()
        await self.client.open(page, query)
        await self._quiet()

    def new_tab(self) -> Client:
        return Client(self.server.url)

    async def leave(self) -> None:
        if self.client is not None:
            for fault in self.client.faults:
                self.record.troubles[f"on the page: {fault}"[:160]] += 1
            await self.client.close()
        self.client = None

    async def look(self) -> None:
        await self._go(self.random.choice(PAGES))

    async def follow(self) -> None:
        """A link that somebody had open, in a new tab."""
        page, query = self.random.choice(self.record.links or [("spotlights", "")])
        await self.arrive(page, query)

    async def tag(self) -> None:
        """A digit in the gallery, sent again until it is acknowledged."""
        client = self._tab
        await self._go(self.random.choice(("spotlights", "hardest")))
        lists = ("gallery_keys", "gallery_hardest_keys")
        await client.until(
            lambda: any(map(client.has, lists)) or any(EMPTY in one for one in client.texts),
            "the gallery",
        )
        there = [key for key in lists if client.has(key)]
        if not there:
            return  # the rules of this tab leave no member of the group
        lines = there[0]
        gallery = client.data(lines.removesuffix("_keys"))
        instance, bundle = uuid.uuid4().hex, gallery["bundle"]
        if client.data(lines).get("locked"):
            return  # they may only look here
        names = [one["id"] for one in gallery["items"]]
        ids = self.random.sample(names, min(2, len(names)))
        tag = f"seen by {self.number % 10}"
        items = [
            {
                "n": n,
                "operation": f"{instance}-{n}",
                "kind": "tag",
                "bundle": bundle,
                "ids": [one],
                "tag": tag,
            }
            for n, one in enumerate(ids, start=1)
        ]
        for sent in range(1, 6):
            queue = {"instance": instance, "items": items, "sent": sent}
            await client.tell(lines, {"queue": queue, "opened": None})
            said = client.data(lines)
            if said["instance"] == instance and said["acknowledged"] >= len(items):
                self.record.tagged |= {(bundle, one, tag) for one in ids}
                self.record.operations |= {one["operation"] for one in items}
                return
        raise Trouble(f"tags were not acknowledged: {said['problem'] or 'no reason given'}")

    async def rule(self) -> None:
        client = self._tab
        await self._go("spotlights")
        await client.until(lambda: client.has("filter_rule"), "the rule box")
        asked = {"instance": uuid.uuid4().hex, "n": 1, "text": self.random.choice(RULES)}
        await client.tell("filter_rule", {"typed": None, "asked": asked})
        if client.has("chip_remove_1"):
            await client.click("chip_remove_1")

    async def export(self) -> None:
        client = self._tab
        await self._go("flagged")
        for key in ("download_csv", "download_manifest", "download_both"):
            if client.has(key) and not await client.download(key):
                raise Trouble(f"{key} is empty")

    async def upload(self) -> None:
        """A new small bundle; the one before is removed."""
        client = self._tab
        if self.own and self.own in client.query:
            await self._go("bundles")
            if self.own in client.query and client.has("remove_bundle"):
                await client.click("remove_bundle")
        await self._go("bundles")
        self.uploads += 1
        n, d = self.random.choice(((300, 8), (800, 16), (2000, 32)))
        content = small(n, d, seed=1000 * self.number + self.uploads)
        chooser = next(key for key in _keys(client) if key.startswith("uploader_"))
        before = client.query
        await client.upload(chooser, f"of {self.number}.npz", content)
        await client.click("import")
        await client.until(lambda: client.query != before, "the import")
        await self._quiet()
        self.own = _bundle_in(client.query)

    async def _go(self, page: str) -> None:
        client = self._tab
        await client.go(page)
        await self._quiet()
        if len(self.record.links) < 200 or self.random.random() < 0.1:
            self.record.links.append((page, client.query))
            del self.record.links[:-200]

    async def _quiet(self) -> None:
        """Wait until nothing on the page says that it is being computed."""
        client = self._tab
        await client.until(
            lambda: not any(key.startswith("cancel_") for key in _keys(client)), "a result"
        )

    @property
    def _tab(self) -> Client:
        if self.client is None:
            raise Trouble("no tab is open")
        return self.client


def small(n: int, d: int, *, seed: int) -> bytes:
    """A bundle with one region of high loss."""
    fields = planted(n, d, seed=seed)
    fields.pop("planted")
    return npz(**fields)


def _keys(client: Client) -> list[str]:
    return [one.split("-", 2)[-1] for one in client.widgets]


def _bundle_in(query: str) -> str:
    found = re.search(r"bundle=([0-9a-f]+)", query)
    return found[1] if found else ""


def kinds(server: Server) -> dict[str, int]:
    """What the descriptors of the server are."""
    counts: collections.Counter[str] = collections.Counter()
    for one in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            aim = str(one.readlink())
            inside = aim.removeprefix(f"{server.home}/")
            counts[re.split(r"[/:.]", inside if inside != aim else aim.strip("/"))[0]] += 1
    return dict(counts.most_common(8))


@dataclass(frozen=True)
class Sample:
    """What the server and its workers hold at one moment."""

    at: float
    server_mib: float
    workers_mib: float
    server_files: int
    workers_files: int
    threads: int
    workers: int


def sample(server: Server, began: float) -> Sample:
    """Resident memory, open descriptors, threads."""
    own = psutil.Process(server.process.pid)
    held, files, count = 0, 0, 0
    for child in own.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            held += child.memory_info().rss
            files += child.num_fds()
            count += 1
    return Sample(
        time.monotonic() - began,
        own.memory_info().rss / 2**20,
        held / 2**20,
        own.num_fds(),
        files,
        own.num_threads(),
        count,
    )


def slope(samples: list[Sample], what: str) -> tuple[float, float]:
    """Growth an hour over the second half, and the standard error that independent samples would have."""
    half = [one for one in samples if one.at >= samples[-1].at / 2]
    if len(half) < 3:
        return float("nan"), float("nan")
    x = np.array([one.at for one in half]) / 3600
    y = np.array([getattr(one, what) for one in half])
    (a, b), covariance = np.polyfit(x, y, 1, cov=True) if len(half) > 4 else ((np.nan,) * 2, None)
    del b
    return float(a), float(np.sqrt(covariance[0, 0])) if covariance is not None else float("nan")


def left_over(home: Path) -> dict[str, int]:
    """Files that should not be there when nobody is; removed bundles may stay for their grace."""
    places = {
        "uploads": home / "uploads",
        "parts": home / "cache" / ".parts",
        "unfinished bundles": home / "bundles",
    }
    counts = {}
    for name, folder in places.items():
        files = [one for one in folder.rglob("*") if one.is_file()] if folder.is_dir() else []
        if name.startswith("unfinished"):
            tops = {one: one.relative_to(folder).parts[0] for one in files}
            files = [
                one
                for one, top in tops.items()
                if top.startswith(".") and not top.startswith(".removed-")
            ]
        counts[name] = len(files)
    return counts


async def soaked(server: Server, options: argparse.Namespace) -> tuple[Record, list[Sample]]:
    """Have all clients live, and sample meanwhile."""
    record, samples = Record(), []
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(2 * options.clients))
    began = time.monotonic()
    people = [
        Person(number, server, record, options.think).live(began + options.minutes * 60)
        for number in range(options.clients)
    ]
    living = asyncio.gather(*people)
    told = began
    while not living.done():
        samples.append(await asyncio.to_thread(sample, server, began))
        if time.monotonic() - told > 60:
            told = time.monotonic()
            print(f"{samples[-1]} {dict(record.done)}", file=sys.stderr, flush=True)
        open_now = kinds(server)
        await asyncio.wait([living], timeout=SAMPLE_S)
    await living
    print(f"descriptors of the server at the end: {open_now}", flush=True)
    return record, samples


def lost(record: Record, home: Path) -> list[tuple[str, str, str]]:
    """Acknowledged tags that are not in the database."""
    held: set[tuple[str, str, str]] = set()
    with contextlib.closing(Store(home=home)) as store:
        for digest in {one[0] for one in record.tagged}:
            table = store.tags(digest)
            held |= {(digest, *pair) for pair in zip(table["id"], table["tag"], strict=True)}
    return sorted(record.tagged - held)


def told(record: Record, samples: list[Sample], after: Sample, server: Server) -> None:
    """Print the figures."""
    actions = sum(record.done.values())
    print(f"\n{actions} actions: {dict(record.done)}")
    for name, waits in sorted(record.waits.items()):
        print(f"  {name}: median {np.median(waits):.1f} s, 95 % {np.quantile(waits, 0.95):.1f} s")
    gone = lost(record, server.home)
    print(f"tags acknowledged {len(record.tagged)}, lost {len(gone)} {gone[:3]}")
    middle = samples[len(samples) // 2]
    print("| | start | half | end | all tabs closed | growth per hour, second half |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in ("server_mib", "workers_mib", "server_files", "workers_files", "threads"):
        growth, error = slope(samples, name)
        values = [getattr(one, name) for one in (samples[0], middle, samples[-1], after)]
        shown = " | ".join(f"{value:.0f}" for value in values)
        print(f"| {name} | {shown} | {growth:+.1f} ± {error:.1f} |")
    print(f"left over: {left_over(server.home)}; bundles: {len(list_bundles(server.home))}")
    log = server.log.read_text(errors="replace")
    print(f"tracebacks in the log: {log.count('Traceback (most recent call last)')}")
    print(f"troubles: {sum(record.troubles.values())}")
    for what, times in record.troubles.most_common(20):
        print(f"  {times} x {what}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--think", type=float, default=60, help="mean seconds between two actions")
    parser.add_argument("--keep", help="folder for the home and the log, kept for a look at them")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(options.keep or folder)
        place.mkdir(parents=True, exist_ok=True)
        (place / "home").mkdir(exist_ok=True)
        (place / "first.npz").write_bytes(small(2000, 32, seed=0))
        import_bundle(place / "first.npz", place / "home")
        server = start_server(place / "home")
        try:
            began = time.monotonic()
            record, samples = asyncio.run(soaked(server, options))
            time.sleep(min(REST_S, 60 * options.minutes))
            after = sample(server, began)
            print(f"descriptors when all tabs are closed: {kinds(server)}")
            told(record, samples, after, server)
        finally:
            server.process.terminate()
            server.process.wait(timeout=30)


if __name__ == "__main__":
    main()
