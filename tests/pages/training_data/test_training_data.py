"""The page about training examples, on a mark that goes with the class in training."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from backend.bundle import Bundle, import_bundle, open_bundle, write_bundle
from backend.bundle.training import training_of
from backend.core.errors import InputError
from backend.export import export_training
from backend.retraining import retrain
from backend.retraining.harness import place_of
from pages.components.shared import services
from tests.backend.retraining.test_retraining import KS, problem, small
from tests.backend.tasks.test_tasks_attribution import N_TRAIN, N, fields
from tests.pages.running import APP, ended, texts


def imported(folder: Path, **given: Any) -> Bundle:
    write_bundle(folder / "run.npz", **given)
    return open_bundle(import_bundle(folder / "run.npz").digest)


@pytest.fixture(scope="module")
def marked(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return imported(tmp_path_factory.mktemp("upload"), **fields())


def opened(bundle: Bundle, **query: str) -> AppTest:
    at = AppTest.from_file(APP, default_timeout=60)
    for name, value in {"bundle": bundle.digest[:12], **query}.items():
        at.query_params[name] = value
    at.switch_page("pages/training_data.py").run()
    return ended(at)


def given_to(at: AppTest, name: str) -> list[dict[str, Any]]:
    """What each component of this name was given."""
    found = [one.proto for one in at.get("bidi_component") if one.proto.component_name == name]
    return [dict(json.loads(one.json or one.mixed.json)) for one in found]


def table_with(at: AppTest, column: str) -> Any:
    """The table on screen that has this column."""
    return next(one.value for one in at.dataframe if column in one.value)


def said(at: AppTest) -> str:
    assert not at.exception, [element.message for element in at.exception]
    return texts(at).replace("\\", "").replace("⁠", "")


def test_the_first_view_is_about_the_worst_group(marked: Bundle) -> None:
    at = opened(marked)
    words = said(at)
    assert "the worst group: " in words and "mark = " in words
    assert "Two random halves of the examples rank the training examples" in words
    assert "Exact for its 7 parameters" in words
    assert [one.value for one in at.subheader] == ["Most harmful", "Most helpful"]
    assert "Pick training examples" in words


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"about": "groups"}, "groups of label and mark · 4 groups"),
        ({"about": "pseudo"}, "groups of its own · 4 groups"),
        ({"about": "rows", "harmed": "mistakes"}, "all mistakes"),
        ({"about": "rows", "harmed": "tag:odd"}, "tag: odd · 5 examples"),
        ({"about": "rows", "harmed": "example", "example": "7"}, "example 7 · 1 example"),
        ({"about": "rows", "harmed": "example", "example": "none"}, "There is no example none"),
    ],
)
def test_every_question_has_an_answer(
    home: Path, marked: Bundle, query: dict[str, str], expected: str
) -> None:
    services.store().tag(marked.digest, marked.ids[:5].tolist(), "odd", author="Bob")
    assert expected in said(opened(marked, **query)).replace("**", "")


def test_subpopulations_and_removal_say_what_is_taken(marked: Bundle) -> None:
    at = opened(marked, about="groups", split="mark", training_part="Subpopulations")
    said(at)
    table = table_with(at, "negative")
    assert len(table) == 4 and table["training examples"].sum() == N_TRAIN
    assert (np.diff(table["mean"]) >= 0).all()
    at = opened(marked, about="groups", training_part="Removal")
    assert "30 of 600 training examples would be left out" in said(at).replace("**", "")
    assert table_with(at, "left out")["left out"].sum() == 30
    at = ended(at.button_group(key="training_way").set_value("sign").run())
    assert table_with(at, "left out")["left out"].sum() > 30


def test_scores_that_do_not_repeat_show_no_examples(home: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    given = fields()
    del given["train"]
    noise = {
        "train_features": rng.normal(size=(1, N_TRAIN, 8)),
        "target_features": rng.normal(size=(1, N, 8)),
        "train_residuals": rng.random((1, N_TRAIN)),
    }
    at = opened(imported(tmp_path, **given, **noise))
    words = said(at)
    assert "Two projections agree to" in words and "none are shown" in words
    assert not at.subheader


def test_without_training_examples_it_says_what_is_needed(home: Path, tmp_path: Path) -> None:
    given = fields()
    del given["train"]
    words = said(opened(imported(tmp_path, **given)))
    assert "train/embeddings" in words and "attribution/train_features" in words


def test_the_number_to_remove_is_searched_for_and_taken(marked: Bundle) -> None:
    at = opened(marked, about="groups", training_part="Removal")
    at = ended(at.button(key="training_search").click().run())
    words = said(at).replace("**", "")
    assert "On the 150 examples that choose, leaving out" in words
    table = table_with(at, "as many by lot")
    assert table["left out"].tolist() == [0, 8, 15, 30, 60, 120, 240]
    number = int(at.button(key="training_take").label.removeprefix("Take "))
    assert number in table["left out"].tolist() and number != 30
    at = ended(at.button(key="training_take").click().run())
    assert f"{number} of 600 training examples would be left out" in said(at).replace("**", "")


def test_what_retraining_bought_is_shown(home: Path, marked: Bundle, monkeypatch: Any) -> None:
    def retrained(*recipes: str) -> None:
        folder = place_of(problem(), marked.digest, candidates=KS)
        retrain(problem(), folder, recipes=recipes, seeds=2, candidates=KS, made_from=marked.digest)

    retrained("reweighting")
    at = opened(marked, training_part="Retraining")
    assert "balanced by reweighting" in table_with(at, "group labels seen")["recipe"].tolist()
    assert "The curve shows" not in {one.label for one in at.segmented_control}  # there is none
    retrained("d3m", "random")
    monkeypatch.setenv("ERRORSCOPE_RETRAIN", f"{small.__module__}:small")
    at = opened(marked, training_part="Retraining", measured_by="balanced")
    words = said(at)
    assert "tiny: 240 training examples" in words and "80 others, which had no part" in words
    assert at.button(key="retraining_start").label == "Retrain and compare"
    table = table_with(at, "group labels seen")
    assert table["recipe"].tolist() == [
        "nothing removed",
        "D3M",
        "random removed",
        "balanced by reweighting",
    ]
    assert "● D3M · ◇ random removed" in words
    assert "The curve shows" in {one.label for one in at.segmented_control}
    assert table["change"][1].count(" points (") == 1 and table["change"][0] == "–"
    curve = table_with(at, "balanced_low")
    assert set(curve["left out"]) == {0, 10, 40} and curve["balanced"].between(0, 1).all()
    at = ended(at.button(key="retraining_start").click().run())
    assert "the problem must hold out the examples of the bundle: got 160 for 300" in said(at)


def test_training_examples_are_tagged_by_key_and_bar_undone_and_taken_away(
    home: Path, marked: Bundle
) -> None:
    training = training_of(marked)
    assert training is not None and training.digest != marked.digest
    store, one = services.store(), str(training.ids[3])
    at = opened(marked)
    action = {"kind": "tag", "ids": [one], "tag": "noisy", "digit": "1"}
    at.session_state["training_harmful_keys"] = {
        "queue": {
            "instance": "a browser's own",
            "sent": 1,
            "items": [{"n": 1, "operation": "o1", "bundle": training.digest, **action}],
        },
        "opened": None,
    }
    ended(at.run())
    [event] = store.events(training.digest, kind="tag")
    assert event.ids == (one,) and event.source["from"]["kind"] == "training"
    store.tag(training.digest, training.ids[:60].tolist(), "noisy", author="Bob")
    at = opened(marked, training_part="Tagged")
    words = said(at)
    assert "60 training examples, the most harmful first; 48 are shown" in words
    lines = export_training(training, store).csv.decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(lines)))
    assert [int(row["row"]) for row in rows] == list(range(60))
    assert rows[3]["author"] == "local" and {row["mark"] for row in rows} == {"on", "off"}
    at = ended(at.button(key="undo").click().run())
    assert store.tags(training.digest)["author"].unique().tolist() == ["Bob"]
    assert "noisy" not in set(store.tags(marked.digest)["tag"])
    store.undo(training.digest, "Bob")
    with pytest.raises(InputError, match="no training example is tagged"):
        export_training(training, store)


def test_the_training_examples_of_highest_loss_are_shown(home: Path, tmp_path: Path) -> None:
    given = fields()
    given["train"]["losses"] = np.arange(N_TRAIN) % 500  # ties by row
    bundle = imported(tmp_path, **given)
    assert "train/losses" not in bundle.unused()
    at = opened(bundle, training_part="Highest loss")
    assert f"The 48 training examples of highest loss of {N_TRAIN}" in said(at)
    [tiles] = [
        one["items"]
        for one in given_to(at, "errorscope_gallery")
        if one["label"].startswith("Highest")
    ]
    assert [one["id"] for one in tiles[:2]] == ["t499", "t498"]
    assert tiles[0]["weight"] == "loss 499"


def test_an_open_example_shows_the_training_examples_behind_it(home: Path, marked: Bundle) -> None:
    at = AppTest.from_file(APP, default_timeout=60)
    at.query_params["bundle"] = marked.digest[:12]
    at.query_params["quantile"] = "20.0"
    at.query_params["view"] = "Members"
    ended(at.switch_page("pages/hardest.py").run())
    at.session_state["_example"] = {"gallery": "gallery", "at": 0}
    ended(at.run())
    [item] = given_to(at, "errorscope_example")
    row = int(marked.places([item["id"]])[0])
    at = ended(at.toggle(key="gallery_causes_wanted").set_value(True).run())
    words = said(at).replace("**", "")
    assert "Influence of the last layer. Without a projection" in words
    assert "Most harmful" in words and "Most helpful" in words
    wanted = {"question": "rows", "method": "influence", "rows": [row]}
    job = services.ask("attribution", marked.digest, **wanted)  # the page has the same result
    scores = job.result()["scores"]
    harmful, helpful = (
        one["items"]
        for one in given_to(at, "errorscope_gallery")
        if one["label"].endswith("training examples")
    )
    order = np.argsort(scores, kind="stable")
    training = training_of(marked)
    assert training is not None
    assert [one["id"] for one in harmful] == training.ids[order[:8]].tolist()
    assert [one["id"] for one in helpful] == training.ids[order[::-1][:8]].tolist()
