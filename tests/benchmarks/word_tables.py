"""Tables of words and columns for a group of many texts: read anew each time, and from the index.

    python -m tests.benchmarks.word_tables [--texts 100000] [--words 12]

Texts are drawn from 30 000 made-up words by a Zipf law. "Anew" is what a table of a group costs
without an index (``token_table``); the index is made once per bundle, in a worker.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from backend.describe import (
    BASELINES,
    WordIndex,
    compare_columns,
    compare_with,
    cue_tables,
    index_words,
    read_columns,
    text_cues,
    token_table,
    tokens_of,
)


def timed(name: str, work: Callable[[], Any], repeats: int = 1) -> Any:
    """Run and print the shortest of some times."""
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        made = work()
        taken.append(time.perf_counter() - began)
    print(f"{name:<58} {min(taken):8.3f} s")
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--words", type=int, default=12)
    asked = parser.parse_args()
    n = asked.texts
    rng = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlu"))
    vocabulary = ["".join(rng.choice(letters, rng.integers(3, 9))) for _ in range(30_000)]
    picked = np.minimum(rng.zipf(1.3, (n, asked.words)) - 1, len(vocabulary) - 1)
    texts = [" ".join(vocabulary[word] for word in row) for row in picked]
    weights = np.exp(-rng.gamma(2, 2, n)).astype(np.float32)
    members = np.argsort(-weights)[: n // 50]
    labels, losses = rng.integers(0, 10, n), rng.random(n)
    columns = pd.DataFrame(
        {f"category {at}": rng.choice(list("abcdefgh"), n) for at in range(8)}
        | {f"number {at}": rng.normal(size=n) for at in range(4)}
    )
    print(f"{n:,} texts of {asked.words} words; {platform.machine()}, numpy {np.__version__}\n")
    timed("anew: words of one group", lambda: token_table(texts, weights, members=members))
    timed(
        "anew: pairs of one group",
        lambda: token_table(texts, weights, members=members, length=2, min_count=5),
    )
    index = timed(
        "once: index of words, pairs, triples", lambda: index_words(texts, tokens_of, max_length=3)
    )
    arrays = index.to_arrays()
    print(f"{'index on disk':<58} {sum(a.nbytes for a in arrays.values()) / 1e6:8.1f} MB")
    index = timed("once per server: open the index", lambda: WordIndex.from_arrays(arrays))
    cues = timed("once: scripts, languages, marks", lambda: text_cues(texts))
    coded = timed("once per server: read 12 columns", lambda: read_columns(columns))
    for baseline in BASELINES:
        against = timed(
            f"against {baseline}: comparison",
            lambda b=baseline: compare_with(weights, members=members, baseline=b, labels=labels),
            3,
        )
        for length, name in ((1, "words"), (2, "pairs"), (3, "triples")):
            found = timed(
                f"against {baseline}: {name}",
                lambda one=against, k=length: index.compare(one, length=k),
                3,
            )
            print(f"{'':<58} {found.looked_at:8,} rows")
        timed(f"against {baseline}: cues", lambda one=against: cue_tables(cues, one), 3)
        timed(
            f"against {baseline}: 12 columns",
            lambda one=against: compare_columns(coded, one, losses),
            3,
        )


if __name__ == "__main__":
    main()
