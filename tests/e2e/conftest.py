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
from urllib.error import URLError

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from backend.bundle import import_bundle
from tests.bundles import npz
from tests.e2e.acts import LONGEST_MS, WATCH

PROJECT = Path(__file__).parents[2]
START_S = 180
"""A machine on which much else goes on takes long to import it all."""


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


def small_bundle(home: Path) -> str:
    """Import one, which is open where none is named: an empty home opens the demo. Its digest."""
    home.mkdir(parents=True, exist_ok=True)
    path = home.parent / "small.npz"
    path.write_bytes(npz(embeddings=np.eye(8, 3), losses=np.arange(8.0)))
    return import_bundle(path, home=home).digest


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
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all files whose tests only look, or use a bundle of their own."""
    folder = tmp_path_factory.mktemp("shared")
    small_bundle(folder / "home")
    server = start_server(folder / "home")
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
    context.add_init_script(WATCH)
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
