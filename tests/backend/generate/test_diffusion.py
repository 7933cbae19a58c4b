"""Pictures by a configured pipeline: a tiny one that nobody taught, honest refusals, nothing fetched."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from backend.core.errors import InputError
from backend.generate import (
    PICTURES_MODEL,
    configured_pictures,
    diffusion,
    draw_pictures,
    pictures_state,
    prompt_lines,
)


def write_pipeline(folder: Path) -> None:
    """A Stable Diffusion of a few thousand weights, as diffusers keeps one."""
    diffusers = pytest.importorskip("diffusers", reason="needs pip install diffusers")
    transformers = pytest.importorskip("transformers", reason="needs pip install 'transformers<5'")
    import torch

    torch.manual_seed(0)
    folder.mkdir()
    words = ["<|startoftext|>", "<|endoftext|>", *(f"{one}</w>" for one in "abcdefghijklmnop")]
    (folder / "vocab.json").write_text(json.dumps({word: at for at, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=12
    )
    (folder / "vocab.json").unlink()
    (folder / "merges.txt").unlink()
    text = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            vocab_size=len(words), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
            num_attention_heads=2, max_position_embeddings=12, eos_token_id=1, bos_token_id=0, pad_token_id=1,
        )
    )  # fmt: skip
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(8, 16), layers_per_block=1, sample_size=16, in_channels=4, out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), norm_num_groups=4,
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=16, attention_head_dim=2,
    )  # fmt: skip
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8), in_channels=3, out_channels=3, latent_channels=4, norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    pipeline = diffusers.StableDiffusionPipeline(
        vae=vae, text_encoder=text, tokenizer=tokenizer, unet=unet, scheduler=diffusers.DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_pretrained(folder, safe_serialization=True)


@pytest.mark.filterwarnings("ignore")  # the library's own, while it is imported
def test_a_pipeline_in_a_folder_draws_the_same_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pipeline(tmp_path / "model")
    called: list[Any] = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: called.append(address))
    monkeypatch.setenv(PICTURES_MODEL, str(tmp_path / "model"))
    assert configured_pictures() == "" and "safetensors" in pictures_state()
    said: list[tuple[float, str]] = []

    def heard(share: float, message: str) -> None:
        said.append((share, message))

    found = list(draw_pictures([("a b", 2), ("c", 1)], steps=3, seed=7, progress=heard))
    assert [(one.prompt, one.seed) for one in found] == [(0, 7), (0, 8), (1, 9)]
    assert len({one.file for one in found}) == 3 and found[0].file.startswith(b"\x89PNG")
    assert [one for one, _ in said] == sorted(one for one, _ in said) and said[-1][0] == 1
    assert said[-1][1] == "drawing picture 3 of 3"
    again = list(draw_pictures([("c", 1)], steps=3, seed=9))
    assert again[0].file == found[2].file and called == []

    class Stopped(Exception):
        pass

    def stop(share: float, message: str) -> None:
        if share > 0.3:
            raise Stopped

    with pytest.raises(Stopped):
        list(draw_pictures([("a", 1)], steps=3, progress=stop))


@pytest.fixture
def both_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diffusion, "find_spec", lambda name: True)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "a folder with model_index.json"),
        ({"model_index.json": "{"}, "is no JSON"),
        ({"model_index.json": "[]"}, "must hold an object"),
        ({"model_index.json": '{"unet": ["mine", "Net"]}', "unet/mine.py": ""}, "must hold no code: got unet"),
        ({"model_index.json": "{}", "pipeline.py": ""}, "must hold no code"),
        ({"model_index.json": "{}", "unet/weights.bin": ""}, "got weights.bin, a pickle"),
    ],
)  # fmt: skip
def test_folders_that_are_no_pipeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, both_installed: None, files: Any, said: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.setenv(PICTURES_MODEL, str(tmp_path))
    with pytest.raises(InputError, match=said):
        list(draw_pictures([("a", 1)]))


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PICTURES_MODEL, raising=False)
    assert "No model that draws pictures is configured" in configured_pictures()
    monkeypatch.setenv(PICTURES_MODEL, str(tmp_path))
    monkeypatch.setattr(diffusion, "find_spec", lambda name: None)
    assert (
        "diffusers and transformers, which is not installed: pip install" in configured_pictures()
    )
    with pytest.raises(InputError, match="not installed"):
        list(draw_pictures([("a", 1)]))


def test_prompts_of_contexts_and_as_many_of_the_class_alone() -> None:
    lines = [
        {"label": "Wallet", "context": "in a jungle", "count": 3},
        {"label": "Wallet", "context": "in red", "count": 1},
        {"label": "Wallet", "context": "in a jungle", "count": 2},
        {"label": "7", "context": "in snow", "count": 1},
    ]
    table = prompt_lines(lines)
    said = table[["set", "prompt", "examples"]].to_numpy().tolist()
    assert said == [
        ["targeted", "A photo of a wallet in a jungle", 25],
        ["targeted", "A photo of a wallet in red", 5],
        ["targeted", "A photo of a thing, 7 in snow", 5],
        ["random", "A photo of a wallet", 30],
        ["random", "A photo of a thing, 7", 5],
    ]
    each = prompt_lines(lines, examples=4, per="context", reads="texts")
    assert each["examples"].tolist() == [4, 4, 4, 8, 4]
    assert each["prompt"][1] == "A text of the kind wallet in red"
    assert prompt_lines([]).empty
    for options in ({"examples": 0}, {"per": "class"}, {"reads": "sounds"}):
        with pytest.raises(InputError):
            prompt_lines(lines, **options)
