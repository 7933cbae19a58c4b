"""How often chance alone would show as much: p-values of every row of a description table.

The question is always the same: were the members drawn at random, how often would as many of them,
or more, hold the thing? Members drawn without replacement from all examples make that Fisher's
one-sided exact test. Drawn label by label (the baseline ``same label``) the number of holders is a
sum of independent hypergeometric numbers, for which a bound is given that is never too small.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]
Counts = NDArray[np.integer[Any]]

_NEGLIGIBLE = 1e-17


def fisher_p(held: Counts, members: int, count: Counts, n: int) -> Floats:
    """Probability that ``held`` or more of ``members`` examples drawn from ``n`` are holders.

    Parameters
    ----------
    held, count : int arrays of one shape
        Holders among the members, and among all.
    members, n : int
        Examples drawn, and all.

    Returns
    -------
    float64 array
        The upper tail of the hypergeometric distribution: Fisher's exact test, one-sided. Relative
        error about 1e-9. ``scipy.stats.hypergeom.sf`` does the same number by number, and takes
        half a second to import.

    References
    ----------
    Fisher, The logic of inductive inference, JRSS 98 (1935).
    """
    pairs, back = np.unique(
        np.stack([np.asarray(held, np.int64), np.asarray(count, np.int64)]),
        axis=1,
        return_inverse=True,
    )
    k, total = pairs.astype(np.float64)
    p = np.ones(len(k))
    possible = k > np.maximum(0, members + total - n)
    upper = possible & (k > members * total / n)
    p[upper] = _tail(k[upper], members, total[upper], n, step=1)
    lower = possible & ~upper
    p[lower] = 1 - _tail(k[lower] - 1, members, total[lower], n, step=-1)
    return np.clip(p, 0.0, 1.0)[back.reshape(np.shape(held))]


def _tail(start: Floats, members: int, total: Floats, n: int, *, step: int) -> Floats:
    """Sum of the hypergeometric probabilities from ``start`` on, away from the mean."""
    log_first: Floats = (
        _log_choose(total, start)
        + _log_choose(n - total, members - start)
        - _log_choose(np.full(1, float(n)), np.full(1, float(members)))
    )
    sums, term, at = np.ones(len(start)), np.ones(len(start)), start.copy()
    live = np.arange(len(start))
    while len(live):
        j, all_held = at[live], total[live]
        others = n - all_held - members  # may be negative; j + others never is
        if step > 0:
            ratio = (all_held - j) * (members - j) / ((j + 1) * (others + j + 1))
        else:
            ratio = j * (others + j) / ((all_held - j + 1) * (members - j + 1))
        term[live] *= np.maximum(ratio, 0.0)
        sums[live] += term[live]
        at[live] += step
        live = live[term[live] > _NEGLIGIBLE * sums[live]]
    return np.asarray(np.exp(log_first) * sums)


def _log_choose(n: Floats, k: Floats) -> Floats:
    return np.asarray(-special.betaln(n - k + 1, k + 1) - np.log1p(n))


def stratified_p(held: Counts, members: int, count: Counts, expected: Floats) -> Floats:
    """No less than the probability of ``held`` or more when members are drawn stratum by stratum.

    Parameters
    ----------
    held, count : int arrays of one shape
        Holders among the members, and among all.
    members : int
        Examples drawn over all strata.
    expected : float array of that shape
        Mean number of holders drawn: the sum over strata of members times share of holders.

    Returns
    -------
    float64 array
        A sum of hypergeometric numbers is distributed like a number of successes in independent
        trials of unequal chances (Vatutin, Mikhailov 1982); from one above its mean on, its upper
        tail is at most that of the binomial distribution with equal chances (Hoeffding 1956).
        Below, Markov's ``expected / held`` stands in; the smaller of the two where both hold.

    References
    ----------
    Hoeffding, On the distribution of the number of successes in independent trials, Ann. Math.
    Statist. 27 (1956), theorem 4.
    Vatutin, Mikhailov, Limit theorems for the number of empty cells, Theory Probab. Appl. 27 (1982).
    """
    k, mean = np.asarray(held, np.float64), np.asarray(expected, np.float64)
    trials = np.maximum(np.minimum(members, np.asarray(count, np.float64)), 1.0)
    some = k > 0
    p = np.ones(k.shape)
    p[some] = np.minimum(1.0, mean[some] / k[some])
    far = some & (k >= mean + 1)
    chance = np.clip(mean[far] / trials[far], 0.0, 1.0)
    p[far] = np.minimum(p[far], special.betainc(k[far], trials[far] - k[far] + 1, chance))
    return p


def rank_sum_p(values: Floats, members: NDArray[np.bool_], strata: NDArray[np.intp]) -> float:
    """Two-sided p that members and others have values alike: Wilcoxon's rank-sum test.

    Ranks are taken inside each stratum and their sums added; ties share their mean rank. The normal
    approximation is corrected for ties and, in a single stratum, for continuity, so that it equals
    ``scipy.stats.mannwhitneyu(method="asymptotic")`` there. NaN values take no part; NaN when
    nothing can be compared.

    References
    ----------
    Wilcoxon, Individual comparisons by ranking methods, Biometrics Bulletin 1 (1945); Mann,
    Whitney, Ann. Math. Statist. 18 (1947), with Hollander, Wolfe, Chicken for ties.
    """
    known = ~np.isnan(values)
    difference = variance = 0.0
    present = np.unique(strata[known & members])
    for stratum in present:
        own = known & (strata == stratum)
        _, code, count = np.unique(values[own], return_inverse=True, return_counts=True)
        ranks = (np.cumsum(count) - (count - 1) / 2)[code]
        inside = members[own]
        n, m = len(ranks), int(inside.sum())
        if m == n:
            continue
        difference += float(ranks[inside].sum()) - m * (n + 1) / 2
        ties = float((count.astype(np.float64) ** 3 - count).sum())
        variance += m * (n - m) / 12 * ((n + 1) - ties / (n * (n - 1)))
    if variance <= 0:
        return float("nan")
    shift = 0.5 if len(present) == 1 else 0.0
    z = max(0.0, abs(difference) - shift) / np.sqrt(variance)
    return float(min(1.0, 2 * special.ndtr(-z)))
