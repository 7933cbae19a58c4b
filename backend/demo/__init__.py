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
    shipped : bool
        Whether the file comes with Errorscope.
    """

    file: str
    title: str
    about: str
    made_by: str
    shipped: bool = True


DEMOS: Mapping[str, Demo] = MappingProxyType(
    {
        "fashion": Demo(
            "fashion-mnist.zip",
            "fashion-mnist test",
            "One network on 10,000 photographs of clothes, and where it fails.",
            "backend.demo.fashion",
        ),
        "compression": Demo(
            "fashion-mnist-compression.zip",
            "fashion-mnist compression",
            "Populations of networks, pruned and rounded, and who pays for it; five stress tests.",
            "backend.demo.compression",
        ),
        "adult": Demo(
            "adult.zip",
            "adult audit",
            "Income predicted from census answers, by gender, race, age and schooling.",
            "backend.demo.adult",
            shipped=False,
        ),
        "marked": Demo(
            "fashion-mnist-marked.zip",
            "fashion-mnist marked",
            "A mark that goes with one class in training, and the training images that taught it.",
            "backend.demo.marked",
            shipped=False,
        ),
    }
)
"""Demos by name, the one that opens by itself first."""


def demo_path(name: str = "fashion") -> Path:
    """File of a demo bundle, ready for ``backend.bundle.import_bundle`` where it exists.

    Parameters
    ----------
    name : str
        ``"fashion"``, ``"compression"``, ``"adult"`` or ``"marked"``. The last two are not shipped:
        their place is in the home folder, and they are there once ``python -m backend demo adult``
        or ``demo marked`` has made them.

    Raises
    ------
    InputError
        If there is no demo of that name.
    """
    check_choice("demo", name, tuple(DEMOS))
    demo = DEMOS[name]
    folder = PROJECT / "assets" / "demo" if demo.shipped else home_folder() / "demo"
    return folder / demo.file


__all__ = ["DEMOS", "Demo", "demo_path"]
