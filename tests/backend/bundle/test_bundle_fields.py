"""What is derived from what, in which order classes count, and what a bundle says of itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.bundle import SAVED, Bundle, read_bundle, write_bundle
from backend.core.errors import BundleError
from backend.core.home import PROJECT

X = np.eye(4)


def made(folder: Path, **fields: Any) -> Bundle:
    return read_bundle(write_bundle(folder / "run.npz", embeddings=X[: len(X)], **fields))


def test_cross_entropy_of_probabilities(tmp_path: Path) -> None:
    p = np.array([[0.5, 0.5], [0.25, 0.75], [1.0, 0.0], [1.0, 0.0]], np.float32)
    bundle = made(tmp_path, probabilities=p, labels=[0, 1, 0, 1])
    # -ln(1/2), -ln(3/4), -ln(1), and -ln of the smallest normal float32
    assert bundle.losses[:3] == pytest.approx([0.6931472, 0.2876821, 0.0], abs=1e-7)
    assert bundle.losses[3] == pytest.approx(87.3365, abs=1e-4)
    assert bundle.predictions.tolist() == [0, 1, 0, 0]  # a tie goes to the lower class
    assert bundle.notes[-2:] == (
        "predictions: the class with the largest of the probabilities.",
        "losses: cross-entropy of probabilities against labels, in nats; probabilities clipped "
        "at 1.18e-38, which changed 1.",
    )


def test_cross_entropy_of_logits_does_not_overflow(tmp_path: Path) -> None:
    z = np.array([[0.0, 0.0], [1e4, 0.0], [0.0, 1e4], [-1e4, -1e4]])
    bundle = made(tmp_path, logits=z, labels=[0, 0, 0, 1])
    assert bundle.losses == pytest.approx([np.log(2), 0, 1e4, np.log(2)])


@settings(deadline=None, max_examples=20)
@given(rows=st.lists(st.lists(st.floats(-20, 20), min_size=3, max_size=3), min_size=4, max_size=4))
def test_logits_and_their_softmax_give_one_loss(
    rows: list[list[float]], tmp_path_factory: Any
) -> None:
    z = np.array(rows)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    folder = tmp_path_factory.mktemp("softmax")
    labels = [0, 1, 2, 0]
    from_logits = made(folder, logits=z, labels=labels).losses
    assert from_logits == pytest.approx(made(folder, probabilities=p, labels=labels).losses)
    twin = [
        np.log(sum(np.exp(value) for value in row)) - row[k]
        for row, k in zip(z, labels, strict=True)
    ]
    assert from_logits == pytest.approx(twin)


def test_label_margins_come_from_probabilities_or_logits(tmp_path: Path) -> None:
    p = np.array([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1], [0.4, 0.4, 0.2], [0.1, 0.1, 0.8]])
    labels = ["a", "b", "b", "c"]
    classes = ["a", "b", "c"]
    bundle = made(tmp_path, probabilities=p, labels=labels, classes=classes)
    assert bundle.label_margins(np.array([3, 1])) == pytest.approx([0.7, -0.5])
    assert bundle.label_margins(np.arange(0)).tolist() == []
    # The same up to a number per row, which the softmax takes away; 800 would overflow without care.
    logits = np.log(p) + np.array([[0.0], [5.0], [-5.0], [800.0]])
    again = made(tmp_path, logits=logits, labels=labels, classes=classes)
    assert again.label_margins(np.arange(4)) == pytest.approx([0.5, -0.5, 0.0, 0.7])


@pytest.mark.parametrize(
    "fields",
    [
        {"labels": [0, 1, 0, 1], "predictions": [0, 1, 1, 1]},
        {"losses": [1.0] * 4, "probabilities": np.full((4, 2), 0.5)},
        {"losses": [1.0] * 4, "labels": [0] * 4, "probabilities": np.ones((4, 1))},
    ],
    ids=["no probabilities", "no labels", "one class"],
)
def test_label_margins_are_not_known(fields: dict[str, Any], tmp_path: Path) -> None:
    assert made(tmp_path, **fields).label_margins(np.arange(4)) is None


def test_zero_one_loss(tmp_path: Path) -> None:
    bundle = made(tmp_path, labels=["a", "b", "a", "c"], predictions=["a", "a", "a", "c"])
    assert bundle.losses.tolist() == [0, 1, 0, 0]
    assert bundle.class_names == ("a", "b", "c")
    assert bundle.label_codes.tolist() == [0, 1, 0, 2]
    assert bundle.label_names.tolist() == ["a", "b", "a", "c"]
    assert bundle.prediction_names.tolist() == ["a", "a", "a", "c"]
    assert bundle.correct.tolist() == [True, False, True, True]
    assert bundle.accuracy == 0.75 and bundle.base_loss == 0.25
    assert any("0 where the prediction is the label" in note for note in bundle.notes)


def test_squared_error(tmp_path: Path) -> None:
    bundle = made(tmp_path, targets=[1.0, 2.0, 3.0, 4.0], predictions=[1.0, 2.5, 1.0, 4.0])
    assert bundle.losses.tolist() == [0, 0.25, 4, 0]
    assert bundle.predictions.dtype == np.float64
    assert bundle.accuracy is None and bundle.class_names is None and bundle.label_codes is None
    assert bundle.label_names is None and bundle.prediction_names is None


def test_given_losses_are_kept(tmp_path: Path) -> None:
    bundle = made(tmp_path, losses=[9.0, 8.0, -1.0, 6.0], labels=[0, 0, 1, 1], predictions=[0] * 4)
    assert bundle.losses.tolist() == [9, 8, -1, 6]
    assert not any(note.startswith("losses") for note in bundle.notes)


@pytest.mark.parametrize(
    ("labels", "classes", "names", "codes"),
    [
        ([2, 0, 1, 2], ["cat", "dog", "emu"], ("cat", "dog", "emu"), [2, 0, 1, 2]),
        (["emu", "cat", "dog", "emu"], ["cat", "dog", "emu"], ("cat", "dog", "emu"), [2, 0, 1, 2]),
        ([8, 3, 3, 8], [3, 8], ("3", "8"), [1, 0, 0, 1]),
        ([8, 3, 3, 8], None, ("3", "8"), [1, 0, 0, 1]),
        ([10, 9, 9, 10], None, ("9", "10"), [1, 0, 0, 1]),
        ([True, False, False, True], None, ("0", "1"), [1, 0, 0, 1]),
        ([2.0, 0.0, 1.0, 2.0], ["a", "b", "c"], ("a", "b", "c"), [2, 0, 1, 2]),
    ],
)
def test_codes(labels: Any, classes: Any, names: Any, codes: Any, tmp_path: Path) -> None:
    bundle = made(tmp_path, losses=[0.0] * 4, labels=labels, classes=classes)
    assert bundle.class_names == names
    assert bundle.label_codes.tolist() == codes
    assert bundle.label_names.tolist() == [names[code] for code in codes]
    assert not bundle.label_names.flags.writeable and bundle.prediction_names is None


def test_probabilities_number_the_classes(tmp_path: Path) -> None:
    p = np.full((4, 3), 1 / 3)
    bundle = made(tmp_path, probabilities=p, labels=[0, 0, 1, 1])
    assert bundle.class_names == ("0", "1", "2")
    named = made(tmp_path, probabilities=p[:, :2] * 1.5, labels=[8, 3, 3, 8], classes=[3, 8])
    assert named.predictions.tolist() == [3, 3, 3, 3]


def test_predictions_by_name_name_the_columns_where_every_row_agrees(tmp_path: Path) -> None:
    p = np.array([[0.2, 0.8], [0.6, 0.4], [0.9, 0.1], [0.3, 0.7]])
    said, labels = ["cat", "dog", "dog", "cat"], ["cat", "dog", "cat", "cat"]
    bundle = made(tmp_path, probabilities=p, labels=labels, predictions=said)
    assert bundle.class_names == ("dog", "cat")
    assert bundle.label_codes.tolist() == [1, 0, 1, 1]
    np.testing.assert_allclose(bundle.losses, -np.log([0.8, 0.6, 0.1, 0.7]))
    assert any(note.startswith("classes: the 2 columns are named") for note in bundle.notes)
    for other in (["cat", "dog", "dog", "dog"], ["cat"] * 4):
        with pytest.raises(BundleError, match="classes are missing: labels are names"):
            made(tmp_path, probabilities=p, labels=labels, predictions=other)


def test_what_the_page_says_to_write_is_a_bundle(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    given = {
        "embeddings": np.eye(4, dtype=np.float32),
        "labels": ["cat", "dog"] * 2,
        "predictions": ["cat"] * 4,
        "probabilities": np.tile([0.75, 0.25], (4, 1)),
        "classes": ["cat", "dog"],
        "ids": list("abcd"),
        "texts": ["one", "two", "three", "four"],
        "sources": ["web"] * 4,
    }
    exec(SAVED, given)
    bundle = read_bundle("bundle.npz")
    assert bundle.ids.tolist() == list("abcd") and bundle.accuracy == 0.5
    assert bundle.has_text and bundle.attributes == ["source"]
    np.testing.assert_allclose(bundle.losses, -np.log([0.75, 0.25] * 2))
    np.savez("other.npz", embeddings=np.eye(4), y_true=[0, 1, 1, 0], y_pred=[0, 0, 1, 0])
    assert read_bundle("other.npz").accuracy == 0.75


def test_ids_are_made_and_numbers_become_text(tmp_path: Path) -> None:
    bundle = made(tmp_path, losses=[0.0] * 4)
    assert bundle.ids.tolist() == ["0", "1", "2", "3"]
    assert any(note.startswith("ids: made") for note in bundle.notes)
    bundle = made(tmp_path, losses=[0.0] * 4, examples={"id": np.array([10, 2, 30, 4])})
    assert bundle.ids.tolist() == ["10", "2", "30", "4"]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (np.array(["2020-01-02", "NaT", "2021-01-01", "2022-01-01"], "M8[D]"), ["2020-01-02", ""]),
        (np.array([b"caf\xc3\xa9", b"", b"x", b"y"]), ["café", ""]),
        (np.array([1, 2, 3, 4], np.uint8), [1, 2]),
        (np.array([0.5, np.nan, 1, 2], np.float16), [0.5, None]),
        (np.array([True, False, True, True]), [True, False]),
    ],
)
def test_kinds_of_attributes(column: np.ndarray, expected: list[Any], tmp_path: Path) -> None:
    np.savez(tmp_path / "run.npz", embeddings=X, losses=np.zeros(4), **{"examples/a": column})
    came = read_bundle(tmp_path / "run.npz").examples["a"].tolist()[:2]
    assert [None if value != value else value for value in came] == expected


def test_mixed_columns_become_text(tmp_path: Path) -> None:
    bundle = made(tmp_path, losses=[0.0] * 4, examples={"a": [1, "x", None, 2.5]})
    assert bundle.examples["a"].tolist() == ["1", "x", "", "2.5"]


def test_missing_parts_say_what_they_switch_off(tmp_path: Path) -> None:
    bare = dict(made(tmp_path, losses=[0.0] * 4).missing())
    assert {"labels", "text", "image", "attributes", "populations", "stress"} <= bare.keys()
    full = made(
        tmp_path,
        labels=[0, 1, 0, 1],
        logits=np.eye(4)[:, :2],
        vog=[0.0] * 4,
        images=np.zeros((4, 2, 2), np.uint8),
        examples={"text": ["a"] * 4, "age": [1, 2, 3, 4]},
    )
    assert {part for part, _ in full.missing()} == {"populations", "stress", "msp"}
    assert full.unused() == []
    assert full.has_text and full.has_images and full.attributes == ["age"]


@pytest.mark.parametrize(
    ("given", "unused"),
    [
        ({"vog": np.zeros(4), "gradients": np.zeros((2, 4, 3)), "msp": {"none": X / 100}}, []),
        ({"stress_scores": np.zeros((3, 4))}, ["stress_scores"]),
        ({"stress_scores": np.zeros((3, 4)), "populations": {"a": np.zeros((3, 4), int)}}, []),
        ({"gradients": np.zeros((1, 4, 3))}, ["gradients"]),
        (
            {"train_features": np.ones((1, 6, 2)), "train": {"images": np.zeros((6, 2, 2))}},
            ["train_features", "train/images"],
        ),
        ({"train": {"msp": np.ones((5, 2)) / 2, "flipped": np.arange(5) == 1}}, []),
        ({"train": {"labels": np.arange(5)}}, ["train/labels"]),
        (
            {"train": {"msp": np.ones((5, 2)) / 2, "heat": np.ones((5, 3))}},
            ["train/heat"],
        ),
        (
            {
                "train": {
                    "embeddings": np.tile(X, (2, 1)),
                    "labels": np.arange(8),
                    "kind": np.arange(8) % 2,
                    "images": np.zeros((8, 2, 2), np.uint8),
                    "losses": np.zeros(8),
                    "heat": np.zeros((8, 3)),
                }
            },
            ["train/heat"],
        ),
        (
            {
                "train_features": np.ones((1, 6, 2)),
                "target_features": np.ones((1, 4, 2)),
                "train_residuals": np.ones((1, 6)),
            },
            [],
        ),
    ],
    ids=[
        "difficulty",
        "scores of models alone",
        "stress",
        "one checkpoint",
        "a part of attribution",
        "long tails",
        "labels alone",
        "one field too many",
        "a training set",
        "stored gradients",
    ],
)
def test_what_no_page_reads_is_said_to_be_kept_alone(
    tmp_path: Path, given: dict[str, Any], unused: list[str]
) -> None:
    bundle = made(tmp_path, losses=[0.0] * 4, **given)
    assert bundle.unused() == unused
    assert bundle.used_only_with().keys() <= {*unused}


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i4", "u1", "?", "longdouble"])
def test_precision_of_embeddings(dtype: str, tmp_path: Path) -> None:
    path = write_bundle(tmp_path / "run.npz", embeddings=X.astype(dtype), losses=[0.0] * 4)
    expected = {"f2": "float16", "f8": "float64", "longdouble": "float64"}.get(dtype, "float32")
    bundle = read_bundle(path)
    assert bundle.embeddings.dtype.name == expected and np.array_equal(bundle.embeddings, X)


def test_one_row_and_equal_losses_are_a_bundle(tmp_path: Path) -> None:
    path = write_bundle(tmp_path / "run.npz", embeddings=[[1.0]], losses=[0.0], labels=["only"])
    bundle = read_bundle(path)
    assert (bundle.n, bundle.d, bundle.class_names) == (1, 1, ("only",))


def test_import_loads_neither_torch_nor_streamlit() -> None:
    code = (
        "import sys, backend.bundle; "
        "sys.exit(', '.join({'torch', 'streamlit', 'umap', 'sklearn'} & sys.modules.keys()) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PROJECT)


def test_rows_are_found_by_id_in_the_order_asked(tmp_path: Path) -> None:
    examples = pd.DataFrame({"id": ["b", "10", "a b", "9"]})
    bundle = made(tmp_path, losses=[0.0] * 4, examples=examples)
    assert bundle.places(["9", "gone", "b", "9"]).tolist() == [3, -1, 0, 3]
    assert bundle.rows_of(["9", "gone", "b", "9"]).tolist() == [3, 0, 3]
    assert bundle.rows_of(np.array([9, 10])).tolist() == [3, 1], "numbers are ids by their text"
    assert bundle.rows_of([]).tolist() == [] and bundle.rows_of([]).dtype == np.int64
    assert bundle.rows_of(bundle.ids).tolist() == [0, 1, 2, 3]
