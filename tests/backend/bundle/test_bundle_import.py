"""Importing: once per content, whole or not at all, opened by memory map."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.bundle import (
    delete_bundle,
    delete_removed,
    give_to,
    import_bundle,
    list_bundles,
    open_bundle,
    owner_of,
    read_bundle,
    remove_bundle,
    removed_bundles,
    restore_bundle,
    sweep_removed,
    write_bundle,
)
from backend.bundle.home import held_by
from backend.core.errors import BundleError, InputError, JobCancelled
from backend.core.home import PROJECT
from backend.core.memory import bytes_of
from backend.core.parts import bundle_aside
from tests.bundles import picture, planted


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    fields = planted(60)
    return write_bundle(
        tmp_path / "run 1.npz",
        **{
            key: fields[key] for key in ("embeddings", "losses", "labels", "predictions", "classes")
        },
        examples={"planted": fields["planted"], "text": ["two words"] * 60},
        images=[picture(k % 3) if k % 4 else None for k in range(60)],
        populations={"a/b".replace("/", " & "): np.zeros((2, 60), int)},
        stress={"model": ["x"], "iid": [0.5]},
    )


def stored(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "bundles").iterdir())


def test_imported_bundle_equals_the_one_read(upload: Path, home: Path) -> None:
    read, kept = read_bundle(upload), import_bundle(upload, home)
    assert kept.digest == read.digest and kept.name == read.name == "run 1"
    assert kept.path == home / "bundles" / kept.digest
    for name in ("embeddings", "losses", "labels", "predictions"):
        assert np.array_equal(getattr(kept, name), getattr(read, name))
        assert getattr(kept, name).dtype == getattr(read, name).dtype
    assert kept.examples.equals(read.examples)
    assert kept.examples.dtypes.to_dict() == read.examples.dtypes.to_dict()
    assert kept.populations.keys() == read.populations.keys() == {"a & b"}
    assert kept.stress is not None and kept.stress.equals(read.stress)
    assert (kept.notes, kept.classes) == (read.notes, read.classes)
    assert [kept.image(row) for row in range(9)] == [read.image(row) for row in range(9)]
    assert [kept.thumbnail(row) for row in range(9)] == [read.thumbnail(row) for row in range(9)]
    assert (kept.base_loss, kept.accuracy) == (read.base_loss, read.accuracy)


@pytest.mark.parametrize("room", ["too little for the file", "too little for what it becomes"])
def test_a_full_home_takes_no_bundle_and_keeps_nothing_of_it(
    upload: Path, home: Path, monkeypatch: pytest.MonkeyPatch, room: str
) -> None:
    size = upload.stat().st_size
    quota = size - 1 if room == "too little for the file" else size + 1
    monkeypatch.setenv("ERRORSCOPE_DISK_GB", str(quota / 1e9))
    with pytest.raises(InputError, match=r"may keep .* GB \(ERRORSCOPE_DISK_GB\).*Remove a bundle"):
        import_bundle(upload, home)
    assert stored(home) == []


def test_a_person_keeps_no_more_than_their_share(
    upload: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = write_bundle(tmp_path / "other.npz", embeddings=np.eye(9), losses=np.arange(9.0))
    kept = import_bundle(upload, home, owner="ada")
    size = next(info.size_bytes for info in list_bundles(home))
    assert held_by("ada", home) == size and held_by("bob", home) == 0
    monkeypatch.setenv("ERRORSCOPE_PERSON_GB", str((size + 100) / 1e9))
    with pytest.raises(InputError, match=r"your share .*ERRORSCOPE_PERSON_GB.*Remove one of your"):
        import_bundle(other, home, owner="ada")
    assert stored(home) == [kept.digest]
    import_bundle(other, home, owner="bob")
    import_bundle(other, home, owner="")  # a command line is nobody in particular
    delete_bundle(kept.digest, home)
    third = write_bundle(tmp_path / "third.npz", embeddings=np.eye(8), losses=np.arange(8.0))
    import_bundle(third, home, owner="ada")
    monkeypatch.setenv("ERRORSCOPE_PERSON_GB", "much")
    with pytest.raises(InputError, match="positive number of GB"):
        import_bundle(third, home, owner="ada")


def test_arrays_are_mapped_and_cannot_be_written(upload: Path, home: Path) -> None:
    bundle = import_bundle(upload, home)
    for array in (bundle.embeddings, bundle.losses, bundle.labels, *bundle.populations.values()):
        assert isinstance(array, np.memmap)
        assert not array.flags.writeable


def test_same_content_is_kept_once(upload: Path, home: Path, tmp_path: Path) -> None:
    first = import_bundle(upload, home)
    other = tmp_path / "other name.npz"
    other.write_bytes(upload.read_bytes())
    second = import_bundle(other, home, name="third name")
    assert second.digest == first.digest and second.name == "run 1"
    assert stored(home) == [first.digest]


def test_list_and_delete(upload: Path, home: Path, tmp_path: Path) -> None:
    assert list_bundles(home) == []
    bundle = import_bundle(upload, home, name="mine")
    small = write_bundle(tmp_path / "small.npz", embeddings=np.eye(2), losses=[1.0, 2.0])
    import_bundle(small, home)
    infos = {info.name: info for info in list_bundles(home)}
    info = infos["mine"]
    assert (info.digest, info.n, info.d) == (bundle.digest, 60, 8)
    assert info.base_loss == bundle.base_loss and info.accuracy == bundle.accuracy
    assert info.size_bytes > bundle.embeddings.nbytes
    assert infos["small"].accuracy is None and infos["small"].base_loss == 1.5
    delete_bundle(bundle.digest, home)
    assert [info.name for info in list_bundles(home)] == ["small"]
    for action in (delete_bundle, open_bundle):
        with pytest.raises(BundleError, match="there is no such bundle"):
            action(bundle.digest, home)


def test_each_who_signed_in_has_a_bundle_of_their_own_of_content_that_is_kept_once(
    upload: Path, home: Path
) -> None:
    ada = import_bundle(upload, home, owner="@ada", name="hers")
    alone = bytes_of(home / "bundles")
    bob = import_bundle(upload, home, owner="@bob", name="his")
    nobodys = import_bundle(upload, home)
    assert len({ada.digest, bob.digest, nobodys.digest}) == 3 and nobodys.digest == ada.content
    assert {ada.content, bob.content, nobodys.content} == {read_bundle(upload).content}
    assert (ada.name, bob.name, owner_of(bob.digest, home)) == ("hers", "his", "@bob")
    assert (bundle_aside(ada) == bundle_aside(bob)).all()
    assert bytes_of(home / "bundles") < alone * 2.5  # that of nobody is a copy, his is none
    assert import_bundle(upload, home, owner="@ada", name="again").name == "hers"
    delete_bundle(ada.digest, home)
    assert (open_bundle(bob.digest, home).losses == nobodys.losses).all()
    # Whoever was erased and comes again gets another bundle than the one that was theirs.
    assert give_to("@bob", "@erased", home) == 1
    back = import_bundle(upload, home, owner="@bob")
    assert back.digest != bob.digest and owner_of(bob.digest, home) == "@erased"


def test_a_removed_bundle_can_be_taken_back_for_a_while(
    upload: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = import_bundle(upload, home, owner="@ada").digest
    remove_bundle(digest, home)
    assert list_bundles(home) == [] and owner_of(digest, home) is None
    with pytest.raises(BundleError, match="no such bundle"):
        open_bundle(digest, home)
    (gone,) = removed_bundles(home)
    assert (gone.info.digest, gone.info.owner) == (digest, "@ada")
    assert gone.until - gone.removed == 7 * 24 * 3600 and held_by("@ada", home) > 0
    restore_bundle(digest, home)
    assert open_bundle(digest, home).n == 60 and removed_bundles(home) == []
    with pytest.raises(BundleError, match="not removed, or is deleted"):
        restore_bundle(digest, home)
    remove_bundle(digest, home)
    import_bundle(upload, home, owner="@ada")
    with pytest.raises(BundleError, match="imported again since"):
        restore_bundle(digest, home)
    remove_bundle(digest, home)
    assert len(removed_bundles(home)) == 1
    delete_removed(digest, home)
    assert removed_bundles(home) == [] == stored(home)
    import_bundle(upload, home)
    monkeypatch.setenv("ERRORSCOPE_GRACE_DAYS", "0")
    nobodys = list_bundles(home)[0].digest
    remove_bundle(nobodys, home)
    assert removed_bundles(home) == [] and sweep_removed(home) == [nobodys]
    assert stored(home) == [] == sweep_removed(home)
    monkeypatch.setenv("ERRORSCOPE_GRACE_DAYS", "a week")
    with pytest.raises(InputError, match="number of days"):
        removed_bundles(home)


@pytest.mark.parametrize(
    "digest", ["", "../../etc", "a" * 63, "A" * 64, "é" * 64, "0" * 64 + "/.."]
)
def test_digest_is_never_a_path(digest: str, home: Path) -> None:
    for action in (delete_bundle, open_bundle):
        with pytest.raises(BundleError, match="64 hexadecimal digits"):
            action(digest, home)


def test_upload_may_go_after_the_import(upload: Path, home: Path) -> None:
    bundle = import_bundle(upload, home)
    upload.unlink()
    assert open_bundle(bundle.digest, home).thumbnail(1) is not None


# ---------------------------------------------------------------- damage


def damage_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")


def remove_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def truncate_losses(folder: Path) -> None:
    path = folder / "losses.npy"
    path.write_bytes(path.read_bytes()[:-8])


def remove_embeddings(folder: Path) -> None:
    (folder / "embeddings.npy").unlink()


def point_outside(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["arrays"]["losses"]["file"] = "../../../secret.npy"
    (folder / "manifest.json").write_text(json.dumps(manifest))


def change_shape(folder: Path) -> None:
    path = folder / "losses.npy"
    path.write_bytes(path.read_bytes().replace(b"(60,)", b"(6,) "))


def damage_examples(folder: Path) -> None:
    path = folder / "examples.parquet"
    path.write_bytes(bytes(len(path.read_bytes())))


@pytest.mark.parametrize(
    "damage",
    [
        damage_manifest,
        remove_manifest,
        truncate_losses,
        remove_embeddings,
        point_outside,
        change_shape,
        damage_examples,
    ],
)
def test_damaged_bundle_is_refused_and_import_repairs_it(
    damage: Any, upload: Path, home: Path
) -> None:
    bundle = import_bundle(upload, home)
    damage(bundle.path)
    with pytest.raises(BundleError) as error:
        open_bundle(bundle.digest, home)
    assert error.value.faults[0].advice
    assert len(list_bundles(home)) <= 1
    again = import_bundle(upload, home)
    assert again.digest == bundle.digest and again.n == 60
    assert [name for name in stored(home) if not name.startswith(".trash-")] == [bundle.digest]


def test_folders_that_are_no_bundle_are_passed_over(upload: Path, home: Path) -> None:
    bundle = import_bundle(upload, home)
    (home / "bundles" / "notes").mkdir()
    (home / "bundles" / ("0" * 64)).mkdir()
    (home / "bundles" / ("1" * 64)).write_text("a file")
    assert [info.digest for info in list_bundles(home)] == [bundle.digest]


# ---------------------------------------------------------------- interruption


@pytest.mark.parametrize("when", [0, 1, 5, 9])
def test_cancelled_import_leaves_nothing(when: int, upload: Path, home: Path) -> None:
    calls = []

    def cancel(fraction: float, message: str) -> None:
        calls.append(fraction)
        if len(calls) > when:
            raise JobCancelled

    with pytest.raises(JobCancelled):
        import_bundle(upload, home, progress=cancel)
    assert stored(home) == []


def test_progress_rises_to_one_and_says_what_is_done(upload: Path, home: Path) -> None:
    told: list[tuple[float, str]] = []
    import_bundle(upload, home, progress=lambda fraction, message: told.append((fraction, message)))
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions) and fractions[0] == 0 and fractions[-1] == 1
    assert any("image" in message for _, message in told)


KILLED = """
import os, signal, sys
from backend.bundle import import_bundle
def progress(fraction, message):
    if fraction > 0.5:
        os.kill(os.getpid(), signal.SIGKILL)
import_bundle(sys.argv[1], sys.argv[2], progress=progress)
"""


def test_killed_import_is_not_listed_and_swept_by_the_next(upload: Path, home: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(upload), str(home)],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert [name[:8] for name in stored(home)] == [".import-"]
    assert list_bundles(home) == []
    bundle = import_bundle(upload, home)
    assert stored(home) == [bundle.digest]


def test_running_import_is_not_swept_by_another(upload: Path, home: Path, tmp_path: Path) -> None:
    small = write_bundle(tmp_path / "small.npz", embeddings=np.eye(2), losses=[1.0, 2.0])
    seen = []

    def meanwhile(fraction: float, message: str) -> None:
        if not seen:
            seen.append(import_bundle(small, home).digest)

    bundle = import_bundle(upload, home, progress=meanwhile)
    assert stored(home) == sorted([bundle.digest, *seen])


def _import(arguments: tuple[str, str]) -> str:
    return import_bundle(*arguments).digest


def test_two_processes_import_the_same_thing(upload: Path, home: Path) -> None:
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        digests = set(pool.map(_import, [(str(upload), str(home))] * 6))
    assert stored(home) == [*digests] and len(digests) == 1
    assert open_bundle(digests.pop(), home).n == 60


# ---------------------------------------------------------------- big arrays


def test_big_arrays_are_mapped_from_archives_too(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.bundle.upload.SCRATCH_FROM_BYTES", 0)
    monkeypatch.setattr("backend.bundle.npy.MAP_FROM_BYTES", 0)
    monkeypatch.setattr("backend.bundle.entry.BLOCK_BYTES", 64)
    x = np.random.default_rng(0).normal(size=(50, 7))
    fields = {"losses": np.arange(50.0), "gradients": np.asfortranarray(x.reshape(2, 25, 7)[:, :1])}
    fields["gradients"] = np.asfortranarray(np.stack([x, x + 1]))
    digests = set()
    for name, embeddings in (
        ("a.npz", x),
        ("b.zip", np.asfortranarray(x)),
        ("c", x.astype(">f8")),
    ):
        path = write_bundle(tmp_path / name, embeddings=embeddings, **fields)
        bundle = import_bundle(path, home)
        assert np.array_equal(bundle.embeddings, x)
        assert np.array_equal(bundle.extras["gradients"], fields["gradients"])
        digests.add(bundle.digest)
    assert stored(home) == [*digests]


def test_home_comes_from_the_environment(
    upload: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERRORSCOPE_HOME", str(tmp_path / "there"))
    bundle = import_bundle(upload)
    assert stored(tmp_path / "there") == [bundle.digest]
    assert open_bundle(bundle.digest).n == 60
