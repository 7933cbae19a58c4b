"""Pages for populations of models in a real browser: review by keyboard, a clicked cell, a picture."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page

from backend.bundle import import_bundle
from backend.store import Store
from tests.backend.tasks.test_before_after_task import fields as one_run
from tests.bundles import npz
from tests.e2e.conftest import Server, expect, settled
from tests.pages.population_bundles import fields


@pytest.fixture(scope="module")
def digest(demo_server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("populations") / "three seeds.npz"
    path.write_bytes(npz(**fields(300)))
    return import_bundle(path, home=demo_server.home).digest


def test_the_review_goes_by_keyboard(page: Page, demo_server: Server, digest: str) -> None:
    page.goto(
        f"{demo_server.url}/compression?bundle={digest[:12]}&part=Review&intervention=pruned-90"
    )
    settled(page)
    progress = page.get_by_test_id("stProgress")
    for done, key in enumerate("21342", start=1):
        settled(page)  # a key that comes while the page is drawn anew goes nowhere
        expect(page.get_by_role("button", name="Noisy")).to_be_visible()
        page.keyboard.press(key)
        expect(progress).to_contain_text(re.compile(rf"^{done} of "))
    settled(page)
    page.keyboard.press("u")
    expect(progress).to_contain_text(re.compile(r"^4 of "))
    page.locator(".st-key-review_result label").click()
    expect(page.get_by_text(re.compile(r"Answers: ● PIE"))).to_be_visible()
    store = Store(home=demo_server.home)
    try:
        assert sorted(store.tags(digest)["tag"]) == ["atypical", "noisy", "ordinary", "unsure"]
    finally:
        store.close()


def test_a_click_on_a_cell_opens_its_group(page: Page, demo_server: Server, digest: str) -> None:
    page.goto(f"{demo_server.url}/subgroups?bundle={digest[:12]}")
    settled(page)
    heat = page.locator("[class*=st-key-audit_heat]")
    area = heat.locator(".nsewdrag").first
    expect(area).to_be_visible()
    heading = page.get_by_role("heading", level=3)
    expect(heading.filter(has_text="examples")).to_be_visible()
    box = area.bounding_box()
    assert box is not None
    # The last row and column are everybody.
    page.mouse.click(box["x"] + 0.95 * box["width"], box["y"] + 0.95 * box["height"])
    expect(heading.filter(has_text=re.compile(r"^all · 300 examples"))).to_be_visible()


def test_a_chart_can_be_taken_along(
    context: BrowserContext, page: Page, demo_server: Server, digest: str, tmp_path: Path
) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=demo_server.url)
    page.goto(f"{demo_server.url}/compression?bundle={digest[:12]}")
    settled(page)
    expect(page.locator(".st-key-pie_counts .nsewdrag").first).to_be_visible()
    tools = page.locator(".st-key-pie_counts_tools")
    tools.get_by_role("button", name="Copy SVG").click()
    expect(tools.get_by_role("status")).to_have_text("SVG copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("<svg") and "pruned-90" in copied
    tools.get_by_role("button", name="Copy PNG").click()
    expect(tools.get_by_role("status")).to_have_text("PNG copied")
    kinds = page.evaluate("navigator.clipboard.read().then((held) => held[0].types)")
    assert kinds == ["image/png"]


def test_from_a_region_by_its_repair_to_what_got_worse(
    page: Page, demo_server: Server, tmp_path: Path
) -> None:
    (tmp_path / "run.npz").write_bytes(npz(**one_run(1)))
    digest = import_bundle(tmp_path / "run.npz", home=demo_server.home, name="run 1").digest
    page.goto(f"{demo_server.url}/spotlights?bundle={digest[:12]}")
    expect(page.locator(".st-key-group_list [data-testid=stRadioOption]").first).to_be_visible()
    page.get_by_role("link", name="Repair", exact=True).click()
    keep = page.get_by_role("button", name="Keep the repaired answers as a bundle")
    expect(keep).to_be_visible()
    settled(page)
    keep.click()
    page.get_by_role("link", name="What got worse").click()
    expect(page.get_by_role("heading", name="What did a new run change?")).to_be_visible()
    expect(page.get_by_text(re.compile("fail newly, .* are repaired"))).to_be_visible()
    page.get_by_role("button", name=re.compile("Links")).click()
    expect(page.get_by_text("linked by the bundle itself")).to_be_visible()
    page.keyboard.press("Escape")
    newly = page.get_by_text(re.compile("^Newly failing"))
    count = int(re.sub(r"\D", "", newly.inner_text()))
    newly.click()
    expect(page.get_by_role("button", name=f"Tag newly failing · {count}")).to_be_visible()
    page.locator(".st-key-group_views").get_by_text("Members", exact=True).click()
    expect(page.locator(".st-key-gallery .tile").first).to_be_visible()
