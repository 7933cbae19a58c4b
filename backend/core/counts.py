"""How often each example counts: a column of the bundle that holds multiplicities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.errors import InputError


def counts_of(bundle: Any, column: str | None) -> NDArray[np.float64] | None:
    """How often each row counts, as a column of the bundle says; None for once each.

    Raises
    ------
    InputError
        If there is no such column, or it holds anything but numbers of at least 0, or only 0.
    """
    if column is None:
        return None
    can = " or ".join(map(repr, count_columns(bundle)[:8])) or "none: leave counts out"
    if column not in bundle.examples.columns:
        raise InputError(
            f"counts must be a column of the bundle: got {column!r}. Columns that can be: {can}."
        )
    fault = _fault(bundle.examples[column].to_numpy())
    if fault:
        raise InputError(
            f"counts must be numbers of at least 0, not all 0: column {column!r} {fault}. Columns "
            f"that can be: {can}."
        )
    return bundle.examples[column].to_numpy().astype(np.float64)


def count_columns(bundle: Any) -> list[str]:
    """Columns of the bundle that can say how often each example counts, in file order."""
    examples = bundle.examples
    return [name for name in bundle.attributes if not _fault(examples[name].to_numpy())]


def _fault(values: NDArray[Any]) -> str:
    if values.dtype.kind not in "iuf":
        return f"is of {values.dtype}"
    bad = ~np.isfinite(values) | (values < 0)
    if bad.any():
        row = int(np.argmax(bad))
        return f"holds {values[row]} in row {row}"
    return "" if values.any() else "holds 0 only"
