"""The page of difficulty: every score a bundle can give, errors by it, both ends, the two long tails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from backend.bundle import Bundle, open_bundle
from backend.difficulty import accuracy_without_hardest, class_extremes, error_by_decile
from backend.scores import hardest_rows, known_scores, score_values, values
from pages.components.hardest import score, tails
from pages.components.hardest.tails import apart
from pages.components.shared import services
from tests.pages.population_bundles import fields, kept
from tests.pages.running import APP, ended

N = 240


def hard() -> dict[str, Any]:
    """Everything a score can be made of."""
    rng = np.random.default_rng(5)
    return fields(N) | {
        "gradients": rng.normal(size=(6, N, 4)),
        "msp/none": rng.random((N, 5)),
        "msp/targeted": rng.random((N, 5)),
        "train/msp": rng.random((30, 5)),
        "train/flipped": np.arange(30) % 5 == 0,
    }


@pytest.fixture(scope="module")
def digests(home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("bundle")
    bare = {name: hard()[name] for name in ("embeddings", "losses")}
    return {"full": kept(folder, "full", **hard()), "bare": kept(folder, "bare", **bare)}


def opened(digest: str, **query: str) -> AppTest:
    at = AppTest.from_file(APP, default_timeout=60)
    at.query_params["bundle"] = digest
    for name, value in query.items():
        at.query_params[name] = value
    at.switch_page("pages/hardest.py").run()
    return fine(at)


def fine(at: AppTest) -> AppTest:
    assert not at.exception, [element.message for element in at.exception]
    return at


def texts(at: AppTest) -> str:
    kinds = ("markdown", "caption", "info", "warning", "error", "text", "subheader")
    return "\n".join(str(element.value) for kind in kinds for element in at.get(kind))


def bundle_of(digest: str) -> Bundle:
    return open_bundle(next(one for one in services.known_bundles() if one.startswith(digest)))


def table(at: AppTest, column: str) -> pd.DataFrame:
    return next(one.value for one in at.dataframe if column in one.value.columns)


def test_every_score_of_the_bundle_ranks_the_same_gallery(digests: dict[str, str]) -> None:
    bundle = bundle_of(digests["full"])
    at = opened(digests["full"], view="Table", quantile="10.0")
    names = list(known_scores(bundle))
    assert at.selectbox(key="score").options == [one.title for one in known_scores(bundle).values()]
    for name in names:
        at.selectbox(key="score").set_value(name).run()
        shown = table(fine(at), "weight")
        rows = hardest_rows(bundle, name, 0.9)
        assert shown["id"].tolist() == bundle.ids[rows].tolist(), name
        np.testing.assert_allclose(shown[name], score_values(bundle, name)[rows])
        assert f"**{len(rows)}** examples" in texts(at)


@pytest.mark.parametrize("name", ["vog", "confidence over training, none"])
def test_errors_by_score_are_those_of_the_functions(digests: dict[str, str], name: str) -> None:
    bundle = bundle_of(digests["full"])
    at = opened(digests["full"], score=name, part_of_hardest="Errors by score")
    sign = -1 if name.startswith("conf") else 1
    difficulty = sign * score_values(bundle, name)
    deciles = table(at, "decile")
    twin = error_by_decile(difficulty, ~bundle.correct)
    np.testing.assert_allclose(deciles["error"], twin["error"])
    np.testing.assert_allclose(deciles["score_from"], sign * twin["score_from"])
    left = table(at, "n_left_out")
    np.testing.assert_allclose(
        left["accuracy"], accuracy_without_hardest(difficulty, bundle.correct)["accuracy"]
    )
    assert ("by construction" in texts(at)) == (sign < 0)


def test_both_ends_of_a_class_are_shown_and_can_be_tagged(digests: dict[str, str]) -> None:
    bundle = bundle_of(digests["full"])
    at = opened(digests["full"], score="vog", part_of_hardest="Ends of a class", **{"class": "dog"})
    lowest, highest = class_extremes(score_values(bundle, "vog"), bundle.label_names, "dog")
    for key, rows in (("gallery_easiest", lowest), ("gallery_hardest", highest)):
        items = next(one for one in at.get("bidi_component") if key in str(one.proto.id))
        assert all(str(one) in str(items.proto) for one in bundle.ids[rows[:3]])
    assert "Tag hardest of dog · 25" in [one.label for one in at.button]


def test_a_slow_score_is_a_workers_and_is_then_a_rule_here(
    digests: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    services.opened.clear()
    monkeypatch.setattr(values, "SLOW", 10)
    kept_here: dict[str, np.ndarray] = {}

    def keep(bundle: Bundle, name: str, made: np.ndarray) -> None:
        kept_here[name] = np.array(made)
        values.keep_values(bundle, name, made)

    monkeypatch.setattr(score, "keep_values", keep)
    at = opened(digests["full"], score="vog late")
    assert "VoG, late of" in texts(ended(at))
    bundle = bundle_of(digests["full"])
    np.testing.assert_allclose(kept_here["vog late"], score_values(bundle, "vog late"))


def test_what_is_missing_is_said_with_the_field_it_needs(digests: dict[str, str]) -> None:
    at = opened(digests["bare"], part_of_hardest="Errors by score")
    said = texts(at)
    for needed in ("gradients (checkpoints, n, …)", "msp/<variant>", "populations/baseline"):
        assert needed in said
    assert at.selectbox(key="score").options == ["Loss"]
    assert "needs labels and predictions" in said and "mean_loss" in table(at, "decile").columns
    at = opened(digests["bare"], part_of_hardest="Two long tails")
    assert "`train/msp` (training examples, epochs)" in texts(at)


def test_the_long_tails_are_reviewed_by_key(digests: dict[str, str]) -> None:
    bundle = bundle_of(digests["full"])
    at = opened(digests["full"], part_of_hardest="Two long tails")
    first = str(bundle.ids[least(bundle)[0]])
    assert first in texts(at) and "Review** · 0 of 48 answered" in texts(at)
    at.button(key="tails_atypical").click().run()
    assert "1 of 48 answered" in texts(fine(at)) and "atypical 1" in texts(at)
    assert list(services.known().tags(bundle.digest)["id"]) == [first]
    at.button(key="tails_undo").click().run()
    assert "0 of 48 answered" in texts(fine(at))


def least(bundle: Bundle) -> np.ndarray:
    msp = np.asarray(bundle.msp["none"])
    rows = np.sort(np.argsort(msp[:, -1], kind="stable")[: N // 5])
    return rows[np.argsort(msp[rows].mean(axis=1), kind="stable")]


def test_precision_stands_beside_prevalence_where_a_column_knows(digests: dict[str, str]) -> None:
    at = opened(digests["full"], part_of_hardest="Two long tails", tails_of="training set")
    at.selectbox(key="tails_truth").set_value("flipped").run()
    shown = table(fine(at), "prevalence")
    assert set(shown["prevalence"]) == {0.2} and set(shown["subset"]) == {"flipped"}
    assert len(table(at, "candidate")) == 6  # a fifth of the training set, which has no pictures


def test_names_at_the_ends_of_lines_do_not_meet() -> None:
    ends = [0.5, 0.51, 0.1, 0.5]
    places = apart(ends)
    assert places[2] == 0.1 and min(np.diff(sorted(places))) > 0.05
    assert all(place >= end for place, end in zip(places, ends, strict=True))


def test_long_tails_of_many_rows_are_a_workers(
    digests: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"part_of_hardest": "Two long tails", "tails_of": "examples"}
    here = table(opened(digests["full"], **asked), "mean_msp")
    monkeypatch.setattr(tails, "INLINE_CELLS", 10)
    at = opened(digests["full"], **asked)
    pd.testing.assert_frame_equal(table(ended(at), "mean_msp"), here)
    assert "answered by" in texts(at)
