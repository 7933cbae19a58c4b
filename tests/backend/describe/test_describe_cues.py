"""Cues of texts: scripts, languages, marks and lengths."""

import numpy as np
import pandas as pd
import pytest

from backend.describe import SECTIONS, TextCues, compare_with, cue_tables, text_cues

TEXTS = [
    "This is a perfectly ordinary English sentence about the weather.",
    "Das ist ein ganz gewöhnlicher deutscher Satz über das Wetter.",
    "これは日本語の文章です。",
    "Привет, как у вас дела сегодня утром? PayPal",
    "SALE!!! visit https://x.invalid NOW @you #deal",
    "<script>alert(1)</script> soooo good",
    "12 34 56",
    "",
    None,
    float("nan"),
    "first line\nsecond line",
    "ᱥᱟᱱᱛᱟᱲᱤ",
]


@pytest.fixture(scope="module")
def cues():
    return text_cues(TEXTS)


def held(cues, section, row):
    own = cues.presence[section]
    codes = own.codes[own.starts[row] : own.starts[row + 1]]
    return {cues.names[section][code] for code in codes}


def test_scripts_are_those_of_the_letters(cues):
    scripts = [held(cues, "script", row) for row in range(len(TEXTS))]
    assert scripts[:4] == [{"Latin"}, {"Latin"}, {"Han", "Hiragana"}, {"Cyrillic", "Latin"}]
    assert scripts[6:10] == [set()] * 4
    assert scripts[11] == {"Ol_Chiki"}


def test_languages_are_named_only_where_they_can_be_told(cues):
    languages = [held(cues, "language", row) for row in range(len(TEXTS))]
    assert languages[:3] == [{"en"}, {"de"}, {"ja"}]
    assert languages[6:10] == [{"unsure"}] * 4


@pytest.mark.parametrize(
    ("row", "marks"),
    [
        (0, set()),
        (3, {"question mark"}),
        (4, {"link", "exclamation mark", "word in capitals", "mention or hashtag"}),
        (5, {"HTML tag", "letter repeated", "digit"}),
        (6, {"digit"}),
        (7, set()),
        (10, {"several lines"}),
    ],
)
def test_marks(cues, row, marks):
    assert held(cues, "mark", row) == marks


def test_measures_are_counts_and_shares_of_characters(cues):
    assert cues.measures["words"][[0, 6, 7, 8]].tolist() == [10, 3, 0, 0]
    assert cues.measures["characters"][[0, 6, 7, 8]].tolist() == [len(TEXTS[0]), 8, 0, 0]
    assert cues.measures["share of digits"][6] == 6 / 8
    assert cues.measures["share of capitals"][4] == 7 / len(TEXTS[4])
    assert np.isnan(cues.measures["share of digits"][7])


def test_a_group_is_compared_and_adjusted_over_all_sections(cues):
    tables, measures = cue_tables(cues, compare_with(np.arange(len(TEXTS)) == 3))
    assert set(tables) == set(SECTIONS)
    rows = sum(len(one.table) for one in tables.values())
    assert {one.looked_at for one in tables.values()} == {rows}
    assert tables["script"].table["value"][0] == "Cyrillic"
    assert (tables["mark"].table["count"] > 0).all()  # what never occurs is not a row
    assert measures["column"].tolist()


def test_cues_survive_as_plain_arrays(cues):
    arrays, names = cues.to_arrays()
    again = TextCues.from_arrays(arrays, names)
    comparison = compare_with(np.arange(len(TEXTS)) < 4)
    one, other = cue_tables(cues, comparison), cue_tables(again, comparison)
    for section in SECTIONS:
        pd.testing.assert_frame_equal(one[0][section].table, other[0][section].table)
    pd.testing.assert_frame_equal(one[1], other[1])


def test_no_text_is_read_slowly():
    nested = "<" * 20_000 + "a" * 20_000 + "\n" * 20_000 + "@" * 20_000
    found = text_cues([nested, "x\n" * 20_000])
    assert held(found, "mark", 1) == {"several lines"}
