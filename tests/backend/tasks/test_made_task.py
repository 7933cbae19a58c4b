"""Made sets: who has a part in them, what measures them, that they are bundles and zips, imports of others'."""

from __future__ import annotations

import io
import json
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from backend.bundle import Bundle, import_bundle, list_bundles, open_bundle, read_bundle
from backend.core.errors import InputError
from backend.core.parts import bundle_aside
from backend.generate import PICTURES_MODEL, pictures_state
from backend.generate.vae import train_vae
from backend.store import Store
from backend.tasks import complete_options, made
from backend.tasks.linked import linked_runs
from backend.tasks.made import run_made
from backend.tasks.repair import debug_bundles, origin_of, run_repair, run_repaired
from tests.backend.generate.test_diffusion import write_pipeline
from tests.bundles import npz

N = 400


def fields(*, pictures: bool = True, seed: int = 0) -> dict[str, Any]:
    """Squares left or right, dark or light; dark ones are taken for the other side."""
    rng = np.random.default_rng(seed)
    right, dark = rng.integers(0, 2, N), rng.random(N) < 0.3
    light = np.where(dark, 60, 200) + rng.integers(-20, 20, N)
    x = np.stack([np.where(dark, -1.0, 1.0) * (2 * right - 1), 2.0 * dark, light / 100], 1)
    x = (x + 0.1 * rng.normal(size=x.shape)).astype(np.float32)
    predictions = (x[:, 0] > 0).astype(int)
    found: dict[str, Any] = {
        "embeddings": x,
        "labels": right,
        "predictions": predictions,
        "losses": (right != predictions) + 0.1 * rng.random(N),
        "classes": np.array(["left", "right"]),
        "examples/light": np.where(dark, "dark", "light"),
    }
    if pictures:
        pixels = np.zeros((N, 16, 16), np.uint8)
        for row in range(N):
            pixels[row, 4:12, 8 * right[row] : 8 * right[row] + 8] = light[row]
        found["images"] = pixels
    return found


def quiet(fraction: float, message: str) -> None: ...


def imported(tmp_path: Path, name: str = "b", **given: Any) -> Bundle:
    path = tmp_path / f"{name}.npz"
    path.write_bytes(npz(**(given or fields())))
    return import_bundle(path, name=name)


def dark_rows(bundle: Bundle) -> Any:
    return np.flatnonzero(bundle.examples["light"] == "dark")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network as it is, trained for a shorter time."""
    monkeypatch.setitem(train_vae.__kwdefaults__, "steps", 90)


def asked(bundle: Bundle, **more: Any) -> Any:
    members = dark_rows(bundle).tolist()
    return complete_options("made", {"members": members, "what": "dark ones", "per_row": 2, **more})


def test_variations_of_a_group_are_a_bundle_and_a_zip(
    home: Path, tmp_path: Path, quick: None
) -> None:
    bundle = imported(tmp_path)
    arrays, meta = run_made(bundle, asked(bundle), quiet, None)
    kept = open_bundle(meta["digest"])
    aside, members = bundle_aside(bundle), dark_rows(bundle)
    assert meta["members"] == (~aside[members]).sum() and meta["n"] == kept.n == 2 * meta["members"]
    assert meta["pictures"] and meta["embedding_fit"] > 0.5 and meta["agree"] < 0.3
    assert kept.name == "b, variations of dark ones" and kept.d == 3 and kept.has_images
    counts = np.bincount(np.asarray(bundle.label_codes)[members[~aside[members]]])
    assert (np.bincount(np.asarray(kept.label_codes)) == 2 * counts).all()
    # They look like dark ones, on the side of their label: grey pictures, as those given.
    shown = np.stack([np.asarray(Image.open(io.BytesIO(kept.image(row)))) for row in range(kept.n)])
    assert shown.shape[1:] == (32, 32)
    own = np.where(
        np.asarray(kept.label_codes) == 1,
        shown[:, 10:22, 18:30].mean((1, 2)),
        shown[:, 10:22, 2:14].mean((1, 2)),
    )
    assert 20 < np.median(own) < 110
    # The zip is the bundle; it says what it was made from, and is no older or newer run of that.
    zipped = tmp_path / "made.zip"
    zipped.write_bytes(arrays["zip"].tobytes())
    assert read_bundle(zipped).digest == kept.digest
    digest, how = origin_of(kept)
    assert digest == bundle.digest and how.startswith("made: ") and "dark ones" in how
    with closing(Store()) as store:
        assert linked_runs(kept, store) == []


def test_a_made_set_counts_and_only_what_had_no_part_in_it_measures(
    home: Path, tmp_path: Path, quick: None
) -> None:
    given = fields(pictures=False)
    bundle = imported(tmp_path, **given)
    arrays, meta = run_made(bundle, asked(bundle, per_row=5), quiet, None)
    assert not meta["pictures"] and meta["picture_fit"] is None
    assert not open_bundle(meta["digest"]).has_images
    again, told = run_made(bundle, asked(bundle, per_row=5), quiet, None)
    assert told["digest"] == meta["digest"] and (again["zip"] == arrays["zip"]).all()
    wanted = {
        "members": dark_rows(bundle).tolist(), "debug": meta["digest"], "strengths": [1.0], "seeds": 2,
    }  # fmt: skip
    arrays, found = run_repair(bundle, complete_options("repair", wanted), quiet, None)
    seen = np.isfinite(arrays["right"]).any(axis=0)
    assert seen.any() and not seen[~bundle_aside(bundle)].any() and found["aside"]
    assert found["made"] == {"n": meta["n"], "left_out": 0}
    known = list_bundles()
    assert list(debug_bundles(bundle, known)) == [meta["digest"]]
    other = run_made(bundle, asked(bundle, per_row=5, seed=1), quiet, None)[1]
    assert other["digest"] != meta["digest"]
    few = dark_rows(bundle)[:4].tolist()
    with pytest.raises(InputError, match="kept aside, or more: this group of 4"):
        run_repair(bundle, complete_options("repair", wanted | {"members": few}), quiet, None)


def test_the_examples_themselves_are_no_made_set(home: Path, tmp_path: Path) -> None:
    bundle = imported(tmp_path, **fields(pictures=False))
    members = dark_rows(bundle).tolist()
    _, told = run_repaired(bundle, complete_options("repaired", {"members": members}), quiet, None)
    assert debug_bundles(bundle, list_bundles()) == {}  # neither the repaired one nor its control
    asked_for = {"members": members, "strengths": [1.0], "seeds": 2}
    with pytest.raises(InputError, match="has the examples of this bundle"):
        wanted = complete_options("repair", asked_for | {"debug": told["digest"]})
        run_repair(bundle, wanted, quiet, None)
    mixed = fields(pictures=False, seed=1)
    mixed["embeddings"] = mixed["embeddings"].copy()
    mixed["embeddings"][:7] = np.asarray(bundle.embeddings[:7])
    other = imported(tmp_path, "mixed", **mixed)
    wanted = complete_options("repair", asked_for | {"debug": other.digest})
    assert run_repair(bundle, wanted, quiet, None)[1]["made"] == {"n": N - 7, "left_out": 7}


@pytest.mark.parametrize("packed", ["folder", "zip"])
def test_pictures_made_elsewhere_come_with_their_embeddings(
    home: Path, tmp_path: Path, packed: str
) -> None:
    """A folder of pictures, their table and embeddings; packed or not."""
    bundle = imported(tmp_path)
    folder = tmp_path / "elsewhere"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(5)
    lines = []
    for at in range(30):
        pixels = rng.integers(0, 255, (16, 16, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{at}.png")
        lines.append({"image": f"images/{at}.png", "label": "left" if at % 2 else "right"})
    pd.DataFrame(lines).to_csv(folder / "examples.csv", index=False)
    losses = rng.random(30)
    embeddings = rng.normal(size=(30, 3)).astype(np.float32)
    np.save(folder / "embeddings.npy", embeddings)
    np.save(folder / "losses.npy", losses)
    path = folder
    if packed == "zip":
        path = tmp_path / "elsewhere.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for one in sorted(folder.rglob("*")):
                if one.is_file():
                    archive.write(one, one.relative_to(folder))
    other = import_bundle(path)
    assert other.n == 30 and other.has_images and set(other.label_names) == {"left", "right"}
    wanted = {
        "members": dark_rows(bundle).tolist(),
        "debug": other.digest,
        "strengths": [1.0],
        "seeds": 2,
    }
    _, found = run_repair(bundle, complete_options("repair", wanted), quiet, None)
    assert found["made"] == {"n": 30, "left_out": 0}


@pytest.mark.parametrize(
    ("task", "changed", "said"),
    [
        ("made", {"members": []}, "at least one row"),
        ("made", {"members": [-1]}, "a row of members must be a whole number"),
        ("made", {"per_row": 21}, "per_row must be a whole number from 1 to 20"),
        ("made", {"seed": -1}, "seed must be a whole number"),
        ("made", {"what": 3}, "what must be text"),
        ("drawn", {"lines": []}, "one prompt or more"),
        ("drawn", {"lines": [{"prompt": "x"}]}, "must have label, context, prompt and examples"),
        ("drawn", {"lines": [{"label": "a", "context": "", "prompt": "x" * 500, "examples": 1}]}, "at most 400 signs"),
        ("drawn", {"lines": [{"label": "a", "context": "", "prompt": "x", "examples": 150}] * 2}, "at most 200 pictures"),
    ],
)  # fmt: skip
def test_made_options_that_cannot_be_used(task: str, changed: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        complete_options(task, {"members": [1]} | changed if task == "made" else changed)


def test_nobody_left_to_vary(home: Path, tmp_path: Path) -> None:
    bundle = imported(tmp_path, **fields(pictures=False))
    aside = np.flatnonzero(bundle_aside(bundle))[:5].tolist()
    with pytest.raises(InputError, match="not kept aside: of 5 there is none"):
        run_made(bundle, asked(bundle, members=aside), quiet, None)
    with pytest.raises(InputError, match=f"below {N}"):
        run_made(bundle, asked(bundle, members=[N]), quiet, None)


@pytest.mark.filterwarnings("ignore")  # the library's own, while it is imported
def test_drawn_pictures_are_a_zip_with_their_prompts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pipeline(tmp_path / "model")
    monkeypatch.setenv(PICTURES_MODEL, str(tmp_path / "model"))
    path = tmp_path / "b.npz"
    path.write_bytes(npz(**fields(pictures=False)))
    bundle = read_bundle(path)
    lines = [
        {"label": "=left", "context": "a", "prompt": "a b", "examples": 2},
        {"label": "right", "context": "", "prompt": "c", "examples": 1},
    ]
    options = complete_options("drawn", {"lines": lines, "steps": 1, "state": pictures_state()})
    arrays, meta = made.run_drawn(bundle, options, quiet, None)
    with zipfile.ZipFile(io.BytesIO(arrays["zip"].tobytes())) as archive:
        table = pd.read_csv(archive.open("examples.csv"), keep_default_na=False)
        assert table["label"].tolist() == ["'=left", "'=left", "right"] and meta["n"] == 3
        assert table["seed"].tolist() == [0, 1, 2]
        for name in table["image"]:
            assert Image.open(io.BytesIO(archive.read(name))).size == (32, 32)
    assert json.dumps(meta)
    with pytest.raises(InputError, match="weights of the model have changed"):
        made.run_drawn(bundle, options | {"state": "other"}, quiet, None)
