"""What rules on a bundle could say: whole rules to begin with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backend.bundle import Bundle
from backend.rules.columns import TRUE_FALSE
from backend.rules.parser import parse
from backend.rules.syntax import RuleError, Value, name_text, value_text


def example_rules(bundle: Bundle, values: Mapping[str, Sequence[str]]) -> list[str]:
    """At most two rules that can be read, made of a bundle's own columns.

    Parameters
    ----------
    bundle : Bundle
    values : mapping
        Columns with their values, as ``KnownValues`` has them.
    """
    numbers = [name for name in bundle.attributes if name in values and _numeric(bundle, name)]
    listed = next((name for name in values if name != "prediction" and _text(values, name)), None)
    above = []
    if numbers:
        known = bundle.examples[numbers[0]].dropna()
        above = [f"{name_text(numbers[0])} > {float(known.iloc[0]):.3g}"] if len(known) else []
    made = above
    if listed:
        name = name_text(listed)
        one, other = (value_text(Value(value)) for value in values[listed][:2])
        made = [" and ".join([f"{name} = {one}", *above]), f"{name} in ({one}, {other})"]
    near = f"near {value_text(Value(str(bundle.ids[0])))} top 50"
    return [rule for rule in (*made, near) if _can_be_read(rule, values)][:2]


def _text(values: Mapping[str, Sequence[str]], name: str) -> bool:
    return len(values[name]) > 1 and values[name] is not TRUE_FALSE


def _numeric(bundle: Bundle, name: str) -> bool:
    return bundle.examples[name].dtype.kind in "iuf"


def _can_be_read(rule: str, columns: Mapping[str, Sequence[str]]) -> bool:
    try:
        parse(rule, columns)
    except RuleError:
        return False
    return True
