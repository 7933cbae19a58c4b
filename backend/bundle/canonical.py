"""The canonical folder of a bundle: written once, hashed while written, opened by memory map."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from backend.bundle import npy
from backend.bundle.bundle import Bundle
from backend.bundle.contents import Contents
from backend.bundle.digest import Digest, contiguous
from backend.bundle.entry import blocks
from backend.bundle.faults import parsing, refuse
from backend.bundle.media import PackedImages, Without, packed_from, prepare_all
from backend.bundle.names import EXTRAS
from backend.core.errors import BundleError, Fault
from backend.core.headers import one_at_a_time
from backend.core.progress import Progress

MANIFEST = "manifest.json"
LAYOUT = 1
DIGEST = re.compile(r"[0-9a-f]{64}")
IMPORT_AGAIN = "Delete this bundle and import it again."
FIELDS = ("labels", "predictions", "targets", "probabilities", "logits")


@dataclass(frozen=True)
class Share:
    """A part of a progress bar: fractions in [0, 1] land between ``start`` and ``stop``."""

    progress: Progress
    start: float
    stop: float

    def __call__(self, fraction: float, message: str) -> None:
        self.progress(self.start + (self.stop - self.start) * min(1.0, fraction), message)


def write_folder(
    folder: Path | None,
    contents: Contents,
    name: str,
    image_column: str,
    progress: Progress,
    owner: str = "",
    named: Callable[[str], str] = lambda content: content,
) -> str:
    """Hash the contents and, when there is a folder, write them into it; returns the digest.

    Parameters
    ----------
    folder : Path or None
        An empty folder of the caller's, renamed by the caller afterwards; None only checks.
    contents : Contents
        Checked arrays; images are checked here, as they are written.
    name : str
        What people call the bundle.
    image_column : str
        The column that faults of images are reported under.
    progress : Progress
    owner : str
        Key of the person it is kept for, if anybody's.
    named : callable
        What the bundle is known by, from the digest of its content.

    Raises
    ------
    BundleError
        If more than half of the images are missing, broken, too large or no raster images. Fewer
        are left empty, with a note.
    """
    digest = Digest()
    arrays: dict[str, dict[str, Any]] = {}
    total = sum(array.nbytes for array in contents.arrays.values()) or 1
    done = 0
    share = Share(progress, 0.0, 0.5 if contents.media is not None else 0.95)

    def told(of: str, count: int) -> None:
        nonlocal done
        done += count
        share(done / total, f"Keeping {of}")

    for key in sorted(contents.arrays):
        array = contents.arrays[key]
        file = f"{key}.npy" if "/" not in key else f"{key.partition('/')[0]}-{len(arrays)}.npy"
        given = contents.given.get(key)
        part = digest if given is not None else None
        if part is not None:
            part.part(key, given, list(array.shape))
        _write_array(None if folder is None else folder / file, array, part, partial(told, key))
        arrays[key] = {"file": file, "dtype": array.dtype.name, "shape": list(array.shape)}
    digest.part("classes", list(contents.classes) if contents.classes is not None else None)
    # Images are known by their bytes: what their files were called does not matter.
    digest.frame("examples", contents.examples.drop(columns="image", errors="ignore"))
    if contents.stress is not None:
        digest.frame("stress", contents.stress)
    written = _frame_of(contents.written)
    if not written.empty:
        digest.frame("written", written)
    if contents.media is not None:
        _write_images(folder, contents, image_column, digest, Share(progress, share.stop, 0.95))
    if folder is not None:
        contents.examples.to_parquet(folder / "examples.parquet", index=False)
        if contents.stress is not None:
            contents.stress.to_parquet(folder / "stress.parquet", index=False)
        if not written.empty:
            written.to_parquet(folder / "written.parquet", index=False)
        content = digest.hex()
        told_of = {"digest": named(content), "content": content, "name": name, "owner": owner}
        _write_manifest(folder, contents, told_of, arrays)
    progress(1.0, "Done")
    return digest.hex()


def _frame_of(written: Mapping[str, NDArray[Any]]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(cells, dtype="str") for name, cells in written.items()})


def _write_array(
    path: Path | None,
    array: NDArray[Any],
    digest: Digest | None,
    told: Callable[[int], None],
) -> None:
    stream: IO[bytes] | None = None if path is None else path.open("wb")
    dtype = array.dtype.newbyteorder("<")
    try:
        if stream is not None:
            header = {
                "descr": npy_format.dtype_to_descr(dtype),
                "fortran_order": False,
                "shape": array.shape,
            }
            npy_format.write_array_header_2_0(stream, header)
        for block in blocks(array):
            block = contiguous(block)
            if stream is not None and block.size:
                stream.write(block.reshape(-1).view(np.uint8).data)
            if digest is not None:
                if dtype.kind == "U":
                    digest.texts(block.reshape(-1).tolist())
                else:
                    digest.data(block)
            told(block.nbytes)
    finally:
        if stream is not None:
            stream.close()


def _write_images(
    folder: Path | None, contents: Contents, column: str, digest: Digest, progress: Progress
) -> None:
    media = contents.media
    if media is None:
        return
    n = len(media)
    ends = np.zeros((2, n + 1), np.int64)

    with ExitStack() as stack:
        streams = [
            stack.enter_context((folder / f"{kind}.bin").open("wb"))
            for kind in ("images", "thumbnails")
            if folder is not None
        ]

        def sink(row: int, image: bytes, thumbnail: bytes) -> None:
            digest.part("image", len(image))
            digest.data(image)
            ends[:, row + 1] = ends[:, row] + (len(image), len(thumbnail))
            for stream, data in zip(streams, (image, thumbnail), strict=False):
                stream.write(data)

        unusable = prepare_all(
            media,
            column,
            sink,
            lambda row: progress(row / max(1, n), f"Shrinking image {row} of {n}"),
        )
    if unusable.most:
        raise BundleError(
            Fault(media.file, column, row, error.problem, error.advice)
            for row, error in unusable.named
        )
    if unusable.bad:
        contents.notes.append(unusable.told(media))
        contents.media = Without(media, frozenset(np.flatnonzero(ends[0, 1:] == ends[0, :-1])))
    if not ends[0, -1]:
        contents.media = None  # a column of empty cells
    elif folder is not None:
        np.save(folder / "images.npy", ends[0])
        np.save(folder / "thumbnails.npy", ends[1])


def _write_manifest(
    folder: Path,
    contents: Contents,
    told_of: Mapping[str, str],
    arrays: Mapping[str, Any],
) -> None:
    opened = bundle_of(contents, told_of["name"], told_of["digest"])
    files = {path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()}
    manifest = {
        "layout": LAYOUT,
        **told_of,
        "n": opened.n,
        "d": opened.d,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "base_loss": opened.base_loss,
        "accuracy": opened.accuracy,
        "classes": contents.classes,
        "images": contents.media is not None,
        "stress": contents.stress is not None,
        "written": sorted(contents.written),
        "notes": contents.notes,
        "arrays": arrays,
        "files": files,
    }
    with (folder / MANIFEST).open("w", encoding="utf-8") as stream:
        json.dump(manifest, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())


def change_manifest(folder: Path, digest: str, **changes: str) -> None:
    """Write the manifest of a bundle anew with this name or owner, whole or not at all."""
    manifest = {**read_manifest(folder, digest), **changes}
    fresh = folder / f".{MANIFEST}-{os.getpid()}"
    try:
        with fresh.open("w", encoding="utf-8") as stream:
            json.dump(manifest, stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(folder / MANIFEST)
    finally:
        fresh.unlink(missing_ok=True)


def bundle_of(
    contents: Contents, name: str, digest: str, path: Path | None = None, content: str = ""
) -> Bundle:
    """The bundle that checked contents make."""
    arrays = contents.arrays

    def group(prefix: str) -> dict[str, NDArray[Any]]:
        return {
            key.removeprefix(prefix): array
            for key, array in arrays.items()
            if key.startswith(prefix)
        }

    return Bundle(
        name=name,
        digest=digest,
        content=content,
        path=path,
        embeddings=arrays["embeddings"],
        losses=arrays["losses"],
        examples=contents.examples,
        **{field: arrays.get(field) for field in FIELDS},  # type: ignore[arg-type]
        classes=contents.classes,
        populations=group("populations/"),
        layers=group("layers/"),
        msp=group("msp/"),
        train=group("train/"),
        extras={key: arrays[key] for key in EXTRAS if key in arrays},
        stress=contents.stress,
        written=contents.written,
        notes=tuple(contents.notes),
        media=contents.media,
    )


def read_manifest(folder: Path, digest: str = "") -> dict[str, Any]:
    """The manifest of an imported bundle, checked for what listing it needs.

    The folder is called after the bundle; that of a removed one is not, so ``digest`` says which it is.

    Raises
    ------
    BundleError
        If it is missing, damaged or of another layout.
    """
    file = f"{folder.name[:12]}/{MANIFEST}"
    with parsing(file, "the manifest", IMPORT_AGAIN):
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest["layout"] != LAYOUT:
            raise ValueError(f"layout {manifest['layout']}")
        if manifest["digest"] != (digest or folder.name):
            raise ValueError("it belongs to another bundle")
        n, d = manifest["n"], manifest["d"]
        if not (type(n) is int and type(d) is int and n > 0 and d > 0):
            raise ValueError(f"{n} examples of {d} dimensions")
        str(manifest["name"]), float(manifest["base_loss"]), str(manifest["created"])
        for name, size in manifest["files"].items():
            if not re.fullmatch(r"[A-Za-z0-9_\-]+\.[a-z]+", name) or type(size) is not int:
                raise ValueError(f"file {name!r}")
        if not isinstance(manifest["arrays"], dict):
            raise ValueError("no arrays")
    return dict(manifest)


def open_folder(folder: Path) -> Bundle:
    """The bundle in a canonical folder: arrays memory-mapped, examples read, images lazy.

    Raises
    ------
    BundleError
        If a file is missing, has another size than when it was written, or does not fit the rest.
    """
    manifest = read_manifest(folder)
    short = folder.name[:12]
    for name, size in manifest["files"].items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            came = f"{path.stat().st_size} bytes" if path.is_file() else "nothing"
            raise refuse(
                f"{short}/{name}",
                "",
                None,
                f"the stored bundle is damaged: {size} bytes were written, {came} found.",
                IMPORT_AGAIN,
            )
    contents = Contents(notes=[str(note) for note in manifest["notes"]])
    with parsing(short, "the stored bundle", IMPORT_AGAIN):
        for key, spec in manifest["arrays"].items():
            contents.arrays[key] = _stored(folder, key, spec)
        contents.examples = pd.read_parquet(folder / "examples.parquet")
        if manifest["stress"]:
            contents.stress = pd.read_parquet(folder / "stress.parquet")
        if manifest.get("written"):  # not in bundles that were imported before
            cells = pd.read_parquet(folder / "written.parquet")
            contents.written = {name: cells[name].to_numpy(dtype=object) for name in cells.columns}
        classes = manifest["classes"]
        contents.classes = None if classes is None else tuple(map(str, classes))
        thumbnails = None
        if manifest["images"]:
            contents.media, thumbnails = (
                _packed(folder, kind) for kind in ("images", "thumbnails")
            )
        content = str(manifest.get("content", ""))  # not in bundles that were imported before
        bundle = bundle_of(contents, str(manifest["name"]), folder.name, folder, content)
        lengths = {bundle.n, len(bundle.losses), len(bundle.examples), manifest["n"]}
        lengths |= {len(layer) for layer in bundle.layers.values()}
        lengths |= {len(cells) for cells in bundle.written.values()}
        if len(lengths) != 1 or bundle.d != manifest["d"]:
            raise ValueError(f"lengths {sorted(lengths)} differ")
        object.__setattr__(bundle, "thumbnails", thumbnails)
    return bundle


def _stored(folder: Path, key: str, spec: Mapping[str, Any]) -> NDArray[Any]:
    file = str(spec["file"])
    if Path(file).name != file:
        raise ValueError(f"file {file!r}")
    path = folder / file
    with path.open("rb") as stream:
        header = npy.read_header(stream, path.stat().st_size, file, key)
    if list(header.shape) != spec["shape"] or math.prod(header.shape) < 0:
        raise ValueError(f"{key}: shape {header.shape}, {spec['shape']} expected")
    return npy.map_array(path, header)


def _packed(folder: Path, kind: str) -> PackedImages:
    offsets = one_at_a_time(lambda: np.load(folder / f"{kind}.npy", allow_pickle=False))
    images = packed_from(folder / f"{kind}.bin", offsets)
    if offsets.ndim != 1 or int(offsets[-1]) != len(images.data):
        raise ValueError(f"{kind}: offsets do not fit")
    return images
