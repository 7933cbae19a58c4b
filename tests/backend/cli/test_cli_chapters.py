"""Chapters of a report from the command line: cause, words, repair, before and after, as pages have them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from backend.bundle import import_bundle
from backend.cli.main import main
from tests.backend.tasks.test_repair_task import fields
from tests.bundles import npz


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A home folder with two runs of one set: the newer one is right on what is at night."""
    folder = tmp_path_factory.mktemp("chapters")
    digests = []
    for name in ("older", "newer"):
        given = fields()
        given["examples/id"] = np.array([f"e{at}" for at in range(len(given["labels"]))])
        if name == "newer":
            night = given["examples/time"] == "night"
            given["predictions"] = np.where(night, given["labels"], given["predictions"])
            given["losses"] = given["losses"] * ~night
        path = folder / f"{name}.npz"
        path.write_bytes(npz(**given))
        digests.append(import_bundle(path, home=folder / "home", name=name).digest)
    return folder / "home", digests[0], digests[1]


def test_all_chapters_that_need_no_model(
    runs: tuple[Path, str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, older, newer = runs
    out, card = tmp_path / "report.html", tmp_path / "card.md"
    asked = [
        "report", older[:12], "--home", str(home), "--out", str(out), "--markdown", str(card), "--words",
        "--repair", 'time = "night"', "--strength", "0.7", "--cause", 'time = "night"', "--json",
    ]  # fmt: skip
    assert main(asked) == 0
    assert json.loads(capsys.readouterr().out)["out"] == str(out)
    html, said = out.read_text(), card.read_text()
    titles = [
        "Cause: training examples",
        "In words: columns and texts",
        "Repair: the last layer refitted",
    ]
    places = [html.index(one) for one in titles]
    assert places == sorted(places) and all(
        f"### {one}" in said for one in ("Cause", "In words", "Repair")
    )
    assert "counts ×0.7 more" in html and "more frequent among held-out failures" in html

    changed = tmp_path / "changed.html"
    asked = ["report", newer[:12], "--home", str(home), "--out", str(changed), "--before", "older"]
    assert main(asked) == 0
    assert "Compared with older, the run before." in changed.read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--repair", 'time = "dusk"'], "means no example of 'older'"),
        (["--cause", "nothing = 1"], "nothing"),
        (["--repair", 'time = "night"', "--strength", "-1"], "a strength must be a number above 0"),
        (["--before", "nobody"], "nobody"),
        (["--contexts", "backgrounds"], "neither pictures nor texts"),
    ],
)
def test_chapters_that_cannot_be_told(
    runs: tuple[Path, str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    said: str,
) -> None:
    home, older, _ = runs
    out = tmp_path / "report.html"
    assert main(["report", older[:12], "--home", str(home), "--out", str(out), *options]) == 2
    assert said in capsys.readouterr().err and not out.exists()
