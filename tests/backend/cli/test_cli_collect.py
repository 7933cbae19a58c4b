"""``collect``: what a function of somebody's returns becomes a bundle, or a sentence says why not."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from backend.bundle import list_bundles, read_bundle
from backend.cli.main import main
from backend.collect import standalone

MINE = """
import numpy as np
X = np.arange(12.0).reshape(6, 2)
def model(x):
    return {"embeddings": x, "logits": x - 5}
def evaluated():
    return model, (X, np.arange(6) % 2)
def named():
    return {"model": model, "loader": (X, np.arange(6) % 2), "classes": ["no", "yes"], "out": "named.zip"}
def alone():
    return model
def half():
    return {"model": model}
def unsound():
    return model, (X, np.arange(6)), {"classes": ["no", "yes"]}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "of_mine.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ERRORSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "of_mine", raising=False)
    return tmp_path


def test_a_module_or_a_file_is_collected(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["collect", "of_mine:evaluated", "--import-as", "mine", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["examples"], told["dimensions"], told["path"]) == (6, 2, "bundle.npz")
    [kept] = list_bundles()
    assert (kept.name, kept.digest) == ("mine", told["digest"])
    assert main(["collect", str(here / "of_mine.py") + ":named"]) == 0
    assert "cross-entropy of the model's logits, in nats." in capsys.readouterr().out
    assert read_bundle(here / "named.zip").classes == ("no", "yes")
    assert main(["collect", "of_mine:named", "--out", "other"]) == 0
    assert read_bundle(here / "other").digest == read_bundle(here / "named.zip").digest
    assert main(["collect", "--standalone", "collector.py"]) == 0
    assert (here / "collector.py").read_text(encoding="utf-8") == standalone()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "collect needs MODULE:FACTORY"),
        (["of_mine"], "must be MODULE:FUNCTION"),
        (["absent:evaluated"], "there is no module 'absent' here"),
        (["absent.py:evaluated"], "there is no file 'absent.py'"),
        (["of_mine:absent"], "of_mine has no function 'absent'"),
        (["of_mine:alone"], "must return (model, loader)"),
        (["of_mine:half"], "loader is missing"),
        (["of_mine:unsound"], "labels must be class codes below 2: got 0 to 5"),
        (["of_mine:evaluated", "--device", "cuda:99"], "device is for torch models"),
        (["of_mine:evaluated", "--standalone", "here.py"], "collects nothing"),
    ],
)
def test_what_cannot_be_collected_is_one_sentence(
    here: Path, capsys: pytest.CaptureFixture[str], given: list[str], said: str
) -> None:
    before = sorted(path.name for path in here.iterdir())
    assert main(["collect", *given]) == 2
    assert said in capsys.readouterr().err
    left = {path.name for path in here.iterdir()} - {"__pycache__"}
    assert sorted(left) == before
