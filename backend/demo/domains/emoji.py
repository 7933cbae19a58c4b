"""Make the demo of drawings: who does what, for five skin tones and two styles of drawing.

Emoji drawn by Google (Noto, Apache 2.0) and by Twitter (Twemoji, CC-BY 4.0), as the packages
emoji-datasource-google and emoji-datasource-twitter hold them. The network is trained on the yellow
drawings and asked the very same emoji in five skin tones: what differs between the tones of one
emoji is their colour and nothing else.
"""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress
from backend.demo.compact import Embedder, Plan, ask, train_plan
from backend.demo.domains.packages import npm_archive
from backend.demo.populations import judged
from backend.demo.writing import write_zip

STYLES = {"Google": "google", "Twitter": "twitter"}
VERSION = "16.0.0"
PACKAGE = "emoji-datasource-{}"
TONES = {
    "1F3FB": "light", "1F3FC": "medium-light", "1F3FD": "medium", "1F3FE": "medium-dark",
    "1F3FF": "dark",
}  # fmt: skip
SIDE = 48
"""Pixels of a side of what the network sees."""
FEWEST = 20
"""Emoji of a kind that is asked about."""
COPIES = 8
"""Times a yellow drawing is trained on in one pass, each time moved and every second time mirrored."""


def build(
    path: str | os.PathLike[str],
    *,
    data: str | os.PathLike[str] | None = None,
    epochs: int = 10,
    seed: int = 0,
    progress: Progress = ignore_progress,
) -> dict[str, float]:
    """Train on yellow drawings and write the bundle of the same emoji in five tones to ``path``.

    Parameters
    ----------
    path : path
        The ``.zip`` to write.
    data : path, optional
        Folder of the two archives (.tgz); without it they are downloaded by npm.
    epochs : int
        Passes over the yellow drawings.
    seed : int
        Decides first weights, the order of batches, shifts and mirrors.
    progress : Progress

    Returns
    -------
    dict
        ``n``, ``n_train``, ``accuracy`` over all tones, accuracy of each tone by its name,
        ``train_accuracy`` on the yellow drawings, ``size_bytes``.

    Raises
    ------
    InputError
        If the archives cannot be had or are others, or an option is out of range.
    """
    if epochs < 1:
        raise InputError(f"epochs must be 1 or more: got {epochs}.")
    drawings = pd.concat([read_style(style, data, progress) for style in STYLES], ignore_index=True)
    kinds = drawings["kind"].value_counts()
    classes = tuple(sorted(kinds.index[kinds >= FEWEST * len(STYLES) * (1 + len(TONES))]))
    if len(classes) < 2:
        raise InputError(f"the archives must hold two kinds of {FEWEST} emoji or more each.")
    drawings = drawings[drawings["kind"].isin(classes)].reset_index(drop=True)
    truth = np.array([classes.index(kind) for kind in drawings["kind"]])
    inputs = torch.from_numpy(np.stack([_pixels(one) for one in drawings["image"]])).double()
    yellow = (drawings["tone"] == "").to_numpy(copy=True)
    moved, labels = _copies(inputs[yellow], torch.from_numpy(truth[yellow]), seed)
    network = train_plan(
        partial(untaught, len(classes)),
        moved,
        labels,
        Plan(seed, epochs),
        after_batch=lambda share: progress(0.95 * share, "Training on yellow drawings."),
    )
    own, answers = ask(network, inputs[yellow]), ask(network, inputs[~yellow])
    said = answers.logits.argmax(1).astype(np.int8)
    right = said == truth[~yellow]
    train_said = own.logits.argmax(1).astype(np.int8)
    fitted = judged(own.logits, truth[yellow], train_said, classes, np.float32)
    examples = drawings[~yellow].reset_index(drop=True)
    small = np.stack([_pixels(one, 32) for one in drawings["image"][yellow]]).transpose(0, 2, 3, 1)
    arrays = {
        "embeddings": answers.embeddings.astype(np.float32),
        **judged(answers.logits, truth[~yellow], said, classes, np.float32),
        "train/embeddings": own.embeddings.astype(np.float32),
        "train/images": (small * 255).astype(np.uint8),
        **{
            f"train/{name}": values
            for name, values in fitted.items()
            if name not in ("classes", "losses")
        },
    }
    write_zip(Path(path), arrays, {"examples": examples.drop(columns="kind")})
    progress(1.0, "Demo written.")
    return {
        "n": len(examples),
        "n_train": int(yellow.sum()),
        "accuracy": float(right.mean()),
        **{tone: float(right[examples["tone"] == tone].mean()) for tone in TONES.values()},
        "train_accuracy": float((train_said == truth[yellow]).mean()),
        "size_bytes": Path(path).stat().st_size,
    }


def read_style(
    style: str,
    data: str | os.PathLike[str] | None = None,
    progress: Progress = ignore_progress,
) -> pd.DataFrame:
    """The emoji of one style that have skin tones: one row per drawing, the yellow one with tone "".

    Raises
    ------
    InputError
        If the archive cannot be had, or is another one.
    """
    package = PACKAGE.format(STYLES[style])
    if data is None:
        path = npm_archive(package, VERSION, progress)
    else:
        path = Path(data) / f"{package}-{VERSION}.tgz"
    if not path.is_file():
        raise InputError(f"{path} is missing. Name its folder with --data, or leave it out.")
    with tarfile.open(path) as archive:
        content = {member.name: member for member in archive}
        try:
            known = json.load(archive.extractfile(content["package/emoji.json"]))  # type: ignore[arg-type]
            rows = [row for one in known for row in _drawings(one, style)]
            for row in rows:
                member = content[f"package/img/{STYLES[style]}/64/{row['image']}"]
                row["image"] = archive.extractfile(member).read()  # type: ignore[union-attr]
        except (KeyError, ValueError) as error:
            raise InputError(f"{path.name} must hold {package}: {error}.") from error
    return pd.DataFrame(rows)


def _drawings(emoji: dict[str, Any], style: str) -> list[dict[str, Any]]:
    """The yellow drawing of an emoji and its five tones; nothing of one that has no tones."""
    drawn = f"has_img_{STYLES[style]}"
    tones = emoji.get("skin_variations", {})
    if not emoji.get(drawn) or not all(tones.get(code, {}).get(drawn) for code in TONES):
        return []
    name, pair = emoji["name"].lower(), f"{STYLES[style]}-{emoji['unified'].lower()}"
    words = re.findall(r"\w+", name)
    said = {
        "style": style,
        "gender": next((one for one in ("woman", "man") if one in words), "not said"),
        "name": name,
        "kind": emoji["subcategory"],
        "pair_id": pair,
    }
    found: list[dict[str, Any]] = [{"id": pair, "tone": "", **said, "image": emoji["image"]}]
    for code, tone in TONES.items():
        found.append({"id": f"{pair}-{tone}", "tone": tone, **said, "image": tones[code]["image"]})
    return found


def _pixels(image: bytes, side: int = SIDE) -> NDArray[np.float32]:
    """A drawing on white, (3, side, side) in [0, 1]."""
    with Image.open(io.BytesIO(image)) as opened:
        drawing = opened.convert("RGBA")
    page = Image.new("RGBA", drawing.size, "white")
    page.alpha_composite(drawing)
    small = page.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
    return (np.asarray(small, np.float32).transpose(2, 0, 1) / 255).astype(np.float32)


def _copies(images: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Each drawing several times, moved by up to four pixels and every second time mirrored."""
    rng = np.random.default_rng(seed)
    found = []
    for copy in range(COPIES):
        padded = nn.functional.pad(images, (4, 4, 4, 4), value=1.0)
        down, right = rng.integers(0, 9, 2)
        moved = padded[:, :, down : down + SIDE, right : right + SIDE]
        found.append(moved.flip(3) if copy % 2 else moved)
    return torch.cat(found), labels.repeat(COPIES)


def untaught(classes: int, side: int = SIDE) -> Embedder:
    """The network of the demo before it has learnt anything, for drawings of so many pixels a side."""
    body = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(),
        nn.Flatten(), nn.Dropout(0.3), nn.Linear(32 * (side // 8) ** 2, 32), nn.ReLU(),
    )  # fmt: skip
    network = Embedder(body, 32, classes)
    # In single precision the kernels of another processor round otherwise, and ten passes later that
    # is another network; in double what is written in single precision has the same bits.
    return network.to(torch.double, memory_format=torch.channels_last)  # type: ignore[call-overload]
