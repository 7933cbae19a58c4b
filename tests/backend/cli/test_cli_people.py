"""The log for an auditor, and a person who is erased from it."""

from __future__ import annotations

import csv
import getpass
import json
import shlex
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from backend.bundle import import_bundle, list_bundles, write_bundle
from backend.cli import report
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
    said = told("erase", "Ada", "--mail", "ada@x.org")
    assert "is erased person" in said and "stands in no text" in said
    after = told("log")
    assert "Ada" not in after and "@a1" not in after and "Bob" in after
    assert list_bundles(home)[0].owner.startswith("@erased-")
    for options, words in (
        (["erase", "Eve"], "nobody called 'Eve'"), (["log", "--kind", "x"], "kind must be"),
    ):  # fmt: skip
        assert main([*options, "--home", str(home)]) == 2
        assert words in capsys.readouterr().err


def test_a_name_in_texts_and_names_of_bundles_is_replaced_with_the_command_that_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    path = write_bundle(tmp_path / "run.npz", embeddings=np.eye(3), losses=np.arange(3.0))
    digest = import_bundle(path, home, owner=ADA.key, name="for ada, again").digest
    with closing(Store(home=home)) as store:
        store.tag(digest, ["0"], "ask Ada", author=ADA)
    assert main(["erase", "@a1", "--home", str(home)]) == 0
    said = capsys.readouterr().out
    assert "stands in 2 texts" in said and "for ada, again" in said and "tagged 1 example" in said
    command = shlex.split(said[said.index("python -m backend erase") :].splitlines()[0])[3:]
    assert main([*command, "--home", str(home)]) == 0
    assert "replaced in 1 text " in capsys.readouterr().out
    (info,) = list_bundles(home)
    assert info.name.startswith("for erased person ") and info.name.endswith(", again")
    with closing(Store(home=home)) as store:
        (tag,) = store.tag_counts(digest)
    assert tag.startswith("ask erased person ")


def test_what_the_command_line_imports_and_takes_out_is_in_the_log_under_the_systems_user(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "ops")
    home, out = tmp_path / "home", str(tmp_path / "out.csv")
    path = write_bundle(tmp_path / "run.npz", embeddings=np.eye(3), losses=np.arange(3.0))

    def run(*options: str) -> str:
        assert main([*options, "--home", str(home)]) == 0
        return capsys.readouterr().out

    run("import", str(path))
    (info,) = list_bundles(home)
    with closing(Store(home=home)) as store:
        store.tag(info.digest, ["0"], "t", author="Ada")
    run("export", "run", "--out", out, "--manifest", f"{out}.json")
    run("export", "--replay", f"{out}.json", "--out", out)
    run("rename", "run", "other")
    run("hypothesis", "other", "--out", out)
    with closing(Store(home=home)) as store:
        done = [(one.author, one.summary) for one in store.history(info.digest)]
    assert done == [
        ("ops", "took out the hypotheses"),
        ("ops", "called the bundle 'other'"),
        ("ops", "took out the examples of a manifest"),
        ("ops", "took out the tagged examples with their manifest"),
        ("Ada", "tagged 1 example 't'"),
        ("ops", "imported the bundle"),
    ]


def test_every_module_that_writes_files_of_a_bundle_writes_it_down() -> None:
    free = {"collecting.py", "demo.py", "people.py"}  # no bundle's, or the log itself
    sources = {
        one.name: one.read_text("utf-8") for one in Path(report.__file__).parent.glob("*.py")
    }
    writers = {name for name, source in sources.items() if "write_file(" in source}
    tellers = {name for name, source in sources.items() if "taken_out(" in source}
    assert writers - tellers == free
