"""The demo of a mark that goes with a class in training, built small."""

import numpy as np
import pytest

from backend.bundle import read_bundle
from backend.bundle.training import training_of
from backend.core.errors import InputError
from backend.demo import marked
from backend.demo.images import CLASSES
from tests.backend.demo.pictures import decode_png

SMALL = {"n_train": 200, "n_test": 60, "epochs": 1}


def test_the_small_demo_holds_its_training_set_and_the_mark(data, tmp_path):
    path = tmp_path / "marked.zip"
    measured = marked.build(path, data=data, **SMALL)
    bundle = read_bundle(path)
    training = training_of(bundle)
    assert (bundle.n, training.n, measured["n"], measured["n_train"]) == (60, 200, 60, 200)
    assert measured["accuracy"] == pytest.approx(bundle.accuracy)
    assert measured["size_bytes"] == path.stat().st_size
    corner = slice(1, 1 + marked.SIDE)
    for marks, pictures in (
        (training.columns["mark"], [decode_png(training.thumbnail(row)) for row in range(200)]),
        (bundle.examples["mark"], [decode_png(bundle.image(row)) for row in range(60)]),
    ):
        seen = [(one[corner, corner] == 255).all() for one in pictures]
        assert ((np.asarray(marks) == "with mark") == seen).all()
    coats = training.label_codes == CLASSES.index(marked.MARKED)
    assert ((training.columns["mark"] == "with mark") == coats).mean() > 0.8
    again = tmp_path / "again.zip"
    marked.build(again, data=data, **SMALL)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"epochs": 0}, "epochs must be 1"), ({"n_train": 201}, "10 to 200 train images")],
)
def test_counts_out_of_range_are_refused(data, tmp_path, wrong, said):
    with pytest.raises(InputError, match=said):
        marked.build(tmp_path / "x.zip", data=data, **SMALL | wrong)
