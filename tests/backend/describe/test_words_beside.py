"""Ten words of each group, as each group's own table has them."""

import numpy as np
import pytest

from backend.describe import compare_with, index_words, tokens_of, words_beside
from backend.describe.beside import in_columns

TEXTS = [f"shoe{row % 7} hat{row % 3}" + (" refund" if row < 12 else "") for row in range(60)]
GROUPS = {"hard": np.arange(60) < 15, "third": np.arange(60) % 3 == 0}


@pytest.mark.parametrize(("lacking", "by_p"), [(False, True), (False, False), (True, True)])
def test_each_group_has_the_words_of_its_own_table(lacking, by_p):
    index = index_words(TEXTS, tokens_of)
    beside = {
        name: compare_with(mask.astype(float), members=mask, n=60, of="document")
        for name, mask in GROUPS.items()
    }
    words = words_beside(index, beside, top=4, lacking=lacking, by_p=by_p)
    shown, chances = in_columns(words, 4)
    for name, comparison in beside.items():
        own = index.compare(comparison, top=4, lacking=lacking, by_p=by_p).table
        mine = words[words["group"] == name].reset_index(drop=True)
        assert mine["place"].tolist() == list(range(1, len(own) + 1))
        assert mine.drop(columns=["group", "place"]).equals(own)
        assert [one for one in shown[name] if one] == own["token"].tolist()
        assert chances[name].dropna().tolist() == own["p_adjusted"].tolist()
    if not lacking:
        assert (shown["hard"][1], shown["third"][1]) == ("refund", "hat0")


def test_no_groups_have_no_words():
    assert words_beside(index_words(TEXTS, tokens_of), {}).empty
