"""The real tasks, through real workers, on a small bundle with a planted region."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from backend.bundle import open_bundle, write_bundle
from backend.core.errors import InputError
from backend.core.home import PROJECT
from backend.jobs import Jobs
from backend.spotlight import effective_size, find_spotlights, members
from backend.tasks import TASKS, complete_options, default_options, file_stamp

LIMIT_S = 120
PLANTED = np.arange(40)
OPTIONS = {"size": 40, "n_spotlights": 2, "starts": 4}


def planted(n=800, d=6):
    """Embeddings with one far group whose losses are high, and the losses."""
    random = np.random.default_rng(0)
    embeddings = random.standard_normal((n, d)).astype(np.float32)
    embeddings[PLANTED] += 6
    losses = random.random(n)
    losses[PLANTED] += 3
    return embeddings, losses


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    with Jobs(tmp_path_factory.mktemp("home"), warm=True) as manager:
        yield manager


@pytest.fixture(scope="module")
def imported(jobs, tmp_path_factory):
    embeddings, losses = planted()
    path = tmp_path_factory.mktemp("upload") / "run.npz"
    write_bundle(path, embeddings=embeddings, losses=losses)
    return run(jobs, "import", "", path=str(path), name="planted")


def run(jobs, task, digest, **options):
    job = jobs.submit(task, digest, options)
    assert job.wait(LIMIT_S)
    assert job.state == "done", job.error
    return job


def test_import_makes_a_bundle(jobs, imported):
    meta = imported.result().meta
    bundle = open_bundle(meta["digest"], jobs.home)
    assert (bundle.name, bundle.n, bundle.d) == ("planted", 800, 6)
    assert (meta["name"], meta["n"], meta["d"]) == ("planted", 800, 6)


def test_a_repaired_upload_does_not_meet_its_old_refusal(jobs, tmp_path):
    path = tmp_path / "run.npz"
    embeddings, losses = planted()
    np.savez(path, embeddings=embeddings, losses=losses[:-1])
    refused = jobs.submit("import", "", {"path": str(path)}, watcher="a")
    assert refused.wait(LIMIT_S) and refused.state == "failed" and "799" in refused.error
    assert jobs.submit("import", "", {"path": str(path)}, watcher="a") is refused
    np.savez(path, embeddings=embeddings, losses=losses)
    repaired = jobs.submit("import", "", {"path": str(path)}, watcher="a")
    assert repaired.wait(LIMIT_S) and repaired.state == "done"


def test_a_stamp_follows_every_file_of_a_folder(tmp_path):
    options = {"path": str(tmp_path)}
    stamps = {file_stamp(options)}
    (tmp_path / "deep").mkdir()
    for name in ("a", "deep/b"):
        (tmp_path / name).write_text("1")
        stamps.add(file_stamp(options))
    (tmp_path / "deep" / "b").write_text("12")
    stamps.add(file_stamp(options))
    stamps.add(file_stamp({"path": str(tmp_path / "absent")}))
    assert len(stamps) == 5


def test_spotlights_are_those_of_the_function(jobs, imported):
    digest = imported.result().meta["digest"]
    job = run(jobs, "spotlights", digest, **OPTIONS)
    result, meta = job.result(), job.result().meta
    embeddings, losses = planted()
    same = find_spotlights(embeddings, losses, **OPTIONS)
    np.testing.assert_allclose(result["weights"], same.weights, atol=1e-5)
    assert result["weights"].dtype == np.float32
    for name, array in [
        ("centers", same.centers),
        ("precisions", same.precisions),
        ("weighted_losses", same.weighted_losses),
        ("total_weights", same.total_weights),
        ("objectives", same.objectives),
    ]:
        np.testing.assert_allclose(result[name], array, rtol=1e-4, atol=1e-5)
    assert meta["options"] == default_options("spotlights") | OPTIONS
    assert meta["version"] == TASKS["spotlights"].version and meta["seconds"] > 0
    assert set(meta["versions"]) == {"torch", "numpy"} and meta["device"]


def test_counts_are_copies_of_rows(jobs, tmp_path):
    """A row that counts three times is found with as three of it are; numbers count it once."""
    embeddings, losses = planted()
    copies = np.ones(800, int)
    copies[:400:4] = 3
    told = {"copies": copies, "change": copies - 2}
    write_bundle(tmp_path / "run.npz", embeddings=embeddings, losses=losses, examples=told)
    digest = run(jobs, "import", "", path=str(tmp_path / "run.npz")).result().meta["digest"]
    options = {"size": 60, "n_spotlights": 1, "starts": 4}
    result = run(jobs, "spotlights", digest, **options, counts="copies").result()
    many = np.repeat(np.arange(800), copies)
    same = find_spotlights(embeddings[many], losses[many], **options)
    np.testing.assert_allclose(result["centers"], same.centers, rtol=1e-3, atol=1e-3)
    rows = result["members"][0]
    repeated = set(many[members(same.weights[0], float(same.total_weights[0]))])
    assert set(rows) == repeated and copies[rows].sum() >= 60 > copies[rows[:-1]].sum()
    fact, weights = result.meta["regions"][0], result["weights"][0].astype(float)
    assert fact["total_weight"] == pytest.approx(weights.sum(), rel=1e-5)
    assert fact["weighted_loss"] == pytest.approx(weights @ losses / weights.sum(), rel=1e-5)
    assert "as often as column 'copies' says, 1,000 in all" in result.meta["notes"][0]
    easy = run(jobs, "spotlights", digest, **options, flip=True).result()
    assert easy["weighted_losses"][0] < losses.mean() < result["weighted_losses"][0]
    assert "the model does best" in easy.meta["notes"][0]
    for column, text in (("change", "holds -1 in row 1"), ("none", "can be: 'copies'")):
        job = jobs.submit("spotlights", digest, {**options, "counts": column})
        assert job.wait(LIMIT_S) and job.state == "failed" and text in job.error, job.error


def test_the_numbers_of_a_region_are_its_own(jobs, imported):
    digest = imported.result().meta["digest"]
    result = run(jobs, "spotlights", digest, **OPTIONS).result()
    _, losses = planted()
    for index, told in enumerate(result.meta["regions"]):
        weights = result["weights"][index].astype(np.float64)
        rows = result["members"][index]
        rows = rows[rows >= 0]
        np.testing.assert_array_equal(rows, members(weights, told["total_weight"]))
        assert told["n_members"] == len(rows) == round(told["total_weight"])
        assert told["size"] == 40
        assert told["total_weight"] == pytest.approx(weights.sum(), rel=1e-5)
        assert told["effective_size"] == pytest.approx(effective_size(weights), rel=1e-5)
        assert told["weighted_loss"] == pytest.approx(weights @ losses / weights.sum(), rel=1e-5)
        assert told["member_loss"] == pytest.approx(losses[rows].mean())
        assert told["base_loss"] == pytest.approx(losses.mean())
        assert set(told["outcome"]) == {"status", "message", "steps", "constraint"}
    assert np.isin(result["members"][0], PLANTED).mean() > 0.9


def test_parts_are_the_regions_of_the_result(jobs, imported):
    digest = imported.result().meta["digest"]
    job = run(jobs, "spotlights", digest, **OPTIONS, seed=5)
    result, parts = job.result(), job.partial()
    assert len(parts) == 2
    for index, part in enumerate(parts):
        np.testing.assert_array_equal(part["weights"], result["weights"][index])
        np.testing.assert_array_equal(part["center"], result["centers"][index])
        np.testing.assert_array_equal(part["precision"], result["precisions"][index])
        rows = result["members"][index]
        np.testing.assert_array_equal(part["members"], rows[rows >= 0])
        assert part.meta.items() >= result.meta["regions"][index].items()
        assert part.meta["version"] == result.meta["version"]


def test_an_assessment_is_that_of_the_regions_and_its_claim_comes_first(jobs, imported):
    digest = imported.result().meta["digest"]
    short = {"n_permutations": 19, "n_bootstrap": 2}
    job = run(jobs, "assess", digest, **OPTIONS, **short)
    result, meta, (first, second) = job.result(), job.result().meta, job.partial()
    assert meta["regions"][0]["verdict"] == "real"
    assert meta["regions"][0]["sentence"].startswith("held-out ×")
    assert meta["regions"][0]["search_p"] == 1 / 20 and meta["n_permutations"] == 19
    assert result["null_maxima"].shape == (19,) and result["stability_samples"].shape == (2, 2)
    assert result["held_out_lifts"][0, 0] == meta["regions"][0]["held_out_lift"]["value"]
    assert first.meta["pending"] and not second.meta["pending"] and not meta["pending"]
    for late, early in zip(meta["regions"], first.meta["regions"], strict=True):
        assert early["search_p"] is None and early["stability"]["value"] is None
        assert early["p_claim"] == late["p_claim"] and early["p_value"] >= late["p_value"]
        assert early["verdict"] in ("not distinguishable from chance", late["verdict"])
    assert [one["p_value"] for one in second.meta["regions"]] == [
        one["p_value"] for one in meta["regions"]
    ]
    assert first["null_maxima"].shape == (0,)
    np.testing.assert_array_equal(first["claim_null"], result["claim_null"])


def test_an_assessment_takes_all_options_of_the_search_and_delays_none():
    options = default_options("assess")
    assert options.items() >= default_options("spotlights").items()
    assert TASKS["assess"].lane(options) == "background"


def test_projection_is_kept_with_what_it_shows(jobs, imported):
    digest = imported.result().meta["digest"]
    result = run(jobs, "projection", digest).result()
    assert result["xy"].shape == (800, 2) and result["xy"].dtype == np.float32
    assert result["xy"][PLANTED, 0].min() > np.delete(result["xy"][:, 0], PLANTED).max()
    assert result.meta["sampled"] is None and len(result.meta["explained"]) == 2
    assert "PCA" in result.meta["note"]
    assert run(jobs, "projection", digest, method="pca").key == result.key


def test_only_umap_waits_in_the_background():
    lane = TASKS["projection"].lane
    assert [lane({"method": method}) for method in ("pca", "umap")] == ["quick", "background"]


def test_work_on_a_bundle_needs_one(jobs):
    for task in ("spotlights", "assess", "projection"):
        job = jobs.submit(task, "")
        assert job.wait(LIMIT_S) and job.error == f"task {task!r} works on a bundle: got no digest."


def test_defaults_are_complete_and_a_copy():
    for name, task in TASKS.items():
        options = default_options(name)
        assert options == task.defaults
        options.clear()
        assert default_options(name) == task.defaults
    assert complete_options("projection", {"seed": 3}) == {"method": "pca", "seed": 3, "layer": ""}


@pytest.mark.parametrize(
    ("task", "options", "text"),
    [
        ("projection", {"metod": "umap"}, "no option 'metod'. It takes method, seed"),
        ("projection", {"method": "tsne"}, "method must be one of 'pca', 'umap'"),
        ("projection", {"seed": -1}, "seed must be a whole number from 0"),
        ("spotlights", {"size": 0}, "size must be a number above 0: got 0"),
        ("spotlights", {"size": float("inf")}, "size must be a number above 0: got inf"),
        ("spotlights", {"size": "2%"}, "size must be a number above 0: got '2%'"),
        ("spotlights", {"n_spotlights": 2.5}, "n_spotlights must be a whole number from 1"),
        ("spotlights", {"n_spotlights": True}, "n_spotlights must be a whole number"),
        ("spotlights", {"starts": 0}, "starts must be a whole number"),
        ("spotlights", {"solver": "sgd"}, "solver must be one of 'fast', 'adam'"),
        ("spotlights", {"kernel": "box"}, "kernel must be one of"),
        ("spotlights", {"precision": "none"}, "precision must be one of"),
        ("spotlights", {"barrier_scale": 2.0}, "barrier_scale belongs to solver 'adam'"),
        ("spotlights", {"counts": 3}, "counts must name a column or be None: got 3"),
        ("spotlights", {"flip": 1}, "flip must be true or false: got 1"),
        ("assess", {"flip": True}, "lowest losses are not tested"),
        ("assess", {"counts": "copies"}, "Let each example count once to test"),
        ("regions", {"views": "both"}, "views must be one of 'all', 'embedding', 'beside_answer'"),
        ("methods", {"george": {"k": 3}}, "george must hold some of reduction, max_k, overcluster"),
        ("methods", {"george": {"max_k": 1}}, "max_k must be a whole number from 2"),
        ("methods", {"george": {"reduction": "tsne"}}, "reduction must be one of 'pca', 'umap'"),
        ("assess", {"size": 0}, "size must be a number above 0: got 0"),
        ("assess", {"n_permutations": -1}, "n_permutations must be a whole number from 0"),
        ("assess", {"n_bootstrap": 1.5}, "n_bootstrap must be a whole number from 0"),
        ("assess", {"level": 1}, "level must be below 1: got 1"),
        ("import", {}, "path must name a file or folder: got ''"),
        ("import", {"path": "a", "name": 3}, "name must be text or None: got 3"),
        ("import", {"path": "a", "columns": ["b"]}, "columns must map field to column name"),
    ],
)
def test_options_that_cannot_be_used_are_refused(jobs, task, options, text):
    with pytest.raises(InputError, match=text):
        jobs.submit(task, "", options)


def test_the_table_loads_neither_torch_nor_umap():
    code = (
        "import sys, backend.jobs, backend.tasks, backend.cache\n"
        "sys.exit(bool({'torch', 'umap', 'sklearn', 'streamlit'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT).returncode == 0


def test_every_entry_exists():
    for task in TASKS.values():
        module, name = task.entry.split(":")
        source = Path(PROJECT, *module.split(".")).with_suffix(".py").read_text()
        assert f"def {name}(" in source


# --- methods --------------------------------------------------------------------------------------


def test_methods_compares_what_the_bundle_allows(jobs, imported):
    digest = imported.result().meta["digest"]
    job = run(jobs, "methods", digest, n_groups=2, size=40)
    result, meta = job.result(), job.result().meta
    embeddings, losses = planted()
    # This bundle has no labels: three methods say so, the others run.
    assert sorted(meta["skipped"]) == ["directions", "george", "mixture"]
    assert meta["skipped"]["george"].startswith("george_clusters needs labels")
    assert sorted(meta["methods"]) == ["error_clusters", "highest_loss", "regions", "spotlights"]
    named = [row["method"] for row in meta["table"]]
    assert named[0] == "regions" and named.count("spotlights") == 2
    assert meta["table"][0]["group"].startswith("1 ")
    assert result["overlap"].shape == (len(meta["table"]),) * 2
    for method in meta["methods"]:
        assert result[f"weights_{method}"].dtype == np.float32
        if method == "error_clusters":  # of 27 that find, a cluster of half of them is too small
            continue
        best = result[f"members_{method}"][0]
        assert np.isin(best[best >= 0][:10], PLANTED).all()
    same = find_spotlights(embeddings, losses, size=40, n_spotlights=2)
    np.testing.assert_allclose(result["weights_spotlights"], same.weights, atol=1e-5)
    for first in (meta["table"][0], meta["table"][named.index("spotlights")]):
        assert first["multiple"] > 3 and first["p"] == 0.01
    parts = [part.meta["method"] for part in job.partial()]
    assert not parts or parts == ["regions", "spotlights", "error_clusters", "highest_loss"]


def test_methods_without_a_field_they_need_are_refused_together(jobs, imported):
    digest = imported.result().meta["digest"]
    job = jobs.submit("methods", digest, {"methods": ["george", "mixture"]})
    assert job.wait(LIMIT_S) and job.state == "failed"
    assert "george_clusters needs labels: got none" in job.error


def test_methods_runs_beside_searches_never_before_them():
    assert TASKS["methods"].lane(default_options("methods")) == "background"


@pytest.mark.parametrize(
    "options, text",
    [
        (
            {"methods": []},
            r"methods must list at least one of regions, spotlights, mixture.*: got \[\]",
        ),
        ({"methods": ["domino"]}, "methods must be one of 'regions'.*: got 'domino'"),
        ({"methods": ["george", "george"]}, "methods must list each once"),
        ({"held_out": 1}, "held_out must be true or false: got 1"),
        ({"n_groups": 0}, "n_groups must be a whole number from 1 to 50: got 0"),
        ({"size": -1}, "size must be a number above 0: got -1"),
    ],
)
def test_methods_refuses_options_it_cannot_use(options, text):
    with pytest.raises(InputError, match=text):
        complete_options("methods", options)
