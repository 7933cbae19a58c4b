"""The subgroups page: rates per group, gaps, two attributes crossed, the chosen group's members."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from backend.bundle import open_bundle
from backend.core.statistics import wilson_interval
from backend.core.wording import percent
from backend.populations import audit, group_accuracies, rates_at, score_quality
from backend.populations.places import level_names, rows_per_group
from pages.components.shared import populations, services
from tests.pages.population_bundles import HOSTILE, awkward, fields, kept
from tests.pages.running import APP


@pytest.fixture(scope="module")
def digest(home: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return kept(tmp_path_factory.mktemp("bundle"), "plain", **fields(400))


def opened(digest: str, **query: str) -> AppTest:
    at = AppTest.from_file(APP, default_timeout=60)
    at.query_params["bundle"] = digest
    for name, value in query.items():
        at.query_params[name] = value
    at.switch_page("pages/subgroups.py").run()
    assert not at.exception, [element.message for element in at.exception]
    return at


def texts(at: AppTest) -> str:
    kinds = ("markdown", "caption", "info", "warning", "error", "text", "subheader")
    return "\n".join(str(element.value) for kind in kinds for element in at.get(kind))


def table(at: AppTest, *columns: str) -> pd.DataFrame:
    """The last table on the page that has these columns."""
    return [one.value for one in at.dataframe if set(columns) <= set(one.value.columns)][-1]


def plain_bundle(digest: str):
    full = next(one for one in services.known_bundles() if one.startswith(digest))
    return open_bundle(full)


def test_rates_are_those_of_the_audit(digest: str) -> None:
    bundle = plain_bundle(digest)
    shown = table(opened(digest, metric="fnr", positive="dog"), "tp", "fnr low").set_index("group")
    names = np.asarray(bundle.class_names)
    place = bundle.examples["place"].to_numpy()
    twin = audit(
        names[bundle.label_codes], names[bundle.prediction_codes], {"place": place}, positive="dog"
    ).set_index("group")
    for group in ("all", "place=far", "place=near"):
        row, other = shown.loc[group], twin.loc[group]
        assert [row[one] for one in ("n", "tp", "fp", "fn", "tn")] == [
            other[one] for one in ("n", "tp", "fp", "fn", "tn")
        ]
        assert row["fnr"] == pytest.approx(other["fnr"])
        low, high = wilson_interval(other["fn"], other["fn"] + other["tp"])
        assert (row["fnr low"], row["fnr high"]) == pytest.approx((float(low), float(high)))


def test_the_worst_group_is_opened_with_its_members(digest: str) -> None:
    at = opened(digest)
    said = texts(at)
    assert "Worst: **place\\=far" in said
    heading = next(one.value for one in at.subheader if "examples" in one.value)
    assert heading.startswith("place\\=far & ".replace("&", "\\&")) or "place\\=far" in heading


def test_a_clicked_line_opens_its_group(digest: str) -> None:
    at = opened(digest)
    shown = table(at, "tp", "small")
    line = shown["group"].tolist().index("place=near")
    at.session_state["_audit_place"] = (
        (plain_bundle(digest).digest, "generic", "the bundle's predictions", ("place", "size"), 2),
        line,
    )
    at.run()
    size = int(shown["n"][line])
    assert any(f"place\\=near · {size} examples" in one.value for one in at.subheader)


def test_a_place_of_another_audit_is_not_taken(digest: str) -> None:
    at = opened(digest)
    at.session_state["_audit_place"] = (("another",), 2)
    at.run()
    assert any("place\\=far" in one.value for one in at.subheader)


def test_the_target_axis_lists_every_class_per_group(digest: str) -> None:
    at = opened(digest, audit="target")
    shown = table(at, "class", "tp")
    bundle = plain_bundle(digest)
    assert rows_per_group(shown) == 4
    far = shown[shown["group"] == "place=far"]
    assert far["class"].tolist() == ["all", "cat", "cow", "dog"]
    assert far["tp"].iloc[0] == far["tp"].iloc[1:].sum()
    held = (bundle.examples["place"] == "far").to_numpy()
    assert far["n"].iloc[0] == held.sum()


def test_without_labels_losses_are_compared(home: Path, tmp_path: Path) -> None:
    at = opened(kept(tmp_path, "odd", **awkward()["no labels"]))
    shown = table(at, "mean loss")
    assert "only mean losses can be compared" in texts(at)
    rows = shown.set_index("group")["mean loss"]
    assert rows["place=far"] > rows["all"] > rows["place=near"]


def test_another_models_answers_can_be_audited(digest: str) -> None:
    own = table(opened(digest), "tp", "error").set_index("group")["error"]
    at = opened(digest, answers="pruned-90")
    other = table(at, "tp", "error").set_index("group")["error"]
    assert other["place=far"] > own["place=far"] + 0.2
    at.number_input(key="audit_model").set_value(2).run()
    bundle = plain_bundle(digest)
    wrong = bundle.populations["pruned-90"][1] != bundle.labels
    # Of one class against the rest: mistakes between the two others do not count.
    assert table(at, "tp", "error").set_index("group")["error"]["all"] <= wrong.mean()


@pytest.mark.parametrize("name", awkward())
@pytest.mark.parametrize("mode", ["generic", "target"])
def test_awkward_bundles_get_a_sentence(home: Path, tmp_path: Path, name: str, mode: str) -> None:
    at = opened(kept(tmp_path, "odd", **awkward()[name]), audit=mode)
    assert not at.error
    if name in ("nothing but losses", "no columns"):
        assert "has no column that groups" in texts(at)
        assert at.button(key="demo_subgroups").label == "Open the demo bundle"
    else:
        assert len(at.get("plotly_chart")) >= 1


@pytest.mark.parametrize("mode", ["generic", "target"])
def test_hostile_names_stay_text(home: Path, tmp_path: Path, mode: str) -> None:
    at = opened(kept(tmp_path, "odd", **awkward()["hostile names"]), audit=mode)
    name = HOSTILE.replace("/", "|")
    at.multiselect(key="audit_columns").set_value([name, "place"]).run()
    assert not at.exception and not at.error
    for element in [*at.markdown, *at.subheader]:
        assert not re.search(r"(?<!\\)<img|(?<!\\)\]\(", element.value)
    charts = at.get("plotly_chart")
    assert charts and not any("<img" in chart.proto.spec for chart in charts)


def test_nobody_in_a_group_is_said_and_undefined(home: Path, tmp_path: Path) -> None:
    given = fields(200)
    given["examples/near or far"] = np.where(given["examples/place"] == "far", "yes", "no")
    at = opened(kept(tmp_path, "empty", **given))
    at.multiselect(key="audit_columns").set_value(["place", "near or far"]).run()
    shown = table(at, "tp", "error").set_index("group")
    row = shown.loc["place=far & near or far=no"]
    assert row["n"] == 0 and np.isnan(row["error"])
    line = shown.index.tolist().index("place=far & near or far=no")
    at.session_state["_audit_place"] = (
        (
            plain_bundle_digest(at),
            "generic",
            "the bundle's predictions",
            ("place", "near or far"),
            2,
        ),
        line,
    )
    at.run()
    assert "Nobody is in" in texts(at)


def plain_bundle_digest(at: AppTest) -> str:
    short = at.query_params["bundle"]
    short = short[0] if isinstance(short, list) else short
    return next(one for one in services.known_bundles() if one.startswith(short))


def test_columns_that_make_no_groups_are_named(home: Path, tmp_path: Path) -> None:
    given = fields(200)
    given["examples/serial"] = np.array([f"s{row}" for row in range(200)])
    given["examples/same"] = np.full(200, "x")
    digest = kept(tmp_path, "names", **given)
    full = next(one for one in services.known_bundles() if one.startswith(digest))
    held = populations.columns_of(open_bundle(full))
    assert set(held.left_out) == {"serial", "same"}
    assert held.usable == ("place", "size") and held.first[0] == "place"


# --- beyond the audit's own table -----------------------------------------------------------------


@pytest.fixture(scope="module")
def paired(home: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two classes with probabilities, versions of each example in three tones, two lone examples."""
    rng = np.random.default_rng(8)
    n = 300
    tone = np.tile(["light", "medium", "dark"], n // 3)
    labels = np.repeat(rng.integers(0, 2, n // 3), 3)
    wanted = np.where(labels == 1, 0.8, 0.2) - 0.4 * ((tone == "dark") & (labels == 1))
    chance = np.clip(wanted + 0.15 * rng.normal(size=n), 0.01, 0.99)
    said = (chance > 0.5).astype(int)
    tone[:2] = "lone"
    return kept(
        tmp_path_factory.mktemp("paired"), "paired",
        **{
            "embeddings": rng.normal(size=(n, 3)), "labels": labels, "predictions": said,
            "probabilities": np.column_stack([1 - chance, chance]),
            "classes": np.array(["M", "F"]), "examples/tone": tone,
            "examples/pair_id": np.repeat(np.arange(n // 3), 3).astype(str),
            "examples/width": rng.random(n) * 30,
            "populations/baseline": np.array([said, labels]),
        },
    )  # fmt: skip


def test_the_worst_group_is_said_with_its_interval_and_measured_apart(paired: str) -> None:
    at = opened(paired, audit_part="Worst group")
    at.multiselect(key="audit_columns").set_value(["tone"]).run()
    bundle = plain_bundle(paired)
    twin = group_accuracies(
        bundle.label_names, bundle.prediction_names, {"tone": bundle.examples["tone"].to_numpy()}
    )
    said = texts(at)
    assert twin.worst_group == "label=F & tone=dark" and "label\\=F \\& tone\\=dark" in said
    for one in (twin.worst, twin.held_out, twin.balanced):
        assert f"**{percent(one.value)}**" in said
    assert table(at, "accuracy", "small")["n"].tolist() == twin.table["n"].tolist()
    rows = np.flatnonzero(bundle.label_names == "F")[:40]
    services.store().tag(bundle.digest, bundle.ids[rows].tolist(), "blurred", author="Bob")
    at.run()
    at.multiselect(key="worst_within").set_value(["tag: blurred"]).run()
    groups = table(at, "accuracy", "small").set_index("group")
    assert groups.loc["label=F & tag blurred=yes", "n"] == 40
    right = bundle.label_names == bundle.prediction_names
    assert groups.loc["label=F & tag blurred=yes", "accuracy"] == pytest.approx(right[rows].mean())
    assert "low by choice" in texts(at)
    services.store().undo(bundle.digest, "Bob")


def test_one_slider_gives_the_rates_of_every_group(paired: str) -> None:
    at = opened(paired, audit_part="Thresholds", positive="F")
    at.slider(key="threshold").set_value(0.3).run()
    shown = table(at, "AUC", "TPR").set_index("group")
    bundle = plain_bundle(paired)
    chance = bundle.class_chances("F")
    held = {"tone": bundle.examples["tone"].to_numpy()}
    rates = rates_at(chance, bundle.label_names == "F", held, threshold=0.3).set_index("group")
    quality = score_quality(chance, bundle.label_names == "F", held).set_index("group")
    for group in ("all", "tone=dark", "tone=lone †"):
        name = group.removesuffix(" †")
        assert shown.loc[group, "TPR"] == pytest.approx(rates.loc[name, "tpr"], nan_ok=True)
        assert shown.loc[group, "AUC"] == pytest.approx(quality.loc[name, "auc"], nan_ok=True)
    [curves] = [
        chart
        for chart in (json.loads(one.proto.spec) for one in at.get("plotly_chart"))
        if chart["layout"].get("showlegend")
    ]
    assert [line["name"] for line in curves["data"]][:2] == ["all", "tone=dark"]


def test_versions_of_one_example_are_compared(paired: str) -> None:
    at = opened(paired, audit_part="Pairs", positive="F")
    shown = table(at, "n_flips", "p_adjusted")
    rows = shown.set_index(["first", "second"])
    # Two rows of the first example are "lone": no id has them once beside one that has it twice.
    assert rows.loc[("dark", "light"), "n_pairs"] == 99
    assert rows.loc[("dark", "light"), "change"] > 0.1 and rows.loc[("dark", "light"), "p"] < 1e-3
    assert rows.loc[("light", "medium"), "p"] > 0.05


@pytest.mark.parametrize("mode", ["generic", "target"])
def test_one_table_holds_every_classifier(paired: str, mode: str) -> None:
    at = opened(paired, audit=mode, audit_part="One table")
    shown = table(at, "classifier", "rate")
    assert set(shown["classifier"]) == {"this model", "baseline, mean of 2"}
    assert shown["rate"].tolist() == ["PPV", "Error", "TPR", "FPR"] * 2
    column = "tone=dark" if mode == "generic" else "tone=dark · F"
    own, mean = (shown[column].iloc[at] for at in (2, 6))
    assert mean == pytest.approx((own + 1) / 2)  # the second model is right throughout


def test_the_target_axis_opens_on_a_rate_that_differs_between_columns(paired: str) -> None:
    at = opened(paired, audit="target")
    assert at.get("button_group") and "**TPR**" in texts(at)
    shown = table(at, "class", "tp").set_index(["group", "class"])
    own = shown.loc["all"]
    assert own["tpr"].nunique() > 1 and own["error"].nunique() == 1


def test_cells_of_a_handful_take_no_colour(paired: str) -> None:
    at = opened(paired)
    drawn = json.loads(at.get("plotly_chart")[0].proto.spec)["data"][0]
    labels = level_names(plain_bundle(paired).examples["tone"].to_numpy())
    heat = np.array(read_numbers(drawn["z"]), dtype=float)
    assert np.isnan(heat[labels.index("lone")]).all() and np.isfinite(
        heat[labels.index("dark"), -1]
    )


def read_numbers(given: Any) -> np.ndarray:
    """An array as plotly writes it: nested lists, or bytes with their shape."""
    if isinstance(given, dict):
        flat = np.frombuffer(base64.b64decode(given["bdata"]), dtype=given["dtype"])
        return flat.reshape([int(one) for one in given["shape"].split(",")])
    return np.array([[np.nan if one is None else one for one in row] for row in given])


@pytest.mark.parametrize(
    ("part", "sentence"),
    [("Thresholds", "Thresholds need labels and probabilities"), ("Pairs", "need a column")],
)
def test_what_a_part_needs_is_said(digest: str, part: str, sentence: str) -> None:
    assert sentence in texts(opened(digest, audit_part=part))
