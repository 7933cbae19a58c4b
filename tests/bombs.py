"""Small files that unpack to much, made as code; each is told by what it does."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc as pa_ipc
import pyarrow.parquet as pq
import torch
from numpy.lib import format as npy_format

N = 4_000
ROWS = {"embedding": np.zeros((N, 2048), np.float32), "loss": np.zeros(N)}


def header(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    """The start of a .npy that may say anything of what follows."""
    stream = io.BytesIO()
    said = {"descr": descr, "fortran_order": False, "shape": shape}
    npy_format.write_array_header_1_0(stream, said)
    return stream.getvalue()


def archive(path: Path, *members: tuple[str, bytes], packed: bool = False) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as made:
        for name, data in members:
            made.writestr(name, data)


def rows_of_nothing(path: Path) -> None:
    archive(path, ("embeddings.npy", header((10**20 - 1, 0))))


def names_of_nothing(path: Path) -> None:
    archive(
        path,
        ("embeddings.npy", header((4, 2)) + bytes(32)),
        ("labels.npy", header((10**9,), "<U0")),
    )


def table() -> pa.Table:
    cells = pa.FixedSizeListArray.from_arrays(pa.array(ROWS["embedding"].reshape(-1)), 2048)
    return pa.table({"embedding": cells, "loss": ROWS["loss"]})


def squeezed_feather(path: Path, times: int = 60) -> None:
    """2 GB of zeros in 60 batches."""
    options = pa_ipc.IpcWriteOptions(compression="zstd")
    with pa_ipc.new_file(str(path), table().schema, options=options) as file:
        for _ in range(times):
            file.write_table(table())


def one_batch_feather(path: Path) -> None:
    """One batch that says of itself that it takes 1.6 GB."""
    cells = np.zeros(800_000 * 2048, np.int8)  # pages that are only read are never made
    whole = pa.FixedSizeListArray.from_arrays(pa.array(cells), 2048)
    options = pa_ipc.IpcWriteOptions(compression="zstd")
    made = pa.record_batch([whole], names=["embedding"])
    with pa_ipc.new_file(str(path), made.schema, options=options) as file:
        file.write_batch(made)


def repeated_words(path: Path) -> None:
    """1.2 GB of text, of which the file holds one word."""
    n = 60_000
    words = pa.DictionaryArray.from_arrays(np.zeros(n, np.int32), pa.array(["x" * 20_000]))
    made = pa.table({"text": words, "loss": np.zeros(n)})
    pq.write_table(made, path, store_schema=False)


def long_runs(path: Path) -> None:
    """90 million times the same number."""
    same = pa.table({"loss": np.zeros(2 * 10**6)})
    with pq.ParquetWriter(path, same.schema) as file:
        for _ in range(45):
            file.write_table(same)


def pickled(path: Path, said: bytes) -> None:
    """A .pt whose pickle is these opcodes."""
    kept = io.BytesIO()
    torch.save({}, kept)
    with zipfile.ZipFile(kept) as read:
        members = [(name, read.read(name)) for name in read.namelist()]
    archive(path, *((name, said if name.endswith("data.pkl") else data) for name, data in members))


def three_gigabytes(path: Path) -> None:
    call = b"cbuiltins\nbytearray\n\x8a\x05\x00\x5e\xd0\xb2\x00\x85R"
    pickled(path, b"\x80\x02}X\x0a\x00\x00\x00embeddings" + call + b"s.")


def deflated_tensors(path: Path) -> None:
    kept = io.BytesIO()
    torch.save({"embeddings": torch.zeros(1000, 25_000)}, kept)
    with zipfile.ZipFile(kept) as read:
        archive(path, *((name, read.read(name)) for name in read.namelist()), packed=True)


def long_csv(path: Path) -> None:
    """1.4 GB of text at a hundredth of that, below the ratio of a zip bomb."""
    noise = np.random.default_rng(0).bytes(6 * 2**20).hex().encode()
    line = b"1,0.5," + b"x" * 2_000 + b"\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made:
        made.writestr("notes.txt", noise)
        with made.open("examples.csv", "w", force_zip64=True) as file:
            file.write(b"id,loss,text\n")
            for _ in range(700):
                file.write(line * 1_000)


def inner_archives(path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a.npy", bytes(2**24))
    archive(path, *((f"{k}.zip", inner.getvalue()) for k in range(50)))


def deep_json(path: Path) -> None:
    archive(
        path,
        ("embeddings.npy", header((4, 2)) + bytes(32)),
        ("losses.npy", header((4,)) + bytes(16)),
        ("classes.json", b"[" * 2**23),
    )


def large_pictures(path: Path) -> None:
    """Four pictures of 49 million pixels with 16 bits each, in 100 kB."""
    side = 7_000
    lines = zlib.compress(bytes(side * (2 * side + 1)), 1)
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", side, side, 16, 0, 0, 0, 0)),
        (b"IDAT", lines),
        (b"IEND", b""),
    ]
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    archive(
        path,
        ("embeddings.npy", header((4, 2)) + bytes(32)),
        ("losses.npy", header((4,)) + bytes(16)),
        *((f"images/{k}.png", png) for k in range(4)),
        packed=True,
    )


TOO_MUCH = "GiB of memory that it is given"
BOMBS: dict[str, tuple[str, Callable[[Path], None], str | None]] = {
    "a header with 10^20 rows of nothing": (".npz", rows_of_nothing, "holds no numbers at all"),
    "a header with 10^9 empty names": (".npz", names_of_nothing, "holds no numbers at all"),
    "feather of many squeezed batches": (".feather", squeezed_feather, TOO_MUCH),
    "feather of one squeezed batch": (".feather", one_batch_feather, TOO_MUCH),
    "Parquet of one long word": (".parquet", repeated_words, TOO_MUCH),
    "Parquet of long runs": (".parquet", long_runs, TOO_MUCH),
    "a .pt that asks for 3 GB": (".pt", three_gigabytes, TOO_MUCH),
    "a deflated .pt": (".pt", deflated_tensors, "it is compressed"),
    "a CSV below the ratio of a zip bomb": (".zip", long_csv, TOO_MUCH),
    "archives inside an archive": (".zip", inner_archives, "no file that belongs to a bundle"),
    "eight million brackets of JSON": (".zip", deep_json, "cannot be read"),
    "pictures of 49 million pixels": (".zip", large_pictures, None),
}
"""Suffix, what makes the file, and what is said of it; None where it is taken."""
