"""Signing in, with a real provider of OpenID Connect on this machine, a real server and a browser."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, Page
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from backend.bundle import import_bundle
from backend.cli.main import main
from tests.bundles import npz
from tests.e2e.acts import expect, settled, unfold
from tests.e2e.conftest import (
    Server,
    free_port,
    new_context,
    start_server,
)

SECRET = "a-secret-of-this-test-which-is-long-enough"
HTML = {"accept": "text/html,*/*"}
GROUPS = [f"{n * 7919 % 100_003:05d}-{n * 104_729 % 999_983:06d}" for n in range(1_500)]
"""So many and so little alike that the cookie has more than 8 KB."""


@dataclass
class Site:
    server: Server
    issuer: str
    digest: str
    secret: str
    """A bundle of Olga's."""

    def put(self, person: str, **claims: object) -> None:
        """Have the provider know a person."""
        httpx.put(f"{self.issuer}/users/{person}", json=claims).raise_for_status()

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.server.url, timeout=60)

    def enter(self, client: httpx.Client, person: str, wanted: str = "/spotlights") -> str:
        """Go all the way to the provider and back; where one arrives."""
        page = client.get(wanted, headers=HTML)
        assert page.status_code == 401
        link = re.search(r'class="button" href="([^"]+)"', page.text)
        assert link is not None
        away = client.get(link[1].replace("&amp;", "&"))
        provider = client.get(away.headers["location"]).headers["location"]
        back = httpx.post(provider, data={"sub": person}).headers["location"]
        return str(client.get(back).headers["location"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("signed")
    rows = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    path = folder / "run.npz"
    path.write_bytes(npz(embeddings=rows, losses=np.abs(rows[:, 0])))
    digest = import_bundle(path, home=folder / "home").digest
    port = free_port()
    issuer = f"http://localhost:{port}"
    path.write_bytes(npz(embeddings=rows, losses=np.abs(rows[:, 1])))
    owner = f"@{hashlib.sha256(json.dumps([issuer, 'olga']).encode()).hexdigest()[:40]}"
    secret = import_bundle(path, home=folder / "home", owner=owner, name="the secret run").digest
    (folder / "roles").write_text("reader rita@example.org\nmember *\n")
    provider = subprocess.Popen(
        [sys.executable, "-m", "oidc_provider_mock", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    secrets = folder / "secrets.toml"
    secrets.write_text(
        "[auth]\n"
        'redirect_uri = "http://127.0.0.1:{port}/oauth2callback"\n'
        f'cookie_secret = "{SECRET}"\nclient_id = "errorscope"\nclient_secret = "x"\n'
        f'server_metadata_url = "{issuer}/.well-known/openid-configuration"\n'
    )
    server = start_server(
        folder / "home",
        STREAMLIT_SECRETS_FILES=str(secrets),
        ERRORSCOPE_ROLES=str(folder / "roles"),
    )
    yield Site(server, issuer, digest, secret)
    for process in (server.process, provider):
        process.terminate()
        process.wait(timeout=20)


def channel_opens(site: Site, cookies: str) -> bool:
    address = site.server.url.replace("http", "ws") + "/_stcore/stream"
    headers = {"Origin": site.server.url, "Cookie": cookies}
    try:
        with connect(address, additional_headers=headers, subprotocols=["streamlit"]):
            return True
    except InvalidStatus:
        return False


def in_pieces(site: Site, cookies: str) -> bytes:
    """The answer to a request that comes some bytes at a time, as a proxy may send it."""
    host = site.server.url.partition("//")[2]
    asked = f"GET /spotlights HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\nCookie: {cookies}"
    with socket.create_connection(tuple(host.split(":")), timeout=60) as line:  # type: ignore[arg-type]
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(asked), 4_096):
            line.sendall(asked[start : start + 4_096].encode())
            time.sleep(0.02)  # so that they do not arrive as one
        line.sendall(b"\r\nConnection: close\r\n\r\n")
        return line.recv(4_096)


def in_one_line(client: httpx.Client) -> str:
    return "; ".join(f"{name}={value}" for name, value in client.cookies.items())


def test_nothing_but_the_page_to_sign_in_comes_before_signing_in(site):
    with site.client() as client:
        for path in ("/", "/spotlights?bundle=x", "/bundles", "/nowhere"):
            page = client.get(path, headers=HTML)
            assert page.status_code == 401 and "Sign in" in page.text and "<script" not in page.text
        for path in (
            "/static/js/index.js", "/_stcore/host-config", "/_stcore/metrics", "/media/x.png",
            "/content/t/blob/x", "/upload/t", "/component/x",
        ):  # fmt: skip
            assert client.get(path).status_code in (401, 404), path
        assert client.put("/upload/t?name=a.npz", content=b"x").status_code == 401
        assert client.get("/_stcore/health").status_code == 200
        assert set(client.get("/health").json()) == {"ok"}
    assert not channel_opens(site, "")


@dataclass
class Forged:
    """A cookie nobody was given: what it says, and the secret it is signed with."""

    why: str
    changes: dict[str, object] = field(default_factory=dict)
    secret: str = SECRET
    lets_in: bool = False


FORGED = [
    Forged("one like those that are given", lets_in=True),
    Forged("signed with another secret", secret="another secret that is just as long as it"),
    Forged("issued thirteen hours ago", {"iat": time.time() - 13 * 3600}),
    Forged("for another server", {"origin": "http://127.0.0.1:1"}),
    Forged("of nobody", {"sub": ""}),
    Forged("without an issuer", {"iss": None}),
    Forged("signed out", {"is_logged_in": False}),
]


@pytest.mark.parametrize("forged", FORGED, ids=lambda one: one.why)
def test_a_cookie_lets_in_only_whom_the_provider_named(site, forged):
    said = {
        "iss": site.issuer, "sub": "eve", "iat": time.time(), "origin": site.server.url,
        "is_logged_in": True, "provider": "default",
    } | forged.changes  # fmt: skip
    signed = create_signed_value(forged.secret, "_streamlit_user", json.dumps(said)).decode()
    cookie = f"_streamlit_user={signed}"
    page = httpx.get(f"{site.server.url}/spotlights", headers={**HTML, "Cookie": cookie})
    assert (page.status_code == 200) is forged.lets_in
    assert channel_opens(site, cookie) is forged.lets_in
    tampered = cookie[:40] + ("A" if cookie[40] != "A" else "B") + cookie[41:]
    assert not channel_opens(site, tampered)


def test_one_arrives_where_one_wanted_and_a_copied_cookie_ends_with_signing_out(site):
    site.put("ada", name="Ada", email="ada@example.org", groups=GROUPS)
    wanted = f"/flagged?bundle={site.digest[:12]}&q=a%20b"
    with site.client() as client:
        assert site.enter(client, "ada", wanted) == wanted.replace("%20", "+")
        cookies = in_one_line(client)
        assert len(cookies) > 9_000  # more than a channel's request may have by default
        assert client.get("/spotlights", headers=HTML).status_code == 200
        assert channel_opens(site, cookies)
        assert in_pieces(site, cookies).startswith(b"HTTP/1.1 200")
        for wrong in ("//elsewhere.example/", "https://elsewhere.example/", "/\\elsewhere"):
            away = client.get("/sign-in", params={"provider": "default", "next": wrong})
            assert "errorscope_wanted" not in away.headers.get("set-cookie", "")
        elsewhere = client.get(f"http://localhost:{client.base_url.port}/flagged?a=1", headers=HTML)
        assert (
            elsewhere.status_code == 421
            and f'href="{site.server.url}/flagged?a=1"' in elsewhere.text
        )
        assert "end_session" in client.get("/auth/logout").headers["location"]
    page = httpx.get(f"{site.server.url}/", headers={**HTML, "Cookie": cookies})
    assert page.status_code == 401 and "has ended" in page.text
    assert not channel_opens(site, cookies)
    with site.client() as client:  # and may come again
        assert site.enter(client, "ada") == "/spotlights"


def test_signing_in_that_fails_says_so(site):
    with site.client() as client:
        answer = client.get("/oauth2callback", params={"error": "access_denied", "state": "x"})
        assert answer.headers["location"] == "/?sign_in=failed"
        assert "did not work" in client.get("/?sign_in=failed", headers=HTML).text


def sign_in(page: Page, site: Site, person: str, wanted: str) -> None:
    page.goto("about:blank")  # a page that lost its sign-in may be on its own way to the door
    page.goto(f"{site.server.url}{wanted}")
    page.get_by_role("link", name="Sign in").click()
    page.get_by_placeholder("sub").fill(person)
    page.get_by_role("button", name="Authorize").click()


@pytest.fixture
def command(site, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command of whoever has the server's home; what it says."""

    def run(*arguments: str) -> str:
        capsys.readouterr()
        assert main([*arguments, "--home", str(site.server.home)]) == 0
        return capsys.readouterr().out

    return run


def test_two_people_in_browsers_of_their_own(site, browser: Browser, command, tmp_path: Path):
    site.put("carl", name="Carl", email="carl@example.org")
    site.put("dora", name="Carl")  # the same name, another person
    contexts = [new_context(browser) for _ in range(2)]
    for context in contexts:
        context.route("https://**", lambda route: route.abort())  # the provider's style sheet
    carl, dora = (context.new_page() for context in contexts)
    try:
        for page, person in ((carl, "carl"), (dora, "dora")):
            sign_in(page, site, person, f"/flagged?bundle={site.digest[:12]}")
            expect(page.get_by_role("button", name="Carl")).to_be_visible()
            assert "/flagged?bundle=" in page.url
        # What one person's page was given is nothing to another, even with the ticket.
        with carl.expect_request(re.compile(r"/content/[^/]+/blob/")) as fetched:
            carl.goto(f"{site.server.url}/spotlights?bundle={site.digest[:12]}")
        assert contexts[0].request.get(fetched.value.url).status == 200
        assert contexts[1].request.get(fetched.value.url).status == 403
        # Put out by whoever runs the server: the next click leads to the page to sign in.
        known = json.loads(command("sign-ins", "--json"))["sign_ins"]
        keys = {one["key"] for one in known if one["name"] == "Carl"}
        assert len(keys) == 2
        for key in keys:
            command("sign-ins", "--end", key)
        for context in contexts:
            cookie = "; ".join(f"{one['name']}={one['value']}" for one in context.cookies())
            while httpx.get(site.server.url, headers={**HTML, "Cookie": cookie}).status_code != 401:
                time.sleep(0.1)  # the server asks again after a moment
        dora.get_by_role("link", name="Bundles").first.click()
        expect(dora.get_by_text("Your sign-in has ended.")).to_be_visible()
        # And signing out from the page.
        sign_in(carl, site, "carl", "/flagged")
        expect(carl.get_by_role("heading", name="What did we flag?")).to_be_visible()
        unfold(carl, carl.get_by_role("button", name="Carl"))
        expect(carl.get_by_text(re.compile("carl.?@example.org"))).to_be_visible()
        carl.get_by_role("button", name="Sign out").click()
        carl.wait_for_url(re.compile(r"end_session|/\?|/$"))
        carl.goto(f"{site.server.url}/bundles")
        expect(carl.get_by_role("link", name="Sign in")).to_be_visible()
        carl.screenshot(path=tmp_path / "door.png")
    finally:
        for context in contexts:
            context.close()


def test_what_is_not_shared_is_not_told_until_its_owner_shares_it(site, browser: Browser, command):
    site.put("olga", name="Olga", email="olga@example.org", email_verified=True)
    site.put("rita", name="Rita", email="Rita@example.org", email_verified=True)
    contexts = [new_context(browser) for _ in range(2)]
    for context in contexts:
        context.route("https://**", lambda route: route.abort())
    olga, rita = (context.new_page() for context in contexts)
    link = f"/bundles?bundle={site.secret[:12]}"
    try:
        sign_in(rita, site, "rita", link)
        expect(rita.get_by_text("or not shared with you")).to_be_visible()
        expect(rita.get_by_text("Your role on this server is reader")).to_be_visible()
        settled(rita)
        assert "the secret run" not in rita.content()
        sign_in(olga, site, "olga", link)
        expect(olga.get_by_role("heading", name="the secret run")).to_be_visible()
        settled(olga)
        with olga.expect_download() as got:  # what her page was given is not to be had by others
            olga.get_by_role("button", name=re.compile("collector")).first.click()
        assert contexts[0].request.get(got.value.url).status == 200
        assert contexts[1].request.get(got.value.url).status == 404
        unfold(olga, olga.get_by_role("button", name="Shared with nobody"))
        olga.get_by_role("textbox", name="With whom").fill("rita@example.org")
        olga.get_by_role("button", name="Share", exact=True).click()
        expect(olga.get_by_role("button", name="Shared with 1 person")).to_be_visible()
        rita.goto(f"{site.server.url}{link}")
        expect(rita.get_by_role("heading", name="the secret run")).to_be_visible()
        expect(rita.get_by_role("button", name="Remove this bundle")).to_have_count(0)
        with rita.expect_request(re.compile(r"/content/[^/]+/blob/")) as fetched:
            rita.goto(f"{site.server.url}/spotlights?bundle={site.secret[:12]}")
        example = f"{fetched.value.url.rpartition('/blob/')[0]}/item/{site.secret}/3.json"
        assert contexts[1].request.get(example).status == 200
        rita.goto(f"{site.server.url}/spotlights?bundle={site.secret[:12]}&view=Table")
        with rita.expect_download() as got:  # made for her of what is shared with her
            rita.get_by_role("button", name=re.compile("Download these")).first.click()
        assert contexts[1].request.get(got.value.url).status == 200
        settled(olga)
        olga.get_by_role("button", name="Take away").click()  # where she shared it, still open
        expect(olga.get_by_role("button", name="Shared with nobody")).to_be_visible()
        assert contexts[1].request.get(example).status == 403
        assert contexts[1].request.get(got.value.url).status == 404
        told = json.loads(command("log", "--json"))["events"]
        lines = [(one["name"], one["what"]) for one in told]
        assert ("Olga", "lets rita@example.org look") in lines and ("Rita", "signed in") in lines
    finally:
        for context in contexts:
            context.close()
