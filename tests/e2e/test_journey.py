"""The main job in a real browser: upload, look, tag, draw, undo, take the CSV."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page

from backend.bundle import import_bundle, list_bundles
from backend.core.parts import kept_aside
from backend.store import Store
from tests.bundles import npz, planted
from tests.e2e.acts import expect, finished, settled, type_tag, unfold
from tests.e2e.conftest import Server, new_context, small_bundle, start_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that do not end it, without a bundle in the beginning."""
    one = start_server(tmp_path_factory.mktemp("journey") / "home")
    yield one
    one.kill()


@pytest.fixture(scope="module")
def slow(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a search for which Adam needs minutes."""
    fields = planted(20_000, 128)
    fields.pop("planted")
    path = tmp_path_factory.mktemp("bundle") / "large.npz"
    path.write_bytes(npz(**fields))
    digest = import_bundle(path, home=server.home).digest[:12]
    return f"{server.url}/spotlights?bundle={digest}&search=spotlights&solver=adam&regions=12"


def bundle_bytes(seed: int = 3) -> tuple[dict[str, np.ndarray], bytes]:
    fields = planted(600, 2, seed=seed, share=0.08)
    fields.pop("planted")
    ids = np.array([f"shot-{row:03d}" for row in range(600)])
    remarks = np.array(["=1+1" if row % 7 == 0 else f"remark {row}" for row in range(600)])
    columns = {"examples/id": ids, "examples/remark": remarks}
    return fields | {"ids": ids, "remarks": remarks}, npz(**fields, **columns)


def upload(page: Page, server: Server, name: str, content: bytes) -> None:
    page.goto(f"{server.url}/bundles")
    settled(page)
    page.get_by_test_id("stFileUploader").locator("input[type=file]").set_input_files(
        {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    )
    take = page.get_by_role("button", name="Import", exact=True)
    expect(take).to_be_enabled()
    settled(page)
    take.click()


def imported(page: Page) -> None:
    expect(page.get_by_test_id("stToast").filter(has_text="imported and open")).to_be_visible()
    finished(page)  # a click beside the toast still says that the bundle before is open


def tag(page: Page, name: str, button: str) -> None:
    """Type a tag's name and press the button that sets it; wait until it is acknowledged."""
    type_tag(page, name)
    page.get_by_role("button", name=re.compile(f"^(sell )?{button}")).click()
    expect(page.get_by_test_id("stToast").filter(has_text=f"“{name}”").first).to_be_visible()


def draw_box(page: Page, fractions: tuple[float, float, float, float]) -> None:
    """Drag a box over this part of the map: left, top, right, bottom in shares of its size."""
    finished(page)
    page.locator("[data-tool=box]").click()
    area = page.locator(".overlay").bounding_box()
    assert area is not None
    left, top, right, bottom = fractions
    page.mouse.move(area["x"] + left * area["width"], area["y"] + top * area["height"])
    page.mouse.down()
    page.mouse.move(area["x"] + right * area["width"], area["y"] + bottom * area["height"], steps=8)
    page.mouse.up()


def open_spotlights(page: Page) -> None:
    """The main page with the published method's five regions, and what they stand beside."""
    page.get_by_role("link", name="Spotlights").click()
    expect(page.get_by_role("radio").first).to_be_attached()
    settled(page)
    page.locator(".st-key-search").get_by_text("Spotlights", exact=True).click()
    expect(page.locator(".st-key-group_list [data-testid=stRadioOption]")).to_have_count(7)
    expect(page).to_have_url(re.compile("search=spotlights"))
    finished(page)


def download(page: Page, button: str) -> bytes:
    settled(page)
    with page.expect_download() as caught:
        page.get_by_role("button", name=re.compile(button)).click()
    return Path(caught.value.path()).read_bytes()


def test_upload_look_tag_draw_undo_and_export(page: Page, server: Server) -> None:
    fields, content = bundle_bytes()
    upload(page, server, "my run.npz", content)
    imported(page)
    # The first page of a fresh installation opens the demo by itself.
    assert {info.name for info in list_bundles(server.home)} == {"fashion-mnist test", "my run"}

    open_spotlights(page)
    expect(page.locator(".map[data-drawn]")).to_be_visible()
    tag(page, "first region", "Tag group 1")

    draw_box(page, (0.02, 0.2, 0.6, 0.9))
    expect(page.get_by_role("button", name=re.compile("Tag group S"))).to_be_visible()
    tag(page, "=drawn", "Tag group S")
    tag(page, "mistake", "Tag group S")
    settled(page)
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_test_id("stToast").filter(has_text="undid").first).to_be_visible()

    page.get_by_role("link", name="Flagged").click()
    expect(page.get_by_text("rows: one per example and tag")).to_be_visible()
    manifest = json.loads(download(page, "Download manifest"))
    rows = list(csv.DictReader(io.StringIO(download(page, "Download tagged").decode("utf-8-sig"))))

    expected = oracle(fields, manifest)
    assert [list(row.values()) for row in rows] == expected
    assert {row["tag"] for row in rows} == {"first region", "'=drawn"}


def test_tags_are_carried_to_a_file_that_is_imported_anew_and_taken_back_in_one_step(
    page: Page, shared_server: Server
) -> None:
    fields, content = bundle_bytes()
    upload(page, shared_server, "measured.npz", content)
    imported(page)
    again = {key: value for key, value in fields.items() if key not in ("ids", "remarks")}
    columns = {"examples/id": fields["ids"]}
    with closing(Store(home=shared_server.home)) as store:
        old = next(i for i in list_bundles(shared_server.home) if i.name == "measured")
        store.tag(old.digest, ["shot-001", "shot-002"], "blurred", author="Ada")
        store.tag(old.digest, ["shot-002"], "angle", author="Ada")
        again["losses"] = again["losses"] + 1
        upload(page, shared_server, "measured anew.npz", npz(**again, **columns))
        imported(page)
        new = next(i for i in list_bundles(shared_server.home) if i.name == "measured anew")
        box = page.locator(".st-key-arrived")
        expect(box).to_contain_text("600 of these examples and 2 tags: angle, blurred")
        assert store.tag_counts(new.digest) == {}
        carry = box.get_by_role("button", name=re.compile("Carry its tags over"))
        settled(page)
        expect(carry).to_have_count(1)  # that of the run before may still stand beside it
        carry.click()
        expect(page.get_by_test_id("stToast").filter(has_text="Carried over 3")).to_be_visible()
        assert store.tag_counts(new.digest) == {"angle": 1, "blurred": 2}
        box.get_by_role("link", name=re.compile("See where it fails together")).click()
        expect(page.get_by_text("Where does the model fail together?")).to_be_visible()
        settled(page)
        page.get_by_role("button", name="Undo").click()
        expect(page.get_by_test_id("stToast").filter(has_text="undid").first).to_be_visible()
        assert store.tag_counts(new.digest) == {}
        assert store.tag_counts(old.digest) == {"angle": 1, "blurred": 2}


def oracle(fields: dict[str, np.ndarray], manifest: dict) -> list[list[str]]:
    """The rows the CSV must hold, from the arrays and the recorded center and box alone."""
    names = np.array(["cat", "dog", "cow"])
    by_tag = {event["tag"]: event for event in manifest["events"] if event["kind"] == "tag"}
    assert sorted(by_tag) == ["=drawn", "first region"]
    region = manifest["sources"][by_tag["first region"]["source"]]
    drawn = manifest["sources"][by_tag["=drawn"]["source"]]
    x = fields["embeddings"].astype(np.float64)
    distances = ((x - np.array(region["center"])) ** 2).sum(axis=1)
    weights = np.exp(-0.5 * region["precision"] * distances)
    members = np.argsort(-weights, kind="stable")[: round(weights.sum())]
    box = np.array(drawn["steps"][0]["what"]["points"])
    low, high = sorted(box[:, 0]), sorted(box[:, 1])
    # Two-dimensional embeddings are their own map.
    inside = np.flatnonzero(
        (x[:, 0] >= low[0]) & (x[:, 0] <= low[1]) & (x[:, 1] >= high[0]) & (x[:, 1] <= high[1])
    )
    assert 0 < len(inside) < 600 and 0 < len(members) < 100
    aside = kept_aside(len(x), key=manifest["bundle"]["digest"], labels=fields["labels"])
    expected = []
    for name, held in (("=drawn", inside), ("first region", members)):
        event = by_tag[name]
        for row in sorted(held):
            label, prediction = fields["labels"][row], fields["predictions"][row]
            from_region = name == "first region"
            expected.append(
                [
                    str(fields["ids"][row]),
                    name.replace("=", "'="),
                    "local",
                    event["time"],
                    f"{region['number']} {region['name']}" if from_region else "",
                    f"{weights[row]:.6g}" if from_region else "",
                    str(aside[row]),
                    repr(float(fields["losses"][row])),
                    str(names[label]),
                    str(names[prediction]),
                    str(fields["remarks"][row]).replace("=1", "'=1"),
                ]
            )
    return expected


def test_acknowledged_tags_survive_a_killed_server(
    page: Page, serve: Callable[..., Server], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    small_bundle(home)
    server = serve(home)
    _, content = bundle_bytes()
    upload(page, server, "run.npz", content)
    imported(page)
    open_spotlights(page)
    tag(page, "keep me", "Tag group 1")
    tag(page, "me too", "Tag group 1")
    server.kill()

    again = serve(home)
    page.goto(f"{again.url}/flagged")
    expect(page.get_by_text("rows: one per example and tag")).to_be_visible()
    for name in ("keep me", "me too"):
        expect(page.get_by_role("button", name=re.compile(name)).first).to_be_visible()


def test_a_refused_upload_says_why_and_leaves_nothing(page: Page, shared_server: Server) -> None:
    before = {info.digest for info in list_bundles(shared_server.home)}
    fields = planted(50, 3)
    fields.pop("planted")
    fields["losses"][7] = np.nan
    upload(page, shared_server, "bad.npz", npz(**fields))
    expect(page.get_by_text("bad.npz was not imported.")).to_be_visible()
    expect(page.get_by_text(re.compile("bad.npz, losses, row 7: 1 of 50 values"))).to_be_visible()
    settled(page)
    page.get_by_role("button", name="Remove this upload").click()
    expect(page.get_by_text("bad.npz was not imported.")).to_have_count(0)
    assert {info.digest for info in list_bundles(shared_server.home)} == before
    assert list((shared_server.home / "uploads").iterdir()) == []
    for scheme in ("dark", "light"):  # what the server colours follows the reader at once
        page.emulate_media(color_scheme=scheme)
        expect(page.locator("html")).to_have_css("color-scheme", scheme)


def test_a_region_set_aside_makes_room_for_everybody_and_is_taken_back(
    browser: Browser, page: Page, shared_server: Server
) -> None:
    random = np.random.default_rng(21)
    embeddings, losses = random.normal(size=(900, 6)), random.exponential(0.2, 900)
    for rows, axes, more in ((slice(0, 50), slice(0, 2), 2.0), (slice(50, 100), slice(3, 5), 1.5)):
        embeddings[rows, axes] += 4
        losses[rows] += more
    upload(page, shared_server, "two-failures.npz", npz(embeddings=embeddings, losses=losses))
    imported(page)
    digest = next(one for one in list_bundles(shared_server.home) if one.n == 900).digest
    address = f"{shared_server.url}/spotlights?bundle={digest[:12]}&regions=1"

    def held(seen: Page) -> Locator:
        return seen.locator(".st-key-set_aside_list")

    page.goto(address)
    offered = page.get_by_role("button", name="Set 1 aside")
    expect(offered).to_be_visible()
    named = page.locator(".st-key-group_list [data-testid=stRadioOption]").first
    finished(page)
    before = named.inner_text()
    unfold(page, offered)
    page.get_by_label("Or in your own word").fill("camera 3")
    page.get_by_label("Note").fill("mended in May")
    page.get_by_role("button", name="Set aside", exact=True).click()
    expect(page.get_by_test_id("stToast")).to_contain_text("the search goes on")
    expect(held(page)).to_contain_text("camera 3: mended in May")
    expect(held(page)).to_contain_text("local")
    expect(offered).to_be_visible()
    finished(page)
    assert named.inner_text() != before  # the other failure has its place

    with closing(new_context(browser)) as context:
        other = context.new_page()
        other.goto(address)
        expect(held(other)).to_contain_text("camera 3")
        expect(other.get_by_test_id("stRadioOption").first).to_have_text(named.inner_text())
        finished(page)
        held(page).get_by_role("button", name="Take back").click()
        expect(held(page)).to_have_count(0)
        expect(named).to_have_text(before)
        expect(held(other)).to_have_count(0)  # nobody reloads
        finished(page)
        page.keyboard.press("Control+z")
        expect(held(other)).to_contain_text("camera 3")
    store = Store(home=shared_server.home)
    (one,) = store.known_regions(digest)
    store.close()
    assert {int(name) for name in one.ids} & set(range(100)) and one.reason == "camera 3"


def test_a_large_upload_is_streamed_to_disk(page: Page, server: Server) -> None:
    _, content = bundle_bytes(seed=4)
    page.goto(f"{server.url}/bundles")
    settled(page)
    page.get_by_text("Larger than that: stream it to disk").click()
    settled(page)
    page.get_by_label("Large files of one bundle").set_input_files(
        {"name": "../../big run.npz", "mimeType": "application/octet-stream", "buffer": content}
    )
    imported(page)
    assert "big run" in {info.name for info in list_bundles(server.home)}
    assert list((server.home / "uploads").iterdir()) == []
    without_ticket = page.request.put(f"{server.url}/upload/guessed?name=x.npz", data=content)
    assert without_ticket.status == 403


def test_two_browsers_share_one_search(
    context: BrowserContext, page: Page, server: Server, slow: str
) -> None:
    page.goto(slow)
    job = watched_job(page)
    other = context.new_page()
    other.goto(slow)
    assert watched_job(other) == job
    assert (server.home / "cache" / ".parts" / job).is_dir()

    # The first to leave does not stop it for the other; the last one does.
    page.locator(".st-key-cancel_fit button").click()
    expect(page.get_by_text(re.compile("you stopped waiting"))).to_be_visible()
    expect(other.get_by_text(re.compile("Searching regions:"))).to_be_visible()
    other.locator(".st-key-cancel_fit button").click()
    expect(other.get_by_text(re.compile("Searching regions: cancelled"))).to_be_visible()
    expect_gone(other, server.home / "cache" / ".parts" / job)


def test_a_reload_finds_the_running_search(page: Page, slow: str) -> None:
    page.goto(slow)
    job = watched_job(page)
    page.reload()
    assert watched_job(page) == job  # it runs until the server is ended


def watched_job(page: Page) -> str:
    """Id of the search whose progress is on screen."""
    line = page.locator("[class*=st-key-job_]").filter(has_text="Searching regions").first
    expect(line).to_be_visible()
    names = line.evaluate("node => [...node.classList].filter(name => name.includes('job_'))")
    return str(names[0].split("job_")[1])


def expect_gone(page: Page, folder: Path) -> None:
    """The worker lets go of its scratch folder, long before its work would have ended."""
    for _ in range(300):
        if not folder.exists():
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"{folder} is still there")
