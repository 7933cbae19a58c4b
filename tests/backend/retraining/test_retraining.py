"""Retraining by recipes, on a problem of two groups that is small enough to follow by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from backend.attribution import (
    default_regularizer,
    gauss_newton_influence,
    group_alignment,
    project_features,
    pseudo_groups,
    trak_scores,
)
from backend.bundle import import_bundle, list_bundles, open_bundle, read_bundle, write_bundle
from backend.cli.main import main
from backend.core.errors import InputError, JobCancelled
from backend.core.progress import ignore_progress
from backend.retraining import (
    RECIPES,
    RetrainingProblem,
    Sample,
    Schedule,
    harness,
    leaving_out,
    refitting,
    retrain,
    steering,
)
from backend.retraining.checks import checked
from backend.retraining.harness import place_of
from backend.retraining.situation import REPORT, Situation, halves
from backend.retraining.stored import Shelf, drop_results, results_of, results_stamp
from backend.retraining.training import Course, ask, drawn, train
from backend.tasks import complete_options
from backend.tasks.retraining import readable_table, run_retraining
from backend.tasks.task import no_parts

N_TRAIN, N = 240, 160
KS = (10, 40)


def examples(rng, n, share):
    """One input says the class weakly, another, stronger, a mark that goes with it in training."""
    labels = rng.permutation(np.arange(n) % 2)
    marks = np.where(rng.permutation(np.arange(n)) < share * n, labels, 1 - labels)
    x = rng.normal(size=(n, 3)).astype(np.float32)
    x[:, 0] += 1.2 * (2 * labels - 1)
    x[:, 1] += 3 * (2 * marks - 1)
    words = [
        f"{('left', 'right')[a]}, {('off', 'on')[b]}" for a, b in zip(labels, marks, strict=True)
    ]
    return Sample(x, labels, words)


def network():
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def problem(**changes):
    rng = np.random.default_rng(0)
    own = examples(rng, N_TRAIN, 0.9)
    planted = np.char.endswith(own.groups, "on") & (own.labels == 1)
    made = RetrainingProblem(
        network=network,
        train=own,
        held_out=examples(rng, N, 0.5),
        classes=("left", "right"),
        schedule=Schedule(passes=3, batch=16, rate=0.02),
        augment=lambda inputs: inputs + 1,
        planted=planted,
        ids=[f"e{row}" for row in range(N)],
        name="tiny",
    )
    return replace(made, **changes)


def small():
    return problem(schedule=Schedule(passes=1, batch=64), name="small")


@pytest.fixture(scope="module")
def at():
    ready = checked(problem())
    return Situation(ready, 3, harness._plain(ready, 3, lambda share: None), halves(ready, 3), KS)


# --- what each recipe draws and leaves out is what its paper says ---------------------------------


def twin(at, groups):
    """Scores by the whole matrix of attributions, group by group."""
    rows, said = at.validation, at.base
    matrix = gauss_newton_influence(
        said.train.embeddings, np.exp(said.train.log_p), at.problem.y,
        said.held_out.embeddings[rows], np.exp(said.held_out.log_p[rows]), at.problem.own[rows],
    )  # fmt: skip
    losses = -said.held_out.log_p[rows, at.problem.own[rows]]
    right = said.held_out.log_p[rows].argmax(1) == at.problem.own[rows]
    if groups is None:
        groups = 2 * at.problem.own[rows] + pseudo_groups(
            matrix, at.problem.own[rows], right, losses
        )
    return group_alignment(matrix, groups, losses).scores


def lowest(at, settings, scores):
    for setting, k in zip(settings[1:], KS, strict=False):
        assert set(setting.removed) == set(np.argsort(scores, kind="stable")[:k])
    assert set(settings[-1].removed) == set(np.flatnonzero(scores < 0))
    assert not len(settings[0].removed) and settings[0].course is None


def by_d3m(at, settings):
    lowest(at, settings, twin(at, at.problem.own_group[at.validation]))


def by_trak(at, settings):
    """Gradients by a loop over examples, of the network that gave the plain answers."""
    problem, rows = at.problem, at.validation
    plan, plain = problem.problem.schedule, Course(np.ones(N_TRAIN))
    net = train(network, problem.x, torch.from_numpy(problem.y), plan, plain, at.seed)
    np.testing.assert_array_equal(ask(net, problem.z).log_p, at.base.held_out.log_p)

    def gradients(inputs, labels):
        lines = []
        for one, label in zip(inputs, labels, strict=True):
            logits = net(one[None])[0]
            margin = logits[label] - logits[1 - label]
            slopes = torch.autograd.grad(margin, list(net.parameters()))
            lines.append(torch.cat([slope.flatten() for slope in slopes]).numpy())
        return project_features(np.array(lines), N_TRAIN // 4, seed=at.seed)[None]

    own = gradients(problem.x, problem.y)
    residuals = 1 - np.exp(at.base.train.log_p[np.arange(N_TRAIN), problem.y])
    scores = trak_scores(
        own, gradients(problem.z[rows], problem.own[rows]), residuals[None],
        regularizer=default_regularizer(own),
    )  # fmt: skip
    losses = -at.base.held_out.log_p[rows, problem.own[rows]]
    scores = group_alignment(scores, problem.own_group[rows], losses).scores
    for setting, k in zip(settings[1:], KS, strict=False):
        shared = set(setting.removed) & set(np.argsort(scores, kind="stable")[:k])
        assert len(shared) >= k - 1  # float32 gradients: two scores may be as good as equal


def by_auto(at, settings):
    lowest(at, settings, twin(at, None))
    groups = leaving_out.auto_groups(at)
    assert (groups[at.parts == REPORT] == -1).all() and len(np.unique(groups[at.validation])) == 4


def by_lot(at, settings):
    assert [len(one.removed) for one in settings] == [0, *KS]
    assert set(settings[1].removed) < set(settings[2].removed)
    other = leaving_out.at_random(replace(at, seed=4))
    assert set(settings[2].removed) != set(other[2].removed)


def by_majority(at, settings):
    assert [len(one.removed) for one in settings] == [0, *KS]
    words = np.array(at.problem.groups)[at.problem.train_group[settings[2].removed]]
    assert set(words) == {"left, off", "right, on"}  # the mark goes with the class


def by_subsampling(at, settings):
    kept = np.setdiff1d(np.arange(N_TRAIN), settings[0].removed)
    counts = np.bincount(at.problem.train_group)
    assert np.bincount(at.problem.train_group[kept]).tolist() == [counts.min()] * 4


def by_reweighting(at, settings):
    sums = np.bincount(at.problem.train_group, settings[0].course().drawn)
    np.testing.assert_allclose(sums, sums[0])


def by_dro(at, settings):
    course = settings[1].course()
    sums = np.bincount(at.problem.train_group, course.drawn)
    np.testing.assert_allclose(sums, sums[0])
    rows = torch.tensor([np.flatnonzero(at.problem.train_group == g)[0] for g in (0, 0, 1)])
    loss = course.loss(torch.tensor([1.0, 3.0, 0.5]), rows)
    q = np.exp(0.1 * np.array([2.0, 0.5, 0, 0]))
    np.testing.assert_allclose(course.q, q / q.sum(), rtol=1e-6)
    np.testing.assert_allclose(loss, (q[0] * 2 + q[1] * 0.5) / q.sum(), rtol=1e-6)


def by_jtt(at, settings):
    wrong = at.base.train.log_p.argmax(1) != at.problem.y
    early = at.base.early != at.problem.y
    assert wrong.any() and early.any()
    for setting, (where, times) in zip(
        settings, [(early, 5), (early, 20), (wrong, 5), (wrong, 20)], strict=True
    ):
        np.testing.assert_array_equal(setting.course().drawn, np.where(where, times, 1))


def by_dfr(at, settings):
    for subset in refitting.balanced_subsets(at, at.validation):
        assert set(subset) <= set(at.validation)
        assert len(set(np.bincount(at.problem.own_group[subset]))) == 1
    mixed = at.problem.own.copy()
    mixed[at.parts == REPORT] = 0  # labels that report have no say
    other = refitting.last_layer(replace(at, problem=replace(at.problem, own=mixed)))
    np.testing.assert_array_equal(settings[0].answers()[0], other[0].answers()[0])


def by_spotlight(at, settings):
    weights = np.array([0.0, 1.0, 3.0, 0.0])
    np.testing.assert_allclose(steering.mix(weights, 0.5), [0.125, 0.25, 0.5, 0.125])
    course = settings[1].course()
    net = network()
    assert (course.weights(0, net) == 1).all()
    found = course.weights(1, net)
    said = ask(net, at.problem.x)
    losses = -said.log_p[np.arange(N_TRAIN), at.problem.y]
    assert found.sum() == pytest.approx(1) and found.min() >= 0.5 / N_TRAIN
    assert found @ losses > losses.mean()


def by_targeted(at, settings):
    course = settings[0].course()
    rows = torch.arange(N_TRAIN)
    assert (course.inputs(at.problem.x, rows) == at.problem.x + 1).all()  # at first everything
    losses = torch.from_numpy(np.random.default_rng(0).permutation(N_TRAIN) / 10).float()
    assert course.loss(losses, rows) == losses.mean()
    course.weights(course.first, network())
    changed = (course.inputs(at.problem.x, rows) != at.problem.x).any(1).numpy()
    assert set(np.flatnonzero(changed)) == set(np.argsort(-losses.numpy())[: N_TRAIN // 5])


FOLLOWED = {
    "d3m": by_d3m,
    "d3m_trak": by_trak,
    "auto_d3m": by_auto,
    "random": by_lot,
    "majority": by_majority,
    "subsampling": by_subsampling,
    "reweighting": by_reweighting,
    "group_dro": by_dro,
    "jtt": by_jtt,
    "dfr": by_dfr,
    "spotlight": by_spotlight,
    "targeted": by_targeted,
}


@pytest.mark.parametrize("name", [one for one in RECIPES if one != "nothing"])
def test_a_recipe_does_what_its_paper_says(at, name):
    settings = RECIPES[name].function(RECIPES[name].settings)(at)
    FOLLOWED[name](at, settings)
    for setting in settings:
        if setting.removed is not None and setting.course is not None:
            assert set(np.flatnonzero(setting.course().drawn == 0)) == set(setting.removed)


def test_rows_are_drawn_by_their_weights():
    weights = np.array([1.0, 0.0, 1.0, 1.0])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        rows = torch.cat(list(drawn(weights, 6, 4))).tolist()
        assert sorted(rows[:3]) == [0, 2, 3] and len(rows) == 6 and 1 not in rows
        counts = np.bincount(torch.cat(list(drawn(np.array([1.0, 3.0]), 4000, 64))))
    np.testing.assert_allclose(counts / 4000, [0.25, 0.75], atol=0.03)


def test_training_with_everything_is_what_a_loop_by_hand_does():
    ready = checked(problem())
    y = torch.from_numpy(ready.y)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    made = train(network, ready.x, y, Schedule(1, 64, 0.01, 0.1), Course(np.ones(N_TRAIN)), 5)
    assert torch.equal(torch.get_rng_state(), state)  # the caller's draws are their own
    with torch.random.fork_rng():
        torch.manual_seed(5)
        own = network()
        optimizer = torch.optim.Adam(own.parameters(), lr=0.01, weight_decay=0.1)
        for step, rows in enumerate(torch.randperm(N_TRAIN).split(64)):
            optimizer.param_groups[0]["lr"] = 0.01 * (1 - step / 4)
            optimizer.zero_grad()
            nn.functional.cross_entropy(own(ready.x[rows]), y[rows]).backward()
            optimizer.step()
    for mine, theirs in zip(made.parameters(), own.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


# --- the run ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Everything, over two seeds, stopped once in the middle."""
    folder = tmp_path_factory.mktemp("retraining") / "results"
    said = []

    def stop(fraction, message):
        said.append(fraction)
        if fraction > 0.45:
            raise JobCancelled()

    with pytest.raises(JobCancelled):
        retrain(problem(), folder, seeds=2, candidates=KS, progress=stop)
    half = {path.name for path in folder.iterdir()}
    found = retrain(problem(), folder, seeds=2, candidates=KS)
    return folder, found, half, said


def test_what_is_stopped_leaves_nothing_half_and_goes_on(done, tmp_path, monkeypatch):
    folder, found, half, said = done
    assert said == sorted(said)
    assert not [name for name in half if name.startswith(".")] and "nothing-1" not in half
    assert {"nothing-0", "d3m-0", "result.json", "table.csv"} <= half
    monkeypatch.setattr(harness, "train", lambda *given: pytest.fail("trained twice"))
    again = retrain(problem(), folder, seeds=2, candidates=KS)
    pd.testing.assert_frame_equal(again.table, found.table)
    monkeypatch.undo()
    fresh = retrain(problem(), tmp_path / "new", recipes=["d3m", "jtt"], seeds=1, candidates=KS)
    each = json.loads((fresh.folder / "result.json").read_text())["each"]
    before = json.loads((folder / "result.json").read_text())["each"]
    assert each and all(one in before for one in each)


def test_tables_are_of_the_examples_that_report(done):
    folder, found, *_ = done
    assert found.table["recipe"].tolist() == list(RECIPES)
    ready = checked(problem())
    for recipe, seed in (("nothing", 0), ("d3m", 1), ("dfr", 1)):
        log_p = np.load(folder / f"{recipe}-{seed}" / "log_p.npy")
        parts = np.load(folder / f"{recipe}-{seed}" / "parts.npy")
        right = (log_p.argmax(1) == ready.own)[parts == REPORT]
        each = pd.Series(right).groupby(ready.own_group[parts == REPORT]).mean()
        told = json.loads((folder / "result.json").read_text())["each"]
        own = next(one for one in told if (one["recipe"], one["seed"]) == (recipe, seed))
        report = own["settings"][own["chosen"]]["report"]
        assert (report["worst"], report["balanced"]) == pytest.approx((each.min(), each.mean()))
        scores = [one["validation"] for one in own["settings"]]
        assert own["chosen"] == int(np.argmax(scores))
    table = found.table.set_index("recipe")
    assert table.loc["dfr", "worst"] > table.loc["nothing", "worst"]
    assert table.loc["d3m", "gain"] == pytest.approx(
        table.loc["d3m", "worst"] - table.loc["nothing", "worst"]
    )
    assert set(found.curve["recipe"]) == {"d3m", "d3m_trak", "auto_d3m", "random", "majority"}
    starts = found.curve[found.curve["removed"] == 0]
    assert set(starts["worst"]) == {table.loc["nothing", "worst"]} and len(starts) == 5
    csv = pd.read_csv(folder / "table.csv")
    np.testing.assert_allclose(csv["worst"], found.table["worst"])


def test_what_reports_chooses_nothing(tmp_path):
    """Other inputs of the half that reports change what is reported, and no choice."""
    report = halves(checked(problem()), 0) == REPORT
    own = problem().held_out
    inputs = own.inputs.copy()
    inputs[report] *= -1
    other = problem(held_out=Sample(inputs, own.labels, own.groups))
    chosen, reports = [], []
    for number, one in enumerate((problem(), other)):
        found = retrain(
            one,
            tmp_path / str(number),
            recipes=["d3m", "auto_d3m", "jtt", "dfr"],
            seeds=1,
            candidates=KS,
        )
        told = json.loads((found.folder / "result.json").read_text())["each"]
        chosen.append([(line["recipe"], line["chosen"]) for line in told])
        chosen[-1] += [s["validation"] for line in told for s in line["settings"]]
        reports.append([s["report"]["accuracy"] for line in told for s in line["settings"]])
    assert chosen[0] == chosen[1]
    assert max(reports[1]) < min(reports[0])


# --- refusals ------------------------------------------------------------------------------------


def flat():
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2), nn.Softmax(1))


def wordy(sample, groups):
    return Sample(sample.inputs, sample.labels, groups)


def refused_singular(folder):
    """A last layer of which one input is always 0, with no damping: the Gram matrix is singular."""
    from backend.attribution import GaussNewton

    x = np.zeros((50, 2))
    GaussNewton.of(x, np.full((50, 2), 0.5), np.arange(50) % 2, damping=0.0)


HELD = problem().held_out
REFUSALS = [
    ("the Gram matrix of the training features is singular.*or give a regularizer", refused_singular),
    ("every group needs 4 held-out examples or more: group 'new' has 1",
     lambda folder: retrain(problem(held_out=wordy(HELD, ["new", *HELD.groups[1:]]), train=wordy(problem().train, ["new", *problem().train.groups[1:]])), folder)),
    ("every group needs 1 training example or more: group 'new' has 0",
     lambda folder: retrain(problem(held_out=wordy(HELD, ["new"] * 9 + HELD.groups[9:])), folder)),
    ("groups must be two or more",
     lambda folder: retrain(problem(held_out=wordy(HELD, ["a"] * N), train=wordy(problem().train, ["a"] * N_TRAIN)), folder)),
    ("every number to remove would empty a class.*Try smaller ones than 239",
     lambda folder: retrain(problem(), folder, recipes=["random"], seeds=1, candidates=[239])),
    ("candidates must be whole numbers from 1 to 239: got 240",
     lambda folder: retrain(problem(), folder, candidates=[240])),
    ("must have the same dimensions: got \\(3,\\) and \\(2,\\)",
     lambda folder: retrain(problem(held_out=Sample(HELD.inputs[:, :2], HELD.labels, HELD.groups)), folder)),
    ("one output per class: got 2 for 3 classes",
     lambda folder: retrain(problem(classes=("a", "b", "c"), train=Sample(problem().train.inputs, np.arange(N_TRAIN) % 3, problem().train.groups)), folder)),
    ("every class needs a training example: 'third' has none",
     lambda folder: retrain(problem(classes=("a", "b", "third")), folder)),
    ("must give the outputs of its last linear layer",
     lambda folder: retrain(problem(network=flat), folder, seeds=1)),
    ("targeted augmentation needs the problem's augment",
     lambda folder: retrain(problem(augment=None), folder, recipes=["targeted"])),
    ("there is no recipe 'magic'", lambda folder: retrain(problem(), folder, recipes=["magic"])),
    ("seeds must be a whole number from 1", lambda folder: retrain(problem(), folder, seeds=0)),
    ("train.labels must be whole numbers from 0 to 1",
     lambda folder: retrain(problem(train=Sample(problem().train.inputs, problem().train.labels + 1, problem().train.groups)), folder)),
]  # fmt: skip


@pytest.mark.parametrize(("told", "asked"), REFUSALS, ids=[one[0][:40] for one in REFUSALS])
def test_refusals_say_what_to_do(tmp_path, told, asked):
    with pytest.raises(InputError, match=told):
        asked(tmp_path / "results")
    assert not list(tmp_path.glob("results/*-*"))[1:]  # the plain network at most


def test_a_folder_is_of_one_problem(done):
    folder, *_ = done
    before = Shelf.opened(folder).read("dfr", 0)
    again = Shelf.opened(folder).write(
        "dfr", 0, {"log_p": np.zeros(1)}, {}
    )  # another run was first
    assert before is not None and again.meta == before.meta and len(again["log_p"]) == N
    with pytest.raises(InputError, match="holds results of another problem"):
        retrain(problem(schedule=Schedule(passes=1)), folder, candidates=KS)
    with pytest.raises(InputError, match="must be a new or empty folder"):
        retrain(problem(), folder / "nothing-0", candidates=KS)


# --- the command, and bundles made of it ------------------------------------------------------------


def test_the_command_keeps_results_with_the_bundle_and_makes_bundles(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ERRORSCOPE_HOME", str(tmp_path / "home"))
    rng = np.random.default_rng(1)
    held = problem().held_out
    names = np.array(["left", "right"])
    path = write_bundle(
        tmp_path / "own.npz", embeddings=rng.normal(size=(N, 4)), labels=names[held.labels],
        predictions=names[held.labels], classes=names,
        examples={"id": np.array(problem().ids), "colour": np.array(["a", "b"])[np.arange(N) % 2]},
    )  # fmt: skip
    asked = ["retrain", f"{__name__}:problem", "--bundle", str(path), "--seeds", "2"]
    asked += ["--recipes", "d3m", "--remove", "10", "40", "--keep-bundles", "--json"]
    assert main(asked) == 0
    told = json.loads(capsys.readouterr().out)
    digest = read_bundle(path).digest
    assert told["made_from"] == digest and [one["recipe"] for one in told["table"]] == [
        "nothing",
        "d3m",
    ]
    [kept] = results_of(digest)
    assert kept.name == "tiny" and len(kept.table) == 2
    assert [one["name"].split(", ", 1)[1].split(",")[0] for one in told["bundles"]] == [
        "retrained: D3M",
        "retrained: nothing removed",  # another seed: the control
    ]
    assert len(list_bundles(tmp_path / "home")) == 2
    made = open_bundle(told["bundles"][0]["digest"])
    assert made.extras["made_from"][0] == digest
    assert made.extras["made_from"][2] == told["bundles"][1]["digest"]  # its control
    assert "training examples left out, seed 0" in str(made.extras["made_from"][1])
    assert (
        made.ids.tolist() == problem().ids
        and (made.examples["colour"] == read_bundle(path).examples["colour"]).all()
    )
    log_p = np.load(kept.folder / "d3m-0" / "log_p.npy")
    np.testing.assert_allclose(made.losses, -log_p[np.arange(N), held.labels], rtol=1e-5)
    parts = np.load(kept.folder / "d3m-0" / "parts.npy")
    assert (made.examples["retraining part"] == np.array(["chose", "reported"])[parts]).all()
    with pytest.raises(InputError, match="only the problem that this server was given"):
        complete_options("retraining", {"factory": f"{__name__}:problem"})
    monkeypatch.setenv("ERRORSCOPE_RETRAIN", f"{__name__}:small")
    with pytest.raises(InputError, match="only the problem that this server was given"):
        complete_options("retraining", {"factory": "os:getcwd"})
    wanted = complete_options("retraining", {"factory": f"{__name__}:small", "seeds": 1})
    own, stamp = import_bundle(path), results_stamp(digest)
    with monkeypatch.context() as full:
        full.setenv("ERRORSCOPE_DISK_GB", "1e-6")
        with pytest.raises(InputError, match="disk space of this server is used up"):
            retrain(problem(), place_of(problem(), digest, candidates=[20]), recipes=["random"])
    assert len(results_of(digest)) == 1 and results_stamp(digest) == stamp
    _, meta = run_retraining(own, wanted, ignore_progress, no_parts)
    assert len(meta["bundles"]) == len(RECIPES) and len(results_of(digest)) == 2
    assert results_stamp(digest) != stamp
    table = readable_table(results_of(digest)[0])
    assert table["recipe"].tolist() == [one.title for one in RECIPES.values()]
    drop_results(digest)
    assert results_of(digest) == []
    monkeypatch.setitem(globals(), "problem", partial(problem, ids=[f"x{row}" for row in range(N)]))
    assert main(asked) == 2
    assert "row 0 is 'x0', there 'e0'" in capsys.readouterr().err
