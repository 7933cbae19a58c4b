"""How long it takes to export 100 000 flagged rows, read them back and replay them.

Run: ``python -m tests.benchmarks.store_export [rows]``. Budget: 3 s for the CSV.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from backend.bundle import import_bundle, write_bundle
from backend.export import export_flagged, read_export, replay
from backend.store import Store
from tests.benchmarks.store_bulk import timed

DIMENSIONS = 512


def main(rows: int) -> None:
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = write_bundle(
            Path(folder) / "run.npz",
            embeddings=random.normal(size=(rows, DIMENSIONS)).astype(np.float16),
            losses=random.exponential(size=rows),
            labels=random.integers(0, 10, rows),
            predictions=random.integers(0, 10, rows),
            classes=[f"class {number}" for number in range(10)],
            examples={
                "id": [f"example-{row:07d}" for row in range(rows)],
                "text": [f"=text, number {row}, of about sixty characters" for row in range(rows)],
                "width": random.normal(size=rows),
                "season": random.choice(["winter", "summer"], rows),
            },
        )
        bundle = import_bundle(path, folder)
        store = Store(home=folder)
        source = {
            "kind": "region",
            "index": 0,
            "center": np.zeros(DIMENSIONS),
            "precision": 1 / DIMENSIONS,
        }
        ids = bundle.examples["id"].tolist()
        timed(f"tag {rows:,} rows", lambda: store.tag(bundle, ids, "all", source=source))
        export = timed("export them", lambda: export_flagged(bundle, store))
        manifest = timed("write the manifest", lambda: export.manifest_json)
        sys.stdout.write(f"  {len(export.csv) / 1e6:.1f} MB, {len(manifest) / 1e6:.1f} MB\n")
        back = timed("read the CSV back", lambda: read_export(export.csv))
        again = timed("replay the manifest", lambda: replay(manifest, home=folder))
        sys.stdout.write(f"  same ids: {back['id'].tolist() == ids}\n")
        sys.stdout.write(f"  identical: {again.identical}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
