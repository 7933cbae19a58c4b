"""Images of a bundle: where their bytes come from, which are safe, and their thumbnails."""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from backend.bundle.faults import parsing
from backend.bundle.limits import MAX_IMAGE_BYTES, MAX_NAMED_FAULTS, MAX_PIXELS, THUMBNAIL_PIXELS
from backend.bundle.members import Member, composed, path_problem
from backend.core.errors import BundleError
from backend.core.memory import is_out_of_memory

KEPT = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP")
"""Formats every browser shows: their bytes are kept as they are. MPO is a JPEG with more behind it."""

READ = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""Formats that are read. EPS, SVG and the like are programs, not pixels, and are refused."""

IMAGE_STARTS = (
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"RIFF",
    b"GIF8",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"P5",
    b"P6",
)
"""How files of those formats begin."""

SMALL_PIXELS = 64
"""Thumbnails no larger than this on both sides are PNG: lossless, and smaller than JPEG."""

BATCH = 64
NAMED_IMAGES = 5
"""Images at fault that a note names."""
STRIP = 64
"""Rows of a picture that are turned into numbers at a time."""


class _Room:
    """Pixels that are decoded at a time, by all threads; one image of any size fits when alone."""

    def __init__(self, pixels: int) -> None:
        self._pixels = pixels
        self._used = 0
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Wait for room for so many pixels, and hold it inside."""
        with self._changed:
            self._changed.wait_for(lambda: not self._used or self._used + pixels <= self._pixels)
            self._used += pixels
        try:
            yield
        finally:
            with self._changed:
                self._used -= pixels
                self._changed.notify_all()


_ROOM = _Room(25_000_000)
"""Sixteen bytes a pixel while it is decoded, turned and shrunk: 400 MB."""


class MediaError(Exception):
    """One image is not usable: what is wrong, and what to do. Never leaves this package."""

    def __init__(self, problem: str, advice: str):
        super().__init__(problem)
        self.problem = problem
        self.advice = advice


class Media(Protocol):
    """Images by row. ``each`` goes through all rows in order and may be much faster."""

    @property
    def file(self) -> str:
        """File that faults are reported in."""

    def __len__(self) -> int: ...

    def read(self, row: int) -> bytes | None:
        """Image file of ``row``; None when it has none. Raises ``MediaError``."""

    def each(self) -> Iterator[Callable[[], bytes | None]]:
        """One function per row that gives its bytes or raises ``MediaError``."""

    def name(self, row: int) -> str:
        """Path of the image file of ``row``, as the upload gives it; empty where it has none."""


@dataclass(frozen=True)
class PackedImages:
    """Image files back to back: ``offsets`` (n + 1,) into ``data``; an empty one is no image."""

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    file: str = "images.bin"

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def read(self, row: int) -> bytes | None:
        start, stop = int(self.offsets[row]), int(self.offsets[row + 1])
        return self.data[start:stop].tobytes() or None

    def each(self) -> Iterator[Callable[[], bytes | None]]:
        for row in range(len(self)):
            yield partial(self.read, row)

    def name(self, row: int) -> str:
        return ""


@dataclass(frozen=True)
class ArrayImages:
    """Pixels (n, h, w) or (n, h, w, 1 | 3 | 4), uint8; each image becomes a PNG when asked for."""

    pixels: NDArray[np.uint8]
    file: str = "images"

    def __len__(self) -> int:
        return len(self.pixels)

    def read(self, row: int) -> bytes | None:
        pixels = np.ascontiguousarray(self.pixels[row])
        if pixels.ndim == 3 and pixels.shape[2] == 1:
            pixels = pixels[:, :, 0]
        return _encoded(Image.fromarray(pixels), "PNG")

    def each(self) -> Iterator[Callable[[], bytes | None]]:
        for row in range(len(self)):
            yield partial(self.read, row)

    def name(self, row: int) -> str:
        return ""


@dataclass(frozen=True)
class MemberImages:
    """Image files of a folder or archive, one member name per row; empty names are no image."""

    names: Sequence[str]
    members: Mapping[str, Member]
    file: str

    def __len__(self) -> int:
        return len(self.names)

    def read(self, row: int) -> bytes | None:
        name = self.names[row]
        if not name:
            return None
        if problem := path_problem(name):
            raise MediaError(
                f"{name!r}: {problem}.", "Name images relative to the bundle's folder."
            )
        tried = (name, f"images/{name}", name.removeprefix("./"))
        member = next(
            (self.members[key] for key in (*tried, *map(composed, tried)) if key in self.members),
            None,
        )
        if member is None:
            raise MediaError(
                f"the image file {name!r} is not in the upload.",
                "Add it under images/, or empty the cell.",
            )
        try:
            return member.read(MAX_IMAGE_BYTES)
        except BundleError as error:
            raise MediaError(error.faults[0].problem, error.faults[0].advice) from error

    def each(self) -> Iterator[Callable[[], bytes | None]]:
        for row in range(len(self)):
            yield partial(self.read, row)

    def name(self, row: int) -> str:
        return self.names[row]


@dataclass(frozen=True)
class CellImages:
    """Image cells of a table: bytes in the cell, or a path to a file beside the table.

    ``cells`` starts going through the column anew. ``siblings`` finds files by path.
    """

    cells: Callable[[], Iterator[tuple[bytes | None, str | None]]]
    rows: int
    file: str
    siblings: Mapping[str, Member] | None = None

    def __len__(self) -> int:
        return self.rows

    def names(self) -> list[str]:
        """Path of each image, as the table gives it; empty where it gives none."""
        return [path or "" for _, path in self.cells()]

    def read(self, row: int) -> bytes | None:
        return next(islice(self.each(), row, None))()

    def each(self) -> Iterator[Callable[[], bytes | None]]:
        for data, path in self.cells():
            yield partial(self._bytes, data, path)

    def name(self, row: int) -> str:
        return next(islice(self.cells(), row, None))[1] or ""

    def _bytes(self, data: bytes | None, path: str | None) -> bytes | None:
        if data or not path:
            return data
        return MemberImages([path], self.siblings or {}, self.file).read(0)


def prepared(data: bytes) -> tuple[bytes, bytes]:
    """An image file that every browser shows, and its thumbnail.

    Raises
    ------
    MediaError
        If the format is not a raster format we read, the header declares too many pixels, or the
        pixels cannot be decoded.
    """
    with ExitStack() as stack:
        image, kind = _decoded(data, stack)
        try:
            # Browsers turn the files that are kept as the camera says; nobody turns the others.
            ImageOps.exif_transpose(image, in_place=True)
            kept = data if kind in KEPT else _encoded(_plain(image), "PNG")
            return kept, _thumbnail(image)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise MediaError(
                f"the image cannot be drawn ({' '.join(str(error).split())[:120]}).",
                "Convert it to PNG.",
            ) from error


def _decoded(data: bytes, stack: ExitStack) -> tuple[Image.Image, str]:
    """The pixels of an image file and its format; the ``stack`` holds the room they take."""
    try:
        image = Image.open(io.BytesIO(data), formats=READ)
        kind = str(image.format)
        if image.width * image.height > MAX_PIXELS:
            raise MediaError(
                f"the image declares {image.width} x {image.height} pixels, "
                f"at most {MAX_PIXELS} are decoded.",
                "Shrink it before uploading.",
            )
        if image.width == 0 or image.height == 0:
            raise MediaError("the image has no pixels.", "Replace it, or empty the cell.")
        image.draft(None, (2 * THUMBNAIL_PIXELS, 2 * THUMBNAIL_PIXELS))
        stack.enter_context(_ROOM.taken(image.width * image.height))
        image.load()
    except MediaError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise MediaError(
            f"the image declares more than {MAX_PIXELS} pixels.", "Shrink it before uploading."
        ) from error
    except Image.UnidentifiedImageError as error:
        raise MediaError(
            f"{_format_guess(data)} is not an image that can be shown.",
            "Use PNG, JPEG, WebP, GIF, BMP or TIFF.",
        ) from error
    except Exception as error:  # Pillow's decoders raise anything on damaged bytes
        if is_out_of_memory(error):
            raise
        raise MediaError(
            f"the image is broken ({' '.join(str(error).split())[:120]}).",
            "Replace it, or empty the cell.",
        ) from error
    return image, kind


def _thumbnail(image: Image.Image) -> bytes:
    plain = image
    gray = plain.mode in ("1", "L", "P", "LA")
    plain = _plain(plain)
    # box shrinks fast and without ringing on pictures that are many times too large
    plain.thumbnail(
        (THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.BICUBIC, reducing_gap=2.0
    )
    if gray or plain.mode != "RGB" or max(plain.size) <= SMALL_PIXELS:
        return _encoded(plain, "PNG")
    return _encoded(plain, "JPEG")


def _plain(image: Image.Image) -> Image.Image:
    """``image`` in a mode with 8 bits a channel: L, RGB or RGBA."""
    if image.mode in ("L", "RGB", "RGBA"):
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        strips = [
            (0, top, image.width, min(image.height, top + STRIP))
            for top in range(0, image.height, STRIP)
        ]
        low, high = 0.0, 65535.0
        if not image.mode.startswith("I;16"):
            ends = [
                (np.nanmin(one), np.nanmax(one))
                for one in (_numbers(image, strip) for strip in strips)
            ]
            low, high = float(np.nanmin(ends)), float(np.nanmax(ends))
            if low >= 0 and 255 < high <= 65535:
                low, high = 0.0, 65535.0
        scaled = np.empty((image.height, image.width), np.uint8)
        for strip in strips:  # all of it as float64 would be eight times the picture
            shares = (_numbers(image, strip) - low) / ((high - low) or 1.0)
            scaled[strip[1] : strip[3]] = np.nan_to_num(shares) * 255
        return Image.fromarray(scaled)
    has_alpha = image.mode in ("LA", "PA", "La", "RGBa") or "transparency" in image.info
    return image.convert("RGBA" if has_alpha else "RGB")


def _numbers(image: Image.Image, box: tuple[int, int, int, int]) -> NDArray[np.float64]:
    """A part of an image with one channel."""
    return np.asarray(image.crop(box), dtype=np.float64)


def _encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.info = {}  # no comments, text chunks or profiles travel along
    if kind == "JPEG":
        image.save(buffer, "JPEG", quality=82)
    else:
        image.save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def _format_guess(data: bytes) -> str:
    start = data[:256].lstrip().lower()
    if start.startswith((b"<svg", b"<?xml", b"<!doctype")):
        return "an SVG or XML document"
    if start.startswith(b"%pdf"):
        return "a PDF document"
    if start.startswith(b"%!"):
        return "a PostScript document"
    return f"a file of {len(data)} bytes" if data else "an empty file"


def prepare_all(
    media: Media,
    column: str,
    sink: Callable[[int, bytes, bytes], None],
    progress: Callable[[int], None],
) -> Unusable:
    """Check and shrink every image in row order; ``sink(row, image, thumbnail)`` gets the results.

    Rows without an image give empty bytes, and so do those whose image is unusable: what is wrong
    with them is returned. Decoding is spread over threads (Pillow lets go of the interpreter lock
    while it decodes). Where more than half of all rows have turned out unusable the rest is not
    looked at. ``progress(rows_done)`` is called every few hundred rows.
    """

    def work(read: Callable[[], bytes | None]) -> tuple[bytes, bytes] | MediaError:
        try:
            data = read()
            return prepared(data) if data else (b"", b"")
        except MediaError as error:
            return error

    row = given = bad = 0
    named: list[tuple[int, MediaError]] = []
    with warnings.catch_warnings(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        warnings.simplefilter("ignore")  # notes on odd metadata; the pixels decide
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with parsing(media.file, "the images", "Save the file again.", column):
            readers = media.each()
            while batch := list(islice(readers, BATCH)):
                for result in pool.map(work, batch):
                    if isinstance(result, MediaError):
                        bad += 1
                        if bad <= MAX_NAMED_FAULTS:
                            named.append((row, result))
                        sink(row, b"", b"")
                    else:
                        sink(row, *result)
                        given += bool(result[0])
                    row += 1
                progress(row)
                if 2 * bad > len(media):
                    break
    return Unusable(given + bad, bad, tuple(named))


@dataclass(frozen=True)
class Unusable:
    """Images that cannot be shown: ``bad`` of the ``given`` ones, the first of them with the reason."""

    given: int
    bad: int
    named: tuple[tuple[int, MediaError], ...]

    @property
    def most(self) -> bool:
        """Whether more than half of the images are unusable: then the upload is at fault."""
        return 2 * self.bad > self.given

    def told(self, media: Media) -> str:
        """A note that names the first of them by row and file."""
        parts = []
        for row, error in self.named[:NAMED_IMAGES]:
            name = media.name(row)
            parts.append(f"row {row}{f' ({name[:80]})' if name else ''}: {error.problem}")
        more = f" And {self.bad - NAMED_IMAGES} more." if self.bad > NAMED_IMAGES else ""
        return (
            f"images: {self.bad} of {self.given} cannot be shown, and their examples have no picture. "
            + " ".join(parts)
            + more
        )


def image_array_problem(pixels: NDArray[Any]) -> str | None:
    """Why ``pixels`` cannot be images; None when they can."""
    shape_fits = pixels.ndim == 3 or (pixels.ndim == 4 and pixels.shape[3] in (1, 3, 4))
    if pixels.dtype != np.uint8 or not shape_fits or 0 in pixels.shape[1:]:
        return (
            f"shape {pixels.shape} of {pixels.dtype}; uint8 (n, h, w) or (n, h, w, 1|3|4) needed."
        )
    if pixels.shape[1] * pixels.shape[2] > MAX_PIXELS:
        return f"{pixels.shape[1]} x {pixels.shape[2]} pixels each, at most {MAX_PIXELS} are drawn."
    return None


def packed_from(path: Path, offsets: NDArray[np.int64]) -> PackedImages:
    """The images of an imported bundle, memory-mapped."""
    size = path.stat().st_size
    data = np.memmap(path, np.uint8, "r") if size else np.empty(0, np.uint8)
    return PackedImages(data, offsets, path.name)


@dataclass(frozen=True)
class Without:
    """Images of which some rows are left out: they have none."""

    media: Media
    rows: frozenset[int]

    @property
    def file(self) -> str:
        return self.media.file

    def __len__(self) -> int:
        return len(self.media)

    def read(self, row: int) -> bytes | None:
        return None if row in self.rows else self.media.read(row)

    def each(self) -> Iterator[Callable[[], bytes | None]]:
        for row, read in enumerate(self.media.each()):
            yield (lambda: None) if row in self.rows else read

    def name(self, row: int) -> str:
        return self.media.name(row)
