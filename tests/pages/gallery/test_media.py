"""Bytes the browser fetches by itself: nothing without a ticket, nothing that is not ours to give."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pandas as pd
import pytest
import streamlit as st
from starlette.applications import Starlette

from backend.bundle import import_bundle, write_bundle
from backend.core.errors import InputError
from pages.components.gallery import media
from tests.bundles import picture, planted

HOSTILE = "<img src=x onerror=alert(1)>"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def get(path: str, **headers: str) -> Answer:
    """One GET, straight into the routes."""
    answer = Answer(0, {}, b"")

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {k.decode(): v.decode() for k, v in message["headers"]}
        else:
            answer.body += message.get("body", b"")

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/" + path.lstrip("/"),
        "query_string": b"",
        "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()],
    }
    # In a thread: the browser tests of the same run leave an event loop in this one.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(anyio.run, Starlette(routes=list(media.ROUTES)), scope, receive, send).result()
    return answer


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A bundle with pictures, one row without, and one with hostile words."""
    home = tmp_path_factory.mktemp("media") / "home"
    fields = planted(20)
    fields.pop("planted")
    texts = ["a" * 1000, HOSTILE, *(f"text {i}" for i in range(18))]
    ids = [HOSTILE, *(f"e{i}" for i in range(1, 20))]
    path = tmp_path_factory.mktemp("bundle") / "b"
    write_bundle(
        path,
        **fields,
        examples=pd.DataFrame({"id": ids, "text": texts}),
        images=[picture(i) for i in range(19)] + [None],
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ERRORSCOPE_HOME", str(home))
        st.cache_resource.clear()
        yield import_bundle(path, home)
        st.cache_resource.clear()


@pytest.fixture(autouse=True)
def session(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A session of its own for each test."""
    state: dict[str, Any] = {}
    monkeypatch.setattr(st, "session_state", state)
    return state


def test_offered_bytes_arrive_once_and_are_then_known() -> None:
    url = media.offer(b"points", "application/octet-stream", "")
    assert not url.startswith("/") and "//" not in url  # relative: works below any base path
    answer = get(url)
    assert (answer.status, answer.body) == (200, b"points")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert "immutable" in answer.headers["cache-control"]
    assert "private" in answer.headers["cache-control"]
    again = get(url, if_none_match=answer.headers["etag"])
    assert (again.status, again.body) == (304, b"")


def test_the_same_content_has_the_same_address_and_other_content_another() -> None:
    one = media.offer(b"points", "application/octet-stream", "")
    assert media.offer(b"points", "application/octet-stream", "") == one
    assert media.offer(b"pointz", "application/octet-stream", "") != one
    assert media.offer(b"points", "image/png", "") != one


def test_bytes_that_look_random_are_not_compressed_on_the_way() -> None:
    plain = get(media.offer(b"random", "application/octet-stream", "", compress=False))
    assert plain.headers["content-encoding"] == "identity"
    assert (
        "content-encoding" not in get(media.offer(b"even", "application/octet-stream", "")).headers
    )


def test_nothing_without_a_ticket(pictures: Any) -> None:
    name = media.offer(b"points", "application/octet-stream", "").rsplit("/", 1)[1]
    for guess in ("x", "None", "..", media.ticket()[:-1], media.ticket() + "x"):
        assert get(f"content/{guess}/blob/{name}").status == 403
        assert get(f"content/{guess}/item/{pictures.digest}/0.json").status == 403
        assert get(f"content/{guess}/item/{pictures.digest}/0/full").status == 403


def test_an_expired_ticket_is_none(session: dict[str, Any]) -> None:
    url = media.offer(b"points", "application/octet-stream", "")
    held = media.TICKETS.get(media.ticket())
    assert held is not None
    held.expires = 0.0
    assert get(url).status == 403
    renewed = media.offer(b"points", "application/octet-stream", "")
    assert renewed != url and get(renewed).status == 200


def test_a_session_reads_only_bundles_it_was_given(pictures: Any, session: dict[str, Any]) -> None:
    prefix = media.item_url(pictures.digest)
    assert get(f"{prefix}/1.json").status == 200
    session.clear()
    media.ticket()
    assert get(f"content/{media.ticket()}/item/{pictures.digest}/1.json").status == 403


def test_unknown_and_evicted_bytes_are_gone_not_an_error() -> None:
    ticket = media.ticket()
    for name in ("0" * 32, "..", "%2e%2e", "a" * 5000):
        assert get(f"content/{ticket}/blob/{name}").status == 404


def test_the_least_recently_used_bytes_go_first() -> None:
    kept = media.Kept(limit=10)
    a, b = (kept.put(media.Blob(c, "image/png", True)) for c in (b"aaaa", b"bbbb"))
    assert kept.get(a) is not None
    c = kept.put(media.Blob(b"cccc", "image/png", True))
    assert kept.get(b) is None
    assert kept.get(a) is not None and kept.get(c) is not None and kept.size == 8
    with pytest.raises(InputError, match="fit into 10 bytes: got 11"):
        kept.put(media.Blob(b"x" * 11, "image/png", True))


def test_facts_of_an_example(pictures: Any) -> None:
    answer = get(f"{media.item_url(pictures.digest)}/0.json")
    assert answer.headers["content-type"] == "application/json"
    told = json.loads(answer.body)
    assert told == {
        "id": HOSTILE,
        "text": "a" * 400,
        "label": str(pictures.class_names[pictures.label_codes[0]]),
        "prediction": str(pictures.class_names[pictures.prediction_codes[0]]),
        "correct": bool(pictures.correct[0]),
        "loss": float(pictures.losses[0]),
        "image": True,
    }


def test_facts_of_a_bundle_with_nothing_but_losses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERRORSCOPE_HOME", str(tmp_path / "home"))
    path = tmp_path / "b"
    write_bundle(path, embeddings=np.eye(5, dtype=np.float32), losses=np.arange(5.0))
    bundle = import_bundle(path)
    told = json.loads(get(f"{media.item_url(bundle.digest)}/3.json").body)
    assert told["loss"] == 3.0 and told["image"] is False
    assert {told[name] for name in ("text", "label", "prediction", "correct")} == {None}
    assert get(f"{media.item_url(bundle.digest)}/3/thumbnail").status == 404


@pytest.mark.parametrize("size", ["thumbnail", "full"])
def test_pictures_have_no_rights(pictures: Any, size: str) -> None:
    answer = get(f"{media.item_url(pictures.digest)}/2/{size}")
    assert answer.status == 200 and answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    expected = pictures.thumbnail(2) if size == "thumbnail" else pictures.image(2)
    assert answer.body == expected


@pytest.mark.parametrize(
    "row", ["20", "-1", "1e3", "1.0", "٣", "0x1", "9" * 12, "9" * 5000, "..", "%00", " 1"]
)
def test_rows_that_are_not_rows(pictures: Any, row: str) -> None:
    prefix = media.item_url(pictures.digest)
    for path in (f"{prefix}/{row}.json", f"{prefix}/{row}/thumbnail", f"{prefix}/{row}/full"):
        assert get(path).status == 404


def test_other_sizes_and_rows_without_a_picture(pictures: Any) -> None:
    prefix = media.item_url(pictures.digest)
    assert get(f"{prefix}/0/huge").status == 404
    assert get(f"{prefix}/19/thumbnail").status == 404


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n...", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"GIF89a", "image/gif"),
        (b"BM....", "image/bmp"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'>", None),
        (b"<html>", None),
        (b"", None),
    ],
)
def test_only_raster_images_have_a_type(start: bytes, kind: str | None) -> None:
    assert media.image_type(start) == kind
