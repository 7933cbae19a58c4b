"""Page links clicked right after a card, on a busy machine: none is lost, no page stays blank.

    python -m tests.benchmarks.page_links [--clicks 200] [--load 8]

A real browser clicks a card of the gallery, and a link to another page within a second of it. Lost
is a click after which another page is shown than the one asked for; blank, one after which that page
never shows its heading. Processes that do nothing but count keep the load where it is not there yet.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from playwright.sync_api import Error, Page, expect, sync_playwright

from backend.bundle import import_bundle
from tests.bundles import npz, planted
from tests.e2e.acts import settled
from tests.e2e.conftest import Server, start_server

HEADINGS = {
    "spotlights": "Where does the model fail together?",
    "compression": "What does compression change?",
    "subgroups": "Which subgroups are served worst?",
    "stress": "Which labels depend on the seed?",
    "flagged": "What did we flag?",
    "bundles": "What did the model produce?",
}
GALLERY = "hardest"
WAIT_S = 120.0


@contextlib.contextmanager
def busy(load: float) -> Iterator[list[float]]:
    """A machine whose load is at least this; the loads that were seen are noted."""
    seen: list[float] = [os.getloadavg()[0]]
    missing = max(0, round(load - seen[0]))
    counting = "while True:\n    sum(range(10**6))"
    made = [subprocess.Popen([sys.executable, "-c", counting]) for _ in range(missing)]
    try:
        while os.getloadavg()[0] < load:
            time.sleep(2)
        yield seen
    finally:
        for one in made:
            one.kill()
            one.wait()


def headings(page: Page, server: Server, digest: str) -> dict[str, str]:
    """What each page is headed, read where nothing is hurried."""
    found = {}
    for name in HEADINGS:
        page.goto(f"{server.url}/{name}?bundle={digest[:12]}")
        settled(page)
        found[name] = page.locator("h2").first.inner_text()
    return found


def one(page: Page, aim: str, heading: str, delay_s: float) -> tuple[str, float]:
    """Click a card, then a link; what became of it, and seconds until the page was there."""
    tiles = page.locator(".st-key-gallery .tile")
    expect(tiles.first).to_be_visible()
    tiles.nth(random.randrange(min(12, tiles.count()))).click()
    time.sleep(delay_s)
    page.locator(f'a[href$="/{aim}"], a[href*="/{aim}?"]').first.click()
    began = time.monotonic()
    while time.monotonic() - began < WAIT_S:
        with contextlib.suppress(Error):
            shown = page.locator("h2").first.inner_text(timeout=1000)
            still = page.locator("[data-testid=stApp][data-test-script-state=notRunning]").count()
            if shown == heading and f"/{aim}" in page.url:
                return "there", time.monotonic() - began
            if still and shown != heading and time.monotonic() - began > WAIT_S / 2:
                return "lost", time.monotonic() - began
        time.sleep(0.1)
    return "blank", WAIT_S


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clicks", type=int, default=200)
    parser.add_argument("--load", type=float, default=8)
    parser.add_argument("--browser", default="/usr/bin/chromium")
    options = parser.parse_args()
    random.seed(0)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home = Path(folder) / "home"
        home.mkdir()
        fields = planted(600, 4, seed=1, share=0.2)
        fields.pop("planted")
        fields["examples/text"] = np.array(
            [f"a card with some words, number {k}" for k in range(600)]
        )
        (Path(folder) / "run.npz").write_bytes(npz(**fields))
        bundle = import_bundle(Path(folder) / "run.npz", home)
        server = start_server(home)
        browser = playwright.chromium.launch(
            executable_path=options.browser, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            expect.set_options(timeout=WAIT_S * 1000)
            page.set_default_timeout(WAIT_S * 1000)
            heads = headings(page, server, bundle.digest)
            tally = {"there": 0, "lost": 0, "blank": 0}
            waits: list[float] = []
            address = f"{server.url}/{GALLERY}?bundle={bundle.digest[:12]}&quantile=20.0"
            with busy(options.load) as seen:
                for click in range(options.clicks):
                    if click == 0 or GALLERY not in page.url:
                        page.goto(address)
                    aim = random.choice(list(HEADINGS))
                    what, waited = one(page, aim, heads[aim], random.uniform(0, 1))
                    tally[what] += 1
                    waits.append(waited)
                    seen.append(os.getloadavg()[0])
                    if what != "there":
                        print(f"click {click} to {aim}: {what}, {page.url}", flush=True)
                    if click % 20 == 19:
                        print(f"{click + 1} clicks: {tally}", file=sys.stderr, flush=True)
            print(
                f"{options.clicks} clicks within 1 s of a card at load {min(seen[1:]):.1f} to "
                f"{max(seen[1:]):.1f}: {tally['there']} there, {tally['lost']} lost, "
                f"{tally['blank']} blank; median {statistics.median(waits):.1f} s, longest "
                f"{max(waits):.1f} s until the page was there",
                flush=True,
            )
            log = server.log.read_text(errors="replace")
            print(f'"Couldn\'t find fragment" in the log: {log.count("find fragment")}')
        finally:
            browser.close()
            server.process.terminate()
            server.process.wait(timeout=30)


if __name__ == "__main__":
    main()
