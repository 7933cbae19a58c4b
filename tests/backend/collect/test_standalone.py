"""The collector as one file: it needs numpy, and torch for torch models, and nothing of the project."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from backend.bundle import read_bundle
from backend.collect import standalone
from backend.collect.standalone import FILE_NAME, MODULES
from backend.core.errors import BackendError

ELSEWHERE = '''
import sys

KNOWN = {*sys.stdlib_module_names, "numpy", "collector", "mine"}

class Blocker:
    """Lets in the standard library, numpy, and what is said later."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in KNOWN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
sys.path.insert(0, sys.argv[1])
import collector
import numpy as np

X = np.arange(40.0).reshape(20, 2)
given = lambda x: {"embeddings": x, "logits": np.concatenate([x, -x[:, :1]], 1)}
told = collector.collect(given, (X, np.arange(20) % 3), out=sys.argv[1] + "/numbers.npz")
print(told.n, "torch" in sys.modules)

KNOWN |= {"torch", "typing_extensions", "sympy", "mpmath", "networkx", "jinja2", "markupsafe",
          "filelock", "fsspec", "setuptools", "_distutils_hack", "functorch", "torchgen"}
import torch
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(2, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))
data = torch.utils.data.TensorDataset(torch.from_numpy(X).float(), torch.arange(20) % 3)
loader = torch.utils.data.DataLoader(data, 8)
states = [net.state_dict(), {k: v + 1 for k, v in net.state_dict().items()}]
told = collector.collect(net, loader, out=sys.argv[1] + "/net", train=loader, checkpoints=states,
                         images=np.zeros((20, 3, 3), np.uint8), texts=["a"] * 20)
print(told.n, sorted(m for m in ("backend", "streamlit", "pandas", "pyarrow", "PIL") if m in sys.modules))
'''


def test_it_runs_where_nothing_else_is_installed(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(standalone(), encoding="utf-8")
    (tmp_path / "elsewhere.py").write_text(ELSEWHERE, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-I", "-W", "ignore", str(tmp_path / "elsewhere.py"), str(tmp_path)],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["20 False", "20 []"]
    numbers, net = read_bundle(tmp_path / "numbers.npz"), read_bundle(tmp_path / "net")
    assert numbers.embeddings.tolist() == np.arange(40.0).reshape(20, 2).tolist()
    assert net.d == 5 and net.has_images and net.has_text and net.extras["vog"].shape == (20,)
    assert net.train["embeddings"].shape == (20, 5)


def test_it_is_a_command(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(standalone(), encoding="utf-8")
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "def evaluated():\n"
        "    x = np.arange(12.0).reshape(6, 2)\n"
        "    model = lambda x: {'embeddings': x, 'predictions': x[:, 0]}\n"
        "    return model, (x, x[:, 1]), {'texts': list('abcdef')}\n"
    )
    run = [sys.executable, FILE_NAME, "mine:evaluated", "--out", "run.zip"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
    assert "run.zip: 6 examples, 2 dimensions, mean loss 1\n" in done.stdout
    bundle = read_bundle(tmp_path / "run.zip")
    assert bundle.losses.tolist() == [1.0] * 6 and bundle.examples["text"].tolist() == list(
        "abcdef"
    )
    run[2] = "mine:absent"
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and "error: mine has no function 'absent'." in done.stderr


def test_it_is_every_module_once() -> None:
    folder = Path(standalone.__code__.co_filename).parent
    own = {path.stem for path in folder.glob("*.py")} - {"__init__", "standalone"}
    assert own == {*MODULES}
    tree = ast.parse(standalone())
    named = Counter(
        node.name for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))
    )
    assert not {name: count for name, count in named.items() if count > 1}
    constants = [
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    assert len(constants) == len(set(constants))
    imported = {
        node.module.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
    }
    imported |= {
        name.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for name in node.names
    }
    assert imported - {*sys.stdlib_module_names} == {"numpy", "torch"}


def test_its_errors_are_input_errors_in_the_backend() -> None:
    from backend.bundle import collect

    with pytest.raises(BackendError, match="a fitted scikit-learn estimator or a function"):
        collect(None, [])
