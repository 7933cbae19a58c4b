"""Manifests written before regions had numbers and rows were kept aside: replayed to the byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend.bundle import import_bundle
from backend.export import read_export, replay
from tests.backend.export.before import make

FOLDER = Path(make.__file__).parent


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home folder with the bundle, and without tags, shapes or results."""
    folder = tmp_path_factory.mktemp("before")
    import_bundle(make.upload(folder), folder)
    return folder


def test_an_old_manifest_is_replayed_byte_for_byte(home):
    manifest = (FOLDER / "manifest.json").read_bytes()
    csv = (FOLDER / "flagged.csv").read_bytes()
    again = replay(manifest, home=home)
    assert again.csv == csv and again.identical is True
    assert again.manifest == json.loads(manifest)
    assert again.manifest_json == manifest


def test_the_old_export_holds_every_form_of_source_with_its_weights():
    rows = read_export((FOLDER / "flagged.csv").read_bytes())
    assert set(rows["tag"]) == {
        *("spotlight", "compact", "prepared", "exact", "far", "gone"),
        *("picked", "keyboard", "lasso", "by hand"),
    }
    weighted = {tag: part["weight"].dropna() for tag, part in rows.groupby("tag")}
    for tag in ("spotlight", "compact", "prepared", "exact", "far", "picked", "keyboard"):
        assert weighted[tag].gt(0).any() and weighted[tag].nunique() > 2, tag
    assert all(weighted[tag].empty for tag in ("gone", "lasso", "by hand"))
    bound = rows[(rows["tag"] == "exact") & (rows["weight"] > 0)]
    assert set(bound["label"]) == {"Shirt"}


@pytest.mark.parametrize("place", [0, 1, 2, 3, 4, 6, 7])
def test_another_precision_or_shape_is_another_file(home, place):
    """The replay reads every source: one that was changed gives other bytes."""
    manifest = json.loads((FOLDER / "manifest.json").read_bytes())
    source = manifest["sources"][place]
    region = source.get("from", source)
    if "shape" in region:
        del manifest["shapes"][region["shape"]]
    else:
        region["precision"] = 0.0
    assert replay(manifest, home=home).identical is False
