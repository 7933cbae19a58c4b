"""The task that asks which training examples cause it, on a mark that goes with the class in training."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from backend.attribution import default_regularizer, group_alignment, trak_scores
from backend.bundle import read_bundle, write_bundle
from backend.bundle.training import training_of
from backend.core.errors import InputError
from backend.core.parts import deal
from backend.core.progress import ignore_progress
from backend.tasks import complete_options
from backend.tasks.attribution import attributable, run_attribution
from backend.tasks.removal import (
    KEPT,
    MANIFEST,
    REMOVED,
    RemovalRule,
    grouping_of_training,
    removal_by,
    removal_files,
    replay_removal,
    subpopulations,
)
from backend.tasks.removal_search import run_removal_search
from backend.tasks.task import no_parts

N_TRAIN, N, D = 600, 300, 6


def examples(rng, n, share):
    """Labels, marks and embeddings: one dimension says the class weakly, another the mark."""
    labels = rng.integers(0, 2, n)
    marks = np.where(rng.random(n) < share, labels, 1 - labels)
    x = rng.normal(size=(n, D)).astype(np.float32)
    x[:, 0] += 1.0 * (2 * labels - 1)
    x[:, 1] += 2.5 * (2 * marks - 1)
    return x, labels, marks


def fields():
    """A model that goes by the mark, fitted by hand: the mark counts four times the class."""
    rng = np.random.default_rng(0)
    x, labels, marks = examples(rng, N_TRAIN, 0.95)
    z, own, own_marks = examples(rng, N, 0.5)
    names = np.array(["left", "right"])
    w = np.zeros(D)
    for _ in range(60):
        p = 1 / (1 + np.exp(-x @ w))
        w += np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + np.eye(D), x.T @ (labels - p) - w)
    pair = [np.column_stack([1 - p, p]) for p in (1 / (1 + np.exp(-one @ w)) for one in (x, z))]
    return {
        "embeddings": z,
        "labels": names[own],
        "predictions": names[pair[1].argmax(1)],
        "probabilities": pair[1],
        "classes": names,
        "examples": {"mark": np.array(["off", "on"])[own_marks]},
        "train": {
            "embeddings": x,
            "labels": names[labels],
            "probabilities": pair[0],
            "mark": np.array(["off", "on"])[marks],
            "images": (rng.random((N_TRAIN, 5, 4)) * 255).astype(np.uint8),
            "ids": np.array([f"t{row}" for row in range(N_TRAIN)]),
        },
    }


def read(tmp_path, **given):
    write_bundle(tmp_path / "run.npz", **given)
    return read_bundle(tmp_path / "run.npz")


def asked(bundle, **options):
    return run_attribution(
        bundle, complete_options("attribution", options), ignore_progress, no_parts
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return read(tmp_path_factory.mktemp("run"), **fields())


def minority(bundle):
    return (bundle.train["mark"] == "on") != (bundle.train["labels"] == "right")


@pytest.mark.parametrize("probabilities", [True, False])
def test_what_helps_the_worst_groups_is_what_goes_against_the_mark(tmp_path, probabilities):
    given = fields()
    if not probabilities:
        del given["train"]["probabilities"]
    bundle = read(tmp_path, **given)
    assert attributable(bundle).methods == ("influence",)
    arrays, meta = asked(bundle, columns=["mark"])
    assert arrays["scores"].shape == (N_TRAIN,) and meta["n_train"] == N_TRAIN
    against = minority(bundle)
    best = np.argsort(-arrays["scores"])[:20]
    assert against.mean() < 0.1 and against[best].mean() > 0.7
    worst = {one["name"]: one for one in meta["groups"]}
    assert set(worst) == {f"{a} · mark = {b}" for a in ("left", "right") for b in ("on", "off")}
    assert worst["left · mark = on"]["accuracy"] < 0.5 < worst["left · mark = off"]["accuracy"]
    assert worst["left · mark = on"]["weight"] > 2 * worst["left · mark = off"]["weight"]
    np.testing.assert_allclose(sum(one["weight"] for one in meta["groups"]), 1)
    told = " ".join(meta["how"])
    assert "Exact for its 7 parameters" in told and ("fitted anew" in told) != probabilities
    assert meta["agreement"]["of"] == "halves" and meta["agreement"]["correlation"] > 0.8
    assert arrays["shown"][0] == arrays["scores"].argmin() and len(arrays["shown"]) == 96


def test_the_examples_a_training_example_acts_on_are_of_the_group(bundle):
    rows = np.flatnonzero((bundle.examples["mark"] == "on") & (bundle.labels == "left"))
    arrays, meta = asked(bundle, question="rows", rows=rows.tolist())
    assert np.isin(arrays["acted_on"], rows).all() and arrays["acted_on"].shape == (96, 3)
    assert set(np.flatnonzero(arrays["groups"] == 0)) == set(rows)
    assert meta["groups"][0]["n"] == len(rows) and meta["groups"][0]["weight"] == 1
    best = np.argsort(-arrays["scores"])[:10]
    assert minority(bundle)[best].mean() > 0.7


def test_pseudo_groups_find_the_mark_without_being_told(bundle):
    arrays, meta = asked(bundle, question="pseudo")
    found = arrays["groups"] % 2 == 1  # every class has both
    conflict = (bundle.examples["mark"] == "on").to_numpy() != (bundle.labels == "right")
    assert found.mean() == pytest.approx(0.35, abs=0.01)
    assert conflict[found].mean() > 0.95 and conflict[~found].mean() < 0.3
    assert meta["classes"] == ["left", "right"] and meta["explained"][0][0] > 0.3
    assert len(arrays["projections"]) == N
    other, _ = asked(bundle, question="pseudo", component={"left": 1})
    left = bundle.labels == "left"
    assert (other["groups"][left] != arrays["groups"][left]).any()
    np.testing.assert_array_equal(other["groups"][~left], arrays["groups"][~left])


def test_stored_features_are_scored_with_a_regulariser_and_two_projections(tmp_path):
    given, rng = fields(), np.random.default_rng(1)
    features = rng.normal(size=(2, N_TRAIN, 8)), rng.normal(size=(2, N, 8))
    residuals = rng.random((2, N_TRAIN))
    named = {"train_features": features[0], "target_features": features[1]}
    bundle = read(tmp_path, **given, **named, train_residuals=residuals)
    assert attributable(bundle).methods == ("influence", "trak")
    arrays, meta = asked(bundle, method="trak", columns=[])
    scores = trak_scores(*features, residuals, regularizer=default_regularizer(features[0]))
    expected = group_alignment(scores, bundle.labels, bundle.losses)
    np.testing.assert_allclose(arrays["scores"], expected.scores, atol=1e-6)
    assert meta["agreement"]["of"] == "projections"
    assert abs(meta["agreement"]["correlation"]) < 0.3  # the features are noise
    assert "2 checkpoints, 8 features" in meta["how"][0] and "Regularised by 0.1" in meta["how"][1]


def test_scores_and_names_of_other_uploads_are_taken(tmp_path):
    given, rng = fields(), np.random.default_rng(1)
    scores = rng.normal(size=(40, N))
    del given["train"]
    bundle = read(tmp_path, **given, attribution=scores)
    arrays, meta = asked(bundle, question="rows", rows=[3, 5])
    np.testing.assert_allclose(arrays["scores"], scores[:, [3, 5]].mean(1), rtol=1e-6)
    assert meta["method"] == "scores" and training_of(bundle).n == 40
    np.savez(
        tmp_path / "nested.npz", embeddings=given["embeddings"], losses=np.zeros(N),
        **{
            "attribution/train_features": rng.normal(size=(1, 40, 2)),
            "attribution/target_features": rng.normal(size=(1, N, 2)),
            "attribution/train_residuals": np.full((1, 40), 0.5),
        },
    )  # fmt: skip
    assert attributable(read_bundle(tmp_path / "nested.npz")).methods == ("trak",)


def test_a_last_layer_of_many_parameters_is_projected(bundle, monkeypatch):
    monkeypatch.setattr("backend.tasks.attribution.EXACT", 5)
    arrays, meta = asked(bundle, columns=["mark"])
    assert "7 parameters are projected to 150" in " ".join(meta["how"])
    assert meta["agreement"]["of"] == "projections" and meta["agreement"]["correlation"] > 0.9
    assert minority(bundle)[np.argsort(-arrays["scores"])[:20]].mean() > 0.7


def test_training_examples_say_what_they_are(bundle):
    training = training_of(bundle)
    assert training.ids[:2].tolist() == ["t0", "t1"] and set(training.columns) == {"mark"}
    assert training.thumbnail(3)[:4] == b"\x89PNG" and training.texts is None
    assert training.label_codes.tolist() == (bundle.train["labels"] == "right").tolist()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "trak"}, r"TRAK needs attribution/train_features and"),
        ({"method": "scores"}, r"Scores of the bundle needs attribution"),
        ({"columns": ["age"]}, r"there is no column 'age'"),
        ({"question": "rows"}, r"rows must name at least one example"),
        ({"question": "rows", "rows": [N]}, r"rows must be below 300: got 300"),
        ({"question": "why"}, r"question must be one of"),
        ({"component": 9}, r"component must be a whole number from 0 to 4"),
        ({"beta": -1}, r"beta must be 0 or more"),
        ({"columns": "mark"}, r"columns must be a list"),
    ],
)
def test_what_cannot_be_asked_is_refused(bundle, options, said):
    with pytest.raises(InputError, match=said):
        asked(bundle, **options)


def test_a_bundle_without_training_examples_says_what_it_needs(tmp_path):
    given = fields()
    del given["train"]
    bare = read(tmp_path, **given)
    assert training_of(bare) is None and attributable(bare).methods == ()
    assert attributable(bare).missing["influence"] == "train/embeddings and train/labels"
    with pytest.raises(InputError, match="It needs train/embeddings and train/labels, or"):
        asked(bare)
    given = fields()
    given["train"] = {**given["train"], "labels": np.full(N_TRAIN, "up")}
    with pytest.raises(InputError, match="row 0 is 'up'"):
        asked(read(tmp_path, **given))


# --- removal --------------------------------------------------------------------------------------


def test_lists_of_a_removal_can_be_made_again_from_the_manifest(bundle):
    options = complete_options("attribution", {"columns": ["mark"]})
    arrays, _ = asked(bundle, columns=["mark"])
    training, scores = training_of(bundle), arrays["scores"]
    worst = subpopulations(training, scores, "mark").iloc[0]
    rules = [
        RemovalRule(),
        RemovalRule("number", number=25),
        RemovalRule("subpopulations", column="mark", cells=((worst.label, worst.annotation),)),
    ]
    for rule in rules:
        files = removal_files(bundle, scores, options, rule)
        removed, kept = (pd.read_csv(io.BytesIO(files[name])) for name in (REMOVED, KEPT))
        assert sorted([*removed["row"], *kept["row"]]) == list(range(N_TRAIN))
        assert removed["score"].is_monotonic_increasing and kept["row"].is_monotonic_increasing
        assert removed["id"].tolist() == [f"t{row}" for row in removed["row"]]
        assert replay_removal(files[MANIFEST], bundle) == files
    assert len(removed) == worst.n and set(removed["label"]) == {worst.label}
    assert removed["score"].mean() == pytest.approx(worst["mean"], rel=1e-4)
    told = json.loads(files[MANIFEST])
    for change, words in (
        ({"format": "x"}, "its format is 'x'"),
        ({"bundle": {"digest": "0" * 64}}, "the manifest is of bundle 000000000000"),
        ({"task": {**told["task"], "version": 0}}, "of version 0"),
        ({"sha256": {}}, "come out otherwise"),
        ({"rule": None}, "no manifest of a removal"),
    ):
        with pytest.raises(InputError, match=words):
            replay_removal(json.dumps(told | change).encode(), bundle)


def test_ids_that_a_spreadsheet_could_run_are_made_harmless(tmp_path):
    given = fields()
    given["train"]["ids"] = np.array([f"=cmd({row})" for row in range(N_TRAIN)])
    bundle = read(tmp_path, **given)
    arrays, _ = asked(bundle)
    options = complete_options("attribution", {})
    files = removal_files(bundle, arrays["scores"], options, RemovalRule("number", number=3))
    lines = files[REMOVED].decode().splitlines()
    assert len(lines) == 4 and all(",'=cmd(" in line for line in lines[1:])


def test_no_class_is_emptied_and_numbers_are_cut_into_ranges(tmp_path):
    given = fields()
    given["train"]["age"] = np.arange(N_TRAIN) * 1.5
    given["train"]["constant"] = np.zeros(N_TRAIN)
    bundle = read(tmp_path, **given)
    training, scores = training_of(bundle), np.linspace(-1, 1, N_TRAIN)
    assert grouping_of_training(training) == ["mark", "age"]
    table = subpopulations(training, scores, "age")
    assert len(table) == 8 and table["n"].sum() == N_TRAIN
    with pytest.raises(InputError, match="class 'left' would lose all"):
        removal_by(training, scores, RemovalRule("subpopulations", cells=(("left", ""),)))
    with pytest.raises(InputError, match="no column 'name' of the training"):
        subpopulations(training, scores, "name")


def test_the_number_to_remove_is_chosen_without_the_half_that_reports(tmp_path):
    whole = read_bundle(write_bundle(tmp_path / "run.npz", **fields()))
    reports = (
        deal(N, key=f"removal {whole.digest}", shares=(1, 1), labels=whole.label_codes + 1) == 1
    )
    found = {}
    for question in ("groups", "pseudo", "rows"):
        rows = np.flatnonzero(whole.examples["mark"] == "on").tolist()
        asked = {
            "question": question,
            "columns": ["mark"],
            "rows": rows if question == "rows" else [],
        }
        options = complete_options("removal_search", asked)
        found[question] = run_removal_search(whole, options, ignore_progress, no_parts)[1]
    for meta in found.values():
        lines = meta["lines"]
        scores = [one["chooses"] for one in lines]
        assert meta["best"] == lines[int(np.argmax(scores))]["removed"] and len(lines) == 7
    best = max(one["worst"] for one in found["groups"]["lines"])
    assert best > found["groups"]["lines"][0]["worst"] + 0.1
    assert best > max(one["random"] or 0 for one in found["groups"]["lines"])
    other = replace(
        whole, embeddings=np.where(reports[:, None], -whole.embeddings, whole.embeddings)
    )
    again = run_removal_search(
        other, complete_options("removal_search", {"question": "pseudo"}), ignore_progress, no_parts
    )[1]
    assert [one["chooses"] for one in again["lines"]] == [
        one["chooses"] for one in found["pseudo"]["lines"]
    ]
    assert [one["worst"] for one in again["lines"]] != [
        one["worst"] for one in found["pseudo"]["lines"]
    ]
    few = complete_options("removal_search", {"question": "rows", "rows": [0, 1]})
    small = run_removal_search(whole, few, ignore_progress, no_parts)[1]
    assert (small["measured"], small["small"]) == (1, 1)
