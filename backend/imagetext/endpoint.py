"""Candidates from a language model that whoever runs the server configures; off without it.

Nothing is sent before somebody allowed it, and then what was allowed only: names of classes, or these
with a few examples of the bundle. Requests go to the configured address and are never sent on.
"""

from __future__ import annotations

import base64
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from backend.core.errors import InputError
from backend.core.plural import counted

URL, NAME, KEY = "ERRORSCOPE_WORDS_URL", "ERRORSCOPE_WORDS_NAME", "ERRORSCOPE_WORDS_KEY"
"""Variables: the base address of an OpenAI-compatible service, the model there, a key for it."""
SECONDS = 60.0
"""An answer that takes longer is given up."""
MOST_BYTES = 1_000_000
MOST_LINES = 20
LONGEST = 80
"""Signs of a context; what is longer is no context."""
NAMED = 8
"""Classes that the sentence on what leaves calls by name."""
EXAMPLES = 3
"""Failures of a class that are sent along where that is allowed."""
LONGEST_TEXT = 500
_BULLET = re.compile(r"^\s*(?:[-*•–]|\(?\d{1,2}[.):])\s*")


@dataclass(frozen=True)
class Endpoint:
    """Where candidates are asked for: base address and model, with the key that opens it."""

    url: str
    model: str
    key: str = field(default="", repr=False)

    @property
    def where(self) -> str:
        """What a page calls it; what somebody allows is allowed to this."""
        return f"{self.model} at {self.url}"


def configured_endpoint() -> Endpoint | None:
    """The service that the environment names; None where it names none.

    Raises
    ------
    InputError
        If the address is none, or the model is not named.
    """
    url = os.environ.get(URL, "").strip().rstrip("/")
    if not url:
        return None
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and not parts.username
        usable = usable and not parts.query and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise InputError(
            f"{URL} must be an address such as http://127.0.0.1:8000/v1, without a user or a query: "
            f"got one that starts with {url[:12]!r}."
        )
    model = os.environ.get(NAME, "").strip()
    if not model:
        raise InputError(f"{NAME} must name the model at {url}: it is not set.")
    return Endpoint(url, model, os.environ.get(KEY, "").strip())


def what_leaves(
    endpoint: Endpoint, labels: Sequence[str], *, reads: str, names: bool, examples: bool
) -> str:
    """What is sent where when somebody asks, in a sentence."""
    if not names:
        return "Nothing leaves this machine."
    told = ", ".join(one[:40] for one in labels[:NAMED])
    more = f" and {len(labels) - NAMED} more" if len(labels) > NAMED else ""
    sent = f"To {endpoint.where} go the names of {counted(len(labels), 'class', 'classes')} ({told}{more})"
    if not examples:
        return f"{sent}. No picture, no text, no column and no number of the bundle."
    what = (
        "small pictures" if reads == "pictures" else f"the first {LONGEST_TEXT} signs of the texts"
    )
    return f"{sent}, and {what} of up to {EXAMPLES} failures of each. Nothing else of the bundle."


def ask_for_contexts(
    endpoint: Endpoint,
    label: str,
    *,
    reads: str,
    examples: Sequence[str | bytes] = (),
    n: int = 12,
    seconds: float = SECONDS,
) -> list[str]:
    """Candidate contexts of one class, as a language model names them.

    Parameters
    ----------
    endpoint : Endpoint
    label : str
        Name of the class, which is sent.
    reads : {"pictures", "texts"}
        What examples are.
    examples : sequence of str or bytes
        Texts or picture files of the bundle that are sent along, at most ``EXAMPLES``; none by default.
    n : int
        How many to ask for.
    seconds : float
        For the whole answer.

    Returns
    -------
    list of str
        At most ``MOST_LINES``, each of at most ``LONGEST`` signs.

    Raises
    ------
    InputError
        If there is no answer in time, a refusal, or an answer that names no context.
    """
    sent = {
        "model": endpoint.model,
        "messages": [{"role": "user", "content": _content(label, reads, examples[:EXAMPLES], n)}],
        "temperature": 0,
    }
    headers = {"Content-Type": "application/json"}
    if endpoint.key:
        headers["Authorization"] = f"Bearer {endpoint.key}"
    request = urllib.request.Request(
        f"{endpoint.url}/chat/completions", json.dumps(sent).encode(), headers, method="POST"
    )
    found = _lines(_answer(endpoint, request, seconds), endpoint)
    if not found:
        raise InputError(
            f"{endpoint.where} named no context for {label[:80]!r}: its answer has no line of at most "
            f"{LONGEST} signs. Write a list of your own, or take one of those that are here."
        )
    return found


def _content(label: str, reads: str, examples: Sequence[str | bytes], n: int) -> Any:
    """What is asked: a sentence, with examples behind it where any are sent."""
    what = (
        f"in which a photo of a {label} could be taken, such as 'in the snow'"
        if reads == "pictures"
        else f"in which a text of the kind {label!r} could be written, such as 'about a late delivery'"
    )
    asked = (
        f"List {n} different contexts {what}. Answer with one context a line, each of two to five "
        "words, and nothing else."
    )
    if not examples:
        return asked
    parts: list[dict[str, Any]] = [
        {
            "type": "text",
            "text": f"{asked} These are examples that a classifier got wrong; name what they show.",
        }
    ]
    for one in examples:
        if isinstance(one, str):
            parts.append({"type": "text", "text": one[:LONGEST_TEXT]})
            continue
        kind = "png" if one[:4] == b"\x89PNG" else "jpeg"
        data = base64.b64encode(one).decode()
        url = f"data:image/{kind};base64,{data}"
        parts.append({"type": "image_url", "image_url": {"url": url}})
    return parts


class _Stay(urllib.request.HTTPRedirectHandler):
    """What was allowed to one address goes to no other."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _answer(endpoint: Endpoint, request: urllib.request.Request, seconds: float) -> Any:
    """The JSON of an answer."""
    until = time.monotonic() + seconds
    late = f"{endpoint.where} did not answer within {seconds:g} seconds. Try again, or take another list."
    opener = urllib.request.build_opener(_Stay)
    try:
        with opener.open(request, timeout=seconds) as answer:
            body = bytearray()
            while piece := answer.read1(65_536):
                body += piece
                if len(body) > MOST_BYTES:
                    raise InputError(
                        f"{endpoint.where} sent more than {MOST_BYTES:,} bytes, which no list of "
                        "contexts has."
                    )
                if time.monotonic() > until:
                    raise InputError(late)
    except urllib.error.HTTPError as error:
        with error:
            raise InputError(_refused(endpoint, error)) from error
    except TimeoutError as error:
        raise InputError(late) from error
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            raise InputError(late) from error
        raise InputError(
            f"{endpoint.where} cannot be reached: {str(reason)[:200]}. Whoever runs the server set the "
            f"address in {URL}."
        ) from error
    try:
        return json.loads(bytes(body))
    except ValueError as error:
        raise InputError(f"{endpoint.where} answered something that is no JSON.") from error


def _refused(endpoint: Endpoint, error: urllib.error.HTTPError) -> str:
    if 300 <= error.code < 400:
        return (
            f"{endpoint.where} wants the request sent on to another address, which is not done: what "
            f"was allowed goes to the configured one only. Set {URL} to the final address."
        )
    try:
        said = error.read(400).decode(errors="replace")
    except OSError:
        said = ""
    if endpoint.key:
        said = said.replace(endpoint.key, "…")
    told = f": {' '.join(said.split())[:200]}" if said.strip() else ""
    return (
        f"{endpoint.where} refused with {error.code} {error.reason}{told}. Whoever runs the server looks "
        f"at {URL}, {NAME} and {KEY}."
    )


def _lines(answer: Any, endpoint: Endpoint) -> list[str]:
    """The lines of the first choice that can be contexts."""
    try:
        said = answer["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError) as error:
        raise InputError(
            f"{endpoint.where} answered something that is no chat completion: it has no "
            "choices[0].message.content."
        ) from error
    if not isinstance(said, str):
        raise InputError(f"{endpoint.where} must answer with a text: got {type(said).__name__}.")
    found = []
    for line in said.splitlines():
        text = " ".join(_BULLET.sub("", line).strip(" \t\"'`.").split())
        if text and len(text) <= LONGEST and not text.endswith(":") and text.isprintable():
            found.append(text)
    return list(dict.fromkeys(found))[:MOST_LINES]
