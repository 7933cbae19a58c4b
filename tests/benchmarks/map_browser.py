"""The map in a browser: first paint, recolouring, selection, and the bytes each way.

    python tests/benchmarks/map_browser.py [--points 10000 100000 1000000] [--repeats 3]

Each figure is the median of the repeats, in a new browser context every time, beside Streamlit's own
Plotly chart with the same points (its repeats are one, and sizes above ``--stock-up-to`` are left
out: at a million points its selection exceeds what the server accepts). Headless Chromium draws
with software GL, so a machine with a graphics card is faster.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from playwright.sync_api import Browser, Page, Response, WebSocket, expect, sync_playwright

from tests.e2e.acts import settled
from tests.e2e.conftest import Server, start_server

STEPS = ("first paint", "recoloured", "selected")


@dataclass
class Traffic:
    """Bytes since the last ``taken``: down by the app's routes and the socket, up by the socket."""

    down: int = 0
    up: int = 0
    answers: list[Response] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        def opened(socket: WebSocket) -> None:
            socket.on("framereceived", lambda frame: self.count("down", frame))
            socket.on("framesent", lambda frame: self.count("up", frame))

        page.on("websocket", opened)
        page.on("response", lambda answer: self.answers.append(answer))

    def count(self, way: str, frame: str | bytes) -> None:
        setattr(self, way, getattr(self, way) + len(frame))

    def taken(self) -> tuple[int, int]:
        """(down, up); the program itself, which a browser keeps, is not counted."""
        bodies = [
            len(answer.body())
            for answer in self.answers
            if "/content/" in answer.url and "javascript" not in answer.headers["content-type"]
        ]
        told = self.down + sum(bodies), self.up
        self.down = self.up = 0
        self.answers.clear()
        return told


@dataclass(frozen=True)
class Step:
    """One thing waited for: seconds, and bytes down and up."""

    seconds: float
    down: int
    up: int


def measured(
    page: Page, traffic: Traffic, act: Callable[[], None], done: Callable[[], None]
) -> Step:
    """Do something, wait until its result is on screen; bytes are counted until the app rests."""
    start = time.perf_counter()
    act()
    done()
    seconds = time.perf_counter() - start
    settled(page)
    return Step(seconds, *traffic.taken())


def drawn(page: Page, *, stock: bool) -> None:
    """Wait until points are on screen."""
    if stock:
        page.wait_for_function(
            "() => { const one = document.querySelector('.js-plotly-plot');"
            " return one && one.calcdata && one.querySelector('canvas'); }"
        )
        page.evaluate("() => new Promise((ok) => requestAnimationFrame(() => setTimeout(ok)))")
    else:
        expect(page.locator(".map[data-drawn]")).to_be_visible()
        expect(page.locator(".veil")).to_be_hidden()


def run(browser: Browser, server: Server, n: int, *, stock: bool) -> list[Step]:
    """First paint, another colouring, a box around about a third of the points."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.set_default_timeout(240_000)
    expect.set_options(timeout=240_000)
    traffic = Traffic()
    traffic.watch(page)
    address = f"{server.url}/?n={n}&by=kind" + ("&stock=1" if stock else "")
    steps = [
        measured(
            page, traffic, lambda: page.goto(address) and None, lambda: drawn(page, stock=stock)
        )
    ]
    chart = page.locator(".js-plotly-plot" if stock else ".overlay")
    showing = "" if stock else page.locator(".map").get_attribute("data-showing") or ""
    page.get_by_label("Colour").click()

    def recoloured() -> None:
        if stock:
            page.wait_for_function(
                "() => { const one = document.querySelector('.js-plotly-plot');"
                " const drawn = one && one.calcdata && one._fullData && one._fullData[0];"
                " return drawn && drawn.marker.cmax > 20; }"
            )
        else:
            expect(page.locator(".map")).not_to_have_attribute("data-showing", showing)

    option = page.get_by_role("option", name="loss")
    steps.append(measured(page, traffic, option.click, recoloured))
    if not stock:
        page.locator("[data-tool=box]").click()
    box = chart.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.35 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.9 * box["height"], steps=3)

    def selected() -> None:
        expect(page.get_by_text("selected 0")).to_be_hidden()

    steps.append(measured(page, traffic, page.mouse.up, selected))
    context.close()
    return steps


def size(count: float) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--points", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--stock-up-to", type=int, default=100_000)
    options.add_argument("--chromium", default=os.environ.get("ERRORSCOPE_CHROMIUM"))
    given = options.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, software GL"
    )
    print(f"{'points':>9}  {'what':<6}  {'step':<12}  {'seconds':>18}  {'down':>9}  {'up':>9}")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = start_server(Path(folder) / "home", script="tests/e2e/map_app.py")
        browser = playwright.chromium.launch(
            executable_path=given.chromium or "/usr/bin/chromium", args=["--no-sandbox"]
        )
        try:
            run(browser, server, 1_000, stock=False)  # the first visit of a server imports
            for n in given.points:
                for stock in (False, True) if n <= given.stock_up_to else (False,):
                    runs = [
                        run(browser, server, n, stock=stock)
                        for _ in range(1 if stock else given.repeats)
                    ]
                    for at, name in enumerate(STEPS):
                        times = [one[at].seconds for one in runs]
                        spread = (
                            f"{statistics.median(times):.2f} [{min(times):.2f}–{max(times):.2f}]"
                        )
                        down = statistics.median(one[at].down for one in runs)
                        up = statistics.median(one[at].up for one in runs)
                        what = "Plotly" if stock else "map"
                        print(
                            f"{n:>9}  {what:<6}  {name:<12}  {spread:>18}  "
                            f"{size(down):>9}  {size(up):>9}",
                            flush=True,
                        )
        finally:
            browser.close()
            server.process.terminate()


if __name__ == "__main__":
    main()
