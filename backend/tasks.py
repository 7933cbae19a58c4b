"""What a worker can run: a table of tasks, and the functions behind it.

Every function takes ``(bundle, options, progress, part)`` and returns ``(arrays, meta)``. Tasks that
read embeddings have an option ``layer``: whose embeddings, "" for the bundle's own. Topics
are imported inside the functions: pages read this table, and must not load torch for it.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from backend.bundle.limits import MAX_NAME_LENGTH
from backend.core.arrays import check_choice
from backend.core.errors import InputError
from backend.core.progress import Progress

if TYPE_CHECKING:
    from backend.bundle import Bundle
    from backend.populations import Evaluation
    from backend.slices import FoundGroups
    from backend.spotlight import Region

Arrays = dict[str, NDArray[Any]]
Meta = dict[str, Any]
Options = dict[str, Any]


class WritePart(Protocol):
    """Called as ``part(arrays, meta)`` with a piece of the result that can be shown already."""

    def __call__(self, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> None: ...


@dataclass(frozen=True)
class Task:
    """One row of the table.

    Attributes
    ----------
    entry : str
        ``module:function``; the module is imported in the worker only.
    version : int
        Raised whenever the function starts to compute something else; part of the key.
    defaults : dict, optional
        Every option with its default. Without it any options are taken as they come.
    check : callable, optional
        Raises ``InputError`` for complete options that cannot be used.
    lane : callable
        From complete options to the queue: ``quick`` for what a first view waits for, ``compute``
        for searches, ``background`` for what may take a minute without anybody waiting.
    source : callable, optional
        From complete options to a text that changes whenever what they refer to on disk does.
        Results of such tasks have effects outside the cache, so a finished one is never reused.
    """

    entry: str
    version: int = 1
    defaults: Mapping[str, Any] | None = None
    check: Callable[[Options], None] | None = None
    lane: Callable[[Options], str] = lambda options: "compute"
    source: Callable[[Options], str] | None = None


def default_options(task: str) -> Options:
    """Every option of a task with its default; a fresh dict."""
    return dict(_task(task).defaults or {})


def complete_options(
    task: str, options: Mapping[str, Any], tasks: Mapping[str, Task] | None = None
) -> Options:
    """Options with defaults filled in.

    Raises
    ------
    InputError
        If the task or an option does not exist, or a value cannot be used.
    """
    row = _task(task, tasks)
    if row.defaults is None:
        return dict(options)
    unknown = sorted(set(options) - set(row.defaults))
    if unknown:
        raise InputError(
            f"task {task!r} has no option {', '.join(map(repr, unknown))}. "
            f"It takes {', '.join(row.defaults)}."
        )
    complete = {**row.defaults, **options}
    if row.check is not None:
        row.check(complete)
    return complete


def _task(name: str, tasks: Mapping[str, Task] | None = None) -> Task:
    tasks = TASKS if tasks is None else tasks
    if name not in tasks:
        raise InputError(f"there is no task {name!r}. There are {', '.join(sorted(tasks))}.")
    return tasks[name]


# --- import ---------------------------------------------------------------------------------------


def run_import(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """Import an upload; ``meta["digest"]`` names the bundle."""
    from backend.bundle import import_bundle

    imported = import_bundle(
        options["path"],
        columns=options["columns"] or None,
        name=options["name"],
        progress=progress,
    )
    return {}, {"digest": imported.digest, "name": imported.name, "n": imported.n, "d": imported.d}


def _check_import(options: Options) -> None:
    if not isinstance(options["path"], str) or not options["path"]:
        raise InputError(f"path must name a file or folder: got {options['path']!r}.")
    if options["name"] is not None and not isinstance(options["name"], str):
        raise InputError(f"name must be text or None: got {options['name']!r}.")
    columns = options["columns"]
    if columns is not None and not isinstance(columns, Mapping):
        raise InputError(f"columns must map field to column name: got {columns!r}.")


def file_stamp(options: Options) -> str:
    """Names, sizes and times of the files at ``options["path"]``, as one hex digest.

    A repaired file must not meet the refusal of the broken one.
    """
    path = Path(options["path"])
    files = [path, *sorted(path.rglob("*"))] if path.is_dir() else [path]
    seen = hashlib.sha256(os.fsencode(path.absolute()))
    for file in files:
        if file.exists():
            stat = file.stat()
            seen.update(f"\n{file.name} {stat.st_size} {stat.st_mtime_ns}".encode(errors="replace"))
    return seen.hexdigest()


# --- spotlights -----------------------------------------------------------------------------------


def run_spotlights(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """Search regions, each written as a part when it is found.

    Arrays: weights (r, n) float32, centers (r, d), precisions (r, ...), weighted_losses,
    total_weights and objectives (r,), members (r, max) rows heaviest first, padded with -1. A part
    holds weights (n,), center, precision and members of one region. The numbers of each region are
    in ``meta["regions"]``, or in the part's meta.
    """
    import torch

    from backend.core.device import choose_device
    from backend.spotlight import iterate_spotlights, members

    bundle = _chosen_layer("spotlights", bundle, options)
    device = choose_device("auto")
    began = time.perf_counter()
    common = {
        "version": TASKS["spotlights"].version,
        "options": options,
        "device": str(device),
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
    }
    found: list[Arrays] = []
    numbers: list[Meta] = []
    regions: list[Region] = []
    embeddings, said, notes = _prepared(bundle, options, progress)
    common["notes"] = notes
    for region in iterate_spotlights(
        embeddings, bundle.losses, **said, device=device, progress=progress
    ):
        rows = members(region.weights, region.total_weight)
        arrays: Arrays = {
            "weights": region.weights.astype(np.float32),
            "center": np.asarray(region.center),
            "precision": np.asarray(region.precision),
            "members": rows,
        }
        meta = region_numbers(region, rows, bundle.losses, options["size"])
        part(arrays, {**meta, **common})
        found.append(arrays)
        numbers.append(meta)
        regions.append(region)
    padded = np.full((len(found), max(len(arrays["members"]) for arrays in found)), -1, np.int64)
    for row, arrays in zip(padded, found, strict=True):
        row[: len(arrays["members"])] = arrays["members"]
    return {
        "weights": np.stack([arrays["weights"] for arrays in found]),
        "centers": np.stack([arrays["center"] for arrays in found]),
        "precisions": np.stack([arrays["precision"] for arrays in found]),
        "weighted_losses": np.array([region.weighted_loss for region in regions]),
        "total_weights": np.array([region.total_weight for region in regions]),
        "objectives": np.array([region.objective for region in regions]),
        "members": padded,
    }, {**common, "regions": numbers, "seconds": time.perf_counter() - began}


def _prepared(
    bundle: Bundle, options: Options, progress: Progress
) -> tuple[NDArray[Any], Options, list[str]]:
    """Embeddings as the search takes them, the options that are left, and what was done."""
    from backend.core.preparation import prepare_embeddings

    left = {name: value for name, value in options.items() if name != "layer"}
    ready = prepare_embeddings(
        bundle.embeddings,
        left.pop("prepare"),
        components=left.pop("components"),
        seed=options["seed"],
        tick=lambda: progress(0.0, "Preparing the embeddings"),
    )
    return ready.values, left, [ready.note] if ready.note else []


def region_numbers(
    region: Region, rows: NDArray[np.int64], losses: NDArray[np.floating[Any]], size: float
) -> Meta:
    """The numbers shown beside a region: sizes in examples, losses raw."""
    from backend.spotlight import effective_size

    n = len(losses)
    return {
        "size": size * n if 0 < size < 1 else float(size),
        "total_weight": region.total_weight,
        "effective_size": effective_size(region.weights),
        "weighted_loss": region.weighted_loss,
        "member_loss": float(losses[rows].mean()) if len(rows) else None,
        "base_loss": float(np.mean(losses)),
        "n_members": len(rows),
        "objective": region.objective,
        "outcome": region.outcome.to_dict(),
    }


def _check_spotlights(options: Options) -> None:
    from backend.core.preparation import check_preparation

    _check_layer(options)
    check_preparation(options["prepare"], options["components"])
    check_choice("mode", options["mode"], ("successive", "distinct"))
    if options["mode"] == "distinct" and options["solver"] == "adam":
        raise InputError("mode 'distinct' needs solver 'fast': Adam has a single start.")
    _check_number("size", options["size"], above=0)
    _check_count("n_spotlights", options["n_spotlights"], 1, 50)
    _check_count("starts", options["starts"], 1, 1024)
    _check_count("seed", options["seed"], 0, 2**63 - 1)
    check_choice("solver", options["solver"], ("fast", "adam"))
    check_choice("kernel", options["kernel"], ("gaussian", "squared_distance"))
    check_choice("precision", options["precision"], ("spherical", "diagonal", "full"))


# --- regions --------------------------------------------------------------------------------------


def run_regions(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """A short list of regions within and across labels, judged on examples that did not find them.

    Arrays as ``backend.spotlight.region_arrays`` says; ``meta["regions"]`` holds the facts of each
    region, ``meta["notes"]`` what a reader should know. Labels count where they are classes;
    ``groups`` names a column whose rows of one value stay on one side of the split.
    """
    import torch

    from backend.core.device import choose_device
    from backend.spotlight import find_regions, region_arrays, region_facts

    bundle = _chosen_layer("regions", bundle, options)
    began = time.perf_counter()
    device = choose_device("auto")
    codes, names = bundle.label_codes, bundle.class_names
    groups = None
    if options["groups"] is not None:
        if options["groups"] not in bundle.examples:
            raise InputError(f"there is no column {options['groups']!r} in this bundle.")
        groups = bundle.examples[options["groups"]].to_numpy()
    found = find_regions(
        bundle.embeddings,
        bundle.losses,
        labels=None if codes is None or names is None else np.asarray(names)[codes],
        groups=groups,
        n_regions=int(options["n_regions"]),
        seed=int(options["seed"]),
        device=device,
        progress=progress,
    )
    return region_arrays(found), {
        "version": TASKS["regions"].version,
        "options": options,
        "device": str(device),
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
        "regions": region_facts(found, bundle.losses),
        "notes": list(found.notes),
        "labelled": codes is not None,
        "n_candidates": found.n_candidates,
        "base_loss": found.mean_loss,
        "loss_cap": found.loss_cap,
        "seconds": time.perf_counter() - began,
    }


def _check_regions(options: Options) -> None:
    _check_layer(options)
    _check_count("n_regions", options["n_regions"], 1, 50)
    _check_count("seed", options["seed"], 0, 2**63 - 1)
    if options["groups"] is not None and not isinstance(options["groups"], str):
        raise InputError(f"groups must name a column or be None: got {options['groups']!r}.")


# --- assess ---------------------------------------------------------------------------------------


def run_assess(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """How sure the regions are that the task "spotlights" finds with the same options.

    Arrays: claim_z (2, r) and claim_null (2, P), held_out_lifts (r, 3) as value, low, high,
    null_maxima (B,), stability_samples (b, r). ``meta["regions"]`` holds p-values, intervals,
    verdict and sentence of each region. Parts of the same form come when the held-out claim is
    known (``meta["pending"]``: more regions may become real) and when verdicts are final; what is
    not known yet is empty in them.
    """
    from backend.spotlight import Assessment, assess_spotlights, find_spotlights

    bundle = _chosen_layer("assess", bundle, options)
    began = time.perf_counter()
    common = {"version": TASKS["assess"].version, "options": options}

    def early(assessment: Assessment) -> None:
        part(assessment.arrays(), {**assessment.to_dict(), **common})

    embeddings, asked, _ = _prepared(bundle, options, progress)
    known: dict[str, Any] = {}
    if asked.pop("mode") == "distinct":  # there may be fewer than asked for
        search = {name: asked[name] for name in default_options("spotlights") if name in asked}
        found = find_spotlights(
            embeddings, bundle.losses, mode="distinct", **search, progress=progress
        )
        known, asked["n_spotlights"] = {"found": found}, len(found)
    said = assess_spotlights(
        embeddings,
        bundle.losses,
        **asked,
        **known,
        labels=bundle.label_codes,
        progress=progress,
        early=early,
    )
    seconds = time.perf_counter() - began
    return said.arrays(), {**said.to_dict(), **common, "seconds": seconds}


def _check_assess(options: Options) -> None:
    _check_spotlights(options)
    _check_count("n_permutations", options["n_permutations"], 0, 10_000)
    _check_count("n_bootstrap", options["n_bootstrap"], 0, 1000)
    _check_number("time_budget_s", options["time_budget_s"], above=0)
    _check_number("level", options["level"], above=0)
    if options["level"] >= 1:
        raise InputError(f"level must be below 1: got {options['level']!r}.")


# --- report ---------------------------------------------------------------------------------------


def _check_report(options: Options) -> None:
    _check_layer(options)
    for task in ("regions", "spotlights", "methods"):
        if options[task] is not None and not isinstance(options[task], Mapping):
            raise InputError(f"{task} must be options or None: got {options[task]!r}.")
        complete_options(task, options[task] or {})
    if options["regions"] is not None and options["spotlights"] is not None:
        raise InputError("a report is of regions or of spotlights: got options for both.")
    if not isinstance(options["claim"], bool):
        raise InputError(f"claim must be true or false: got {options['claim']!r}.")
    _check_count("log", options["log"], 0, 2**63 - 1)


# --- projection -----------------------------------------------------------------------------------


def run_projection(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """Lay the examples out on a map: ``xy`` (n, 2) float32."""
    from backend.projection import project

    bundle = _chosen_layer("projection", bundle, options)
    began = time.perf_counter()
    made = project(
        bundle.embeddings,
        method=options["method"],
        seed=options["seed"],
        losses=bundle.losses,
        progress=progress,
    )
    return {"xy": made.xy}, {
        "version": TASKS["projection"].version,
        "options": options,
        "sampled": made.sampled,
        "explained": made.explained,
        "note": made.note,
        "seconds": time.perf_counter() - began,
    }


def _check_projection(options: Options) -> None:
    _check_layer(options)
    check_choice("method", options["method"], ("pca", "umap"))
    _check_count("seed", options["seed"], 0, 2**32 - 1)


# --- methods --------------------------------------------------------------------------------------

_OWN_METHODS = ("regions", "spotlights")


def run_methods(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """Other ways to find groups, each written as a part when it is done, and one table over all.

    Arrays: ``weights_<method>`` (r, n) float32, ``members_<method>`` (r, max) rows best first,
    padded with -1, and ``overlap`` (g, g) over the groups in the order of ``meta["table"]``. A part
    holds weights and members of one method. Methods that miss a field of the bundle are left out,
    with the reason in ``meta["skipped"]``; when that leaves none, the first reason is raised.
    """
    from backend.report.compared import region_groups, spotlight_groups
    from backend.slices import METHODS, compare_groups, find_groups

    bundle = _chosen_layer("methods", bundle, options)
    began = time.perf_counter()
    classified = bundle.label_codes is not None
    fields: dict[str, Any] = {
        "labels": bundle.labels if classified else None,
        "predictions": bundle.predictions if bundle.prediction_codes is not None else None,
        "probabilities": bundle.probabilities if classified else None,
        "classes": bundle.class_names if classified else None,
    }
    arrays: Arrays = {}
    results: list[FoundGroups] = []
    told: dict[str, Meta] = {}
    skipped: dict[str, str] = {}
    share = 0.5 / len(options["methods"])
    for done, method in enumerate(options["methods"]):
        started = time.perf_counter()

        def step(fraction: float, message: str, done: int = done) -> None:
            progress(share * (done + fraction), message)

        try:
            if method in _OWN_METHODS:
                make = spotlight_groups if method == "spotlights" else region_groups
                sized = {"size": options["size"]} if method == "spotlights" else {}
                found = make(
                    bundle.embeddings,
                    bundle.losses,
                    fields=fields,
                    n_groups=options["n_groups"],
                    seed=options["seed"],
                    progress=step,
                    **sized,
                )
            else:
                sized = {"size": options["size"]} if METHODS[method].takes_size else {}
                found = find_groups(
                    method,
                    bundle.embeddings,
                    bundle.losses,
                    **fields,
                    n_groups=options["n_groups"],
                    seed=options["seed"],
                    progress=step,
                    **sized,
                )
        except InputError as error:
            skipped[method] = str(error)
            continue
        rows = [found.members(group) for group in range(len(found))]
        padded = np.full((len(rows), max(map(len, rows), default=0)), -1, np.int64)
        for line, held in zip(padded, rows, strict=True):
            line[: len(held)] = held
        made: Arrays = {"weights": found.weights.astype(np.float32), "members": padded}
        told[method] = {**found.to_dict(), "seconds": time.perf_counter() - started}
        part(made, told[method])
        arrays |= {f"{name}_{method}": values for name, values in made.items()}
        results.append(found)
    if not results:
        raise InputError(next(iter(skipped.values())))
    compared = compare_groups(
        results,
        bundle.losses,
        held_out=options["held_out"],
        seed=options["seed"],
        progress=lambda fraction, message: progress(0.5 + 0.5 * fraction, message),
    )
    table = compared.table.astype(object).where(compared.table.notna(), None)
    return {**arrays, "overlap": compared.overlap}, {
        "version": TASKS["methods"].version,
        "options": options,
        "methods": told,
        "skipped": skipped,
        "table": table.to_dict("records"),
        "base_loss": float(np.mean(bundle.losses)),
        "seconds": time.perf_counter() - began,
    }


def _check_methods(options: Options) -> None:
    from backend.slices.methods import METHODS

    _check_layer(options)
    methods = options["methods"]
    allowed = (*_OWN_METHODS, *METHODS)
    if not isinstance(methods, list | tuple) or not methods:
        raise InputError(
            f"methods must list at least one of {', '.join(allowed)}: got {methods!r}."
        )
    for method in methods:
        check_choice("methods", method, allowed)
    if len(set(methods)) < len(methods):
        raise InputError(f"methods must list each once: got {', '.join(methods)}.")
    if not isinstance(options["held_out"], bool):
        raise InputError(f"held_out must be true or false: got {options['held_out']!r}.")
    _check_count("n_groups", options["n_groups"], 1, 50)
    _check_count("seed", options["seed"], 0, 2**32 - 1)
    _check_number("size", options["size"], above=0)


# --- populations ----------------------------------------------------------------------------------


TRUE_CLASS = "true class"
"""Stands for the label where columns are named, unless the bundle has a column called so."""


def category_column(bundle: Bundle, name: str) -> NDArray[Any]:
    """A column as categories, shape (n,): numbers of many values are cut into ranges."""
    from backend.describe import bin_column

    if name == TRUE_CLASS and name not in bundle.attributes and bundle.label_codes is not None:
        return np.asarray(bundle.class_names, dtype=object)[bundle.label_codes]
    if name not in bundle.attributes:
        raise InputError(f"there is no column {name!r} in this bundle.")
    column = bundle.examples[name]
    cut = column.dtype.kind in "iuf" and column.nunique() > 8
    return bin_column(column) if cut else column.to_numpy(dtype=object)


def evaluation_of(bundle: Bundle, attributes: Sequence[str] = ()) -> Evaluation:
    """A bundle as the audits of populations take it, with these columns as categories."""
    from backend.populations import Evaluation, make_ensemble

    names = None if bundle.class_names is None else np.asarray(bundle.class_names, dtype=object)
    labels = predictions = None
    if names is not None and bundle.label_codes is not None:
        labels = names[bundle.label_codes]
        if bundle.prediction_codes is not None:
            predictions = names[bundle.prediction_codes]
    return Evaluation(
        make_ensemble(
            bundle.populations,
            bundle.labels if bundle.label_codes is not None else None,
            bundle.classes,  # only given classes are positions; other numbers name themselves
        )
        if bundle.populations
        else None,
        labels,
        predictions,
        bundle.losses,
        {name: category_column(bundle, name) for name in attributes},
        bundle.extras.get("stress_scores"),
    )


def run_populations(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """One question of ``backend.populations.answers`` on a large bundle.

    Arrays as the question says; ``meta["tables"]`` holds its tables, by column, None for NaN.
    """
    from backend.populations import answer

    bundle = _needs_bundle("populations", bundle)
    began = time.perf_counter()
    progress(0.0, "reading the populations")
    data = evaluation_of(bundle, options["options"].get("attributes", ()))
    found = answer(options["what"], data, options["options"], progress)
    tables = {
        name: {
            "kinds": [column.dtype.kind for _, column in table.items()],
            "columns": table.columns.tolist(),
            "rows": table.astype(object).where(table.notna(), None).to_numpy().tolist(),
        }
        for name, table in found.tables.items()
    }
    return dict(found.arrays), {
        "version": TASKS["populations"].version,
        "options": options,
        "tables": tables,
        "seconds": time.perf_counter() - began,
    }


def _check_populations(options: Options) -> None:
    from backend.populations.answers import QUESTIONS

    check_choice("what", options["what"], tuple(QUESTIONS))
    if not isinstance(options["options"], Mapping):
        raise InputError(f"options must be a mapping: got {options['options']!r}.")


# --- shared ---------------------------------------------------------------------------------------


def _needs_bundle(task: str, bundle: Bundle | None) -> Bundle:
    if bundle is None:
        raise InputError(f"task {task!r} works on a bundle: got no digest.")
    return bundle


def _chosen_layer(task: str, bundle: Bundle | None, options: Options) -> Bundle:
    """The bundle at the layer that the options name."""
    return _needs_bundle(task, bundle).at_layer(options["layer"])


def _check_layer(options: Options) -> None:
    layer = options["layer"]
    if not isinstance(layer, str) or len(layer) > MAX_NAME_LENGTH:
        raise InputError(
            f"layer must name a layer of the bundle, or be empty: got {str(layer)[:80]!r}."
        )


def _check_number(name: str, value: Any, *, above: float) -> None:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not above < value < float("inf"):
        raise InputError(f"{name} must be a number above {above}: got {value!r}.")


def _check_count(name: str, value: Any, low: int, high: int) -> None:
    whole = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not whole or value != value // 1 or not low <= value <= high:
        raise InputError(f"{name} must be a whole number from {low} to {high}: got {value!r}.")


TASKS: dict[str, Task] = {
    "import": Task(
        "backend.tasks:run_import",
        version=1,
        defaults={"path": "", "columns": None, "name": None},
        check=_check_import,
        lane=lambda options: "quick",
        source=file_stamp,
    ),
    "spotlights": Task(
        "backend.tasks:run_spotlights",
        version=1,
        defaults={
            "size": 0.02,
            "n_spotlights": 5,
            "solver": "fast",
            "seed": 0,
            "kernel": "gaussian",
            "precision": "spherical",
            "starts": 16,
            "mode": "successive",
            "prepare": "none",
            "components": None,
            "layer": "",
        },
        check=_check_spotlights,
    ),
    "regions": Task(
        "backend.tasks:run_regions",
        version=3,
        defaults={"n_regions": 5, "seed": 0, "groups": None, "layer": ""},
        check=_check_regions,
    ),
    "methods": Task(
        "backend.tasks:run_methods",
        version=2,
        defaults={
            "methods": [
                "regions",
                "spotlights",
                "mixture",
                "george",
                "directions",
                "error_clusters",
                "highest_loss",
            ],
            "n_groups": 5,
            "seed": 0,
            "size": 0.02,
            "held_out": True,
            "layer": "",
        },
        check=_check_methods,
        # A comparison is asked for beside a search, never instead of one.
        lane=lambda options: "background",
    ),
    "report": Task(
        "backend.report.task:run_report",
        version=2,
        defaults={
            "regions": None,
            "spotlights": None,
            "claim": True,
            "methods": None,
            "log": 0,
            "layer": "",
        },
        check=_check_report,
    ),
    "populations": Task(
        "backend.tasks:run_populations",
        version=1,
        defaults={"what": "compare", "options": {}},
        check=_check_populations,
    ),
    "projection": Task(
        "backend.tasks:run_projection",
        version=1,
        defaults={"method": "pca", "seed": 0, "layer": ""},
        check=_check_projection,
        lane=lambda options: "background" if options["method"] == "umap" else "quick",
    ),
}
TASKS["words"] = Task(
    "backend.describe.task:run_words",
    version=1,
    defaults={"min_count": 5},
    check=lambda options: _check_count("min_count", options["min_count"], 1, 2**31),
    lane=lambda options: "quick",
)
TASKS["cues"] = Task("backend.describe.task:run_cues", version=1, defaults={})
TASKS["assess"] = Task(
    "backend.tasks:run_assess",
    version=2,
    defaults={
        **default_options("spotlights"),
        "n_permutations": 199,
        "n_bootstrap": 20,
        "time_budget_s": 60.0,
        "level": 0.05,
    },
    check=_check_assess,
    lane=lambda options: "background",
)

PRELOAD: dict[str, tuple[str, ...]] = {
    "quick": ("backend.bundle", "backend.projection"),
    "compute": ("backend.bundle", "backend.spotlight.find"),
    "background": (),
}
"""Modules that a warm worker of each lane imports before anybody asks."""
