"""The task and the command that list regions."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from backend.bundle import read_bundle, write_bundle
from backend.cli.main import main
from backend.core.errors import InputError
from backend.spotlight import find_regions
from backend.tasks import complete_options, default_options, run_regions

N, PLANTED = 600, 24


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    random = np.random.default_rng(1)
    embeddings = random.normal(size=(N, 6)).astype(np.float32)
    losses = random.exponential(0.2, size=N)
    labels = random.integers(0, 2, N)
    labels[:PLANTED] = 1
    embeddings[:PLANTED, :2] += 4
    losses[:PLANTED] += 2
    return write_bundle(
        tmp_path_factory.mktemp("bundle") / "run.npz",
        embeddings=embeddings,
        losses=losses,
        labels=labels,
        predictions=1 - labels,
        classes=["Shirt", "Coat"],
        examples=pd.DataFrame({"patient": np.arange(N) // 2}),
    )


def run(path, **options):
    bundle = read_bundle(path)
    complete = complete_options("regions", options)
    return bundle, *run_regions(bundle, complete, lambda share, told: None, lambda *part: None)


def test_task_writes_what_the_function_finds(path):
    bundle, arrays, meta = run(path, n_regions=3)
    names = np.array(["Shirt", "Coat"])[bundle.labels]
    same = find_regions(bundle.embeddings, bundle.losses, labels=names, n_regions=3)
    np.testing.assert_allclose(arrays["weights"], same.weights, atol=1e-6)
    np.testing.assert_allclose(arrays["centers"], same.centers)
    r = len(same)
    assert arrays["precisions"].shape == (r,) and (arrays["precisions"] > 0).all()
    assert arrays["scores"].shape == (r, N) and arrays["roots"].shape[:2] == (r, 6)
    for line, rows, told in zip(arrays["members"], same.members, meta["regions"], strict=True):
        assert line[line >= 0].tolist() == rows.tolist()
        assert told["n_members"] == len(rows)
        assert told["member_loss"] == pytest.approx(bundle.losses[rows].mean())
    assert meta["regions"][0]["scope"] == "among true label Coat"
    assert set(arrays["members"][0][:10]) <= set(range(PLANTED))
    json.dumps(meta)


def test_groups_are_a_column_that_exists(path):
    _, arrays, meta = run(path, groups="patient")
    half = arrays["first_half"]
    assert (half[::2] == half[1::2]).all() and meta["options"]["groups"] == "patient"
    with pytest.raises(InputError, match="no column 'ward'"):
        run(path, groups="ward")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"n_regions": 0}, "n_regions must be a whole number from 1"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"groups": 3}, "groups must name a column"),
        ({"size": 0.1}, "no option 'size'. It takes n_regions, seed, groups"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options, text):
    with pytest.raises(InputError, match=text):
        complete_options("regions", options)
    assert default_options("regions") == {"n_regions": 5, "seed": 0, "groups": None, "layer": ""}


def test_command_lists_and_writes(path, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ERRORSCOPE_HOME", str(tmp_path / "home"))
    out = tmp_path / "regions.npz"
    command = ["regions", str(path), "--regions", "2", "--groups", "patient", "--out", str(out)]
    assert main(command) == 0
    assert "among true label Coat" in capsys.readouterr().out
    assert main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["regions"][0]["p_value"] <= 0.05
    with np.load(out) as file:
        assert file["scores"].shape == (len(told["regions"]), N) and len(file["ids"]) == N
    assert main(["regions", str(path), "--groups", "ward"]) == 2
    assert "--groups must name a column" in capsys.readouterr().err
