"""What the fields of a bundle are called, and under which other names they are recognised."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from backend.bundle.limits import MAX_NAME_LENGTH

SYNONYMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "embeddings": ("embedding",),
        "losses": ("loss",),
        "labels": ("label", "y_true", "true_label"),
        "predictions": ("prediction", "pred", "preds", "y_pred", "predicted_label"),
        "probabilities": ("probability", "probs", "prob"),
        "logits": ("logit",),
        "targets": ("target",),
        "classes": ("class_names", "class_name"),
        "vog": (),
        "gradients": ("gradient",),
        "attribution": ("attributions",),
        "train_features": ("train_feature",),
        "target_features": ("target_feature",),
        "train_residuals": ("train_residual",),
        "stress_scores": ("stress_score",),
        "made_from": (),
    }
)
"""Array fields and the other names each answers to. A field's own name always comes first."""

COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"id": ("ids",), "text": ("texts",), "image": ("images",), "split": ("splits",)}
)
"""Columns of the examples table that mean something; every other column is an attribute."""

GROUPS = ("populations", "layers", "train", "msp", "stress", "examples", "images")
"""Prefixes of nested names, and folders of the folder form."""

EXTRAS = (
    "vog",
    "gradients",
    "attribution",
    "train_features",
    "target_features",
    "train_residuals",
    "stress_scores",
    "made_from",
)
"""Array fields that only one audit needs."""

PER_ROW = ("losses", "labels", "predictions", "probabilities", "logits", "targets", "vog")
"""Array fields, besides the embeddings, with one row per example."""

ATTRIBUTION = "attribution/"
"""What the fields of attribution may have before their names, as in ``attribution/train_features``."""

NOTES = "collected/notes"
"""An array of sentences on how a bundle was collected: they become its first notes."""

RATED_BY: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"item": ("item", "item_id"), "user": ("user", "user_id")}
)
"""Columns of a bundle of ratings that say what was rated and who rated it, the first one counting."""

SWITCHES: tuple[tuple[str, str], ...] = (
    ("labels", "accuracy, regions within a class, class change, audits by outcome"),
    ("predictions", "accuracy, confusions, audits by outcome"),
    ("probabilities", "confidence colours, failure directions, mixture slices"),
    ("text", "words that set a region apart, text search"),
    ("image", "the image gallery"),
    ("attributes", "attribute tables and the subgroup audit"),
    ("populations", "who pays for compression (PIE and CIE)"),
    ("stress", "the underspecification stress tests"),
    ("vog", "which examples are hardest by variance of gradients; gradients give it, too"),
    ("msp", "the two long tails: which hard examples are atypical, which noise; or train/msp"),
)
"""Optional parts that a page uses, and what their absence switches off."""


USED: Mapping[str, str] = MappingProxyType(
    {
        "vog": "Hardest",
        "gradients": "Hardest",
        "msp": "Hardest",
        "train/msp": "Hardest",
        "stress_scores": "Stress",
        "made_from": "Repair",
        "attribution": "Training data",
        "train_features": "Training data",
        "target_features": "Training data",
        "train_residuals": "Training data",
    }
)
"""Fields that only one page reads, and which; what is neither here nor an array every page reads is
kept for Python alone."""

TOGETHER = ("train_features", "target_features", "train_residuals")
"""Fields of attribution that score training examples together, and do nothing apart."""

SHOWN_OF_TRAINING = ("embeddings", "labels", "predictions", "probabilities", "logits", "classes", "losses")  # fmt: skip
"""Fields of the training part that its scores are made of, and its losses, beside columns that describe it."""


SAVED = """import numpy as np

np.savez(
    "bundle.npz",
    embeddings=embeddings,  # (n, d)
    labels=labels,  # (n,) numbers or names, as the predictions
    predictions=predictions,
    probabilities=probabilities,  # (n, C), with the names of its columns
    classes=classes,
    **{"examples/id": ids, "examples/text": texts, "examples/source": sources},
)
"""
"""How a bundle is saved from arrays: what a page shows to copy."""


def canonical_field(name: str) -> str | None:
    """The array field called ``name`` (any case, singular or plural), or None."""
    return _lookup(name, SYNONYMS)


def canonical_column(name: str) -> str | None:
    """The meaningful column called ``name`` (any case, singular or plural), or None."""
    return _lookup(name, COLUMNS)


def _lookup(name: str, table: Mapping[str, tuple[str, ...]]) -> str | None:
    wanted = name.strip().lower()
    for canonical, others in table.items():
        if wanted == canonical or wanted in others:
            return canonical
    return None


def split_group(name: str) -> tuple[str, str]:
    """``("populations", "int8")`` of ``"populations/int8"``; the group is empty at top level."""
    group, slash, rest = name.partition("/")
    if slash and group.lower() in GROUPS:
        return group.lower(), rest
    return "", name


def name_problem(name: str) -> str | None:
    """Why ``name`` cannot name a population, variant, field or column; None when it can."""
    if not name.strip():
        return "the name is empty"
    if len(name) > MAX_NAME_LENGTH:
        return f"the name has {len(name)} characters, more than {MAX_NAME_LENGTH}"
    if name.strip() in {".", ".."} or "/" in name or "\\" in name:
        return "the name holds a path separator"
    if not name.isprintable():
        return "the name holds characters that cannot be printed"
    return None
