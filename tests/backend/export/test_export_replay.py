"""Replay: the same rows on another machine, from the manifest and the same bundle."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from backend.bundle import import_bundle, list_bundles, open_bundle, read_bundle, write_bundle
from backend.core.errors import InputError, StoreError
from backend.core.found import FoundRegion
from backend.export import export_flagged, read_export, replay
from backend.spotlight import find_spotlights, members
from backend.store import Store

N, D, PLANTED = 300, 6, 20


@pytest.fixture(scope="module")
def upload(tmp_path_factory):
    """A bundle with twenty hard examples in one place."""
    random = np.random.default_rng(5)
    embeddings = random.normal(size=(N, D)).astype(np.float32)
    losses = random.exponential(0.2, size=N)
    embeddings[:PLANTED] = 4 + random.normal(size=(PLANTED, D)) * 0.1
    losses[:PLANTED] += 3
    labels = random.integers(0, 3, N)
    examples = {
        "id": [f"e{row:03d}" for row in range(N)],
        "text": [("=1+1", "ünïcode, \u6771\u4eac", 'a "quote"')[row % 3] for row in range(N)],
        "width": random.normal(size=N),
        "copies": 1 + np.arange(N) % 3,
    }
    path = tmp_path_factory.mktemp("upload") / "run.npz"
    return write_bundle(
        path,
        embeddings=embeddings,
        losses=losses,
        labels=labels,
        predictions=(labels + (np.arange(N) < PLANTED)) % 3,
        classes=["Shirt", "Coat", "Bag"],
        examples=pd.DataFrame(examples),
    )


@pytest.fixture
def exported(upload, tmp_path, monkeypatch):
    """Exported on one machine: (export, home of another machine)."""
    monkeypatch.delenv("ERRORSCOPE_DATABASE", raising=False)
    bundle = import_bundle(upload, tmp_path / "here", name="run")
    store = Store(home=tmp_path / "here")
    center = np.asarray(bundle.embeddings[:PLANTED], dtype=np.float64).mean(axis=0)
    source = {
        "kind": "region",
        "index": 0,
        "key": "job:0",
        "center": center,
        "precision": 2.0,
        "kernel": "gaussian",
        "options": {"size": PLANTED, "n_spotlights": 1, "seed": 0, "starts": 4},
    }
    store.tag(bundle, bundle.ids[: PLANTED + 5], "hard", author="Ada", source=source)
    store.untag(bundle, bundle.ids[PLANTED + 2 : PLANTED + 5], "hard", author="Bob")
    store.tag(bundle, ["e250"], "odd", author="Bob")
    store.rename_region(bundle, "job:0", "coat-like")
    store.tag(bundle, bundle.ids[30:40], "hard")
    store.undo(bundle)
    export = export_flagged(bundle, store)
    import_bundle(upload, tmp_path / "there", name="called otherwise")
    return export, tmp_path / "there"


def test_a_replay_elsewhere_writes_the_same_bytes(exported):
    export, there = exported
    again = replay(export.manifest_json, home=there)
    assert again.identical is True
    assert again.csv == export.csv
    assert again.manifest == export.manifest
    rows = read_export(again.csv)
    assert set(rows["id"]) == {f"e{row:03d}" for row in [*range(PLANTED + 2), 250]}
    assert set(rows.loc[rows["tag"] == "hard", "region"]) == {"coat-like"}
    assert not (there / "errorscope.sqlite").exists()  # no tag store is needed


def test_a_bundle_read_from_its_file_exports_the_same_bytes(exported, upload, tmp_path):
    export, _ = exported
    store = Store(home=tmp_path / "here")
    assert export_flagged(read_bundle(upload), store).csv == export.csv


def test_a_manifest_that_was_changed_is_told_by_the_bytes(exported):
    export, there = exported
    manifest = json.loads(export.manifest_json)
    manifest["sources"][0]["precision"] = 2.5
    again = replay(manifest, home=there)
    assert again.identical is False
    assert again.rows["id"].tolist() == export.rows["id"].tolist()


def test_without_the_bundle_it_says_how_to_import_it(exported, tmp_path):
    export, _ = exported
    with pytest.raises(StoreError, match=r"not imported here\. .* python -m backend import"):
        replay(export.manifest_json, home=tmp_path / "nowhere yet")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("events", 0, "ids"), ["e000", "../e1"], r"1 are not, the first is '\.\./e1'"),
        (("bundle", "n"), N + 1, "must fit its bundle: it says 301 x 6"),
        (("sources", 0, "center"), [0.0], "must have the 6 numbers"),
        (("sources", 0, "kernel"), "box", "got 'box'"),
    ],
)
def test_a_manifest_that_does_not_fit_its_bundle(exported, path, value, message):
    export, there = exported
    manifest = json.loads(export.manifest_json)
    part = manifest
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    with pytest.raises(InputError, match=message):
        replay(manifest, home=there)


def test_refitting_finds_the_planted_region_again_and_counts_who_stayed(exported, upload):
    export, there = exported
    again = replay(export.manifest_json, home=there, refit=True)
    assert again.csv == export.csv  # the rows stay those of the manifest
    bundle = read_bundle(upload)
    source = export.manifest["sources"][0]
    weights = FoundRegion.from_source(source).place(D).weights(bundle.embeddings)
    (row,) = again.membership.to_dict("records")
    assert row["region"] == "coat-like"
    assert row["members"] == round(weights.sum())
    assert row["members_refit"] == PLANTED
    assert row["shared"] == min(row["members"], PLANTED)
    assert row["jaccard"] == row["shared"] / max(row["members"], PLANTED)
    assert row["weighted_loss"] == pytest.approx(float(weights @ bundle.losses / weights.sum()))
    assert row["weighted_loss_refit"] > 2


@pytest.mark.parametrize("flip", [False, True])
def test_refitting_follows_counts_and_flip(upload, tmp_path, monkeypatch, flip):
    monkeypatch.delenv("ERRORSCOPE_DATABASE", raising=False)
    bundle, store = import_bundle(upload, tmp_path, name="run"), Store(home=tmp_path)
    copies = bundle.examples["copies"].to_numpy(float)
    options = {"size": 30, "n_spotlights": 1, "starts": 4, "seed": 0, "flip": flip}
    found = find_spotlights(bundle.embeddings, bundle.losses, counts=copies, **options)
    source = {
        "kind": "region",
        "index": 0,
        "key": "job:0",
        "center": found.centers[0],
        "precision": found.precisions[0],
        "kernel": "gaussian",
        "options": options | {"counts": "copies"},
    }
    rows = members(found.weights[0], float(found.total_weights[0]), copies)
    store.tag(bundle, bundle.ids[rows], "found", author="Ada", source=source)
    export = export_flagged(bundle, store)
    (row,) = replay(export.manifest_json, home=tmp_path, refit=True).membership.to_dict("records")
    assert row["members"] == row["members_refit"] == len(rows) and row["jaccard"] == 1
    assert row["weighted_loss_refit"] == pytest.approx(row["weighted_loss"], rel=1e-6)
    assert (row["weighted_loss"] < bundle.losses.mean()) == flip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_spotlights": 10**9}, "option 'n_spotlights' of a region must be 1 to 100"),
        ({"size": "all"}, "option 'size' of a region cannot be 'all'"),
        ({"seed": True}, "option 'seed' of a region cannot be 'True'"),
        ({"solver": "exec"}, "solver"),
        ({"flip": 1}, "option 'flip' of a region cannot be '1'"),
        ({"barrier_scale": "high"}, "option 'barrier_scale' of a region cannot be 'high'"),
        ({"counts": 3}, "option 'counts' of a region cannot be '3'"),
        ({"counts": "width"}, "counts must be numbers of at least 0"),
        (None, "no region that can be fitted again"),
    ],
)
def test_refitting_does_not_follow_any_options(exported, options, message):
    export, there = exported
    manifest = json.loads(export.manifest_json)
    manifest["sources"][0]["options"] = options
    with pytest.raises(InputError, match=message):
        replay(manifest, home=there, refit=True)


def test_hypotheses_travel_with_the_manifest_and_change_no_row(exported):
    export, other_home = exported
    assert export.manifest["hypotheses"] == []
    before = replay(export.manifest, home=other_home)
    [info] = list_bundles(other_home)
    store = Store(home=other_home)
    store.tag(info.digest, ["e001", "e002"], "mine", author="Ada")
    for key, sentence in (("a", "first"), ("b", "second"), ("c", "third")):
        card = {"sentence": sentence, "rule": "width > 1", "source": None, "verdict": {"p": 0.5}}
        store.write_hypothesis(info.digest, key, card, author="Ada")
    store.write_hypothesis(info.digest, "b", None, author="Ada")
    store.write_hypothesis(info.digest, "a", {"sentence": "first, reworded"}, author="Bob")
    bundle = open_bundle(info.digest, other_home)
    again = export_flagged(bundle, store, tags=["mine"])
    cards = again.manifest["hypotheses"]
    assert [(card["key"], card["sentence"], card["author"]) for card in cards] == [
        ("a", "first, reworded", "Bob"),
        ("c", "third", "Ada"),
    ]
    assert [card["key"] for card in cards] == [
        event.payload["key"] for event in store.hypotheses(info.digest)
    ]
    assert cards[1]["rule"] == "width > 1" and cards[1]["verdict"] == {"p": 0.5}
    replayed = replay(again.manifest_json, home=other_home)
    assert replayed.identical and replayed.csv == again.csv
    assert replayed.manifest["hypotheses"] == cards
    # The cards play no part: without them, and in manifests from before, the rows are the same.
    old = {name: part for name, part in again.manifest.items() if name != "hypotheses"}
    assert replay(old, home=other_home).identical
    assert before.identical


def test_hypotheses_of_earlier_versions_leave_in_the_words_of_today(exported):
    _, home = exported
    [info] = list_bundles(home)
    store = Store(home=home)
    store.tag(info.digest, ["e001"], "hardest", source={"kind": "high loss", "quantile": 0.9})
    numbers = {"p": 0.01, "low": 0.2, "high": 0.4}
    for key, rule, said, low in (
        ("a", "width > 1", "refused", -0.9),
        ("b", "width > 1", "refused", -0.1),
        ("c", "width > 1", "supported", 0.2),
        ("d", "correct = no", "supported", 0.2),
        ("e", "tagged hardest", "supported", 0.2),
    ):
        verdict = numbers | {"verdict": said, "low": low, "high": low + 0.2}
        card = {"sentence": key, "rule": rule, "source": None, "verdict": verdict}
        store.write_hypothesis(info.digest, key, card)
    told = export_flagged(open_bundle(info.digest, home), store).manifest["hypotheses"]
    assert {card["key"]: card["verdict"]["verdict"] for card in told} == {
        "a": "contradicted",
        "b": "not shown",
        "c": "supported",
        "d": "circular",
        "e": "circular",
    }


@pytest.mark.parametrize("cards", [{}, [1], [{}], [{"sentence": 1}]])
def test_hypotheses_of_a_manifest_are_checked(exported, cards):
    export, other_home = exported
    with pytest.raises(InputError, match="hypotheses"):
        replay(export.manifest | {"hypotheses": cards}, home=other_home)
