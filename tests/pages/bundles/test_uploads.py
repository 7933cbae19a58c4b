"""File names from a browser and a server's data folder never lead anywhere else."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from backend.bundle import delete_bundle, import_bundle, list_bundles, read_bundle
from backend.bundle.home import held_by
from backend.core.errors import BundleError, InputError
from backend.store import Author
from pages.components.bundles import uploads
from tests.bundles import npz as saved
from tests.pages.running import APP, ended

SOUND = {"embeddings": np.eye(6, 3), "losses": np.arange(6.0)}
SPOILED = SOUND | {"losses": np.array([1.0, np.nan, 2.0, 3.0, 4.0, 5.0])}


def uploaded(name: str, content: bytes = b"x") -> SimpleNamespace:
    return SimpleNamespace(name=name, getbuffer=lambda: memoryview(content))


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("run.npz", "run.npz"),
        ("../../etc/passwd", "passwd"),
        ("C:\\windows\\evil.npz", "evil.npz"),
        (".hidden", "hidden"),
        ("a b<c>.npy", "a b_c_.npy"),
        ("run (1).npz", "run (1).npz"),
        ("Läufe 言葉.npz", "Läufe 言葉.npz"),
        ("a\x00b\n.npz", "a_b_.npz"),
        (" . .npz", ". .npz".lstrip(".")),
        ("", "file"),
        ("..", "file"),
        ("x" * 300 + ".npz", "x" * 116 + ".npz"),
        ("言" * 300 + ".npz", "言" * 38 + ".npz"),
    ],
)
def test_base_names_are_tame(name, kept):
    assert uploads.base_name(name) == kept


def test_one_file_keeps_its_name_and_nothing_of_its_path(home):
    path = uploads.keep_upload([uploaded("../../my run.npz")])
    assert path.name == "my run.npz" and path.parent.parent == home / "uploads"
    uploads.discard(path)
    assert list((home / "uploads").iterdir()) == []


@pytest.mark.parametrize(
    ("names", "called"),
    [
        (["losses.csv"], "losses.csv"),
        (["embeddings.npy", "losses.csv"], "embeddings.npy and losses.csv"),
        (["embeddings.npy", "losses.csv", "labels.npy"], "embeddings.npy and 2 more"),
    ],
)
def test_several_files_are_matched_by_name_in_a_folder_called_after_them(home, names, called):
    folder = uploads.keep_upload([uploaded(name, name.encode()) for name in names])
    assert folder.name == called and folder.parent.parent == home / "uploads"
    assert {path.name: path.read_bytes().decode() for path in folder.iterdir()} == {
        name: name for name in names
    }
    assert list(folder.parent.iterdir()) == [folder]
    uploads.discard(folder)
    assert list((home / "uploads").iterdir()) == []


def test_a_fault_names_the_files_of_the_user_and_the_rows(home):
    array = io.BytesIO()
    losses = np.ones(40)
    losses[[3, 5, 7, 9, 11, 30, 39]] = np.nan
    np.save(array, losses)
    files = [uploaded("run 2 losses.npy", array.getvalue())]
    with pytest.raises(BundleError) as caught:
        read_bundle(uploads.keep_upload(files))
    assert str(caught.value).startswith("run 2 losses.npy")
    both = io.BytesIO()
    np.savez(both, embeddings=np.eye(40), losses=losses)
    with pytest.raises(BundleError) as caught:
        read_bundle(uploads.keep_upload([uploaded("my run.npz", both.getvalue())]))
    assert str(caught.value) == (
        "my run.npz, losses, row 3: 7 of 40 values are NaN, infinite or empty, in 7 of 40 rows: "
        "3, 5, 7, 9, 11 and 2 more (the first row is 0). Remove or repair those rows."
    )


def test_two_files_of_one_name_are_refused(home):
    with pytest.raises(InputError, match="Rename one"):
        uploads.keep_upload([uploaded("a/losses.csv"), uploaded("b/losses.csv")])


@pytest.mark.parametrize(
    ("setting", "whose", "refused"),
    [
        ("ERRORSCOPE_PERSON_GB", "@m", "your share of this server's disk is used up"),
        ("ERRORSCOPE_PERSON_GB", "@other", None),
        ("ERRORSCOPE_DISK_GB", "@other", "the disk space of this server is used up"),
    ],
)
def test_what_a_person_or_the_server_may_not_keep_is_refused_before_it_is_kept(
    home, monkeypatch, caplog, setting, whose, refused
):
    path = home.parent / "held.npz"
    path.write_bytes(saved(**SOUND))
    held = import_bundle(path, home, owner="@m")
    before = set((home / "uploads").glob("*"))
    caplog.set_level("INFO", "errorscope")
    monkeypatch.setattr(uploads.services, "who", lambda: Author("Mem", whose))
    monkeypatch.setenv(setting, str(held_by("@m") / 1e9))
    if refused is None:
        uploads.discard(uploads.keep_upload([uploaded("a.npz")]))
    else:
        with pytest.raises(InputError, match=refused):
            uploads.keep_upload([uploaded("a.npz")])
    assert [one.getMessage() for one in caplog.records] == ["import refused"] * bool(refused)
    assert set((home / "uploads").glob("*")) == before
    delete_bundle(held.digest, home)


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


def test_a_failed_file_is_named_and_left_out_of_the_next_import(home):
    before = set((home / "uploads").glob("*"))
    at = AppTest.from_file(APP, default_timeout=60)
    at.switch_page("pages/bundles.py").run()
    for fields, name in ((SPOILED, "spoiled run.npz"), (SOUND, "sound run.npz")):
        at.file_uploader[0].upload(name, saved(**fields)).run()
        at.button(key="import").click().run()
        ended(at)
        assert not at.file_uploader[0].value
        if name.startswith("spoiled"):
            assert "spoiled run\\.npz was not imported" in at.error[0].value
            assert any("spoiled run.npz, losses, row 1" in one.value for one in at.text)
            assert all(len(one.name) < 32 for one in (home / "uploads").glob("*/*"))
    assert not at.error
    names = {info.name for info in list_bundles()}
    assert "sound run" in names and not any("spoiled" in name for name in names)
    assert set((home / "uploads").glob("*")) == before


def test_beside_a_refused_upload_nothing_says_imported_and_several_files_are_several(home):
    at = AppTest.from_file(APP, default_timeout=60)
    at.switch_page("pages/bundles.py").run()
    at.query_params["group"] = "region-2"
    at.file_uploader[0].upload("sound run.npz", saved(**SOUND)).run()
    at.button(key="import").click().run()
    ended(at)
    assert any("is imported and open" in one.value for one in at.markdown)
    assert "group" not in at.query_params  # another bundle's choice
    at.file_uploader[0].upload("embeddings.npy", b"none").upload("losses.csv", b"loss\n1\n").run()
    at.button(key="import").click().run()
    ended(at)
    assert "were not imported. The next import leaves them out" in at.error[0].value
    assert not any("is imported and open" in one.value for one in at.markdown)
