"""Every route and page of the app against who asks and what is shared; a new one without a row fails."""

from __future__ import annotations

import ast
import importlib
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import streamlit as st
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket
from streamlit import runtime
from streamlit.runtime import media_file_manager
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage
from streamlit.testing.v1 import AppTest
from streamlit.web.server.starlette.starlette_routes import create_media_routes

from backend.access import NOBODY, Person, Right
from backend.bundle import Bundle, import_bundle, write_bundle
from backend.jobs import Job
from backend.store import Author, SignIn, Store
from pages.components.bundles import collector, streamed
from pages.components.door import identity
from pages.components.door.door import PERSON, WHO, Door
from pages.components.gallery import media
from pages.components.shared import notice, services
from tests.bundles import picture, planted
from tests.pages.running import APP, texts

PROJECT = Path(APP).parent
app = importlib.import_module("app")

PEOPLE = {
    "nobody": NOBODY,
    "reader": Person("@r", "Rea", "", "reader"),
    "member": Person("@m", "Mem", "", "member"),
    "admin": Person("@a", "Adm", "", "admin"),
}
SHARED = {"private": Right.NONE, "look": Right.LOOK, "tag": Right.TAG}


@pytest.fixture(scope="module")
def secret(home: Path) -> Bundle:
    fields = planted(20)
    fields.pop("planted")
    path = write_bundle(home.parent / "b", **fields, images=[picture(row) for row in range(20)])
    return import_bundle(path, home, owner="@other", name="the secret bundle")


def enter(patch: pytest.MonkeyPatch, person: Person) -> None:
    """Have the session be this person's, where people sign in."""
    known = None if person == NOBODY else Author(person.name, person.key)
    patch.setattr(identity, "configured", lambda: True)
    patch.setattr(identity, "person", lambda: person)
    patch.setattr(identity, "present", lambda: known)


def share(bundle: Bundle, right: str) -> None:
    for person in PEOPLE.values():
        if person.key:
            said = "none" if right == "private" else right
            services.shared_store().share(bundle.digest, person.key, said, author="test")


Ask = Callable[[TestClient, Bundle], Any]


def item(end: str) -> Ask:
    return lambda client, bundle: client.get(f"/{media.item_url(bundle.digest)}/3{end}")


def blob(client: TestClient, bundle: Bundle) -> Any:
    return client.get(f"/{media.offer(b'points', 'text/plain', bundle.digest)}")


def well(client: TestClient, bundle: Bundle) -> Any:
    services.jobs()  # started before a look, which waits only so long
    return client.get("/health")


def upload(client: TestClient, bundle: Bundle) -> Any:
    ticket = streamed.TICKETS.of_session("upload").key
    return client.put(f"/upload/{ticket}", params={"name": "a.npz"}, content=b"some bytes")


ROUTES: dict[str, tuple[Ask, Callable[[Person, Right], bool]]] = {
    # How each is asked for, and who gets something, by the right to the bundle.
    "/content/{ticket}/blob/{name}": (blob, lambda person, right: right > 0),
    "/content/{ticket}/item/{digest}/{row}.json": (item(".json"), lambda person, right: right > 0),
    "/content/{ticket}/item/{digest}/{row}/{size}": (item("/full"), lambda person, right: right > 0),
    "/health": (well, lambda person, right: True),
    "/upload/{ticket}": (upload, lambda person, right: person.role in ("member", "admin")),
}  # fmt: skip


def test_every_route_of_the_app_has_its_row() -> None:
    assert {route.path for route in app.ROUTES} == set(ROUTES)


@pytest.mark.parametrize("shared", SHARED)
@pytest.mark.parametrize("who", PEOPLE)
def test_a_route_gives_nothing_to_who_may_not_have_it(
    secret: Bundle, monkeypatch: pytest.MonkeyPatch, who: str, shared: str
) -> None:
    person = PEOPLE[who]
    enter(monkeypatch, person)
    share(secret, shared)
    right = {"nobody": Right.NONE, "admin": Right.ADMIN}.get(who, SHARED[shared])
    right = min(right, Right.LOOK) if who == "reader" else right
    inner = Starlette(routes=app.ROUTES)
    for path, (ask, gets) in ROUTES.items():
        monkeypatch.setattr(st, "session_state", {})

        async def asked(scope: Any, receive: Any, send: Any, person: Person = person) -> None:
            known = {WHO: person.key} if person.key else {}
            await inner({**scope, PERSON: person, **known}, receive, send)

        async def another(scope: Any, receive: Any, send: Any) -> None:
            await inner({**scope, PERSON: PEOPLE["admin"], WHO: "@x"}, receive, send)

        answer = ask(TestClient(asked), secret)
        assert (answer.status_code == 200) is gets(person, right), path
        if answer.status_code != 200:
            assert answer.status_code == 403 and "secret" not in answer.text
        if "{ticket}" in path:
            assert ask(TestClient(another), secret).status_code == 403, path  # another's ticket
        else:
            assert answer.json() == {"ok": True}  # with no ticket there is nothing to be told


def test_what_a_session_was_handed_is_fetched_only_while_the_bundle_is_shared(
    secret: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = PEOPLE["member"]
    enter(monkeypatch, person)
    monkeypatch.setattr(st, "session_state", {})
    inner = Starlette(routes=app.ROUTES)

    async def asked(scope: Any, receive: Any, send: Any) -> None:
        await inner({**scope, PERSON: person, WHO: person.key}, receive, send)

    client, urls = TestClient(asked), []
    share(secret, "look")
    urls = [
        f"/{media.offer(b'map bytes', 'text/plain', secret.digest)}",
        f"/{media.item_url(secret.digest)}/1.json",
        f"/{media.item_url(secret.digest)}/1/thumbnail",
    ]
    program = f"/{media.offer(b'program', 'text/javascript', '')}"
    tags = {url: client.get(url).headers["etag"] for url in urls}
    share(secret, "private")
    for url in urls:
        assert client.get(url).status_code == 403, url
        assert client.get(url, headers={"if-none-match": tags[url]}).status_code == 403, url
    assert client.get(program).status_code == 200
    share(secret, "look")
    assert {client.get(url).status_code for url in urls} == {200}


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> media_file_manager.MediaFileManager:
    """What Streamlit keeps of files that pages give to browsers."""
    manager = media_file_manager.MediaFileManager(MemoryMediaFileStorage("/media"))
    held = SimpleNamespace(media_file_mgr=manager)
    monkeypatch.setattr(runtime, "get_instance", lambda: held)
    return manager


def test_a_download_is_fetched_only_by_whom_it_was_made_for_while_the_bundle_is_shared(
    secret: Bundle, monkeypatch: pytest.MonkeyPatch, files: media_file_manager.MediaFileManager
) -> None:
    """Through the door, with Streamlit's own route behind it."""
    share(secret, "look")

    def click(make: Callable[[], str | bytes]) -> str:
        button = files.add_deferred(make, "text/csv", "1.0", file_name="a.csv")
        return files.execute_deferred(button)

    def made_for(who: str, content: str) -> Callable[[], str]:
        enter(monkeypatch, PEOPLE[who])
        return services.handed(secret.digest, "something", lambda store: content)

    urls = {
        "of a bundle": click(made_for("member", "id,tag")),
        "the collector": click(collector._file),
        "made for somebody else": click(made_for("reader", "id,loss")),
        "an icon": files.add(b"GIF8", "image/gif", "2.0"),
        "made otherwise": click(lambda: "what no page asked for"),
    }

    async def give(channel: WebSocket) -> None:
        await channel.accept()
        for url in urls.values():  # as answers to clicks pass through the member's channel
            await channel.send_bytes(b"..." + url.encode() + b"...")
        await channel.close()

    storage = cast(MemoryMediaFileStorage, files._storage)
    inner = Starlette(routes=[*create_media_routes(storage, ""), WebSocketRoute("/channel", give)])
    monkeypatch.setattr(identity, "origin", lambda: "http://testserver")
    monkeypatch.setattr(identity, "claims_in", lambda cookies: cookies)
    monkeypatch.setattr(identity, "person_in", lambda said: PEOPLE[said["who"]])
    monkeypatch.setattr(
        identity,
        "of_claims",
        lambda said: SignIn("s", PEOPLE[said["who"]].key, said["who"], time.time()),
    )
    holding = SimpleNamespace(holds=lambda sign_in, longest_s: True)
    site = Door(inner, cast(Callable[[], Store], lambda: holding), services.may_fetch)
    member, reader = (TestClient(site, cookies={"who": who}) for who in ("member", "reader"))

    def fetched(client: TestClient) -> list[str]:
        return [what for what, url in urls.items() if client.get(url).status_code == 200]

    assert fetched(member) == []
    with member.websocket_connect("/channel") as channel:
        for _ in urls:
            channel.receive_bytes()
    assert fetched(member) == ["of a bundle", "the collector", "an icon"] and fetched(reader) == []
    share(secret, "private")
    assert fetched(member) == ["the collector", "an icon"]
    share(secret, "look")
    assert fetched(member) == ["of a bundle", "the collector", "an icon"]


@pytest.mark.parametrize("page", app.PAGES)
def test_a_link_to_what_one_may_not_see_tells_nothing_of_it(
    secret: Bundle, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    """On one page also what is not there: all answer alike before they know which bundle it is."""
    enter(monkeypatch, PEOPLE["reader"])
    share(secret, "private")
    seen = []
    for digest in (secret.digest, "f" * 64)[: 2 if page == "bundles" else 1]:
        at = AppTest.from_file(APP, default_timeout=60)
        at.query_params["bundle"] = digest[:12]
        at = at.switch_page(f"pages/{page}.py").run()
        assert not at.exception
        seen.append(texts(at).replace(digest[:12], ""))
    assert len(set(seen)) == 1 and "No bundle is shared with you yet" in seen[0]
    assert "secret" not in seen[0]


def test_tasks_are_counted_by_who_is_signed_in_whatever_name_was_typed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(monkeypatch, PEOPLE["member"])
    monkeypatch.setattr(st, "session_state", {"_person": "ada"})
    counted: list[str] = []
    jobs = SimpleNamespace(
        submit=lambda *asked, person, watcher: counted.append(person),
        retry=lambda job, person, watcher: counted.append(person),
    )
    monkeypatch.setattr(services, "jobs", lambda: jobs)
    services.submit("regions", "", {})
    services.retry(cast(Job, SimpleNamespace(digest="", options={})))
    assert counted == ["@m", "@m"]


def test_an_owner_shares_removes_and_takes_back_and_an_admin_overrules(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_bundle(home.parent / "own.npz", embeddings=np.eye(3), losses=np.arange(3.0))
    digest = import_bundle(path, home, owner="@m", name="mine").digest
    import_bundle(path, home)  # so that no demo is opened when that is gone
    store = services.shared_store()

    def open_as(who: str) -> AppTest:
        enter(monkeypatch, PEOPLE[who])
        at = AppTest.from_file(APP, default_timeout=60)
        at.query_params["bundle"] = digest[:12]
        at = at.switch_page("pages/bundles.py").run()
        at.toggle(key="past_shown").set_value(True)
        return at.run()

    at = open_as("member")
    at.text_input(key="share_with").set_value("rea@example.org")
    next(one for one in at.button if one.label == "Share").click().run()
    assert store.grants(digest) == {"mail:rea@example.org": "look"}
    assert any("look at its spelling" in toast.value for toast in at.toast)
    at.button(key="remove_bundle").click().run()
    assert services.gate().right(PEOPLE["member"], digest) == Right.NONE
    at.button(key=f"restore_{digest[:12]}").click().run()
    assert services.gate().right(PEOPLE["member"], digest) == Right.OWN
    at = open_as("member")
    told = [event.summary for event in store.history(digest)]
    assert told == [
        "took the removed bundle back",
        "removed the bundle",
        "lets rea@example.org look",
    ]
    assert list(at.dataframe[-1].value["what"]) == told
    assert not [one for one in at.button if one.key == "past_overrule"]
    store.tag(digest, ["0"], "t", author=Author("Mem", "@m"))
    at = open_as("admin")
    at.button(key="past_overrule").click().run()
    assert not at.exception and store.tag_counts(digest) == {}
    assert store.history(digest)[0].author == "Adm"


def test_a_bundle_that_is_no_longer_shared_is_closed_and_that_is_said(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is one that is open to all, of the test before."""
    path = write_bundle(home.parent / "lent.npz", embeddings=np.eye(3), losses=np.ones(3))
    digest = import_bundle(path, home, owner="@o", name="the lent bundle").digest
    services.shared_store().note(digest, "imported", author=Author("Olga", "@o"))
    services.shared_store().share(digest, "@r", "look", author=Author("Olga", "@o"))
    enter(monkeypatch, PEOPLE["reader"])
    at = AppTest.from_file(APP, default_timeout=60)
    at.query_params["bundle"] = digest[:12]
    at = at.switch_page("pages/bundles.py").run()
    tables = [frame.value for frame in at.dataframe if "access" in frame.value]
    assert "of Olga: you look" in list(tables[0]["access"])
    services.shared_store().share(digest, "@r", "none", author=Author("Olga", "@o"))
    at.query_params.clear()
    at.switch_page("pages/flagged.py").run()
    assert not at.exception and "the lent bundle" not in texts(at)
    told = [toast.value for toast in at.toast]
    assert told == ["The bundle that was open is no longer here, or no longer shared with you."]
    for _ in range(2):
        monkeypatch.setattr(notice, "AGAIN_S", 0)
        at.run()
        assert not at.toast and not at.warning


UNGUARDED = {
    # What asks nobody, with the modules that may use it.
    "services.jobs": ("pages/components/shared/health.py",),
    "services.cache": (),
    "services.gate": ("pages/components/bundles/streamed.py",),
    "services.shared_store": ("app.py", "pages/components/shared/health.py"),
    "services.open_bundle_of": (),
    "services.opened": (),
    **{
        f"backend.{name}": ("pages/components/shared/services.py",)
        for name in (
            "bundle.open_bundle", "bundle.remove_bundle", "bundle.rename_bundle",
            "bundle.restore_bundle", "bundle.delete_removed", "jobs.serving", "cache.Cache",
            "access.Gate", "access.GuardedStore",
        )
    },
    **{
        f"backend.{name}": ()
        for name in (
            "bundle.list_bundles", "bundle.delete_bundle", "bundle.removed_bundles",
            "bundle.import_bundle", "bundle.owner_of", "bundle.give_to", "bundle.home.folder_of",
            "bundle.home.list_bundles", "bundle.home.open_bundle",
        )
    },
}  # fmt: skip


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def test_pages_have_no_door_that_asks_nobody() -> None:
    used: dict[str, set[str]] = {name: set() for name in UNGUARDED}
    for path in [*sorted((PROJECT / "pages").rglob("*.py")), Path(APP)]:
        place = path.relative_to(PROJECT).as_posix()
        for node in nodes_of(path):
            names = []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{one.name}" for one in node.names]
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                names = [f"{node.value.id}.{node.attr}"]
            for name in names:
                if name in used:
                    used[name].add(place)
    assert {name: tuple(sorted(places)) for name, places in used.items()} == UNGUARDED


def test_every_download_is_made_and_written_down_by_the_same_door() -> None:
    free = {"pages/components/bundles/collector.py"}  # the collector itself, which is no bundle's
    for path in sorted((PROJECT / "pages").rglob("*.py")):
        buttons = [
            node
            for node in nodes_of(path)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "st.download_button"
        ]
        place = path.relative_to(PROJECT).as_posix()
        called = [
            node.func
            for node in nodes_of(path)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        ]
        # What these show goes by an address of Streamlit's, which asks nobody; a bundle has pictures.
        shown = {
            one.attr for one in called if ast.unparse(one.value).rpartition(".")[2] != "bundle"
        }
        assert not {"image", "audio", "video", "pdf", "pyplot", "logo"} & shown, place
        for button in buttons:
            told = ast.unparse(button)
            assert ("services.handed(" in told) is (place not in free), f"{place}: {told[:80]}"
