"""Every page can be read and used without a mouse and without colour: axe-core, and keys alone.

axe-core (Deque, MPL 2.0) lies beside this file as published, 4.14.1.
"""

from __future__ import annotations

import csv
import io
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, Page

from backend.bundle import import_bundle, write_bundle
from backend.store import Store
from tests.bundles import npz, picture, planted
from tests.e2e.acts import dismiss, expect, finished, press, settled, tab_to, type_tag, unfold
from tests.e2e.conftest import Server, new_context
from tests.pages.population_bundles import fields

AXE = Path(__file__).parent / "axe" / "axe.min.js"
THEIRS = {
    "color-contrast": {"label[disabled]": "the label of what is switched off is paler"},
}
"""Rule -> selector -> why: what Streamlit draws itself and gives no way to change."""
OF_COLOUR = ["color-contrast", "link-in-text-block"]
"""What a theme can change: all else is one page in both, and looked at once."""
IS_DARK = "matchMedia('(prefers-color-scheme: dark)').matches"
STYLED = (
    "[...document.querySelectorAll('style')].some((one) => one.textContent.includes('bundle_bar'))"
)
FIND = """
async ([theirs, rules]) => {
  const pause = () => new Promise((done) => setTimeout(done, 50));
  // What a part of the page is about to draw anew is pale meanwhile.
  for (let n = 0; n < 200 && document.querySelector("[data-stale=true]"); n++) await pause();
  const moving = document.getAnimations().filter((one) => one instanceof CSSTransition);
  const late = new Promise((done) => setTimeout(done, 5000));  // one that stands still never ends
  await Promise.race([Promise.allSettled(moving.map((one) => one.finished)), late]);
  const only = rules && { runOnly: { type: "rule", values: rules } };
  const asked = { resultTypes: ["violations"], elementRef: true, ...only };
  const found = await axe.run(document, asked);
  const told = [];
  for (const { id, impact, nodes } of found.violations) {
    if (impact !== "serious" && impact !== "critical") continue;
    for (const { element, html, any, all, none } of nodes) {
      if ((theirs[id] ?? []).some((selector) => element?.closest(selector))) continue;
      const why = [...any, ...all, ...none].map((check) => check.message).join(" ");
      const within = element?.closest("[class*=st-key-]")?.className.match(/st-key-\\S+/)?.[0];
      told.push(`${id} in ${within}: ${html.slice(0, 200)} (${why.slice(0, 200)})`);
    }
  }
  return told;
}
"""


def findings(page: Page) -> list[str]:
    """Serious and critical findings of axe-core that are ours, in the light and the dark theme.

    It begins with the theme the page has and leaves the other: what comes next is found in either.
    """
    told = []
    page.wait_for_function(STYLED)
    themes = ("dark", "light") if page.evaluate(IS_DARK) else ("light", "dark")
    for theme in themes:
        page.emulate_media(color_scheme=theme)
        expect(page.get_by_test_id("stApp")).to_have_css("color-scheme", theme)
        settled(page)
        theirs = {rule: list(those) for rule, those in THEIRS.items()}
        found = page.evaluate(FIND, [theirs, OF_COLOUR if theme == "dark" else None])
        told += [f"{theme}: {one}" for one in found]
    return told


@pytest.fixture(scope="module")
def digests(shared_server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of a bundle with pictures; of one with populations and texts; of one with tags too."""
    path = tmp_path_factory.mktemp("pictured") / "bundle"
    given = planted(300, 6, seed=2)
    given.pop("planted")
    columns = pd.DataFrame({"place": ["near", "far", "far"] * 100, "size": np.arange(300.0)})
    write_bundle(path, **given, images=[picture(at) for at in range(300)], examples=columns)
    made = {"pictured": import_bundle(path, home=shared_server.home).digest}
    for name, seed in (("plain", 0), ("tagged", 1)):
        path = tmp_path_factory.mktemp(name) / f"{name}.npz"
        given = fields(400, models=5, seed=seed)
        words = [f"a {place} one" for place in given["examples/place"]]
        given |= {f"msp/{one}": epochs(seed, 400) for one in ("none", "targeted")}
        path.write_bytes(npz(**given, **{"examples/text": words}))
        made[name] = import_bundle(path, home=shared_server.home).digest
    with closing(Store(home=shared_server.home)) as store:
        store.tag(made["tagged"], [str(at) for at in range(40)], "far ones", author="Ada")
    return made


def epochs(seed: int, n: int) -> np.ndarray:
    """Confidence in the label of each example, rising over five epochs."""
    return np.sort(np.random.default_rng(seed).random((n, 5)), axis=1)


@pytest.fixture
def looked(browser: Browser) -> Any:
    """A page with axe-core in it."""
    context = new_context(browser)
    context.add_init_script(path=AXE)
    yield context.new_page()
    context.close()


def test_the_main_page_and_its_views(
    looked: Page, shared_server: Server, digests: dict[str, str]
) -> None:
    looked.goto(f"{shared_server.url}/spotlights?bundle={digests['pictured'][:12]}&view=Members")
    expect(looked.locator(".map[data-drawn]")).to_be_visible()
    tiles = looked.locator(".st-key-gallery .tile")
    expect(tiles.first).to_be_visible()
    told = {"Members": findings(looked)}
    views = looked.locator(".st-key-view")
    for name, shows in VIEWS.items():
        views.get_by_text(name, exact=True).click()
        expect(looked.locator(shows).first).to_be_visible()
        told[name] = findings(looked)
    views.get_by_text("Members", exact=True).click()
    expect(tiles.first).to_be_visible()
    sheet = looked.get_by_role("dialog")
    press(looked, tiles.first, "Enter", sheet)
    expect(looked.locator(".st-key-gallery_near .tile")).to_have_count(10)
    told["Example"] = findings(looked)
    dismiss(looked, sheet)
    for name in POPOVERS:
        bar = looked.locator(".st-key-view_bar")
        folded = bar.get_by_test_id("stPopoverButton").filter(has_text=name).first
        body = unfold(looked, folded)
        told[name] = findings(looked)
        dismiss(looked, body)
    assert not any(told.values()), listed(told)


VIEWS = {
    "Side by side": "[class*=st-key-strip_] .tile",
    "Table": "[class*=st-key-table_] canvas",
    "Columns": "text=columns looked at",
    "What differs": "text=columns differ at an",
    "Breakdown": "[class*=st-key-brush_] .nsewdrag",
    "Is it real?": "text=kept aside before anything",
    "Other methods": ".st-key-ask_methods",
}
POPOVERS = ("Filter", "Views")
ALL = ("",)
PAGES: dict[str, dict[str, tuple[str, ...]]] = {
    "hardest": {"": ALL},
    "bundles": {"": ()},
    "compression": {"": ALL},
    "subgroups": {"": ("One table", "Worst group", "Thresholds"), "&audit=target": ()},
    "stress": {"": ALL},
    "repair": {"&repair=worst": (), "&repair_part=In words": ("Make examples",)},
    "training_data": {"": (), "&about=pseudo": (), "&about=groups&training_part=Removal": ()},
    "before_after": {"": ()},
    "flagged": {"": ALL},
}
"""Page -> what its address says -> tabs that are looked at beside the one which is open then."""


def listed(told: dict[str, list[str]]) -> str:
    return "\n".join(f"{name}: {one}" for name, those in told.items() for one in sorted(set(those)))


@pytest.mark.parametrize("name", PAGES)
def test_the_other_pages(
    looked: Page, shared_server: Server, digests: dict[str, str], name: str
) -> None:
    told = {}
    digest = digests["tagged" if name == "flagged" else "plain"]
    for more, wanted in PAGES[name].items():
        looked.goto(f"{shared_server.url}/{name}?bundle={digest[:12]}{more}")
        expect(looked.locator(".stMainBlockContainer h2").first).to_be_visible()
        finished(looked)
        told[more] = findings(looked)
        for tab in looked.get_by_role("tab", selected=False).all_inner_texts():
            if wanted is ALL or tab in wanted:
                one = looked.get_by_role("tab", name=tab, exact=True)
                one.click()
                expect(one).to_have_attribute("aria-selected", "true")
                finished(looked)
                told[f"{more} {tab}"] = findings(looked)
    assert not any(told.values()), listed(told)


# --- without a mouse ------------------------------------------------------------------------------


def test_a_region_is_chosen_tagged_and_taken_along_by_keys_alone(
    page: Page, shared_server: Server, tmp_path: Path
) -> None:
    given = planted(400, 2, seed=11)
    given.pop("planted")
    (tmp_path / "run.npz").write_bytes(npz(**given))
    digest = import_bundle(tmp_path / "run.npz", home=shared_server.home).digest
    page.goto(f"{shared_server.url}/spotlights?bundle={digest[:12]}&search=spotlights")
    regions = page.locator(".st-key-group_list [role=radiogroup]")
    options = regions.get_by_role("radio")
    expect(options).to_have_count(7)
    expect(page.locator(".st-key-gallery .tile").first).to_be_visible()
    tab_to(page, regions)
    page.keyboard.press("ArrowDown")
    expect(options.nth(1)).to_be_checked()
    button = page.get_by_role("button", name=re.compile("Tag group 2"))
    expect(button).to_be_visible()
    settled(page)
    members = int(re.sub(r"\D", "", button.inner_text().rpartition("·")[2]))
    type_tag(page, "by keys", by_keys=True)
    tab_to(page, button)
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("stToast").filter(has_text="“by keys”").first).to_be_visible()
    with closing(Store(home=shared_server.home)) as store:
        tags = store.tags(digest)
    assert set(tags["tag"]) == {"by keys"} and len(tags) == members

    tab_to(page, page.get_by_role("link", name="Flagged"), key="Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("rows: one per example and tag")).to_be_visible()
    tab_to(page, page.get_by_role("button", name="Download tagged"))
    with page.expect_download() as caught:
        page.keyboard.press("Space")
    rows = list(csv.DictReader(io.StringIO(Path(caught.value.path()).read_text("utf-8-sig"))))
    assert sorted(row["id"] for row in rows) == sorted(tags["id"])
    assert {row["tag"] for row in rows} == {"by keys"}
