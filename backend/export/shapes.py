"""Exact shapes of regions that no round ball describes: kept once, under the digest of their bytes.

A tag's record names a shape by that digest, so the numbers stand in the home folder once however
many tags mention them, and once in a manifest. Packed, a ball is the zlib stream of a mark, ``d``
and ``q`` as little-endian int64, the center as (d,) float64 and the root as (d, q) float32. The
center keeps all its digits: embeddings may lie far from the origin. A ball that draws far rows in
has another mark, and its shift, (d,) float64, and reach, float64, between center and root. A
direction has a third mark, ``d`` and 0, its vector as (d,) float64 and its cut as float64: whether
a row is a member hangs on their last bits. Labels and layer stand in the record that names a shape,
and a shape that is nothing but labels is not kept.
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
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.errors import InputError
from backend.core.home import home_folder, written_in
from backend.core.shape import Shape

log = logging.getLogger(__name__)

MAX_NUMBERS = 2**24
"""Numbers in one root: 64 MB as float32, enough for 64 components of 262 144 dimensions."""

MAX_TOTAL_BYTES = 2**29
"""All shapes of one manifest, unpacked."""

_MARK = b"errorscope shape 1\n"
_DRAWN_MARK = b"errorscope shape 2\n"
_DIRECTION_MARK = b"errorscope shape 3\n"
_MARKS = (_MARK, _DRAWN_MARK, _DIRECTION_MARK)
_HEAD = len(_MARK) + 16
_NAME = re.compile(r"[0-9a-f]{64}")


def make_shape(center: Any, root: Any, *, shift: Any = None, reach: Any = np.inf) -> Shape:
    """A ball of these numbers, as exact as it is kept.

    Raises
    ------
    InputError
        If they do not fit each other, are not finite or are too many.
    """
    rounded = np.asarray(root, np.float32)
    _check_size(rounded)
    return Shape.ball(center, root=rounded, shift=shift, reach=reach)


def keep_shape(shape: Shape, home: str | os.PathLike[str] | None = None) -> str:
    """Keep a shape in ``<home>/shapes`` unless it is there; returns its name, a SHA-256.

    Its labels and layer are not kept with it.

    Raises
    ------
    InputError
        If it is neither a direction nor a ball with a root, or has too many numbers.
    HomeError
        If the folder cannot be written.
    """
    raw = _raw(shape)
    name = hashlib.sha256(raw).hexdigest()
    place = _place(name, home)
    if not place.exists():
        draft = place.with_name(f".{name}.{secrets.token_hex(4)}")
        with written_in(place.parent):
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                with draft.open("wb") as stream:
                    stream.write(zlib.compress(raw, 6))
                    stream.flush()
                    os.fsync(stream.fileno())
                draft.replace(place)
            finally:
                draft.unlink(missing_ok=True)
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


def read_shapes(given: Any) -> dict[str, Shape]:
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
    shapes: dict[str, Shape] = {}
    left = MAX_TOTAL_BYTES
    for name, text in given.items():
        told = f"shape {str(name)[:12]!r} of the manifest"
        if not _NAME.fullmatch(name) or not isinstance(text, str):
            raise InputError(f"{told} must be base64 text under a SHA-256.")
        try:
            data = base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error) as error:
            raise InputError(f"{told} is not base64: {error}.") from error
        raw = _unpacked(name, data, left, told)
        left -= len(raw)
        shapes[name] = _read(raw, told)
    return shapes


def unpack(name: str, data: bytes, *, told: str = "the shape") -> Shape:
    """The shape in packed bytes, checked against its name.

    Raises
    ------
    InputError
        If it unpacks to too many bytes, is damaged, or is another shape than ``name``.
    """
    return _read(_unpacked(name, data, MAX_TOTAL_BYTES, told), told)


def _unpacked(name: str, data: bytes, most: int, told: str) -> bytes:
    """The bytes themselves, ``most`` of them at most."""
    # A root of one column needs the most beside it: a center, a shift and a reach.
    most = min(most, _size(MAX_NUMBERS, 1, _DRAWN_MARK))
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
    return raw


def _read(raw: bytes, told: str) -> Shape:
    """The shape in unpacked bytes, which may be anything."""
    mark = raw[: len(_MARK)]
    if mark not in _MARKS or len(raw) < _HEAD:
        raise InputError(f"{told} is damaged: it does not begin like a shape.")
    d, q = (int(number) for number in np.frombuffer(raw, "<i8", 2, len(_MARK)))
    most = 0 if mark == _DIRECTION_MARK else MAX_NUMBERS
    if not (0 < d <= MAX_NUMBERS and 0 <= q <= most) or len(raw) != _size(d, q, mark):
        raise InputError(f"{told} is damaged: {d} x {q} numbers in {len(raw):,} bytes.")
    # Copied: within the bytes they are not aligned.
    numbers = np.frombuffer(raw, "<f8", d + _beside(d, mark), _HEAD).astype(np.float64)
    root = np.frombuffer(raw, "<f4", d * q, len(raw) - 4 * d * q).astype(np.float32).reshape(d, q)
    if mark == _DIRECTION_MARK:
        return Shape.direction(numbers[:d], numbers[d])
    if mark == _MARK:
        return make_shape(numbers, root)
    return make_shape(numbers[:d], root, shift=numbers[d : 2 * d], reach=numbers[2 * d])


def _beside(d: int, mark: bytes) -> int:
    """Float64 numbers that follow the center or vector."""
    return {_MARK: 0, _DRAWN_MARK: d + 1, _DIRECTION_MARK: 1}[mark]


def _size(d: int, q: int, mark: bytes) -> int:
    """Bytes of an unpacked shape."""
    return _HEAD + 8 * (d + _beside(d, mark)) + 4 * d * q


def _raw(shape: Shape) -> bytes:
    """What is packed of a shape."""
    root: NDArray[Any]
    if shape.vector is not None:
        mark, root = _DIRECTION_MARK, np.empty((len(shape.vector), 0))
        numbers = [shape.vector, np.array(shape.cut)]
    elif shape.center is not None and shape.root is not None and shape.kernel == "gaussian":
        mark, root = _MARK, shape.root
        numbers = [shape.center]
        if shape.shift is not None:
            mark = _DRAWN_MARK
            numbers += [shape.shift, np.array(shape.reach)]
    else:
        raise InputError(
            f"only directions, and Gaussian balls with a root, are kept: got a {shape.kind}."
        )
    _check_size(root)
    return b"".join(
        [
            mark,
            np.array(root.shape, "<i8").tobytes(),
            *(one.astype("<f8").tobytes() for one in numbers),
            root.astype("<f4").tobytes(),
        ]
    )


def _check_size(root: NDArray[Any]) -> None:
    """Raise ``InputError`` for a shape of more numbers than are read again."""
    numbers = max(root.size, len(root))
    if numbers > MAX_NUMBERS:
        raise InputError(
            f"the root of a shape must have at most {MAX_NUMBERS:,} numbers: got {numbers:,}."
        )


def _place(name: str, home: str | os.PathLike[str] | None) -> Path:
    return home_folder(home) / "shapes" / f"{name}.bin"
