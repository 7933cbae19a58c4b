"""Looking and tagging with the keyboard alone, in a real browser."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import BrowserContext, FileChooser, Locator, Page, Request

from backend.bundle import import_bundle, open_bundle
from backend.export import read_export
from backend.store import Event, Store
from tests.bundles import npz, planted
from tests.e2e.acts import (
    again,
    dismiss,
    expect,
    finished,
    is_unfolded,
    press,
    settled,
    tab_to,
    type_tag,
    unfold,
)
from tests.e2e.conftest import PROJECT, Server, start_server

N = 600
HARDEST = 120  # what the page shows at 20 %
HOSTILE = (
    "<img src=http://evil.invalid/a.png onerror=alert(1)>",
    "<script>alert(1)</script>",
    "![x](http://evil.invalid/b.png)",
    "=HYPERLINK(http://evil.invalid/c)",
)


def prepared(home: Path, seed: int, **more: np.ndarray) -> tuple[str, list[str]]:
    """Import a bundle of its own for each seed: its digest, and its ids from the highest loss down."""
    home.mkdir(parents=True, exist_ok=True)
    fields = planted(N, 4, seed=seed, share=0.2)
    fields.pop("planted")
    path = home.parent / f"bundle-{seed}.npz"
    path.write_bytes(npz(**(fields | more)))
    bundle = import_bundle(path, home=home)
    order = np.argsort(-fields["losses"], kind="stable")
    return bundle.digest, bundle.ids[order].tolist()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that do not end it; each has a bundle of its own."""
    home = tmp_path_factory.mktemp("keyboard") / "home"
    prepared(home, 0)  # else it would open the demo first
    one = start_server(home)
    yield one
    one.kill()


def opened(page: Page, server: Server, digest: str) -> Locator:
    """The hardest examples; returns their tiles."""
    page.goto(f"{server.url}/hardest?bundle={digest[:12]}&quantile=20.0")
    tiles = page.locator(".st-key-gallery .tile")
    expect(tiles).to_have_count(48)
    finished(page)
    return tiles


def name_key_one(page: Page, name: str) -> None:
    """Type a tag's name into the tag box: it takes the first free digit."""
    type_tag(page, name)
    expect(page.locator(".st-key-gallery_keys .key").filter(has_text=name)).to_be_visible()


def saved(page: Page) -> None:
    """Wait until every keystroke is acknowledged."""
    expect(page.locator(".st-key-gallery_keys .status")).to_have_attribute("data-pending", "0")


def log_of(home: Path, digest: str) -> list[Event]:
    """Every change, oldest first, as another process reads it; what authors set for themselves is none."""
    with closing(Store(home=home)) as store:
        return [event for event in reversed(store.events(digest)) if event.kind != "setting"]


def test_a_hundred_examples_at_ten_keys_a_second(page: Page, server: Server) -> None:
    digest, ids = prepared(server.home, 1)
    tiles = opened(page, server, digest)
    name_key_one(page, "blurry")
    tiles.first.focus()
    page.keyboard.type("1" * 100, delay=100)  # over two page turns
    expect(tiles.nth(4)).to_be_focused()  # keys typed ahead of a page wait for it
    saved(page)
    events = log_of(server.home, digest)
    assert [event.kind for event in events] == ["tag"] * 100
    assert [event.ids for event in events] == [(one,) for one in ids[:100]]

    page.keyboard.type("u" * 10, delay=100)
    saved(page)
    with closing(Store(home=server.home)) as store:
        assert store.tag_counts(digest) == {"blurry": 90}
    page.keyboard.press("PageUp")
    expect(page.locator(".st-key-gallery_controls")).to_contain_text("49–96 of 120")
    expect(page.locator(".st-key-gallery .tag")).to_have_count(90 - 48)


def test_a_server_that_dies_under_the_keys_loses_and_doubles_nothing(
    page: Page, serve: Callable[..., Server], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    digest, ids = prepared(home, 2)
    server = serve()
    tiles = opened(page, server, digest)
    name_key_one(page, "blurry")
    tiles.first.focus()
    page.keyboard.type("1" * 10, delay=60)
    server.kill()
    page.keyboard.type("1" * 10, delay=30)  # nobody hears these yet
    with server.log.open("ab") as sink:
        server.process = subprocess.Popen(
            server.process.args,
            cwd=PROJECT,
            env={**os.environ, "ERRORSCOPE_HOME": str(home)},
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    saved(page)
    assert [event.ids for event in log_of(home, digest)] == [(one,) for one in ids[:20]]
    server.kill()


def test_arrows_move_space_picks_shift_extends(page: Page, server: Server) -> None:
    digest, _ = prepared(server.home, 0)
    tiles = opened(page, server, digest)
    picked = page.locator(".st-key-gallery .tile.picked")
    tiles.first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(tiles.nth(2)).to_be_focused()
    page.keyboard.press("Space")
    expect(tiles.nth(2)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowLeft")
    expect(picked).to_have_count(2)
    expect(page.get_by_role("button", name=re.compile("Tag picked · 2"))).to_be_visible()
    page.keyboard.press("Home")
    expect(tiles.first).to_be_focused()
    page.keyboard.press("End")
    expect(tiles.nth(47)).to_be_focused()
    page.keyboard.press("Escape")
    expect(picked).to_have_count(0)
    expect(page.get_by_role("button", name=re.compile("Tag picked"))).to_have_count(0)


def test_the_sheet_opens_and_closes_and_focus_comes_back(page: Page, server: Server) -> None:
    digest, _ = prepared(server.home, 0)
    tiles = opened(page, server, digest)
    sheet = page.get_by_role("dialog", name="Keys")
    press(page, tiles.nth(3), "?", sheet)
    expect(sheet).to_contain_text("tag and go on")
    dismiss(page, sheet)
    expect(tiles.nth(3)).to_be_focused()


def test_a_free_digit_asks_for_a_name_and_the_tag_box_leads_back(
    page: Page, server: Server
) -> None:
    digest, ids = prepared(server.home, 9)
    tiles = opened(page, server, digest)
    namer = page.get_by_role("dialog", name="Name the tag of key 4")
    press(page, tiles.nth(2), "4", namer)
    expect(namer).to_contain_text("Key 4 has no tag yet")
    page.keyboard.type("blurred 4u?")
    page.keyboard.press("Enter")
    expect(namer).to_be_hidden()
    expect(tiles.nth(3)).to_be_focused()
    page.keyboard.press("4")  # at once, whatever the server has heard
    expect(tiles.nth(4)).to_be_focused()
    page.keyboard.press("5")
    page.keyboard.press("Escape")
    expect(tiles.nth(4)).to_be_focused()
    page.keyboard.press("t")
    page.keyboard.type("an earlier name")
    page.keyboard.press("Enter")
    expect(tiles.nth(4)).to_be_focused()
    expect(page.locator(".st-key-gallery_keys .key")).to_have_text(
        ["1an earlier name", "4blurred 4u?"]
    )
    page.keyboard.press("1")
    page.keyboard.press("4")
    saved(page)
    assert [(event.tag, event.ids) for event in log_of(server.home, digest)] == [
        ("blurred 4u?", (ids[2],)),
        ("blurred 4u?", (ids[3],)),
        ("an earlier name", (ids[4],)),
        ("blurred 4u?", (ids[5],)),
    ]
    page.reload()
    expect(page.locator(".st-key-gallery_keys .key")).to_have_text(
        ["1an earlier name", "4blurred 4u?"]
    )


def test_what_is_typed_into_a_box_is_no_key(page: Page, server: Server) -> None:
    digest, _ = prepared(server.home, 0)
    tiles = opened(page, server, digest)
    name_key_one(page, "never set")
    tiles.first.focus()
    box = page.locator(".st-key-tag_name input")
    box.click()
    page.keyboard.type("1u21?")
    expect(box).to_have_value("1u21?")
    page.keyboard.press("Escape")
    page.locator(".st-key-gallery_keys .pager input").click()
    page.keyboard.type("1u")
    saved(page)
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    assert log_of(server.home, digest) == []


def test_one_example_is_walked_through_and_tagged(page: Page, server: Server) -> None:
    digest, ids = prepared(server.home, 3)
    tiles = opened(page, server, digest)
    name_key_one(page, "seen whole")
    item = page.get_by_role("dialog", name="Example")
    press(page, tiles.nth(1), "Enter", item)
    place = item.locator(".place")
    expect(place).to_have_text("2 of 120")
    expect(item.locator(".st-key-gallery_near .tile")).to_have_count(10)

    def walk(key: str, to: str) -> None:
        again(
            page, lambda: page.keyboard.press(key), lambda: place.inner_text() == to, f"{key}: {to}"
        )

    for number in (3, 4, 5):
        walk("ArrowRight", f"{number} of 120")
    walk("ArrowLeft", "4 of 120")
    settled(page)
    page.keyboard.press("1")
    expect(place).to_have_text("5 of 120")
    walk("ArrowLeft", "4 of 120")
    expect(item.locator(".tag")).to_have_text("seen whole")
    expect(item.locator(".events li")).to_have_count(1)
    dismiss(page, item)
    expect(tiles.nth(3).locator(".tag")).to_have_text("seen whole")
    tiles.nth(3).focus()
    page.keyboard.press("u")
    saved(page)
    expect(page.locator(".st-key-gallery .tag")).to_have_count(0)
    assert [(event.kind, event.ids) for event in log_of(server.home, digest)] == [
        ("tag", (ids[3],)),
        ("undo", ()),
    ]


def choose_by_key(page: Page, browse: Locator, path: Path) -> None:
    """Choose a file with Tab and Enter.

    A page that runs takes the focus away, or puts a button there which hears nothing yet.
    """
    choosers: list[FileChooser] = []
    page.on("filechooser", lambda chooser: choosers.append(chooser))

    def act() -> None:
        tab_to(page, browse)
        page.keyboard.press("Enter")

    again(page, act, lambda: bool(choosers), "Enter opens a file chooser")
    choosers[0].set_files(path)


def test_a_region_is_sharpened_by_keys_and_its_export_replayed_elsewhere(
    page: Page, server: Server, tmp_path: Path
) -> None:
    """The whole way by keyboard alone, from a file to the same rows on another machine."""
    other = tmp_path / "other"
    digest, _ = prepared(other, 8)  # the other machine has the bundle; this one is given the file
    truth = planted(N, 4, seed=8, share=0.2)["planted"]
    ids = open_bundle(digest, other).ids.tolist()
    page.goto(f"{server.url}/bundles")
    browse = page.get_by_test_id("stFileUploader").locator("section button, button[kind]").first
    expect(browse).to_be_visible()
    choose_by_key(page, browse, tmp_path / "bundle-8.npz")
    take = page.get_by_role("button", name="Import", exact=True)
    expect(take).to_be_enabled()
    tab_to(page, take)
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("link", name="See where it fails together"))
    page.keyboard.press("Enter")
    button = page.get_by_role("button", name="Sharpen")
    expect(button).to_be_enabled()
    tab_to(page, page.locator(".st-key-group_list input").first)
    page.keyboard.press("ArrowDown")
    settled(page)
    page.keyboard.press("ArrowUp")
    settled(page)
    tab_to(page, button)
    page.keyboard.press("Enter")
    tiles = page.locator(".st-key-gallery_answers .tile")
    focused = page.locator(".st-key-gallery_answers .tile:focus")
    expect(tiles).to_have_count(10)
    assert "loss" not in tiles.first.inner_text() and "→" not in tiles.first.inner_text()
    seen: set[str] = set()
    for _ in range(3):
        expect(tiles).to_have_count(10)
        shown = [str(tile.get_attribute("data-id")) for tile in tiles.all()]
        assert not seen & set(shown)
        for example in shown:  # the keys go to the first, and from answer to answer
            page.keyboard.press("y" if truth[ids.index(example)] else "n")
        seen |= set(shown)
        gone = page.locator(f".st-key-gallery_answers .tile[data-id='{shown[0]}']")
        expect(gone).to_have_count(0)  # the next round is there, with the keys on it
        expect(focused).to_have_count(1)
    numbers = page.locator(".st-key-sharpen_numbers")
    expect(numbers).to_contain_text("30 answered examples")
    finished(page)
    page.keyboard.press("u")
    expect(numbers).to_contain_text("29 answered examples")
    expect(focused).to_have_count(1)
    finished(page)
    page.keyboard.press("Shift+U")
    expect(numbers).to_contain_text("30 answered examples")
    tab_to(page, page.locator(".st-key-sharpen_result input[type=number]"))
    page.keyboard.press("Control+a")
    page.keyboard.type("100")
    page.keyboard.press("Enter")
    keep = page.get_by_role("button", name="Tag the first 100")
    expect(keep).to_be_visible()
    tab_to(page, page.locator(".st-key-sharpen_tag input"))
    page.keyboard.type("sharp")
    page.keyboard.press("Enter")
    tab_to(page, keep)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Tagged 100 examples")).to_be_visible()
    tab_to(page, page.get_by_role("link", name="Flagged"))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("button", name="Download both"))
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    with zipfile.ZipFile(download.value.path()) as archive:
        csv, manifest = (archive.read(one) for one in sorted(archive.namelist()))
    (tmp_path / "manifest.json").write_bytes(manifest)
    command = [
        sys.executable,
        "-m",
        "backend",
        "export",
        "--replay",
        str(tmp_path / "manifest.json"),
    ]
    subprocess.run(
        [*command, "--out", str(tmp_path / "again.csv")],
        cwd=PROJECT,
        env={**os.environ, "ERRORSCOPE_HOME": str(other)},
        check=True,
        capture_output=True,
    )
    assert (tmp_path / "again.csv").read_bytes() == csv
    table = read_export(csv)
    assert len(table) == 100 and set(table["answer"]) <= {"yes", "no", ""}
    assert table["score"].notna().all()
    assert np.mean([truth[ids.index(one)] for one in table["id"]]) > 0.9


def test_two_browsers_see_the_union(context: BrowserContext, page: Page, server: Server) -> None:
    digest, ids = prepared(server.home, 4)
    other = context.new_page()
    for one, name in ((page, "mine"), (other, "theirs")):
        opened(one, server, digest)
        name_key_one(one, name)
    for one in (page, other):
        one.locator(".st-key-gallery .tile").first.focus()
    page.keyboard.type("1" * 12, delay=40)
    other.keyboard.type("1" * 12, delay=40)
    for one in (page, other):
        saved(one)
        tags = one.locator(".st-key-gallery .tile").nth(11).locator(".tag")
        expect(tags).to_have_text(["mine", "theirs"])
    # A list that is open stays so while others tag, wherever their tag stands in it.
    box, first = page.locator(".st-key-tag_name input"), page.locator(".st-key-gallery .tile").first
    again(
        page,
        lambda: box.fill("half a na"),
        lambda: is_unfolded(box),
        "the list of tags opens",
    )
    with closing(Store(home=server.home)) as store:
        assert store.tag_counts(digest) == {"mine": 12, "theirs": 12}
        store.tag(digest, ids[:1], "another", author="Bob")
    expect(first.locator(".tag")).to_have_text(["another", "mine", "theirs"])
    settled(page)
    expect(box).to_have_attribute("aria-expanded", "true")
    expect(box).to_have_value("half a na")


def test_hostile_texts_stay_text_and_fetch_nothing(page: Page, server: Server) -> None:
    ids = np.array([f"{HOSTILE[row % 4]} {row}" for row in range(N)])
    texts = np.array([f"{HOSTILE[(row + 1) % 4]} and {row}" for row in range(N)])
    columns = {"examples/id": ids, "examples/text": texts, "examples/remark": texts}
    digest, worst_first = prepared(server.home, 5, classes=np.array(HOSTILE[:3]), **columns)
    foreign: list[str] = []

    def watch(request: Request) -> None:
        if not request.url.startswith((server.url, "data:", "blob:")):
            foreign.append(request.url)

    page.on("request", watch)
    page.on("dialog", lambda dialog: foreign.append(dialog.message))
    tiles = opened(page, server, digest)
    name_key_one(page, HOSTILE[2])
    tiles.first.focus()
    page.keyboard.press("1")
    saved(page)
    expect(tiles.first.locator(".tag")).to_have_text(HOSTILE[2])
    worst = ids.tolist().index(worst_first[0])
    expect(tiles.first.locator(".text")).to_have_text(str(texts[worst]))
    assert page.locator(".st-key-gallery .tile img").count() == 0
    item = page.get_by_role("dialog", name="Example")
    press(page, tiles.first, "Enter", item)
    expect(item.locator(".whole")).to_have_text(str(texts[worst]))
    expect(item.locator(".top .id")).to_have_text(str(ids[worst]))
    expect(item.locator(".events li")).to_have_count(1)
    dismiss(page, item)
    unfold(page, page.get_by_role("button", name="History"))
    expect(page.get_by_text("tagged 1 example").first).to_be_visible()
    assert log_of(server.home, digest)[0].ids == (str(ids[worst]),)
    assert foreign == []


def test_a_page_of_tiles_is_bounded_while_paging(page: Page, server: Server) -> None:
    digest, _ = prepared(server.home, 0)
    tiles = opened(page, server, digest)
    tiles.first.focus()
    for _ in range(3):
        for to, text in (("PageDown", "49–96"), ("PageDown", "97–120")):
            page.keyboard.press(to)
            expect(page.locator(".st-key-gallery_controls")).to_contain_text(text)
        expect(tiles).to_have_count(HARDEST - 96)
        settled(page)
        page.locator(".st-key-gallery_keys .pager input").fill("1")
        page.keyboard.press("Enter")
        expect(page.locator(".st-key-gallery_controls")).to_contain_text("1–48 of 120")
        expect(tiles).to_have_count(48)
        settled(page)
        tiles.first.focus()


def test_a_rule_is_written_and_added_by_keys_alone(page: Page, server: Server) -> None:
    tones = np.array(["light", "dark", "medium brown"] * (N // 3))
    digest, _ = prepared(server.home, 77, **{"examples/skin tone": tones})
    page.goto(f"{server.url}/hardest?bundle={digest[:12]}")
    box = page.get_by_role("combobox", name="Or a rule")
    press(page, page.get_by_role("button", name="Filter").first, "Enter", box)
    finished(page)
    offered = page.locator(".st-key-filter_rule [role=option]")
    expect(box).to_be_focused()
    page.keyboard.type("sk")
    expect(offered).to_have_text(["`skin tone`"])
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.keyboard.type("= m")
    expect(offered).to_have_text(['"medium brown"'])
    page.keyboard.press("Escape")  # closes the list, not what the box stands in
    expect(offered).to_have_count(0)
    box.fill("`skin tone` = drak")
    page.keyboard.press("Enter")
    expect(page.locator(".st-key-filter_rule [role=alert]")).to_contain_text("no example has")
    expect(page.locator(".st-key-chip_switch_0")).to_have_count(0)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(box).to_have_value('`skin tone` = "dark"')
    page.keyboard.press("Enter")
    expect(page.locator(".st-key-chip_switch_0")).to_contain_text("dark")
    expect(box).to_have_value("")
    expect(page.locator(".st-key-view_bar")).to_contain_text(f"filtered {N // 3}")
