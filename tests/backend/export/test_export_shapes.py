"""Exact shapes of regions: kept once, exported with their tags, evaluated again elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib

import numpy as np
import pandas as pd
import pytest

from backend.bundle import import_bundle, write_bundle
from backend.core.errors import InputError
from backend.core.shape import Shape
from backend.export import (
    export_flagged,
    keep_shape,
    make_shape,
    read_export,
    read_manifest,
    replay,
)
from backend.export import shapes as module
from backend.export.shapes import packed_shapes, unpack
from backend.spotlight import find_spotlights
from backend.store import Store
from backend.tasks import complete_options, run_regions

N, D, PLANTED = 700, 7, 60


@pytest.fixture(scope="module")
def upload(tmp_path_factory):
    """Hard examples of one label, apart in the layer ``deep`` only, far from the origin there."""
    random = np.random.default_rng(11)
    labels = random.integers(0, 3, N)
    deep = random.normal(size=(N, D)) * np.linspace(0.3, 2, D)
    losses = random.gamma(2.0, 0.1, N)
    labels[:PLANTED] = 1
    deep[:PLANTED, :3] += [2.0, -2.0, 1.5]
    losses[:PLANTED] += 2
    return write_bundle(
        tmp_path_factory.mktemp("upload") / "run.npz",
        embeddings=random.normal(size=(N, 4)).astype(np.float32),
        layers={"deep": (deep + 1000).astype(np.float32)},
        losses=losses,
        labels=labels,
        classes=["Shirt", "Coat", "Bag"],
    )


@pytest.fixture(scope="module")
def found(upload, tmp_path_factory):
    """The round regions as the page gets them: (bundle, arrays, meta)."""
    home = tmp_path_factory.mktemp("found")
    bundle = import_bundle(upload, home)
    options = complete_options("regions", {"layer": "deep", "n_regions": 3})
    return bundle, *balls_of(*run_regions(bundle, options, lambda *a: None, lambda *a: None))


def balls_of(arrays, meta):
    """What a search gives, without labels and directions."""
    facts = meta["regions"]
    balls = [at for at, one in enumerate(facts) if one["kind"] == "ball"]
    shared = ("shift", "reach", "kept_aside")
    arrays = {name: a if name in shared else a[balls] for name, a in arrays.items()}
    return arrays, meta | {"regions": [facts[at] for at in balls]}


def shape_of_region(arrays, at):
    return make_shape(
        arrays["centers"][at], arrays["roots"][at], shift=arrays["shift"], reach=arrays["reach"]
    )


def source_of(found, at, home):
    """What the record of a tag on this region says."""
    _, arrays, meta = found
    facts = meta["regions"][at]
    return {
        "kind": "region",
        "index": at,
        "key": f"job:{at}",
        "center": arrays["centers"][at],
        "precision": float(arrays["precisions"][at]),
        "kernel": "gaussian",
        "method": "regions",
        "layer": "deep",
        "shape": keep_shape(shape_of_region(arrays, at), home),
        "labels": facts["labels"] if facts["bound"] else [],
    }


@pytest.fixture
def exported(found, upload, tmp_path, monkeypatch):
    """Everything tagged on every region, exported: (export, the other home)."""
    monkeypatch.delenv("ERRORSCOPE_DATABASE", raising=False)
    home = tmp_path / "here"
    bundle = import_bundle(upload, home)
    store = Store(home=home)
    for at in range(len(found[2]["regions"])):
        for part in np.array_split(bundle.ids, 2):  # two events, one shape
            store.tag(bundle, part, f"region {at}", source=source_of(found, at, home))
    export = export_flagged(bundle.at_layer("deep"), store)
    store.close()
    import_bundle(upload, tmp_path / "there")
    return export, tmp_path / "there"


def test_weights_in_the_csv_are_those_on_the_page(found, exported):
    export, _ = exported
    rows = read_export(export.csv)
    _, arrays, meta = found
    assert any(facts["bound"] for facts in meta["regions"])
    for at in range(len(meta["regions"])):
        own = rows[rows["tag"] == f"region {at}"]
        assert own["id"].tolist() == [str(row) for row in range(N)]
        shown = arrays["weights"][at]
        assert np.abs(own["weight"].to_numpy() - shown).max() <= 1e-5
        assert ((own["weight"] == 0) == (shown == 0)).all(), "other labels weigh nothing"
    # The round stand-in is another region: what the file said before shapes were kept.
    d = np.square(found[0].layers["deep"] - arrays["centers"][0]).sum(1)
    stand_in = np.exp(-0.5 * float(arrays["precisions"][0]) * d)
    assert np.abs(stand_in - arrays["weights"][0]).max() > 1e-2


def test_a_replay_in_another_home_writes_the_same_bytes(exported):
    export, there = exported
    again = replay(export.manifest_json, home=there)
    assert again.identical is True and again.csv == export.csv
    assert again.manifest == export.manifest
    assert not (there / "shapes").exists(), "the manifest carries them"


def test_a_shape_stands_once_on_disk_and_in_the_manifest(found, exported, tmp_path):
    export, _ = exported
    regions = len(found[2]["regions"])
    assert len(export.manifest["shapes"]) == regions
    assert len(list((tmp_path / "here" / "shapes").iterdir())) == regions
    assert sum("shape" in source for source in export.manifest["sources"]) == regions
    assert (export.manifest["bundle"]["d"], export.manifest["bundle"]["n"]) == (4, N)


def test_a_layer_that_the_bundle_does_not_have_is_named(exported):
    export, there = exported
    manifest = json.loads(export.manifest_json)
    manifest["sources"][0]["layer"] = "../deep"
    with pytest.raises(InputError, match=r"no layer '\.\./deep' .*'deep'"):
        replay(manifest, home=there)
    manifest["sources"][0]["layer"] = ["deep"]
    with pytest.raises(InputError, match="layer of event 1 must be text: got list"):
        replay(manifest, home=there)
    manifest["sources"][0]["layer"] = ""
    with pytest.raises(InputError, match="must have the 4 dimensions of the embeddings: got 7"):
        replay(manifest, home=there)


def test_a_shape_that_is_gone_leaves_the_weight_empty(found, exported, upload, tmp_path, caplog):
    export, there = exported
    for file in (tmp_path / "here" / "shapes").iterdir():
        file.write_bytes(file.read_bytes()[:-3])
    bundle = import_bundle(upload, tmp_path / "here")
    store = Store(home=tmp_path / "here")
    later = export_flagged(bundle, store)
    store.close()
    assert later.rows["weight"].isna().all() and "shapes" not in later.manifest
    assert later.rows.drop(columns="weight").equals(export.rows.drop(columns="weight"))
    assert "cannot be read" in caplog.text
    again = replay(later.manifest_json, home=there)
    assert again.identical is True


def test_spotlights_of_a_layer_are_evaluated_and_fitted_again_there(upload, tmp_path, monkeypatch):
    monkeypatch.delenv("ERRORSCOPE_DATABASE", raising=False)
    bundle = import_bundle(upload, tmp_path)
    deep = np.asarray(bundle.layers["deep"], dtype=np.float64)
    center = deep[:PLANTED].mean(axis=0)
    store = Store(home=tmp_path)
    source = {
        "kind": "region",
        "index": 0,
        "center": center,
        "precision": 0.25,
        "layer": "deep",
        "method": "spotlights",
        "options": {"size": PLANTED, "n_spotlights": 1, "seed": 0, "starts": 4, "layer": "deep"},
    }
    store.tag(bundle, bundle.ids[:PLANTED], "hard", source=source)
    export = export_flagged(bundle, store)
    store.close()
    expected = np.exp(-0.125 * np.square(deep[:PLANTED] - center).sum(axis=1))
    assert export.rows["weight"].to_numpy() == pytest.approx(expected, rel=1e-9)
    again = replay(export.manifest_json, home=tmp_path, refit=True)
    assert again.identical is True
    refit = again.membership["weighted_loss_refit"][0]
    options = {"size": PLANTED, "n_spotlights": 1, "seed": 0, "starts": 4}
    in_layer, beside = (
        find_spotlights(values, bundle.losses, **options).weighted_losses[0]
        for values in (bundle.layers["deep"], bundle.embeddings)
    )
    assert refit == pytest.approx(in_layer, rel=1e-9) and refit > 1.1 * beside


# ---------------------------------------------------------------- shapes by themselves


def packed(center, root, tmp_path):
    return kept(make_shape(center, root), tmp_path)


def kept(shape, tmp_path):
    name = keep_shape(shape, tmp_path)
    return name, (tmp_path / "shapes" / f"{name}.bin").read_bytes()


def test_a_shape_comes_back_as_it_went(tmp_path):
    random = np.random.default_rng(0)
    center = random.normal(size=5) + 1e9
    root = random.normal(size=(5, 3)).astype(np.float32)
    name, data = packed(center, root, tmp_path)
    again = unpack(name, data)
    assert np.array_equal(again.center, center) and np.array_equal(again.root, root)
    assert packed(center, root, tmp_path)[0] == name
    assert packed(center + 1e-3, root, tmp_path)[0] != name
    assert packed(center, root[:, ::-1], tmp_path)[0] != name
    assert again.shift is None and again.reach == np.inf
    far = make_shape(center, root, shift=center - 1, reach=12.5)
    again = unpack(*kept(far, tmp_path))
    assert np.array_equal(again.center, center) and np.array_equal(again.root, root)
    assert np.array_equal(again.shift, center - 1) and again.reach == 12.5
    assert not [file for file in (tmp_path / "shapes").iterdir() if file.name.startswith(".")]


@pytest.mark.parametrize(
    ("center", "root", "words"),
    [
        (np.zeros(3), np.zeros((2, 2)), r"center \(d,\) and a root \(d, q\): got \(3,\)"),
        (np.zeros(2), np.zeros(2), "got"),
        (np.zeros(0), np.zeros((0, 2)), "got"),
        (np.array([np.nan, 0]), np.zeros((2, 1)), "finite"),
        (np.zeros(2), np.full((2, 1), np.inf), "finite"),
        (np.zeros(2), np.zeros((2, module.MAX_NUMBERS // 2 + 1), np.float32), "at most"),
    ],
)
def test_shapes_that_are_none(center, root, words):
    with pytest.raises(InputError, match=words):
        make_shape(center, root)


def test_only_shapes_of_the_home_folder_are_packed(tmp_path):
    name, _ = packed(np.zeros(2), np.eye(2), tmp_path)
    (tmp_path / "secret.bin").write_bytes(b"secret")
    asked = [name, name, "../secret", "0" * 64, None, 3, ["a"], name.upper()]
    assert list(packed_shapes(asked, tmp_path)) == [name]


def forged(raw):
    return hashlib.sha256(raw).hexdigest(), zlib.compress(raw)


def head(d, q, form=1):
    return b"errorscope shape %d\n" % form + np.array([d, q], "<i8").tobytes()


def drawn(reach):
    """A shape of one number that draws far rows in to ``reach``."""
    return forged(head(1, 1, form=2) + np.array([0, 0, reach], "<f8").tobytes() + bytes(4))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda name, data: (name, data[:-2]), "cut|damaged"),
        (lambda name, data: (name, data + b"x"), "more follows"),
        (lambda name, data: (name, b"no stream"), "damaged"),
        (lambda name, data: ("0" * 64, data), "not the one its name says"),
        (lambda name, data: forged(b"something else" * 9), "does not begin like a shape"),
        (lambda name, data: forged(head(2, 2)), "2 x 2 numbers in 35 bytes"),
        (lambda name, data: forged(head(-1, -1)), "-1 x -1"),
        (lambda name, data: forged(head(2**62, 2**62) + bytes(40)), "numbers in 75 bytes"),
        (lambda name, data: forged(head(1, 1) + b"\xff" * 12), "finite"),
        (lambda name, data: forged(head(1, 1, form=2) + bytes(12)), "1 x 1 numbers in 47 bytes"),
        (lambda name, data: forged(head(1, 1, form=2) + b"\xff" * 28), "finite"),
        (lambda name, data: drawn(np.nan), "reach of a shape must be above 0: got nan"),
        (lambda name, data: drawn(0), "reach of a shape must be above 0: got 0"),
        (lambda name, data: drawn(np.inf), "both shift and reach, or neither"),
    ],
)
def test_a_hostile_shape_in_a_manifest_is_refused(make, words, exported, tmp_path):
    export, there = exported
    name, data = make(*packed(np.zeros(2), np.eye(2), tmp_path))
    manifest = json.loads(export.manifest_json)
    manifest["shapes"] = {name: base64.b64encode(data).decode()}
    with pytest.raises(InputError, match=words):
        replay(manifest, home=there)


def test_a_bomb_is_not_unpacked(exported, monkeypatch):
    export, _ = exported
    monkeypatch.setattr(module, "MAX_NUMBERS", 1000)
    manifest = json.loads(export.manifest_json)
    bomb = zlib.compress(bytes(10**6))
    manifest["shapes"] = {"0" * 64: base64.b64encode(bomb).decode()}
    with pytest.raises(InputError, match="unpacks to more than 20,043 bytes"):
        read_manifest(manifest)


def test_shapes_are_bounded_together(exported, monkeypatch):
    export, _ = exported
    read_manifest(export.manifest)  # it is fine before
    monkeypatch.setattr(module, "MAX_TOTAL_BYTES", 100)
    with pytest.raises(InputError, match="unpacks to more than"):
        read_manifest(export.manifest)


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ([], "must be of type dict"),
        ({"../../etc": "AAAA"}, "under a SHA-256"),
        ({"0" * 64: 3}, "must be base64 text"),
        ({"0" * 64: "a b"}, "is not base64"),
        ({"0" * 64: "\u00e9"}, "is not base64"),
    ],
)
def test_other_things_than_shapes_are_refused(shapes, words, exported):
    manifest = json.loads(exported[0].manifest_json) | {"shapes": shapes}
    with pytest.raises(InputError, match=words):
        read_manifest(manifest)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"labels": "Shirt"}, "labels of event 1"), ({"labels": [1]}, "must be a list of texts")],
)
def test_labels_of_a_source_are_checked(change, words, exported):
    export, there = exported
    manifest = json.loads(export.manifest_json)
    manifest["sources"][0] |= change
    with pytest.raises(InputError, match=words):
        replay(manifest, home=there)


def test_a_region_bound_to_labels_needs_them(found, tmp_path, monkeypatch):
    monkeypatch.delenv("ERRORSCOPE_DATABASE", raising=False)
    plain = found[0].fields() | {"labels": None, "classes": None}
    plain["examples"] = pd.DataFrame({"id": found[0].ids})
    bundle = import_bundle(write_bundle(tmp_path / "bare.npz", **plain), tmp_path)
    store = Store(home=tmp_path)
    store.tag(bundle, bundle.ids[:3], "x", source=source_of(found, 0, tmp_path) | {"labels": ["a"]})
    with pytest.raises(InputError, match="bound to labels needs labels"):
        export_flagged(bundle, store)
    store.close()


@pytest.fixture(scope="module")
def far_upload(tmp_path_factory):
    """Hard examples of one kind, more than 16 median lengths from all others and from each other."""
    random = np.random.default_rng(12)
    embeddings = random.normal(size=(N, D))
    losses = random.gamma(2.0, 0.1, N)
    embeddings[:PLANTED] *= 0.5
    embeddings[:PLANTED, 0] += random.uniform(60, 400, PLANTED)
    losses[:PLANTED] += 2
    return write_bundle(
        tmp_path_factory.mktemp("far") / "run.npz",
        embeddings=(embeddings + 5).astype(np.float32),
        losses=losses,
        labels=random.integers(0, 2, N),
        classes=["Shirt", "Coat"],
    )


def test_weights_of_far_outliers_are_those_on_the_page(far_upload, tmp_path, monkeypatch):
    monkeypatch.delenv("ERRORSCOPE_DATABASE", raising=False)
    here, there = tmp_path / "here", tmp_path / "there"
    bundle = import_bundle(far_upload, here)
    options = complete_options("regions", {"n_regions": 2})
    arrays, meta = balls_of(*run_regions(bundle, options, lambda *a: None, lambda *a: None))
    at = next(
        at for at, rows in enumerate(arrays["members"]) if (rows[rows >= 0] < PLANTED).mean() > 0.9
    )
    store = Store(home=here)
    source = source_of((bundle, arrays, meta), at, here) | {"layer": ""}
    store.tag(bundle, bundle.ids, "far", source=source)
    export = export_flagged(bundle, store)
    store.close()
    shown = arrays["weights"][at]
    assert shown[:PLANTED].max() > 0.1
    told = read_export(export.csv)["weight"].to_numpy()
    assert np.abs(told - shown).max() <= 1e-6
    import_bundle(far_upload, there)
    again = replay(export.manifest_json, home=there)
    assert again.identical is True and again.csv == export.csv
    # Where the rows are as they were embedded, the region is another one.
    bare = Shape.ball(arrays["centers"][at], root=arrays["roots"][at])
    apart = np.abs(bare.weights(bundle.embeddings) - shown)
    bound = shown > 0
    assert apart[bound].max() > 0.1
