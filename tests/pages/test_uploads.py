"""File names from a browser and a server's data folder never lead anywhere else."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from backend.core.errors import InputError
from pages.components import uploads


def uploaded(name: str, content: bytes = b"x") -> SimpleNamespace:
    return SimpleNamespace(name=name, getbuffer=lambda: memoryview(content))


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("run.npz", "run.npz"),
        ("../../etc/passwd", "passwd"),
        ("C:\\windows\\evil.npz", "evil.npz"),
        (".hidden", "hidden"),
        ("a b<c>.npy", "a_b_c_.npy"),
        ("", "file"),
        ("..", "file"),
        ("x" * 300 + ".npz", "x" * 116 + ".npz"),
    ],
)
def test_base_names_are_tame(name, kept):
    assert uploads.base_name(name) == kept


def test_one_file_is_kept_under_our_own_name(home):
    path = uploads.keep_upload([uploaded("../../my run.npz")])
    assert path.name == "upload.npz" and path.parent.parent == home / "uploads"
    uploads.discard(path)
    assert list((home / "uploads").iterdir()) == []


def test_several_files_are_matched_by_name(home):
    folder = uploads.keep_upload([uploaded("embeddings.npy"), uploaded("losses.csv")])
    assert sorted(path.name for path in folder.iterdir()) == ["embeddings.npy", "losses.csv"]
    uploads.discard(folder)
    assert list((home / "uploads").iterdir()) == []


def test_two_files_of_one_name_are_refused(home):
    with pytest.raises(InputError, match="Rename one"):
        uploads.keep_upload([uploaded("a/losses.csv"), uploaded("b/losses.csv")])


def test_the_data_folder_offers_bundles_and_nothing_outside(tmp_path, monkeypatch):
    outside = tmp_path / "outside.npz"
    outside.touch()
    folder = tmp_path / "data"
    (folder / "run").mkdir(parents=True)
    (folder / "run" / "embeddings.npy").touch()
    (folder / "one.parquet").touch()
    (folder / "notes.txt").touch()
    (folder / "way out.npz").symlink_to(outside)
    monkeypatch.setenv("ERRORSCOPE_DATA", str(folder))
    assert uploads.data_folder() == folder
    assert uploads.offered_paths(folder) == ["one.parquet", "run"]
    assert uploads.path_inside(folder, "run") == folder / "run"
    for name in ("../outside.npz", "way out.npz", str(outside), "missing.npz"):
        with pytest.raises(InputError, match="not in the data folder"):
            uploads.path_inside(folder, name)


def test_no_data_folder_is_none(tmp_path, monkeypatch):
    monkeypatch.delenv("ERRORSCOPE_DATA", raising=False)
    assert uploads.data_folder() is None
    monkeypatch.setenv("ERRORSCOPE_DATA", str(tmp_path / "missing"))
    assert uploads.data_folder() is None


def test_discard_leaves_a_folder_of_the_server_alone(home, tmp_path):
    kept = tmp_path / "data" / "run.npz"
    kept.parent.mkdir()
    kept.touch()
    uploads.discard(kept)
    uploads.discard(None)
    assert Path(kept).exists()
