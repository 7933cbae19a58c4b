"""Balls, directions, labels and spotlights, tagged, exported and replayed; who was kept aside."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from backend.bundle import import_bundle, write_bundle
from backend.cache import Cache, key_of
from backend.core.errors import InputError
from backend.core.found import FoundRegion, exact_shape, one_region, short
from backend.core.parts import bundle_aside
from backend.core.shape import Shape, cut_between
from backend.export import (
    export_flagged,
    keep_shape,
    make_shape,
    read_export,
    read_manifest,
    replay,
)
from backend.export import shapes as module
from backend.export.shapes import unpack
from backend.store import Store
from backend.tasks import complete_options, run_regions
from tests.backend.export.test_export_shapes import forged, head, kept

N, D = 3000, 9
CLASSES = ("Shirt", "Coat", "Bag")
SIZE = 40
OPTIONS = {"n_regions": 4, "seed": 0, "groups": None, "layer": "deep"}


@pytest.fixture(scope="module")
def upload(tmp_path_factory):
    """Embeddings on a grid, far from the origin: many projections differ in their last bits only."""
    random = np.random.default_rng(21)
    deep = random.integers(-3, 4, size=(N, D)) / 7 + 300
    return write_bundle(
        tmp_path_factory.mktemp("upload") / "run.npz",
        embeddings=random.normal(size=(N, 3)).astype(np.float32),
        layers={"deep": deep.astype(np.float32)},
        losses=random.gamma(2.0, 0.3, N),
        labels=random.integers(0, 3, N),
        predictions=random.integers(0, 3, N),
        classes=list(CLASSES),
        examples={
            "id": [f"e{row}" for row in range(N)],
            "patient": [f"p{row // 6}" for row in range(N)],
            "kept_aside": ["theirs"] * N,
        },
    )


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.delenv("ERRORSCOPE_DATABASE", raising=False)
    return tmp_path / "here"


@pytest.fixture
def bundle(upload, home):
    return import_bundle(upload, home)


@pytest.fixture
def store(home):
    store = Store(home=home)
    yield store
    store.close()


def search(bundle):
    """A result of four regions as the task keeps it: (arrays, meta)."""
    random = np.random.default_rng(5)
    deep = bundle.layers["deep"]
    coats = np.flatnonzero(bundle.label_names == "Coat")
    vectors = np.full((4, D), np.nan)
    vectors[1:3] = random.normal(size=(2, D))
    among = cut_between(deep, vectors[1], coats, SIZE)
    everywhere = cut_between(deep, vectors[2], None, SIZE)
    bags = np.flatnonzero(bundle.label_names == "Bag")
    nothing = np.full((3, D), np.nan)
    arrays = {
        "centers": np.vstack([np.asarray(deep[7], np.float64), nothing]),
        "precisions": np.array([2.0, np.nan, np.nan, np.nan]),
        "roots": np.stack(
            [random.normal(size=(D, 4)).astype(np.float32), *np.full((3, D, 4), np.nan)]
        ),
        "shift": np.full(D, 300.0),
        "reach": np.array(1.5),
        "vectors": vectors,
        "cuts": np.array([np.nan, among.cut, everywhere.cut, np.nan]),
    }
    facts = [
        {"kind": "ball", "labels": ["Shirt", "Bag"], "number": 2, "name": "round"},
        {"kind": "direction", "labels": ["Coat"], "number": 3, "name": "long coats"},
        {"kind": "direction", "labels": [], "number": 4, "name": ""},
        {"kind": "label", "labels": ["Bag"], "number": 1, "name": "label Bag"},
    ]
    members = {1: among.members, 2: everywhere.members, 3: bags}
    return arrays, {"regions": facts, "members": members}


def shape_of(arrays, facts, at):
    if facts["kind"] == "direction":
        return Shape.direction(arrays["vectors"][at], arrays["cuts"][at])
    return make_shape(
        arrays["centers"][at], arrays["roots"][at], shift=arrays["shift"], reach=arrays["reach"]
    )


def sources(bundle, home, key="ab" * 32):
    """The record of each region, and of a spotlight, as a tag keeps it."""
    arrays, meta = search(bundle)
    found = []
    for at, facts in enumerate(meta["regions"]):
        ball = facts["kind"] == "ball"
        record = FoundRegion(
            key=f"{key}:{at}",
            index=at,
            number=facts["number"],
            name=facts["name"],
            kind=facts["kind"],
            labels=tuple(facts["labels"]),
            layer="deep",
            method="regions",
            options=OPTIONS,
            shape="" if facts["kind"] == "label" else keep_shape(shape_of(arrays, facts, at), home),
            center=arrays["centers"][at] if ball else None,
            precision=arrays["precisions"][at] if ball else None,
            cut=float(arrays["cuts"][at]) if facts["kind"] == "direction" else None,
        )
        found.append(record.to_source())
    spotlight = FoundRegion(
        key=f"{key}:0",
        index=0,
        number=1,
        method="spotlights",
        center=np.array([0.1, 0.2, 0.3]),
        precision=np.array(0.5),
        options={"size": 0.02, "groups": "patient"},
    )
    return [*found, spotlight.to_source()]


NAMES = ["2 round", "3 long coats", "4", "1 label Bag", "1"]


@pytest.fixture
def exported(bundle, store, home, upload, tmp_path):
    """All examples tagged on every region: (export, a home with the bundle alone)."""
    for at, source in enumerate(sources(bundle, home)):
        store.tag(bundle, bundle.ids, f"on {at}", source=source)
    export = export_flagged(bundle, store)
    import_bundle(upload, tmp_path / "there")
    return export, tmp_path / "there"


def test_each_kind_has_its_weights_and_its_name(bundle, exported):
    rows = read_export(exported[0].csv)
    arrays, meta = search(bundle)
    for at, name in enumerate(NAMES):
        own = rows[rows["tag"] == f"on {at}"]
        assert own["id"].tolist() == bundle.ids.tolist()
        assert set(own["region"]) == {name}
        weights = own["weight"].to_numpy()
        if at in meta["members"]:
            assert set(weights) == {0, 1}
            assert np.flatnonzero(weights).tolist() == sorted(meta["members"][at])
    deep = np.asarray(bundle.layers["deep"], np.float64) - 300
    deep *= np.minimum(1, 1.5 / np.linalg.norm(deep, axis=1))[:, None]
    apart = (deep + 300 - arrays["centers"][0]) @ arrays["roots"][0].astype(np.float64)
    expected = np.exp(-0.5 * np.square(apart).sum(axis=1)) * (bundle.label_names != "Coat")
    ball = rows.loc[rows["tag"] == "on 0", "weight"].to_numpy()
    np.testing.assert_allclose(ball, expected, rtol=1e-5)
    d = np.square(np.asarray(bundle.embeddings, np.float64) - [0.1, 0.2, 0.3]).sum(axis=1)
    spotlight = rows.loc[rows["tag"] == "on 4", "weight"].to_numpy()
    np.testing.assert_allclose(spotlight, np.exp(-0.25 * d), rtol=1e-5)


def test_every_kind_is_replayed_elsewhere_to_the_byte(exported):
    export, there = exported
    again = replay(export.manifest_json, home=there)
    assert again.identical is True and again.csv == export.csv
    assert again.manifest == export.manifest
    assert not (there / "shapes").exists(), "the manifest carries them"


def test_the_manifest_says_what_each_region_is(exported):
    manifest = json.loads(exported[0].manifest_json)
    ball, among, everywhere, label, spotlight = manifest["sources"]
    assert "region_kind" not in ball and "region_kind" not in spotlight
    assert [one["region_kind"] for one in (among, everywhere, label)] == [
        *("direction", "direction"),
        "label",
    ]
    assert not {"center", "precision", "kernel"} & {*among, *everywhere, *label}
    assert set(manifest["shapes"]) == {ball["shape"], among["shape"], everywhere["shape"]}
    cut = unpack(among["shape"], base64.b64decode(manifest["shapes"][among["shape"]])).cut
    assert cut == among["cut"] and among["labels"] == ["Coat"]
    assert [one["number"] for one in manifest["sources"]] == [2, 3, 4, 1, 1]


def test_strokes_by_key_are_complete_without_the_long_record(bundle, store, home, tmp_path, upload):
    """A shape's name, or labels, say it all: no result of the search is needed."""
    whole = sources(bundle, home)[:4]
    for at, source in enumerate(whole):
        stroke = {"kind": "keyboard", "from": short(source)}
        assert not {"center", "precision"} & {*stroke["from"]}
        store.tag(bundle, bundle.ids, f"on {at}", source=stroke)
    export = export_flagged(bundle, store)
    for at, source in enumerate(whole):
        store.tag(bundle, bundle.ids, f"whole {at}", source=source)
    both = export_flagged(bundle, store).rows
    for at in range(4):
        by_key, by_record = (both[both["tag"] == f"{how} {at}"] for how in ("on", "whole"))
        assert by_key["weight"].tolist() == by_record["weight"].tolist()
        assert set(by_key["region"]) == {NAMES[at]}
    import_bundle(upload, tmp_path / "there")
    assert replay(export.manifest_json, home=tmp_path / "there").identical is True


def test_strokes_are_completed_from_the_kept_result_of_a_search(bundle, store, home, upload):
    """All kinds, where the stroke says no more than which region of which search."""
    arrays, meta = search(bundle)
    key = key_of("regions", bundle.digest, OPTIONS, version=8)
    Cache(home).write(key, arrays, {"regions": meta["regions"]})
    for at in range(4):
        named = {"kind": "region", "index": at, "key": f"{key}:{at}", "layer": "deep"}
        store.tag(
            bundle,
            bundle.ids,
            f"on {at}",
            source={"kind": "keyboard", "from": named | {"options": OPTIONS}},
        )
    strokes = export_flagged(bundle, store)
    other = home.parent / "other"
    elsewhere = Store(home=other)
    there = import_bundle(upload, other)
    for at, source in enumerate(sources(there, other)[:4]):
        elsewhere.tag(there, there.ids, f"on {at}", source=source)
    whole = export_flagged(there, elsewhere)
    elsewhere.close()
    assert strokes.rows["weight"].notna().all()
    assert strokes.rows["weight"].tolist() == whole.rows["weight"].tolist()
    assert set(strokes.manifest["shapes"]) == set(whole.manifest["shapes"])
    assert replay(strokes.manifest_json, home=other).identical is True
    sources_told = [source["from"] for source in strokes.manifest["sources"]]
    assert [one.get("region_kind", "ball") for one in sources_told] == [
        one["kind"] for one in meta["regions"]
    ]


def test_what_a_search_finds_leaves_as_it_was_found(tmp_path, home, store):
    """A failing label and a failing half-space of another, from search to replay."""
    random = np.random.default_rng(8)
    n, d = 5000, 128
    embeddings = (random.normal(size=(n, d)) + 50).astype(np.float16)
    labels = random.integers(0, 4, n)
    losses = random.gamma(2.0, 0.1, n)
    losses[(labels == 1) & (embeddings[:, 3] > 51.0)] += 2
    losses[labels == 2] += random.gamma(2.0, 0.6, int((labels == 2).sum()))
    upload = write_bundle(
        tmp_path / "searched.npz",
        embeddings=embeddings,
        losses=losses,
        labels=labels,
        classes=["Shirt", "Coat", "Bag", "Hat"],
    )
    bundle = import_bundle(upload, home)
    options = complete_options("regions", {"n_regions": 4})
    arrays, meta = run_regions(bundle, options, lambda *a: None, lambda *a: None)
    for at, facts in enumerate(meta["regions"]):
        part = one_region(arrays, at)
        exact = exact_shape(part, facts)
        record = FoundRegion.from_result(
            part,
            {**facts, "version": meta["version"]},
            job="ab" * 32,
            index=at,
            method="regions",
            options=options,
            shape="" if exact is None else keep_shape(exact, home),
        )
        store.tag(bundle, bundle.ids, f"on {at}", source=record.to_source())
    assert {"label", "direction"} <= {facts["kind"] for facts in meta["regions"]}
    export = export_flagged(bundle, store)
    for at, facts in enumerate(meta["regions"]):
        own = export.rows[export.rows["tag"] == f"on {at}"]
        assert own["kept_aside"].tolist() == arrays["kept_aside"].tolist()
        if facts["kind"] == "ball":
            np.testing.assert_allclose(own["weight"], arrays["weights"][at], atol=1e-5)
        else:
            members = one_region(arrays, at)["members"]
            assert np.flatnonzero(own["weight"] == 1).tolist() == sorted(members)
            assert set(own["weight"]) == {0, 1}
    import_bundle(upload, tmp_path / "there")
    again = replay(export.manifest_json, home=tmp_path / "there")
    assert again.identical is True and again.csv == export.csv


# Who was kept aside


def test_the_csv_says_who_was_kept_aside(bundle, exported):
    export, _ = exported
    rows = read_export(export.csv)
    own = list(rows.columns[:10])
    assert own[5:7] == ["weight", "kept_aside"] and rows["kept_aside"].dtype == bool
    for at in range(5):
        # The search for the spotlight kept the rows of one patient together.
        split = bundle_aside(bundle, "patient" if at == 4 else None)
        told = rows.loc[rows["tag"] == f"on {at}", "kept_aside"]
        assert told.tolist() == split.tolist()
        assert 0.25 < told.mean() < 0.4
    by_group = rows[rows["tag"] == "on 4"].groupby("patient")["kept_aside"].nunique()
    assert (by_group == 1).all()
    assert set(rows["kept_aside_user"]) == {"theirs"}
    assert b",True," in export.csv and b",False," in export.csv


def test_rows_tagged_by_hand_have_the_default_split(bundle, store):
    store.tag(bundle, bundle.ids, "by hand")
    rows = export_flagged(bundle, store).rows
    assert rows["region"].eq("").all() and rows["weight"].isna().all()
    assert rows["kept_aside"].tolist() == bundle_aside(bundle).tolist()


def test_a_column_for_groups_that_is_not_there_is_named(exported):
    export, there = exported
    manifest = json.loads(export.manifest_json)
    manifest["sources"][4]["options"]["groups"] = "hospital"
    with pytest.raises(InputError, match="hospital"):
        replay(manifest, home=there)


def test_a_replay_writes_the_columns_that_its_manifest_lists(exported):
    """Without ``kept_aside`` among them, a column of the user's may be called so."""
    export, there = exported
    manifest = json.loads(export.manifest_json)
    ours = [one for one in manifest["columns"] if one["name"] != "kept_aside"]
    old = replay(manifest | {"columns": ours}, home=there)
    names = list(old.rows.columns)
    assert names[:9] == [one["name"] for one in ours[:9]]
    assert set(old.rows["kept_aside"]) == {"theirs"} and "kept_aside_user" not in names
    assert [one["name"] for one in old.manifest["columns"]] == names
    assert set(read_export(old.csv)["kept_aside"]) == {"theirs"}


@pytest.mark.parametrize(
    "columns",
    [
        "id",
        [],
        [{"name": "id"}, {"name": "tag"}],
        [{"name": "kept_aside"}, {"name": "id"}, {"name": "tag"}],
        [["id"], 3, None],
    ],
)
def test_other_columns_are_refused(columns, exported):
    manifest = json.loads(exported[0].manifest_json) | {"columns": columns}
    with pytest.raises(InputError, match="'columns' of the manifest must begin with id, tag, aut"):
        read_manifest(manifest)


def test_kept_aside_must_be_true_or_false(exported):
    data = exported[0].csv.replace(b",True,", b",TRUE,")  # as a spreadsheet saves it
    assert read_export(data).equals(read_export(exported[0].csv))
    with pytest.raises(InputError, match="'kept_aside' must hold True or False"):
        read_export(data.replace(b",TRUE,", b",maybe,", 1))


# Directions by themselves


def test_a_direction_comes_back_to_the_last_bit(tmp_path):
    random = np.random.default_rng(0)
    vector = random.normal(size=5) * 1e-9
    shape = Shape.direction(vector, np.nextafter(1, 2), labels=("Coat",), layer="deep")
    name, data = kept(shape, tmp_path)
    again = unpack(name, data)
    assert again.kind == "direction" and again.cut == np.nextafter(1, 2)
    assert np.array_equal(again.vector, vector) and again.vector.flags.aligned
    assert again.labels == () and again.layer == ""
    assert kept(Shape.direction(vector, np.nextafter(1, 2)), tmp_path)[0] == name
    assert kept(Shape.direction(vector, 1), tmp_path)[0] != name
    assert kept(Shape.direction(vector[::-1], np.nextafter(1, 2)), tmp_path)[0] != name


@pytest.mark.parametrize(
    "shape",
    [
        Shape.label("Coat"),
        Shape.ball([0.0], 1.0),
        Shape.ball([0.0], root=[[1.0]], kernel="squared_distance"),
    ],
)
def test_what_its_record_says_is_not_kept(shape, tmp_path):
    with pytest.raises(InputError, match="only directions, and Gaussian balls with a root"):
        keep_shape(shape, tmp_path)


def test_a_direction_of_too_many_numbers_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_NUMBERS", 4)
    with pytest.raises(InputError, match="at most 4 numbers: got 5"):
        keep_shape(Shape.direction(np.zeros(5), 0), tmp_path)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (head(1, 0, form=3) + bytes(8), "1 x 0 numbers in 43 bytes"),
        (head(1, 1, form=3) + bytes(20), "1 x 1 numbers in 55 bytes"),
        (head(0, 0, form=3) + bytes(8), "0 x 0 numbers"),
        (head(-1, 0, form=3), "-1 x 0 numbers"),
        (head(2**62, 0, form=3) + bytes(16), "numbers in 51 bytes"),
        (head(1, 0, form=3) + b"\xff" * 16, "finite"),
        (head(1, 0, form=3) + np.array([1, np.inf], "<f8").tobytes(), "finite"),
        (head(1, 0, form=4) + bytes(16), "does not begin like a shape"),
    ],
)
def test_a_hostile_direction_in_a_manifest_is_refused(raw, words, exported):
    name, data = forged(raw)
    manifest = json.loads(exported[0].manifest_json)
    manifest["shapes"] = {name: base64.b64encode(data).decode()}
    with pytest.raises(InputError, match=words):
        read_manifest(manifest)


@pytest.mark.parametrize(
    ("place", "changes", "words"),
    [
        (1, {"region_kind": "cube"}, "region_kind of event 2 must be one of"),
        (1, {"region_kind": "ball"}, "shape of event 2 must be a ball: got a direction"),
        (0, {"region_kind": "direction"}, "shape of event 1 must be a direction: got a ball"),
        (1, {"layer": ""}, "must have the 3 dimensions of the embeddings: got 9"),
        (1, {"labels": ["Coat", 3]}, "labels of event 2 must be a list of texts"),
        (3, {"labels": "Bag"}, "labels of event 4 must be a list of texts"),
        (3, {"layer": "shallow"}, "no layer 'shallow'"),
    ],
)
def test_a_record_that_was_changed_is_named(place, changes, words, exported):
    export, there = exported
    manifest = json.loads(export.manifest_json)
    manifest["sources"][place] |= changes
    with pytest.raises(InputError, match=words):
        replay(manifest, home=there)


def test_another_vector_cut_or_label_is_another_file(exported):
    export, there = exported
    for place in (1, 2):
        manifest = json.loads(export.manifest_json)
        del manifest["shapes"][manifest["sources"][place]["shape"]]
        again = replay(manifest, home=there)
        assert again.identical is False
        assert again.rows.loc[again.rows["tag"] == f"on {place}", "weight"].isna().all()
    manifest = json.loads(export.manifest_json)
    manifest["sources"][3]["labels"] = ["Shirt"]
    assert replay(manifest, home=there).identical is False
