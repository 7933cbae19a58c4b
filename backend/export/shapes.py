"""Exact shapes of regions that no round ball describes: kept once, under the digest of their bytes.

A tag's record names a shape by that digest, so the numbers stand in the home folder once however
many tags mention them, and once in a manifest. Packed, a shape is the zlib stream of a mark, ``d``
and ``q`` as little-endian int64, the center as (d,) float64 and the root as (d, q) float32. The
center keeps all its digits: embeddings may lie far from the origin. A shape that draws far rows in
has another mark, and its shift, (d,) float64, and reach, float64, between center and root.
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
_DRAWN_MARK = b"errorscope shape 2\n"
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
    shift : float64 array of shape (d,), optional
        Middle of the rows, from which far ones are drawn in.
    reach : float
        A row farther from ``shift`` than this counts as if it lay on the way there, at this
        distance. Infinite where there is no shift.
    """

    center: NDArray[np.float64] = field(repr=False)
    root: NDArray[np.float32] = field(repr=False)
    shift: NDArray[np.float64] | None = field(default=None, repr=False)
    reach: float = np.inf

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
        if (self.shift is None) != (self.reach == np.inf):
            raise InputError("a shape needs both shift and reach, or neither.")
        if self.shift is not None:
            if self.shift.shape != (d,) or not np.isfinite(self.shift).all():
                raise InputError(
                    f"the shift of a shape must be {d} finite numbers, as its center is: "
                    f"got shape {self.shift.shape}."
                )
            if not 0 < self.reach < np.inf:
                raise InputError(f"the reach of a shape must be above 0: got {self.reach}.")


def make_shape(center: Any, root: Any, *, shift: Any = None, reach: Any = np.inf) -> RootShape:
    """A shape of these numbers, as exact as it is kept.

    Raises
    ------
    InputError
        If they do not fit each other, are not finite or are too many.
    """
    return RootShape(
        np.asarray(center, np.float64),
        np.asarray(root, np.float32),
        None if shift is None else np.asarray(shift, np.float64),
        float(reach),
    )


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
        d, q = shapes[name].root.shape
        left -= _size(d, q, shapes[name].shift is not None)
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
    # A root of one column needs the most beside it: a center, a shift and a reach.
    most = min(most, _size(MAX_NUMBERS, 1, True))
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
    drawn = raw.startswith(_DRAWN_MARK)
    if not (drawn or raw.startswith(_MARK)) or len(raw) < _HEAD:
        raise InputError(f"{told} is damaged: it does not begin like a shape.")
    d, q = (int(number) for number in np.frombuffer(raw, "<i8", 2, len(_MARK)))
    if not (0 < d <= MAX_NUMBERS and 0 <= q <= MAX_NUMBERS) or len(raw) != _size(d, q, drawn):
        raise InputError(f"{told} is damaged: {d} x {q} numbers in {len(raw):,} bytes.")
    center = np.frombuffer(raw, "<f8", d, _HEAD).astype(np.float64)
    root = np.frombuffer(raw, "<f4", d * q, len(raw) - 4 * d * q).astype(np.float32).reshape(d, q)
    if not drawn:
        return RootShape(center, root)
    *shift, reach = np.frombuffer(raw, "<f8", d + 1, _HEAD + 8 * d).tolist()
    return RootShape(center, root, np.array(shift), reach)


def _size(d: int, q: int, drawn: bool) -> int:
    """Bytes of an unpacked shape."""
    return _HEAD + 8 * d + 4 * d * q + (8 * d + 8 if drawn else 0)


def _raw(shape: RootShape) -> bytes:
    drawn = [] if shape.shift is None else [shape.shift, np.array(shape.reach)]
    return b"".join(
        [
            _DRAWN_MARK if drawn else _MARK,
            np.array(shape.root.shape, "<i8").tobytes(),
            *(numbers.astype("<f8").tobytes() for numbers in (shape.center, *drawn)),
            shape.root.astype("<f4").tobytes(),
        ]
    )


def _place(name: str, home: str | os.PathLike[str] | None) -> Path:
    return home_folder(home) / "shapes" / f"{name}.bin"
