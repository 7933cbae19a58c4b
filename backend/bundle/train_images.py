"""Pictures of the training set that an upload has as files: shrunk, and kept as pixels."""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.bundle.contents import Contents
from backend.bundle.faults import Faults
from backend.bundle.find_images import natural
from backend.bundle.limits import THUMBNAIL_PIXELS
from backend.bundle.media import MemberImages, prepare_all
from backend.bundle.members import composed
from backend.bundle.names import canonical_column
from backend.bundle.upload import IMAGES, Upload

FOLDER = "train/images/"
FIELD = "train/images"
MOST_BYTES = 256 * 2**20
"""Pixels that are kept of all pictures together; many are kept smaller."""
FEWEST_PIXELS = 24
"""A side below which a picture shows nothing."""


def take_train_pictures(contents: Contents, upload: Upload, faults: Faults) -> None:
    """Keep the pictures that a column ``train/image`` of paths, or ``train/images/``, has files for.

    They become ``train/images``, pixels (n_train, side, side, 4) with each picture in the middle of a
    transparent square: what tiles show. The files of training pictures are not kept. Without a column
    files are matched with ``train/id`` by name, else with the rows in their natural order where there
    are as many.
    """
    arrays = contents.arrays
    held = [name for name in arrays if name.startswith("train/")]
    column = next((one for one in held if canonical_column(one[6:]) == "image"), None)
    if column is not None and arrays[column].dtype.kind != "U":
        return  # pixels already
    rows = max((len(arrays[one]) for one in held if one != "train/classes"), default=0)
    names = _by_column(arrays[column], upload) if column else _by_name(contents, upload, rows)
    if not any(names):
        return
    side = min(THUMBNAIL_PIXELS, math.isqrt(MOST_BYTES // (4 * rows)))
    if side < FEWEST_PIXELS:
        contents.notes.append(f"train/images: left out, {rows:,} are too many to be kept.")
        return
    media = MemberImages(names, upload.files, upload.file)
    pixels = np.zeros((rows, side, side, 4), np.uint8)

    def keep(row: int, image: bytes, thumbnail: bytes) -> None:
        if thumbnail:
            pixels[row] = _squared(thumbnail, side)

    with faults.gathered():
        unusable = prepare_all(media, FIELD, keep, lambda done: None)
        if unusable.bad:
            contents.notes.append(f"train/{unusable.told(media)}")
        if unusable.most:
            return
        if column is not None:
            del arrays[column], contents.given[column]
        arrays[FIELD], contents.given[FIELD] = pixels, "uint8"
        contents.notes.append(
            f"train/images: {unusable.given - unusable.bad:,} of {rows:,} training examples have one, kept "
            f"at no more than {side} pixels a side."
        )


def _by_column(paths: NDArray[np.str_], upload: Upload) -> list[str]:
    """The file of each path; the path itself where there is none, so that it is named as missing."""
    found = []
    for path in paths.tolist():
        tried = [f"{place}{path}" for place in ("", FOLDER, "train/", "images/") if path]
        found.append(next((one for one in tried if composed(one) in upload.files), path))
    return found


def _by_name(contents: Contents, upload: Upload, rows: int) -> list[str]:
    files = sorted(
        {
            member.name
            for member in upload.files.values()
            if member.name.startswith(FOLDER) and member.name.lower().endswith(IMAGES)
        },
        key=natural,
    )
    ids = contents.arrays.get("train/id", contents.arrays.get("train/ids"))
    if ids is not None and ids.dtype.kind == "U":
        stems = {composed(one.rpartition("/")[2].rpartition(".")[0]): one for one in files}
        found = [stems.get(composed(one), "") for one in ids.tolist()]
        if any(found):
            return found
    if files and len(files) != rows:
        contents.notes.append(
            f"{FOLDER}: left out, {len(files):,} files for {rows:,} training examples, and no column "
            "train/image names them."
        )
    return files if len(files) == rows else []


def _squared(thumbnail: bytes, side: int) -> NDArray[np.uint8]:
    """A picture in the middle of a transparent square."""
    image = Image.open(io.BytesIO(thumbnail), formats=("PNG", "JPEG")).convert("RGBA")
    image.thumbnail((side, side))
    square = Image.new("RGBA", (side, side))
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return np.asarray(square)
