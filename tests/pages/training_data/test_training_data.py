"""The page about training examples, on a mark that goes with the class in training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from backend.bundle import Bundle, import_bundle, open_bundle, write_bundle
from pages.components.shared import services
from tests.backend.tasks.test_tasks_attribution import N_TRAIN, N, fields
from tests.pages.test_pages import APP, ended, texts


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("training") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ERRORSCOPE_HOME", str(folder))
        st.cache_resource.clear()
        yield folder
        services.jobs().close()
        services.store().close()
        st.cache_resource.clear()


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
    at.run()
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
