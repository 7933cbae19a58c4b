"""Where the examples of a view are: bars of a column, and confusions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from backend.bundle import Bundle, read_bundle, write_bundle
from backend.core.errors import InputError
from backend.rules import evaluate
from backend.views import (
    Ids,
    Query,
    Scene,
    View,
    brushed_range,
    column_bars,
    confusion_table,
    pair_rule,
    resolve,
)

LOSSES = np.arange(6.0)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    path = write_bundle(
        tmp_path_factory.mktemp("breakdown") / "b",
        embeddings=np.eye(6),
        losses=LOSSES,
        labels=[0, 0, 1, 2, 2, 2],
        predictions=[0, 1, 1, 0, 0, 1],
        classes=["a", "b", "c"],
        examples=pd.DataFrame(
            {
                "id": list("uvwxyz"),
                "width": [0.5, np.nan, 0.25, 1.5, 1.5, 1.0],
                "empty": np.full(6, np.nan),
                "word": list("aabbcc"),
            }
        ),
    )
    return read_bundle(path)


def test_confusions_by_hand(bundle: Bundle) -> None:
    looked = resolve(View(), Scene(bundle))
    table = confusion_table(bundle, looked, mistakes=True)
    assert table is not None
    assert table.drop(columns="shade").to_dict("list") == {
        "label": ["c", "a", "c"],
        "prediction": ["a", "b", "b"],
        "examples": [2, 1, 1],
        "mean_loss": [3.5, 1.0, 5.0],
    }
    assert table["shade"].tolist() == pytest.approx(
        [1, np.log(2) / np.log(3), np.log(2) / np.log(3)]
    )
    whole = confusion_table(bundle, looked, mistakes=False)
    assert whole is not None and whole["examples"].sum() == 6


def test_confusions_are_those_of_the_examples_shown(bundle: Bundle) -> None:
    looked = resolve(View().filtered(Query("loss > 3.5")), Scene(bundle))
    table = confusion_table(bundle, looked, mistakes=True)
    assert table is not None and table["mean_loss"].tolist() == [4.0, 5.0]
    none = resolve(View().filtered(Query("loss < 1")), Scene(bundle))
    empty = confusion_table(bundle, none, mistakes=True)
    assert empty is not None and empty.empty
    assert confusion_table(replace(bundle, predictions=None), looked, mistakes=True) is None


def test_the_rule_of_a_cell_means_its_examples(bundle: Bundle) -> None:
    table = confusion_table(bundle, resolve(View(), Scene(bundle)), mistakes=False)
    assert table is not None
    for row in table.itertuples():
        held = evaluate(pair_rule(row.label, row.prediction), bundle)
        assert held.sum() == row.examples
        assert LOSSES[held].mean() == row.mean_loss


def test_bars_of_all_of_the_filtered_and_of_the_selected(bundle: Bundle) -> None:
    view = View().filtered(Query("loss > 1")).selected(Ids(("x", "v")))
    looked = resolve(view, Scene(bundle))
    bars = column_bars(bundle, looked, "width")
    assert bars is not None
    assert {name: int(count.sum()) for name, count in bars.counts.items()} == {
        "all": 5, "filtered": 4, "selected": 1,
    }  # fmt: skip
    assert (bars.edges[0], bars.edges[-1]) == (0.25, 1.5)
    assert bars.counts["selected"][-1] == 1


def test_bars_need_numbers(bundle: Bundle) -> None:
    looked = resolve(View(), Scene(bundle))
    assert column_bars(bundle, looked, "empty") is None
    with pytest.raises(InputError, match="bars need a column of numbers: 'word' is text"):
        column_bars(bundle, looked, "word")


@pytest.mark.parametrize(
    ("drawn", "range_"),
    [
        ((-118.1022391, -118.2436812), (-118.2437, -118.1022)),
        ((0.123456, 9.87654), (0.123, 9.877)),
        ((123456.7, 98765.4), (98770.0, 123460.0)),
        ((2.0, 2.0), (2.0, 2.0)),
    ],
)
def test_a_drawn_range_keeps_the_digits_that_tell_its_ends_apart(drawn, range_):
    assert brushed_range(*drawn) == pytest.approx(range_, abs=1e-12)
