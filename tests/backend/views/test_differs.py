"""Columns are ranked by how a set differs from the rest, against statistics computed elsewhere."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from backend.bundle import read_bundle, write_bundle
from backend.core.errors import InputError
from backend.core.statistics import adjust_p
from backend.views import what_differs

N = 900


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    random = np.random.default_rng(1)
    chosen = np.arange(N) < 200
    path = write_bundle(
        tmp_path_factory.mktemp("differs") / "run.npz",
        embeddings=random.normal(size=(N, 3)),
        losses=random.gamma(1.0, 1.0, N).round(1),
        labels=random.integers(0, 3, N),
        examples=pd.DataFrame(
            {
                "id": [str(row) for row in range(N)],
                "shifted": np.where(
                    random.random(N) < 0.1, np.nan, random.normal(size=N) + 1.5 * chosen
                ),
                "noise": random.normal(size=N).round(1),
                "kind": np.where(chosen & (random.random(N) < 0.6), "a*b", random.choice(list("xyz"), N)),
                "name": [f"name {row}" for row in range(N)],
                "one": "same",
                "where": np.where(chosen, "", "here"),
            }
        ),
    )  # fmt: skip
    return read_bundle(path), chosen


def test_distances_and_p_equal_other_implementations(bundle):
    bundle, chosen = bundle
    table = what_differs(bundle, chosen).set_index("column")
    for name in ("shifted", "noise"):
        values = bundle.examples[name].to_numpy()
        here, there = values[chosen], values[~chosen]
        here, there = here[~np.isnan(here)], there[~np.isnan(there)]
        twin = stats.ks_2samp(here, there, method="asymp")
        row = table.loc[name]
        assert row["distance"] == pytest.approx(twin.statistic, abs=1e-12)
        size = len(here) * len(there) / (len(here) + len(there))
        assert row["p"] == pytest.approx(stats.kstwobign.sf(np.sqrt(size) * twin.statistic))
        assert (row["n"], row["n_rest"]) == (len(here), len(there))
    counts = pd.crosstab(chosen, bundle.examples["kind"].to_numpy()).to_numpy()
    shares = counts / counts.sum(axis=1, keepdims=True)
    row = table.loc["kind"]
    assert row["distance"] == pytest.approx(np.abs(shares[0] - shares[1]).sum() / 2)
    assert row["p"] == pytest.approx(stats.chi2_contingency(counts, correction=False).pvalue)
    assert row["here"].startswith("a*b: ")
    assert table["p_adjusted"].to_numpy() == pytest.approx(adjust_p(table["p"]), nan_ok=True)


def test_the_columns_that_differ_come_first(bundle):
    bundle, chosen = bundle
    table = what_differs(bundle, chosen)
    assert set(table["column"][:2]) == {"shifted", "kind"}
    assert "name" not in set(table["column"])  # an own value for everyone
    assert "where" not in set(table["column"])  # the chosen ones have no value
    assert table.set_index("column").loc["one", "p"] == 1.0


def test_another_set_to_compare_with(bundle):
    bundle, chosen = bundle
    against = np.arange(N) >= 500
    table = what_differs(bundle, chosen, against).set_index("column")
    assert table.loc["label", "n_rest"] == 400


def test_values_too_rare_to_test_have_no_p(bundle):
    bundle, _ = bundle
    few = np.arange(N) < 3
    row = what_differs(bundle, few).set_index("column").loc["kind"]
    assert np.isnan(row["p"])


@pytest.mark.parametrize("chosen", [np.zeros(N, bool), np.ones(N, bool), np.ones(3, bool)])
def test_both_sides_are_needed(bundle, chosen):
    with pytest.raises(InputError):
        what_differs(bundle[0], chosen)
