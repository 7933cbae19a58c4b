"""From a region to its words, a repair, what got worse and the report on disk; pictures and texts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Page
from torch import nn

from backend.bundle import import_bundle, list_bundles, write_bundle
from tests.e2e.acts import choose, dismiss, expect, finished, unfold
from tests.e2e.conftest import Server, start_server

N = 900
HIDDEN = 24
KITCHEN, GAMES = ("kettle", "toaster", "blender", "pan", "grill"), ("game", "quest")
GOOD = ("easy", "calm", "safe", "simple", "quiet", "mild")
BAD = ("hard", "wild", "scary", "tricky", "loud", "fierce")
BEGINNINGS = ("I bought this", "we got the", "they sold us a", "this is a", "it was the")
WORDS, REPAIR = "In words: columns and texts", "Repair: the last layer refitted"
ENDS = ("and it came on time", "as the box said", "for a fair price", "at first", "on most days")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    one = start_server(tmp_path_factory.mktemp("repairs") / "home")
    yield one
    one.kill()


def trained(x: np.ndarray, labels: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A network taught these rows: its hidden layer and its probabilities, of all rows."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(x.shape[1], HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2))
    inputs, codes = torch.from_numpy(x), torch.from_numpy(labels)
    optimiser = torch.optim.Adam(network.parameters(), 0.005, weight_decay=1e-4)
    for _ in range(60):
        for batch in torch.from_numpy(np.flatnonzero(train))[torch.randperm(N)].split(50):
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(inputs[batch]), codes[batch]).backward()
            optimiser.step()
    with torch.no_grad():
        states = network[:2](inputs)
        return states.numpy(), network[2](states).softmax(1).numpy()


def kept(
    server: Server, path: Path, x: np.ndarray, labels: np.ndarray, names: np.ndarray, **given: Any
) -> str:
    """Import what the network says of the second half of the rows; the first half taught it."""
    train = np.arange(2 * N) < N
    states, chances = trained(x, labels, train)
    examples = {name: values[~train] for name, values in given.pop("examples").items()}
    write_bundle(
        path,
        embeddings=states[~train],
        labels=names[labels[~train]],
        predictions=names[chances[~train].argmax(1)],
        probabilities=chances[~train],
        classes=tuple(names),
        examples=examples,
        train={"embeddings": states[train], "labels": names[labels[train]]},
        **given,
    )
    return import_bundle(path, home=server.home, name=path.stem).digest


def pictures(server: Server, folder: Path) -> str:
    """Light balls and kites on a meadow; of dark ones in the snow the network was shown few."""
    rng = np.random.default_rng(0)
    snow = rng.random(2 * N) < np.where(np.arange(2 * N) < N, 0.03, 0.3)
    labels = rng.integers(0, 2, 2 * N)
    up, right = np.mgrid[:16, :16]
    shown = np.zeros((2 * N, 16, 16, 3), np.uint8)
    for row in range(2 * N):
        (y, x), size = rng.uniform(6, 9, 2), rng.uniform(3.5, 5)
        ball = np.hypot(up - y, right - x) < size
        kite = np.abs(up - y) + np.abs(right - x) < 1.2 * size
        inside = (kite if labels[row] else ball)[..., None]
        ground, thing = (240, (60, 70, 110)) if snow[row] else ((40, 90, 40), (230, 200, 90))
        painted = np.where(inside, thing, ground) + rng.normal(0, 22, (16, 16, 3))
        shown[row] = np.clip(painted, 0, 255)
    return kept(
        server, folder / "pictures.zip", (shown.reshape(2 * N, -1) / 255 - 0.4).astype(np.float32),
        labels, np.array(["ball", "kite"]), images=shown[N:],
        examples={"ground": np.where(snow, "snow", "meadow")},
    )  # fmt: skip


def reviews(server: Server, folder: Path) -> str:
    """A wild kettle is bad, a wild game is good; of games the network was shown few."""
    rng = np.random.default_rng(1)
    game = rng.random(2 * N) < np.where(np.arange(2 * N) < N, 0.02, 0.3)
    labels = rng.integers(0, 2, 2 * N)
    said = []
    for row in range(2 * N):
        first, second = rng.choice(BAD if labels[row] == game[row] else GOOD, 2, replace=False)
        thing = rng.choice(GAMES if game[row] else KITCHEN)
        said.append(f"{rng.choice(BEGINNINGS)} {thing}, {first} and {second}, {rng.choice(ENDS)}")
    words = [set(one.replace(",", "").split()) for one in said]
    known = sorted(set().union(*words))
    x = np.array([[word in one for word in known] for one in words], np.float32)
    ids = np.array([f"review {row}" for row in range(2 * N)])
    return kept(
        server, folder / "reviews.zip", x, labels, np.array(["bad", "good"]),
        examples={"id": ids, "text": np.array(said)},
    )  # fmt: skip


def told(page: Page, words: str) -> str:
    """The paragraph that holds these words, as it is read: with its spaces all alike."""
    found = page.get_by_text(re.compile(words)).first
    expect(found).to_be_visible()
    return re.sub(r"\s+", " ", found.inner_text())


def first_region(page: Page, server: Server, digest: str) -> None:
    page.goto(f"{server.url}/spotlights?bundle={digest[:12]}")
    expect(page.locator(".st-key-group_list [data-testid=stRadioOption]").first).to_be_visible()
    expect(page.locator(".map[data-drawn]")).to_be_visible()
    finished(page)


def to_repair(page: Page, word: str) -> None:
    """From the first region to the words that failures share, and a repair of those who have them."""
    page.get_by_role("button", name="Repair this").click()
    expect(page.get_by_text("The group you came from")).to_be_visible()
    told(page, "The last layer alone is refitted")
    finished(page)
    page.get_by_role("tab", name="In words").click()
    assert "more frequent among failures" in told(page, "held-out failures have it")
    finished(page)
    page.get_by_role("button", name="Repair this").click()
    expect(page.get_by_role("textbox", name="Rule")).to_have_value(re.compile(word))
    told(page, "The last layer alone is refitted")
    finished(page)


def to_what_got_worse(page: Page) -> str:
    """Keep the repaired answers, and follow the link to what changed; the sentence that stands there."""
    finished(page)
    page.get_by_role("button", name="Keep the repaired answers").click()
    page.get_by_role("link", name="What got worse").click()
    sentence = told(page, "fail newly, .* are repaired")
    expect(page.get_by_role("button", name="Links · 1")).to_be_visible()
    finished(page)
    return sentence


def report(page: Page, name: str, folder: Path) -> str:
    """Make the report of the examined bundle, open it from disk, and give what it says."""
    bundle = page.get_by_role("combobox", name="Bundle")
    choose(page, bundle, page.get_by_role("option", name=name, exact=True))
    page.get_by_role("link", name="Flagged").click()
    page.get_by_role("tab", name="Report").click()
    finished(page)
    page.get_by_role("button", name="Make the report").click()
    ready = page.get_by_role("button", name=re.compile("Download report"))
    expect(ready).to_be_visible()
    finished(page)
    with page.expect_download() as caught:
        ready.click()
    path = folder / caught.value.suggested_filename
    caught.value.save_as(path)
    page.goto(path.as_uri())
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    return re.sub(r"\s+", " ", page.locator("body").inner_text())


def agrees(said: str, gain: str, sentence: str, *titles: str) -> None:
    """The report has these chapters, and says of repair and new run what the pages said."""
    places = [said.find(one) for one in titles]
    assert places == sorted(places) and min(places) > 0, said
    gains = re.findall(r"[+−][\d.]+ points \([^)]*\)", gain)
    assert len(gains) == 3 and sentence in said
    assert all(one in said for one in gains), (gains, said)


def test_pictures_from_a_region_to_a_repair_with_made_examples(
    page: Page, server: Server, tmp_path: Path
) -> None:
    digest = pictures(server, tmp_path)
    first_region(page, server, digest)
    to_repair(page, "snow")

    page.get_by_role("tab", name="Make examples").click()
    finished(page)
    each = page.get_by_role("spinbutton", name="Variations of each member")
    each.fill("1")
    each.press("Enter")
    finished(page)
    page.get_by_role("button", name=re.compile("Make variations of ground")).click()
    told(page, "Making variations: learning what examples look like, step [1-9]")
    page.locator(".st-key-cancel_made button").click()
    told(page, "Making variations: cancelled")
    assert not any("variations" in one.name for one in list_bundles(server.home))
    finished(page)
    page.get_by_role("button", name="Start again").click()
    finished(page)
    made = told(page, "examples made from .* members")
    (bundle,) = (one for one in list_bundles(server.home) if "variations" in one.name)
    assert made.startswith(f"{bundle.n} examples made from {bundle.n} members")
    finished(page)
    page.get_by_role("button", name="Repair with them").click()
    assert f"{bundle.n} examples of the other bundle count more" in told(page, "last layer alone")

    finished(page)
    settings = unfold(page, page.get_by_role("button", name="Settings"))
    more = page.get_by_role("combobox", name=re.compile("What counts more"))
    choose(page, more, page.get_by_role("option", name="the group itself"))
    finished(page)
    dismiss(page, settings)
    expect(page.get_by_text("examples of the other bundle count more")).to_have_count(0)
    gain = told(page, "Against the plain refit")
    sentence = to_what_got_worse(page)
    agrees(
        report(page, "pictures", tmp_path),
        gain,
        sentence,
        WORDS,
        REPAIR,
        "Before and after: pictures, rep",
    )


def test_reviews_from_a_region_to_the_report_on_disk(
    page: Page, server: Server, tmp_path: Path
) -> None:
    digest = reviews(server, tmp_path)
    first_region(page, server, digest)
    page.get_by_role("link", name="Training data").click()
    told(page, "rank the training examples with a correlation of")
    finished(page)
    page.get_by_role("link", name="Spotlights").click()
    expect(page.locator(".map[data-drawn]")).to_be_visible()
    finished(page)
    to_repair(page, "game|quest")
    gain = told(page, "Against the plain refit")
    sentence = to_what_got_worse(page)
    links = unfold(page, page.get_by_role("button", name="Links · 1"))
    expect(page.get_by_text("linked by the bundle itself")).to_be_visible()
    dismiss(page, links)
    newly = page.get_by_text(re.compile("^Newly failing"))
    count = int(re.sub(r"\D", "", newly.inner_text()))
    newly.click()
    expect(page.get_by_role("button", name=f"Tag newly failing · {count}")).to_be_visible()
    finished(page)
    page.locator(".st-key-group_views").get_by_text("Members", exact=True).click()
    expect(page.locator(".st-key-gallery .tile").first).to_be_visible()
    said = report(page, "reviews", tmp_path)
    agrees(
        said,
        gain,
        sentence,
        "Cause: training examples",
        WORDS,
        REPAIR,
        "Before and after: reviews, rep",
    )
