"""The command about training examples: what it prints, lists and writes again."""

from __future__ import annotations

import json
from contextlib import closing

import numpy as np
import pytest

from backend.bundle import import_bundle, open_bundle, write_bundle
from backend.bundle.training import training_of
from backend.cli.main import main
from backend.store import Store
from tests.backend.tasks.test_tasks_attribution import N_TRAIN, fields


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    place = tmp_path_factory.mktemp("training") / "run.npz"
    write_bundle(place, **fields())
    return place


@pytest.fixture
def run(path, tmp_path, capsys):
    def command(*options):
        code = main(["attribute", str(path), "--home", str(tmp_path / "home"), *map(str, options)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return command


def test_it_says_what_helps_and_harms_and_writes_lists_that_replay(run, tmp_path):
    lists, again = tmp_path / "lists", tmp_path / "again"
    lists.mkdir(), again.mkdir()
    code, out, _ = run("--columns", "mark", "--remove", 25, "--out", lists, "--json")
    told = json.loads(out)
    assert code == 0 and told["about"] == "groups of label and mark" and len(told["groups"]) == 4
    scores = [one["score"] for one in told["harmful"]]
    assert scores == sorted(scores) and scores[0] < 0 < told["helpful"][0]["score"]
    assert (lists / "remove.csv").read_text().count("\n") == 26
    assert (lists / "keep.csv").read_text().count("\n") == N_TRAIN - 25 + 1
    assert run("--replay", lists / "manifest.json", "--out", again)[0] == 0
    for name in ("remove.csv", "keep.csv", "manifest.json"):
        assert (again / name).read_bytes() == (lists / name).read_bytes()


def test_groups_are_named_by_rule_by_themselves_or_by_the_scores(run):
    code, out, _ = run("--rule", 'label = left and mark = "on"')
    assert code == 0 and "Most harmful:" in out and "Exact for its 7 parameters" in out
    assert "the worst group: " in run()[1]
    told = json.loads(run("--pseudo", "--json")[1])
    assert len(told["groups"]) == 4
    np.testing.assert_allclose(sum(one["weight"] for one in told["groups"]), 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--remove", "5"), "name a folder with --out"),
        (("--out", "nowhere"), "must be a folder that is there"),
        (("--tag", "none"), "no example is meant"),
        (("--method", "trak"), "TRAK needs attribution/train_features"),
    ],
)
def test_what_cannot_be_done_is_said(run, options, said):
    code, _, error = run(*options)
    assert code == 2 and said in error


def test_tagged_training_examples_are_written(path, tmp_path, capsys):
    home = tmp_path / "home"
    bundle = open_bundle(import_bundle(path, home=home).digest, home=home)
    out, manifest = tmp_path / "tagged.csv", tmp_path / "tagged.json"
    files = ["--out", str(out), "--home", str(home)]
    command = ["export", bundle.digest[:12], "--training", *files]
    assert main(command) == 2 and "no training example is tagged" in capsys.readouterr().err
    with closing(Store(home=home)) as store:
        training = training_of(bundle)
        told = {"kind": "training", "about": "all groups", "options": {}}
        store.tag(training.digest, [str(one) for one in training.ids[[4, 2]]], "odd", source=told)
        store.tag(training.digest, [str(training.ids[5])], "=twin")
        store.tag(bundle.digest, [str(bundle.ids[5])], "odd")  # of an evaluated example
    assert main(command) == 0 and "3 rows written" in capsys.readouterr().out
    assert [line.split(",")[4] for line in out.read_text().splitlines()[1:]] == ["5", "2", "4"]
    assert main([*command, "--tag", "odd", "--manifest", str(manifest)]) == 0
    assert main([*command, "--tag", "even"]) == 2 and "=twin, odd" in capsys.readouterr().err
    written, replayed = out.read_bytes(), ["export", "--replay", str(manifest), *files]
    with closing(Store(home=home)) as store:  # what comes later is not in the manifest
        store.untag(training.digest, [str(training.ids[2])], "odd")
    assert main(replayed) == 0 and "byte by byte" in capsys.readouterr().out
    assert out.read_bytes() == written and written.count(b"\r\n") == 3
    assert main([*replayed, "--refit"]) == 2 and "without refitting" in capsys.readouterr().err
    changed = json.loads(manifest.read_text())
    changed["bundle"]["n"] += 1
    manifest.write_text(json.dumps(changed))
    assert main(replayed) == 2 and "The manifest was changed" in capsys.readouterr().err
