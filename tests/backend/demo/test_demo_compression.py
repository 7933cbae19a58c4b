"""The compression demo in small: built, stopped, killed, gone on with."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from backend.bundle import read_bundle
from backend.core.errors import InputError, JobCancelled
from backend.core.home import PROJECT, home_folder
from backend.demo import compression
from backend.demo.compact import weighted_layers
from backend.demo.images import image_attributes, read_split
from backend.demo.pool import WorkFolder, run_kept
from backend.demo.shifts import SHIFTS
from backend.populations import stress_report

SMALL = {"n_train": 128, "n_test": 30, "n_models": 3, "epochs": 1, "workers": 1}
N_NETWORKS = 12


@pytest.fixture(scope="module")
def built(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compression")
    measured = compression.build(folder / "small.zip", data=data, keep=folder / "kept", **SMALL)
    return folder, measured


@pytest.fixture(scope="module")
def bundle(built):
    return read_bundle(built[0] / "small.zip")


def test_it_is_a_bundle_with_the_numbers_it_reports(built, bundle, data):
    path, measured = built[0] / "small.zip", built[1]
    assert (bundle.n, bundle.d, measured["n"], measured["n_models"]) == (30, 32, 30, 3)
    assert list(bundle.populations) == ["baseline", "pruned-70", "pruned-90", "int4"]
    for name, population in bundle.populations.items():
        assert population.shape == (3, 30)
        assert (population == bundle.labels).mean() == pytest.approx(measured[name])
    assert np.bincount(bundle.labels).tolist() == [3] * 10
    assert path.stat().st_size == measured["size_bytes"]
    labels = read_split(data, "t10k")[1]
    rows = [int(name.removeprefix("test-")) for name in bundle.ids]
    assert np.array_equal(labels[rows], bundle.labels)
    assert bundle.has_images


def test_loss_predictions_and_probabilities_are_the_first_baseline_networks(bundle):
    assert np.array_equal(bundle.predictions, bundle.populations["baseline"][0])
    own = bundle.probabilities[np.arange(bundle.n), bundle.labels].astype(float)
    assert np.allclose(-np.log(own), bundle.losses, atol=2e-3)


def test_attributes_are_measured_and_their_levels_are_thirds_of_the_test_set(bundle, data):
    images, _ = read_split(data, "t10k")
    rows = [int(name.removeprefix("test-")) for name in bundle.ids]
    for name, values in image_attributes(images).items():
        assert np.array_equal(bundle.examples[name], values[rows], equal_nan=True)
        ranks = compression.LEVELS[name]
        cuts = np.quantile(values, [1 / 3, 2 / 3])
        wanted = [ranks[int((value > cuts).sum())] for value in values[rows]]
        assert bundle.examples[f"{name}_level"].tolist() == wanted


def test_the_stress_table_has_every_network_and_test_and_agrees_with_the_populations(bundle):
    table = bundle.stress
    assert list(table.columns) == ["model", "population", "test", "accuracy", "loss"]
    assert table["test"].tolist() == list(SHIFTS) * N_NETWORKS
    iid = table[table["test"] == "iid"]
    for name, population in bundle.populations.items():
        own = iid.loc[iid["population"] == name, "accuracy"]
        assert np.allclose(own, (population == bundle.labels).mean(1))
    wide = table.pivot(index="model", columns="test", values="accuracy")
    report = stress_report(wide["iid"], wide.drop(columns="iid"))
    assert set(report.spread["metric"]) == set(SHIFTS)


def test_scores_are_probabilities_of_the_label_under_the_scored_test(built, bundle, data):
    scores = bundle.extras["stress_scores"]
    assert scores.shape == (3, bundle.n)  # the baseline's networks
    assert scores.min() >= 0 and scores.max() <= 1
    table = bundle.stress
    scored = (table["test"] == compression.SCORED) & (table["population"] == "baseline")
    own = table.loc[scored, "accuracy"].to_numpy()
    surely_right = (scores > 0.51).mean(1)  # above one half no other class can be ahead
    assert (surely_right <= own + 1e-9).all()


def test_populations_are_pruned_and_rounded_as_named(data, monkeypatch):
    made = []
    train = compression.train_plan
    monkeypatch.setattr(
        compression, "train_plan", lambda *a, **k: made.append(train(*a, **k)) or made[-1]
    )
    for options in compression.POPULATIONS.values():
        plan = compression.Plan(0, 1, **options)
        compression.train_member(
            compression.CompressionTraining(data, 64, 30, 0, plan), lambda share: None
        )
    zeros, values = [], []
    for network in made:
        weights = [layer.weight.detach().flatten(1) for layer in weighted_layers(network)]
        zeros.append(float((torch.cat([w.flatten() for w in weights]) == 0).double().mean()))
        values.append(max(len(channel.unique()) for w in weights for channel in w))
    assert zeros[:3] == pytest.approx([0, 0.7, 0.9], abs=1e-4)
    assert values[3] <= 15 < values[0]


def test_no_two_networks_share_a_seed(built):
    answers = [np.load(file)["loss"] for file in (built[0] / "kept").iterdir()]
    assert len({losses.tobytes() for losses in answers}) == N_NETWORKS


def test_finished_networks_are_not_trained_again(built, data, tmp_path, monkeypatch):
    monkeypatch.setattr(compression, "train_member", None)  # would fail if it were called
    again = tmp_path / "again.zip"
    compression.build(again, data=data, keep=built[0] / "kept", **SMALL)
    assert again.read_bytes() == (built[0] / "small.zip").read_bytes()


def test_a_damaged_or_missing_result_is_made_anew(built, data, tmp_path):
    folder = tmp_path / "kept"
    folder.mkdir()
    files = sorted((built[0] / "kept").iterdir())
    for file in files:
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / files[0].name).write_bytes(files[0].read_bytes()[:200])
    (folder / files[1].name).unlink()
    compression.build(tmp_path / "again.zip", data=data, keep=folder, **SMALL)
    assert (tmp_path / "again.zip").read_bytes() == (built[0] / "small.zip").read_bytes()


def test_another_option_is_another_network(built, data, tmp_path):
    trained = []

    def stop(share, said):
        trained.append(said)
        raise JobCancelled

    with pytest.raises(JobCancelled):
        compression.build(
            tmp_path / "x.zip",
            data=data, keep=built[0] / "kept", progress=stop, **SMALL | {"epochs": 2},
        )  # fmt: skip
    assert trained == ["Training network 1 of 12."]
    assert not (tmp_path / "x.zip").exists()


KILLED = """
import json, os, sys
from backend.demo import compression

def progress(share, said):
    if said == "Training network 3 of 12.":
        os._exit(9)

compression.build(sys.argv[1], progress=progress, **json.loads(sys.argv[2]))
"""


def test_a_killed_run_goes_on(built, data, tmp_path, monkeypatch):
    """Without a folder named: answers lie in the home folder until the bundle is written."""
    monkeypatch.setenv("ERRORSCOPE_HOME", str(tmp_path / "home"))
    path = tmp_path / "killed.zip"
    command = [sys.executable, "-c", KILLED, str(path), json.dumps({"data": str(data)} | SMALL)]
    assert subprocess.run(command, cwd=PROJECT, check=False).returncode == 9
    kept = home_folder() / "demo" / "compression"
    assert len(list(kept.iterdir())) == 2 and not path.exists()
    said = []
    compression.build(path, data=data, progress=lambda share, what: said.append(what), **SMALL)
    assert said[0] == "Training network 3 of 12."
    assert path.read_bytes() == (built[0] / "small.zip").read_bytes()
    assert not kept.exists()


def slow_double(task, after):
    after(0.5)
    return {"twice": np.array([2 * task])}


def test_workers_give_the_same_results_in_the_same_order(tmp_path):
    tasks = [({"task": number}, number) for number in range(5)]
    WorkFolder(tmp_path).write({"task": 3}, {"twice": np.array([-1])})
    told = []
    results = run_kept(
        slow_double, tasks, WorkFolder(tmp_path),
        workers=2, progress=lambda share, said: told.append((share, said)), what="number",
    )  # fmt: skip
    assert [int(result["twice"][0]) for result in results] == [0, 2, 4, -1, 8]
    assert told[0] == (0.2, "Training number 2 of 5.")
    assert [share for share, _ in told] == sorted(share for share, _ in told)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_train": 201}, "at most the 200 images"),
        ({"n_models": 2}, "n_models must be 3 or more: got 2"),
        ({"n_test": 9}, "n_test must be 10 or more: got 9"),
        ({"n_test": 80}, "n_test must leave at most"),
        ({"epochs": 0}, "epochs must be 1 or more: got 0"),
    ],
)
def test_wrong_options(data, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        compression.build(tmp_path / "x.zip", data=data, **SMALL | options)


def test_the_data_folder_is_named_when_absent(tmp_path):
    with pytest.raises(InputError, match="apt-get install dataset-fashion-mnist"):
        compression.build(tmp_path / "x.zip", data=tmp_path)
