"""``fit`` under ``torchrun``, as the README types it: one report, one file, the regions of one."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from backend.bundle import write_bundle
from backend.cli.main import main

PROJECT = Path(__file__).resolve().parents[3]


def typed() -> list[str]:
    """The command in the README."""
    found = re.search(
        r"`(torchrun [^`]*-m backend fit [^`]*)`", (PROJECT / "README.md").read_text()
    )
    assert found is not None
    return shlex.split(found[1])


def launch(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "ERRORSCOPE_HOME": str(folder / "home"),
        "OMP_NUM_THREADS": "1",
        "PET_STANDALONE": "1",  # a free port, where other tests may run beside
    }
    return subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=180
    )


@pytest.fixture
def bundle(tmp_path):
    rng = np.random.default_rng(1)
    embeddings, losses = rng.normal(size=(300, 4)), rng.exponential(0.2, size=300)
    embeddings[:20] += 4
    losses[:20] += 3
    return write_bundle(tmp_path / "run.npz", embeddings=embeddings, losses=losses)


def test_the_command_of_the_readme_finds_what_one_process_finds(
    bundle, tmp_path, monkeypatch, capsys
):
    given = {"BUNDLE": str(bundle), "F.npz": str(tmp_path / "together.npz")}
    command = [given.get(word, word) for word in typed()]
    options = ["--spotlights", "2", "--size", "15", "--prepare", "pca", "--components", "3"]
    options += ["--precision", "diagonal", "--kernel", "squared_distance"]
    ran = launch([*command, *options], tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("Written to") == 1
    assert ran.stdout.count("3 of 4 principal components") == 1
    assert ran.stderr.count("All regions found") == 1
    monkeypatch.setenv("ERRORSCOPE_HOME", str(tmp_path / "home"))
    assert main(["fit", str(bundle), "--out", str(tmp_path / "one.npz"), *options]) == 0
    assert capsys.readouterr().out.replace("one.npz", "together.npz") == ran.stdout
    with np.load(tmp_path / "one.npz") as one, np.load(tmp_path / "together.npz") as together:
        assert set(one) == set(together)
        for name in ("weights", "centers", "precisions", "weighted_losses", "total_weights"):
            np.testing.assert_allclose(together[name], one[name], atol=1e-5, err_msg=name)
        np.testing.assert_array_equal(together["ids"], one["ids"])


def test_what_is_wrong_is_said_by_every_process_and_no_file_is_written(bundle, tmp_path):
    out = tmp_path / "together.npz"
    command = [{"BUNDLE": str(bundle), "F.npz": str(out)}.get(word, word) for word in typed()]
    ran = launch([*command, "--size", "999", "--json"], tmp_path)
    assert ran.returncode != 0
    assert ran.stdout.count('"ok": false') == 1
    assert "error: size must be a share in (0, 1)" in ran.stderr
    assert not out.exists()
