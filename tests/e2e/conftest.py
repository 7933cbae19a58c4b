"""A real server and a real browser for the journeys."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, sync_playwright
from playwright.sync_api import expect as expect_once

PROJECT = Path(__file__).parents[2]
START_S = 180
"""A machine on which much else goes on takes long to import it all."""
LONGEST_MS = 120_000
OFTEN_MS = 2_000
"""Who may wait no longer than this is asked ten times a second by Playwright, others twice."""


@dataclass
class Server:
    """A running app over its own home folder."""

    process: subprocess.Popen[bytes]
    url: str
    home: Path
    log: Path

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=30)


class Expected:
    """What Playwright can assert of a page or a place on it, waited for as long as a busy machine needs."""

    def __init__(self, shown: Locator | Page):
        self._once = expect_once(shown)

    def __getattr__(self, name: str) -> Callable[..., None]:
        holds = getattr(self._once, name)

        def often(*args: Any, **options: Any) -> None:
            until = time.monotonic() + LONGEST_MS / 1000
            while True:
                try:
                    return holds(*args, timeout=OFTEN_MS, **options)
                except AssertionError:
                    if time.monotonic() > until:
                        raise

        return often


expect = Expected


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_server(home: Path, *, script: str = "app.py", **environment: str) -> Server:
    port = free_port()
    home.mkdir(parents=True, exist_ok=True)
    log = home.parent / f"server-{port}.log"
    command = [
        sys.executable, "-m", "streamlit", "run", script,
        "--server.port", str(port), "--server.address", "127.0.0.1", "--server.headless", "true",
    ]  # fmt: skip
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env={**os.environ, "ERRORSCOPE_HOME": str(home), **environment},
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    base = environment.get("STREAMLIT_SERVER_BASE_URL_PATH", "")
    url = f"http://127.0.0.1:{port}/{base}".rstrip("/")
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended at once:\n{log.read_text()}")
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2):
                return Server(process, url, home, log)
        except (URLError, OSError):
            time.sleep(0.05)  # the server needs the core
    process.kill()
    process.wait()
    raise RuntimeError(f"the server did not answer within {START_S} s:\n{log.read_text()}")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers; every one is ended with the test."""
    servers: list[Server] = []

    def start(home: Path | None = None, **environment: str) -> Server:
        servers.append(start_server(home or tmp_path / "home", **environment))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.process.terminate()
            try:
                server.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                server.kill()


@pytest.fixture(scope="session")
def demo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server with the demo bundle, shared by tests that only look or use their own bundle."""
    server = start_server(tmp_path_factory.mktemp("demo") / "home")
    yield server
    server.process.terminate()
    try:
        server.process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        server.kill()


@pytest.fixture(scope="session")
def browser(browser_path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path,
            args=[
                "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-sync",
                "--disable-background-networking", "--disable-component-update",
            ],
        )  # fmt: skip
        yield browser
        browser.close()


def new_context(browser: Browser) -> BrowserContext:
    """Somebody's browser, who waits as long as a busy machine needs."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    context.set_default_timeout(LONGEST_MS)
    return context


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = new_context(browser)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, tmp_path: Path) -> Iterator[Page]:
    """A page that fails the test when a script error is thrown in it.

    How it looked at the end is kept as ``last.png`` in the test's temporary folder.
    """
    errors: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.screenshot(path=tmp_path / "last.png")
    assert not errors, errors


def settled(page: Page) -> None:
    """Wait until the app has run to its end."""
    expect(page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_visible()
