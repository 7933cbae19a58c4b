"""Lines that nobody should have to remember: who may import what, and that everything is documented.

Lists of exceptions are exact. Where a test finds that an entry is no longer needed it fails as it
does for a new offence: take the entry out.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from backend.bundle import import_bundle, read_bundle
from backend.cli.main import main
from backend.collect import OF_ARRAYS, SNIPPET
from backend.core import statistics
from backend.slices import METHODS

PROJECT = Path(__file__).parents[1]
README = (PROJECT / "README.md").read_text(encoding="utf-8")
DOCS = PROJECT / "assets" / "docs"


# --- the files, each parsed once ------------------------------------------------------------------


def python_files(folder: str) -> list[Path]:
    found = sorted((PROJECT / folder).rglob("*.py"))
    assert found, f"{folder} holds no file: a test over it could not fail"
    return found


BACKEND, PAGES = python_files("backend"), python_files("pages")
SOURCES = [*BACKEND, *PAGES, PROJECT / "app.py"]


def place(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in SOURCES}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree_of(path)))


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Dotted names of everything a file imports, wherever the import stands."""
    found = set()
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{place(path)} imports relatively: names are written in full"
            found |= {f"{node.module}.{name.name}" for name in node.names}
    return frozenset(found)


def named_in(path: Path) -> set[str]:
    """Modules that a file names in a text, as in ``"backend.tasks.words:run_words"``."""
    return {
        node.value.partition(":")[0]
        for node in nodes_of(path)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"backend(\.\w+)+(:\w+)?", node.value)
    }


def our_module(name: str) -> str | None:
    """The module of ours that a dotted name is, or is a part of."""
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name or None


def room_of(module: str) -> str:
    """The folder that a module stands in: ``backend.core``, ``pages.components.map``, ``pages``."""
    parts = module.split(".")
    if parts[0] == "backend":
        return ".".join(parts[:2])
    return ".".join(parts[:3]) if parts[:2] == ["pages", "components"] else parts[0]


# --- who may import what --------------------------------------------------------------------------

TOPICS = (
    "spotlight",
    "slices",
    "populations",
    "difficulty",
    "sharpen",
    "describe",
    "repair",
    "attribution",
    "before_after",
    "map",
)
ARROWS = {
    # Each room with the rooms that it uses, every one of which stands in a row above.
    "backend.core": "",
    "backend": "core",
    "backend.spotlight": "core",
    "backend.slices": "core",
    "backend.populations": "core",
    "backend.difficulty": "core",
    "backend.sharpen": "core",
    "backend.describe": "core",
    "backend.repair": "core",
    "backend.generate": "core",
    "backend.imagetext": "core",
    "backend.attribution": "core",
    "backend.before_after": "core",
    "backend.map": "core",
    "backend.store": "core",
    "backend.locks": "core store",
    "backend.demo": "core",
    "backend.collect": "",
    "backend.bundle": "core difficulty collect locks",
    "backend.access": "core bundle store",
    "backend.cache": "core",
    "backend.retraining": "core attribution spotlight demo collect bundle cache",
    "backend.scores": "core bundle difficulty populations",
    "backend.rules": "core bundle describe scores",
    "backend.views": "core bundle scores rules sharpen map",
    "backend.export": "backend core bundle cache store rules spotlight sharpen",
    "backend.report": "backend core bundle store rules export spotlight describe map",
    "backend.tasks": "core bundle cache store demo scores rules report spotlight slices populations difficulty sharpen describe repair generate before_after imagetext map attribution export retraining",
    "backend.jobs": "core bundle cache tasks locks",
    "backend.cli": "core collect bundle cache store demo export report tasks spotlight sharpen difficulty describe retraining",
    "backend.__main__": "cli",
    "pages.components": "",
    "pages.components.door": "",
    "pages.components.shared": "door",
    "pages.components.view": "shared",
    "pages.components.gallery": "shared",
    "pages.components.group": "shared gallery",
    "pages.components.map": "shared gallery view",
    "pages.components.bundles": "shared gallery",
    "pages.components.before_after": "shared",
    "pages.components.hardest": "shared gallery group view",
    "pages.components.compression": "shared gallery group",
    "pages.components.subgroups": "shared",
    "pages.components.stress": "shared gallery group",
    "pages.components.spotlights": "shared gallery",
    "pages.components.repair": "shared group spotlights",
    "pages.components.flagged": "shared gallery group spotlights",
    "pages.components.training_data": "shared gallery group spotlights",
    "pages": "shared view gallery group map bundles before_after hardest compression stress subgroups spotlights flagged training_data repair",
    "app": "door shared bundles gallery",
}
NO_PAGE_USES = {"backend.cli", "backend.__main__"}
"""Everything else of the backend is open to pages, as far as it loads no torch."""


def allowed(room: str) -> set[str]:
    """The rooms of its own side, front or back, that a room may use."""
    side = "backend" if room.startswith("backend") else "pages.components"
    return {one if one == side else f"{side}.{one}" for one in ARROWS[room].split()}


@cache
def used_rooms() -> dict[str, dict[str, set[str]]]:
    """For each room the other rooms that its files name, with the files that do."""
    found: dict[str, dict[str, set[str]]] = {room: {} for room in map(room_of, MODULES)}
    for module, path in MODULES.items():
        for name in imports_of(path) | named_in(path):
            target = our_module(name)
            if target is not None and room_of(target) != room_of(module):
                files = found[room_of(module)].setdefault(room_of(target), set())
                files.add(f"{place(path)} uses {target}")
    return found


def test_every_room_has_its_row():
    assert set(ARROWS) == set(used_rooms())


@pytest.mark.parametrize("room", ARROWS)
def test_rooms_use_the_rooms_of_their_row(room):
    below = list(ARROWS)[: list(ARROWS).index(room)]
    assert allowed(room) <= set(below), "a room may only use rooms of the rows above its own"
    used = used_rooms()[room]
    ours = {name for name in used if name.startswith("backend") == room.startswith("backend")}
    assert ours == allowed(room), {name: used.get(name) for name in ours ^ allowed(room)}


@pytest.mark.parametrize("room", [room for room in ARROWS if not room.startswith("backend")])
def test_pages_use_the_backend_and_never_the_other_way_round(room):
    used = used_rooms()[room]
    assert not NO_PAGE_USES & set(used), used
    assert not [
        one for one, rooms in used_rooms().items() if one[:7] == "backend" and room in rooms
    ]


@pytest.mark.parametrize("topic", TOPICS)
def test_topics_use_core_alone(topic):
    assert (PROJECT / "backend" / topic).is_dir()
    assert ARROWS[f"backend.{topic}"] == "core"


def test_no_file_imports_itself_by_a_detour():
    arrows = {
        module: {
            target for target in map(our_module, imports_of(path)) if target not in (None, module)
        }
        for module, path in MODULES.items()
    }
    assert sum(map(len, arrows.values())) > 500
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as circle:
        pytest.fail(" <- ".join(circle.args[1]))


@pytest.mark.parametrize("path", BACKEND, ids=place)
def test_the_backend_knows_no_page_and_no_streamlit(path):
    roots = {name.split(".")[0] for name in imports_of(path)}
    assert not roots & {"streamlit", "plotly", "pages", "app"}


@pytest.mark.parametrize("path", [*PAGES, PROJECT / "app.py"], ids=place)
def test_pages_import_no_torch(path):
    assert not {name.split(".")[0] for name in imports_of(path)} & {"torch", "umap", "sklearn"}


def test_what_pages_import_loads_neither_torch_nor_umap():
    modules = [module_of(path) for path in python_files("pages/components")]
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "print([m for m in ('torch', 'umap', 'numba', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


# --- where things stand ---------------------------------------------------------------------------

MOST_FILES = 16
CROWDED = {
    "backend/bundle": "one file per form of upload and per check, in one straight line",
    "backend/core": "small files that know no room, each one thing that every topic stands on",
    "backend/tasks": "one file per task, beside the table and what several tasks share",
    "backend/spotlight/regions": "the stages of one search, a file each, in the order they run",
    "pages/components/shared": "what every page stands on, a small file for each thing",
}


def folders() -> dict[str, int]:
    """Python files of each folder of the backend and of the components, doors not counted."""
    counts: dict[str, int] = defaultdict(int)
    for path in SOURCES:
        if path.parent != PROJECT and not path.stem.startswith("__"):
            counts[place(path.parent)] += 1
    return dict(counts)


def test_no_folder_is_a_drawer():
    assert {name for name, count in folders().items() if count > MOST_FILES} == set(CROWDED)


@pytest.mark.parametrize("folder", ["backend", "pages/components"])
def test_nothing_stands_outside_the_rooms(folder):
    loose = {path.name for path in (PROJECT / folder).glob("*.py")}
    assert loose <= {"__init__.py", "__main__.py"}


def test_every_file_of_pages_is_a_page():
    assert {path.stem for path in (PROJECT / "pages").glob("*.py")} == set(pages())


@pytest.mark.parametrize("name", [one for one in ARROWS if "." in one and one[-2:] != "__"])
def test_every_room_says_what_it_is(name):
    door = MODULES[name]
    assert door.name == "__init__.py" and ast.get_docstring(tree_of(door))


# --- one meaning per name -------------------------------------------------------------------------


def test_files_of_tests_have_names_of_their_own():
    """pytest imports them by these."""
    names = [path.name for path in (PROJECT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names)), sorted(names)


def test_a_class_name_means_one_thing():
    homes = defaultdict(list)
    for path in SOURCES:
        for node in tree_of(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(place(path))
    several = {name: found for name, found in homes.items() if len(found) > 1}
    assert not several


# --- pages ask and show ---------------------------------------------------------------------------

HANDLED = {
    # Making, joining, ordering and choosing rows, and rounding for the screen.
    "array", "asarray", "ascontiguousarray", "arange", "linspace", "zeros", "ones", "empty",
    "full", "append", "concatenate", "stack", "column_stack", "repeat", "tile", "indices",
    "ndindex", "ix_", "unique", "sort", "argsort", "lexsort", "searchsorted", "take",
    "flatnonzero", "where", "select", "isin", "intersect1d", "array_equal", "any", "all",
    "isfinite", "isinf", "isnan", "nan_to_num", "count_nonzero", "fill_diagonal", "minimum",
    "maximum", "clip", "round", "rint", "packbits", "unpackbits", "frombuffer", "ndarray",
    "float32", "float64", "int32", "int64", "uint8", "uint16", "bool_", "str_", "object_",
    "nan", "inf", "DataFrame", "Series", "Index", "concat", "isna", "notna", "to_datetime",
}  # fmt: skip
COMPUTED = {
    # Methods that make one number of many.
    "mean", "std", "var", "median", "sum", "cumsum", "prod", "cumprod", "dot", "groupby",
    "agg", "aggregate", "value_counts", "quantile", "percentile", "corr", "cov", "rank",
    "pivot", "pivot_table", "crosstab", "nunique", "diff", "pct_change", "argmax", "argmin",
    "idxmax", "idxmin",
}  # fmt: skip


def computed_in(path: Path) -> set[str]:
    """Calls that make new numbers: methods that reduce, numpy and pandas beyond ``HANDLED``, ``@``."""
    found = set()
    for node in nodes_of(path):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
            found.add("@")
        elif isinstance(node, ast.Attribute):
            root = node.value.id if isinstance(node.value, ast.Name) else ""
            if root in ("np", "pd") and node.attr not in HANDLED:
                found.add(f"np.{node.attr}")
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Attribute) and called.attr in COMPUTED:
            found.add(f".{called.attr}")
    return found


@pytest.mark.parametrize("path", [*PAGES, PROJECT / "app.py"], ids=place)
def test_what_a_click_does_is_a_callback(path):
    """A run that finds a button pressed may be ended before it comes there, and the click is lost."""
    acted_on = [
        node.lineno
        for parent in nodes_of(path)
        if isinstance(parent, ast.If | ast.IfExp | ast.Assign | ast.BoolOp)
        for node in ast.walk(
            parent.value if isinstance(parent, ast.Assign) else condition_of(parent)
        )
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("button", "form_submit_button")
    ]
    assert acted_on == []


def condition_of(node: ast.If | ast.IfExp | ast.BoolOp) -> ast.expr:
    return node if isinstance(node, ast.BoolOp) else node.test


@pytest.mark.parametrize("path", PAGES, ids=place)
def test_pages_do_no_arithmetic(path):
    assert not computed_in(path), "it is a function of the backend that has not been written"


# --- numbers in sentences -------------------------------------------------------------------------

NUMBER = re.compile(r"(?<![\w.#-])(\d*\.?\d+)(?![\w])( %)?")
NO_CHOICE = re.compile(
    # Years of a source, places in it, arXiv; what plotly fills in.
    r"(?:et al\.|[A-Z][\w’']+,?) \(?(?:19|20)\d\d|arXiv:[\d.]+|(?:section|table|figure) [\d.]+"
    r"|%\{[^}]*\}|\((?:19|20)\d\d\)"
)
ENDS_OF_SCALES = {"0", "1"}
INTERVAL = "95 %"
OF_THE_PAPER = "what d'Eon et al. 2021 did, whatever is set here"
RANGE = "the largest distance of two sets of shares, by its definition"
NUMBERS = {
    ("pages/components/compression/examples.py", "2"): RANGE,
    ("pages/components/flagged/blind.py", "50 %"): "guessing between two",
    ("pages/components/gallery/keyboard.py", "9"): "the digits of a keyboard",
    ("pages/components/gallery/media.py", "31536000"): "a header of HTTP, which nobody is shown",
    ("pages/components/spotlights/fitting.py", "0.1"): OF_THE_PAPER,
    ("pages/components/spotlights/fitting.py", "10 %"): OF_THE_PAPER,
    ("pages/components/spotlights/fitting.py", "10"): OF_THE_PAPER,
    ("pages/components/spotlights/fitting.py", "2"): "the kernel's formula",
    ("pages/components/spotlights/fitting.py", "300"): OF_THE_PAPER,
    ("pages/components/spotlights/fitting.py", "000"): OF_THE_PAPER,
    ("pages/components/spotlights/fitting.py", "1000"): OF_THE_PAPER,
    ("pages/components/spotlights/methods.py", "2"): "an example of the sign that it explains",
    ("pages/components/spotlights/overlap.py", "217"): "a colour",
    ("pages/components/spotlights/overlap.py", "119"): "a colour",
    ("pages/components/spotlights/overlap.py", "6"): "a colour",
    ("pages/compression.py", "2"): RANGE,
}
"""Numbers that may stand in a sentence as they are, and why."""
STILL_WRITTEN = {
    "pages/components/spotlights/fitting.py": "5000",
    "pages/components/spotlights/trust.py": "30",
}
"""Numbers that sentences still spell out although a setting or a threshold of the backend has them."""


def sentences(path: Path) -> Iterator[str]:
    """Texts of a file that somebody may read: more than one word, neither docstring nor format."""
    silent = set()
    for node in nodes_of(path):
        if isinstance(node, ast.Expr):
            silent.add(node.value)
        elif isinstance(node, ast.FormattedValue) and node.format_spec is not None:
            silent |= set(ast.walk(node.format_spec))
    for node in nodes_of(path):
        said = node.value if isinstance(node, ast.Constant) and node not in silent else None
        if isinstance(said, str) and " " in said and re.search(r"[A-Za-z%]", said):
            yield said


LOOSE_SIGN = re.compile(r"(?:\d|^) %%?(?![\w({])")
"""A number, or the end of one that is filled in, and a sign that could begin the next line."""


@pytest.mark.parametrize("path", SOURCES, ids=place)
def test_no_line_ends_between_a_number_and_its_sign(path):
    loose = [said for said in sentences(path) if LOOSE_SIGN.search(said)]
    assert not loose, "a no-break space stands before the sign, as wording.PERCENT has it"


def numbers_in(path: Path) -> set[str]:
    """Numbers that the sentences of a file spell out, but for years and ends of scales."""
    found = set()
    for sentence in sentences(path):
        plain = sentence.replace("\N{NO-BREAK SPACE}", " ")
        for digits, percent in NUMBER.findall(NO_CHOICE.sub(" ", plain)):
            if percent or digits not in ENDS_OF_SCALES:
                found.add(digits + percent)
    return found


@pytest.mark.parametrize("path", PAGES, ids=place)
def test_sentences_take_their_numbers_from_the_code(path):
    own = {number for file, number in NUMBERS if file == place(path)}
    still = set(STILL_WRITTEN.get(place(path), "").split(", ")) - {""}
    assert not own & still
    assert numbers_in(path) - {INTERVAL} == own | still


def test_exceptions_of_sentences_name_files_that_exist():
    assert {file for file, _ in NUMBERS} | set(STILL_WRITTEN) <= set(map(place, PAGES))
    assert all(NUMBERS.values())


def test_intervals_are_what_sentences_say():
    functions = [getattr(statistics, name) for name in dir(statistics) if "interval" in name]
    levels = [inspect.signature(one).parameters["level"].default for one in functions]
    assert len(levels) > 2 and {f"{100 * level:g} %" for level in levels} == {INTERVAL}


# --- everything public is documented --------------------------------------------------------------


def public_rooms() -> Iterator[str]:
    """Packages of the backend that list their names."""
    for path in BACKEND:
        lists = any(
            isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
            for node in tree_of(path).body
        )
        if path.name == "__init__.py" and lists:
            yield module_of(path)


PUBLIC = tuple(public_rooms())


def test_the_public_rooms_are_found():
    assert len(PUBLIC) >= 16 and {"backend.bundle", "backend.spotlight", "backend.tasks"} <= {
        *PUBLIC
    }


@pytest.mark.parametrize("name", PUBLIC)
def test_everything_public_is_documented(name):
    module = importlib.import_module(name)
    assert module.__doc__ and module.__all__
    for member in module.__all__:
        value = getattr(module, member)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), f"{name}.{member} says nothing of itself"


# --- the documents name everything there is -------------------------------------------------------


def pages() -> dict[str, str]:
    """Name of each page's file -> its title."""
    for node in tree_of(PROJECT / "app.py").body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PAGES":
            return {stem: title for stem, (title, _) in ast.literal_eval(node.value).items()}
    raise AssertionError("app.py lists no pages")


def document(path: Path) -> str:
    return path.read_text(encoding="utf-8")


DOCUMENTS = [PROJECT / "README.md", *sorted((PROJECT / "assets").rglob("*.md"))]
BUILT, METHODS_TOLD = DOCS / "how-it-is-built.md", DOCS / "methods.md"


def test_the_readme_names_every_page():
    assert not [title for title in pages().values() if f"- **{title}** – " not in README]


def test_the_readme_names_every_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    commands = re.findall(r"^    (\w+)", capsys.readouterr().out, re.MULTILINE)
    assert {"fit", "regions", "export"} < set(commands)
    told = README.partition("## Command line")[2].partition("##")[0]
    assert re.findall(r"^\| `(\w+)[^`]*` \|", told, re.MULTILINE) == commands


def test_the_readme_names_every_setting_and_no_other():
    setting = re.compile(r"ERRORSCOPE_[A-Z]+(?:_[A-Z]+)*")
    places = [*SOURCES, *python_files("tests"), PROJECT / "Dockerfile"]
    read = {name for path in places for name in setting.findall(document(path))}
    assert len(read) > 5
    assert set(re.findall(r"^\| `(ERRORSCOPE_\w+)`", README, re.MULTILINE)) == read


def test_the_readmes_lines_for_ones_own_data_and_model_run(tmp_path, monkeypatch):
    monkeypatch.setenv("ERRORSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    own_data, own_model, of_arrays = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 3
    embeddings, losses = rng.normal(size=(40, 5)).astype(np.float32), rng.random(40)
    given = {"embeddings": embeddings, "losses": losses, "labels": labels, "predictions": labels}
    exec(own_data, dict(given))
    read = read_bundle("bundle.npz")
    assert (read.n, read.accuracy) == (40, 1.0)
    assert own_model == SNIPPET
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "collector", raising=False)
    assert main(["collect", "--standalone", "collector.py"]) == 0
    model = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))
    inputs, codes = torch.from_numpy(embeddings), torch.from_numpy(labels)
    held_out = torch.utils.data.TensorDataset(inputs, codes)
    exec(own_model, {"model": model, "held_out": held_out, "names": ["cat", "dog", "fox"]})
    kept = import_bundle("bundle.npz", name="my model")
    assert (kept.name, kept.n, kept.d) == ("my model", 40, 4)
    np.testing.assert_allclose(kept.embeddings, model[:2](inputs).detach(), rtol=1e-6)
    assert of_arrays == OF_ARRAYS
    fitted = LogisticRegression().fit(embeddings, labels)
    of = {"hidden": np.tanh, "scores": fitted.predict_proba, "fitted": fitted}
    exec(of_arrays, {**of, "X_test": embeddings, "y_test": labels})
    sklearn, function = read_bundle("sklearn.npz"), read_bundle("function.npz")
    assert sklearn.accuracy == function.accuracy == fitted.score(embeddings, labels)
    np.testing.assert_allclose(function.embeddings, np.tanh(embeddings))
    monkeypatch.delitem(sys.modules, "collector")


@pytest.mark.parametrize("path", DOCUMENTS, ids=place)
def test_links_and_files_that_documents_name_are_there(path):
    told = document(path)
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", told) if "://" not in link]
    assert not [link for link in links if not (path.parent / link).exists()]
    scripts = re.findall(r"tests\.benchmarks\.(\w+)", told)
    assert not [one for one in scripts if not (PROJECT / f"tests/benchmarks/{one}.py").is_file()]
    files = re.findall(r"`((?:backend|pages|tests|assets)/[\w./-]+)`", told)
    assert not [one for one in files if "NAME" not in one and not (PROJECT / one).exists()]


def test_every_room_is_told():
    told = document(BUILT).partition("## The rooms")[2].partition("##")[0]
    rooms = [room.rpartition(".")[2] for room in ARROWS if room.count(".") and room[-2:] != "__"]
    assert not [room for room in rooms if room != "components" and f"{room}/`" not in told]


def test_every_method_and_source_is_told():
    told = document(METHODS_TOLD)
    assert not [row.title for row in METHODS.values() if f"| {row.title} |" not in told]
    arxiv = re.compile(r"arXiv:\d{4}\.\d{5}")
    cited = {source for path in SOURCES for source in arxiv.findall(document(path))}
    assert len(cited) > 10 and set(arxiv.findall(told)) == cited
