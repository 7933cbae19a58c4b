"""The collector as one file, to be copied beside the training code."""

from __future__ import annotations

import ast
from pathlib import Path

MODULES = (
    "errors",
    "spool",
    "outputs",
    "projection",
    "media",
    "seen",
    "checks",
    "torch_model",
    "torch_gradients",
    "estimators",
    "training",
    "gathering",
    "collecting",
    "command",
)
"""The modules of this package that go into the file, each after those that it imports."""
FILE_NAME = "collector.py"

SNIPPET = """\
from torch.utils.data import DataLoader

from collector import collect

loader = DataLoader(held_out, batch_size=256)
print(collect(model, loader, out="bundle.npz", classes=names))
"""
"""What to write beside the training code, once the file lies there."""
OF_ARRAYS = """\
from collector import collect

collect(fitted, (X_test, y_test), out="sklearn.npz")


def answers(x):
    return {"embeddings": hidden(x), "probabilities": scores(x)}


collect(answers, (X_test, y_test), out="function.npz")
"""
"""The same for a fitted scikit-learn model, and for a function of arrays."""

HEAD = '''"""Collects a bundle for Errorscope from a model and a loader, beside your training code.

Needs numpy, and torch for torch models; nothing of Errorscope.

    from collector import collect

    collect(model, loader, out="bundle.npz", classes=names)

or, for a function ``evaluated`` in ``train.py`` that returns (model, loader):

    python collector.py train:evaluated --out bundle.npz

Then drop the file on the Bundles page of Errorscope. ``help(collect)`` lists every option. This
file is put together from the modules of ``backend/collect``: change those, and write it anew.
"""

from __future__ import annotations

'''
TAIL = """

if __name__ == "__main__":
    raise SystemExit(main())
"""


def standalone() -> str:
    """The source of one file with every module of this package, which imports none of the project.

    Examples
    --------
    >>> "from backend" in standalone()
    False
    """
    whole: set[str] = set()
    names: dict[str, set[str]] = {}
    bodies = []
    for module in MODULES:
        path = Path(__file__).with_name(f"{module}.py")
        source = path.read_text(encoding="utf-8")
        nodes = ast.parse(source).body
        start = next(number for number, node in enumerate(nodes) if not _is_head(node))
        for node in nodes[:start]:
            if isinstance(node, ast.Import):
                whole |= {_told(one) for one in node.names}
            elif isinstance(node, ast.ImportFrom) and not _is_own(node):
                names.setdefault(str(node.module), set()).update(map(_told, node.names))
        body = source.splitlines()[_first_line(nodes[start]) - 1 :]
        rule = f"# --- {module}: {ast.get_docstring(ast.parse(source))}".partition("\n")[0]
        bodies.append("\n".join([rule, "", *body]).rstrip() + "\n")
    imports = [f"import {name}" for name in sorted(whole)]
    imports += [
        f"from {module} import {', '.join(sorted(of))}" for module, of in sorted(names.items())
    ]
    typed = "\n\nif TYPE_CHECKING:\n    import torch\n"
    return HEAD + "\n".join(imports) + typed + "\n\n" + "\n\n".join(bodies) + TAIL


def _is_head(node: ast.stmt) -> bool:
    """Whether a statement is the docstring, an import, or an import for type checkers alone."""
    return isinstance(node, (ast.Import, ast.ImportFrom, ast.If)) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )


def _told(name: ast.alias) -> str:
    return name.name + (f" as {name.asname}" if name.asname else "")


def _is_own(node: ast.ImportFrom) -> bool:
    return str(node.module).startswith("backend.") or node.module == "__future__"


def _first_line(node: ast.stmt) -> int:
    decorators = getattr(node, "decorator_list", [])
    return int(min([node.lineno, *(one.lineno for one in decorators)]))
