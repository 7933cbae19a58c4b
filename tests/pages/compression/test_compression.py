"""The compression page: all interventions, votes, attributes, classes, subgroups, the review."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from backend.bundle import open_bundle
from backend.core.statistics import Interval
from backend.export import export_flagged
from backend.populations import (
    Payer,
    accuracy_change,
    class_change,
    pie_accuracy,
    select_pies,
    who_pays,
)
from pages.components.compression.payers import overall_words, payer_words
from pages.components.shared import populations, services
from tests.pages.population_bundles import HOSTILE, awkward, fields, kept
from tests.pages.running import APP, LONGEST_S, components, while_it_works

PARTS = ("Overview", "Levels", "Examples", "Attributes", "Classes", "Subgroups", "Review")
Open = Callable[..., AppTest]


@pytest.fixture(scope="module")
def digest(home: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return kept(tmp_path_factory.mktemp("bundle"), "plain", **fields())


def opened(digest: str, **query: str) -> AppTest:
    at = AppTest.from_file(APP, default_timeout=60)
    at.query_params["bundle"] = digest
    for name, value in query.items():
        at.query_params[name] = value
    at.switch_page("pages/compression.py").run()
    assert not at.exception, [element.message for element in at.exception]
    return at


def texts(at: AppTest) -> str:
    kinds = ("markdown", "caption", "info", "warning", "error", "text", "subheader", "code")
    return "\n".join(str(element.value) for kind in kinds for element in at.get(kind))


def full(digest: str) -> str:
    return next(one for one in services.known_bundles() if one.startswith(digest))


def until(at: AppTest, there: Callable[[], bool]) -> None:
    """Run again until it is there, or some minutes have passed."""
    deadline = time.monotonic() + LONGEST_S
    while not there() and time.monotonic() < deadline:
        while_it_works()
        at.run()
    assert there()


def table(at: AppTest, *columns: str) -> pd.DataFrame:
    """The last table on the page that has these columns."""
    return [one.value for one in at.dataframe if set(columns) <= set(one.value.columns)][-1]


def test_the_overview_holds_every_intervention(digest: str) -> None:
    at = opened(digest)
    shown = table(at, "population", "PIE", "models", "PIE share").set_index("population")
    assert shown.index.tolist() == ["pruned-50", "pruned-90"]  # in order of their level
    bundle = open_bundle(full(digest))
    before, after = bundle.populations["baseline"], bundle.populations["pruned-90"]
    pies = select_pies(before, after, bundle.labels)
    twin = pie_accuracy(before, after, bundle.labels, pies.mask).set_index(["population", "subset"])
    row = shown.loc["pruned-90"]
    assert row["PIE"] == pies.n_pies
    assert row["on PIE: before"] == pytest.approx(twin.loc[("baseline", "pie"), "accuracy"])
    assert row["on all examples: after"] == pytest.approx(
        twin.loc[("compressed", "all"), "accuracy"]
    )


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("kind", ["modal", "taxicab"])
def test_every_part_opens(digest: str, part: str, kind: str) -> None:
    at = opened(digest, part=part, kind=kind, intervention="pruned-90")
    assert not at.error


def test_attributes_the_changed_examples_share_come_first(digest: str) -> None:
    at = opened(digest, part="Attributes", intervention="pruned-90")
    shown = table(at, "p_adjusted", "attribute")
    first = shown.iloc[0]
    assert first["attribute"] == "place"
    assert shown["p"].is_monotonic_increasing
    far = shown[shown["value"] == "far"].iloc[0]
    assert far["ratio"] > 1.5 and far["p_adjusted"] < 0.001


def test_the_review_stores_answers_and_takes_them_back(digest: str) -> None:
    store = services.store()
    at = opened(digest, part="Review", intervention="pruned-90")
    shown = [at.text[1].value]
    at.button(key="review_atypical").click().run()
    shown.append(at.text[1].value)
    at.button(key="review_skip").click().run()
    at.button(key="review_noisy").click().run()
    assert shown[0] != shown[1]
    held = store.tags(full(digest))
    assert held["tag"].tolist() == ["atypical", "noisy"]
    assert held["id"].tolist()[0] == shown[0] and shown[1] not in held["id"].tolist()
    events = store.events(full(digest), kind="tag")
    kinds = {event.source["of"] for event in events}
    assert kinds <= {"pie", "random"} and all(event.source["kind"] == "review" for event in events)
    assert "2 of " in at.get("progress")[0].proto.text
    at.toggle(key="review_result").set_value(True).run()
    result = table(at, "answer", "kind")
    assert result["count"].sum() == 2
    at.button(key="review_undo").click().run()
    assert store.tags(full(digest))["tag"].tolist() == ["atypical"]
    at.run()
    assert table(at, "answer", "kind")["count"].sum() == 1
    at.button(key="review_ordinary").click().run()
    result = table(at, "answer", "kind")
    assert result["count"].sum() == 2
    assert result.loc[result["answer"] == "ordinary", "count"].sum() == 1
    assert "ordinary" in export_flagged(open_bundle(full(digest)), store).rows["tag"].tolist()
    at.button(key="review_undo").click().run()


def test_answers_of_the_review_say_nothing_of_the_models(digest: str) -> None:
    at = opened(digest, part="Review", intervention="pruned-90")
    said = texts(at).split("What is it?")[0].split("reviewed by")[-1]
    assert "models" not in said and "loss" not in said.split("accuracy")[-1].split("labelled")[-1]
    assert not components(at, "gallery")


@pytest.mark.parametrize("name", awkward())
@pytest.mark.parametrize("part", PARTS)
def test_awkward_bundles_get_a_sentence(home: Path, tmp_path: Path, name: str, part: str) -> None:
    at = opened(kept(tmp_path, "odd", **awkward()[name]), part=part)
    said = texts(at)
    assert not at.error
    if name == "nothing but losses":
        assert "holds no populations" in said
        assert at.button(key="demo_compression").label == "Open the demo bundle"
    elif name == "one population":
        assert "A second one is needed" in said
    elif name == "one model each":
        assert "is one model" in said
        if part == "Classes":
            assert "No test" in said
    elif name == "no labels" and part in ("Classes", "Subgroups"):
        assert "need" in said and "true labels" in said
    elif name == "identical populations" and part in ("Examples", "Attributes", "Review"):
        assert "nothing to" in said
    if name == "classes nobody says" and part == "Classes":
        assert "Without examples, so undefined: cow" in said


@pytest.mark.parametrize("part", [part for part in PARTS if part != "Review"])
def test_hostile_names_stay_text(home: Path, tmp_path: Path, part: str) -> None:
    digest = kept(tmp_path, "odd", **awkward()["hostile names"])
    at = opened(digest, part=part, intervention=HOSTILE.replace("/", "|"))
    for element in at.markdown:
        assert not re.search(r"(?<!\\)<img|(?<!\\)\]\(", element.value)
    charts = at.get("plotly_chart")
    assert charts
    for chart in charts:  # Plotly reads some tags in texts
        assert "<img" not in chart.proto.spec


def test_a_large_bundle_is_computed_by_a_worker(
    digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inline = table(opened(digest, part="Classes"), "normalized_change")
    monkeypatch.setattr(populations, "INLINE_CELLS", 0)
    at = opened(digest, part="Classes")
    until(at, lambda: any("normalized_change" in one.value for one in at.dataframe))
    shown = table(at, "normalized_change")
    numbers = [one.drop(columns="label").to_numpy(float) for one in (shown, inline)]
    assert numbers[0] == pytest.approx(numbers[1], nan_ok=True)
    assert shown["label"].tolist() == inline["label"].tolist()


def test_the_empty_page_opens_the_demo(home: Path, tmp_path: Path) -> None:
    at = opened(kept(tmp_path, "bare", **awkward()["nothing but losses"]))
    at.button(key="demo_compression").click().run()
    until(at, lambda: bool(at.tabs))
    assert not at.exception and [tab.label for tab in at.tabs] == list(PARTS)


def test_one_sentence_says_who_pays(digest: str) -> None:
    at = opened(digest, intervention="pruned-90")
    bundle = open_bundle(full(digest))
    sides = [bundle.populations[name] for name in ("baseline", "pruned-90")]
    overall = accuracy_change(*sides, bundle.labels)
    payer = who_pays(class_change(*sides, bundle.labels))
    said = next(one for one in at.markdown if "of accuracy overall" in one.value)
    plain = said.value.replace("\\", "")
    assert f"pruned-90 costs **{-100 * overall.value:.1f} points** of accuracy overall" in plain
    assert f"95\u00a0% interval {-100 * overall.high:.1f} to {-100 * overall.low:.1f}" in plain
    assert f"{-100 * payer.beyond.value:.1f} points behind the average" in plain
    assert "arXiv:1911.05248" in said.help
    # Rates do not depend on the class here, so nobody may be said to pay.
    assert payer.significant is ("pays most" in plain)


def test_the_sentence_is_honest_where_nothing_can_be_told() -> None:
    flat = Interval(-0.002, -0.008, 0.004)
    assert "no accuracy that could be told from chance" in overall_words("int8", flat)
    assert "95\u00a0% interval −0.4 to 0.8" in overall_words("int8", flat)
    assert "leaves the accuracy as it is" in overall_words("int8", Interval(0.0, 0.0, 0.0))
    assert "gains **1.0 points**" in overall_words("int8", Interval(0.01, 0.005, 0.015))
    assert "no interval" in overall_words("int8", Interval(-0.01, np.nan, np.nan))
    payer = Payer("Shirt", 1000, -0.041, Interval(-0.034, -0.047, -0.021), 0.003, 10, 1)
    sure = payer_words(payer)
    assert "Class **Shirt** pays most: its recall falls by **4.1 points**, 3.4 points" in sure
    assert "95\u00a0% interval 2.1 to 4.7" in sure and "only one of 10 classes" in sure
    unsure = payer_words(replace(payer, p_adjusted=0.21, n_paying=0))
    assert unsure.startswith("No class pays more than the average once 10 classes")
    untested = payer_words(replace(payer, p_adjusted=np.nan, n_tested=0, n_paying=0))
    assert "cannot be tested" in untested
    assert "<b>" not in payer_words(replace(payer, label="<b>x</b>"))


@pytest.fixture(scope="module")
def trained(home: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same with the columns of a training set in which "far" is rare."""
    given = fields() | {"train/place": np.array(["far"] * 5 + ["near"] * 95)}
    return kept(tmp_path_factory.mktemp("bundle"), "trained", **given)


def test_levels_stand_on_an_axis_of_numbers(digest: str) -> None:
    at = opened(digest, part="Levels")
    shown = table(at, "level", "measure", "value")
    assert not at.error
    drawn = json.loads(at.get("plotly_chart")[-1].proto.spec)["data"][0]
    assert drawn["mode"] == "lines+markers"
    every = pd.concat(
        [one.value for one in at.dataframe if {"level", "measure"} <= set(one.value.columns)]
    )
    pie = every[every["measure"] == "pie"].set_index("level")["value"]
    assert pie.index.tolist() == [0.0, 50.0, 90.0] and pie.is_monotonic_increasing
    assert set(every["measure"]) == {"pie", "on_pie", "on_others", "on_all", "classes"}
    assert len(shown) <= len(every)
    at.number_input(key=f"given_level_{digest[:6]}_0").set_value(20.0)
    at.text_input(key=f"given_line_{digest[:6]}_0").set_value("by hand")
    at.button(key="FormSubmitter:given_levels-Keep").click().run()
    by_hand = table(at, "level", "measure", "value")
    line = by_hand[by_hand["kind"] == "by hand"]
    assert line["level"].tolist() == [0.0, 20.0] and line["population"].iloc[1] == "pruned-50"
    at.number_input(key=f"given_level_{digest[:6]}_0").set_value(None)
    at.button(key="FormSubmitter:given_levels-Keep").click().run()
    assert "by hand" not in set(table(at, "level", "measure", "value")["kind"])


def test_change_stands_against_the_share_of_the_training_set(digest: str, trained: str) -> None:
    at = opened(trained, part="Subgroups", intervention="pruned-90")
    shown = table(at, "train_share", "difference").set_index("group")
    assert shown.loc["place=far", "train_share"] == pytest.approx(0.05)
    assert shown.loc["place=far", "difference"] > shown.loc["place=near", "difference"]
    assert "`train/<column>`" in texts(opened(digest, part="Subgroups"))
