"""Examples that did not exist: variations by a small network trained here, pictures by a model of the server's."""

from backend.generate.diffusion import (
    PICTURES_MODEL,
    DrawnPicture,
    configured_pictures,
    draw_pictures,
    pictures_state,
)
from backend.generate.prompts import prompt_lines

__all__ = [
    "PICTURES_MODEL",
    "DrawnPicture",
    "configured_pictures",
    "draw_pictures",
    "pictures_state",
    "prompt_lines",
]
