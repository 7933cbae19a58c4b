"""Pages for populations of models in a real browser: review by keyboard, a clicked cell, a picture."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page

from backend.bundle import import_bundle
from backend.store import Store
from tests.bundles import npz
from tests.e2e.acts import expect, finished, settled
from tests.e2e.conftest import Server
from tests.pages.population_bundles import fields


@pytest.fixture(scope="module")
def digest(shared_server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("populations") / "three seeds.npz"
    path.write_bytes(npz(**fields(300)))
    return import_bundle(path, home=shared_server.home).digest


def test_the_review_goes_by_keyboard(page: Page, shared_server: Server, digest: str) -> None:
    page.goto(
        f"{shared_server.url}/compression?bundle={digest[:12]}&part=Review&intervention=pruned-90"
    )
    progress = page.get_by_test_id("stProgress")
    for done, key in enumerate("21342", start=1):
        expect(page.get_by_role("button", name="Noisy")).to_be_visible()
        finished(page)
        page.keyboard.press(key)
        expect(progress).to_contain_text(re.compile(rf"^{done} of "))
    finished(page)
    page.keyboard.press("u")
    expect(progress).to_contain_text(re.compile(r"^4 of "))
    finished(page)
    page.locator(".st-key-review_result label").click()
    expect(page.get_by_text(re.compile(r"Answers: ● PIE"))).to_be_visible()
    store = Store(home=shared_server.home)
    try:
        assert sorted(store.tags(digest)["tag"]) == ["atypical", "noisy", "ordinary", "unsure"]
    finally:
        store.close()


def test_a_click_on_a_cell_opens_its_group(page: Page, shared_server: Server, digest: str) -> None:
    page.goto(f"{shared_server.url}/subgroups?bundle={digest[:12]}")
    settled(page)
    heat = page.locator("[class*=st-key-audit_heat]")
    area = heat.locator(".nsewdrag").first
    expect(area).to_be_visible()
    heading = page.get_by_role("heading", level=3)
    expect(heading.filter(has_text="examples")).to_be_visible()
    finished(page)
    box = area.bounding_box()
    assert box is not None
    # The last row and column are everybody.
    page.mouse.click(box["x"] + 0.95 * box["width"], box["y"] + 0.95 * box["height"])
    expect(heading.filter(has_text=re.compile(r"^all · 300 examples"))).to_be_visible()


def test_a_chart_can_be_taken_along(
    context: BrowserContext, page: Page, shared_server: Server, digest: str, tmp_path: Path
) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=shared_server.url)
    page.goto(f"{shared_server.url}/compression?bundle={digest[:12]}")
    expect(page.locator(".st-key-pie_counts .nsewdrag").first).to_be_visible()
    finished(page)
    tools = page.locator(".st-key-pie_counts_tools")
    tools.get_by_role("button", name="Copy SVG").click()
    expect(tools.get_by_role("status")).to_have_text("SVG copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("<svg") and "pruned-90" in copied
    tools.get_by_role("button", name="Copy PNG").click()
    expect(tools.get_by_role("status")).to_have_text("PNG copied")
    kinds = page.evaluate("navigator.clipboard.read().then((held) => held[0].types)")
    assert kinds == ["image/png"]
