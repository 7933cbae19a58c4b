"""What does leaving out harmful training examples buy, with the last layer fitted anew?

    python -m backend demo marked
    python -m tests.benchmarks.attribution_removal FILE.zip [--seeds 5] [--column mark]

The evaluated examples of the marked demo are dealt into two halves. One chooses: scores, groups, and
the number to remove with the best worst-group accuracy on it. The other reports: worst-group and
balanced accuracy over label x mark, mean of as many deals as seeds with Student's t interval. Beside
what scores suggest stand nothing removed, as many at random, as many at random from what the mark
goes with, and as many of every group of training examples. Only the last layer is fitted anew; what lies
below it learned the mark and stays.
"""

from __future__ import annotations

import argparse

import numpy as np

from backend.attribution import (
    GaussNewton,
    factored_influence,
    group_alignment,
    pseudo_groups,
    refit_head,
    remove_harmful,
    search_removal,
)
from backend.bundle import read_bundle
from backend.bundle.training import training_of
from backend.core.statistics import mean_interval

CANDIDATES = (25, 50, 100, 200, 400, 800)


def group_accuracies(right, codes):
    return np.array([right[codes == one].mean() for one in np.unique(codes)])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("file")
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--column", default="mark")
    given = options.parse_args()
    bundle = read_bundle(given.file)
    training = training_of(bundle)
    x, y = np.asarray(training.fields["embeddings"], np.float64), training.label_codes
    z, own = np.asarray(bundle.embeddings, np.float64), bundle.label_codes
    n_classes = len(bundle.class_names)
    values, cell = np.unique(training.columns[given.column], return_inverse=True)
    train_cells = y * len(values) + cell
    target_cells = own * len(values) + np.searchsorted(
        values, bundle.examples[given.column].to_numpy(dtype=str)
    )
    common = np.bincount(train_cells, minlength=n_classes * len(values)).reshape(n_classes, -1)
    majority = common.argmax(1)[y] == cell

    def answers(keep, rows):
        head = refit_head(x[keep], y[keep], n_classes)
        return head.probabilities(z[rows]).argmax(1) == own[rows]

    def one_deal(seed):
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(z))
        choose, report = np.sort(order[: len(z) // 2]), np.sort(order[len(z) // 2 :])
        everything = np.ones(len(x), bool)
        head = refit_head(x, y, n_classes)
        chances, targets = head.probabilities(x), head.probabilities(z[choose])
        losses = -np.log(targets[np.arange(len(choose)), own[choose]])
        right = targets.argmax(1) == own[choose]
        factored = factored_influence(
            GaussNewton.of(x, chances, y), z[choose], targets, own[choose]
        )

        def worst_on_choosing(keep):
            return group_accuracies(answers(keep, choose), target_cells[choose]).min()

        def keep_of(groups):
            names, codes = np.unique(groups, return_inverse=True)
            means = [losses[codes == one].mean() for one in range(len(names))]
            scores = group_alignment(
                factored.group_scores(codes, len(names)), np.arange(len(names)), means
            ).scores
            best, _ = search_removal(scores, worst_on_choosing, candidates=CANDIDATES, labels=y)
            return scores, everything if best is None else best.keep

        pseudo = pseudo_groups(factored.compressed(), own[choose], right, losses)
        scores, d3m = keep_of(target_cells[choose])
        _, auto = keep_of(own[choose] * 2 + pseudo)
        k = int((~d3m).sum())
        smallest = common[common > 0].min()
        balanced = np.concatenate(
            [
                rng.permutation(np.flatnonzero(train_cells == one))[:smallest]
                for one in np.unique(train_cells)
            ]
        )
        ways = {
            "nothing": everything,
            "D3M, number searched": d3m,
            "D3M, all with a negative score": remove_harmful(scores, labels=y).keep,
            "Auto-D3M, number searched": auto,
            "as many at random": ~np.isin(np.arange(len(x)), rng.permutation(len(x))[:k]),
            "as many of the majority": ~np.isin(
                np.arange(len(x)), rng.permutation(np.flatnonzero(majority))[:k]
            ),
            "equal groups by subsampling": np.isin(np.arange(len(x)), balanced),
        }
        found = {}
        for name, keep in ways.items():
            each = group_accuracies(answers(keep, report), target_cells[report])
            found[name] = each.min(), each.mean(), int((~keep).sum())
        return found

    told: dict[str, list[tuple[float, float, int]]] = {}
    for seed in range(given.seeds):
        for name, numbers in one_deal(seed).items():
            told.setdefault(name, []).append(numbers)
    print("| left out | examples | worst-group accuracy | balanced accuracy |")
    print("| --- | --- | --- | --- |")
    for name, numbers in told.items():
        worst, mean, removed = map(np.array, zip(*numbers, strict=True))
        cells = [
            f"{100 * one.value:.1f} ({100 * one.low:.1f} to {100 * one.high:.1f})"
            for one in map(mean_interval, (worst, mean))
        ]
        print(f"| {name} | {removed.mean():,.0f} | {cells[0]} | {cells[1]} |")


if __name__ == "__main__":
    main()
