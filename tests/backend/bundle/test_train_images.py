"""Pictures of the training set that come as files of a folder or archive."""

from __future__ import annotations

import io
import shutil

import numpy as np
import pytest
from PIL import Image

from backend.bundle import import_bundle, open_bundle, read_bundle, write_bundle
from backend.bundle.training import training_of

N_TRAIN = 12


def picture(row: int, size: tuple[int, int] = (40, 20)) -> bytes:
    held = io.BytesIO()
    Image.new("RGB", size, (20 * row, 100, 50)).save(held, "PNG")
    return held.getvalue()


@pytest.fixture
def folder(tmp_path):
    """A bundle as a folder; its training examples have no pictures yet."""
    rng = np.random.default_rng(0)
    place = tmp_path / "run"
    (place / "train" / "images").mkdir(parents=True)
    arrays = {
        "embeddings": rng.normal(size=(20, 3)), "losses": rng.random(20),
        "train/embeddings": rng.normal(size=(N_TRAIN, 3)),
    }  # fmt: skip
    for name, array in arrays.items():
        np.save(place / f"{name}.npy", array)
    return place


NAMED = {
    "by the order of their names": (None, None, lambda row: row),
    "by id": ("id", [f"img{N_TRAIN - 1 - row}" for row in range(N_TRAIN)], lambda row: 11 - row),
    "by a column of paths": (
        "image",
        [f"train/images/img{(row + 3) % N_TRAIN}.png" for row in range(N_TRAIN)],
        lambda row: (row + 3) % N_TRAIN,
    ),
    "by a column of names": (
        "images",
        ["" if row == 2 else f"img{row}.png" for row in range(N_TRAIN)],
        lambda row: row if row != 2 else None,
    ),
}


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize(("column", "values", "shown"), NAMED.values(), ids=NAMED)
def test_files_are_shown_with_the_training_examples(
    folder, tmp_path, column, values, shown, packed
):
    for row in range(N_TRAIN):
        (folder / "train" / "images" / f"img{row}.png").write_bytes(picture(row))
    if column:
        np.save(folder / "train" / f"{column}.npy", np.array(values))
    path = folder
    if packed:
        path = shutil.make_archive(str(tmp_path / "packed"), "zip", folder)
    kept = import_bundle(path, home=tmp_path / "home")
    training = training_of(open_bundle(kept.digest, home=tmp_path / "home"))
    for row in range(N_TRAIN):
        wanted, found = shown(row), training.thumbnail(row)
        if wanted is None:
            assert found is None
            continue
        image = Image.open(io.BytesIO(found)).convert("RGBA")
        middle = image.getpixel((image.width // 2, image.height // 2))
        assert middle == (20 * wanted, 100, 50, 255) and image.getpixel((0, 0))[3] == 0
    assert any("training examples have one" in note for note in kept.notes)
    again = read_bundle(write_bundle(tmp_path / "again.zip", **kept.fields()))
    assert again.digest == kept.digest


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({f"{row}.png": picture(row) for row in range(5)}, "5 files for 12 training examples"),
        (
            {f"{row}.png": b"no picture" if row == 4 else picture(row) for row in range(N_TRAIN)},
            "train/images: 1 of 12 cannot be shown",
        ),
        ({f"{row}.png": b"no picture" for row in range(N_TRAIN)}, "cannot be shown"),
    ],
    ids=["too few", "one broken", "all broken"],
)
def test_what_cannot_be_shown_is_said(folder, tmp_path, files, said):
    for name, data in files.items():
        (folder / "train" / "images" / name).write_bytes(data)
    bundle = import_bundle(folder, home=tmp_path / "home")
    assert any(said in note for note in bundle.notes)
    assert training_of(bundle).has_pictures == (said.startswith("train/images: 1"))


def test_many_pictures_are_kept_smaller(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("backend.bundle.train_images.MOST_BYTES", 4 * 30 * 30 * N_TRAIN)
    for row in range(N_TRAIN):
        (folder / "train" / "images" / f"{row}.png").write_bytes(picture(row))
    bundle = import_bundle(folder, home=tmp_path / "home")
    assert bundle.train["images"].shape == (N_TRAIN, 30, 30, 4)
    monkeypatch.setattr("backend.bundle.train_images.MOST_BYTES", 4 * 20 * 20 * N_TRAIN)
    bundle = import_bundle(folder, home=tmp_path / "home")
    assert "images" not in bundle.train and any("too many" in note for note in bundle.notes)
