"""Bundles under the home folder: import, open, list and delete them."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from backend.bundle.assemble import assemble
from backend.bundle.bundle import Bundle, BundleInfo
from backend.bundle.canonical import (
    DIGEST,
    MANIFEST,
    Share,
    bundle_of,
    change_manifest,
    open_folder,
    read_manifest,
    write_folder,
)
from backend.bundle.entry import FoundField
from backend.bundle.faults import Faults, refuse
from backend.bundle.limits import MAX_NAME_LENGTH
from backend.bundle.records import (
    SIGNED_IN,
    info_of,
    record_of,
    removed_manifests,
    share_files,
)
from backend.bundle.upload import open_upload
from backend.core.errors import BackendError, BundleError, InputError
from backend.core.home import home_folder, is_full, written_in
from backend.core.memory import ADVICE, allowance, bytes_of, is_out_of_memory, needs_more
from backend.core.progress import Progress, ignore_progress
from backend.core.quota import check_room, check_share, room_watch
from backend.locks import Lock

log = logging.getLogger(__name__)

STAGING = ".import-"
TRASH = ".trash-"
LOCK = ".lock"
"""Whoever holds this file of a folder works in it."""
TIMED_FROM = 0.2
"""Fraction of an import from which its pace says how long it takes: what is read and checked before comes
in two steps, each as long as the files ask for."""
NO_BUNDLE = "Choose one of the imported bundles, or import it."

PathLike = str | os.PathLike[str]


@contextlib.contextmanager
def _foreign(path: PathLike) -> Iterator[None]:
    """The outermost net under foreign files: what no parser's own net caught.

    An upload must never end in a traceback. What lands here is a bug of ours all the same, so it
    is logged with its traceback; but for want of memory, which ``backend.core.memory`` brings about.
    """
    try:
        yield
    except BundleError as error:
        if Path(path).suffix.lower() != ".zip":
            raise
        raise _in_archive(error, Path(path).name) from error
    except BackendError:
        raise
    except OSError as error:
        if is_out_of_memory(error):
            raise _too_much(path) from error
        if is_full(error):
            raise refuse(
                Path(path).name,
                "",
                None,
                "it was not kept, since the disk is full.",
                "Free some space there, then try again: nothing of it was left behind.",
            ) from error
        raise refuse(
            Path(path).name,
            "",
            None,
            f"the system did not allow it ({error.strerror or error}).",
            "Check that the disk has room and that the files may be read and written.",
        ) from error
    except Exception as error:
        if is_out_of_memory(error):
            raise _too_much(path) from error
        log.exception("reading %s failed in a way that no check foresaw", path)
        raise refuse(
            Path(path).name,
            "",
            None,
            f"the upload cannot be read ({type(error).__name__}: {str(error)[:120]}).",
            "Check that it was saved completely; write_bundle makes files that are read.",
        ) from error


def _in_archive(error: BundleError, archive: str) -> BundleError:
    """The same faults, those of members of an archive named with the archive."""
    return BundleError(
        replace(fault, file=f"{archive}/{fault.file}")
        if fault.file and fault.file.partition("/")[0] != archive
        else fault
        for fault in error.faults
    )


def _too_much(path: PathLike) -> BundleError:
    allowed = allowance(Path(path))
    return refuse(Path(path).name, "", None, needs_more(allowed), ADVICE)


def read_bundle(path: PathLike, *, columns: Mapping[str, str] | None = None) -> Bundle:
    """The bundle in a file or folder, checked in full and kept in memory.

    Big arrays of a folder are memory-mapped and images are read from ``path`` when asked for, so
    the upload must stay where it is. ``import_bundle`` has no such limits.

    Parameters
    ----------
    path : path-like
        ``.npz``, ``.parquet``, ``.arrow``, ``.feather``, ``.safetensors``, ``.pt``, ``.zip``, or
        a folder of ``.npy`` files with tables and images.
    columns : mapping of {field: name in the file}, optional
        Fields, or the columns ``id``, ``text``, ``image`` and ``split``, under other names; an
        empty name says that nothing in the file is that field, whatever it is called. ``codes``
        as ``names`` or ``positions`` says what whole numbers among class names mean.

    Returns
    -------
    Bundle
        ``path`` is None.

    Raises
    ------
    BundleError
        Listing every fault: file, column or array, first row and what to do.

    Examples
    --------
    >>> bundle = read_bundle("run.npz", columns={"embeddings": "features"})  # doctest: +SKIP
    >>> bundle.n, bundle.notes  # doctest: +SKIP
    """
    with _foreign(path), open_upload(path) as upload:
        contents, column = assemble(upload, columns, Faults())
        digest = write_folder(None, contents, "", column, ignore_progress)
        for key, array in contents.arrays.items():
            if not array.dtype.isnative:
                contents.arrays[key] = array.astype(array.dtype.newbyteorder("="))
        return bundle_of(contents, _name_of(path), digest)


def import_bundle(
    path: PathLike,
    home: PathLike | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    name: str | None = None,
    progress: Progress = ignore_progress,
    found: Callable[[list[FoundField]], None] = lambda fields: None,
    owner: str = "",
) -> Bundle:
    """Check an upload and keep it under ``home`` in the canonical layout, memory-mapped.

    The same content is kept once, whatever its file is called and in whichever accepted form it
    came; the name of the first import stays. Somebody who is signed in has a bundle of their own of
    it, whoever else keeps the same; its files take their room once. Nothing is left behind when an import fails, and
    what a killed one left is swept by the next.

    Parameters
    ----------
    path, columns
        As for ``read_bundle``.
    home : path-like, optional
        Else ``ERRORSCOPE_HOME``, else ``.errorscope`` beside ``app.py``.
    name : str, optional
        What people call it; the file's name by default.
    progress : Progress
        Told what is being done; may raise ``JobCancelled`` to stop.
    found : callable
        Told what arrays and columns there are, as ``inspect_upload`` gives them, before they are
        checked.
    owner : str
        Key of the person it is kept for, whose share of the disk it counts against; nobody's by
        default. One that begins with ``@``, of somebody who signed in, makes it a bundle of their
        own; a bundle of a typed name that is there already stays with whoever imported it first.

    Raises
    ------
    BundleError
        Listing every fault, before anything was kept.
    InputError
        If the home folder may not hold as much (``ERRORSCOPE_DISK_GB``), or its owner may not keep
        as much (``ERRORSCOPE_PERSON_GB``).
    """
    bundles = bundles_in(home)
    has_room = room_watch(bundles.parent)
    check_room(bundles.parent, bytes_of(Path(path)))
    if owner:
        check_share(held_by(owner, home), bytes_of(Path(path)))

    def told(fraction: float, message: str) -> None:
        has_room()
        progress(fraction, message)

    with _foreign(path), _staging(bundles) as staging:
        scratch = staging / "scratch"
        folder = staging / "bundle"
        scratch.mkdir()
        folder.mkdir()
        told(0.0, "Reading the upload")
        with open_upload(path, scratch) as upload:
            found([entry.found for entry in upload.entries])
            faults = Faults(lambda: told(0.1, "Checking every value"))
            contents, column = assemble(upload, columns, faults)
            content = write_folder(
                folder,
                contents,
                _shown(name) or _name_of(path),
                column,
                Share(told, TIMED_FROM, 1.0),
                owner,
                lambda content: _place(bundles, content, owner),
            )
        digest = _place(bundles, content, owner)
        if owner.startswith(SIGNED_IN):
            same = (f for f, m in all_manifests(home) if m.get("content", f.name) == content)
            share_files(folder, same)
        check_room(bundles.parent)
        if owner and not (bundles / digest).is_dir():
            check_share(held_by(owner, home), bytes_of(folder))
        _move_in(folder, bundles / digest)
    return open_bundle(digest, home)


def held_by(owner: str, home: PathLike | None = None) -> int:
    """Bytes of the bundles that are kept for a person."""
    kept = [manifest for _, manifest in all_manifests(home)]
    kept += [manifest for _, manifest in removed_manifests(bundles_in(home))]
    return sum(sum(one["files"].values()) for one in kept if one.get("owner") == owner)


def open_bundle(digest: str, home: PathLike | None = None) -> Bundle:
    """An imported bundle: arrays memory-mapped, images read when asked for.

    Raises
    ------
    BundleError
        If there is none of this digest, or its files were damaged since.
    """
    folder = folder_of(digest, home)
    return open_folder(folder)


def bundle_stamp(digest: str, home: PathLike | None = None) -> int:
    """Another number after each change of an imported bundle: when its manifest was written, in ns.

    Raises
    ------
    BundleError
        If there is none of this digest.
    """
    try:
        return (folder_of(digest, home) / MANIFEST).stat().st_mtime_ns
    except OSError:
        return 0  # opening it says what is wrong


def list_bundles(home: PathLike | None = None) -> list[BundleInfo]:
    """Every imported bundle, newest first; damaged ones are logged and passed over."""
    infos = [info_of(manifest) for _, manifest in all_manifests(home)]
    return sorted(infos, key=lambda info: (info.created, info.digest), reverse=True)


def owner_of(digest: str, home: PathLike | None = None) -> str | None:
    """Key of whose an imported bundle is, empty for nobody's; None where there is none of this digest."""
    try:
        return str(read_manifest(folder_of(digest, home)).get("owner", ""))
    except BundleError:
        return None


def _place(bundles: Path, content: str, owner: str) -> str:
    """What a person's own bundle of some content is called.

    One that belonged to somebody who was erased since, and came back, stays where it is.
    """
    for turn in count():
        name = record_of(content, owner, turn)
        if name == content or owner_of(name, bundles.parent) in (None, owner):
            return name
    raise AssertionError


def all_manifests(home: PathLike | None) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Folder and manifest of every imported bundle; damaged ones are logged and passed over."""
    for folder in bundles_in(home).iterdir():
        if not DIGEST.fullmatch(folder.name) or not folder.is_dir():
            continue
        try:
            manifest = read_manifest(folder)
        except BundleError as error:
            log.warning("bundle %s is passed over: %s", folder.name[:12], error)
            continue
        yield folder, manifest


def delete_bundle(digest: str, home: PathLike | None = None) -> None:
    """Remove an imported bundle; it is out of every list at once.

    Raises
    ------
    BundleError
        If there is none of this digest.
    """
    folder = folder_of(digest, home)
    trash = folder.with_name(TRASH + uuid.uuid4().hex)
    try:
        folder.rename(trash)
    except FileNotFoundError as error:
        raise refuse(digest[:12], "", None, "there is no such bundle.", NO_BUNDLE) from error
    shutil.rmtree(trash, ignore_errors=True)


def rename_bundle(digest: str, name: str, home: PathLike | None = None) -> str:
    """Call an imported bundle by another name; nothing else of it changes, its digest neither.

    Returns
    -------
    str
        The name as it is kept: signs that cannot be printed are left out, and it ends at 200.

    Raises
    ------
    InputError
        If nothing is left of the name.
    BundleError
        If there is none of this digest.
    """
    shown = _shown(name)
    if not shown:
        raise InputError("the name of a bundle must have a character that can be printed.")
    folder = folder_of(digest, home)
    with locked(folder.parent), written_in(folder):
        change_manifest(folder, digest, name=shown)
    return shown


def inspect_upload(path: PathLike) -> list[FoundField]:
    """What arrays and columns an upload holds, whether or not they make a bundle.

    Returns
    -------
    list of FoundField
        File, name, shape and dtype of each, in file order: what a page offers when fields have to
        be told from columns with other names.

    Raises
    ------
    BundleError
        If the file cannot be opened as what it claims to be.
    """
    with _foreign(path), open_upload(path) as upload:
        return [entry.found for entry in upload.entries]


def folder_of(digest: str, home: PathLike | None = None) -> Path:
    """The folder of an imported bundle.

    Raises
    ------
    BundleError
        If there is none of this digest.
    """
    # The digest may come from a URL: it is compared with a pattern before it is part of a path.
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise refuse(str(digest)[:64], "", None, "a digest has 64 hexadecimal digits.", NO_BUNDLE)
    folder = bundles_in(home) / digest
    if not folder.is_dir():
        raise refuse(digest[:12], "", None, "there is no such bundle.", NO_BUNDLE)
    return folder


def bundles_in(home: PathLike | None = None) -> Path:
    """The folder that all imported bundles stand in."""
    folder = home_folder(home) / "bundles"
    with written_in(folder):
        folder.mkdir(exist_ok=True)
    return folder


def _name_of(path: PathLike) -> str:
    return _shown(Path(path).resolve().stem) or "bundle"


def _shown(name: str | None) -> str:
    return "".join(letter for letter in name or "" if letter.isprintable()).strip()[
        :MAX_NAME_LENGTH
    ]


@contextlib.contextmanager
def _staging(bundles: Path) -> Iterator[Path]:
    """A temporary folder beside the bundles, locked while in use and gone afterwards."""
    with locked(bundles):
        _sweep(bundles)
        staging = Path(tempfile.mkdtemp(prefix=STAGING, dir=bundles))
        lock = _lock(staging / LOCK, wait=True)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if lock is not None:
            lock.release()


def _sweep(bundles: Path) -> None:
    """Remove what killed imports and deletions left; running imports hold their folder's lock."""
    for folder in bundles.glob(TRASH + "*"):
        shutil.rmtree(folder, ignore_errors=True)
    for folder in bundles.glob(STAGING + "*"):
        lock = _lock(folder / LOCK, wait=False)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            lock.release()


def _lock(file: Path, *, wait: bool) -> Lock | None:
    """A lock that ends when the process dies; None where it is another's or cannot be had."""
    lock = Lock(file)
    try:
        return lock if lock.acquire(wait=wait) else None
    except OSError:
        return None


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Alone with a folder, among programs that ask the same."""
    lock = _lock(folder.with_name(f"{folder.name}{LOCK}"), wait=True)
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def _move_in(folder: Path, target: Path) -> None:
    """Put a finished bundle in its place; one that is sound and already there stays."""
    with locked(target.parent):
        if target.is_dir():
            try:
                open_folder(target)
                return
            except BundleError as error:
                log.warning("bundle %s was damaged and is replaced: %s", target.name[:12], error)
                target.rename(target.with_name(TRASH + uuid.uuid4().hex))
        folder.replace(target)
