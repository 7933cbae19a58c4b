"""A person's yes and no draw the line of a group: rank all examples anew, say whom to ask next."""

from backend.sharpen.sharpen import Sharpened, sharpen

__all__ = ["Sharpened", "sharpen"]
