"""Slow and obvious versions of the methods, written from the formulas alone."""

from __future__ import annotations

import numpy as np


def softmax(logits):
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def trak(train, targets, residuals, weak, average):
    t, n_train, k = train.shape
    n = targets.shape[1]
    influence = np.zeros((t, n_train, n))
    for m in range(t):
        inverse = np.linalg.inv(train[m].T @ train[m] + weak[m] * np.eye(k))
        for i in range(n_train):
            for z in range(n):
                influence[m, i, z] = train[m, i] @ inverse @ targets[m, z]
    if average == "product_of_means":
        return influence.mean(0) * residuals.mean(0)[:, None]
    return (influence * residuals[:, :, None]).mean(0)


def alignment(attribution, groups, losses, beta):
    names = sorted(set(groups))
    group_losses = [
        np.mean([x for x, g in zip(losses, groups, strict=True) if g == name]) for name in names
    ]
    weights = softmax(beta * np.array(group_losses))
    scores = []
    for row in attribution:
        total = 0.0
        for name, weight in zip(names, weights, strict=True):
            total += weight * np.mean([x for x, g in zip(row, groups, strict=True) if g == name])
        scores.append(total)
    return np.array(scores), weights, np.array(group_losses)


def pseudo(attribution, labels, correct, losses, share):
    groups = np.zeros(len(labels), int)
    for name in sorted(set(labels)):
        rows = [z for z, own in enumerate(labels) if own == name]
        if len(rows) < 10:
            continue
        held = attribution[:, rows].T
        held = held - held.mean(0)
        along = held @ np.linalg.svd(held, full_matrices=False)[2][0]
        size = max(1, int(np.floor(share * len(rows) + 0.5)))
        ordered = [rows[at] for at in np.argsort(along)]
        ends = ordered[:size], ordered[-size:]
        worse = min(
            ends,
            key=lambda end: (
                np.mean([correct[z] for z in end]),
                -np.mean([losses[z] for z in end]),
            ),
        )
        groups[list(worse)] = 1
    return groups


def margin_gradient(weights, x, label):
    """Of ``logit_y - log sum of the others``, by finite differences in the matrix (C, d)."""

    def margin(w):
        logits = w @ x
        return logits[label] - np.log(np.exp(np.delete(logits, label)).sum())

    found = np.zeros_like(weights)
    step = 1e-6
    for at in np.ndindex(weights.shape):
        moved = weights.copy()
        moved[at] += step
        found[at] = margin(moved)
        moved[at] -= 2 * step
        found[at] = (found[at] - margin(moved)) / (2 * step)
    return found


def influence(train, train_labels, targets, target_labels, weights, damping):
    """Last-layer influence with the whole (C d, C d) matrix, class by class of each example."""
    n_classes, d = weights.shape
    hessian = np.zeros((n_classes * d, n_classes * d))
    slopes = []
    for x, label in zip(train, train_labels, strict=True):
        p = softmax(weights @ x)
        hessian += np.kron(np.diag(p) - np.outer(p, p), np.outer(x, x))
        p[label] -= 1
        slopes.append(np.outer(p, x).ravel())
    # The sum over classes moves nothing: the mean of the diagonal is over the other directions.
    added = damping * np.trace(hessian) / ((n_classes - 1) * d)
    inverse = np.linalg.inv(hessian + added * np.eye(len(hessian)))
    return np.array(
        [
            [
                -margin_gradient(weights, z, label).ravel() @ inverse @ slope
                for z, label in zip(targets, target_labels, strict=True)
            ]
            for slope in slopes
        ]
    )
