"""Two servers on one PostgreSQL database and one home folder: what is done at one is there at the other.

People are tabs that speak Streamlit's protocol, so that two of them can do something at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from backend.bundle import import_bundle, list_bundles, open_bundle
from backend.store import Store
from tests import postgres
from tests.benchmarks.wire import Client
from tests.bundles import npz, planted
from tests.e2e.conftest import Server, start_server

MANY = 15
"""Tags that each of two people types at once."""
ONE_AFTER_ANOTHER = 3
"""How many of them a browser sends at a time: what was typed while it waited for an answer."""


@dataclass
class Pair:
    """Both servers, what they share, and the bundle that is there from the start."""

    servers: tuple[Server, Server]
    home: Path
    url: str
    digest: str

    def kept(self) -> list[str]:
        """Folders among the bundles, unfinished ones included."""
        return sorted(
            one.name for one in (self.home / "bundles").iterdir() if one.name[0] not in "._"
        )

    def started(self, server: int, digest: str) -> Counter[str]:
        """Task -> how often a worker of this server took it up for a bundle."""
        lines = self.servers[server].log.read_text().splitlines()
        told = [json.loads(line) for line in lines if line.startswith('{"time"')]
        begun = [one for one in told if one["event"] == "job started"]
        return Counter(one["task"] for one in begun if one.get("digest") == digest[:12])


def run(seed: int, n: int = 300) -> bytes:
    """A small bundle with a region of high loss."""
    fields = planted(n, 8, seed=seed)
    del fields["planted"]
    return npz(**fields)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, cluster: postgres.Cluster) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    home = folder / "home"
    (folder / "first.npz").write_bytes(run(0))
    digest = import_bundle(folder / "first.npz", home).digest
    with postgres.fresh(cluster) as url, ThreadPoolExecutor(2) as apart:
        # Both find an empty database and make its tables.
        settings = {"ERRORSCOPE_DATABASE": url, "ERRORSCOPE_LOG": "json"}
        starting = [apart.submit(start_server, home, **settings) for _ in range(2)]
        try:
            yield Pair((starting[0].result(), starting[1].result()), home, url, digest)
        finally:
            for one in starting:
                if one.exception() is None and one.result().process.poll() is None:
                    one.result().process.terminate()
                    one.result().process.wait(timeout=30)


@asynccontextmanager
async def tabs(pair: Pair, page: str, digest: str) -> AsyncIterator[tuple[Client, Client]]:
    """Ada at one server and Ben at the other, who opened the same page."""
    ada, ben = (Client(server.url) for server in pair.servers)
    try:
        await asyncio.gather(*(one.open(page, f"bundle={digest[:12]}") for one in (ada, ben)))
        yield ada, ben
        assert not ada.faults and not ben.faults
    finally:
        await asyncio.gather(ada.close(), ben.close())


def act(doing: Coroutine[Any, Any, None]) -> None:
    """Run it apart: a browser of other tests keeps a loop in this thread."""
    with ThreadPoolExecutor(1) as apart:
        apart.submit(asyncio.run, doing).result()


async def choose(tab: Client, name: str, content: bytes) -> str:
    """Choose a file and press *Import*; the address before."""

    def choosers() -> list[str]:
        return [one.split("-", 2)[-1] for one in tab.widgets if "-uploader_" in one]

    await tab.until(lambda: bool(choosers()), "the place for files")
    (chooser,) = choosers()
    await tab.upload(chooser, name, content)
    before = tab.query
    await tab.click("import")
    return before


async def arrived(tab: Client, before: str) -> str:
    """Wait for what is imported; its short digest."""
    await tab.until(lambda: tab.query != before, "the import")
    return tab.query.partition("bundle=")[2][:12]


def shows(tab: Client, words: str) -> bool:
    return any(words in one for one in tab.texts)


async def called(tab: Client, name: str) -> None:
    """Look again until the open bundle is called so."""
    await tab.rerun()
    assert shows(tab, name), tab.texts


def test_what_is_done_at_one_server_is_there_at_the_other(pair: Pair) -> None:
    async def doing() -> None:
        async with tabs(pair, "bundles", pair.digest) as (ada, ben):
            # Imported at one.
            short = await arrived(ada, await choose(ada, "night.npz", run(1)))
            ben.query = f"bundle={short}"
            await called(ben, "night")
            # The same file at both at once is one bundle.
            before = await asyncio.gather(*(choose(tab, "twice.npz", run(2)) for tab in (ada, ben)))
            found = await asyncio.gather(*map(arrived, (ada, ben), before))
            assert found[0] == found[1] != short
            assert len(pair.kept()) == len(list_bundles(pair.home)) == 3
            # Renamed at one, removed at the other, taken back at the first.
            await ben.until(lambda: ben.has("remove_bundle"), "the page to the end")
            await ben.type(f"called_{found[1]}", "the evening run", run=False)
            await ben.click("FormSubmitter:rename_bundle-Rename")
            await called(ada, "the evening run")
            link = ada.query
            await ben.click("remove_bundle")
            await ada.rerun()
            assert shows(ada, f"The link names bundle {found[0]}")
            await ada.click(f"restore_{found[0]}")
            ben.query = link
            await called(ben, "the evening run")

    act(doing())
    with contextlib.closing(Store(pair.url)) as store:
        told = Counter(event.kind for event in store.history())
    assert told["renamed"] == told["removed"] == told["restored"] == 1 and told["imported"] == 3


def test_what_two_people_type_at_once_is_all_kept_and_seen_by_both(pair: Pair) -> None:
    async def typed(tab: Client, who: str, items: list[dict[str, Any]]) -> None:
        """Send a queue as the page's script does, and again what is not acknowledged."""
        for end in range(ONE_AFTER_ANOTHER, len(items) + 1, ONE_AFTER_ANOTHER):
            queue = {"instance": who, "items": items[:end], "sent": end}
            await tab.tell("gallery_keys", {"queue": queue, "opened": None})
            said = tab.data("gallery_keys")
            assert said["acknowledged"] == end and not said["problem"]

    async def doing() -> None:
        async with tabs(pair, "spotlights", pair.digest) as both:
            queues = {}
            for tab, who in zip(both, people, strict=True):
                await tab.type("author", who)
                await tab.until(lambda tab=tab: tab.has("gallery_keys"), "the gallery")
            ids = [one["id"] for one in both[0].data("gallery")["items"]]
            assert (
                len(ids) >= MANY and [one["id"] for one in both[1].data("gallery")["items"]] == ids
            )
            for who in people:
                queues[who] = [
                    {
                        "n": n, "operation": f"{instances[who]}-{n}", "kind": "tag",
                        "bundle": pair.digest, "ids": [one], "tag": f"of {who}",
                    }
                    for n, one in enumerate(ids[:MANY], start=1)
                ]  # fmt: skip
            await asyncio.gather(
                *(
                    typed(tab, instances[who], queues[who])
                    for tab, who in zip(both, people, strict=True)
                )
            )
            for tab in both:
                await tab.rerun()
                seen = tab.data("gallery_keys")["tags"]
                assert all(set(seen[one]) == {"of Ada", "of Ben"} for one in ids[:MANY])
            # Ada takes back what she did last, and Ben's stays.
            undo = {"n": MANY + 1, "operation": f"{instances['Ada']}-u", "kind": "undo", "bundle": pair.digest}  # fmt: skip
            queue = {"instance": instances["Ada"], "items": [undo], "sent": MANY + 1}
            await both[0].tell("gallery_keys", {"queue": queue, "opened": None})
            await both[1].rerun()
            assert both[1].data("gallery_keys")["tags"][ids[MANY - 1]] == ["of Ben"]

    people = ("Ada", "Ben")
    instances = {who: uuid.uuid4().hex for who in people}
    act(doing())
    with contextlib.closing(Store(pair.url)) as store:
        events = [one for one in store.events(pair.digest) if one.kind == "tag"]
        assert store.tag_counts(pair.digest) == {"of Ada": MANY - 1, "of Ben": MANY}
    assert Counter((one.author, one.tag) for one in events) == {
        (who, f"of {who}"): MANY for who in people
    }


def test_an_analysis_that_both_ask_for_runs_once(pair: Pair) -> None:
    async def doing() -> None:
        async with tabs(pair, "bundles", pair.digest) as (ada, _):
            short = await arrived(ada, await choose(ada, "asked.npz", run(3, n=3_000)))
        async with tabs(pair, "spotlights", short) as both:
            for tab in both:
                await tab.until(lambda tab=tab: tab.has("gallery_keys"), "the gallery")
            galleries = [tab.data("gallery")["items"] for tab in both]
            assert [one["id"] for one in galleries[0]] == [one["id"] for one in galleries[1]]
        found.append(short)

    found: list[str] = []
    act(doing())
    begun = pair.started(0, found[0]) + pair.started(1, found[0])
    # The map has two layouts, one after the other.
    assert begun.pop("regions") == 1 and begun.pop("projection") <= 2 and set(begun.values()) <= {1}


@contextlib.contextmanager
def held_still(server: Server) -> Iterator[None]:
    """The workers of a server do nothing, so that it is in the middle of whatever it begins."""
    workers = psutil.Process(server.process.pid).children(recursive=True)
    for one in workers:
        one.suspend()
    try:
        yield
    finally:
        for one in workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                os.kill(one.pid, signal.SIGCONT)


def test_what_a_killed_server_had_begun_is_done_by_the_other(pair: Pair) -> None:
    """The last one: there is one server after it."""
    content = run(5)

    async def doing() -> None:
        async with tabs(pair, "bundles", pair.digest) as (_, ben):
            short = await arrived(ben, await choose(ben, "begun.npz", run(4)))
        ada, ben = (Client(server.url) for server in pair.servers)
        with held_still(pair.servers[0]):
            await ada.open("bundles", f"bundle={short}")
            before = await choose(ada, "broken off.npz", content)
            analysing = Client(pair.servers[0].url)
            await analysing.open("spotlights", f"bundle={short}")
            await analysing.until(lambda: bool(pair.started(0, short)), "the beginning")
            for one in (pair.home / "cache" / ".locks").iterdir():
                one.unlink()  # as on a disk that passes no locks on: now the database decides
            await ben.open("spotlights", f"bundle={short}")
            await ben.until(lambda: shows(ben, "another process"), "the other server")
            assert not pair.started(1, short)["regions"] and ada.query == before
            pair.servers[0].kill()
        await ben.until(lambda: ben.has("gallery_keys"), "the gallery")
        assert pair.started(1, short)["regions"] == 1
        await ben.go("bundles")
        found.append(await arrived(ben, await choose(ben, "broken off.npz", content)))
        await asyncio.gather(*(tab.close() for tab in (ada, analysing, ben)))
        assert not ben.faults

    found: list[str] = []
    act(doing())
    (whole,) = [one.digest for one in list_bundles(pair.home) if one.digest[:12] == found[0]]
    assert open_bundle(whole, pair.home).n == 300
    assert len(pair.kept()) == len(list_bundles(pair.home))
