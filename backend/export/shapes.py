"""Exact shapes of regions that no round ball describes: kept once, under the digest of their bytes.

A tag's record names a shape by that digest, so the numbers stand in the home folder once however
many tags mention them, and once in a manifest. Packed, a shape is the zlib stream of a mark, ``d``
and ``q`` as little-endian int64, the center as (d,) float64 and the root as (d, q) float32. The
center keeps all its digits: embeddings may lie far from the origin.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import os
import re
import secrets
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.errors import InputError
from backend.core.home import home_folder

log = logging.getLogger(__name__)

MAX_NUMBERS = 2**24
"""Numbers in one root: 64 MB as float32, enough for 64 components of 262 144 dimensions."""

MAX_TOTAL_BYTES = 2**29
"""All shapes of one manifest, unpacked."""

_MARK = b"errorscope shape 1\n"
_HEAD = len(_MARK) + 16
_NAME = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class RootShape:
    """Where a region is centered and how its distances are measured.

    Parameters
    ----------
    center : float64 array of shape (d,)
    root : float32 array of shape (d, q)
        Root of the precision: the squared distance of a row is ``|(x - center) root|^2``.
    """

    center: NDArray[np.float64] = field(repr=False)
    root: NDArray[np.float32] = field(repr=False)

    def __post_init__(self) -> None:
        d = len(self.center)
        if self.center.shape != (d,) or self.root.ndim != 2 or self.root.shape[0] != d or not d:
            raise InputError(
                "a shape needs a center (d,) and a root (d, q): "
                f"got {self.center.shape} and {self.root.shape}."
            )
        if self.root.size > MAX_NUMBERS:
            raise InputError(
                f"the root of a shape must have at most {MAX_NUMBERS:,} numbers: "
                f"got {self.root.size:,}."
            )
        if not (np.isfinite(self.center).all() and np.isfinite(self.root).all()):
            raise InputError("center and root of a shape must be finite numbers.")


def make_shape(center: Any, root: Any) -> RootShape:
    """A shape of these numbers, as exact as it is kept.

    Raises
    ------
    InputError
        If they do not fit each other, are not finite or are too many.
    """
    return RootShape(np.asarray(center, np.float64), np.asarray(root, np.float32))


def keep_shape(shape: RootShape, home: str | os.PathLike[str] | None = None) -> str:
    """Keep a shape in ``<home>/shapes`` unless it is there; returns its name, a SHA-256."""
    raw = _raw(shape)
    name = hashlib.sha256(raw).hexdigest()
    place = _place(name, home)
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = place.with_name(f".{name}.{secrets.token_hex(4)}")
        with draft.open("wb") as stream:
            stream.write(zlib.compress(raw, 6))
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(place)
    return name


def packed_shapes(
    names: Iterable[Any], home: str | os.PathLike[str] | None = None
) -> dict[str, str]:
    """The named shapes as base64 of their packed bytes, sorted by name.

    One that is not in the home folder any more, or is damaged, is left out and logged: rows can
    still be exported, with no weight for its region.
    """
    packed = {}
    for name in sorted({name for name in names if isinstance(name, str) and _NAME.fullmatch(name)}):
        try:
            data = _place(name, home).read_bytes()
            unpack(name, data)
        except (OSError, InputError) as error:
            log.warning("the shape %s of a region cannot be read: %s", name[:12], error)
            continue
        packed[name] = base64.b64encode(data).decode("ascii")
    return packed


def read_shapes(given: Any) -> dict[str, RootShape]:
    """The shapes of a manifest, which may come from anybody.

    Raises
    ------
    InputError
        If one is not what its name says, is damaged, too large, or they are too many together.
    """
    if not isinstance(given, dict):
        raise InputError(
            f"'shapes' of the manifest must be of type dict: got {type(given).__name__}."
        )
    shapes: dict[str, RootShape] = {}
    left = MAX_TOTAL_BYTES
    for name, text in given.items():
        told = f"shape {str(name)[:12]!r} of the manifest"
        if not _NAME.fullmatch(name) or not isinstance(text, str):
            raise InputError(f"{told} must be base64 text under a SHA-256.")
        try:
            data = base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error) as error:
            raise InputError(f"{told} is not base64: {error}.") from error
        shapes[name] = unpack(name, data, most=left, told=told)
        left -= shapes[name].root.nbytes + shapes[name].center.nbytes
    return shapes


def unpack(
    name: str, data: bytes, *, most: int = MAX_TOTAL_BYTES, told: str = "the shape"
) -> RootShape:
    """The shape in packed bytes, checked against its name.

    Raises
    ------
    InputError
        If it unpacks to more than ``most`` bytes, is damaged, or is another shape than ``name``.
    """
    # Twelve bytes a number is the most that a root of one column needs, with its center.
    most = min(most, _HEAD + 12 * MAX_NUMBERS)
    reader = zlib.decompressobj()
    try:
        raw = reader.decompress(data, most + 1)
    except zlib.error as error:
        raise InputError(f"{told} is damaged: {error}.") from error
    if len(raw) > most:
        raise InputError(f"{told} unpacks to more than {most:,} bytes.")
    if not reader.eof or reader.unused_data:
        raise InputError(f"{told} is damaged: it is cut, or more follows.")
    if hashlib.sha256(raw).hexdigest() != name:
        raise InputError(f"{told} is not the one its name says. The file was changed.")
    if not raw.startswith(_MARK) or len(raw) < _HEAD:
        raise InputError(f"{told} is damaged: it does not begin like a shape.")
    d, q = (int(number) for number in np.frombuffer(raw, "<i8", 2, len(_MARK)))
    if (
        not (0 < d <= MAX_NUMBERS and 0 <= q <= MAX_NUMBERS)
        or len(raw) != _HEAD + 8 * d + 4 * d * q
    ):
        raise InputError(f"{told} is damaged: {d} x {q} numbers in {len(raw):,} bytes.")
    center = np.frombuffer(raw, "<f8", d, _HEAD).astype(np.float64)
    root = np.frombuffer(raw, "<f4", d * q, _HEAD + 8 * d).astype(np.float32)
    return RootShape(center, root.reshape(d, q))


def _raw(shape: RootShape) -> bytes:
    d, q = shape.root.shape
    return b"".join(
        [
            _MARK,
            np.array([d, q], "<i8").tobytes(),
            shape.center.astype("<f8").tobytes(),
            shape.root.astype("<f4").tobytes(),
        ]
    )


def _place(name: str, home: str | os.PathLike[str] | None) -> Path:
    return home_folder(home) / "shapes" / f"{name}.bin"
