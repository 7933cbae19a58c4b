"""The demo bundles: where they lie, and how they were made from real data.

Two ship with Errorscope; the others are made on request.
``demo_path`` only names a file. Making one loads torch: its module is imported where it is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from backend.core.arrays import check_choice
from backend.core.home import PROJECT, home_folder
from backend.demo import tours
from backend.demo.tours import TourStep


@dataclass(frozen=True)
class Demo:
    """One demo bundle.

    Attributes
    ----------
    file : str
        Name of its file.
    title : str
        What the bundle is called where it is imported.
    about : str
        One line on what it shows.
    made_by : str
        The module whose ``build`` makes it.
    tour : tuple of TourStep
        Where it opens, the first step, and what is worth a look after that.
    shipped : bool
        Whether the file comes with Errorscope.
    """

    file: str
    title: str
    about: str
    made_by: str
    tour: tuple[TourStep, ...]
    shipped: bool = True


DEMOS: Mapping[str, Demo] = MappingProxyType(
    {
        "fashion": Demo(
            "fashion-mnist.zip",
            "fashion-mnist test",
            "One network on 10,000 photographs of clothes, and where it fails.",
            "backend.demo.fashion",
            tour=tours.FASHION,
        ),
        "compression": Demo(
            "fashion-mnist-compression.zip",
            "fashion-mnist compression",
            "Populations of networks, pruned and rounded, and who pays for it; five stress tests.",
            "backend.demo.compression",
            tour=tours.COMPRESSION,
        ),
        "adult": Demo(
            "adult.zip",
            "adult audit",
            "Income predicted from census answers, by gender, race, age and schooling.",
            "backend.demo.adult",
            shipped=False,
            tour=tours.ADULT,
        ),
        "marked": Demo(
            "fashion-mnist-marked.zip",
            "fashion-mnist marked",
            "A mark that goes with one class in training, and the training images that taught it.",
            "backend.demo.marked",
            shipped=False,
            tour=tours.MARKED,
        ),
        "reviews": Demo(
            "reviews.zip",
            "clothing reviews",
            "Whether a review recommends what was bought: 6,792 texts, and the words of each failure.",
            "backend.demo.domains.reviews",
            shipped=False,
            tour=tours.REVIEWS,
        ),
        "films": Demo(
            "films.zip",
            "film ratings",
            "A recommender on 10,000 ratings of films (MovieLens-100k), with averages of films and users.",
            "backend.demo.domains.films",
            shipped=False,
            tour=tours.FILMS,
        ),
        "houses": Demo(
            "houses.zip",
            "house prices",
            "House prices of California: a regression, and where on the map it is far off.",
            "backend.demo.domains.houses",
            shipped=False,
            tour=tours.HOUSES,
        ),
        "emoji": Demo(
            "emoji.zip",
            "emoji in five tones",
            "Emoji by two artists: learned in yellow, asked in five skin tones.",
            "backend.demo.domains.emoji",
            shipped=False,
            tour=tours.EMOJI,
        ),
        "flipped": Demo(
            "flipped.zip",
            "clothes with wrong labels",
            "Clothes of which a fifth are called something else: confidence over training, and VoG.",
            "backend.demo.domains.flipped",
            shipped=False,
            tour=tours.FLIPPED,
        ),
    }
)
"""Demos by name, the one that opens by itself first."""


def demo_called(title: str) -> Demo | None:
    """The demo that a bundle of this name is; None where it is none."""
    return next((demo for demo in DEMOS.values() if demo.title == title), None)


def demo_path(name: str = "fashion") -> Path:
    """File of a demo bundle, ready for ``backend.bundle.import_bundle`` where it exists.

    Parameters
    ----------
    name : str
        A name of ``DEMOS``. Those that are not shipped have their place in the home folder, and are
        there once ``python -m backend demo NAME`` or a click has made them.

    Raises
    ------
    InputError
        If there is no demo of that name.
    """
    check_choice("demo", name, tuple(DEMOS))
    demo = DEMOS[name]
    folder = PROJECT / "assets" / "demo" if demo.shipped else home_folder() / "demo"
    return folder / demo.file


__all__ = ["DEMOS", "Demo", "TourStep", "demo_called", "demo_path"]
