"""The export: what is written, what a spreadsheet cannot run, what a manifest rebuilds."""

from __future__ import annotations

import csv
import hashlib
import io
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from backend.bundle.bundle import Bundle
from backend.core.errors import InputError
from backend.core.parts import bundle_aside
from backend.export import (
    export_flagged,
    group_csv,
    neutralise,
    read_export,
    read_manifest,
    restore,
)
from backend.export.table import OWN_COLUMNS, free_names, to_csv
from backend.store import Store

N, D = 6, 2


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.delenv("ERRORSCOPE_DATABASE", raising=False)
    return Store(home=tmp_path)


def make_bundle(**changes):
    fields = {
        "name": "shirts",
        "digest": "0f" * 32,
        "path": None,
        "embeddings": np.array([[0, 0], [1, 0], [0, 2], [3, 0], [0, 4], [5, 5]], dtype=np.float16),
        "losses": np.array([2.0, 1.5, 0.1, 0.25, 1 / 3, 0.0]),
        "labels": np.array([0, 1, 1, 0, 0, 1]),
        "predictions": np.array([1, 1, 1, 0, 0, 0]),
        "classes": ("Shirt", "Coat"),
        "examples": pd.DataFrame(
            {
                "id": [f"e{row}" for row in range(N)],
                "text": ["=HYPERLINK(1)", "a, b", 'say "hi"', "two\nlines", "", "'tis"],
                "image": [f"images/{row}.png" for row in range(N)],
                "loss": np.array([-1, 2, 3, 4, 5, 6]),
                "width": np.array([0.1, -0.5, np.nan, 1, 2, 3], dtype=np.float32),
            }
        ),
    }
    return Bundle(**(fields | changes))


def region(**changes):
    center = {"center": [0.0, 0.0], "precision": 0.5, "kernel": "gaussian"}
    return {"kind": "region", "index": 1, "key": "k"} | center | changes


# Cells


@pytest.mark.parametrize(
    "cell",
    [
        *("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", '"=1', "＝1", "'=1"),
        *("'tis", "\u00a0=1", "\ufeff=1", " '=1", "\t", "\rplain"),
    ],
)
def test_cells_that_a_spreadsheet_could_run_get_an_apostrophe(cell):
    assert neutralise(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "plain", "a=b", "1-2", "a@b.org", "x'", " plain", "3.5"])
def test_harmless_cells_stay_as_they_are(cell):
    assert neutralise(cell) == cell


@settings(max_examples=400)
@given(st.text() | st.text(alphabet="'=+-@ \t\r\n\"a"))
@example("'")
@example("''=")
def test_every_cell_comes_back(cell):
    safe = neutralise(cell)
    assert restore(safe) == cell
    assert not safe.lstrip(' "\t\r\n').startswith(("=", "+", "-", "@"))
    assert not safe.startswith(("\t", "\r", "\n"))


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
RISKY = TEXT | st.text(alphabet="'=+-@ \t\r\n\",;ä", max_size=8)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(RISKY, RISKY), min_size=1, max_size=6), RISKY)
def test_any_text_survives_the_csv(cells, header):
    header = header if header not in ("id", "tag", "author", "time", "region") else "other"
    fixed = {name: ["x"] * len(cells) for name in ("author", "time", "region", "label")}
    table = pd.DataFrame(
        {"id": [a for a, _ in cells], "tag": [b for _, b in cells]}
        | fixed
        | {"weight": 0.5, "loss": -1.25, "prediction": "y"}
    )
    name = free_names([header])[header]
    table[name] = table["tag"]
    back = read_export(to_csv(table))
    assert list(back.columns) == list(table.columns)
    assert back.astype(object).equals(table.astype(object))


# The file


def test_the_whole_file_by_hand(store):
    bundle = make_bundle()
    store.tag(bundle, ["e1", "e0"], "shirts", author="=Ada", source=region())
    store.tag(bundle, ["e5"], "@odd", author="Bob", source={"kind": "lasso", "polygon": []})
    first, second = (event.time for event in reversed(store.events(bundle)))
    expected = (
        "\ufeffid,tag,author,time,region,weight,kept_aside,loss,label,prediction,"
        "text,image,loss_user,width\r\n"
        f"e5,'@odd,Bob,{second},,,False,0.0,Coat,Shirt,''tis,images/5.png,6,3.0\r\n"
        f"e0,shirts,'=Ada,{first},2,1,False,2.0,Shirt,Coat,'=HYPERLINK(1),images/0.png,-1,0.1\r\n"
        f'e1,shirts,\'=Ada,{first},2,0.778801,False,1.5,Coat,Coat,"a, b",images/1.png,2,-0.5\r\n'
    )
    export = export_flagged(bundle, store)
    assert export.csv.decode() == expected
    assert export.identical is None
    assert export.rows["text"].tolist() == ["'tis", "=HYPERLINK(1)", "a, b"]
    assert export.rows["weight"].tolist()[1:] == [1.0, np.exp(-0.25)]


def test_pandas_and_a_plain_csv_reader_see_the_same_columns(store):
    bundle = make_bundle()
    store.tag(bundle, bundle.ids, "x")
    data = export_flagged(bundle, store).csv
    by_pandas = pd.read_csv(io.BytesIO(data))
    by_hand = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    assert list(by_pandas.columns) == by_hand[0]
    assert by_pandas["id"].tolist() == [f"e{row}" for row in range(N)]
    assert by_hand[4][by_hand[0].index("text")] == "two\nlines"
    assert by_pandas["loss"].tolist() == bundle.losses.tolist()  # every digit


def test_a_group_leaves_in_its_order_tagged_or_not(store):
    bundle = make_bundle()
    store.tag(bundle, ["e0", "e5"], "odd")
    store.tag(bundle, ["e0"], "shirts")
    rows = np.array([5, 0, 2])
    found = pd.read_csv(io.BytesIO(group_csv(bundle, rows, store.tags(bundle))))
    assert found.columns.tolist() == [
        *("id", "tags", "kept_aside", "loss", "label", "prediction"),
        *("text", "image", "loss_user", "width"),
    ]
    assert found["id"].tolist() == ["e5", "e0", "e2"]
    assert found["tags"].fillna("").tolist() == ["odd", "odd, shirts", ""]
    assert found["kept_aside"].tolist() == bundle_aside(bundle)[rows].tolist()
    assert found["loss"].tolist() == bundle.losses[rows].tolist()
    assert found["label"].tolist() == ["Coat", "Shirt", "Coat"]
    assert found["text"][1] == "'=HYPERLINK(1)"


def test_reading_back_gives_the_rows(store):
    bundle = make_bundle()
    store.tag(bundle, bundle.ids[:4], "'quoted", source=region())
    store.tag(bundle, bundle.ids[4:], "by hand")
    export = export_flagged(bundle, store)
    back = read_export(export.csv)
    for name in ("id", "tag", "author", "time", "region", "label", "prediction", "text", "image"):
        assert back[name].tolist() == export.rows[name].tolist()
    np.testing.assert_allclose(back["weight"], export.rows["weight"], rtol=1e-5)
    assert back["loss"].tolist() == export.rows["loss"].tolist()


@pytest.mark.parametrize("data", [b"", b"a,b\r\n1,2\r\n", b"\xff\xfe\x00", b'"open'])
def test_a_file_from_elsewhere_is_refused(data):
    with pytest.raises(InputError, match="not a CSV that was exported here"):
        read_export(data)


def test_rows_come_by_tag_then_by_row_whatever_the_order_of_tagging(store):
    bundle = make_bundle()
    store.tag(bundle, ["e4", "e0"], "b")
    store.tag(bundle, ["e3"], "a")
    store.tag(bundle, ["e2"], "b")
    rows = export_flagged(bundle, store).rows
    assert list(zip(rows["tag"], rows["id"], strict=True)) == [
        ("a", "e3"),
        ("b", "e0"),
        ("b", "e2"),
        ("b", "e4"),
    ]
    assert export_flagged(bundle, store, tags=["a"]).rows["id"].tolist() == ["e3"]


def test_a_change_and_its_undo_leave_the_file_as_it_was(store):
    bundle = make_bundle()
    store.tag(bundle, ["e1", "e0"], "x", author="Ada", source=region())
    before = export_flagged(bundle, store)
    store.tag(bundle, ["e2"], "x", author="Bob")
    store.untag(bundle, ["e0"], "x", author="Bob")
    store.rename_region(bundle, "k", "odd shirts", author="Bob")
    assert export_flagged(bundle, store).csv != before.csv
    for _ in range(3):
        store.undo(bundle, "Bob")
    after = export_flagged(bundle, store)
    assert after.csv == before.csv
    assert {**after.manifest, "created": ""} == {**before.manifest, "created": ""}


def test_a_renamed_region_is_called_by_its_name(store):
    bundle = make_bundle()
    store.tag(bundle, ["e1"], "x", source=region(name="label Coat"))
    assert export_flagged(bundle, store).rows["region"].tolist() == ["label Coat"]
    store.rename_region(bundle, "k", "coat-like")
    export = export_flagged(bundle, store)
    assert export.rows["region"].tolist() == ["coat-like"]


def test_without_labels_classes_or_columns_cells_are_empty(store):
    examples = pd.DataFrame({"id": [f"e{row}" for row in range(N)]})
    bundle = make_bundle(labels=None, predictions=None, classes=None, examples=examples)
    store.tag(bundle, ["e1"], "x")
    text = export_flagged(bundle, store).csv.decode("utf-8-sig").splitlines()
    assert text[1].endswith(",,,False,1.5,,")


def test_numbers_stay_numbers_when_labels_have_no_names(store):
    bundle = make_bundle(classes=None, labels=np.array([-1, 1, 1, 0, 0, 1]))
    store.tag(bundle, ["e0"], "x")
    assert ",2.0,-1,1," in export_flagged(bundle, store).csv.decode()


def test_users_columns_never_take_a_name_of_ours_or_of_each_other():
    assert free_names(["loss", "loss_user", "tag", "width"]) == {
        "loss": "loss_user_user",
        "loss_user": "loss_user",
        "tag": "tag_user",
        "width": "width",
    }


@pytest.mark.parametrize(
    ("ids", "tags", "message"),
    [
        ([], None, "nothing is tagged in bundle 'shirts'"),
        (["e1"], ["y"], r"there is no tag 'y'\. The tags are: x"),
        (["e1"], "x", "tags must be a list"),
        (["e1", "gone"], None, "1 are not, the first is 'gone'"),
    ],
)
def test_what_cannot_be_exported(store, ids, tags, message):
    bundle = make_bundle()
    if ids:
        store.tag(bundle, ids, "x")
    with pytest.raises(InputError, match=message):
        export_flagged(bundle, store, tags=tags)


def test_a_tag_taken_off_everything_leaves_nothing_to_export(store):
    bundle = make_bundle()
    store.tag(bundle, ["e1"], "x")
    store.untag(bundle, ["e1"], "x")
    with pytest.raises(InputError, match="nothing carries 'x'"):
        export_flagged(bundle, store)


# The manifest


def test_the_manifest_tells_where_every_row_came_from(store):
    bundle = make_bundle()
    source = region(weighted_loss=1.75, options={"size": 0.02, "seed": 3}, version=2)
    store.tag(bundle, ["e0"], "x", source=source)
    store.tag(bundle, ["e1"], "x", source=source)
    store.tag(bundle, ["e2"], "other, not exported")
    export = export_flagged(bundle, store, tags=["x"])
    manifest = json.loads(export.manifest_json)
    assert manifest == export.manifest
    assert manifest["bundle"] == {"digest": bundle.digest, "name": "shirts", "n": N, "d": D}
    assert manifest["sources"] == [source]  # once, though two events came from it
    assert [(e["ids"], e["source"]) for e in manifest["events"]] == [(["e0"], 0), (["e1"], 0)]
    assert "not exported" not in export.manifest_json.decode()
    assert manifest["csv"]["sha256"] == hashlib.sha256(export.csv).hexdigest()
    assert manifest["csv"]["rows"] == 2
    kinds = {column["name"]: column["kind"] for column in manifest["columns"]}
    assert kinds["weight"] == kinds["width"] == "number" and kinds["text"] == "text"


@pytest.fixture
def manifest(store):
    bundle = make_bundle()
    store.tag(bundle, ["e0", "e1"], "x", source=region())
    store.rename_region(bundle, "k", "named")
    return json.loads(export_flagged(bundle, store).manifest_json)


def spoil(manifest, path, value):
    part = manifest
    for step in path[:-1]:
        part = part[step]
    if value is KeyError:
        del part[path[-1]]
    else:
        part[path[-1]] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["format"], "x", "format 'errorscope-export': got 'x'"),
        (["format"], KeyError, "got 'None'"),
        (["version"], 2, "version 1: got '2'"),
        (["bundle"], KeyError, "'bundle': it is missing"),
        (["bundle"], [], "'bundle' of the manifest must be of type dict: got list"),
        (["bundle", "digest"], "../../etc/passwd", "64 hexadecimal digits"),
        (["bundle", "n"], True, "type int: got bool"),
        (["tags"], ["a\nb"], "tags of the manifest: a tag must not hold control"),
        (["tags"], "x", "type list"),
        (["sources"], {"0": 1}, "type list"),
        (["sources", 0], "region", r"sources\[0\] of the manifest must be an object"),
        (["events", 0], None, r"events\[0\] of the manifest must be an object"),
        (["events", 0, "seq"], -5, "must grow from event to event"),
        (["events", 1, "seq"], 1, "must grow from event to event"),
        (["events", 0, "seq"], 2**70, "must grow"),
        (["events", 0, "seq"], 1.5, "type int"),
        (["events", 0, "time"], "=cmd()", "must look like 2026"),
        (["events", 0, "author"], "", r"events\[0\].author .* 1 to 200"),
        (["events", 0, "kind"], "drop table", "'tag', 'untag' or 'rename_region'"),
        (["events", 0, "ids"], "e0", "type list"),
        (["events", 0, "ids"], [], "at least one"),
        (["events", 0, "ids"], [["e0"]], "ids must be text"),
        (["events", 0, "source"], 7, "must count into sources"),
        (["events", 0, "source"], "0", "type int"),
        (["events", 1, "name"], "x" * 81, "1 to 80 characters"),
        (["csv"], KeyError, "'csv': it is missing"),
        (["csv", "sha256"], "x", "csv.sha256"),
    ],
)
def test_a_manifest_from_anybody_is_checked_part_by_part(manifest, path, value, message):
    read_manifest(json.dumps(manifest))  # it is fine before
    spoil(manifest, path, value)
    with pytest.raises(InputError, match=message):
        read_manifest(json.dumps(manifest))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xff",
        "[1, 2]",
        "{",
        '{"a": NaN}',
        "[" * 100_000,
        '{"version": ' + "9" * 5000 + "}",
    ],
)
def test_what_is_no_manifest_at_all(data):
    with pytest.raises(InputError, match="the manifest"):
        read_manifest(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(max_examples=200, deadline=None)
@given(data=st.data(), value=JSON)
def test_no_spoiled_manifest_raises_anything_but_an_input_error(data, value):
    event = {"seq": 1, "author": "a", "time": "2026-11-22T16:00:50Z", "kind": "tag"}
    numbered = {"kind": "region", "number": 1, "layer": "", "options": {"groups": None}}
    label = numbered | {"region_kind": "label", "labels": ["Coat"]}
    direction = numbered | {"region_kind": "direction", "shape": "0f" * 32, "cut": 0.5}
    manifest = {
        "format": "errorscope-export",
        "version": 1,
        "bundle": {"digest": "0f" * 32, "name": "b", "n": N, "d": D},
        "tags": ["x"],
        "sources": [data.draw(st.sampled_from([region(), label, direction]))],
        "events": [event | {"tag": "x", "ids": ["e0"], "source": 0}],
        "columns": [{"name": name, "kind": "text"} for name in OWN_COLUMNS],
        "csv": {"sha256": "0" * 64},
    }
    part, path = manifest, []
    while isinstance(part, (dict, list)) and part:
        keys = list(part) if isinstance(part, dict) else range(len(part))
        path.append(data.draw(st.sampled_from(list(keys))))
        part = part[path[-1]]
        if data.draw(st.booleans()):
            break
    spoil(manifest, path, value)
    from backend.export.flagged import flagged_rows

    try:
        flagged_rows(make_bundle(), read_manifest(json.dumps(manifest)))
    except InputError as error:
        assert str(error)
