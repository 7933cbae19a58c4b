"""Failures in the words of a model: what is found and said, and what leaves the machine meanwhile."""

from __future__ import annotations

import io
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from backend.bundle import Bundle, read_bundle
from backend.cache import read_folder, write_folder
from backend.core.errors import InputError
from backend.core.parts import bundle_aside
from backend.imagetext import WordVectors, ask_for_contexts, configured_endpoint, endpoint, models
from backend.repair.contrast import EXPLAINS
from backend.report import Origins, suggest_hypothesis
from backend.rules import evaluate
from backend.store import Store
from backend.tasks import complete_options
from backend.tasks.chapters import CHAPTERS
from backend.tasks.encoded import failing_classes, run_candidates, run_encoded
from backend.tasks.named import context_members, context_source, run_named
from tests.bundles import npz, picture

N = 600
SECRET = "zebrafish"
"""In every text of the bundle, and in nothing else."""


def fields(*, pictures: bool) -> dict[str, Any]:
    """Two in five cats are dark, and fail; dogs fail as often dark as light."""
    rng = np.random.default_rng(0)
    labels = rng.choice(["cat", "dog"], N)
    dark = rng.random(N) < 0.4
    fails = np.where(labels == "cat", dark & (rng.random(N) < 0.8), rng.random(N) < 0.25)
    predictions = np.where(fails, np.where(labels == "dog", "cat", "dog"), labels)
    found: dict[str, Any] = {
        "embeddings": rng.normal(size=(N, 4)).astype(np.float32),
        "labels": labels,
        "predictions": predictions,
        "losses": fails + 0.1 * rng.random(N),
    }
    if pictures:
        shade = np.where(dark, 20, 230)[:, None, None, None]
        found["images"] = (shade + rng.integers(-9, 9, (N, 8, 8, 3))).astype(np.uint8)
    else:
        words = np.where(dark, "dark", "light")
        found["examples/text"] = np.array([f"{SECRET} {at} {one}" for at, one in enumerate(words)])
    return found


class Lamp:
    """A model that sees one thing: whether it is dark."""

    def pictures(self, files: Any) -> WordVectors:
        light = [np.asarray(Image.open(io.BytesIO(one))).mean() / 255 for one in files]
        return self._of(np.array(light))

    def texts(self, texts: Any) -> WordVectors:
        return self._of(np.array([0.05 if "dark" in one else 0.9 for one in texts]))

    def _of(self, light: Any) -> WordVectors:
        vectors = np.stack([1 - light, light], axis=1)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return WordVectors(
            vectors.astype(np.float32), np.where(light > 0.5, 1, 0.9).astype(np.float32)
        )


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    folder = tmp_path_factory.mktemp("named")
    found = {}
    for name in ("pictures", "texts"):
        path = folder / f"{name}.npz"
        path.write_bytes(npz(**fields(pictures=name == "pictures")))
        found[name] = read_bundle(path)
    return found


@pytest.fixture
def lamp(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setattr("backend.imagetext.open_model", lambda name: Lamp())


def quiet(fraction: float, message: str) -> None: ...


def asked(task: str, **options: Any) -> Any:
    model = options.get("model", "conse")
    state = models.model_state(model) if model in models.MODELS else ""
    return complete_options(task, {"state": state, **options})


def named(tmp_path: Path, bundle: Bundle, **options: Any) -> Any:
    write_folder(tmp_path / "kept", *run_named(bundle, asked("named", **options), quiet, None))
    return read_folder(tmp_path / "kept", "key")


@pytest.mark.parametrize(("reads", "model"), [("pictures", "conse"), ("texts", "sentences")])
def test_the_planted_context_explains_and_the_frequent_one_does_not(
    lamp: None, bundles: dict[str, Bundle], tmp_path: Path, reads: str, model: str
) -> None:
    bundle = bundles[reads]
    own = ["in the dark", "in the light", "In the dark!", "lit by a lamp"]
    found = named(tmp_path, bundle, model=model, own=own)
    lines = {(one["label"], one["context"]): one for one in found.meta["lines"]}
    cats, dogs = lines["cat", "in the dark"], lines["dog", "in the light"]
    assert (
        found.meta["lines"][0] is not dogs and found.meta["lines"][0]["context"] == cats["context"]
    )
    assert cats["verdict"] == EXPLAINS and cats["wrong_share"] == 1.0 and cats["right_share"] < 0.3
    # Most dogs that fail are light, as most dogs are: it is their first context, and explains nothing.
    assert dogs["rank"] == 1 and dogs["share"] > 0.5 and dogs["verdict"] != EXPLAINS
    dropped = [text for _, label, text in found.meta["dropped"] if label == "cat"]
    assert dropped == ["In the dark!", "lit by a lamp"]  # one text, and one meaning, are said once
    assert cats["cells"] == [{"prediction": "dog", "count": cats["count"]}]

    members = context_members(found, found.meta["lines"].index(cats))
    rows = members["row"].to_numpy()
    wrong, aside = ~np.asarray(bundle.correct), bundle_aside(bundle)
    assert (np.asarray(bundle.label_names)[rows] == "cat").all()
    assert cats["count"] == (wrong & ~aside)[rows].sum()  # these choose
    assert cats["with_wrong"] == (wrong & aside)[rows].sum()  # these test
    assert cats["with_right"] == (~wrong & aside)[rows].sum()
    assert (np.diff(members["similarity"]) <= 0).all() and not members["weak"].all()
    chapter = CHAPTERS["named"].tell(bundle, found, {})
    table = chapter.tables[0][1].set_index(["label", "context"])
    assert chapter.sentences[1].startswith("1 of ") and "Weak picks" in chapter.sentences[0]
    assert table.loc[("cat", "in the dark"), "taken for"] == f"dog ({cats['count']})"

    # As a finding: the rows that chose it are used up, its rule lists its members, a tag stands for them.
    source = context_source(found, cats)
    with closing(Store(home=tmp_path)) as store:
        start = suggest_hypothesis(bundle, source, rows, Origins(bundle, store))
        assert start.used is not None and (start.used == ~aside).all()
        assert np.flatnonzero(evaluate(start.rule, bundle)).tolist() == sorted(rows.tolist())
        store.tag(bundle, bundle.ids[rows].tolist(), "dark cats", author="Ann", source=source)
        again = suggest_hypothesis(
            bundle, {"kind": "tag", "tag": "dark cats"}, rows, Origins(bundle, store)
        )
    assert "tagged" in again.rule and again.used is not None and (again.used == ~aside).all()


def test_what_the_model_is_not_sure_of_is_weak_and_stays(
    lamp: None, bundles: dict[str, Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = models.MODELS["conse"]
    changed = {**models.MODELS, "conse": replace(row, least_sure=0.95)}
    monkeypatch.setattr("backend.imagetext.MODELS", changed)
    found = named(tmp_path, bundles["pictures"], own=["in the dark", "in the light"])
    for at, line in enumerate(found.meta["lines"]):
        weak = context_members(found, at)["weak"]
        assert weak.all() if line["context"] == "in the dark" else not weak.any()
        assert line["n_weak"] == (line["count"] if line["context"] == "in the dark" else 0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "must be a list of candidates"),
        ({"lists": ["moods"]}, "lists must be of backgrounds"),
        ({"own": ["x" * 90]}, "at most 80 signs: got 90"),
        ({"own": ["a"] * 201}, "at most 200 lines: got 201"),
        ({"own": ["a"], "k": 0}, "k must be"),
        ({"own": ["a"], "model": "magic"}, "model must be one of"),
        ({"own": ["a"], "state": "old"}, "have changed"),
    ],
)
def test_what_cannot_be_asked(
    lamp: None, bundles: dict[str, Bundle], tmp_path: Path, options: Any, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        named(tmp_path, bundles["pictures"], **options)


def test_a_model_that_is_not_there_says_how_to_get_it(
    bundles: dict[str, Bundle], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(models.FOLDER, raising=False)
    with pytest.raises(InputError, match=r"none is configured\. Set ERRORSCOPE_WORDS_MODEL"):
        models.open_model("folder")
    monkeypatch.setattr(models, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs transformers.*pip install"):
        models.open_model("conse")
    assert all(models.offered_models("pictures").values())
    with pytest.raises(InputError, match="reads pictures: the bundle has none"):
        run_encoded(bundles["texts"], asked("encoded"), quiet, None)
    monkeypatch.setattr(models, "find_spec", lambda name: True)
    monkeypatch.setenv(models.FOLDER, str(tmp_path))
    for given, said in (
        ("", "a folder with"),
        ("pytorch_model.bin", "a pickle, which can run code"),
    ):
        if given:
            (tmp_path / given).write_bytes(b"")
        with pytest.raises(InputError, match=said):
            models.open_model("folder")


# --- what leaves the machine ------------------------------------------------------------------------


class Listener(ThreadingHTTPServer):
    """A service that speaks as a language model does, and keeps all that it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.heard: list[tuple[dict[str, Any], str]] = []
        self.how = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.heard.append((dict(self.headers), body))
        how = self.server.how
        lines = "Here are some:\n1. in the dark\n- in the light\n* in the dark"
        answer = json.dumps({"choices": [{"message": {"content": lines}}]}).encode()
        status = 200
        if how == "401":
            status, answer = 401, b'{"error": "bad key sesame"}'
        elif how == "elsewhere":
            status = 307
        elif how == "silent":
            time.sleep(1.0)
        elif how == "no JSON":
            answer = b"<html>"
        elif how == "no choice":
            answer = b'{"choices": []}'
        elif how == "no line":
            answer = json.dumps({"choices": [{"message": {"content": "x" * 500}}]}).encode()
        elif how == "no text":
            answer = json.dumps({"choices": [{"message": {"content": 7}}]}).encode()
        elif how == "endless":
            answer = b" " * 1_500_000
        self.send_response(status)
        if how == "elsewhere":
            self.send_header("Location", "http://127.0.0.1:9/steal")
        self.end_headers()
        try:
            for _ in range(8 if how == "dripping" else 0):
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.1)
            self.wfile.write(answer)
        except OSError:
            return  # given up, as it should be

    def log_message(self, *args: Any) -> None: ...


@pytest.fixture(scope="module")
def server() -> Iterator[Listener]:
    listener = Listener()
    thread = threading.Thread(target=listener.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield listener
    listener.shutdown()
    listener.server_close()
    thread.join()


@pytest.fixture
def listener(server: Listener, monkeypatch: pytest.MonkeyPatch) -> Listener:
    server.heard, server.how = [], ""
    monkeypatch.setenv(endpoint.URL, server.url)
    monkeypatch.setenv(endpoint.NAME, "tiny")
    monkeypatch.setenv(endpoint.KEY, "sesame")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return server


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every address that this process connects to."""
    found: list[Any] = []
    connect = socket.socket.connect

    def heard(self: socket.socket, address: Any) -> None:
        found.append(address)
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", heard)
    return found


def test_nothing_is_asked_by_default(
    lamp: None,
    bundles: dict[str, Bundle],
    tmp_path: Path,
    listener: Listener,
    called: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A whole search with the lists that ship, although a service is configured: nobody is called."""
    named(tmp_path, bundles["pictures"], lists=["weather"])
    with pytest.raises(InputError, match="nothing may leave this machine until somebody says what"):
        run_candidates(bundles["pictures"], complete_options("candidates", {}), quiet, None)
    monkeypatch.delenv(endpoint.URL)
    allowed = {"allow": "examples", "endpoint": f"tiny at {listener.url}"}
    with pytest.raises(InputError, match="no language model is configured"):
        run_candidates(bundles["texts"], complete_options("candidates", allowed), quiet, None)
    assert (listener.heard, called) == ([], [])


def test_what_was_allowed_to_one_service_goes_to_no_other(
    bundles: dict[str, Bundle], listener: Listener
) -> None:
    wanted = complete_options(
        "candidates", {"allow": "names", "endpoint": "tiny at http://other/v1"}
    )
    with pytest.raises(InputError, match="Allow it anew"):
        run_candidates(bundles["texts"], wanted, quiet, None)
    assert not listener.heard


@pytest.mark.parametrize("allow", ["names", "examples"])
@pytest.mark.parametrize("reads", ["pictures", "texts"])
def test_what_leaves(
    bundles: dict[str, Bundle], listener: Listener, called: list[Any], reads: str, allow: str
) -> None:
    bundle = bundles[reads]
    wanted = {"allow": allow, "endpoint": f"tiny at {listener.url}"}
    _, meta = run_candidates(bundle, complete_options("candidates", wanted), quiet, None)
    classes = failing_classes(bundle, 20)
    assert meta["contexts"] == {one: ["in the dark", "in the light"] for one in classes}
    assert set(called) == {listener.server_address} and len(listener.heard) == len(classes)
    for (headers, body), (label, rows) in zip(listener.heard, classes.items(), strict=True):
        assert headers["Authorization"] == "Bearer sesame"
        sent = json.loads(body)
        assert set(sent) == {"model", "messages", "temperature"} and len(sent["messages"]) == 1
        content = sent["messages"][0]["content"]
        if allow == "names":
            # One sentence with the name of the class: nothing else of the bundle.
            assert isinstance(content, str) and label in content
            assert SECRET not in body and "data:image" not in body
            assert not [one for one in classes if one != label and one in content]
            continue
        shown = content[1:]
        assert 1 <= len(shown) <= 3 and body.count(SECRET) == (
            len(shown) if reads == "texts" else 0
        )
        given = (
            [str(bundle.examples["text"][row]) for row in rows]
            if reads == "texts"
            else [bundle.thumbnail(int(row)) for row in rows]
        )
        for one in shown:  # failures of this class that choose, and no other example
            if reads == "texts":
                assert one["text"] in given
            else:
                assert one["image_url"]["url"].startswith("data:image/png;base64,")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("401", r"refused with 401 Unauthorized: .*bad key ….* ERRORSCOPE_WORDS_KEY"),
        ("elsewhere", "sent on to another address, which is not done"),
        ("silent", "did not answer within 0.3 seconds"),
        ("dripping", "did not answer within 0.3 seconds"),
        ("no JSON", "is no JSON"),
        ("no choice", "is no chat completion"),
        ("no text", "must answer with a text: got int"),
        ("no line", "named no context for 'cat'"),
        ("endless", "more than 1,000,000 bytes"),
        ("away", "cannot be reached: .*refused.*ERRORSCOPE_WORDS_URL"),
    ],
)
def test_what_goes_wrong_is_a_sentence(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, how: str, said: str
) -> None:
    listener.how = how
    if how == "away":
        monkeypatch.setenv(endpoint.URL, "http://127.0.0.1:9/v1")
    there = configured_endpoint()
    assert there is not None and "sesame" not in repr(there)
    with pytest.raises(InputError, match=said) as told:
        ask_for_contexts(there, "cat", reads="pictures", seconds=0.3)
    assert "sesame" not in str(told.value)


@pytest.mark.parametrize(
    ("url", "model", "said"),
    [
        ("ftp://x/v1", "m", "must be an address"),
        ("http://user:word@x/v1", "m", "without a user"),
        ("http://x/v1?key=1", "m", "without a user or a query"),
        ("http://[::1/v1", "m", "must be an address"),
        ("http://x/v1", "", "ERRORSCOPE_WORDS_NAME must name the model"),
    ],
)
def test_a_service_that_is_set_wrong(
    monkeypatch: pytest.MonkeyPatch, url: str, model: str, said: str
) -> None:
    monkeypatch.setenv(endpoint.URL, url)
    monkeypatch.setenv(endpoint.NAME, model)
    with pytest.raises(InputError, match=said) as told:
        configured_endpoint()
    assert "word@" not in str(told.value) and os.environ[endpoint.URL] == url


# --- models, where their packages are installed -----------------------------------------------------


def write_clip(folder: Path) -> None:
    """A CLIP of two layers that nobody taught anything, as transformers keeps one."""
    transformers = pytest.importorskip("transformers", reason="needs pip install 'transformers<5'")
    words = ["<|startoftext|>", "<|endoftext|>", *(f"{one}</w>" for one in "abcdefghijklmnop")]
    (folder / "vocab.json").write_text(json.dumps({word: at for at, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    transformers.CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt")
    ).save_pretrained(folder)
    transformers.CLIPImageProcessor(size=32, crop_size=32).save_pretrained(folder)
    small = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    text = {**small, "vocab_size": len(words), "max_position_embeddings": 12, "eos_token_id": 1}
    config = transformers.CLIPConfig(
        text_config=text,
        vision_config={**small, "image_size": 32, "patch_size": 8},
        projection_dim=8,
    )
    transformers.CLIPModel(config).save_pretrained(folder, safe_serialization=True)


def test_a_clip_in_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, called: list[Any]
) -> None:
    write_clip(tmp_path)
    monkeypatch.setenv(models.FOLDER, str(tmp_path))
    before = models.model_state("folder")
    model = models.open_model("folder")
    seen, read = model.pictures([picture(at) for at in range(17)]), model.texts(["a b", "c", "a b"])
    assert seen.vectors.shape == (17, 8) and read.vectors.shape == (3, 8)
    for one in (seen, read):
        assert np.linalg.norm(one.vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert (
        read.vectors[0] == pytest.approx(read.vectors[2]) and len({*map(tuple, read.vectors)}) == 2
    )
    assert called == []  # everything lies in the folder
    (tmp_path / "model.safetensors").touch()
    assert models.model_state("folder") != before
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="must be a model that transformers can read"):
        models.open_model("folder")


def write_siglip(folder: Path) -> None:
    """A SigLIP that nobody taught anything, with the tokenizer of ``write_clip``."""
    transformers = pytest.importorskip("transformers", reason="needs pip install 'transformers<5'")
    write_clip(folder)
    small = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    text = {
        **small,
        "vocab_size": 20,
        "max_position_embeddings": 12,
        "eos_token_id": 1,
        "pad_token_id": 1,
        "bos_token_id": 0,
    }
    vision = {**small, "image_size": 32, "patch_size": 8}
    config = transformers.SiglipConfig(text_config=text, vision_config=vision)
    transformers.SiglipModel(config).save_pretrained(folder, safe_serialization=True)


@pytest.mark.filterwarnings("ignore")  # the libraries' own, while they are imported
@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_a_transformers_folder_says_what_the_library_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, called: list[Any], kind: str
) -> None:
    {"clip": write_clip, "siglip": write_siglip}[kind](tmp_path)
    monkeypatch.setenv(models.FOLDER, str(tmp_path))
    model = models.open_model("folder")
    import transformers

    net = transformers.AutoModel.from_pretrained(tmp_path).eval()
    shown = [Image.open(io.BytesIO(picture(at))).convert("RGB") for at in range(3)]
    pixels = transformers.AutoImageProcessor.from_pretrained(tmp_path, use_fast=False)
    words = transformers.AutoTokenizer.from_pretrained(tmp_path)
    texts = ["a b c", "d"]
    padded = words(texts, padding="max_length", max_length=12, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        seen = net.get_image_features(**pixels(images=shown, return_tensors="pt"))
        read = net.get_text_features(**padded)
    assert type(net).__name__.lower() == f"{kind}model"
    found = model.pictures([picture(at) for at in range(3)]).vectors, model.texts(texts).vectors
    for ours, theirs in zip(found, (seen, read), strict=True):
        unit = (theirs / theirs.norm(dim=1, keepdim=True)).numpy()
        np.testing.assert_allclose(ours, unit, atol=1e-5)
    assert called == []


@pytest.mark.filterwarnings("ignore")  # the library's own, while it is imported
def test_an_open_clip_folder_says_what_the_library_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, called: list[Any]
) -> None:
    open_clip = pytest.importorskip("open_clip", reason="needs pip install open_clip_torch")
    from safetensors.torch import save_file

    shape = {
        "embed_dim": 16,
        "vision_cfg": {
            "image_size": 32,
            "layers": 2,
            "width": 32,
            "head_width": 16,
            "patch_size": 8,
        },
        "text_cfg": {
            "context_length": 16,
            "vocab_size": 49408,
            "width": 16,
            "heads": 2,
            "layers": 2,
        },
    }
    torch.manual_seed(0)
    net = open_clip.CLIP(**shape).eval()
    told = {
        "model_cfg": shape,
        "preprocess_cfg": {
            "mean": [0.4] * 3,
            "std": [0.3] * 3,
            "interpolation": "bicubic",
            "resize_mode": "shortest",
        },
    }
    (tmp_path / "open_clip_config.json").write_text(json.dumps(told))
    monkeypatch.setenv(models.FOLDER, str(tmp_path))
    (tmp_path / "open_clip_pytorch_model.bin").write_bytes(b"")
    with pytest.raises(InputError, match=r"must hold open_clip_model\.safetensors"):
        models.open_model("folder")
    save_file(net.state_dict(), tmp_path / "open_clip_model.safetensors")
    assert not models.offered_models("pictures")["folder"]
    model = models.open_model("folder")
    see = open_clip.transform.image_transform_v2(
        open_clip.transform.PreprocessCfg(size=32, **told["preprocess_cfg"]), is_train=False
    )
    shown = torch.stack(
        [see(Image.open(io.BytesIO(picture(at))).convert("RGB")) for at in range(18)]
    )
    texts = ["a photo of a boot in the snow", "dark"]
    with torch.inference_mode():
        seen = net.encode_image(shown, normalize=True)
        read = net.encode_text(open_clip.SimpleTokenizer(context_length=16)(texts), normalize=True)
    found = model.pictures([picture(at) for at in range(18)]).vectors
    np.testing.assert_allclose(found, seen.numpy(), atol=1e-5)
    np.testing.assert_allclose(model.texts(texts).vectors, read.numpy(), atol=1e-5)
    assert called == []
    (tmp_path / "open_clip_config.json").write_text("{}")
    with pytest.raises(InputError, match="must be a model that open_clip can read"):
        models.open_model("folder")


def test_a_picture_is_near_the_name_of_what_it_shows(called: list[Any]) -> None:
    if why := models.offered_models("pictures")["conse"]:
        pytest.skip(why)
    model = models.open_model("conse")
    ball, file = Image.new("RGBA", (96, 96)), io.BytesIO()
    ImageDraw.Draw(ball).ellipse((12, 12, 84, 84), fill="orange")
    ball.save(file, "PNG")
    seen = model.pictures([file.getvalue()] * 33)  # more than are read at a time
    near = seen.vectors @ model.texts(["a photo of a ball", "a photo of a dog"]).vectors.T
    assert (near[:, 0] > near[:, 1] + 0.2).all() and (seen.sure > 0.5).all()
    assert called == []
