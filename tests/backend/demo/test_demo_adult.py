"""The audit demo in small, on a table made like the census file."""

import numpy as np
import pandas as pd
import pytest

from backend.bundle import read_bundle
from backend.cli.main import main
from backend.core.errors import InputError
from backend.demo import adult
from backend.populations import audit

N = 200
SMALL = {"n_models": 2, "epochs": 2, "workers": 1}


@pytest.fixture(scope="module")
def table():
    random = np.random.default_rng(0)
    schooling = random.integers(1, 17, N)
    frame = pd.DataFrame(
        {
            "age": random.integers(17, 90, N),
            "workclass": random.choice(["Private", "?"], N),
            "education": [f"level {number}" for number in schooling],
            "educational-num": schooling,
            "marital-status": random.choice(["Never-married", "Divorced"], N),
            "occupation": random.choice(["Sales", "Tech-support"], N),
            "relationship": random.choice(["Wife", "Husband"], N),
            "race": random.choice(["Black", "White"], N),
            "gender": random.choice(["Female", "Male"], N),
            "capital-gain": random.choice([0, 5000], N),
            "capital-loss": 0,
            "hours-per-week": random.integers(10, 60, N),
            "native-country": "United-States",
            "income": np.where(schooling > 10, ">50K", "<=50K"),
        }
    )
    frame.loc[:4, "age"] = [24, 25, 34, 65, 17]
    frame.loc[:4, "educational-num"] = [8, 9, 10, 13, 14]
    return frame


@pytest.fixture(scope="module")
def built(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adult")
    table.to_parquet(folder / "adult.parquet")
    measured = adult.build(
        folder / "a.zip", data=folder / "adult.parquet", keep=folder / "kept", **SMALL
    )
    return folder, measured


def test_it_is_a_bundle_of_the_rows_held_out(built, table):
    bundle, measured = read_bundle(built[0] / "a.zip"), built[1]
    assert (bundle.n, bundle.d, measured["n"]) == (60, 32, 60)
    rows = [int(name.removeprefix("adult-")) for name in bundle.ids]
    own = table.iloc[rows]
    assert bundle.class_names == ("<=50K", ">50K")
    assert np.array_equal(bundle.labels, own["income"] == ">50K")
    assert bundle.examples["race"].tolist() == own["race"].tolist()
    assert bundle.examples["workclass"].tolist() == own["workclass"].replace("?", "").tolist()
    assert bundle.train["embeddings"].shape == (140, 32)
    for name, population in bundle.populations.items():
        assert population.shape == (2, 60)
        assert (population == bundle.labels).mean() == pytest.approx(measured[name])
    assert np.array_equal(bundle.predictions, bundle.populations["baseline"][0])
    own_p = bundle.probabilities[np.arange(60), bundle.labels]
    assert np.allclose(-np.log(own_p.astype(float)), bundle.losses, atol=1e-5)
    groups = audit(bundle.labels, bundle.predictions, {"workclass": bundle.examples["workclass"]})
    assert "workclass=unknown" in groups["group"].tolist()


def test_levels_worked_by_hand(table):
    made = adult.examples_table(table, np.arange(5))
    assert made["age_group"].tolist() == [
        "16 to 24", "25 to 34", "25 to 34", "65 or older", "16 to 24",
    ]  # fmt: skip
    assert made["education_level"].tolist() == [
        "no diploma", "high school", "some college", "bachelor", "advanced",
    ]  # fmt: skip


def test_inputs_are_scaled_by_the_training_rows_and_never_hold_the_answer(table):
    train = np.arange(0, N, 2)
    inputs = adult.model_inputs(table, train)
    assert np.allclose(inputs[train, 0].mean(), 0, atol=1e-6)
    assert inputs.shape[1] == 5 + sum(table[name].nunique() for name in adult.CATEGORIES)
    flipped = table.assign(income="<=50K")
    assert np.array_equal(adult.model_inputs(flipped, train), inputs)


def test_the_same_arguments_give_the_same_bytes(built, tmp_path):
    again = tmp_path / "again.zip"
    adult.build(again, data=built[0] / "adult.parquet", keep=tmp_path / "kept", **SMALL)
    assert again.read_bytes() == (built[0] / "a.zip").read_bytes()


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(
        InputError, match=r"none.parquet is missing. Name adult.parquet.brotli with"
    ):
        adult.build(tmp_path / "x.zip", data=tmp_path / "none.parquet")


def test_another_table_is_refused(tmp_path):
    pd.DataFrame({"age": [1], "race": ["x"]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(
        InputError, match=r"other.parquet must hold the Adult data: it lacks capital"
    ):
        adult.build(tmp_path / "x.zip", data=tmp_path / "other.parquet")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_models": 0}, "n_models must be 1 or more: got 0"),
        ({"test_share": 1.0}, "test_share must lie between 0 and 1: got 1.0"),
    ],
)
def test_wrong_options(built, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        adult.build(tmp_path / "x.zip", data=built[0] / "adult.parquet", **SMALL | options)


def test_the_command_makes_it_where_it_is_asked(built, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ERRORSCOPE_HOME", str(tmp_path / "home"))
    data = ["--data", str(built[0] / "adult.parquet")]
    few = ["--models", "2", "--epochs", "2", "--workers", "1"]
    assert main(["demo", "adult", *data, *few, "--keep", str(built[0] / "kept")]) == 0
    made = tmp_path / "home" / "demo" / "adult.zip"
    assert made.read_bytes() == (built[0] / "a.zip").read_bytes()
    assert str(made) in capsys.readouterr().out
    assert main(["demo", "adult", "--out", str(tmp_path / "copy.zip")]) == 0
    assert (tmp_path / "copy.zip").read_bytes() == made.read_bytes()
    assert main(["demo", "adult", "--epochs", "3"]) == 2
    assert "--epochs decides how a demo is made: it goes with --rebuild" in capsys.readouterr().err
    assert main(["demo", "fashion", "--rebuild", "--out", str(tmp_path / "f"), "--keep", "x"]) == 2
    assert "the demo 'fashion' has no option --keep" in capsys.readouterr().err
