"""Tokens: words of many scripts, and the token table against paper and a slow twin."""

import unicodedata

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.errors import InputError
from backend.describe import token_table, tokenize


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't panic: 3.14!", ["don't", "panic", "3.14"]),
        ("An E-Mail to foo_bar, w12", ["an", "e", "mail", "to", "foo_bar", "w12"]),
        ("Привет, МИР", ["привет", "мир"]),
        ("مرحبا بالعالم، كيف حالك؟", ["مرحبا", "بالعالم", "كيف", "حالك"]),
        ("मुझे हिन्दी पसंद है", ["मुझे", "हिन्दी", "पसंद", "है"]),
        ("안녕하세요 세계", ["안녕하세요", "세계"]),
        ("我们喜欢深度学习。", ["我们", "喜欢", "深度", "学习"]),
        ("私は東京に", ["私", "は", "東京", "に"]),
        ("ฉันรักประเทศไทยมาก", ["ฉัน", "รัก", "ประเทศไทย", "มาก"]),
        ("so good 👍🏽!!", ["so", "good", "👍🏽"]),
        ("5 < 6 €", ["5", "6"]),
        (" \n\t… ", []),
        ("", []),
    ],
)
def test_words_of_many_scripts(text, words):
    assert tokenize(text) == words


def test_two_spellings_of_one_word_are_one_token():
    assert tokenize(unicodedata.normalize("NFD", "CAFÉ")) == tokenize("café") == ["café"]


@given(st.text())
def test_any_text_can_be_read(text):
    words = tokenize(text)
    assert all(word and not word.isspace() for word in words)
    assert "".join(words) in unicodedata.normalize("NFC", text).lower() or len(words) > 1


def test_table_worked_by_hand():
    # f(a) = 2/4, f(b) = 3/4, f(c) = 1/4; w = 0.5, 0.5, 0, 0: g(a) = 1, g(b) = 0.5, g(c) = 0
    table = token_table(["a b", "a a a", "b", "b c"], [3, 3, 0, 0], smoothing=0.25)
    assert table.columns.tolist() == [
        "token", "ratio", "group_share", "base_share", "count", "group_count", "small", "p",
        "p_adjusted",
    ]  # fmt: skip
    assert table["token"].tolist() == ["a", "b", "c"]
    assert table["ratio"].tolist() == pytest.approx([1.25 / 0.75, 0.75 / 1.0, 0.25 / 0.5])
    assert table["group_share"].tolist() == pytest.approx([1, 0.5, 0])
    assert table["base_share"].tolist() == [0.5, 0.75, 0.25]
    assert table["count"].tolist() == [2, 3, 1]
    # The members are the first two documents: both hold a, one holds b, none holds c.
    assert table["group_count"].tolist() == [2, 1, 0]
    # 2 of 4 drawn: both holders of a in 1 of 6 ways; of three holders of b one is always drawn.
    assert table["p"].tolist() == pytest.approx([1 / 6, 1, 1])
    assert table["p_adjusted"].tolist() == pytest.approx([0.5, 1, 1])
    assert table["small"].all() and table.attrs["looked_at"] == 3


def slow_table(documents, weights, smoothing):
    """The definition, one token at a time."""
    total = sum(weights)
    rows = []
    for token in {token for document in documents for token in document}:
        count = sum(token in document for document in documents)
        group = sum(w for w, document in zip(weights, documents, strict=True) if token in document)
        group, base = group / total, count / len(documents)
        rows.append((token, (smoothing + group) / (smoothing + base), group, base, count))
    return sorted(rows, key=lambda row: (-round(row[1], 12), -row[4], str(row[0])))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("smoothing", [0.0, 0.005, 1.0])
def test_table_agrees_with_its_twin(seed, smoothing):
    rng = np.random.default_rng(seed)
    documents = [
        [f"t{token}" for token in rng.integers(0, 12, rng.integers(0, 9))] for _ in range(60)
    ]
    weights = rng.integers(0, 3, 60).astype(float)  # few values: many tied ratios
    table = token_table(documents, weights, smoothing=smoothing, top=None)
    wanted = slow_table(documents, weights, smoothing)
    assert table["token"].tolist() == [row[0] for row in wanted]
    assert np.abs(table.iloc[:, 1:5].to_numpy(float) - [row[1:] for row in wanted]).max() < 1e-9


def test_ties_go_to_the_frequent_token_then_to_its_text():
    documents = [["z", "y"], ["y", "z"], ["x"], ["x"], ["x"]]
    assert token_table(documents, np.ones(5))["token"].tolist() == ["x", "y", "z"]


def test_order_of_documents_and_kind_of_iterable_do_not_matter():
    rng = np.random.default_rng(0)
    documents = [{f"t{token}" for token in rng.integers(0, 30, 6)} for _ in range(50)]
    weights, order = rng.random(50), rng.permutation(50)
    table = token_table(documents, weights)
    again = token_table((tuple(documents[row]) for row in order), list(weights[order]))
    pd.testing.assert_frame_equal(table, again)


def test_equal_weights_tell_nothing_apart():
    table = token_table(["red shoe", "blue shoe", "hat"], np.full(3, 7.0))
    assert table["ratio"].tolist() == pytest.approx([1, 1, 1, 1])


def test_top_and_exclude():
    documents = [["[CLS]", ("a", "b"), 3], ["[CLS]", 3]]
    assert token_table(documents, [1, 0], top=1)["token"].tolist() == [("a", "b")]
    assert token_table(documents, [1, 0], exclude=["[CLS]"])["token"].tolist() == [("a", "b"), 3]


def test_a_missing_text_is_a_document_without_tokens():
    table = token_table(["word", None, float("nan"), pd.NA], np.ones(4))
    assert table["base_share"].tolist() == [0.25]


@pytest.mark.parametrize(
    ("documents", "weights", "options", "message"),
    [
        (["a", "b"], [1], {}, "one per document: got 1 weights and 2 documents"),
        (["a", "b"], [0, 0], {}, "positive sum"),
        (["a", "b"], [2, -1], {}, "must not be negative: row 1 is -1"),
        (["a", "b"], [1, np.nan], {}, "must be finite"),
        (["", "..."], [1, 1], {}, "documents hold no token"),
        ([], [], {}, "weights must not be empty"),
        ("a b", [1], {}, "Put it in a list"),
        ([3, 4], [1, 1], {}, "row 0 is int 3"),
        ([b"a"], [1], {}, "row 0 is bytes"),
        (["a"], [1], {"smoothing": -0.1}, "smoothing must be 0 or more"),
        (["a"], [1], {"top": 0}, "top must be 1 or more"),
        (["a"], [1], {"length": 4}, "length must be 1, 2 or 3: got 4"),
        (["a"], [1], {"baseline": "none"}, "baseline must be one of 'all', 'same label', 'rest'"),
        (["a"], [1], {"baseline": "rest"}, "every example is a member"),
        (["a"], [1], {"baseline": "same label"}, "needs labels: got none"),
        (["a", "b"], [1, 0], {"baseline": "same label", "labels": [1]}, "got 1 labels and 2 doc"),
        (["a", "b"], [1, 0], {"members": [2]}, "rows below 2: got 2 to 2"),
        (["a", "b"], [1, 0], {"members": [True]}, "got 1 and 2 weights"),
        (["a", "b"], [1, 0], {"members": []}, "members must be rows or a mask"),
        (["a", "b"], [1, 0], {"members": [False, False]}, "members must not be empty"),
    ],
)
def test_errors(documents, weights, options, message):
    with pytest.raises(InputError, match=message):
        token_table(documents, weights, **options)
