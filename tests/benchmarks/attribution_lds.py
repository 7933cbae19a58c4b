"""Do scores of training examples say what happens without them? Linear datamodelling score, wrong labels.

Handwritten digits of scikit-learn: 1,000 training examples, a tenth of them with a wrong label, 200
targets, a network of one hidden layer (48 tanh, 3,610 parameters). It is trained anew on 100 random
halves of the training examples, with five seeds each. The linear datamodelling score of a method is
the rank correlation, over the halves, of the margin a target really has with the sum of the scores
of the examples in the half, averaged over targets (Ilyas et al. 2022). Wrong labels: how often a
wrongly labelled example has a lower mean score than a rightly labelled one (AUC).

    python -m tests.benchmarks.attribution_lds [--dattri FOLDER] [--halves 100] [--seeds 5]

``--dattri`` names a folder that dattri 0.3 was installed to (``pip install --target FOLDER
--no-deps dattri==0.3.0``); without it its rows are left out.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
import torch
from scipy.stats import rankdata
from sklearn.datasets import load_digits
from torch import nn

from backend.attribution import (
    default_regularizer,
    gauss_newton_influence,
    margin_gradients,
    projection_agreement,
    trak_scores,
)

HIDDEN, STEPS, RATE, DECAY = 48, 200, 0.01, 1e-3
N_TRAIN, N_TARGETS, WRONG = 1000, 200, 0.1


def data(seed=0):
    x, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(x))
    x, y = torch.tensor(x[order] / 16, dtype=torch.float32), y[order]
    wrong = rng.permutation(N_TRAIN)[: int(WRONG * N_TRAIN)]
    labels = y[:N_TRAIN].copy()
    labels[wrong] = (labels[wrong] + rng.integers(1, 10, len(wrong))) % 10
    targets = slice(N_TRAIN, N_TRAIN + N_TARGETS)
    return x[:N_TRAIN], torch.tensor(labels), x[targets], torch.tensor(y[targets]), wrong


def train_many(x, y, masks, seed):
    """Networks trained side by side, one per row of ``masks`` (m, n): weights of each."""
    g = torch.Generator().manual_seed(seed)
    m = len(masks)
    sizes = (64, HIDDEN), (HIDDEN, 10)
    weights = [
        (torch.randn(m, *size, generator=g) / size[0] ** 0.5).requires_grad_() for size in sizes
    ] + [torch.zeros(m, 1, size[1]).requires_grad_() for size in sizes]
    optimizer = torch.optim.Adam(weights, lr=RATE, weight_decay=0.0)
    rows = torch.stack([mask.nonzero()[:, 0] for mask in masks])  # equally many each
    own, labels = x[rows], y[rows]
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - step / STEPS)
        log_p = logits_of(weights, own).log_softmax(-1)
        loss = -log_p.gather(2, labels[:, :, None]).mean((1, 2)).sum()
        loss = loss + DECAY / 2 * sum(w.square().sum() for w in weights[:2])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return [w.detach() for w in weights]


def logits_of(weights, x):
    return torch.tanh(x @ weights[0] + weights[2]) @ weights[1] + weights[3]


def margins(weights, x, y):
    logits = logits_of(weights, x)
    own = logits[:, torch.arange(len(y)), y]
    rest = logits.clone()
    rest[:, torch.arange(len(y)), y] = -torch.inf
    return (own - torch.logsumexp(rest, -1)).numpy()


def network(weights, index):
    model = nn.Sequential(nn.Linear(64, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 10))
    with torch.no_grad():
        for layer, w, b in ((model[0], 0, 2), (model[2], 1, 3)):
            layer.weight.copy_(weights[w][index].T)
            layer.bias.copy_(weights[b][index, 0])
    return model.eval()


def datamodelling_score(scores, masks, truth):
    """Mean over targets of Spearman's correlation over halves."""
    predicted = masks.double().numpy() @ scores
    a, b = (rankdata(part, axis=0) for part in (predicted, truth))
    a, b = a - a.mean(0), b - b.mean(0)
    return float(((a * b).sum(0) / np.sqrt((a * a).sum(0) * (b * b).sum(0))).mean())


def wrong_labels(scores, wrong):
    ranks = rankdata(-scores.mean(1))
    n, m = len(ranks), len(wrong)
    return (ranks[wrong].sum() - m * (m + 1) / 2) / (m * (n - m))


def trak(models, x, y, z, own, k, weak, seed=0):
    held = [margin_gradients(one, x, y, k=k, seed=seed + at) for at, one in enumerate(models)]
    targets = [
        margin_gradients(one, z, own, k=k, seed=seed + at)[0] for at, one in enumerate(models)
    ]
    train = np.stack([one[0] for one in held])
    return trak_scores(
        train,
        np.stack(targets),
        np.stack([one[1] for one in held]),
        regularizer=default_regularizer(train) if weak else 0.0,
    )


def influence(models, x, y, z, own):
    found = 0
    with torch.no_grad():
        for model in models:
            parts = [
                (model[:2](one).numpy(), model(one).double().softmax(1).numpy()) for one in (x, z)
            ]
            found = found + gauss_newton_influence(*parts[0], y, *parts[1], own) / len(models)
    return found


def cosine(models, x, y, z, own):
    found = 0
    with torch.no_grad():
        for model in models:
            a, b = (nn.functional.normalize(model[:2](one)).numpy() for one in (x, z))
            found = found + a @ b.T / len(models)
    return found * np.where(y.numpy()[:, None] == own.numpy(), 1, -1)


def dattri_trak(models, x, y, z, own, k, regularization):
    from dattri.algorithm.trak import TRAKAttributor
    from dattri.task import AttributionTask

    model = models[0]

    def margin(params, pair):
        image, label = pair
        out = torch.func.functional_call(model, params, image.unsqueeze(0))
        log_p = -nn.functional.cross_entropy(out, label.unsqueeze(0))
        return log_p - torch.log(1 - torch.exp(log_p))

    def chance(params, pair):
        image, label = pair
        out = torch.func.functional_call(model, params, image.unsqueeze(0))
        return torch.exp(-nn.functional.cross_entropy(out, label.unsqueeze(0)))

    task = AttributionTask(
        loss_func=margin, model=model, checkpoints=[one.state_dict() for one in models]
    )
    attributor = TRAKAttributor(
        task=task,
        correct_probability_func=chance,
        projector_kwargs={"proj_dim": k, "device": "cpu"},
        regularization=regularization,
    )
    load = [
        torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*part), batch_size=250)
        for part in ((x, y), (z, own))
    ]
    attributor.cache(load[0])
    return attributor.attribute(load[1]).detach().numpy()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--dattri")
    options.add_argument("--halves", type=int, default=100)
    options.add_argument("--seeds", type=int, default=5)
    given = options.parse_args()
    x, y, z, own, wrong = data()
    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(1)
    masks = torch.zeros(given.halves, N_TRAIN, dtype=torch.bool)
    for mask in masks:
        mask[torch.randperm(N_TRAIN, generator=rng)[: N_TRAIN // 2]] = True
    began = time.perf_counter()
    truth = (
        sum(margins(train_many(x, y, masks, 100 + seed), z, own) for seed in range(given.seeds))
        / given.seeds
    )
    whole = train_many(x, y, torch.ones(5, N_TRAIN, dtype=torch.bool), 7)
    right = (logits_of(whole, z).argmax(-1) == own).double().mean()
    print(f"trained in {time.perf_counter() - began:.0f} s; accuracy on targets {right:.3f}")
    models = [network(whole, index) for index in range(5)]
    rows = {
        "TRAK, k 256, no regulariser": lambda m: trak(m, x, y, z, own, 256, False),
        "TRAK, k 256, regularised": lambda m: trak(m, x, y, z, own, 256, True),
        "TRAK, k 512, regularised": lambda m: trak(m, x, y, z, own, 512, True),
        "TRAK, last layer, no projection": lambda m: last_layer(m, x, y, z, own),
        "influence of the last layer": lambda m: influence(m, x, y, z, own),
        "embedding cosine, signed by label": lambda m: cosine(m, x, y, z, own),
        "random": lambda m: np.random.default_rng(0).normal(size=(N_TRAIN, N_TARGETS)),
    }
    if given.dattri:
        sys.path.insert(0, given.dattri)
        rows["dattri TRAK, k 256, 0"] = lambda m: dattri_trak(m, x, y, z, own, 256, 0.0)
        rows["dattri TRAK, k 512, same regulariser"] = lambda m: dattri_trak(
            m, x, y, z, own, 512, dattri_weak(m, x, y)
        )
    print("| method | 1 model | 5 models | wrong labels, 1 | 5 | seconds, 1 |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, score in rows.items():
        began = time.perf_counter()
        one = score(models[:1])
        seconds = time.perf_counter() - began
        five = score(models)
        cells = [datamodelling_score(part, masks, truth) for part in (one, five)]
        cells += [wrong_labels(part, wrong) for part in (one, five)]
        print(f"| {name} | " + " | ".join(f"{cell:.2f}" for cell in cells) + f" | {seconds:.2f} |")
    print("| agreement of two projections, k 256 | one target | mean of all targets |")
    for weak in (False, True):
        pair = [trak(models[:1], x, y, z, own, 256, weak, seed=seed) for seed in (50, 60)]
        each = np.mean(projection_agreement(*pair))
        mean = projection_agreement(*(part.mean(1, keepdims=True) for part in pair))[0]
        print(f"| {'regularised' if weak else 'no regulariser'} | {each:.2f} | {mean:.2f} |")


def last_layer(models, x, y, z, own):
    from backend.attribution import last_layer_features

    train, targets, residuals = [], [], []
    with torch.no_grad():
        for model in models:
            for into, one, codes in ((train, x, y), (targets, z, own)):
                chances = model(one).double().softmax(1).numpy()
                into.append(last_layer_features(model[:2](one).numpy(), chances, codes))
                if into is train:
                    residuals.append(1 - chances[np.arange(len(codes)), codes])
    train = np.stack(train)
    return trak_scores(train, np.stack(targets), residuals, regularizer=default_regularizer(train))


def dattri_weak(models, x, y):
    """The same regulariser in dattri's units: its gradients are divided by the root of p."""
    features, _ = margin_gradients(models[0], x, y, k=512)
    return float(default_regularizer(features[None])[0]) / 3610


if __name__ == "__main__":
    main()
