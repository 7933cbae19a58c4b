"""What is drawn on the main page holds exactly the rows that a plain computation gives."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from backend.bundle import import_bundle
from backend.store import Store
from backend.views import Query, View, encode
from tests.bundles import npz, planted
from tests.e2e.acts import choose, expect, finished, settled, type_tag
from tests.e2e.conftest import Server

N = 400
PAD = 14  # pixels left free around the map, as in camera.js
CLEAR = 0.5  # pixels between an outline and the next point, so that no rounding decides
NAMES = np.array(["cat", "dog", "cow"])
Shape = tuple[str, list[tuple[int, int]]]


@dataclass(frozen=True)
class Rows:
    """The arrays of the bundle, as they were uploaded."""

    digest: str
    xy: np.ndarray
    losses: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    width: np.ndarray

    def pixels(self, across: float, down: float) -> np.ndarray:
        """Where each point is on a map of this size."""
        low, high = self.xy.min(axis=0), self.xy.max(axis=0)
        share = (self.xy - low) / (high - low)
        share[:, 1] = 1 - share[:, 1]
        return PAD + share * (np.array([across, down]) - 2 * PAD)


# Filter as text, the same in numpy, colouring, order of the gallery, its key (low first).
CASES: tuple[tuple[str, Any, str, str, Any], ...] = (
    ("", lambda rows: np.ones(N, dtype=bool), "region", "Loss, high first", None),
    (
        "label = dog",
        lambda rows: rows.labels == "dog",
        "loss",
        "Loss, low first",
        lambda rows: rows.losses,
    ),
    (
        "loss > 0.2",
        lambda rows: rows.losses > 0.2,
        "label",
        "Id",
        lambda rows: np.array([f"item-{at:03d}" for at in range(N)]),
    ),
    (
        "width >= 0 and correct = yes",
        lambda rows: (rows.width >= 0) & (rows.labels == rows.predictions),
        "prediction",
        "In order",
        lambda rows: -rows.losses,
    ),
)


@pytest.fixture(scope="module")
def rows(shared_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    fields = planted(N, 2, seed=7, share=0.1)
    fields.pop("planted")
    width = np.round(np.random.default_rng(1).normal(size=N), 2)
    ids = np.array([f"item-{row:03d}" for row in range(N)])
    path = tmp_path_factory.mktemp("bundle") / "run.npz"
    path.write_bytes(npz(**fields, **{"examples/id": ids, "examples/width": width}))
    return Rows(
        import_bundle(path, home=shared_server.home).digest,
        fields["embeddings"].astype(np.float64),
        fields["losses"],
        NAMES[fields["labels"]],
        NAMES[fields["predictions"]],
        width,
    )


def inside(points: np.ndarray, kind: str, corners: list[tuple[int, int]]) -> np.ndarray:
    """Which points a box (borders included) or a closed outline (even-odd) holds."""
    outline = np.array(corners, dtype=float)
    if kind == "box":
        low, high = outline.min(axis=0), outline.max(axis=0)
        return np.asarray(((points >= low) & (points <= high)).all(axis=1))
    held = np.zeros(len(points), dtype=bool)
    x, y = points.T
    for (x1, y1), (x2, y2) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        if y1 != y2:
            crossed = (y1 <= y) != (y2 <= y)
            held ^= crossed & (x < x1 + (y - y1) / (y2 - y1) * (x2 - x1))
    return held


def nearest(points: np.ndarray, kind: str, corners: list[tuple[int, int]]) -> float:
    """How close a point comes to the outline, in pixels."""
    if kind == "box":
        (x1, y1), (x2, y2) = corners
        corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]
    outline = np.array(corners, dtype=float)
    closest = np.inf
    for start, end in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        along = end - start
        at = np.clip((points - start) @ along / (along @ along), 0, 1)
        apart = np.linalg.norm(points - start - at[:, None] * along, axis=1)
        closest = min(closest, float(apart.min()))
    return closest


def drawn_shape(rng: np.random.Generator, points: np.ndarray, size: tuple[float, float]) -> Shape:
    """A random box or lasso that holds some points and whose outline meets none."""
    across, down = int(size[0]), int(size[1])
    while True:
        kind = str(rng.choice(["box", "lasso"]))
        n_corners = 2 if kind == "box" else int(rng.integers(3, 8))
        # The legend and the tools lie over the right and upper edges of the map.
        x = rng.integers(20, int(0.75 * across), n_corners)
        y = rng.integers(60, down - 20, n_corners)
        corners = list(zip(x.tolist(), y.tolist(), strict=True))
        steps = np.abs(np.diff(corners + corners[:1], axis=0)).max(axis=1)
        if steps.min() < 12:
            continue
        held = inside(points, kind, corners).sum()
        if held >= 3 and nearest(points, kind, corners) > CLEAR:
            return kind, corners


def link(shared_server: Server, rows: Rows, rule: str, **more: str) -> str:
    state = {"state": encode(View().filtered(Query(rule)))} if rule else {}
    asked = {"bundle": rows.digest[:12], "view": "Members", **state, **more}
    return f"{shared_server.url}/spotlights?" + urlencode(asked)


def opened(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator(".map[data-drawn]")).to_be_visible()
    expect(page.locator(".st-key-gallery .tile").first).to_be_visible()
    finished(page)


def draw(page: Page, shape: Shape, held: str | None) -> None:
    kind, corners = shape
    tool = page.locator(f"[data-tool={kind}]")
    tool.click()
    expect(tool).to_have_attribute("aria-pressed", "true")
    box = page.locator(".overlay").bounding_box()
    assert box is not None
    if held:
        page.keyboard.down(held)
    page.mouse.move(box["x"] + corners[0][0], box["y"] + corners[0][1])
    page.mouse.down()
    for x, y in corners[1:]:
        page.mouse.move(box["x"] + x, box["y"] + y, steps=3)
    page.mouse.up()
    if held:
        page.keyboard.up(held)


def shown_ids(page: Page) -> list[str]:
    tiles = page.locator(".st-key-gallery .tile")
    return [str(one) for one in tiles.evaluate_all("all => all.map((one) => one.dataset.id)")]


def holds(page: Page, shown: np.ndarray, wanted: np.ndarray, order: np.ndarray) -> None:
    """The page counts these rows, and its gallery begins with them in this order."""
    bar = page.locator(".st-key-view_bar")
    counts = f"all {N} · filtered {shown.sum()} · selected {wanted.sum()}"
    expect(bar.get_by_text(re.compile(r"^all "))).to_have_text(counts)
    first = order[wanted[order]][:48]
    tiles = page.locator(".st-key-gallery .tile")
    expect(tiles).to_have_count(len(first))
    expect(tiles.first).to_have_attribute("data-id", f"item-{first[0]:03d}")
    expect(tiles.last).to_have_attribute("data-id", f"item-{first[-1]:03d}")
    settled(page)
    assert shown_ids(page) == [f"item-{row:03d}" for row in first]


def choose_order(page: Page, order: str) -> None:
    choose(
        page,
        page.locator(".st-key-gallery_order input"),
        page.get_by_role("option", name=order, exact=True),
    )


@pytest.mark.parametrize("case", range(len(CASES)), ids=[f"{one[2]}" for one in CASES])
def test_five_shapes_hold_the_rows_of_a_plain_computation(
    page: Page, shared_server: Server, rows: Rows, case: int
) -> None:
    rule, passing, colour, ordered_by, key = CASES[case]
    rng = np.random.default_rng(100 + case)
    shown = passing(rows)
    values = -rows.losses if key is None else key(rows)
    # Within a selection ties stay in the order of the losses.
    by_loss = np.argsort(-rows.losses, kind="stable")
    order = by_loss[np.argsort(values[by_loss], kind="stable")]
    opened(page, link(shared_server, rows, rule, colour=colour))
    overlay = page.locator(".overlay").bounding_box()
    assert overlay is not None
    size = (overlay["width"], overlay["height"])
    points = rows.pixels(*size)
    wanted = np.zeros(N, dtype=bool)
    for step, operation in enumerate(("new", "add", "remove", "new", "add")):
        before = wanted
        while True:  # an empty selection shows no group of its own
            shape = drawn_shape(rng, points, size)
            held = inside(points, *shape)
            wanted = {"new": held, "add": before | held, "remove": before & ~held}[operation]
            if (wanted & shown).any():
                break
        draw(page, shape, {"new": None, "add": "Shift", "remove": "Alt"}[operation])
        if step == 0:
            bar = page.locator(".st-key-view_bar").get_by_text(re.compile(r"^all "))
            expect(bar).to_contain_text(f"selected {(wanted & shown).sum()}")
            choose_order(page, ordered_by)
        holds(page, shown, wanted & shown, order)
    name = f"drawn {case}"
    type_tag(page, name)
    page.get_by_role("button", name=re.compile("Tag group S")).click()
    expect(page.get_by_test_id("stToast").filter(has_text=f"“{name}”").first).to_be_visible()
    with closing(Store(home=shared_server.home)) as store:
        tags = store.tags(rows.digest)
    tagged = sorted(tags.loc[tags["tag"] == name, "id"])
    assert tagged == [f"item-{row:03d}" for row in np.flatnonzero(wanted & shown)]


def test_a_link_shows_the_same_rows_to_somebody_else(
    browser: Browser, page: Page, shared_server: Server, rows: Rows
) -> None:
    opened(page, link(shared_server, rows, "width >= -0.5", colour="label"))
    size = page.locator(".overlay").bounding_box()
    assert size is not None
    points = rows.pixels(size["width"], size["height"])
    shape = drawn_shape(np.random.default_rng(5), points, (size["width"], size["height"]))
    draw(page, shape, None)
    shown = rows.width >= -0.5
    order = np.argsort(-rows.losses, kind="stable")
    wanted = inside(points, *shape) & shown
    holds(page, shown, wanted, order)
    address = page.url
    assert "state=" in address and "group=selection" in address
    clean = browser.new_context(viewport={"width": 1000, "height": 900})
    try:
        other = clean.new_page()
        opened(other, address)
        holds(other, shown, wanted, order)
        assert shown_ids(other)[:24] == shown_ids(page)[:24]
        expect(other.locator(".st-key-colour input")).to_have_value(re.compile("label"))
    finally:
        clean.close()
