"""The worker's tasks: what they keep is what the functions give, and texts may be anything."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from backend.cache import read_folder, write_folder
from backend.core.errors import InputError
from backend.core.progress import ignore_progress
from backend.describe import TextCues, WordIndex, compare_with, text_cues, token_table
from backend.tasks import TASKS, complete_options
from backend.tasks.words import run_cues, run_words

TEXTS = [
    "<b>bold</b> [link](javascript:alert(1)) =1+1",
    "café 👍🏽 $x^2$ ![](http://x.invalid/a.png)",
    "a" * 50_000,
    "",
    "half and \x00 nothing",
    "café again and again",
]


def bundle_of(texts):
    return SimpleNamespace(examples=pd.DataFrame({"id": range(len(texts)), "text": texts}))


def kept(folder, made):
    """What the cache gives back."""
    write_folder(folder, *made)
    return read_folder(folder, "key")


def test_words_are_those_of_the_table(tmp_path):
    options = complete_options("words", {"min_count": 1})
    entry = kept(tmp_path / "words", run_words(bundle_of(TEXTS), options, ignore_progress, None))
    index = WordIndex.from_arrays(entry.arrays)
    weights = np.array([1, 2, 0, 0, 1, 3.0])
    for length in (1, 2, 3):
        found = index.compare(compare_with(weights), length=length)
        wanted = token_table(TEXTS, weights, length=length)
        assert found.looked_at == wanted.attrs["looked_at"]
        pd.testing.assert_frame_equal(found.table, wanted, check_flags=False)


def test_cues_are_those_of_the_function(tmp_path):
    entry = kept(tmp_path / "cues", run_cues(bundle_of(TEXTS), {}, ignore_progress, None))
    cues, wanted = TextCues.from_arrays(entry.arrays, entry.meta["names"]), text_cues(TEXTS)
    assert dict(cues.names) == dict(wanted.names)
    for section in cues.names:
        assert cues.presence[section].codes.tolist() == wanted.presence[section].codes.tolist()
    for name, values in cues.measures.items():
        np.testing.assert_array_equal(values, wanted.measures[name])


@pytest.mark.parametrize("run", [run_words, run_cues])
def test_a_bundle_without_texts_is_refused(run):
    for bundle in (None, SimpleNamespace(examples=pd.DataFrame({"id": ["a"]}))):
        with pytest.raises(InputError, match="reads the column 'text'"):
            run(bundle, {"min_count": 5}, ignore_progress, None)


def test_texts_without_a_word_are_refused_with_a_sentence():
    with pytest.raises(InputError, match="hold no token"):
        run_words(bundle_of(["...", ""]), {"min_count": 5}, ignore_progress, None)


def test_options_are_checked():
    assert TASKS["words"].lane({}) == "quick"
    with pytest.raises(InputError, match="min_count must be a whole number"):
        complete_options("words", {"min_count": 0})
