"""Subgroup tables: by hand, against slow twins over every group, and undefined cells."""

from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest

from backend.core.errors import InputError
from backend.core.statistics import wilson_interval
from backend.populations import audit, audit_gaps, disaggregate, target_audit


def groups_of(attributes, order):
    """Every group as (name, mask), the slow way; missing is "unknown"."""
    n = len(next(iter(attributes.values())))
    texts = {
        name: np.array(["unknown" if v in (None, "") else str(v) for v in values])
        for name, values in attributes.items()
    }
    found = [("all", np.ones(n, bool))]
    for size in range(1, order + 1):
        for names in combinations(texts, size):
            levels = [
                sorted(set(texts[name]), key=lambda text: (text == "unknown", text))
                for name in names
            ]
            for chosen in product(*levels):
                mask = np.ones(n, bool)
                for name, level in zip(names, chosen, strict=True):
                    mask &= texts[name] == level
                label = " & ".join(f"{a}={b}" for a, b in zip(names, chosen, strict=True))
                found.append((label, mask))
    return found


def some_attributes(rng, n):
    return {
        "sex": rng.choice(["F", "M"], n),
        "age": rng.choice(["old", "young", None, ""], n),
        "zone": rng.integers(1, 4, n),
    }


def share(part, whole):
    return part / whole if whole else np.nan


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_audit_agrees_with_its_twin(order, seed):
    rng = np.random.default_rng(seed)
    n = 15  # few examples: some combinations are empty
    labels, predictions = rng.integers(0, 2, n), rng.integers(0, 2, n)
    attributes = some_attributes(rng, n)
    table = audit(labels, predictions, attributes, order=order, min_n=5)
    wanted = groups_of(attributes, order)
    assert table["group"].tolist() == [name for name, _ in wanted]
    for (_, mask), row in zip(wanted, table.to_dict("records"), strict=True):
        y, p = labels[mask], predictions[mask]
        tp, fp = np.sum((y == 1) & (p == 1)), np.sum((y == 0) & (p == 1))
        fn, tn = np.sum((y == 1) & (p == 0)), np.sum((y == 0) & (p == 0))
        assert [row[k] for k in ("n", "tp", "fp", "fn", "tn")] == [mask.sum(), tp, fp, fn, tn]
        rates = {
            "accuracy": share(tp + tn, mask.sum()),
            "error": share(fp + fn, mask.sum()),
            "ppv": share(tp, tp + fp),
            "fdr": share(fp, tp + fp),
            "tpr": share(tp, tp + fn),
            "fnr": share(fn, tp + fn),
            "fpr": share(fp, fp + tn),
            "tnr": share(tn, fp + tn),
        }
        for name, value in rates.items():
            assert row[name] == pytest.approx(value, abs=1e-9, nan_ok=True)
        assert row["small"] == (mask.sum() < 5)


def test_a_combination_nobody_belongs_to_is_listed():
    table = audit([0, 1], [0, 1], {"a": ["x", "y"], "b": ["p", "q"]}).set_index("group")
    assert table.index.tolist()[5:] == ["a=x & b=p", "a=x & b=q", "a=y & b=p", "a=y & b=q"]
    row = table.loc["a=x & b=q"]
    assert row[["n", "tp", "fp", "fn", "tn"]].tolist() == [0] * 5
    assert row[["accuracy", "error", "ppv", "fnr", "error_low", "error_high"]].isna().all()
    assert row["small"]


def test_cells_add_up():
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(0, 2, 500), rng.integers(0, 2, 500)
    table = audit(labels, predictions, some_attributes(rng, 500))
    counts = table[["n", "tp", "fp", "fn", "tn"]]
    assert (counts.iloc[:, 1:].sum(axis=1) == counts["n"]).all()
    parts = table["group"].map(lambda name: tuple(p.split("=")[0] for p in name.split(" & ")))
    for _, block in counts.groupby(parts):
        assert block.sum().tolist() == counts.iloc[0].tolist()


def test_names_positive_and_one_class_against_the_rest():
    labels, predictions = ["cat", "dog", "eel", "cat"], ["cat", "cat", "dog", "eel"]
    row = audit(labels, predictions, {}, positive="cat").iloc[0]
    assert row[["tp", "fp", "fn", "tn"]].tolist() == [1, 1, 1, 1]
    assert row["group"] == "all"


def test_wilson_interval():
    low, high = wilson_interval(np.array([0, 5, 10, 0]), np.array([10, 10, 10, 0]))
    # Wilson (1927) by hand: (share + z^2/2n -+ z sqrt(...)) / (1 + z^2/n), z = 1.96, n = 10
    assert low[:3] == pytest.approx([0, 0.2366, 0.7225], abs=1e-4)
    assert high[:3] == pytest.approx([0.2775, 0.7634, 1], abs=1e-4)
    assert np.isnan([low[3], high[3]]).all()


def test_gaps():
    rng = np.random.default_rng(3)
    group = np.repeat(["a", "b", "c", "d"], [100, 100, 100, 5])
    labels = rng.integers(0, 2, 305)
    wrong = np.zeros(305, bool)
    wrong[:10], wrong[100:140], wrong[200:220], wrong[300:] = True, True, True, True
    table = audit(labels, np.where(wrong, 1 - labels, labels), {"shop": group})
    gaps = audit_gaps(table).set_index("metric")
    assert gaps.loc["error", ["best_group", "worst_group"]].tolist() == ["shop=a", "shop=b"]
    assert gaps.loc["error", "gap"] == pytest.approx(0.3)
    assert gaps.loc["error", "ratio"] == pytest.approx(4)
    assert gaps.loc["accuracy", "worst_group"] == "shop=b"
    assert gaps.loc["accuracy", "ratio"] == pytest.approx(0.6 / 0.9)
    assert gaps.loc["error", "n_groups"] == 3  # five examples are too few
    assert audit_gaps(table[table["small"]]).set_index("metric").loc["error"].isna().sum() == 6


def test_target_audit_recovers_published_recalls():
    """Counts of the benchmark: 177 of 271, 280 of 318, 275 of 296, 384 of 385 right."""
    cells = [("darker", "F", 271, 177), ("darker", "M", 318, 280),
             ("lighter", "F", 296, 275), ("lighter", "M", 385, 384)]  # fmt: skip
    skin, truth, said = [], [], []
    for tone, sex, n, right in cells:
        skin += [tone] * n
        truth += [sex] * n
        said += [sex] * right + ["M" if sex == "F" else "F"] * (n - right)
    table = target_audit(truth, said, {"skin": skin}).set_index(["group", "class"])
    assert table.loc[("skin=darker", "F"), "fnr"] == pytest.approx(1 - 177 / 271)
    assert table.loc[("skin=lighter", "M"), "fnr"] == pytest.approx(1 / 385)
    row = table.loc[("skin=darker", "F")]
    assert row[["tp", "fp", "fn", "tn"]].tolist() == [177, 38, 94, 280]
    pooled = table.loc[("skin=darker", "all")]
    assert pooled["ppv"] == pooled["tpr"] == pooled["accuracy"] == pytest.approx(457 / 589)
    assert pooled["fpr"] == pooled["error"] == pytest.approx(132 / 589)
    assert pooled["n"] == 589
    assert table.index.tolist()[:3] == [("all", "all"), ("all", "F"), ("all", "M")]


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_disaggregate_agrees_with_its_twin(order, seed):
    rng = np.random.default_rng(seed)
    n = 50
    labels = rng.integers(0, 3, n)  # three classes: 1 against the rest
    populations = {"baseline": rng.integers(0, 3, (3, n)), "compressed": rng.integers(0, 3, (5, n))}
    attributes = some_attributes(rng, n)
    table = disaggregate(*populations.values(), labels, attributes, order=order)
    rows = iter(table.to_dict("records"))
    for name, mask in groups_of(attributes, order):
        positive, negative = mask & (labels == 1), mask & (labels != 1)
        for metric in ("error", "fpr", "fnr"):
            row = next(rows)
            assert (row["group"], row["metric"]) == (name, metric)
            assert (row["n"], row["n_positive"]) == (mask.sum(), positive.sum())
            means = []
            for side, predictions in populations.items():
                rates = []
                for model in predictions:
                    if metric == "error":
                        rates.append(share(np.sum(mask & (model != labels)), mask.sum()))
                    elif metric == "fpr":
                        rates.append(share(np.sum(negative & (model == 1)), negative.sum()))
                    else:
                        rates.append(share(np.sum(positive & (model != 1)), positive.sum()))
                means.append(np.mean(rates))
                assert row[side] == pytest.approx(means[-1], abs=1e-9, nan_ok=True)
            percent = share(100 * (means[1] - means[0]), means[0])
            assert row["difference_percent"] == pytest.approx(percent, abs=1e-7, nan_ok=True)
            assert row["difference"] == pytest.approx(means[1] - means[0], abs=1e-9, nan_ok=True)
    assert next(rows, None) is None


def test_disaggregate_worked_by_hand():
    # two models; positives: rows 0, 1. errors baseline: 1/4, 1/4; compressed 2/4, 1/4
    labels = [1, 1, 0, 0]
    baseline, compressed = [[1, 0, 0, 0], [0, 1, 0, 0]], [[0, 0, 0, 0], [1, 1, 1, 0]]
    table = disaggregate(baseline, compressed, labels, {}).set_index("metric")
    assert table["baseline"].to_dict() == {"error": 0.25, "fpr": 0, "fnr": 0.5}
    assert table["compressed"].to_dict() == {"error": 0.375, "fpr": 0.25, "fnr": 0.5}
    assert table["difference_percent"]["error"] == pytest.approx(50)
    assert np.isnan(table["difference_percent"]["fpr"])
    assert table["difference"]["fpr"] == 0.25


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: audit([1], [1, 0], {}), "got 1 labels and 2 predictions"),
        (lambda: audit([0, 1], [0, 1], {}, positive=2), r"one of the labels \(0, 1\): got 2"),
        (lambda: audit([0, 1], ["a", "b"], {}), "labels are numbers, predictions are names"),
        (lambda: audit([0, 1], [0, 1], {"a": [1]}), "attribute 'a' must be one per example"),
        (lambda: audit([0, 1], [0, 1], {"a": [1, 2]}, order=4), "order must be 1, 2 or 3"),
        (
            lambda: audit(
                np.arange(300) % 2,
                np.arange(300) % 2,
                {"a": np.arange(300), "b": pd.Series(range(300))},
            ),
            "make 90600 groups",
        ),
        (lambda: disaggregate([[1]], [[1]], [0], {}, positive="x"), "positive must be one of"),
    ],
)
def test_errors(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_mean_losses_stand_in_the_rows_of_the_audit():
    from backend.core.statistics import mean_interval
    from backend.populations import group_losses, group_rows

    rng = np.random.default_rng(6)
    labels, predictions = rng.integers(0, 2, 120), rng.integers(0, 2, 120)
    attributes = {"a": rng.choice(["x", "y=1 & b"], 120), "b": rng.choice(["u", "v", None], 120)}
    losses = rng.gamma(2, 1, 120)
    table = group_losses(losses, attributes)
    audited = audit(labels, predictions, attributes)
    assert table["group"].tolist() == audited["group"].tolist()
    assert table["n"].tolist() == audited["n"].tolist()
    for position in range(len(table)):
        rows = group_rows(attributes, 120, 2, position)
        assert len(rows) == table["n"][position]
        twin = mean_interval(losses[rows])
        row = table.iloc[position]
        assert (row.mean_loss, row.mean_loss_low, row.mean_loss_high) == pytest.approx(
            (twin.value, twin.low, twin.high), nan_ok=True
        )
    with pytest.raises(InputError, match="groups"):
        group_rows(attributes, 120, 2, len(table))


def test_every_rate_has_an_interval_out_of_its_own_count():
    from backend.core.statistics import wilson_interval
    from backend.populations import rate_intervals

    table = audit([1, 1, 1, 0, 0], [1, 0, 1, 1, 0], {"g": list("aaabb")})
    found = rate_intervals(table)
    low, high = wilson_interval(1, 3)
    assert found.loc[0, ["fnr_of", "fnr_low", "fnr_high"]].tolist() == pytest.approx(
        [3, float(low), float(high)]
    )
    at = table.index[table["group"] == "g=a"][0]
    assert found.loc[at, "fpr_of"] == 0 and np.isnan(found.loc[at, "fpr_low"])
    assert found["error_low"].to_numpy() == pytest.approx(table["error_low"].to_numpy())
