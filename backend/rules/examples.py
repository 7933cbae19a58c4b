"""What rules on a bundle could say: values worth suggesting, and whole rules to begin with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backend.bundle import Bundle
from backend.rules.columns import columns_of, read_column
from backend.rules.parser import parse
from backend.rules.syntax import RuleError, Value, name_text, value_text


def suggested_values(bundle: Bundle, *, most: int = 12) -> dict[str, list[str]]:
    """Every column a rule can use, each with the values worth suggesting.

    Those are the classes for ``label`` and ``prediction``, and the most frequent values of an
    attribute that is text; none for others.
    """
    classes = [str(name) for name in bundle.class_names or ()]
    values: dict[str, list[str]] = {}
    for name, kind in columns_of(bundle).items():
        values[name] = []
        if kind == "text" and name in ("label", "prediction") and classes:
            values[name] = classes
        elif kind == "text" and name in bundle.attributes:
            values[name] = list(read_column(bundle, name).frequent(most))
    return values


def example_rules(bundle: Bundle, values: Mapping[str, Sequence[str]]) -> list[str]:
    """At most two rules that can be read, made of a bundle's own columns.

    Parameters
    ----------
    bundle : Bundle
    values : mapping
        Of ``suggested_values``.
    """
    numbers = [name for name in bundle.attributes if name in values and _numeric(bundle, name)]
    listed = [name for name, known in values.items() if len(known) > 1 and name != "prediction"]
    above = []
    if numbers:
        known = bundle.examples[numbers[0]].dropna()
        above = [f"{name_text(numbers[0])} > {float(known.iloc[0]):.3g}"] if len(known) else []
    made = above
    if listed:
        name = name_text(listed[0])
        one, other = (value_text(Value(value)) for value in values[listed[0]][:2])
        made = [" and ".join([f"{name} = {one}", *above]), f"{name} in ({one}, {other})"]
    near = f"near {value_text(Value(str(bundle.ids[0])))} top 50"
    return [rule for rule in (*made, near) if _can_be_read(rule, values)][:2]


def _numeric(bundle: Bundle, name: str) -> bool:
    return bundle.examples[name].dtype.kind in "iuf"


def _can_be_read(rule: str, columns: Mapping[str, Sequence[str]]) -> bool:
    try:
        parse(rule, columns)
    except RuleError:
        return False
    return True
