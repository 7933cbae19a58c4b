"""The stress page: spread over seeds, tests against each other, components, levels, overlap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from backend.bundle import open_bundle
from backend.populations import fisher_interval, stress_report
from pages.components.shared import services
from pages.components.stress.levels import spaced
from tests.pages.population_bundles import awkward, fields, kept
from tests.pages.running import APP

PARTS = (
    "Spread", "Between tests", "Disagreement", "Components", "Outside number", "Compression levels",
    "Failure overlap",
)  # fmt: skip


@pytest.fixture(scope="module")
def digest(home: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return kept(tmp_path_factory.mktemp("bundle"), "plain", **fields(400, models=5))


def stress_columns() -> dict[str, np.ndarray]:
    """A long table: five models of two populations, three tests, two numbers."""
    rng = np.random.default_rng(3)
    rows = [
        (f"seed {model}", population, test, 0.9 - drop - hard + rng.normal() / 50)
        for population, drop in (("baseline", 0.0), ("pruned-50", 0.1))
        for model in range(5)
        for test, hard in (("iid", 0.0), ("blur", 0.2), ("noise", 0.3))
    ]
    model, population, test, accuracy = (np.array(column) for column in zip(*rows, strict=True))
    return {
        "stress/model": model,
        "stress/population": population,
        "stress/test": test,
        "stress/accuracy": accuracy.astype(float),
        "stress/loss": 1 - accuracy.astype(float),
    }


@pytest.fixture(scope="module")
def tabled(home: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    scores = np.random.default_rng(0).normal(size=(10, 120))
    given = {**fields(120), **stress_columns(), "stress_scores": scores}
    return kept(tmp_path_factory.mktemp("bundle"), "tabled", **given)


def opened(digest: str, **query: str) -> AppTest:
    at = AppTest.from_file(APP, default_timeout=60)
    at.query_params["bundle"] = digest
    for name, value in query.items():
        at.query_params[name] = value
    at.switch_page("pages/stress.py").run()
    assert not at.exception, [element.message for element in at.exception]
    return at


def texts(at: AppTest) -> str:
    kinds = ("markdown", "caption", "info", "warning", "error", "text", "subheader")
    return "\n".join(str(element.value) for kind in kinds for element in at.get(kind))


def table(at: AppTest, *columns: str) -> pd.DataFrame:
    """The last table on the page that has these columns."""
    return [one.value for one in at.dataframe if set(columns) <= set(one.value.columns)][-1]


def bundle_of(digest: str):
    return open_bundle(next(one for one in services.known_bundles() if one.startswith(digest)))


def test_tests_are_made_of_the_values_of_columns(digest: str) -> None:
    shown = table(opened(digest), "regret", "spearman").set_index("metric")
    bundle = bundle_of(digest)
    right = bundle.populations["baseline"] == bundle.labels
    far = (bundle.examples["place"] == "far").to_numpy()
    names = [name for name in shown.index if name != "all examples"]
    assert "place=far" in names and "true class=cat" in names
    twin = stress_report(right.mean(1), right[:, far].mean(1)[:, None])
    row = shown.loc["place=far"]
    assert row["sd"] == pytest.approx(twin.spread["sd"][1])
    assert row["regret"] == pytest.approx(twin.spread["regret"][1])
    assert row["spearman"] == pytest.approx(twin.predictability["spearman"][0], nan_ok=True)
    low, high = fisher_interval(row["spearman"], 5)
    assert (row["spearman low"], row["spearman high"]) == pytest.approx((low, high), nan_ok=True)
    assert row["n"] == far.sum()
    assert row["best model"] == f"baseline {int(right[:, far].mean(1).argmax()) + 1}"


def test_a_tag_makes_a_test(digest: str) -> None:
    bundle = bundle_of(digest)
    ids = bundle.ids[:50].tolist()
    services.store().tag(bundle.digest, ids, "first fifty", author="Ada")
    at = opened(digest)
    at.multiselect(key="stress_tags").set_value(["first fifty"]).run()
    row = table(at, "regret", "n").set_index("metric").loc["tag first fifty"]
    right = bundle.populations["baseline"] == bundle.labels
    assert row["n"] == 50 and row["mean"] == pytest.approx(right[:, :50].mean())


def test_the_bundles_own_table_is_read(tabled: str) -> None:
    at = opened(tabled)
    shown = table(at, "regret").set_index("metric")
    assert shown.index.tolist() == ["iid", "blur", "noise"]
    assert set(shown["best model"]) <= {f"seed {model}" for model in range(5)}
    assert (shown["models"] == 5).all() and shown.loc["blur", "mean"] == pytest.approx(
        0.7, abs=0.05
    )
    at = opened(tabled, stress_population="all populations")
    assert (table(at, "regret")["models"] == 10).all()
    assert table(at, "f", "df_between")["df_between"].tolist() == [1, 1, 1]


def test_a_loss_is_turned_so_that_higher_is_better(tabled: str) -> None:
    at = opened(tabled, stress_value="loss")
    shown = table(at, "regret").set_index("metric")
    assert (shown["mean"] < 0).all() and "shown negated" in texts(at)
    other = table(opened(tabled), "regret").set_index("metric")
    assert shown["best model"].tolist() == other["best model"].tolist()


def test_robustness_follows_the_level_of_compression(digest: str, tabled: str) -> None:
    shown = table(opened(digest, stress_part="Compression levels"), "population", "low")
    far = shown[shown["metric"] == "place=far"].set_index("population")["accuracy"]
    assert far["baseline"] > far["pruned-50"] > far["pruned-90"]
    shown = table(opened(tabled, stress_part="Compression levels"), "population", "low")
    assert set(shown["population"]) == {"baseline", "pruned-50"} and len(shown) == 6


def test_components_of_answers_and_of_scores(digest: str, tabled: str) -> None:
    at = opened(digest, stress_part="Components", against="place")
    shares = table(at, "component", "share")["share"]
    assert len(shares) == 4 and shares.sum() == pytest.approx(1)
    assert "right and wrong answers" in texts(at)
    at = opened(tabled, stress_part="Components", against="size")
    assert "how 5 models" in texts(at) and "Spearman" in texts(at)


def test_shared_failures_are_counted_and_shown(digest: str) -> None:
    at = opened(digest, stress_part="Failure overlap")
    bundle = bundle_of(digest)
    wrong = np.concatenate([one != bundle.labels for one in bundle.populations.values()])
    said = texts(at)
    assert f"fail on **{int(wrong.all(0).sum())}** examples" in said
    assert f"at least one on {int(wrong.any(0).sum())}" in said
    at.slider[0].set_value(3).run()
    assert f"{int((wrong.sum(0) >= 3).sum())} examples" in texts(at)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", awkward())
def test_awkward_bundles_get_a_sentence(home: Path, tmp_path: Path, name: str, part: str) -> None:
    at = opened(kept(tmp_path, "odd", **awkward()[name]), stress_part=part)
    said = texts(at)
    assert not at.error
    if name in ("nothing but losses", "no labels"):
        assert "neither a stress table nor" in said
        assert at.button(key="demo_stress").label == "Open the demo bundle"
    elif name == "one model each" and part in ("Spread", "Between tests", "Components"):
        assert "three or more" in said
    elif name == "one population" and part == "Compression levels":
        assert "a second one, compressed, is needed" in said
    elif name == "no columns" and part == "Spread":
        assert not at.error


def test_models_that_all_agree_do_not_deviate(home: Path, tmp_path: Path) -> None:
    given = {key: value for key, value in fields(120).items() if not key.startswith("populations")}
    given["populations/baseline"] = np.tile(given["labels"], (4, 1))
    digest = kept(tmp_path, "same", **given)
    assert "nothing deviates" in texts(opened(digest, stress_part="Components"))
    assert "No model fails" in texts(opened(digest, stress_part="Failure overlap"))
    shown = table(opened(digest), "sd / sd held-out")
    assert shown["sd / sd held-out"].isna().all()


def test_labels_are_moved_apart_and_stay_in_order() -> None:
    assert spaced([0.5], 0.1) == [0.5]
    moved = spaced([0.5, 0.52, 0.9], 0.1)
    assert np.diff(moved).min() >= 0.1 - 1e-12 and np.argsort(moved).tolist() == [0, 1, 2]


@pytest.mark.parametrize("source", ["table", "population:pruned-90"])
def test_each_model_is_set_against_an_outside_number(tabled: str, source: str) -> None:
    at = opened(tabled, stress_part="Outside number", stress_source=source)
    shown = table(at, "model", "correlation")
    bundle = bundle_of(tabled)
    if source == "table":  # the models of the baseline, by the names of the table
        scores = np.asarray(bundle.extras["stress_scores"])[:5]
        assert shown["model"].tolist() == [f"seed {model}" for model in range(5)]
    else:
        scores = (bundle.populations["pruned-90"] == bundle.labels).astype(float)
        assert shown["model"].iloc[0] == "pruned-90 1"
    size = bundle.examples["size"].to_numpy()
    expected = [np.corrcoef(own, size)[0, 1] for own in scores]
    np.testing.assert_allclose(shown["correlation"], expected, atol=1e-5)
    assert "Rank correlation with" in texts(at)
