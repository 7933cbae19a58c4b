"""The bundle that ships with Errorscope: where it lies, and how it was made from real data.

``demo_path`` only names a file. Training it again (``backend.demo.fashion.build``) loads torch and
is imported where it is called.
"""

from __future__ import annotations

from pathlib import Path

from backend.core.arrays import check_choice
from backend.core.home import PROJECT

DEMOS = {"fashion": "fashion-mnist.zip"}


def demo_path(name: str = "fashion") -> Path:
    """File of the shipped demo bundle, ready for ``backend.bundle.import_bundle``.

    Parameters
    ----------
    name : str
        ``"fashion"``: a small network on the 10 000 test images of Fashion-MNIST.

    Raises
    ------
    InputError
        If there is no demo of that name.
    """
    check_choice("demo", name, tuple(DEMOS))
    return PROJECT / "assets" / "demo" / DEMOS[name]


__all__ = ["DEMOS", "demo_path"]
