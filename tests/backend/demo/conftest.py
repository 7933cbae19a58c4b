"""A data set like Debian's, small, from images that ship in the demo itself."""

import gzip
import struct
import zipfile
from io import BytesIO

import numpy as np
import pandas as pd
import pytest

from backend.demo import demo_path
from tests.backend.demo.pictures import decode_png


def write_idx(path, values):
    header = struct.pack(f">4B{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    path.write_bytes(gzip.compress(header + values.tobytes()))


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A folder like Debian's, holding 200 images to train on and 80 to test."""
    folder = tmp_path_factory.mktemp("fashion")
    with zipfile.ZipFile(demo_path()) as archive:
        images = pd.read_parquet(BytesIO(archive.read("examples.parquet")))["image"]
        labels = np.load(BytesIO(archive.read("labels.npy"))).astype(np.uint8)
    pixels = np.stack([decode_png(image) for image in images[:280]])
    for part, rows in (("train", slice(0, 200)), ("t10k", slice(200, 280))):
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", pixels[rows])
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", labels[:280][rows])
    return folder
