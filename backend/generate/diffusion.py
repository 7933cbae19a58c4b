"""Pictures by a diffusion model whose weights lie in a folder that whoever runs the server names."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress, share_of

PICTURES_MODEL = "ERRORSCOPE_PICTURES_MODEL"
"""Variable that names a folder with a pipeline as diffusers keeps it."""
INSTALL = "pip install 'diffusers' 'transformers<5'"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True)
class DrawnPicture:
    """One picture: the place of its prompt, its seed, and the PNG."""

    prompt: int
    seed: int
    file: bytes = field(repr=False)


def configured_pictures() -> str:
    """What stands in the way of drawing pictures; "" where nothing does. Nothing is imported for it."""
    folder = os.environ.get(PICTURES_MODEL, "").strip()
    if not folder:
        return (
            f"No model that draws pictures is configured. Whoever runs the server can set {PICTURES_MODEL} "
            f"to a folder with a text-to-image pipeline as diffusers keeps it, and {INSTALL}."
        )
    missing = [one for one in ("diffusers", "transformers") if find_spec(one) is None]
    if missing:
        return f"{PICTURES_MODEL} needs {' and '.join(missing)}, which is not installed: {INSTALL}."
    return ""


def pictures_state() -> str:
    """A text that changes with the weights of the configured model."""
    folder = Path(os.environ.get(PICTURES_MODEL, "").strip() or ".")
    weights = (
        sorted(folder.rglob("*.safetensors")) if (folder / "model_index.json").is_file() else []
    )
    told = [f"{one.name} {one.stat().st_size} {one.stat().st_mtime_ns}" for one in weights]
    return "; ".join([str(folder), *told])


def draw_pictures(
    prompts: Sequence[tuple[str, int]],
    *,
    steps: int = 30,
    seed: int = 0,
    progress: Progress = ignore_progress,
) -> Iterator[DrawnPicture]:
    """Draw pictures one after another.

    Parameters
    ----------
    prompts : sequence of (text, number of pictures)
    steps : int
        Of the scheduler, for each picture.
    seed : int
        The picture ``i``, counted over all prompts, has seed ``seed + i``: the same model gives the same
        picture again.
    progress : Progress
        May raise to stop, between steps too.

    Yields
    ------
    DrawnPicture

    Raises
    ------
    InputError
        If no model is configured, its library is missing, it is no text-to-image pipeline, or it holds
        pickles instead of safetensors.

    References
    ----------
    Rombach et al., High-Resolution Image Synthesis with Latent Diffusion Models, 2022, arXiv:2112.10752.
    """
    pipeline = _pipeline()
    import torch

    total = sum(number for _, number in prompts)
    wanted = [place for place, (_, number) in enumerate(prompts) for _ in range(number)]
    for at, place in enumerate(wanted):
        part = share_of(progress, at / total, (at + 1) / total)
        told = f"drawing picture {at + 1:,} of {total:,}"
        part(0.0, told)
        found = pipeline(
            prompts[place][0],
            num_inference_steps=steps,
            generator=torch.Generator("cpu").manual_seed(seed + at),
            callback_on_step_end=partial(_tick, part, told, steps),
            output_type="pil",
        ).images[0]
        file = io.BytesIO()
        found.convert("RGB").save(file, "PNG")
        yield DrawnPicture(place, seed + at, file.getvalue())


def _tick(
    progress: Progress, told: str, steps: int, pipe: Any, step: int, time: Any, held: dict[str, Any]
) -> dict[str, Any]:
    """Called by the pipeline between two steps; what it may change goes back as it came."""
    progress((step + 1) / steps, told)
    return held


def _pipeline() -> Any:
    """The configured pipeline: local files, safetensors, no code of the folder's."""
    if why := configured_pictures():
        raise InputError(why)
    folder = Path(os.environ[PICTURES_MODEL].strip())
    _check_folder(folder)
    # Read by both libraries when they are imported: nothing is ever fetched.
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
    from diffusers import AutoPipelineForText2Image

    try:
        found = AutoPipelineForText2Image.from_pretrained(
            str(folder), local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, AttributeError) as error:
        raise InputError(
            f"{PICTURES_MODEL} must be a text-to-image pipeline that diffusers can read: {str(error)[:300]}"
        ) from error
    found.set_progress_bar_config(disable=True)
    return found


def _check_folder(folder: Path) -> None:
    index = folder / "model_index.json"
    if not index.is_file():
        raise InputError(
            f"{PICTURES_MODEL} must be a folder with model_index.json: got {str(folder)[:200]!r}."
        )
    try:
        parts = json.loads(index.read_text())
    except ValueError as error:
        raise InputError(f"{PICTURES_MODEL}: model_index.json is no JSON.") from error
    if not isinstance(parts, dict):
        raise InputError(f"{PICTURES_MODEL}: model_index.json must hold an object.")
    own = [
        name
        for name, one in parts.items()
        if isinstance(one, list) and one and (folder / f"{name}/{one[0]}.py").is_file()
    ]
    if own or list(folder.glob("*.py")):
        raise InputError(
            f"{PICTURES_MODEL} must hold no code: got {(own or ['a .py file'])[0]}, which would run here."
        )
    for path in sorted(folder.rglob("*")):
        if path.suffix in _PICKLES and not list(path.parent.glob("*.safetensors")):
            raise InputError(
                f"{PICTURES_MODEL} must hold safetensors: got {path.name}, a pickle, which can run code. "
                "Save the pipeline again with safe_serialization=True."
            )
