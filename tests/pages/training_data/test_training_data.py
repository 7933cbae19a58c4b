"""The page about training examples, on a mark that goes with the class in training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from backend.bundle import Bundle, import_bundle, open_bundle, write_bundle
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
    assert "Pick a training example" in words


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
    retrain(
        problem(),
        place_of(problem(), marked.digest, candidates=KS),
        recipes=["d3m", "random"],
        seeds=2,
        candidates=KS,
        made_from=marked.digest,
    )
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
    ]
    assert "● D3M · ◇ random removed" in words
    curve = table_with(at, "balanced_low")
    assert set(curve["left out"]) == {0, 10, 40} and curve["balanced"].between(0, 1).all()
    at = ended(at.button(key="retraining_start").click().run())
    assert "the problem must hold out the examples of the bundle: got 160 for 300" in said(at)
