"""A team at once: what is lost or doubled, what somebody sees that is not theirs, how long it takes.

    python -m tests.benchmarks.team [--people 50] [--minutes 30] [--think 60] [--postgres]

A provider of OpenID Connect on this machine signs everybody in: a tenth are admins, three tenths
readers, the rest members. Each opens pages, tags by keys, adds rules, exports and follows links;
members also upload bundles of their own, which are private, share some of them and remove them
again. Between that everybody but admins tries what they may not do (``TRIES``): whatever answers is
counted as a look. With ``--postgres`` the database is a PostgreSQL server of its own, that of Debian;
else what ``ERRORSCOPE_DATABASE`` names, or SQLite. Before all of them come, one member works alone, for
the latencies to compare with.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx2 as httpx
import numpy as np

from backend.bundle import import_bundle, list_bundles
from backend.store import Event, Store
from tests.benchmarks import soak
from tests.benchmarks.soak import Person, Record, Sample, kinds, left_over, sample, slope
from tests.benchmarks.wire import Client, Trouble
from tests.bundles import npz, planted
from tests.e2e.conftest import Server, free_port, start_server
from tests.postgres import Cluster

HIDDEN = "the hidden run"
"""Name of a bundle of somebody who is not here; only admins may see it."""
OPEN, COMMON = "the open run", "the common run"
"""One that all who sign in may look at, and nobody's, that they may tag."""
TRESPASS = "trespass"
"""The tag that nobody may set."""
REFUSED = (401, 403, 404)
ALONE = 1_000
"""Number of the member who works alone before the others come."""


def role_of(number: int) -> str:
    """Of ten people one is an admin and three are readers; the first of all is a member."""
    return {1: "admin", 2: "reader", 5: "reader", 8: "reader"}.get(number % 10, "member")


@dataclass
class Team(Record):
    """What the team did and tried."""

    tried: collections.Counter[str] = field(default_factory=collections.Counter)
    looks: list[str] = field(default_factory=list)
    """What somebody got who may not."""
    private: dict[str, int] = field(default_factory=dict)
    """Short digest of a bundle that is its owner's alone -> who."""
    given: dict[str, list[tuple[int, str, str]]] = field(
        default_factory=lambda: collections.defaultdict(list)
    )
    """Kind -> what a person's page was given: who, the address, and the private bundle that it is of,
    where another may have been given the same."""
    shares: int = 0
    imports: int = 0


@dataclass
class Place:
    """Where it happens."""

    server: Server
    issuer: str
    hidden: str
    """Digest of ``HIDDEN``."""
    example: str
    """An id in it."""


class Colleague(Person):
    """Somebody who signed in."""

    record: Team

    def __init__(self, number: int, place: Place, record: Team, think_s: float) -> None:
        super().__init__(number, place.server, record, think_s)
        self.place, self.role = place, role_of(number)
        self.cookies = sign_in(place, number)
        self.ticket = ""
        """What addresses of this person's tab begin with."""

    def new_tab(self) -> Client:
        return Client(self.server.url, cookies=self.cookies)

    def doings(self) -> list[tuple[Callable[[], Awaitable[None]], int]]:
        found: list[tuple[Callable[[], Awaitable[None]], int]]
        found = [(self.look, 35), (self.rule, 10), (self.export, 12), (self.follow, 8)]
        if self.role != "reader":
            found += [(self.tag, 25)]
        if self.role == "member":
            found += [(self.upload, 5), *([(self.share, 4)] if self.own else [])]
        found += [(self.see_all, 5) if self.role == "admin" else (self.trespass, 20)]
        return found

    async def look(self) -> None:
        await super().look()
        self._gather()

    async def export(self) -> None:
        await super().export()
        client = self._tab
        if client.downloaded and self.own and self.own in client.query:
            self.record.given["file"].append((self.number, client.downloaded, self.own))

    async def upload(self) -> None:
        self.record.private.pop(self.own, None)
        await super().upload()
        self.record.imports += 1
        self.record.private[self.own] = self.number

    async def share(self) -> None:
        """Let a colleague look at one's bundle, or take that away again."""
        await self.arrive("bundles", f"bundle={self.own}")
        client = self._tab
        if not client.has("share_with") or self.own not in client.query:
            return
        self.record.private.pop(self.own, None)  # from now on it is not theirs alone
        await client.type("share_with", f"p{self.random.randrange(50)}@example.org", run=False)
        await client.click("FormSubmitter:share-Share")
        self.record.shares += 1

    async def see_all(self) -> None:
        """An admin sees what is hidden: were it never found, nobody's not finding it would say nothing."""
        await self.arrive("bundles", f"bundle={self.place.hidden[:12]}")
        if HIDDEN not in self._told():
            raise Trouble("an admin did not see the hidden bundle")

    # --- what they may not do ----------------------------------------------------------------------

    async def trespass(self) -> None:
        """Try one thing that this person may not do."""
        doing = self.random.choice(TRIES)
        self.record.tried[doing.__name__] += 1
        await doing(self)

    async def follow_a_link(self) -> None:
        """The link to a bundle of another's."""
        theirs = [short for short, who in self.record.private.items() if who != self.number]
        digest = self.random.choice([self.place.hidden[:12], *theirs])
        page = self.random.choice((*soak.PAGES, "training_data", "repair", "before_after"))
        await self.arrive(page, f"bundle={digest}")
        client = self._tab
        hidden = {
            **self.record.private,
            self.place.hidden[:12]: -1,
        }  # shared meanwhile, some of them
        if digest in client.query and hidden.get(digest, self.number) != self.number:
            self.saw(f"{page} opened {digest}")
        self._read()

    async def fetch_an_example(self) -> None:
        """An example of a bundle of another's, with a ticket of one's own."""
        if not self.ticket:
            await self._go("spotlights")
            self._gather()
        for end in ("0.json", "0/full", "0/thumbnail"):
            path = f"content/{self.ticket or 'x'}/item/{self.place.hidden}/{end}"
            await self._fetch(path, "an example by its address")

    async def fetch_what_another_was_given(self) -> None:
        """A file or the bytes of a map that somebody else's page was given, and a ticket of theirs."""
        for kind, given in self.record.given.items():
            theirs = [
                url
                for who, url, short in given[-200:]
                if who != self.number and (not short or short in self.record.private)
            ]
            if theirs:
                await self._fetch(self.random.choice(theirs), f"{kind} of another's")

    async def tag_by_key(self) -> None:
        """A keystroke that names a bundle of another's; for a reader also one they may look at."""
        await self._go("spotlights")
        client = self._tab
        await client.until(
            lambda: client.has("gallery_keys") or any(soak.EMPTY in one for one in client.texts),
            "the gallery",
        )
        if not client.has("gallery_keys"):
            return
        bundles = [(self.place.hidden, self.place.example)]
        shown = client.data("gallery")
        if self.role == "reader":
            bundles.append((shown["bundle"], shown["items"][0]["id"]))
        for digest, one in bundles:
            instance = uuid.uuid4().hex
            item = {"n": 1, "operation": f"{instance}-1", "kind": "tag", "bundle": digest}
            queue = {"instance": instance, "sent": 1, "items": [{**item, "ids": [one], "tag": TRESPASS}]}  # fmt: skip
            await client.tell("gallery_keys", {"queue": queue, "opened": None})
            said = client.data("gallery_keys")
            if said["instance"] == instance and not said["problem"]:
                self.saw(f"a key tagged in {digest[:8]}")

    async def upload_without_leave(self) -> None:
        """A reader finds no way to upload; nobody uploads with a ticket that is not theirs."""
        await self._go("bundles")
        if self.role == "reader" and any(
            one.startswith("uploader_") for one in soak._keys(self._tab)
        ):
            self.saw("a reader may upload")
        await self._fetch(f"upload/{self.ticket or 'x'}?name=a.npz", "an upload", b"some bytes")

    async def come_without_signing_in(self) -> None:
        """A page, a file of a page, and the channel, with no cookie, or one that somebody changed."""
        changed = re.sub(r"(_streamlit_user=.{60}).", r"\1~", self.cookies)
        for cookies in ("", changed):
            tab = Client(self.server.url, patience_s=20, cookies=cookies)
            for path in (
                "bundles",
                "static/index.html",
                f"content/x/item/{self.place.hidden}/0.json",
            ):
                try:
                    await asyncio.to_thread(tab.get, path)
                    self.saw(f"{path} without signing in")
                except urllib.error.HTTPError as error:
                    if error.code not in REFUSED:
                        raise
            with contextlib.suppress(Exception):
                await asyncio.wait_for(tab.open("bundles"), 20)
                self.saw("a channel without signing in")
            await tab.close()

    def saw(self, what: str) -> None:
        """Write down a look at what is not theirs."""
        self.record.looks.append(f"p{self.number} ({self.role}): {what}")

    async def _fetch(self, path: str, what: str, content: bytes | None = None) -> None:
        def ask() -> int:
            tab = self._tab
            request = urllib.request.Request(
                tab._address(path), data=content, headers=tab._headers(), method="PUT" if content else "GET"
            )  # fmt: skip
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return int(answer.status)
            except urllib.error.HTTPError as error:
                return error.code

        status = await asyncio.to_thread(ask)
        if status not in REFUSED:
            self.saw(f"{what}: {status}")

    async def _go(self, page: str) -> None:
        await super()._go(page)
        self._read()

    def _read(self) -> None:
        """Whether the page says anything of what this person may not see."""
        if self.role == "admin":
            return
        if HIDDEN in self._told():  # its name, and the ids of its examples, begin so
            self.saw(f"{HIDDEN} on {self._tab.query}")

    def _told(self) -> str:
        """All that the tab was told of the page that is shown."""
        widgets = (one[1] for one in self._tab.widgets.values())
        return " ".join(map(str, [*self._tab.texts, *widgets]))

    def _gather(self) -> None:
        """The addresses that this tab was given."""
        for _, message, _ in self._tab.widgets.values():
            for url in re.findall(r"content/[\w-]{20,}/blob/[0-9a-f]{32}", str(message)):
                self.ticket = url.split("/")[1]
                if len(self.record.given["bytes"]) < 5_000:
                    self.record.given["bytes"].append((self.number, url, ""))


TRIES = (
    Colleague.follow_a_link,
    Colleague.fetch_an_example,
    Colleague.fetch_what_another_was_given,
    Colleague.tag_by_key,
    Colleague.upload_without_leave,
    Colleague.come_without_signing_in,
)


# --- the place ------------------------------------------------------------------------------------


def sign_in(place: Place, number: int) -> str:
    """Go to the provider and back, as a browser does; the cookies that one has then."""
    person = {"name": f"Person {number}", "email": f"p{number}@example.org", "email_verified": True}
    httpx.put(f"{place.issuer}/users/p{number}", json=person).raise_for_status()
    with httpx.Client(base_url=place.server.url, timeout=120) as client:
        away = client.get("/sign-in", params={"provider": "default", "next": "/spotlights"})
        provider = client.get(away.headers["location"]).headers["location"]
        back = httpx.post(provider, data={"sub": f"p{number}"}, timeout=120).headers["location"]
        client.get(back)
        return "; ".join(f"{name}={value}" for name, value in client.cookies.items())


@contextlib.contextmanager
def running(folder: Path, people: int, *, postgres: bool) -> Iterator[Place]:
    """Provider, database and server, with the bundles of those who are not here."""
    home, issuer_port = folder / "home", free_port()
    home.mkdir(exist_ok=True)
    with contextlib.ExitStack() as stack:
        environment = {}
        if postgres:
            environment["ERRORSCOPE_DATABASE"] = stack.enter_context(Cluster()).database()
            os.environ.update(environment)
        digests = {}
        for seed, (name, owner) in enumerate(
            {COMMON: "", OPEN: "@outside", HIDDEN: "@outside"}.items()
        ):
            path = folder / f"{seed}.npz"
            fields = planted(2000, 32, seed=seed)
            fields["planted"] = np.array([f"{name} {row}" for row in range(2000)])
            path.write_bytes(
                npz(**{"ids" if one == "planted" else one: fields[one] for one in fields})
            )
            digests[name] = import_bundle(path, home, name=name, owner=owner).digest
        with contextlib.closing(Store(home=home)) as store:
            store.share(digests[OPEN], "*", "look", author="outside")
        roles = [f"{role_of(one)} p{one}@example.org" for one in range(people)]
        (folder / "roles").write_text("\n".join(roles))
        (folder / "secrets.toml").write_text(
            '[auth]\nredirect_uri = "http://127.0.0.1:{port}/oauth2callback"\n'
            f'cookie_secret = "{uuid.uuid4().hex}"\nclient_id = "errorscope"\nclient_secret = "x"\n'
            f'server_metadata_url = "http://localhost:{issuer_port}/.well-known/openid-configuration"\n'
        )
        provider = subprocess.Popen(
            [sys.executable, "-m", "oidc_provider_mock", "--port", str(issuer_port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(provider.wait, 20)
        stack.callback(provider.terminate)
        server = start_server(
            home,
            STREAMLIT_SECRETS_FILES=str(folder / "secrets.toml"),
            ERRORSCOPE_ROLES=str(folder / "roles"),
            ERRORSCOPE_LOG="json",
            **environment,
        )
        stack.callback(server.process.wait, 60)
        stack.callback(server.process.terminate)
        yield Place(server, f"http://localhost:{issuer_port}", digests[HIDDEN], f"{HIDDEN} 0")


# --- what came of it ------------------------------------------------------------------------------


def events_of(home: Path) -> list[Event]:
    with contextlib.closing(Store(home=home)) as store:
        return store.history()


def lost_and_doubled(record: Team, events: list[Event]) -> dict[str, tuple[int, int, int]]:
    """Kind -> how many were acknowledged, are lost, and stand twice."""
    named = collections.Counter(one.operation for one in events if one.operation)
    there = sum(name in named for name in record.operations)
    found = {
        "keystrokes": (
            len(record.operations),
            len(record.operations) - there,
            sum(named[name] > 1 for name in record.operations),
        )
    }
    people = [one for one in events if one.author.startswith("Person ")]
    for kind, done in (("imported", record.imports), ("sharing", record.shares)):
        held = sum(one.kind == kind for one in people)
        # One whose answer did not arrive may be there and was not counted as done.
        spare = sum(
            times for what, times in record.troubles.items() if what.startswith(("upload", "share"))
        )
        found[kind] = (done, max(0, done - held), max(0, held - done - spare))
    return found


def told(team: Team, alone: Team, place: Place, samples: list[Sample], after: Sample) -> None:
    """Print the figures."""
    print(f"\n{sum(team.done.values())} actions: {dict(team.done)}")
    print(
        "| action | alone: n, median s | all: n, median s | all: 95 % s |\n| --- | --- | --- | --- |"
    )
    for name, waits in sorted(team.waits.items()):
        one = alone.waits.get(name, [])
        before = f"{len(one)}, {np.median(one):.2f}" if one else "–"
        print(
            f"| {name} | {before} | {len(waits)}, {np.median(waits):.2f} | {np.quantile(waits, 0.95):.2f} |"
        )
    events = events_of(place.server.home)
    for kind, (done, lost, doubled) in lost_and_doubled(team, events).items():
        print(f"{kind}: {done} acknowledged, {lost} lost, {doubled} doubled")
    gone = soak.lost(team, place.server.home)
    print(f"tags acknowledged {len(team.tagged)}, lost {len(gone)} {gone[:3]}")
    crossed = [one for one in events if one.tag == TRESPASS]
    print(f"tries {sum(team.tried.values())}: {dict(team.tried)}")
    given = {kind: len(urls) for kind, urls in team.given.items()}
    print(f"addresses that others were given: {given}")
    print(
        f"looks at what is not theirs: {len(team.looks) + len(crossed)} {[*team.looks[:5], *crossed[:2]]}"
    )
    middle = samples[len(samples) // 2]
    print("| | start | half | end | all tabs closed | growth per hour, second half |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in ("server_mib", "workers_mib", "server_files", "workers_files", "threads"):
        growth, error = slope(samples, name)
        values = [getattr(one, name) for one in (samples[0], middle, samples[-1], after)]
        shown = " | ".join(f"{value:.0f}" for value in values)
        print(f"| {name} | {shown} | {growth:+.1f} ± {error:.1f} |")
    print(
        f"left over: {left_over(place.server.home)}; bundles: {len(list_bundles(place.server.home))}"
    )
    print(f"descriptors when all tabs are closed: {kinds(place.server)}")
    log = place.server.log.read_text(errors="replace")
    print(f"tracebacks in the log: {log.count('Traceback (most recent call last)')}")
    print(f"troubles: {sum(team.troubles.values())}")
    for what, times in team.troubles.most_common(20):
        print(f"  {times} x {what}")


async def work(place: Place, people: list[Colleague], record: Team, minutes: float) -> list[Sample]:
    """Have these people work, and sample meanwhile."""
    began, samples = time.monotonic(), []
    living = asyncio.gather(*(one.live(began + minutes * 60) for one in people))
    said = began
    while not living.done():
        samples.append(await asyncio.to_thread(sample, place.server, began))
        if time.monotonic() - said > 60:
            said = time.monotonic()
            print(f"{samples[-1]} {dict(record.done)}", file=sys.stderr, flush=True)
        await asyncio.wait([living], timeout=soak.SAMPLE_S)
    await living
    return samples


async def worked(place: Place, options: argparse.Namespace) -> tuple[Team, Team, list[Sample]]:
    """One member alone, then everybody."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(soak.ThreadPoolExecutor(2 * options.people + 8))
    alone, team = Team(), Team()
    first = await asyncio.to_thread(Colleague, ALONE, place, alone, 1.0)
    first.doings = lambda: [one for one in Colleague.doings(first) if one[0] != first.trespass]  # type: ignore[method-assign]
    await work(place, [first], alone, options.alone)
    for one in ("operations", "tagged"):
        getattr(team, one).update(getattr(alone, one))
    team.imports, team.shares = alone.imports, alone.shares
    people = [
        await asyncio.to_thread(Colleague, number, place, team, options.think)
        for number in range(options.people)
    ]
    count = collections.Counter(one.role for one in people)
    print(f"{options.people} people: {dict(count)}; {urlsplit(os.environ.get('ERRORSCOPE_DATABASE', 'sqlite:')).scheme}")  # fmt: skip
    return team, alone, await work(place, people, team, options.minutes)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument(
        "--alone", type=float, default=3, help="minutes of one person's alone before"
    )
    parser.add_argument("--think", type=float, default=60, help="mean seconds between two actions")
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL server of its own")
    parser.add_argument("--keep", help="folder for the home and the log, kept for a look at them")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(options.keep or folder)
        kept.mkdir(parents=True, exist_ok=True)
        with running(kept, options.people, postgres=options.postgres) as place:
            team, alone, samples = asyncio.run(worked(place, options))
            time.sleep(min(soak.REST_S, 60 * options.minutes))
            told(team, alone, place, samples, sample(place.server, time.monotonic()))


if __name__ == "__main__":
    main()
