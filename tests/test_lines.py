"""Lines that nobody should have to remember: who may import what, and that everything is documented."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
TOPICS = (
    "spotlight", "slices", "populations", "difficulty", "attribution", "describe", "repair",
)  # fmt: skip
PUBLIC = (
    "backend.bundle", "backend.spotlight", "backend.describe", "backend.populations",
    "backend.difficulty", "backend.store", "backend.export", "backend.report", "backend.slices",
    "backend.rules", "backend.views",
)  # fmt: skip


def imports_of(path: Path) -> set[str]:
    """Dotted names of everything a file imports, wherever the import stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module} | {f"{node.module}.{name.name}" for name in node.names}
    return found


def files(folder: str) -> list[Path]:
    return sorted((PROJECT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", files("backend"), ids=lambda path: str(path.relative_to(PROJECT)))
def test_the_backend_knows_no_page_and_no_streamlit(path):
    roots = {name.split(".")[0] for name in imports_of(path)}
    assert not roots & {"streamlit", "pages", "app"}


@pytest.mark.parametrize("path", files("pages"), ids=lambda path: str(path.relative_to(PROJECT)))
def test_pages_import_no_torch(path):
    assert not {name.split(".")[0] for name in imports_of(path)} & {"torch", "umap", "sklearn"}


@pytest.mark.parametrize("topic", TOPICS)
def test_topics_do_not_import_one_another(topic):
    for path in files(f"backend/{topic}"):
        others = {
            name
            for name in imports_of(path)
            if name.startswith("backend.")
            and name.split(".")[1] not in (topic, "core")
            and len(name.split(".")) > 1
        }
        assert not others, (path, others)


def test_what_pages_import_loads_neither_torch_nor_umap():
    modules = [
        ".".join(path.relative_to(PROJECT).with_suffix("").parts)
        for path in files("pages/components")
        if path.name != "__init__.py"
    ]
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "print([m for m in ('torch', 'umap', 'numba', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", PUBLIC)
def test_everything_public_is_documented(name):
    module = importlib.import_module(name)
    assert module.__doc__
    for member in module.__all__:
        value = getattr(module, member)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), f"{name}.{member} says nothing of itself"


def test_the_readme_names_every_setting():
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    used = set()
    for path in [*files("backend"), *files("pages")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                used |= {word for word in [node.value] if word.startswith("ERRORSCOPE_")}
    missing = sorted(word for word in used if word.isupper() and word not in readme)
    assert not missing
