"""The command that sharpens: rounds of answers in a file, from a region and from a tag."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest

from backend.bundle import import_bundle
from backend.cli.main import main
from backend.store import Store
from tests.bundles import npz, planted


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """(digest, which examples are planted by id, home) of a bundle with a tag on twelve of them."""
    home = tmp_path_factory.mktemp("sharpen")
    fields = planted(400, 6, seed=6, share=0.2)
    truth = fields.pop("planted")
    path = home / "run.npz"
    path.write_bytes(npz(**fields))
    bundle = import_bundle(path, home)
    Store(home=home).tag(bundle, bundle.ids[np.flatnonzero(truth)[:12]], "some")
    return bundle.digest, dict(zip(bundle.ids.tolist(), truth.tolist(), strict=True)), home


def run(capsys, *arguments):
    status = main([*map(str, arguments), "--json"])
    return status, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("start", [("--tag", "some"), ("--region", 1)], ids=str)
def test_rounds_of_answers_in_a_file_sharpen_the_ranking(
    imported, tmp_path, monkeypatch, capsys, start
):
    digest, truth, home = imported
    monkeypatch.delenv("ERRORSCOPE_DATABASE", raising=False)
    out, answers = tmp_path / "ranked.csv", tmp_path / "answers.csv"
    common = ("sharpen", digest, *start, "--out", out, "--home", home)
    status, said = run(capsys, *common)
    assert status == 0 and said["expected"] is None and len(said["next"]) == 10
    given = []
    for _ in range(8):
        for one in said["next"]:
            given.append({**one, "answer": "yes" if truth[one["id"]] else "no"})
        pd.DataFrame(given).to_csv(answers, index=False)
        status, said = run(capsys, *common, "--answers", answers)
        assert status == 0 and said["answered"] == len(given)
    ranked = pd.read_csv(out, encoding="utf-8-sig", dtype={"id": str}, keep_default_na=False)
    assert [truth[one] for one in ranked["id"][:60]].count(True) >= 57
    assert ranked["ask"].sum() == 10 and ranked["rank"].tolist() == list(range(1, 401))
    assert said["low"] <= sum(truth.values()) <= said["high"] and said["drawn"] >= 20


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,answer\nnobody,yes\n", "line 1 .* no example 'nobody'"),
        ("id,answer\n{0},maybe\n", "one of yes, no, skip: got 'maybe'"),
        ("id,answer,chance\n{0},yes,2\n", r"chance in \(0, 1\], or none: got '2'"),
        ("name,answer\n{0},yes\n", "must have the columns id and answer: got name, answer"),
        ("", "is not a CSV of answers"),
    ],
    ids=str,
)
def test_answers_that_cannot_be_used_are_named(
    imported, tmp_path, monkeypatch, capsys, text, words
):
    digest, truth, home = imported
    monkeypatch.delenv("ERRORSCOPE_DATABASE", raising=False)
    answers = tmp_path / "answers.csv"
    answers.write_text(text.format(next(iter(truth))))
    common = ("sharpen", digest, "--out", tmp_path / "x.csv", "--home", home)
    status, said = run(capsys, *common, "--tag", "some", "--answers", answers)
    assert status == 2
    assert re.search(words, said["error"])
    for start in (("--tag", "none"), ("--region", "99")):
        assert run(capsys, *common, *start)[0] == 2
