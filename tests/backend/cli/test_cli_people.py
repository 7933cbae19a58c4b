"""The log for an auditor, and a person who is erased from it."""

from __future__ import annotations

import csv
import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from backend.bundle import import_bundle, list_bundles, write_bundle
from backend.cli.main import main
from backend.store import Author, SignIn, Store

ADA = Author("Ada", "@a1")


def test_the_log_is_told_as_csv_and_a_person_erased_from_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, out = tmp_path / "home", tmp_path / "log.csv"
    path = write_bundle(tmp_path / "run.npz", embeddings=np.eye(3), losses=np.arange(3.0))
    digest = import_bundle(path, home, owner=ADA.key).digest
    with closing(Store(home=home)) as store:
        assert store.holds(SignIn("s1", ADA.key, ADA.name, 4e9), longest_s=1e12)
        store.tag(digest, ["0", "1"], "=cmd()", author=ADA)
        store.undo(digest, ADA)
        store.tag(digest, ["2"], "t", author="Bob")

    def told(*options: str) -> str:
        assert main([*options, "--home", str(home)]) == 0
        return capsys.readouterr().out

    assert "tagged 2 examples '=cmd()'" in told("log") and "signed in" in told("log")
    assert "signed in" not in told("log", "run")
    events = json.loads(told("log", digest[:8], "--person", "Ada", "--kind", "tag", "--json"))
    assert [(one["what"], one["state"]) for one in events["events"]] == [
        ("tagged 2 examples '=cmd()'", "taken back")
    ]
    assert "Nothing of that happened" in told("log", "--search", "nowhere")
    assert "4 events written" in told("log", "--out", str(out))
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["Ada", "Ada", "Ada", "Bob"]
    assert rows[1]["tag"] == "'=cmd()" and rows[2]["target"] == rows[1]["number"]
    assert "is erased person" in told("erase", "Ada")
    after = told("log")
    assert "Ada" not in after and "@a1" not in after and "Bob" in after
    assert list_bundles(home)[0].owner.startswith("@erased-")
    for options, words in (
        (["erase", "Eve"], "nobody called 'Eve'"), (["log", "--kind", "x"], "kind must be"),
    ):  # fmt: skip
        assert main([*options, "--home", str(home)]) == 2
        assert words in capsys.readouterr().err
