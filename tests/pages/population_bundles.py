"""Bundles with populations of models: a plain one and awkward ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from backend.bundle import import_bundle
from tests.bundles import npz

HOSTILE = "<img src=x onerror=alert(1)> & [x](http://e.example) $=1+1"


def fields(n: int = 240, *, models: int = 4, seed: int = 0) -> dict[str, Any]:
    """Labels of three classes, three populations, two columns; the compressed fail on "far"."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    place = np.where(rng.random(n) < 0.3, "far", "near")

    def answers(right: float, far: float) -> np.ndarray:
        rate = np.where(place == "far", far, right)
        said = rng.random((models, n)) < rate
        return np.where(said, labels, (labels + 1) % 3)

    populations = {
        "populations/baseline": answers(0.95, 0.9),
        "populations/pruned-50": answers(0.93, 0.7),
        "populations/pruned-90": answers(0.85, 0.3),
    }
    return {
        "embeddings": rng.normal(size=(n, 4)).astype(np.float32),
        "losses": rng.gamma(2.0, 0.2, n) + (place == "far"),
        "labels": labels,
        "predictions": populations["populations/baseline"][0],
        "classes": np.array(["cat", "dog", "cow"]),
        "examples/place": place,
        "examples/size": rng.normal(size=n),
        **populations,
    }


def kept(folder: Path, name: str, **given: Any) -> str:
    """The first twelve digits of the imported bundle's digest, as links name it."""
    path = folder / f"{name}.npz"
    path.write_bytes(npz(**given))
    return import_bundle(path).digest[:12]


def awkward() -> dict[str, dict[str, Any]]:
    """Bundles that lack something, or hold something odd."""
    plain = fields(120)
    few = fields(120, models=1)
    names = np.array(["cat", HOSTILE, "cow"])
    unlabelled = {
        key: value
        for key, value in fields(120, seed=2).items()
        if key not in ("labels", "predictions", "classes")
    }
    hostile = {
        key.replace("pruned-50", HOSTILE.replace("/", "|")): value for key, value in plain.items()
    }
    hostile |= {"classes": names, f"examples/{HOSTILE.replace('/', '|')}": names[plain["labels"]]}
    absent = dict(plain)
    absent["labels"] = np.where(plain["labels"] == 2, 0, plain["labels"])
    absent["populations/baseline"] = np.zeros_like(plain["populations/baseline"])
    same = dict(plain)
    same["populations/pruned-90"] = same["populations/pruned-50"] = plain["populations/baseline"]
    alone = {key: value for key, value in plain.items() if "pruned" not in key}
    bare = {key: plain[key] for key in ("embeddings", "losses")}
    plainly = {key: value for key, value in plain.items() if not key.startswith("examples/")}
    return {
        "one model each": few,
        "no labels": unlabelled,
        "hostile names": hostile,
        "classes nobody says": absent,
        "identical populations": same,
        "one population": alone,
        "nothing but losses": bare,
        "no columns": plainly,
    }
