"""Filters and selections name exactly the rows they should, in links and out of them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.bundle import read_bundle, write_bundle
from backend.views import (
    MAX_INLINE,
    Drawn,
    Filter,
    Ids,
    Query,
    Scene,
    SelectionStep,
    View,
    ViewError,
    decode,
    encode,
)

N = 300


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    random = np.random.default_rng(3)
    path = write_bundle(
        tmp_path_factory.mktemp("views") / "run.npz",
        embeddings=random.normal(size=(N, 4)).astype(np.float32),
        losses=random.gamma(1.0, 1.0, N).round(3),
        labels=random.integers(0, 3, N),
        predictions=random.integers(0, 3, N),
        classes=np.array(["cat", "dog", "cow"]),
        examples=pd.DataFrame(
            {
                "id": [f"id {row}" for row in range(N)],
                "width": random.normal(size=N).round(2),
                "tone": random.choice(["dark", "light", ""], N),
            }
        ),
    )
    points = random.normal(size=(N, 2)).astype(np.float32)
    tags = pd.DataFrame({"id": ["id 3", "id 200"], "tag": ["odd", "odd"]})
    return Scene(read_bundle(path), tags, lambda name: ("k1", points) if name == "PCA" else None)


def winding_inside(points, corners):
    """Even-odd rule by counting crossings of a ray, one point at a time, in plain floats."""
    found = np.zeros(len(points), dtype=bool)
    for at, (x, y) in enumerate(points.astype(float).tolist()):
        crossings = 0
        for (x1, y1), (x2, y2) in zip(corners, corners[1:] + corners[:1], strict=True):
            if (y1 <= y < y2) or (y2 <= y < y1):
                crossings += x < x1 + (y - y1) * (x2 - x1) / (y2 - y1)
        found[at] = crossings % 2 == 1
    return found


def random_query(random, bundle):
    """A rule, and its mask made without the rule language."""
    names = np.asarray(bundle.class_names)
    width = bundle.examples["width"].to_numpy()
    tone = bundle.examples["tone"].fillna("").to_numpy(dtype=str)
    cut = round(float(random.gamma(1.0, 1.0)), 3)
    low, high = sorted(random.normal(size=2).round(2))
    name = str(random.choice(names))
    return [
        (f"loss > {cut}", bundle.losses > cut),
        (f"label = {name} and prediction != {name}",
         (names[bundle.label_codes] == name) & (names[bundle.prediction_codes] != name)),
        (f"width between {low} and {high}", (width >= low) & (width <= high)),
        ("tone = dark or tone = light", tone != ""),
        ("correct = no", bundle.label_codes != bundle.prediction_codes),
    ][random.integers(5)]  # fmt: skip


def random_shape(random, points):
    if random.random() < 0.5:
        (x1, x2), (y1, y2) = random.normal(size=2), random.normal(size=2)
        shape = Drawn("PCA", "k1", "box", ((x1, y1), (x2, y2)))
        held = (points[:, 0] >= min(x1, x2)) & (points[:, 0] <= max(x1, x2))
        return shape, held & (points[:, 1] >= min(y1, y2)) & (points[:, 1] <= max(y1, y2))
    corners = [tuple(map(float, one)) for one in random.normal(size=(random.integers(3, 40), 2))]
    return Drawn("PCA", "k1", "lasso", tuple(corners)), winding_inside(points, corners)


@pytest.mark.parametrize("seed", range(200))
def test_rows_equal_an_oracle(scene, seed, tmp_path):
    random = np.random.default_rng(seed)
    bundle, points = scene.bundle, scene.layouts("PCA")[1]
    view, shown, selected = View(), np.ones(N, dtype=bool), np.zeros(N, dtype=bool)
    for _ in range(random.integers(0, 4)):
        rule, mask = random_query(random, bundle)
        on = random.random() < 0.7
        if Query(rule) in [one.what for one in view.filters]:
            continue
        view = view.filtered(Query(rule)).switched(len(view.filters), on=on)
        shown &= mask | (not on)
    for _ in range(random.integers(1, 5)):
        what, mask = random_shape(random, points)
        operation = str(random.choice(["new", "add", "remove"]))
        view = view.selected(what, operation)
        if operation == "new":
            selected = mask
        else:
            selected = selected | mask if operation == "add" else selected & ~mask
    view = decode(encode(view, tmp_path), tmp_path)
    assert scene.shown(view).tolist() == shown.tolist()
    assert scene.selected(view).tolist() == (selected & shown).tolist()


def test_a_filter_switched_off_brings_back_what_it_hid(scene):
    view = View().selected(Query("loss > 0")).filtered(Query("label = cat"))
    few = scene.selected(view).sum()
    assert few == (scene.bundle.label_codes == 0).sum() < N
    assert scene.selected(view.switched(0, on=False)).sum() == N
    assert scene.selected(view.without(0)).sum() == N
    assert view.switched(0, on=False).filtered(Query("label = cat")) == view
    assert scene.selected(view.cleared()).sum() == 0


def test_tags_and_ids(scene):
    assert np.flatnonzero(scene.mask(Query("tagged odd"))).tolist() == [3, 200]
    assert np.flatnonzero(scene.mask(Ids(("id 7", "nobody", "id 1"), "two"))).tolist() == [1, 7]


def test_a_shape_holds_only_on_the_layout_it_was_drawn_on(scene):
    corners = ((0.0, 0.0), (1.0, 1.0))
    with pytest.raises(ViewError, match="another layout of the PCA map"):
        scene.mask(Drawn("PCA", "k2", "box", corners))
    with pytest.raises(ViewError, match="UMAP map, which is not laid out"):
        scene.mask(Drawn("UMAP", "k1", "box", corners))


# --- links ----------------------------------------------------------------------------------------

texts = st.text(min_size=1, max_size=30)
finite = st.floats(allow_nan=False, allow_infinity=False)
corner = st.tuples(finite, finite)
somes = st.one_of(
    texts.map(Query),
    st.builds(Ids, st.lists(texts, max_size=5).map(tuple), st.text(max_size=9)),
    st.builds(Drawn, texts, texts, st.just("box"), st.tuples(corner, corner)),
    st.builds(
        Drawn, texts, texts, st.just("lasso"),
        st.lists(corner, min_size=3, max_size=90).map(tuple),
    ),
)  # fmt: skip
views = st.builds(
    View,
    st.lists(st.builds(Filter, somes, st.booleans()), max_size=4).map(tuple),
    st.lists(
        st.builds(SelectionStep, st.sampled_from(["new", "add", "remove"]), somes), max_size=4
    ).map(tuple),
)


@settings(deadline=None, max_examples=150)
@given(view=views)
def test_a_link_opens_the_same_view(view, tmp_path_factory):
    home = tmp_path_factory.getbasetemp() / "links"
    text = encode(view, home)
    assert len(text) <= MAX_INLINE
    assert text.replace("-", "").replace("_", "").isalnum() or text == ""
    assert decode(text, home) == view


def test_a_long_view_is_kept_on_disk_and_unknown_elsewhere(tmp_path):
    random = np.random.default_rng(0)
    corners = tuple(map(tuple, random.normal(size=(500, 2)).tolist()))
    view = View().selected(Drawn("PCA", "k", "lasso", corners))
    text = encode(view, tmp_path / "here")
    assert text[0] == "k"
    assert decode(text, tmp_path / "here") == view
    assert encode(view, tmp_path / "here") == text
    assert len(list((tmp_path / "here" / "views").iterdir())) == 1
    with pytest.raises(ViewError, match="another server"):
        decode(text, tmp_path / "there")


@settings(deadline=None, max_examples=300)
@given(text=st.one_of(st.text(max_size=60), st.text("zk0123456789abcdefAB_-/.", max_size=60)))
def test_a_hostile_link_is_refused_in_words(text, tmp_path_factory):
    try:
        decode(text, tmp_path_factory.getbasetemp() / "links")
    except ViewError as error:
        assert 20 < len(str(error)) < 300


@pytest.mark.parametrize(
    "given",
    [
        [], {}, {"filters": [], "steps": 3}, {"filters": [{"what": {"rule": "a"}}], "steps": []},
        {"filters": [{"what": {"rule": ""}, "on": True}], "steps": []},
        {"filters": [{"what": {"rule": "a" * 5000}, "on": True}], "steps": []},
        {"filters": [{"what": {"rule": "a"}, "on": 1}], "steps": []},
        {"filters": [], "steps": [{"do": "drop", "what": {"rule": "a"}}]},
        {"filters": [], "steps": [{"do": "new", "what": 4}]},
        {"filters": [], "steps": [{"do": "new", "what": {"ids": "abc"}}]},
        {"filters": [], "steps": [{"do": "new", "what": {"shape": "box", "map": "m", "layout": "l",
         "points": [[0, 0], [1, float("inf")]]}}]},
        {"filters": [], "steps": [{"do": "new", "what": {"shape": "box", "map": "m", "layout": "l",
         "points": [[0, 0], [1, 1], [2, 2]]}}]},
        {"filters": [], "steps": [{"do": "new", "what": {"shape": "../x", "map": "m",
         "layout": "l", "points": [[0, 0], [1, 1]]}}]},
        {"filters": [{"what": {"rule": "a"}, "on": True}] * 41, "steps": []},
        {"filters": [{"what": {"rule": "a \ud800"}, "on": True}], "steps": []},
        {"filters": [], "steps": [{"do": "new", "what": {"shape": "box", "map": "m", "layout": "l",
         "points": [[0, 0], [1, 10**400]]}}]},
        {"filters": [], "steps": [{"do": "new", "what": {"shape": "box", "map": "m", "layout": "l",
         "points": [[0, 0], [1, float("nan")]]}}]},
    ],
)  # fmt: skip
def test_what_is_no_view_is_refused(given):
    with pytest.raises(ViewError):
        View.from_dict(given)
    # and the same through JSON, where an infinity may be spelled out
    with pytest.raises(ViewError):
        View.from_dict(json.loads(json.dumps(given)))


def test_a_selection_of_too_many_steps_is_refused():
    view = View()
    for _ in range(60):
        view = view.selected(Query("loss > 1"), "add")
    with pytest.raises(ViewError, match="at most 60 steps"):
        view.selected(Query("loss > 1"), "add")
    assert len(view.selected(Query("loss > 1")).steps) == 1


def test_the_record_of_a_tag_counts_ids_and_leaves_out_what_is_off():
    view = View().filtered(Query("loss > 1")).filtered(Query("loss > 2")).switched(1, on=False)
    told = view.selected(Ids(("a", "b"), "two")).told()
    assert told == {
        "filters": [{"what": {"rule": "loss > 1"}, "on": True}],
        "steps": [{"do": "new", "what": {"ids": 2, "name": "two"}}],
    }
