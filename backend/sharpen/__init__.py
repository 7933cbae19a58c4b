"""A person's yes and no draw the line of a group: rank all examples anew, say whom to ask next."""

from backend.sharpen.answers import ANSWERS, Tally, tally
from backend.sharpen.counting import cut_precision
from backend.sharpen.learner import principal_parts
from backend.sharpen.sharpen import Sharpened, ranking, sharpen
from backend.sharpen.start import start_members, start_of_scores, start_ranking

__all__ = [
    "ANSWERS",
    "Sharpened",
    "Tally",
    "cut_precision",
    "principal_parts",
    "ranking",
    "sharpen",
    "start_members",
    "start_of_scores",
    "start_ranking",
    "tally",
]
