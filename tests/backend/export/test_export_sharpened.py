"""A tag that answers drew: its columns, its manifest, and the same bytes on another machine."""

from __future__ import annotations

import json

import numpy as np
import pytest

from backend.bundle import import_bundle
from backend.core.errors import InputError
from backend.export import export_flagged, read_export, record_of, replay
from backend.sharpen import principal_parts, start_ranking
from backend.sharpen.record import (
    Record,
    evaluate,
    library_versions,
    members_of,
    question_key,
    rank,
)
from backend.store import Store
from tests.bundles import npz, planted


@pytest.fixture(scope="module")
def upload(tmp_path_factory):
    fields = planted(400, 6, seed=4, share=0.2)
    members = fields.pop("planted")
    folder = tmp_path_factory.mktemp("sharpened")
    path = folder / "run.npz"
    own = np.arange(len(members)) % 7  # a column of the user's that is called like one of ours
    path.write_bytes(npz(**fields, **{"examples/score": own}))
    home = folder / "there"
    import_bundle(path, home, name="called otherwise")
    return path, members, home


STARTS = {
    "region": ({"kind": "region", "index": 0, "number": 1, "key": "job:0", "name": "x"}, 30),
    "selection": ({"kind": "selection", "filters": []}, 50),
    "tag": ({"kind": "tag", "tag": "odd"}, 12),
    "other method": ({"kind": "method", "method": "george", "index": 2}, 40),
    "one example": ({"kind": "picked", "from": {"kind": "region", "index": 0}}, 1),
}


def sharpened(upload, home, source, size, *, rounds=3):
    """Answer truthfully from a start, two people the first round; keep the group as a tag."""
    path, truth, _ = upload
    bundle, store = import_bundle(path, home, name="run"), Store(home=home)
    ranked = source["kind"] == "region"  # in an order of its own
    start = bundle.ids[np.flatnonzero(truth)[:size]].tolist()[:: -1 if ranked else 1]
    key = question_key(start, "", 0, ranked=ranked)
    asked = {"source": source, "layer": "", "seed": 0, "ranked": ranked}
    store.ask_question(bundle, key, start, name="hard", asked=asked, author="Ada")
    parts = principal_parts(bundle.embeddings)
    ranking = start_ranking(parts, bundle.rows_of(start), ranked=ranked)
    found = None
    for step in range(rounds + 1):
        record = record_of(
            store.question(bundle, key),
            store.answers(bundle, key),
            cut=found.cut if found else 0,
            meta={"expected": 1.0, "low": 0.0, "high": 2.0, "drawn": 0}
            | {"versions": library_versions()},
        )
        told = record.tally(bundle)
        found = rank(parts, ranking, told, labels=bundle.label_codes, seed=0)
        for row, chance in zip(found.next, found.chances, strict=True):
            if step == rounds:
                break
            known = None if np.isnan(chance) else float(chance)
            said = "yes" if truth[row] else "no"
            example = str(bundle.ids[row])
            store.answer_question(bundle, key, example, said, chance=known, author="Ada")
            if step == 0:
                other = "no" if truth[row] else "skip"
                store.answer_question(bundle, key, example, other, author="Bob")
    record = Record(**{**vars(record), "cut": found.cut})
    rows = members_of(found.scores, record.cut)
    store.tag(bundle, bundle.ids[rows], "sharp", author="Ada", source=record.to_source())
    return bundle, store, found, told, rows


@pytest.mark.parametrize("start", STARTS)
def test_a_sharpened_tag_is_replayed_elsewhere_byte_for_byte(upload, tmp_path, monkeypatch, start):
    monkeypatch.delenv("ERRORSCOPE_DATABASE", raising=False)
    source, size = STARTS[start]
    bundle, store, found, told, rows = sharpened(upload, tmp_path / "here", source, size)
    store.tag(bundle, ["0"] if "0" in bundle.ids else [bundle.ids[0]], "by hand")
    export = export_flagged(bundle, store)
    again = replay(export.manifest_json, home=upload[2])
    assert again.identical and again.csv == export.csv
    table = read_export(export.csv)
    sharp = table[table["tag"] == "sharp"]
    assert sorted(sharp["id"]) == sorted(bundle.ids[rows])
    places = bundle.places(sharp["id"])
    np.testing.assert_allclose(sharp["score"], found.scores[places], rtol=1e-3)
    assert sharp["answer"].tolist() == [told.word(int(row)) for row in places]
    assert {"yes", ""} <= set(sharp["answer"]) and len(told.split)
    assert table.loc[table["tag"] == "by hand", "score"].isna().all()
    assert (sharp["score_user"] == (places % 7).astype(str)).all()  # theirs stays theirs
    kept = next(one for one in export.manifest["sources"] if one["kind"] == "sharpened")
    assert kept["from"] == source and {one["author"] for one in kept["answers"]} == {"Ada", "Bob"}
    assert any(one["chance"] for one in kept["answers"]) and kept["versions"]["sklearn"]
    scores, _ = evaluate(Record.from_source(kept), bundle)
    np.testing.assert_array_equal(members_of(scores.scores, kept["cut"]), rows)


def test_other_exports_have_no_such_columns(upload, tmp_path, monkeypatch):
    monkeypatch.delenv("ERRORSCOPE_DATABASE", raising=False)
    bundle, store = import_bundle(upload[0], tmp_path, name="run"), Store(home=tmp_path)
    store.tag(bundle, bundle.ids[:3], "by hand")
    export = export_flagged(bundle, store)
    assert "answer" not in export.rows and export.rows["score"].tolist() == [0, 1, 2]
    assert replay(export.manifest_json, home=upload[2]).identical


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 99}, "ranked by version 99"),
        ({"start": []}, "must name the examples it started from"),
        ({"start": ["a", "a"]}, "each once, under 'start'"),
        ({"start": ["nobody"]}, "'nobody' is not"),
        ({"answers": "all"}, "list of at most"),
        ({"answers": [{"id": "nobody", "answer": "yes"}]}, "'nobody' is not"),
        ({"answers": [{"id": "a", "answer": "maybe"}]}, "must be one of yes, no, skip"),
        ({"answers": [{"id": "a", "answer": "no", "chance": 2}]}, r"chance in \(0, 1\]"),
        ({"answers": [{"answer": "no"}]}, "an object with an 'id'"),
        ({"seed": "x"}, "'seed' of .* must be a whole number"),
        ({"cut": -3}, "'cut' of .* must be a whole number"),
        ({"layer": "nowhere"}, "nowhere"),
    ],
    ids=str,
)
def test_a_changed_record_is_refused_by_name(upload, tmp_path, monkeypatch, change, words):
    monkeypatch.delenv("ERRORSCOPE_DATABASE", raising=False)
    bundle, store, *_ = sharpened(upload, tmp_path, {"kind": "tag"}, 5, rounds=1)
    content = json.loads(export_flagged(bundle, store).manifest_json)
    content["sources"][0] |= change
    with pytest.raises(InputError, match=words):
        replay(json.dumps(content), home=upload[2])
