"""Content has one name, and other content another."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backend.core.content import content_key
from backend.core.home import PROJECT

TABLE = pd.DataFrame({"id": ["a", "b"], "tag": ["x", "y"]})
OTHERS: list[tuple[Any, ...]] = [
    (),
    ("",),
    ("a", "b"),
    ("ab",),
    (["a", "b"],),
    (1,),
    ("1",),
    (None,),
    (np.array([1, 2]),),
    (np.array([2, 1]),),
    (np.array([1, 2], dtype=np.int32),),
    (np.array([1, 2], dtype=np.uint64),),
    (np.array([[1, 2]]),),
    (np.array([1.0, 2.0]),),
    (np.array([True, False]),),
    (np.array([], dtype=np.int64),),
    (np.array(["a", "b"]),),
    (np.array(["a", "b"], dtype=object),),
    (np.array([1]), np.array([2])),
    (TABLE,),
    (TABLE.iloc[::-1],),
    (TABLE.iloc[:1],),
    (TABLE.rename(columns={"tag": "gat"}),),
    (TABLE.assign(tag="x"),),
    ({"a": 1, "b": 2},),
    ({"a": 2, "b": 1},),
]


@pytest.mark.parametrize("parts", OTHERS, ids=range(len(OTHERS)))
def test_the_same_content_has_the_same_name(parts: tuple[Any, ...]) -> None:
    again = tuple(part.copy() if hasattr(part, "copy") else part for part in parts)
    assert content_key(*parts) == content_key(*again)
    assert len(content_key(*parts)) == 32


def test_other_content_has_another_name() -> None:
    for one, other in combinations(OTHERS, 2):
        assert content_key(*one) != content_key(*other), (one, other)


def test_layout_in_memory_and_index_do_not_count() -> None:
    wide = np.arange(12).reshape(3, 4)
    assert content_key(wide[:, ::2]) == content_key(np.ascontiguousarray(wide[:, ::2]))
    assert content_key(TABLE) == content_key(TABLE.set_index(pd.Index([5, 6])))


def test_the_name_is_the_same_in_another_process() -> None:
    code = (
        "import numpy as np, pandas as pd; from backend.core.content import content_key as key;"
        "print(key('digest', np.arange(5), pd.DataFrame({'id': ['a', 'b'], 'tag': ['x', 'y']})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == content_key("digest", np.arange(5), TABLE)


def test_what_has_no_content_is_refused() -> None:
    with pytest.raises(TypeError):
        content_key(object())
