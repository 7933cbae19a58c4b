"""What a view means on its bundle, also where part of it means nothing any more."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from backend.bundle import Bundle, read_bundle, write_bundle
from backend.views import Drawn, Ids, Query, Scene, View, resolve

LOSSES = np.array([1.0, 4.0, 2.0, 4.0, 0.0])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    path = write_bundle(
        tmp_path_factory.mktemp("resolve") / "b",
        embeddings=np.eye(5),
        losses=LOSSES,
        examples=pd.DataFrame({"id": list("abcde")}),
    )
    return read_bundle(path)


def test_rows_come_highest_loss_first_and_cannot_be_changed(bundle: Bundle) -> None:
    view = View().filtered(Query("loss > 0")).selected(Ids(("e", "c", "d", "b")))
    looked = resolve(view, Scene(bundle))
    assert looked.shown.tolist() == [True, True, True, True, False]
    assert looked.n_shown == 4 and looked.filtering and not looked.problems
    assert looked.selected.tolist() == [1, 3, 2], "ties: the lower row"
    assert not looked.shown.flags.writeable and not looked.selected.flags.writeable


def test_what_cannot_be_used_is_left_out_and_told(bundle: Bundle) -> None:
    drawn = Drawn("PCA", "gone", "box", ((0.0, 0.0), (1.0, 1.0)))
    view = View().filtered(Query("width > 2")).filtered(Query("loss < 4")).selected(drawn)
    looked = resolve(view, Scene(bundle))
    assert looked.view == view
    assert looked.shown.tolist() == [True, False, True, False, True]
    assert not len(looked.selected)
    first, second = looked.problems
    assert first.startswith("Left out: width > 2 (") and "\n" not in first
    assert "is not laid out yet" in second


def test_a_filter_that_is_off_is_not_tried(bundle: Bundle) -> None:
    view = View().filtered(Query("width > 2")).switched(0, on=False)
    looked = resolve(view, Scene(bundle))
    assert looked.n_shown == 5 and not looked.problems and not looked.filtering
