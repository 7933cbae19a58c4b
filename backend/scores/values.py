"""The values of a score, worked out when they are asked for and kept as long as the bundle is open."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.errors import InputError
from backend.core.groups import by_loss
from backend.difficulty import (
    high_loss,
    normalize_within,
    stage_windows,
    variance_of_gradients,
)
from backend.populations import make_ensemble, modal_label, split_votes, taxicab
from backend.scores.names import (
    CONFIDENCE,
    DISAGREEMENT,
    LOSS,
    PIE,
    TAXICAB,
    VOG,
    VOG_RAW,
    baseline_of,
    compared,
    known_scores,
)

Values = NDArray[Any]
SLOW = 2**26
"""Numbers of gradients from which their variance is for a worker to work out."""
_FIELD = "_kept_scores"
_MAKING = threading.Lock()


def score_values(bundle: Bundle, name: str) -> NDArray[np.float64]:
    """Values of one of ``known_scores``, shape (n,). Not writeable.

    Raises
    ------
    InputError
        If the bundle gives no score of this name.
    """
    known = known_scores(bundle)
    if name not in known:
        told = ", ".join(map(repr, known))
        raise InputError(f"score must be one of {told}: got {name!r}.")
    if name == LOSS.name:
        return bundle.losses
    key = known[name].key or name
    return _kept(bundle, key, partial(_worked_out, bundle, key))


def is_slow(bundle: Bundle, name: str) -> bool:
    """Whether the values of a score would take seconds to work out, and are not kept yet."""
    key = known_scores(bundle)[name].key or name
    if not key.startswith(VOG) or "gradients" not in bundle.extras:
        return False
    given = "vog" in bundle.extras and key in (VOG, VOG_RAW)
    return not given and key not in _held(bundle) and bundle.extras["gradients"].size > SLOW


def hardest_rows(bundle: Bundle, name: str, quantile: float) -> NDArray[np.int64]:
    """The hardest examples by a score, hardest first; ties go to the lower row.

    Parameters
    ----------
    bundle : Bundle
    name : str
        One of ``known_scores``.
    quantile : float
        Of the scores, above which an example is among the hardest; see ``high_loss``.
    """
    difficulty = known_scores(bundle)[name].sign * score_values(bundle, name)
    return by_loss(high_loss(difficulty, quantile=quantile), difficulty)


def pie_columns(bundle: Bundle) -> dict[str, Callable[[], NDArray[np.bool_]]]:
    """Whether each example is a PIE of a population: by name of the column, made when asked for.

    As ``select_pies`` against the baseline with its tie rule.
    """
    return {
        name if name not in bundle.attributes else f"{name} (score)": partial(
            _kept, bundle, name, partial(_pie, bundle, population)
        )
        for population in compared(bundle)
        for name in (PIE + population,)
    }


def keep_values(bundle: Bundle, name: str, values: NDArray[Any]) -> None:
    """Keep values that a worker made of this bundle, so that nobody here has to make them."""
    _kept(bundle, known_scores(bundle)[name].key or name, lambda: values)


def _held(bundle: Bundle) -> dict[str, Values]:
    with _MAKING:
        if _FIELD not in vars(bundle):
            object.__setattr__(bundle, _FIELD, {})
        held: dict[str, Values] = vars(bundle)[_FIELD]
        return held


def _kept(bundle: Bundle, name: str, make: Callable[[], Values]) -> Values:
    kept = _held(bundle)
    if name not in kept:
        made = np.asarray(make())
        if made.flags.writeable:
            made.flags.writeable = False
        kept[name] = made
    return kept[name]


def _worked_out(bundle: Bundle, name: str) -> Values:
    if name in (VOG, VOG_RAW):
        return _vog(bundle, name)
    if name.startswith(f"{VOG} "):
        gradients = bundle.extras["gradients"]
        window = stage_windows(len(gradients))[name.removeprefix(f"{VOG} ")]
        return variance_of_gradients(gradients[window], bundle.label_codes).normalized
    if name.startswith(CONFIDENCE):
        return np.asarray(bundle.msp[name.removeprefix(CONFIDENCE)], dtype=np.float64).mean(axis=1)
    if name.startswith(DISAGREEMENT):
        return split_votes(_coded(bundle, name.removeprefix(DISAGREEMENT))[0])
    return taxicab(*_coded(bundle, baseline_of(bundle), name.removeprefix(TAXICAB)))


def _vog(bundle: Bundle, name: str) -> Values:
    """As given, else over all checkpoints; within classes where labels are known."""
    raw = bundle.extras.get("vog")
    if raw is None:
        raw = _kept(bundle, VOG_RAW, lambda: variance_of_gradients(bundle.extras["gradients"]).raw)
    raw = np.asarray(raw, dtype=np.float64)
    return raw if name == VOG_RAW else normalize_within(raw, bundle.label_codes)


def _coded(bundle: Bundle, *names: str) -> list[Values]:
    """Answers of these populations as positions in one list of classes, in the order of the pages."""
    labels = bundle.labels if bundle.label_codes is not None else None
    held = {name: bundle.populations[name] for name in names}
    return list(make_ensemble(held, labels, bundle.classes).populations.values())


def _pie(bundle: Bundle, population: str) -> NDArray[np.bool_]:
    first, second = _coded(bundle, baseline_of(bundle), population)
    return np.asarray(modal_label(first) != modal_label(second))
