"""Collecting equals a loop written by hand, for each kind of model, and what is written is read."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from backend.bundle import Bundle, collect, read_bundle
from backend.bundle.training import training_of
from backend.collect import CollectError
from backend.collect import collect as collect_to_disk
from backend.collect.projection import (
    LEAF_DIMENSIONS,
    TOKEN_DIMENSIONS,
    projected,
    projected_tokens,
    signs,
)
from backend.tasks.attribution import attributable

CLOSE = 1e-6
pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 5)).astype(np.float32)
CODES = (X[:, 0] + 0.5 * X[:, 1] > 0).astype(np.int64) + (X[:, 2] > 0.5)
AMOUNTS = (X @ np.array([1.0, -2.0, 0.5, 0, 0])).astype(np.float32) + 0.25
WORDS = np.array(["late parcel", "good fit", "good colour, late", "fits", "torn seam"])
TEXTS = WORDS[RNG.integers(0, 5, 90)]
NAMES = np.array(["cat", "dog", "fox"])


def cross_entropy(chances: np.ndarray, codes: np.ndarray) -> np.ndarray:
    return -np.log(chances[np.arange(len(codes)), codes])


def expected(
    embeddings: np.ndarray, codes: np.ndarray, chances: np.ndarray, **more: Any
) -> dict[str, Any]:
    """Fields of a classification, from probabilities."""
    made = {"predictions": chances.argmax(1), "losses": cross_entropy(chances, codes)}
    return {"embeddings": embeddings, "labels": codes, "probabilities": chances, **made, **more}


def network(outputs: int = 3) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Dropout(0.5), nn.Linear(7, outputs))


class Reader(nn.Module):
    """A model of token ids; ``per`` says what it puts out."""

    def __init__(self, per: str) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(2)
            self.words = nn.Embedding(20, 4, padding_idx=0)
            self.score = nn.Linear(4, 3 if per == "token" else 2)
        self.per = per

    def get_input_embeddings(self) -> nn.Module:
        return self.words

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        each = self.score(torch.tanh(self.words(input_ids)))
        if self.per == "answer":
            return {"start_logits": each[..., 0], "end_logits": each[..., 1]}
        if self.per == "token":
            return SimpleNamespace(logits=each)
        last = attention_mask.sum(1) - 1  # as causal sequence classifiers of Hugging Face do
        return SimpleNamespace(logits=each[torch.arange(len(each)), last])


IDS = torch.from_numpy(RNG.integers(1, 20, (9, 6)))
LENGTHS = torch.tensor([6, 3, 4, 6, 2, 5, 6, 1, 4])
MASK = (torch.arange(6) < LENGTHS[:, None]).long()
IDS = IDS * MASK
TOKEN_LABELS = torch.where(MASK.bool(), IDS % 3, -100)


def token_batches(**labels: torch.Tensor) -> list[dict[str, torch.Tensor]]:
    """Batches of four texts, each cut to its longest, as loaders do."""
    batches = []
    for rows in torch.arange(9).split(4):
        width = int(LENGTHS[rows].max())
        held = {"input_ids": IDS[rows][:, :width], "attention_mask": MASK[rows][:, :width]}
        cut = {key: value[rows][:, :width] for key, value in labels.items() if value.ndim == 2}
        batches.append(held | cut | {k: v[rows] for k, v in labels.items() if v.ndim == 1})
    return batches


def states(model: nn.Module) -> np.ndarray:
    return torch.tanh(model.words(IDS)).detach().numpy()


# --- each case: a model, a loader, options, and what a loop by hand gives ---------------------------


def torch_classes() -> tuple[Any, ...]:
    model = network()
    given = [
        (torch.from_numpy(X[k : k + 32]), torch.from_numpy(CODES[k : k + 32]))
        for k in range(0, 90, 32)
    ]
    hidden = model[1](model[0](torch.from_numpy(X)))
    chances = model[3](hidden).double().softmax(1).detach().numpy()
    return model, given, {}, expected(hidden.detach().numpy(), CODES, chances)


def torch_regression() -> tuple[Any, ...]:
    model = network(1)
    hidden = model[1](model[0](torch.from_numpy(X)))
    numbers = model[3](hidden)[:, 0].detach().numpy().astype(np.float64)
    fields = {"predictions": numbers, "targets": AMOUNTS, "losses": (numbers - AMOUNTS) ** 2}
    return (
        model,
        (X, AMOUNTS),
        {"batch_size": 40},
        {"embeddings": hidden.detach().numpy(), **fields},
    )


def torch_own_loss() -> tuple[Any, ...]:
    model, *_, fields = torch_classes()
    options = {"loss": lambda output, labels: output.logsumexp(1) + labels}
    z = model.eval()(torch.from_numpy(X)).double().detach().numpy()
    return model, (X, CODES), options, fields | {"losses": np.log(np.exp(z).sum(1)) + CODES}


def token_labels() -> tuple[Any, ...]:
    model = Reader("token")
    chances = model(IDS, MASK).logits.double().softmax(2).detach().numpy()
    losses = [
        np.mean([-np.log(chances[i, t, IDS[i, t] % 3]) for t in range(LENGTHS[i])])
        for i in range(9)
    ]
    # States side by side, padding as zeros, times one big matrix of signs.
    matrix = np.concatenate([signs([0, place, 0], 4, TOKEN_DIMENSIONS) for place in range(6)])
    flat = (states(model) * MASK.numpy()[:, :, None]).reshape(9, -1)
    vectors = flat @ matrix / np.sqrt(TOKEN_DIMENSIONS)
    return model, token_batches(labels=TOKEN_LABELS), {}, {"embeddings": vectors, "losses": losses}


def answers() -> tuple[Any, ...]:
    model = Reader("answer")
    z = model(IDS[:, :6], MASK)
    begin, end = torch.arange(9) % 1, LENGTHS - 1
    each = [
        nn.functional.cross_entropy(z[f"{k}_logits"].double(), v, reduction="none")
        for k, v in (("start", begin), ("end", end))
    ]
    vectors = projected_tokens(states(model), MASK.numpy(), TOKEN_DIMENSIONS, 0)
    batch = {
        "input_ids": IDS,
        "attention_mask": MASK,
        "start_positions": begin,
        "end_positions": end,
    }
    losses = (sum(each) / 2).detach().numpy()
    return model, [batch], {}, {"embeddings": vectors, "losses": losses}


def last_token() -> tuple[Any, ...]:
    model, codes = Reader("text"), torch.arange(9) % 2
    chances = model(IDS, MASK).logits.double().softmax(1).detach().numpy()
    vectors = states(model)[np.arange(9), LENGTHS.numpy() - 1]
    return model, token_batches(labels=codes), {}, expected(vectors, codes.numpy(), chances)


def perceptron() -> tuple[Any, ...]:
    model = make_pipeline(StandardScaler(), MLPClassifier((6, 4), max_iter=30, random_state=0))
    model.fit(X, NAMES[CODES])
    inner = model[-1]
    hidden = model[0].transform(X)
    for weights, bias in zip(inner.coefs_[:-1], inner.intercepts_[:-1], strict=True):
        hidden = np.maximum(hidden @ weights + bias, 0)
    return model, (X, NAMES[CODES]), {}, expected(hidden, CODES, model.predict_proba(X))


def forest() -> tuple[Any, ...]:
    model = RandomForestRegressor(7, max_depth=3, random_state=0).fit(X, AMOUNTS)
    leaves, vectors = model.apply(X), np.zeros((90, LEAF_DIMENSIONS))
    for tree in range(7):
        for row in range(90):
            vectors[row] += signs([0, tree, leaves[row, tree]], 1, LEAF_DIMENSIONS)[0]
    numbers = model.predict(X)
    fields = {"predictions": numbers, "targets": AMOUNTS, "losses": (numbers - AMOUNTS) ** 2}
    return model, (X, AMOUNTS), {}, {"embeddings": vectors / np.sqrt(7 * LEAF_DIMENSIONS), **fields}


def words() -> tuple[Any, ...]:
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, CODES)
    vectors = projected(model[0].transform(TEXTS).toarray(), TOKEN_DIMENSIONS, [0])
    return model, (TEXTS, CODES), {}, expected(vectors, CODES, model.predict_proba(TEXTS))


def codes_without_scores() -> tuple[Any, ...]:
    model = LinearSVC().fit(X, 10 * CODES + 10)  # the classes are 10, 20 and 30
    predicted = (model.predict(X) - 10) // 10
    fields = {"labels": CODES, "predictions": predicted, "losses": predicted != CODES}
    return model, (X, 10 * CODES + 10), {}, {"embeddings": X, **fields}


def function_of_arrays() -> tuple[Any, ...]:
    weights = RNG.normal(size=(5, 3))

    def model(x: np.ndarray) -> dict[str, np.ndarray]:
        return {"embeddings": x[:, :2], "logits": x @ weights}

    z = X @ weights
    chances = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    return model, (X, NAMES[CODES]), {"classes": NAMES}, expected(X[:, :2], CODES, chances)


def function_with_losses() -> tuple[Any, ...]:
    def model(x: np.ndarray) -> dict[str, np.ndarray]:
        return {"embeddings": x, "losses": np.abs(x).sum(1)}

    return model, (X, CODES), {}, {"embeddings": X, "losses": np.abs(X).sum(1)}


def linear() -> tuple[Any, ...]:
    model = LinearRegression().fit(X, AMOUNTS)
    numbers = model.predict(X)
    fields = {"predictions": numbers, "targets": AMOUNTS, "losses": (numbers - AMOUNTS) ** 2}
    return model, (X, AMOUNTS), {"embedding": np.tanh}, {"embeddings": np.tanh(X), **fields}


CASES: list[tuple[Callable[[], tuple[Any, ...]], str]] = [
    (torch_classes, "cross-entropy of the model's logits"),
    (torch_regression, "squared error"),
    (torch_own_loss, "those that the given function made"),
    (token_labels, "concatenated and projected to 1000"),
    (answers, "concatenated and projected to 1000"),
    (last_token, "the last state of the tokens"),
    (perceptron, "last hidden layer of MLPClassifier"),
    (forest, "leaves of RandomForestRegressor"),
    (words, "features as they come to LogisticRegression"),
    (codes_without_scores, "0 where the prediction is the label"),
    (function_of_arrays, "cross-entropy of the model's logits"),
    (function_with_losses, "those that the given function made"),
    (linear, "what the given function made"),
]


@pytest.mark.parametrize(("case", "note"), CASES, ids=lambda one: getattr(one, "__name__", ""))
def test_collecting_equals_a_loop_by_hand(case: Any, note: str) -> None:
    model, loader, options, fields = case()
    bundle = collect(model, loader, **options)
    for name, values in fields.items():
        given = getattr(bundle, name)
        if name in ("labels", "predictions") and given.dtype.kind in "iU":
            given = bundle.label_codes if name == "labels" else bundle.prediction_codes
        np.testing.assert_allclose(given, values, rtol=CLOSE, atol=CLOSE, err_msg=name)
    assert note in " ".join(bundle.notes)
    without = {"labels", "predictions", "probabilities", "targets"} - fields.keys()
    assert not [name for name in without if getattr(bundle, name) is not None]


@pytest.mark.parametrize(
    "model",
    [
        MLPRegressor(hidden_layer_sizes=(3,), max_iter=5),
        GradientBoostingClassifier(n_estimators=2),
        DecisionTreeClassifier(),
    ],
)
def test_other_estimators_are_read(model: Any) -> None:
    regression = isinstance(model, MLPRegressor)
    bundle = collect(
        model.fit(X, AMOUNTS if regression else CODES), (X, AMOUNTS if regression else CODES)
    )
    assert bundle.accuracy == (None if regression else pytest.approx(model.score(X, CODES)))
    assert bundle.embeddings.shape == (90, 3 if regression else LEAF_DIMENSIONS)


@pytest.mark.parametrize("n", [2, 90])
def test_lists_and_tables_are_cut_into_batches_as_arrays_are(n: int) -> None:
    texts, labels = TEXTS[:n].tolist(), CODES[:n].tolist()
    words = make_pipeline(TfidfVectorizer(analyzer="char"), LogisticRegression()).fit(TEXTS, CODES)
    of_lists = collect(words, (texts, labels), batch_size=40)
    assert of_lists.digest == collect(words, (TEXTS[:n], CODES[:n]), batch_size=40).digest
    table = pd.DataFrame(X, columns=list("abcde")).sample(frac=1, random_state=0)
    trees = GradientBoostingRegressor(n_estimators=2).fit(table, AMOUNTS)
    kept = collect(trees, [table, pd.Series(AMOUNTS)], examples=table)  # no warning of names
    assert kept.examples["a"].tolist() == table["a"].tolist()


def test_class_names_that_are_numbers_are_not_taken_for_positions() -> None:
    bundle = collect(LogisticRegression().fit(X, CODES + 1), (X, CODES + 1))
    assert bundle.classes == ("1", "2", "3") and bundle.label_codes.tolist() == CODES.tolist()


# --- several models, checkpoints, gradients --------------------------------------------------------


def test_populations_are_what_each_model_answers(tmp_path: Any) -> None:
    several = [network() for _ in range(2)]
    with torch.no_grad():
        several[1][3].bias += torch.tensor([0.0, 0.3, -0.2])
    torch.save(several[1].state_dict(), tmp_path / "second.pt")
    given = {"baseline": [several[0], tmp_path / "second.pt"], "noisy": [several[1].state_dict()]}
    bundle = collect(network().train(), (X, CODES), populations=given)
    answers = [one.eval()(torch.from_numpy(X)).argmax(1).numpy() for one in several]
    assert (bundle.populations["baseline"] == np.stack(answers)).all()
    assert (bundle.populations["noisy"] == answers[1:]).all()
    trees = [
        DecisionTreeClassifier(max_depth=k, random_state=0).fit(X, NAMES[CODES]) for k in (1, 2)
    ]
    bundle = collect(trees[1], (X, NAMES[CODES]), populations={"all": trees})
    assert (
        np.asarray(bundle.classes)[bundle.populations["all"]] == [t.predict(X) for t in trees]
    ).all()
    single = network(1)
    bundle = collect(single, (X, CODES > 0), populations={"one": [single]})
    assert (bundle.populations["one"][0] == bundle.predictions).all()
    with pytest.raises(ValueError, match="a regression has none"):
        collect(network(1), (X, AMOUNTS), populations={"one": [network(1)]})


def checkpoints_of(model: nn.Module) -> list[dict[str, torch.Tensor]]:
    rng = torch.Generator().manual_seed(3)
    return [
        {
            key: value + 0.1 * torch.randn(value.shape, generator=rng)
            for key, value in model.state_dict().items()
        }
        for _ in range(3)
    ]


def test_gradients_of_pictures_and_of_tokens_are_those_of_the_topic() -> None:
    from backend.difficulty import variance_of_gradients

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, 3))
        x = torch.randn(7, 3, 6, 6)
    y, checkpoints = torch.arange(7) % 3, checkpoints_of(model)
    found = np.zeros((3, 7, 3, 6, 6))
    for t, state in enumerate(checkpoints):
        for i in range(7):
            leaf = x[i : i + 1].clone().requires_grad_(True)
            output = torch.func.functional_call(model, state, (leaf,))
            found[t, i] = torch.autograd.grad(output[0, y[i]], leaf)[0][0].numpy()
    bundle = collect(
        model,
        list(zip(x.split(3), y.split(3), strict=True)),
        checkpoints=checkpoints,
        gradients=True,
    )
    twin = variance_of_gradients(found, channel_axis=2)
    np.testing.assert_allclose(bundle.extras["vog"], twin.raw, atol=CLOSE)
    np.testing.assert_allclose(bundle.extras["gradients"], found.mean(2), atol=CLOSE)

    whole = [network().train(), network().eval()]
    same = collect(network(), (X, CODES), checkpoints=whole)
    assert (same.extras["vog"] == 0).all()  # and checkpoints given as models are left as they were
    assert [one.training for one in whole] == [one[2].training for one in whole] == [True, False]

    reader, codes = Reader("text"), torch.arange(9) % 2
    states = checkpoints_of(reader)
    bundle = collect(reader, token_batches(labels=codes), checkpoints=states)
    each = []
    for state in states:
        words = nn.functional.embedding(IDS, state["words.weight"])
        words.requires_grad_(True)
        logits = torch.tanh(words) @ state["score.weight"].T + state["score.bias"]
        picked = logits[torch.arange(9), LENGTHS - 1, codes].sum()
        each.append(torch.autograd.grad(picked, words)[0].mean(2).numpy())
    deviation = np.std(each, axis=0)
    by_hand = [deviation[i, : LENGTHS[i]].mean() for i in range(9)]
    np.testing.assert_allclose(bundle.extras["vog"], by_hand, atol=CLOSE)


@pytest.mark.parametrize("outputs", ["three", "one", "softmax", "looks at values"])
def test_projected_gradients_equal_one_big_matrix(outputs: str) -> None:
    """Features, residuals and their names, at two checkpoints, for every shape of output."""
    inner = network(1 if outputs == "one" else 3)

    class Looking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x) if float(x.detach().sum()) < 1e9 else self.inner(-x)

    model = {"softmax": nn.Sequential(inner, nn.Softmax(1)), "looks at values": Looking()}.get(
        outputs, inner
    )
    options = {"layer": "0.1"} if outputs == "softmax" else {}
    codes = (CODES > 0).astype(np.int64) if outputs == "one" else CODES
    states, k = checkpoints_of(model)[:2], 12
    bundle = collect(
        model, (X[:20], codes[:20]), train=(X[20:80], codes[20:80]), checkpoints=states,
        attribution=k, batch_size=16, seed=5, **options,
    )  # fmt: skip
    p = sum(parameter.numel() for parameter in model.parameters())
    for t, state in enumerate(states):
        matrix = signs([5, t, 0], p, k)
        gradients, residuals = [], []
        for row in range(80):
            weights = {key: value.clone().requires_grad_(True) for key, value in state.items()}
            z = torch.func.functional_call(
                model.eval(), weights, (torch.from_numpy(X[row : row + 1]),)
            )[0]
            z = (
                torch.cat([-z, z]) / 2
                if outputs == "one"
                else z.log()
                if outputs == "softmax"
                else z
            )
            others = torch.cat([z[: codes[row]], z[codes[row] + 1 :]])
            margin = z[codes[row]] - others.logsumexp(0)
            found = torch.autograd.grad(margin, list(weights.values()))
            gradients.append(torch.cat([one.flatten() for one in found]).numpy())
            residuals.append(1 - float(z.detach().softmax(0)[codes[row]]))
        features = np.stack(gradients) @ matrix / np.sqrt(k)
        np.testing.assert_allclose(bundle.extras["target_features"][t], features[:20], atol=1e-5)
        np.testing.assert_allclose(bundle.extras["train_features"][t], features[20:], atol=1e-5)
        np.testing.assert_allclose(bundle.extras["train_residuals"][t], residuals[20:], atol=CLOSE)
    assert bundle.extras["train_features"].shape == (2, 60, k)
    assert "trak" in attributable(bundle).methods
    assert bundle.train["labels"].tolist() == codes[20:80].tolist()
    assert f"{p} parameters of the model, projected to 12" in " ".join(bundle.notes)
    restricted = collect(
        model, (X[:5], codes[:5]), train=(X[:9], codes[:9]), attribution=3,
        gradient_layers=[[name for name, _ in model.named_modules()][1]] if outputs != "three" else ["3"], **options,
    )  # fmt: skip
    assert restricted.extras["train_features"].shape == (1, 9, 3)


def test_projections_keep_lengths_and_do_not_depend_on_blocks() -> None:
    values = RNG.normal(size=(30, 9000))
    made = projected(values, 600, [4])
    assert np.linalg.norm(made, axis=1) == pytest.approx(np.linalg.norm(values, axis=1), rel=0.2)
    whole = np.concatenate([signs([4, k], min(4096, 9000 - 4096 * k), 600) for k in range(3)])
    np.testing.assert_allclose(made, values @ whole / np.sqrt(600), rtol=1e-4, atol=1e-3)
    assert abs(signs([1], 400, 400).mean()) < 0.01
    assert (signs([1, 2], 8, 8) != signs([1, 3], 8, 8)).any()


def test_mixed_precision_is_near_and_said() -> None:
    exact = collect(network(), (X, CODES))
    mixed = collect(network(), (X, CODES), precision="bfloat16")
    assert mixed.losses == pytest.approx(exact.losses, abs=0.05)
    assert (mixed.losses != exact.losses).any()
    assert "mixed precision, bfloat16" in " ".join(mixed.notes)


def read_back(path: Any, **options: Any) -> Bundle:
    collect_to_disk(network(), (X, CODES), out=path, batch_size=32, **options)
    return read_bundle(path)


@pytest.mark.parametrize("suffix", [".npz", ".zip", ""])
def test_every_form_holds_the_same(tmp_path: Any, suffix: str) -> None:
    """Columns, texts, pictures of every kind, layers, the training set and notes, in each form."""
    table = {
        "id": [f"n{k}" for k in range(90)],
        "age": np.arange(90),
        "share": X[:, 0],
        "told": [None, 'a,\n"b"'] * 45,
    }
    pixels = RNG.integers(0, 255, (90, 4, 6, 3), dtype=np.uint8)
    of_train = {
        "train_examples": {"id": [f"t{k}" for k in range(50)], "age": np.arange(50)},
        "train_images": pixels[:50],
        "train_texts": TEXTS[:50],
    }
    bundle = read_back(
        tmp_path / f"run{suffix}", classes=NAMES, examples=table, texts=TEXTS, images=list(pixels),
        layers=["0"], train=(X[:50], CODES[:50]), **of_train,
    )  # fmt: skip
    assert bundle.ids[3] == "n3" and bundle.examples["age"].tolist() == list(range(90))
    assert bundle.examples["told"][1] == 'a,\n"b"' and bundle.examples["told"][0] == ""
    assert bundle.examples["text"].tolist() == TEXTS.tolist()
    assert bundle.examples["share"].to_numpy() == pytest.approx(X[:, 0])
    from io import BytesIO

    from PIL import Image

    assert (np.asarray(Image.open(BytesIO(bundle.image(7)))) == pixels[7]).all()
    hidden = network()[0](torch.from_numpy(X)).detach().numpy()
    np.testing.assert_allclose(bundle.layers["0"], hidden, atol=CLOSE)
    assert bundle.train["embeddings"].shape == (50, 7) and bundle.classes == tuple(NAMES)
    assert bundle.train["losses"] == pytest.approx(bundle.losses[:50])
    assert bundle.notes[0] == "losses: cross-entropy of the model's logits, in nats."
    assert not list(tmp_path.glob(".collect-*"))
    same = read_back(tmp_path / f"again{suffix}", classes=NAMES, examples=table, texts=TEXTS,
                     images=list(pixels), layers=["0"], train=(X[:50], CODES[:50]), **of_train)  # fmt: skip
    assert same.digest == bundle.digest
    training = training_of(bundle)
    assert training is not None and training.ids[:2].tolist() == ["t0", "t1"]
    worst = training.least_fitted(3)
    assert worst.tolist() == np.argsort(-bundle.train["losses"], kind="stable")[:3].tolist()
    assert training.texts is not None and training.texts.tolist() == TEXTS[:50].tolist()
    assert {*training.columns} == {"age"} and bundle.unused() == []
    assert (np.asarray(Image.open(BytesIO(training.thumbnail(7) or b""))) == pixels[7]).all()


def test_pictures_and_columns_come_with_the_batches(tmp_path: Any) -> None:
    pixels = RNG.random((10, 3, 4, 4)).astype(np.float32)
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 6), nn.ReLU(), nn.Linear(6, 2))
    batches = [
        {
            "pixel_values": torch.from_numpy(pixels[k : k + 5]),
            "labels": torch.zeros(5).long(),
            "id": [f"{j}" for j in range(k, k + 5)],
        }
        for k in (0, 5)
    ]
    bundle = collect(
        model, batches, columns=["id"], images="inputs", texts=lambda batch: [f"number {i}" for i in batch["id"]],
        examples=lambda batch: {"mean": batch["pixel_values"].mean((1, 2, 3)), "first": batch["id"]},
    )  # fmt: skip
    assert bundle.examples["text"][6] == "number 6"
    trained = training_of(
        collect(
            model, batches, columns=["id"], train=batches[:1], train_images="inputs",
            train_texts=lambda batch: batch["id"], train_examples=lambda batch: {"of": batch["id"]},
        )
    )  # fmt: skip
    assert trained is not None and trained.has_pictures and trained.n == 5
    assert trained.ids.tolist() == ["0", "1", "2", "3", "4"] == trained.columns["of"].tolist()
    assert trained.texts is not None and trained.texts[4] == "4"
    assert bundle.examples["mean"].to_numpy() == pytest.approx(pixels.mean((1, 2, 3)), abs=1e-6)
    shown = bundle.media.read(6)  # type: ignore[union-attr]
    from io import BytesIO

    from PIL import Image

    assert (
        np.asarray(Image.open(BytesIO(shown))) == np.rint(255 * pixels[6].transpose(1, 2, 0))
    ).all()
    import pandas as pd

    table = pd.DataFrame(
        {
            "whole": pd.array([None, *range(9)], dtype="Int64"),
            "day": pd.to_datetime([None, *["2026-01-02"] * 9]),
            "seen": [True, False] * 5,
        }
    )
    given = {**table, "odd": ["\ud800", *"abcdefghi"]}
    kept = collect(model, batches, columns=["id"], examples=given, out=tmp_path / "table").examples
    assert (
        kept["odd"].tolist() == ["?", *"abcdefghi"] and kept["seen"].tolist() == [True, False] * 5
    )
    assert kept["whole"].tolist()[1:] == list(range(9)) and str(kept["day"][3]).startswith(
        "2026-01-02"
    )
    spread = collect(
        model,
        [{**batch, "pixel_values": 3 * batch["pixel_values"] - 1} for batch in batches],
        columns=["id"],
        images="inputs",
    )
    assert spread.has_images

    class Tokenizer:
        def batch_decode(self, ids: torch.Tensor, skip_special_tokens: bool) -> list[str]:
            return [" ".join(str(int(one)) for one in row if one) for row in ids]

    read = collect(Reader("text"), token_batches(labels=torch.arange(9) % 2), texts=Tokenizer())
    assert read.examples["text"][1] == " ".join(map(str, IDS[1, :3].tolist()))


def test_confidence_over_training(tmp_path: Any) -> None:
    from backend.collect import Confidence, Indexed

    model = network()
    data = Indexed(torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(CODES)))
    seen, confidence = np.zeros((90, 2)), Confidence(len(data))
    optimizer = torch.optim.SGD(model.parameters(), 0.5)
    loader = torch.utils.data.DataLoader(
        data, 32, shuffle=True, generator=torch.Generator().manual_seed(0)
    )
    for epoch in range(2):
        for inputs, labels, rows in loader:
            logits = model(inputs)
            confidence.add(rows, logits, labels)
            seen[rows, epoch] = logits.double().softmax(1)[torch.arange(len(rows)), labels].detach()
            optimizer.zero_grad()
            nn.functional.cross_entropy(logits, labels).backward()
            optimizer.step()
        confidence.end_epoch()
    bundle = collect(model, (X[:9], CODES[:9]), train=(X, CODES), confidence=confidence)
    np.testing.assert_allclose(bundle.train["msp"], seen, atol=CLOSE)
    with pytest.raises(CollectError, match="89 of 90 did not, the first is row 0"):
        confidence.add([1], [[0.0, 1.0]], [0])
        confidence.end_epoch()
    with pytest.raises(ValueError, match="got 90 and train gave 8"):
        collect(model, (X[:9], CODES[:9]), train=(X[:8], CODES[:8]), confidence=confidence)
