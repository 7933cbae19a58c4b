"""Baselines, p-values and n-grams: slow twins with ties and unseen tokens, and scipy's own tests."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from backend.core.errors import InputError
from backend.core.statistics import adjust_p
from backend.describe import (
    BASELINES,
    WordIndex,
    attribute_table,
    attribute_tables,
    compare_with,
    index_words,
    summary_table,
    token_table,
    tokens_of,
    weighted_summary,
)
from backend.describe.chance import fisher_p, rank_sum_p, stratified_p


def random_documents(rng, n=70, words=11):
    """Documents over a few words, so that many shares and ratios tie; some are empty."""
    return [[f"t{word}" for word in rng.integers(0, words, rng.integers(0, 8))] for _ in range(n)]


def grams_of(document, length):
    return {" ".join(document[at : at + length]) for at in range(len(document) - length + 1)}


def twin(sets, weights, baseline, labels, smoothing):
    """The definitions, one thing and one document at a time."""
    n, members = len(sets), [row for row in range(len(sets)) if weights[row] > 0]
    total = sum(weights)
    rows = []
    for thing in set().union(*sets):
        holds = [thing in own for own in sets]
        g = sum(w for w, h in zip(weights, holds, strict=True) if h) / total
        if baseline == "all":
            f = sum(holds) / n
        elif baseline == "rest":
            rest = [row for row in range(n) if row not in members]
            f = sum(holds[row] for row in rest) / len(rest)
        else:
            f = 0.0
            for label in set(labels):
                own = [row for row in range(n) if labels[row] == label]
                share = sum(weights[row] for row in own) / total
                f += share * sum(holds[row] for row in own) / len(own)
        ratio = (smoothing + g) / (smoothing + f)
        inside = sum(holds[row] for row in members)
        p = stats.hypergeom.sf(inside - 1, n, sum(holds), len(members))
        rows.append((thing, ratio, g, f, sum(holds), inside, p))
    return sorted(rows, key=lambda row: (-round(row[1], 12), -row[4], row[0]))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("baseline", BASELINES)
def test_tables_agree_with_their_twin(seed, length, baseline):
    rng = np.random.default_rng(seed)
    documents = random_documents(rng)
    weights = np.where(rng.random(70) < 0.4, 1.0, 0.0)
    labels = rng.choice(["a", "b", "c"], 70).tolist()
    table = token_table(
        documents, weights, length=length, top=None, baseline=baseline, labels=labels
    )
    wanted = twin([grams_of(one, length) for one in documents], weights, baseline, labels, 0.005)
    assert table["token"].tolist() == [row[0] for row in wanted]
    numbers = table[["ratio", "group_share", "base_share", "count", "group_count"]]
    assert np.abs(numbers.to_numpy(float) - [row[1:6] for row in wanted]).max() < 1e-9
    if baseline != "same label":
        assert table["p"].to_numpy() == pytest.approx([row[6] for row in wanted], rel=1e-9)
    assert table["p_adjusted"].to_numpy() == pytest.approx(adjust_p(table["p"]), nan_ok=True)
    short = token_table(documents, weights, length=length, top=7, baseline=baseline, labels=labels)
    pd.testing.assert_frame_equal(short, table.head(7))
    assert short.attrs["looked_at"] == len(table)


def test_rare_grams_are_not_looked_at_and_never_cross_documents():
    documents = ["not good at all", "not good", "good at", "all not"]
    pairs = token_table(documents, [1, 1, 0, 0], length=2, min_count=2, top=None)
    assert dict(zip(pairs["token"], pairs["count"], strict=True)) == {"not good": 2, "good at": 2}
    triples = token_table(documents, [1, 1, 0, 0], length=3, min_count=1, top=None)
    assert sorted(triples["token"]) == ["good at all", "not good at"]
    assert token_table(documents, [1, 1, 0, 0], length=3, min_count=2).empty


def test_a_gram_said_twice_counts_once():
    table = token_table(["so so so so", "so what"], [1, 0], length=2, top=None)
    assert dict(zip(table["token"], table["count"], strict=True)) == {"so so": 1, "so what": 1}


def test_an_index_survives_as_plain_arrays():
    rng = np.random.default_rng(1)
    documents = [*random_documents(rng), ["lone \ud800 half", "<b>", "\x00"]]
    index = index_words(documents, tokens_of, max_length=3, min_count=2)
    again = WordIndex.from_arrays({name: a.copy() for name, a in index.to_arrays().items()})
    comparison = compare_with(rng.random(71))
    for length in (1, 2, 3):
        one, other = (made.compare(comparison, length=length) for made in (index, again))
        pd.testing.assert_frame_equal(one.table, other.table)
        for code, token in zip(other.codes, other.table["token"], strict=True):
            wanted = [row for row in range(71) if token in grams_of(documents[row], length)]
            assert again.presence[length].holders(code).tolist() == wanted


@pytest.mark.parametrize("seed", range(3))
def test_fisher_is_scipys(seed):
    rng = np.random.default_rng(seed)
    for n in (1, 2, 40, 5_000, 100_000):
        members = int(rng.integers(1, n + 1))
        count = rng.integers(0, n + 1, 60)
        low, high = np.maximum(0, members + count - n), np.minimum(members, count)
        held = rng.integers(low, high + 1)
        near = np.clip(np.round(members * count / n + rng.integers(-3, 4, 60)), low, high)
        for k in (held, near.astype(int), low, high):
            wanted = stats.hypergeom.sf(k - 1, n, count, members)
            assert fisher_p(k, members, count, n) == pytest.approx(wanted, rel=1e-7, abs=1e-290)
    table = [[7, 13], [5, 75]]
    exact = stats.fisher_exact(table, alternative="greater").pvalue
    assert fisher_p(np.array([7]), 20, np.array([12]), 100) == pytest.approx([exact], rel=1e-9)


def exact_stratified(held, drawn, counts, sizes):
    """P(held or more) when drawn[s] of sizes[s] are drawn in each stratum, counts[s] holders."""
    chances = np.ones(1)
    for m, k, n in zip(drawn, counts, sizes, strict=True):
        chances = np.convolve(chances, stats.hypergeom.pmf(np.arange(m + 1), n, k, m))
    return chances[held:].sum()


@pytest.mark.parametrize("seed", range(4))
def test_the_bound_over_labels_is_never_below_the_exact_p(seed):
    rng = np.random.default_rng(seed)
    tight = []
    for _ in range(60):
        sizes = rng.integers(1, 300, 4)
        drawn, counts = (rng.integers(0, sizes // rng.integers(1, 9) + 1) for _ in range(2))
        if drawn.sum() == 0 or counts.sum() == 0:
            continue
        expected = (drawn * counts / sizes).sum()
        for held in range(min(drawn.sum(), counts.sum()) + 1):
            p = exact_stratified(held, drawn, counts, sizes)
            (bound,) = stratified_p(
                np.array([held]), drawn.sum(), np.array([counts.sum()]), np.array([expected])
            )
            assert bound >= p * (1 - 1e-9) - 1e-12
            if 1e-4 < p < 0.01:
                tight.append(bound / p)
    assert np.median(tight) < 3  # a bound that said little would be useless


def test_within_one_label_the_test_is_exact():
    labels = ["x"] * 30 + ["y"] * 70
    documents = [["w"] if row % 3 == 0 else [] for row in range(100)]
    weights = np.arange(100) < 10
    table = token_table(documents, weights, baseline="same label", labels=labels)
    assert table["p"][0] == pytest.approx(stats.hypergeom.sf(3, 30, 10, 10))
    assert table["base_share"][0] == pytest.approx(10 / 30)


@pytest.mark.parametrize("ties", [False, True])
def test_rank_sum_is_scipys(ties):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 9, 90).astype(float) if ties else rng.normal(size=90)
    values[:4] = np.nan
    members = rng.random(90) < 0.3
    known = ~np.isnan(values)
    wanted = stats.mannwhitneyu(
        values[known & members], values[known & ~members], method="asymptotic"
    ).pvalue
    one = np.zeros(90, dtype=np.intp)
    assert rank_sum_p(values, members, one) == pytest.approx(wanted, rel=1e-9)
    assert weighted_summary(values, members).p == pytest.approx(wanted, rel=1e-9)
    assert np.isnan(rank_sum_p(np.ones(90), members, one))
    assert np.isnan(rank_sum_p(values, np.ones(90, bool), one))


def test_ranks_inside_labels_do_not_see_the_labels():
    rng = np.random.default_rng(3)
    strata = np.repeat([0, 1], 300)
    values = rng.normal(size=600) + 10.0 * strata
    members = rng.random(600) < np.where(strata, 0.5, 0.1)  # mostly of the high label
    assert weighted_summary(values, members).p < 1e-6
    apart = weighted_summary(values, members, baseline="same label", labels=strata)
    assert apart.p > 0.01 and abs(apart.shift) < 0.1


def adjusted_twin(p):
    """Benjamini and Hochberg as they wrote it: the least over all ranks from one's own on."""
    order = sorted(range(len(p)), key=lambda row: p[row])
    done = [0.0] * len(p)
    for rank, row in enumerate(order, start=1):
        later = range(rank, len(p) + 1)
        done[row] = min(1.0, *(p[order[at - 1]] * len(p) / at for at in later))
    return done


def test_adjusted_p_counts_the_rows_of_all_columns():
    rng = np.random.default_rng(4)
    examples = pd.DataFrame(
        {name: rng.choice(list("abcde"), 200) for name in ("x", "y", "z")} | {"v": rng.random(200)}
    )
    found = attribute_tables(examples, rng.random(200) < 0.3)
    assert {one.looked_at for one in found} == {3 * 5 + 4}
    p = np.concatenate([one.table["p"] for one in found])
    adjusted = np.concatenate([one.table["p_adjusted"] for one in found])
    assert adjusted == pytest.approx(adjusted_twin(p.tolist()))


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("smoothing", [0.0, 0.01])
def test_attribute_tables_agree_with_their_twin(baseline, smoothing):
    rng = np.random.default_rng(5)
    values, labels = rng.integers(0, 6, 90).astype(str), rng.integers(0, 3, 90)
    weights = np.where(rng.random(90) < 0.4, 2.0, 0.0)
    table = attribute_table(values, weights, smoothing=smoothing, baseline=baseline, labels=labels)
    wanted = twin([{value} for value in values], weights, baseline, labels.tolist(), smoothing)
    assert table["value"].tolist() == [row[0] for row in wanted]
    numbers = table[["ratio", "group_share", "base_share", "count", "group_count"]]
    assert np.abs(numbers.to_numpy(float) - [row[1:6] for row in wanted]).max() < 1e-9


def test_a_value_the_rest_never_has_is_first_and_its_ratio_undefined():
    table = attribute_table(["a", "b", "b", "c"], [1, 1, 0, 0], baseline="rest")
    assert table["value"].tolist() == ["a", "b", "c"]
    assert table["ratio"].tolist() == pytest.approx([np.nan, 1.0, 0.0], nan_ok=True)
    (found,) = attribute_tables(pd.DataFrame({"v": list("abbc")}), [1, 1, 0, 0], baseline="rest")
    assert 0 <= found.difference < np.inf


def test_members_are_the_heaviest_unless_named():
    weights = [0.2, 1.0, 0.9, 0.9, 0.0]  # the sum is three times the largest
    assert compare_with(weights).members.tolist() == [False, True, True, True, False]
    assert not compare_with(weights).sharp
    assert compare_with([0, 3, 3]).sharp
    assert not compare_with([0, 3, 3], members=[1]).sharp
    table = token_table([["w"], [], ["w"], [], []], weights, members=[2])
    assert table["group_count"].tolist() == [1]
    assert table["p"][0] == pytest.approx(2 / 5)


def test_chance_alone_is_significant_rarely():
    rng = np.random.default_rng(6)
    documents = [[f"w{word}" for word in rng.zipf(1.5, 8) if word < 400] for _ in range(600)]
    index = index_words(documents, tokens_of)
    hits = 0
    for _ in range(100):
        inside = np.zeros(600)
        inside[rng.choice(600, 60, replace=False)] = 1
        hits += (index.compare(compare_with(inside)).table["p_adjusted"] <= 0.05).any()
    assert hits <= 10


def test_a_numeric_table_ranks_by_shift():
    rng = np.random.default_rng(7)
    inside = np.arange(300) < 40
    columns = {
        "noise": rng.normal(size=300),
        "moved": rng.normal(size=300) - 2.0 * inside,
        "constant": np.ones(300),
        "missing": np.full(300, np.nan),
    }
    table = summary_table(columns, compare_with(inside))
    assert table["column"].tolist() == ["moved", "noise", "constant"]
    assert table["p_adjusted"][0] < 1e-6 and np.isnan(table["p_adjusted"][2])
    assert table["shift"][0] < -1


def test_same_label_weights_follow_the_definition_with_soft_weights():
    rng = np.random.default_rng(8)
    weights, labels = rng.random(50), rng.integers(0, 4, 50)
    comparison = compare_with(weights, baseline="same label", labels=labels)
    for label, rows in itertools.groupby(np.argsort(labels, kind="stable"), lambda r: labels[r]):
        own = list(rows)
        assert comparison.base[own] == pytest.approx(
            [weights[labels == label].sum() / weights.sum() / len(own)] * len(own)
        )
    assert comparison.base.sum() == pytest.approx(1)


def test_a_comparison_is_not_a_weight():
    with pytest.raises(InputError, match="got a comparison"):
        compare_with(compare_with([1, 0]))


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("n_labels", [1, 3])
def test_what_a_group_lacks_is_what_it_has_of_the_opposite(baseline, n_labels):
    rng = np.random.default_rng(n_labels)
    documents = random_documents(rng)
    weights = np.where(rng.random(70) < 0.4, 1.0, 0.0)
    labels = rng.integers(0, n_labels, 70)
    beside = compare_with(weights, baseline=baseline, labels=labels, n=70)
    index = index_words(documents, lambda document, _: document)
    lacks = index.compare(beside, top=None, smoothing=0.0, lacking=True)
    opposite = [
        [f"t{word}" for word in range(11) if f"t{word}" not in document] for document in documents
    ]
    has = index_words(opposite, lambda document, _: document).compare(beside, top=None)
    p = dict(zip(has.table["token"], has.table["p"], strict=True))
    np.testing.assert_allclose(lacks.table["p"], [p[token] for token in lacks.table["token"]])
    ratios = lacks.table["ratio"].to_numpy()
    assert (np.diff(ratios) >= -1e-12).all() and ratios[0] < 1
    if baseline != "same label":
        inside, count = lacks.table["group_count"], lacks.table["count"]
        exact = stats.hypergeom.cdf(inside, 70, count, int(weights.sum()))
        np.testing.assert_allclose(lacks.table["p"], exact, rtol=1e-7)
