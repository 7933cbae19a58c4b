"""Drawing on the map in a real browser: the rows are the ones a plain computation gives."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, Response, Route

from backend.bundle import import_bundle, write_bundle
from backend.map.geometry import rows_in_polygon
from tests.bundles import picture
from tests.e2e.acts import choose, expect, settled
from tests.e2e.conftest import Server, start_server
from tests.e2e.map_app import lattice

N = 400
PAD = 14  # pixels left free around the map, as in camera.js
HOSTILE = '<img src="https://hostile.invalid/x.png" onerror="window.hit=1">'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("map") / "home"
    server = start_server(home, script="tests/e2e/map_app.py")
    yield server
    server.process.terminate()
    server.process.wait(timeout=20)


@pytest.fixture(scope="module")
def bundles(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Digests of a bundle of hostile texts and one of pictures, in the server's home."""
    rng = np.random.default_rng(0)
    labels = np.array([HOSTILE, "dog"])[rng.integers(0, 2, N)]
    fields: dict[str, Any] = {
        "embeddings": rng.normal(size=(N, 4)).astype(np.float32),
        "losses": np.full(N, 1.25),
        "labels": labels,
        "predictions": labels,
    }
    examples = pd.DataFrame({"id": [f"{HOSTILE}{at}" for at in range(N)], "text": [HOSTILE] * N})
    digests = {}
    for name, more in (("texts", {"examples": examples}), ("pictures", {"images": None})):
        if name == "pictures":
            more = {"images": [picture(at) for at in range(N)]}
        path = tmp_path_factory.mktemp(name) / "bundle"
        write_bundle(path, **fields, **more)
        digests[name] = import_bundle(path, server.home).digest
    return digests


@dataclass
class Map:
    """The map on screen. Places are columns and rows of the lattice, which may be fractions."""

    page: Page
    keys: tuple[str, ...] = ()

    def at(self, column: float, row: float) -> tuple[float, float]:
        box = self.page.locator(".overlay").bounding_box()
        assert box is not None
        side = round(N**0.5) - 1
        return (
            box["x"] + PAD + column / side * (box["width"] - 2 * PAD),
            box["y"] + box["height"] - PAD - row / side * (box["height"] - 2 * PAD),
        )

    def drag(self, *corners: tuple[float, float], holding: str | None = None) -> None:
        mouse = self.page.mouse
        if holding:
            self.page.keyboard.down(holding)
        mouse.move(*self.at(*corners[0]))
        mouse.down()
        for corner in corners[1:]:
            mouse.move(*self.at(*corner), steps=3)
        mouse.up()
        if holding:
            self.page.keyboard.up(holding)

    def tool(self, name: str) -> None:
        self.page.locator(f"[data-tool={name}]").click()

    def holds(self, rows: Any) -> None:
        """The page says these rows are selected, the map counts them, and the outline is gone."""
        told = " ".join(map(str, sorted(map(int, rows))))
        expect(self.page.get_by_text(re.compile(r"^rows:"))).to_have_text(f"rows: {told}".strip())
        count = len(list(rows))
        status = f"{count} of {N} selected" if count else f"{N} examples"
        expect(self.page.locator(".status")).to_have_text(status)


@pytest.fixture
def opened(page: Page, server: Server) -> Any:
    def go(query: str = "") -> Map:
        page.goto(f"{server.url}/?n={N}&layout=lattice{query}")
        expect(page.locator(".map[data-drawn]")).to_be_visible()
        expect(page.locator(".veil")).to_be_hidden()
        settled(page)
        return Map(page)

    return go


def choose_colour(page: Page, name: str) -> None:
    choose(
        page,
        page.get_by_role("combobox", name="Colour"),
        page.get_by_role("option", name=name, exact=True),
    )


def box_rows(x0: float, x1: float, y0: float, y1: float) -> set[int]:
    """Rows of the lattice whose column and row lie in these ranges."""
    column, row = np.arange(N) % 20, np.arange(N) // 20
    return set(np.flatnonzero((x0 < column) & (column < x1) & (y0 < row) & (row < y1)).tolist())


def lasso_rows(*corners: tuple[float, float]) -> set[int]:
    return set(rows_in_polygon(lattice(N), np.array(corners) * 10 - 40).tolist())


def test_lasso_add_remove_and_clear_give_exactly_the_rows(opened: Any) -> None:
    shown = opened()
    first = ((2.5, 2.5), (9.5, 2.5), (9.5, 12.5), (2.5, 8.5))
    shown.drag(*first)
    wanted = lasso_rows(*first)
    assert len(wanted) > 30
    shown.holds(wanted)
    shown.drag((12.5, 3.5), (15.5, 3.5), (15.5, 6.5), (12.5, 6.5), holding="Shift")
    wanted |= box_rows(12.5, 15.5, 3.5, 6.5)
    shown.holds(wanted)
    shown.drag((4.5, 1.5), (7.5, 1.5), (7.5, 6.5), (4.5, 6.5), holding="Alt")
    wanted -= box_rows(4.5, 7.5, 1.5, 6.5)
    shown.holds(wanted)
    shown.drag((12.5, 5.5), (18.5, 5.5), (18.5, 7.5), (12.5, 7.5))  # still armed; starts anew
    shown.holds(box_rows(12.5, 18.5, 5.5, 7.5))
    shown.page.locator(".map").focus()
    shown.page.keyboard.press("Escape")
    shown.holds([])


def test_box_with_sticky_operations_and_on_a_closer_view(opened: Any) -> None:
    shown = opened()
    shown.tool("box")
    shown.drag((3.5, 3.5), (8.5, 10.5))
    wanted = box_rows(3.5, 8.5, 3.5, 10.5)
    shown.holds(wanted)
    shown.tool("add")
    shown.drag((15.5, 6.5), (11.5, 9.5))
    wanted |= box_rows(11.5, 15.5, 6.5, 9.5)
    shown.holds(wanted)
    shown.tool("remove")
    shown.drag((3.5, 3.5), (5.5, 5.5))
    wanted -= box_rows(3.5, 5.5, 3.5, 5.5)
    shown.holds(wanted)
    shown.tool("remove")  # off again: the next box starts anew
    shown.page.locator(".map").focus()
    shown.page.keyboard.press("+")
    shown.page.keyboard.press("Enter")  # what is in view, 1.5 times closer
    box = shown.page.locator(".overlay").bounding_box()
    assert box is not None
    edges = [
        (share * size - PAD) / (size - 2 * PAD) * 19
        for size in (box["width"], box["height"])
        for share in (1 / 6, 5 / 6)
    ]
    shown.holds(box_rows(*edges))
    shown.page.keyboard.press("0")
    shown.drag((1.5, 1.5), (2.5, 2.5))
    shown.holds(box_rows(1.5, 2.5, 1.5, 2.5))


def test_a_second_drawing_before_the_first_is_answered_is_not_lost(opened: Any) -> None:
    shown = opened()
    shown.drag((2.5, 2.5), (5.5, 2.5), (5.5, 5.5), (2.5, 5.5))
    shown.drag((9.5, 9.5), (12.5, 9.5), (12.5, 12.5), (9.5, 12.5), holding="Shift")
    shown.drag((14.5, 2.5), (17.5, 2.5), (17.5, 5.5), (14.5, 5.5), holding="Shift")
    shown.holds(
        box_rows(2.5, 5.5, 2.5, 5.5)
        | box_rows(9.5, 12.5, 9.5, 12.5)
        | box_rows(14.5, 17.5, 2.5, 5.5)
    )


def test_what_the_data_says_stays_text(opened: Any, bundles: dict[str, str], page: Page) -> None:
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    shown = opened(f"&digest={bundles['texts']}&by=kind")
    expect(page.locator(".kind .name").first).to_have_text("<b>kind 0</b>")
    page.mouse.move(*shown.at(10, 10))
    page.mouse.move(*shown.at(10.02, 10))
    card = page.locator(".preview")
    expect(card).to_contain_text(HOSTILE)
    expect(card).to_contain_text("loss 1.25")
    expect(card).to_have_attribute("data-row", "210")
    assert card.locator("img, b").count() == 0
    page.mouse.click(*shown.at(10, 10))
    expect(page.get_by_text("pin new 210")).to_be_visible()
    expect(card).to_have_class(re.compile("pinned"))
    page.mouse.move(*shown.at(3, 3))
    expect(card).to_have_attribute("data-row", "210")  # pinned: hovering elsewhere changes nothing
    page.locator(".map").focus()
    page.keyboard.press("Escape")
    expect(card).to_be_hidden()
    assert page.evaluate("window.hit") is None
    assert not [url for url in fetched if "hostile" in url]


def test_hovering_shows_the_picture_of_the_row(
    opened: Any, bundles: dict[str, str], page: Page
) -> None:
    shown = opened(f"&digest={bundles['pictures']}")
    page.mouse.move(*shown.at(0, 3))
    page.mouse.move(*shown.at(0.02, 3))
    image = page.locator(".preview img")
    expect(image).to_have_attribute("src", re.compile(rf"{bundles['pictures']}/60/thumbnail$"))
    expect(image).to_have_js_property("naturalWidth", 16)


def test_a_card_goes_with_the_pointer(opened: Any, bundles: dict[str, str], page: Page) -> None:
    shown = opened(f"&digest={bundles['texts']}")
    card = page.locator(".preview")
    tools = page.locator(".tools").bounding_box()
    for leave in ("outside the map", "onto its tools"):
        page.mouse.move(*shown.at(10.02, 10))
        page.mouse.move(*shown.at(10, 10))
        expect(card).to_be_visible()
        page.mouse.move(
            *((5, 5) if leave == "outside the map" else (tools["x"] + 9, tools["y"] + 9))
        )
        expect(card).to_be_hidden()


def test_tools_lie_above_the_points_and_keys_are_one_key_away(opened: Any, page: Page) -> None:
    shown = opened("&by=kind")
    area = page.locator(".overlay").bounding_box()
    for part in (".tools", ".head .status", ".hint"):
        box = page.locator(part).bounding_box()
        assert box["y"] + box["height"] <= area["y"], part
    page.locator(".map").focus()
    page.keyboard.press("?")
    expect(page.locator(".keys")).to_contain_text("clear the selection")
    page.keyboard.press("Escape")
    expect(page.locator(".keys")).to_be_hidden()
    shown.drag((2.5, 2.5), (5.5, 2.5), (5.5, 5.5), (2.5, 5.5))
    shown.holds(box_rows(2.5, 5.5, 2.5, 5.5))
    assert page.locator(".overlay").bounding_box() == area
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Escape")  # nothing has the focus
    shown.holds([])


def test_a_recolouring_sends_one_byte_a_point_and_a_view_sends_nothing(
    opened: Any, page: Page
) -> None:
    shown = opened("&by=kind")
    bodies: list[int] = []
    frames: list[int] = []
    chart = page.locator(".map")

    def count(answer: Response) -> None:
        if "/content/" in answer.url:
            bodies.append(len(answer.body()))

    page.on("response", count)
    before = chart.get_attribute("data-showing") or ""
    choose_colour(page, "loss")
    expect(chart).not_to_have_attribute("data-showing", before)
    after = chart.get_attribute("data-showing") or ""
    assert after.split()[0] == before.split()[0]  # the same geometry
    expect(page.locator(".scale .title")).to_have_text("loss")
    settled(page)
    assert bodies == [N]
    page.on("request", lambda request: frames.append(1))
    drawn = chart.get_attribute("data-drawn") or ""
    page.mouse.move(*shown.at(10, 10))
    page.mouse.wheel(0, -400)
    expect(chart).not_to_have_attribute("data-drawn", drawn)
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    assert frames == [] and bodies == [N]


def test_the_legend_counts_the_selection_and_picks_out_a_kind(opened: Any, page: Page) -> None:
    shown = opened("&by=kind")
    kinds = page.locator(".kind")
    kinds.nth(2).click()
    expect(kinds.nth(2)).to_have_attribute("aria-pressed", "true")
    kinds.nth(2).click()
    expect(kinds.nth(2)).to_have_attribute("aria-pressed", "false")
    shown.drag((-0.2, -0.2), (3.5, -0.2), (3.5, 19.2), (-0.2, 19.2))
    shown.holds(box_rows(-1, 3.5, -1, 20))
    expect(page.locator(".kind .counts").first).to_have_text("40")
    expect(page.locator(".kind .counts").nth(3)).to_have_text("0 / 40")


def test_a_hidden_point_cannot_be_pointed_at(
    opened: Any, bundles: dict[str, str], page: Page
) -> None:
    shown = opened(f"&digest={bundles['pictures']}")
    page.get_by_test_id("stCheckbox").get_by_text("Filter", exact=True).click()
    card = page.locator(".preview")

    def point() -> None:
        page.mouse.move(*shown.at(10.4, 10.4))
        page.mouse.move(*shown.at(10, 10))

    showing = page.locator(".map[data-showing$=' -']")  # no picture; the state plane has a name
    expect(page.locator(".map")).to_have_attribute("data-showing", re.compile(r"\w+ \w+ \w+ -"))
    point()
    expect(card).to_have_attribute("data-row", "210")
    page.get_by_test_id("stCheckbox").get_by_text("Hide filtered").click()
    settled(page)
    expect(showing).to_be_visible()
    point()
    expect(card).to_be_hidden()
    page.mouse.move(*shown.at(11, 10))
    expect(card).to_have_attribute("data-row", "211")


def test_without_webgl_the_server_draws_and_selection_still_works(opened: Any, page: Page) -> None:
    page.add_init_script(
        "const real = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {"
        "  return kind.startsWith('webgl') ? null : real.call(this, kind, ...rest); };"
    )
    shown = opened()
    expect(page.locator(".hint")).to_contain_text("No WebGL 2 here: drawn by the server")
    corners = ((2.5, 2.5), (9.5, 2.5), (9.5, 12.5), (2.5, 8.5))
    shown.drag(*corners)
    wanted = lasso_rows(*corners)
    shown.holds(wanted)
    shown.drag((2.5, 2.5), (4.5, 2.5), (4.5, 4.5), (2.5, 4.5), holding="Alt")
    shown.holds(wanted - box_rows(2.5, 4.5, 2.5, 4.5))
    page.mouse.click(*shown.at(15, 15))
    expect(page.get_by_text("pin new 315")).to_be_visible()


def test_what_is_drawn_while_another_layout_comes_selects_nothing(opened: Any, page: Page) -> None:
    """The old picture with the new layout's coordinates would select rows nobody saw."""
    shown = opened("&digest=x")
    held: list[Route] = []
    before = page.locator(".map").get_attribute("data-showing") or ""
    page.route(re.compile("/content/.*/blob/"), lambda route: held.append(route))
    page.get_by_test_id("stCheckbox").get_by_text("Flip").click()
    expect(page.locator(".veil")).to_be_visible()
    shown.drag((2.5, 2.5), (9.5, 2.5), (9.5, 4.5), (2.5, 4.5))
    page.locator(".map").focus()
    page.keyboard.press("Enter")
    assert held
    page.unroute_all()  # lets go of what was held
    expect(page.locator(".veil")).to_be_hidden()
    expect(page.locator(".map")).not_to_have_attribute("data-showing", before)
    shown.holds([])
    shown.drag((2.5, 2.5), (9.5, 2.5), (9.5, 4.5), (2.5, 4.5))
    flipped = {column * 20 + row for row in (3, 4) for column in range(3, 10)}
    shown.holds(flipped)


def test_bytes_the_server_no_longer_keeps_are_asked_for_again(page: Page, server: Server) -> None:
    refused: list[str] = []

    def refuse_once(route: Route) -> None:
        if refused:
            route.continue_()
        else:
            refused.append(route.request.url)
            route.fulfill(status=404, body="gone")

    page.route(re.compile("/content/.*/blob/"), refuse_once)  # first of all, the program itself
    page.goto(f"{server.url}/?n={N}&layout=lattice")
    expect(page.locator(".map[data-drawn]")).to_be_visible()
    assert len(refused) == 1
    page.unroute_all()
    refused.clear()
    page.route(re.compile("/content/.*/blob/"), refuse_once)  # then a plane of bytes
    showing = page.locator(".map").get_attribute("data-showing") or ""
    choose_colour(page, "loss")
    expect(page.locator(".scale .title")).to_have_text("loss")
    expect(page.locator(".map")).not_to_have_attribute("data-showing", showing)
    assert len(refused) == 1


def test_it_works_below_a_base_path(browser: Browser, tmp_path: Path) -> None:
    server = start_server(
        tmp_path / "home",
        script="tests/e2e/map_app.py",
        STREAMLIT_SERVER_BASE_URL_PATH="deep/er",
    )
    page = browser.new_page()
    try:
        page.goto(f"{server.url}/?n={N}&layout=lattice")
        expect(page.locator(".map[data-drawn]")).to_be_visible()
    finally:
        page.close()
        server.process.terminate()
        server.process.wait(timeout=20)


def test_the_bundle_is_built_from_the_sources() -> None:
    """``npm run build`` in assets/map makes it anew."""
    folder = Path(__file__).parents[2] / "assets" / "map"
    known = hashlib.sha256()
    for source in sorted((folder / "src").glob("*.js")):
        known.update(source.read_bytes())
    known.update((folder / "package.json").read_bytes())
    bundle = (folder / "dist" / "map.js").read_text(encoding="utf-8")
    assert bundle.startswith(f"// sources {known.hexdigest()}\n")
    assert len(bundle) < 150_000
