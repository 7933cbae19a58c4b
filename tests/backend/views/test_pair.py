"""Two groups side by side: numbers on rows that had no part in making them, and what one has more."""

from __future__ import annotations

import numpy as np
import pytest

from backend.bundle import Bundle, read_bundle, write_bundle
from backend.core.errors import InputError
from backend.core.statistics import wilson_interval
from backend.describe import compare_groups
from backend.describe.presence import Presence
from backend.views import pair_effects, pair_table
from backend.views.pair import difference

A, B = np.arange(40), np.arange(30, 90)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    n = 200
    labels = np.zeros(n, dtype=int)
    predictions = np.zeros(n, dtype=int)
    predictions[:20] = 1  # A is wrong every second time, B never
    losses = np.where(predictions == 1, 2.0, 0.1)
    path = write_bundle(
        tmp_path_factory.mktemp("pair") / "run.npz",
        embeddings=np.eye(n, 4),
        losses=losses,
        labels=labels,
        predictions=predictions,
        classes=["cat", "dog"],
    )
    return read_bundle(path)


def test_numbers_of_both_and_their_difference(bundle: Bundle) -> None:
    effects = pair_effects(bundle, (A, B), (None, None))
    table = pair_table((A, B), effects).set_index("of")
    assert table.loc["members"].tolist() == ["40", "60", ""]
    assert table.loc["members of both"].tolist() == ["10", "10", ""]
    assert table.loc["examples measured"].tolist() == ["40", "60", ""]
    assert table.loc["error rate", "first"].startswith("50\u00a0% (")
    assert table.loc["error rate", "second"].startswith("0\u00a0% (0 to ")
    assert table.loc["error rate", "difference"].startswith("+50.0 points (")
    assert table.loc["mean loss", "difference"].startswith("+0.950 (")
    assert table.loc["mean loss", "second"].startswith("0.100")
    turned = pair_table((B, A), effects[::-1]).set_index("of").loc["mean loss", "difference"]
    assert turned.startswith("\N{MINUS SIGN}0.950 (\N{MINUS SIGN}") and "-" not in turned


def test_rows_that_made_a_group_do_not_measure_it(bundle: Bundle) -> None:
    used = np.zeros(200, dtype=bool)
    used[:20] = True
    first, second = pair_effects(bundle, (A, B), (used, np.ones(200, dtype=bool)))
    assert (first.n, first.error) == (20, 0.0)
    table = pair_table((A, B), (first, second)).set_index("of")
    assert table.loc["examples measured", "second"] == "0"
    assert table.loc["mean loss", ["second", "difference"]].tolist() == ["–", "–"]


def test_the_interval_of_a_difference_is_newcombes_for_shares() -> None:
    # Newcombe 1998, table II, example a: 56/70 less 48/80 is .2, with .0524 to .3339 (method 10).
    ends = []
    for k, n in ((56, 70), (48, 80)):
        low, high = wilson_interval(k, n)
        ends.append((k / n, float(low), float(high)))
    gap, low, high = difference(*ends)
    assert (round(gap, 4), round(low, 4), round(high, 4)) == (0.2, 0.0524, 0.3339)


def test_examples_of_both_count_for_neither() -> None:
    found = compare_groups(A, B, n=200)
    assert found.n_members == 30 and np.count_nonzero(found.base) == 50
    inside = compare_groups(np.arange(5), A, n=200)
    assert inside.n_members == 5 and np.flatnonzero(inside.base).tolist() == list(range(5, 40))
    around = compare_groups(A, np.arange(5), n=200)
    assert around.n_members == 35 and np.flatnonzero(around.base).tolist() == list(range(5))
    for first, second in ((A, A[::-1]), ([], A), (A, np.array([200]))):
        with pytest.raises(InputError):
            compare_groups(np.asarray(first, dtype=np.int64), second, n=200)


def test_p_is_fishers_within_the_two_groups() -> None:
    codes = np.zeros(200, dtype=np.int64)
    codes[[0, 1, 2, 30, 100, 101, 102]] = 1
    first, second = np.arange(5), np.arange(25, 35)
    tally = Presence.single(codes, 2).tally(compare_groups(first, second, n=200))
    assert tally["group_share"].round(6).tolist() == [0.4, 0.6]
    assert tally["base_share"].round(6).tolist() == [0.9, 0.1]
    # 4 holders among 15, of which 5 are drawn: 3 or more of them.
    expected = (4 * 11 * 10 / 2 + 1 * 11) / 3003
    assert tally["p"][1] == pytest.approx(expected, rel=1e-9)
