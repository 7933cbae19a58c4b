"""Images: kept as they came where browsers show them, and never shown without being decoded."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from backend.bundle import import_bundle, read_bundle, write_bundle
from backend.core.errors import BundleError

COLORS = np.random.default_rng(0).integers(0, 255, (90, 240, 4), dtype=np.uint8)


def encoded(
    kind: str, mode: str = "RGB", size: tuple[int, int] = (240, 90), **options: object
) -> bytes:
    image = Image.fromarray(COLORS).convert("RGB").resize(size)
    image = Image.fromarray(COLORS).resize(size) if mode == "RGBA" else image.convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def opened(data: bytes | None) -> Image.Image:
    assert data is not None
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize(
    ("kind", "mode", "kept", "thumbnail"),
    [
        ("PNG", "RGB", True, "JPEG"),
        ("PNG", "RGBA", True, "PNG"),
        ("PNG", "L", True, "PNG"),
        ("PNG", "P", True, "PNG"),
        ("PNG", "1", True, "PNG"),
        ("PNG", "I;16", True, "PNG"),
        ("JPEG", "RGB", True, "JPEG"),
        ("JPEG", "CMYK", True, "JPEG"),
        ("WEBP", "RGB", True, "JPEG"),
        ("GIF", "P", True, "PNG"),
        ("BMP", "RGB", True, "JPEG"),
        ("TIFF", "RGB", False, "JPEG"),
        ("TIFF", "F", False, "PNG"),
        ("PPM", "RGB", False, "JPEG"),
    ],
)
def test_formats(kind: str, mode: str, kept: bool, thumbnail: str, tmp_path: Path) -> None:
    data = encoded(kind, mode)
    path = write_bundle(tmp_path / "run.npz", embeddings=[[1.0]], losses=[1.0], images=[data])
    bundle = import_bundle(path, tmp_path / "home")
    assert (bundle.image(0) == data) is kept
    assert opened(bundle.image(0)).format == (kind if kept else "PNG")
    small = opened(bundle.thumbnail(0))
    assert small.format == thumbnail and small.size == (112, 42)
    small.load()


def test_small_images_keep_their_pixels(tmp_path: Path) -> None:
    data = encoded("PNG", size=(28, 28))
    path = write_bundle(tmp_path / "run.npz", embeddings=[[1.0]], losses=[1.0], images=[data])
    small = opened(read_bundle(path).thumbnail(0))
    assert small.format == "PNG" and np.array_equal(np.asarray(small), np.asarray(opened(data)))


def test_thumbnails_carry_nothing_but_pixels(tmp_path: Path) -> None:
    data = encoded("JPEG", exif=Image.Exif(), comment=b"<script>") + b"<script>alert(1)</script>"
    path = write_bundle(tmp_path / "run.npz", embeddings=[[1.0]], losses=[1.0], images=[data])
    assert b"script" not in (read_bundle(path).thumbnail(0) or b"")


def test_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    data = encoded("JPEG", exif=exif)
    path = write_bundle(tmp_path / "run.npz", embeddings=[[1.0]], losses=[1.0], images=[data])
    assert opened(read_bundle(path).thumbnail(0)).size == (42, 112)


def test_many_images_in_order_with_gaps(tmp_path: Path) -> None:
    images = [encoded("PNG", "L", (3, 3 + k % 7)) if k % 3 else None for k in range(300)]
    path = write_bundle(
        tmp_path / "run.zip", embeddings=np.ones((300, 1)), losses=np.ones(300), images=images
    )
    bundle = import_bundle(path, tmp_path / "home")
    assert [bundle.image(row) for row in range(300)] == images
    assert [opened(bundle.thumbnail(row)).height for row in (1, 2, 299)] == [4, 5, 3 + 299 % 7]
    assert bundle.thumbnail(0) is None


def test_a_column_of_empty_cells_is_no_images(tmp_path: Path) -> None:
    path = write_bundle(tmp_path / "run.npz", embeddings=[[1.0]], losses=[1.0], images=[None])
    for bundle in (read_bundle(path), import_bundle(path, tmp_path / "home")):
        assert not bundle.has_images and bundle.image(0) is None


def images_in(form: str, folder: Path, cells: list[bytes | None]) -> Path:
    """A bundle whose images are these, in one of the ways that images come."""
    n = len(cells)
    fields = {"embeddings": np.arange(2.0 * n).reshape(n, 2), "losses": np.arange(float(n))}
    if form == "packed":
        return write_bundle(folder / "run.npz", **fields, images=cells)
    if form in ("bytes", "struct"):
        kept: list[object] = list(cells)
        kind = pa.binary()
        if form == "struct":
            kept = [{"bytes": cell, "path": f"p{row}.png"} for row, cell in enumerate(cells)]
            kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        columns = {"embedding": pa.array(fields["embeddings"].tolist()), "loss": fields["losses"]}
        pq.write_table(pa.table(columns | {"photo": pa.array(kept, kind)}), folder / "run.parquet")
        return folder / "run.parquet"
    root = folder / "run"
    (root / "images").mkdir(parents=True)
    for name, array in fields.items():
        np.save(root / name, array)
    for row, cell in enumerate(cells):
        (root / "images" / f"p{row}.png").write_bytes(cell or b"")
    named = "column" in form
    lines = [f"p{row}" + (f",p{row}.png" if named else "") for row in range(n)]
    text = "\n".join(["id" + (",image" if named else ""), *lines])
    (root / "examples.csv").write_text(text, encoding="utf-8")
    if form == "missing files, column":
        for row, cell in enumerate(cells):
            if cell is not None and not cell.startswith(b"\x89PNG"):
                (root / "images" / f"p{row}.png").unlink()
    if form.startswith("archive"):
        return Path(shutil.make_archive(str(root), "zip", root))
    return root


FORMS = (
    "packed", "bytes", "struct", "files", "files, column", "missing files, column", "archive",
    "archive, column",
)  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_broken_picture_is_left_empty_and_named_and_most_are_refused(
    form: str, tmp_path: Path
) -> None:
    sound = [encoded("PNG", "L", (6, 4 + row)) for row in range(6)]
    for broken in ([2], [0, 2, 5], [0, 2, 4, 5]):
        cells = [b"not a picture" if row in broken else sound[row] for row in range(6)]
        (folder := tmp_path / str(len(broken))).mkdir()
        path = images_in(form, folder, cells)
        if len(broken) > 3 and form in ("bytes", "struct"):
            assert not read_bundle(path).has_images  # most are no pictures: the column is none
            continue
        if len(broken) > 3:
            with pytest.raises(BundleError) as refused:
                import_bundle(path, folder / "home")
            assert [fault.row for fault in refused.value.faults] == broken
            continue
        for bundle in (read_bundle(path), import_bundle(path, folder / "home")):
            seen = [bundle.image(row) for row in range(6)]
            assert seen == [None if row in broken else sound[row] for row in range(6)]
            assert [bundle.thumbnail(row) is None for row in range(6)] == [
                one is None for one in seen
            ]
            (note,) = (one for one in bundle.notes if "cannot be shown" in one)
            assert f"{len(broken)} of 6" in note and all(f"row {row}" in note for row in broken)
            assert form in ("packed", "bytes") or f"p{broken[0]}.png" in note
