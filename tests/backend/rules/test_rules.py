"""The rule language: what it reads, what it refuses and where, what it means row by row."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from backend.bundle import read_bundle, write_bundle
from backend.core.errors import InputError
from backend.describe import tokenize
from backend.rules import (
    Budget,
    columns_of,
    complete,
    evaluate,
    for_the_eye,
    kept,
    parse,
    pieces,
    to_text,
)
from backend.rules.syntax import (
    FIELDS,
    KEYWORDS,
    MAX_DEPTH,
    MAX_LENGTH,
    And,
    Between,
    Compare,
    Contains,
    Name,
    Near,
    Not,
    OneOf,
    Or,
    RuleError,
    Tagged,
    Value,
)

N = 12
IDS = [f"e{row}" for row in range(N)]
TEXTS = ["a dark photo", "Dark, photos", "", "don't panic", "photo: dark", "3.14", *["x"] * 6]
TAGS = {"blurred": ["e1", "e5", "unknown"], "odd one": ["e0"]}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    random = np.random.default_rng(0)
    examples = pd.DataFrame(
        {
            "id": IDS,
            "text": TEXTS,
            "width": [0.5, np.nan, 2.0, 0.5, 3.0, -1.0, 0.0, 7.0, np.nan, 1e-3, 0.25, 2.0],
            "size": np.arange(N) + 2**53,
            "skin tone": ["dark", "", "light", "dark", 'a "b"', "x`y", "light", *["dark"] * 5],
            "outdoor": np.arange(N) % 3 == 0,
        }
    )
    labels = np.arange(N) % 3
    predictions = np.where(np.arange(N) < 4, (labels + 1) % 3, labels)
    path = write_bundle(
        tmp_path_factory.mktemp("rules") / "run.npz",
        embeddings=np.linspace(0, 1, N)[:, None] ** 2 * np.ones((1, 3)) + 1e6,
        losses=random.exponential(size=N).round(2),
        labels=labels,
        predictions=predictions,
        classes=["Shirt", "Coat", "007"],
        examples=examples,
    )
    return read_bundle(path)


def ids_of(rule, bundle, tags=None):
    return bundle.ids[evaluate(rule, bundle, TAGS if tags is None else tags)].tolist()


# By hand


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("label = Shirt", ["e0", "e3", "e6", "e9"]),
        ("LABEL = 1 or label = '007' AND correct = no", None),
        ("label = 007 and not correct = true", ["e2"]),
        ("label = 7", []),
        ("label != prediction", ["e0", "e1", "e2", "e3"]),
        ("width = 0.5", ["e0", "e3"]),
        ("width != 0.5 and width < 1", ["e5", "e6", "e9", "e10"]),
        ("not width >= 0", ["e1", "e5", "e8"]),
        ("width between 2 and 3", ["e2", "e4", "e11"]),
        ("width not between -5 and 3", ["e7"]),
        ("width not in (0.5, 2)", ["e4", "e5", "e6", "e7", "e9", "e10"]),
        ('`skin tone` in (\'light\', "a ""b""", x`y)', None),
        ('\'skin tone\' in (light, "a ""b""", \'x`y\')', ["e2", "e4", "e5", "e6"]),
        ("`skin tone` != dark", ["e2", "e4", "e5", "e6"]),
        ("size = 9007199254740993", ["e1"]),
        ("size > 9007199254741002.0", ["e11"]),
        ("outdoor = yes and width > 0", ["e0", "e3", "e9"]),
        ("text contains 'DARK photo'", ["e0", "e4"]),
        ('text contains "don\'t"', ["e3"]),
        ('text contains "don"', []),
        ('text contains "do*"', ["e3"]),
        ("text not contains photo and outdoor = 1", ["e3", "e6", "e9"]),
        ("tagged blurred", ["e1", "e5"]),
        ("not tagged 'odd one' and width = .5", ["e3"]),
        ("near e0, 'e11' top 4", ["e0", "e1", "e2", "e11"]),
        ("near e0", IDS),
        ("near e0 top 2 and label = Coat", ["e1"]),  # of the nearest two, those that are Coats
        ("near e0 top 2 within (label = Coat)", ["e1", "e4"]),  # the nearest two Coats
        ("near e0 top 3 within (label = Coat and not width = 3)", ["e1", "e7", "e10"]),
        ("near e0 top 99 within (width > 2) and label = Coat", ["e4", "e7"]),
        ("not near e0 within (outdoor = no)", ["e0", "e3", "e6", "e9"]),
        ("near e0 top 2 within (near e11 top 3 within (outdoor = yes))", ["e3", "e6"]),
        ("id in (e3, e4)", ["e3", "e4"]),
    ],
)
def test_a_rule_means_these_examples(bundle, rule, expected):
    if expected is None:
        with pytest.raises(RuleError):
            evaluate(rule, bundle, TAGS)
    else:
        assert ids_of(rule, bundle) == expected


def test_not_binds_before_and_and_before_or():
    a, b, c = (Compare(Name(name), "=", Value("1", True)) for name in "abc")
    assert parse("not a=1 and b=1 or c=1") == Or((And((Not(a), b)), c))
    assert parse("not (a=1 and (b=1 or c=1))") == Not(And((a, Or((b, c)))))
    assert parse("(a=1 and b=1) and c=1") == parse("a=1 AND b=1 And c==1") == And((a, b, c))


def test_within_is_a_word_like_any_other_but_after_near():
    within = Value("within")
    assert parse("within = within") == Compare(Name("within"), "=", within)
    assert parse("tagged within and near within") == And((Tagged(within), Near((within,))))
    assert parse("near within within (within = 1)") == Near(
        (within,), within=Compare(Name("within"), "=", Value("1", True))
    )
    assert to_text(parse("near a top 9")) == 'near "a" top 9'


def test_columns_are_the_fields_then_the_attributes(bundle):
    assert columns_of(bundle) == {
        "label": "text",
        "prediction": "text",
        "correct": "truth",
        "loss": "number",
        "id": "text",
        "text": "text",
        "width": "number",
        "size": "number",
        "skin tone": "text",
        "outdoor": "truth",
    }


def test_neighbours_are_found_far_from_the_origin_and_ties_go_to_the_lower_row(tmp_path):
    embeddings = np.array([[0.0], [1], [-1], [3], [1]]) + 1e7
    path = write_bundle(
        tmp_path / "far.npz",
        embeddings=embeddings,
        losses=np.ones(5),
        examples=pd.DataFrame({"id": list("abcde")}),
    )
    assert ids_of("near a top 3", read_bundle(path)) == ["a", "b", "c"]


# Refusals


@pytest.mark.parametrize(
    ("rule", "at", "told"),
    [
        ("", 0, "expected a column"),
        ("loss >", 6, "expected a value, got the end"),
        ("loss = and loss > 2", 7, "expected a value, got 'and'"),
        ("lable = Shirt", 0, "no column 'lable'. Did you mean 'label'"),
        ("loss > 1 loss > 2", 9, "expected 'and', 'or' or the end"),
        ("(loss > 1", 9, "expected 'and', 'or' or ')'"),
        ("label = 'Shirt", 8, "never closed"),
        ("loss > 1 ; drop", 9, "';' means nothing"),
        ("loss > 1 & loss < 2", 9, "Write 'and'"),
        ("text contains not at all", 18, "Put text of several words in quotation marks"),
        ("loss > wide", 7, "holds numbers: got the text 'wide'"),
        ("label < 3", 0, "'<' needs a column of numbers"),
        ("correct = maybe", 10, "is true or false"),
        ("loss = label", 7, "cannot be compared"),
        ("loss contains 'x'", 0, "needs text"),
        ("text contains '...'", 14, "at least one word"),
        ("tagged missing", 7, "no example is tagged 'missing'. Tags: 'blurred', 'odd one'"),
        ("near nobody top 3", 5, "no example with id 'nobody'"),
        ("near e1 top 0", 12, "whole number from 1"),
        ("near e1 top 2.5", 12, "whole number from 1"),
        ("near e1 top 2 within label = Coat", 21, "expected '(' and a rule"),
        ("near e1 within (label = Coat", 28, "expected 'and', 'or' or ')'"),
        ("near e1 within (lable = Coat)", 16, "no column 'lable'. Did you mean 'label'"),
        ("near e1 top 2 within (label = Coat) within (loss > 1)", 36, "expected 'and', 'or' or"),
        ("loss in ()", 9, "expected a value"),
        ("loss not = 2", 9, "expected 'in', 'between' or 'contains'"),
        ("loss > 1e999", 7, "too large"),
        ("__import__('os')", 0, "no column '__import__'"),
    ],
)
def test_a_refusal_points_at_the_place(bundle, rule, at, told):
    with pytest.raises(RuleError) as caught:
        evaluate(rule, bundle, TAGS)
    lines = str(caught.value).splitlines()
    assert told in lines[0]
    assert lines[0].startswith(f"rule, position {at + 1}: ")
    assert lines[2] == " " * (2 + at) + "^"
    assert "label" in lines[-1]
    assert lines[-1].startswith("Columns: ")
    assert isinstance(caught.value, InputError)


def test_rules_are_bounded():
    with pytest.raises(RuleError, match="4,000 characters"):
        parse("a=1 or " * MAX_LENGTH + "a=1")
    deep = "(" * (MAX_DEPTH - 1) + "a=1" + ")" * (MAX_DEPTH - 1)
    assert parse(deep) == parse("a=1")
    for rule in (f"({deep})", "not " * MAX_DEPTH + "a=1"):
        with pytest.raises(RuleError, match="levels deep"):
            parse(rule)
    with pytest.raises(RuleError, match="500 values"):
        parse(f"a in ({','.join(['1'] * 501)})")
    with pytest.raises(RuleError, match="must be text"):
        parse(None)


@given(st.text(max_size=60))
@example("`" * 7)
@example("a in (1,")
def test_any_text_is_read_or_refused(text):
    try:
        rule = parse(text)
    except RuleError as error:
        assert error.at is None or 0 <= error.at <= len(text)
    else:
        assert parse(to_text(rule)) == rule
    complete(text, len(text), ["a", "b c"])


# Properties

letters = st.text("ab \"'`\\\n=().é語0-", max_size=6)
names = st.sampled_from(["label", "loss", "skin tone", "and", "1", "a`b", "x-y", "é"]) | letters
numbers = (st.integers(-9, 10**17) | st.floats(allow_nan=False, allow_infinity=False)).map(
    lambda number: Value(str(number), True)
)
values = letters.map(Value) | numbers
columns = names.map(Name)
conditions = st.one_of(
    st.builds(Compare, columns, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), values),
    st.builds(Compare, columns, st.just("="), columns),
    st.builds(OneOf, columns, st.lists(values, min_size=1, max_size=3).map(tuple), st.booleans()),
    st.builds(Between, columns, values, values, st.booleans()),
    st.builds(Contains, columns, letters.map(Value), st.booleans()),
    letters.map(lambda tag: Tagged(Value(tag))),
)


def near(within):
    chosen = st.lists(letters.map(Value), min_size=1, max_size=3).map(tuple)
    return st.builds(Near, chosen, st.integers(1, 99), st.none() | within)


def joined(kind):
    def make(parts):
        flat = []
        for part in parts:
            flat += part.rules if isinstance(part, kind) else [part]
        return kind(tuple(flat))

    return make


def nested(conditions, near=lambda inner: st.nothing()):
    def extend(inner):
        several = st.lists(inner, min_size=2, max_size=3)
        joins = several.map(joined(And)) | several.map(joined(Or))
        return joins | st.builds(Not, inner) | near(inner)

    return st.recursive(conditions, extend, max_leaves=6)


@given(nested(conditions | near(conditions), near))
def test_the_canonical_text_says_the_same_rule(rule):
    text = to_text(rule)
    assert parse(text) == rule
    assert to_text(parse(text)) == text


def naive(rule, row):
    """One row at a time, by the words of the documentation."""
    match rule:
        case And(rules):
            return all(naive(one, row) for one in rules)
        case Or(rules):
            return any(naive(one, row) for one in rules)
        case Not(inner):
            return not naive(inner, row)
        case Tagged(tag):
            return row["id"] in TAGS[tag.raw]
        case Contains(column, words, negated):
            said = set(tokenize(row[column.name]))
            return row[column.name] != "" and set(tokenize(words.raw)).issubset(said) != negated
        case Compare(column, sign, right):
            left = row[column.name]
            other = row[right.name] if isinstance(right, Name) else constant(left, right)
            if missing(left) or (isinstance(right, Name) and missing(other)):
                return False
            return {
                "=": lambda: left == other,
                "!=": lambda: left != other,
                "<": lambda: left < other,
                "<=": lambda: left <= other,
                ">": lambda: left > other,
                ">=": lambda: left >= other,
            }[sign]()
        case OneOf(column, given_values, negated):
            left = row[column.name]
            return not missing(left) and (
                any(left == constant(left, one) for one in given_values) != negated
            )
        case Between(column, low, high, negated):
            left = row[column.name]
            inside = constant(left, low) <= left <= constant(left, high)
            return not missing(left) and inside != negated


def missing(value):
    return value == "" or (isinstance(value, float) and math.isnan(value))


def constant(beside, value):
    return value.raw if isinstance(beside, str) else float(value.raw)


small = st.sampled_from(["0.5", "2", "-1", "0", "3.0", "1e-3"]).map(lambda raw: Value(raw, True))
words = st.sampled_from(["dark", "light", "", "Shirt", "Coat", "007"]).map(Value)
measured = st.sampled_from(["width", "loss"]).map(Name)
named = st.sampled_from(["skin tone", "label", "prediction"]).map(Name)
fitting = st.one_of(
    st.builds(Compare, measured, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), small),
    st.builds(Compare, measured, st.sampled_from(["=", "<="]), measured),
    st.builds(Compare, named, st.sampled_from(["=", "!="]), words | named),
    st.builds(OneOf, measured, st.lists(small, min_size=1, max_size=3).map(tuple), st.booleans()),
    st.builds(OneOf, named, st.lists(words, min_size=1, max_size=3).map(tuple), st.booleans()),
    st.builds(Between, measured, small, small, st.booleans()),
    st.builds(
        Contains,
        st.just(Name("text")),
        st.sampled_from(["dark", "Photo dark", "don't", "hot"]).map(Value),
        st.booleans(),
    ),
    st.sampled_from(sorted(TAGS)).map(lambda tag: Tagged(Value(tag))),
)


@settings(deadline=None, max_examples=200)
@given(rule=nested(fitting))
def test_a_rule_means_what_it_says_row_by_row(bundle, rule):
    table = bundle.examples.assign(
        label=np.array(bundle.class_names)[bundle.label_codes],
        prediction=np.array(bundle.class_names)[bundle.prediction_codes],
        loss=bundle.losses,
    )
    expected = [naive(rule, row) for row in table.to_dict("records")]
    assert evaluate(rule, bundle, TAGS).tolist() == expected
    assert evaluate(to_text(rule), bundle, TAGS).tolist() == expected


# Completion


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", ["label", "loss", "`skin tone`", "not", "tagged", "near", "("]),
        ("lo", ["loss"]),
        ("`sk", ["`skin tone`"]),
        ("label ", ["=", "!=", "<=", ">=", "<", ">", "in", "between", "contains", "not"]),
        ("label n", ["not"]),
        ("label not ", ["in", "between", "contains"]),
        ("label = ", ['"Shirt"', '"Coat"', "loss"]),
        ("label = sh", ['"Shirt"']),
        ('label = "Co', ['"Coat"']),
        ("label in (", ['"Shirt"', '"Coat"', "loss"]),
        ("label in (Shirt", ['"Shirt"']),
        ("label in (Shirt ", [")"]),
        ("loss between 1 ", ["and"]),
        ("loss > 1 ", ["and", "or"]),
        ("(loss > 1 ", ["and", "or", ")"]),
        ("loss > 1 a", ["and"]),
        ("tagged ", ['"blurred"']),
        ("near e1 top 5 ", ["and", "or", "within"]),
        ("near e1 w", ["within"]),
        ("near e1 within ", ["("]),
        ("near e1 within (loss > 1 ", ["and", "or", ")"]),
        ("near e1 within (loss > 1) ", ["and", "or"]),
        ("near e1 and loss > 1 ", ["and", "or"]),
        ("loss ! > ", []),
        ("and and ", []),
    ],
)
def test_what_could_be_written_next(typed, expected):
    known = {"label": ["Shirt", "Coat"], "loss": [], "skin tone": ["dark"]}
    assert complete(typed + "", len(typed), known, ["blurred"]) == expected


def test_what_follows_the_cursor_does_not_matter():
    assert complete("lo > 2", 2, ["loss", "label"]) == ["loss"]


@given(st.lists(names, min_size=1, max_size=3, unique=True))
@example(["0é", "1.5e3x", "٣"])
def test_every_suggested_column_can_be_used(given_names):
    offered = complete("", 0, given_names)[: len(given_names)]
    for name, written in zip(given_names, offered, strict=True):
        assert parse(f"{written} = 1", given_names).column == Name(name)


def test_fields_and_keywords_do_not_overlap():
    assert not set(FIELDS) & set(KEYWORDS)


def test_texts_are_read_once_and_a_clause_is_answered_once(bundle, monkeypatch):
    read = []
    monkeypatch.setattr(kept, "tokenize", lambda text: read.append(text) or tokenize(text))
    fresh = replace(bundle)
    words = ["dark", "photo", "don't", "3.14", "x", *(f"word{k}" for k in range(120))]
    rule = " or ".join(f'text contains "{word}"' for word in words)
    assert evaluate(rule, fresh).tolist() == [text != "" for text in TEXTS]
    assert len(read) == N - 1  # one is empty
    monkeypatch.setattr(kept, "KEPT_CHARACTERS", 0)  # and the same where words are not kept
    assert np.array_equal(evaluate(rule, replace(bundle)), evaluate(rule, fresh))
    measured = []
    measure = pieces.distances_to
    monkeypatch.setattr(
        pieces, "distances_to", lambda *given: measured.append(1) or measure(*given)
    )
    for top in range(3, 6):  # the same distances, however many are taken of what
        evaluate(
            f'near "e1" top {top} or (near "e1" top 3 within (tagged a))', fresh, {"a": ["e2"]}
        )
    assert len(measured) == 1


def test_rules_beyond_their_budget_are_refused_before_they_are_worked_out(bundle):
    fresh, budget = replace(bundle), Budget(2 * N * 3)
    evaluate('near "e1" top 3', fresh, budget=budget)
    evaluate('near "e1" top 3', fresh, budget=budget)  # known by now
    with pytest.raises(RuleError, match=r"72 and 36 are left\. Name fewer"):
        evaluate('near "e2", "e3" top 3', fresh, budget=budget)


@pytest.mark.parametrize(
    ("rule", "shown"),
    [
        ("third = 0.3333333333333333", "third = 0.3333"),
        ("a between -0.1234567 and 12.5 or b in (1.23456789, 2)",
         "a between -0.1235 and 12.5 or b in (1.235, 2)"),
        ('id = "0.3333333333333333"', 'id = "0.3333333333333333"'),
        ("`0.123456789` > 1234567890123", "`0.123456789` > 1234567890123"),
        ("third = 0.3333333333333333 §", "third = 0.3333333333333333 §"),
    ],
)  # fmt: skip
def test_long_fractions_of_a_rule_are_rounded_where_it_is_shown(rule: str, shown: str) -> None:
    assert for_the_eye(rule) == shown
