"""Whose bundle is which: each person who signed in has an own one of what they uploaded.

The folder of a bundle is called after its content where it is nobody's in particular, and after
content and owner where somebody signed in keeps it. Nothing that others see, results included, tells
whether somebody else keeps the same. The files of such bundles are one file with several names (hard
links), so that content takes its room once and goes with the last bundle that has it.
"""

from __future__ import annotations

import contextlib
import filecmp
import hashlib
import logging
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from backend.bundle.bundle import BundleInfo
from backend.bundle.canonical import DIGEST, read_manifest
from backend.core.errors import BundleError

log = logging.getLogger(__name__)

SIGNED_IN = "@"
"""Begins the key of everybody who signed in, and of nobody else (``backend.store.authors``)."""

REMOVED = re.compile(rf"\.removed-(\d{{1,12}})-({DIGEST.pattern})")
"""Folder of a removed bundle that can be taken back: when it was removed, and its digest."""


def record_of(content: str, owner: str, turn: int = 0) -> str:
    """What names a bundle, from the digest of its content and the key of its owner.

    Examples
    --------
    >>> record_of("c" * 64, "Ada") == record_of("c" * 64, "") == "c" * 64
    True
    >>> len({record_of("c" * 64, "@ada"), record_of("c" * 64, "@bob"), "c" * 64})
    3
    """
    if not owner.startswith(SIGNED_IN):
        return content
    return hashlib.sha256(f"{content} {turn} {owner}".encode()).hexdigest()


def share_files(folder: Path, others: Iterable[Path]) -> None:
    """Have a folder share its files with folders of the same content, byte by byte compared.

    Where the disk has no hard links the files stay as they are.
    """
    for other in others:
        for file in folder.iterdir():
            same = other / file.name
            if not same.is_file() or file.stat().st_ino == same.stat().st_ino:
                continue
            if not filecmp.cmp(file, same, shallow=False):
                continue
            link = folder / f"{file.name}.link"
            with contextlib.suppress(OSError):
                os.link(same, link)
                link.replace(file)


def info_of(manifest: dict[str, Any]) -> BundleInfo:
    """The line of a list that a manifest makes."""
    accuracy = manifest.get("accuracy")
    return BundleInfo(
        digest=str(manifest["digest"]),
        name=str(manifest["name"]),
        n=manifest["n"],
        d=manifest["d"],
        created=str(manifest["created"]),
        size_bytes=sum(manifest["files"].values()),
        base_loss=float(manifest["base_loss"]),
        accuracy=None if accuracy is None else float(accuracy),
        content=str(manifest.get("content", manifest["digest"])),
        owner=str(manifest.get("owner", "")),
    )


def removed_manifests(bundles: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Folder and manifest of every removed bundle; damaged ones are logged and passed over."""
    for folder in bundles.glob(".removed-*"):
        named = REMOVED.fullmatch(folder.name)
        if named is None:
            continue
        try:
            yield folder, read_manifest(folder, named[2])
        except BundleError as error:
            log.warning("removed bundle %s is passed over: %s", named[2][:12], error)
