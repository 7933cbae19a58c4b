"""Write ``flagged.csv`` and ``manifest.json`` into a folder, with the program that is imported.

They were made so::

    git worktree add OLD 66c74ab
    PYTHONPATH=OLD python tests/backend/export/before/make.py tests/backend/export/before

Everything is counted out, nothing is drawn at random, so the bundle is the same with every numpy.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from backend.bundle import import_bundle, write_bundle
from backend.cache import Cache, key_of
from backend.export import export_flagged, keep_shape, make_shape
from backend.store import Store

N, D, DEEP = 60, 4, 5
OPTIONS = {"size": 0.1, "n_spotlights": 2, "kernel": "gaussian", "prepare": "none", "seed": 0}
KEY = "ab" * 32


def spread(n: int, d: int, step: int) -> np.ndarray:
    """Numbers in [-1, 1), every cell another."""
    return (np.arange(n * d) * step % 1009 / 504.5 - 1).reshape(n, d)


def upload(folder: Path) -> Path:
    """The bundle, with columns that are called like some of the export."""
    rows = np.arange(N)
    deep = spread(N, DEEP, 421) + 100
    deep[50:] *= 40  # drawn in before they are measured
    return write_bundle(
        folder / "run.npz",
        embeddings=spread(N, D, 389).astype(np.float32),
        layers={"deep": deep.astype(np.float32)},
        losses=(rows * 37 % 61) / 8,
        labels=rows % 3,
        predictions=(rows + (rows % 5 == 0)) % 3,
        classes=["Shirt", "Coat", "Bag"],
        examples={
            "id": [f"e{row:02d}" for row in rows],
            "text": [("=1+1", "ünïcode", 'a "quote"')[row % 3] for row in rows],
            "kept_aside": [("yes", "no")[row % 2] for row in rows],
            "weight": rows / 4,
        },
    )


def sources(home: Path) -> dict[str, dict]:
    """One source of every form that pages and scripts have written."""
    exact = make_shape(spread(1, D, 97)[0], spread(D, 3, 211))
    far = make_shape(
        spread(1, DEEP, 97)[0] + 100, spread(DEEP, 2, 211), shift=np.full(DEEP, 100.0), reach=3.5
    )
    common = {"kind": "region", "kernel": "gaussian", "version": 7, "total_weight": 6.0}
    ball = {"center": [0.25, -0.5, 0.125, 0.0], "precision": 1.5}
    found = key_of("spotlights", "0f" * 32, OPTIONS, version=1)
    Cache(home).write(
        found,
        {"centers": spread(2, D, 53), "precisions": np.array([0.75, 2.0])},
        {"regions": [{}, {}]},
    )
    return {
        "spotlight": common
        | ball
        | {"index": 0, "key": f"{KEY}:0", "name": "label Coat", "method": "spotlights"}
        | {"options": OPTIONS | {"layer": ""}, "layer": "", "weighted_loss": 3.5},
        "compact": common
        | {"center": ball["center"], "precision": [0.2, 0.1, 0.3, 0.6]}
        | {"index": 1, "kernel": "squared_distance"},
        "prepared": common
        | {"center": [0.1, -0.2, 0.3, 0.0], "precision": 0.2, "index": 4}
        | {"options": OPTIONS | {"prepare": "standardise", "components": None}},
        "exact": common
        | ball
        | {"index": 2, "key": f"{KEY}:2", "name": "=shirts", "method": "regions"}
        | {"shape": keep_shape(exact, home), "labels": ["Shirt"], "layer": ""},
        "far": common
        | {"center": [100.0] * DEEP, "precision": 1.0, "layer": "deep", "labels": []}
        | {"index": 3, "key": f"{KEY}:3", "name": "", "method": "regions"}
        | {"shape": keep_shape(far, home)},
        "gone": common | ball | {"index": 5, "key": f"{KEY}:5", "shape": "0" * 64, "labels": []},
        "picked": {"kind": "picked", "from": common | ball | {"index": 6, "name": "by hand"}},
        "keyboard": {
            "kind": "keyboard",
            "from": {"kind": "region", "index": 1, "key": f"{found}:1", "options": OPTIONS},
        },
        "lasso": {"kind": "lasso", "polygon": [[0, 0], [1, 0], [1, 1]]},
    }


def main(folder: Path) -> None:
    """Tag, rename, take back, export."""
    with tempfile.TemporaryDirectory() as home:
        bundle = import_bundle(upload(Path(home)), home, name="run")
        store = Store(f"sqlite:///{home}/tags.sqlite", home=home)
        for place, (tag, source) in enumerate(sources(Path(home)).items()):
            ids = bundle.ids[place::7] if tag != "far" else bundle.ids
            store.tag(bundle, ids, tag, author=("Ada", "=Bob")[place % 2], source=source)
        store.untag(bundle, bundle.ids[10:20], "exact")
        store.tag(bundle, bundle.ids[:3], "by hand")
        store.rename_region(bundle, f"{KEY}:3", "called otherwise")
        store.tag(bundle, bundle.ids[40:], "by hand")
        store.undo(bundle)
        store.write_hypothesis(bundle, "h", {"sentence": "Coats fail", "rule": "label = Coat"})
        export = export_flagged(bundle, store)
        store.close()
    (folder / "flagged.csv").write_bytes(export.csv)
    (folder / "manifest.json").write_bytes(export.manifest_json)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
