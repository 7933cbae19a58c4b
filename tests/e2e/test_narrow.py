"""What is on the screen of a phone, and what stays where it is: on the demo bundle."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from backend.bundle import import_bundle
from backend.demo import DEMOS, demo_path
from backend.views import Filter, Query, View, encode
from tests.e2e.acts import expect, finished, settled
from tests.e2e.conftest import Server, new_context

WIDTH = 390
BUTTONS = ["Filter", "Views", "Undo", "Redo", "History"]
RULES = [f"loss > 0.0{n}" for n in (1, 2, 3)] + [
    "label != Bag",
    "label != Trouser",
    "prediction != Sneaker",
]
PLACES = """bar => [...bar.querySelectorAll("button")].filter((one) => one.offsetWidth).map((one) => {
  const box = one.getBoundingClientRect();
  return {
    word: one.querySelector("p")?.innerText, chip: Boolean(one.closest(".st-key-view_chips")),
    left: box.left, right: box.right, middle: (box.top + box.bottom) / 2,
  };
})"""
"""Where the buttons of a place stand."""
SIX = encode(View(filters=tuple(Filter(Query(rule)) for rule in RULES)))


@pytest.fixture(scope="module")
def demo(shared_server: Server) -> str:
    """What the address says of the demo."""
    name = DEMOS["fashion"].title
    return f"bundle={import_bundle(demo_path(), home=shared_server.home, name=name).digest[:12]}"


@pytest.fixture
def narrow(browser: Browser) -> Iterator[Page]:
    context = new_context(browser)
    page = context.new_page()
    page.set_viewport_size({"width": WIDTH, "height": 844})
    yield page
    context.close()


@pytest.mark.parametrize("filters", ["", SIX], ids=["no filter", "six filters"])
@pytest.mark.parametrize("name", ["spotlights", "hardest"])
def test_every_button_of_the_bar_is_on_the_screen(
    narrow: Page, shared_server: Server, demo: str, name: str, filters: str
) -> None:
    narrow.goto(f"{shared_server.url}/{name}?{demo}" + (f"&state={filters}" if filters else ""))
    bar = narrow.locator(".st-key-acting_bar")
    chips = bar.locator("[class*=st-key-chip_switch_]")
    expect(chips).to_have_count(len(RULES) if filters else 0)
    acts = narrow.locator(".st-key-group_acts")
    expect(acts.get_by_role("button", name=re.compile("Tag first"))).to_be_visible()
    for word in BUTTONS:
        expect(bar.get_by_role("button", name=re.compile(rf"\b{word}\b")).first).to_be_visible()
    finished(narrow)
    own = bar.evaluate(f"bar => ({PLACES})(bar).filter((one) => !one.chip)")  # all at one moment
    assert [one["word"] for one in own] == BUTTONS
    middles = [one["middle"] for one in own]
    assert max(middles) - min(middles) < 10, "they stand in one line"
    cut = [one for one in [*own, *acts.evaluate(PLACES)] if one["left"] < 0 or one["right"] > WIDTH]
    assert not cut, "all of a button is on the screen"
    if filters:
        first = chips.first.bounding_box()
        assert first is not None and first["x"] + first["width"] <= WIDTH
    assert narrow.evaluate("document.documentElement.scrollWidth") == WIDTH


def test_a_far_tab_that_the_address_names_is_on_the_screen(
    narrow: Page, shared_server: Server, demo: str
) -> None:
    narrow.goto(f"{shared_server.url}/flagged?{demo}&sheet=History")
    tab = narrow.get_by_role("tab", name="History")
    expect(tab).to_have_attribute("aria-selected", "true")
    expect(tab).to_be_in_viewport(ratio=1)


def test_the_tour_comes_up_below_where_files_are_added(
    narrow: Page, shared_server: Server, demo: str
) -> None:
    narrow.goto(f"{shared_server.url}/bundles?{demo}")
    tour, chooser = narrow.locator(".st-key-tour"), narrow.get_by_test_id("stFileUploader")
    expect(tour).to_be_visible()
    settled(narrow)
    above, below = chooser.bounding_box(), tour.bounding_box()
    assert above is not None and below is not None and above["y"] < below["y"]
