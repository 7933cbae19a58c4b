"""Rules written by the program mean exactly the rows they were written for."""

import numpy as np
import pytest

from backend.bundle import import_bundle
from backend.describe import index_words, read_columns, tokens_of
from backend.rules import columns_of, evaluate
from backend.rules.write import joined, level_rule, near_rule, value_rule, words_rule
from tests.bundles import npz

N = 240


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("write")
    width = rng.gamma(2, 1, N)
    width[rng.random(N) < 0.1] = np.nan
    words = np.array(["refund", "don't", "東京", "café", "and", "3.14", "not", "<b>", "👍🏽"])
    path = folder / "bundle.npz"
    path.write_bytes(
        npz(
            **{
                "embeddings": rng.normal(size=(N, 3)),
                "losses": rng.random(N),
                "examples/width": width,
                "examples/whole number": rng.integers(-40, 40, N),
                "examples/few": rng.integers(0, 3, N),
                "examples/half": rng.choice([0.5, 1e-7, -2.0], N),
                "examples/flag": rng.random(N) < 0.5,
                "examples/and": rng.choice(['say "hi"', "`tick`", "and", "", "007", "a\nb"], N),
                "examples/many": np.array([f"v{value}" for value in rng.integers(0, 90, N)]),
                "examples/text": np.array(
                    [" ".join(rng.choice(words, rng.integers(0, 6))) for _ in range(N)]
                ),
            }
        )
    )
    return import_bundle(path, home=folder)


def test_every_level_of_every_column(bundle):
    unsaid = []
    for column in read_columns(bundle.examples):
        assert column.name in columns_of(bundle)
        for code, level in enumerate(column.levels):
            rule = level_rule(column.name, column, code)
            if rule is None:
                unsaid.append((column.name, level))
                continue
            np.testing.assert_array_equal(evaluate(rule, bundle), column.codes == code, rule)
    # Missing and pooled values, and what does not fit on one line.
    wanted = [("width", "unknown"), ("and", "a\nb"), ("and", "unknown"), ("many", "other")]
    assert sorted(unsaid) == sorted(wanted)


def test_every_word(bundle):
    index = index_words(bundle.examples["text"], tokens_of)
    for code, word in enumerate(index.tokens):
        rule = words_rule(word)
        assert rule is not None, word
        rows = np.flatnonzero(evaluate(rule, bundle))
        assert rows.tolist() == index.presence[1].holders(code).tolist(), word


def test_a_pair_means_its_words_in_any_order(bundle):
    index = index_words(bundle.examples["text"], tokens_of, max_length=2, min_count=1)
    for code, pair in enumerate(index.texts(2, np.arange(index.presence[2].n_things))):
        held = evaluate(words_rule(pair), bundle)
        assert held[index.presence[2].holders(code)].all()


def test_what_no_rule_says():
    assert words_rule("Upper") is None  # tokens are lower case
    assert words_rule("a,b") is None
    assert words_rule("") is None
    assert value_rule("v", float("inf")) is None
    assert value_rule("v", "x" * 3000) is None
    assert near_rule(["a"] * 1000, 5) is None


def test_rules_are_joined(bundle):
    rule = joined([value_rule("few", (0, 2)), None, value_rule("flag", True)])
    assert rule == 'few in (0, 2) and flag = "true"'
    few, flag = bundle.examples["few"], bundle.examples["flag"]
    np.testing.assert_array_equal(evaluate(rule, bundle), few.isin([0, 2]) & flag)
    assert evaluate(near_rule([str(bundle.ids[3])], 7), bundle).sum() == 7
