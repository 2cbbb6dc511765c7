"""The classes of a target. One function names a class, whatever wrote its value: Python, numpy, pandas, polars, JSON or CSV."""

import math
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from model_ci.serving.types import Value

if TYPE_CHECKING:
    from model_ci.serving.types import Array

    Codes = Array

_BOOLEANS: Final = {"true": "1", "false": "0"}
_BINARY: Final = {"0", "1"}


def name(value: object) -> str | None:
    """Return the name of a class, None for an absent value.

    `1`, `1.0`, `True`, `"1"`, `"1.0"` and `"true"` have one name, also as values of numpy, pandas and polars. A text is a
    number only as Python writes that number, so `"01"` and `"1.50"` stay what they are.
    """
    value = _plain(value)
    if value is None or isinstance(value, str):
        return None if value is None else _of_text(value)
    if isinstance(value, float):
        return None if math.isnan(value) else _of_float(value)
    return str(int(value)) if isinstance(value, (bool, int)) else _of_text(str(value))


def codes(values: Iterable[object], known: Sequence[object], absent: int = -1) -> "Codes":
    """Return the position of each value's class among `known`; `absent` where it is none of them."""
    import numpy as np

    places = {name(value): place for place, value in enumerate(known)}
    kept: dict[tuple[type, object], int] = {}
    positions = []
    for value in values.tolist() if hasattr(values, "tolist") else values:
        key = (type(value), value)
        if key not in kept:
            kept[key] = places.get(name(value), absent)
        positions.append(kept[key])
    return np.array(positions, dtype=np.int64)


def ordered(values: Iterable[object]) -> list[Value]:
    """Return each class once, as a plain value, in the order of scikit-learn's `classes_`: numbers or text, sorted."""
    distinct: dict[tuple[bool, str], Value] = {}
    for value in values:
        if (named := name(value)) is not None:
            plain = _plain(value)
            distinct.setdefault((isinstance(plain, str), named if not isinstance(plain, str) else plain), plain)
    return sorted(distinct.values(), key=_rank)


def alike(values: Sequence[object]) -> list[list[Value]]:
    """Return the groups of different values that are one class by their name, such as `"1"` and `"1.0"`."""
    groups: dict[str | None, list[Value]] = {}
    for value in values:
        groups.setdefault(name(value), []).append(value)
    return [group for group in groups.values() if len(group) > 1]


def positive(known: Sequence[object], declared: object = None) -> int | None:
    """Return the position of the positive class among two: the declared one, else 1 of 0 and 1, or true of false and true.

    None where it is not declared and not obvious, or the declared one is not among them.
    """
    named = [name(value) for value in known]
    sought = name(declared) if declared is not None else ("1" if set(named) == _BINARY else None)
    return named.index(sought) if len(named) == 2 and sought in named else None


def _rank(value: Value) -> tuple[bool, Value]:
    return (True, str(value)) if isinstance(value, str) or not hasattr(value, "__float__") else (False, value)


def _plain(value: Value) -> Value:
    """Return numpy's and pandas' scalars as Python's; a narrow float by its shortest digits, as 0.1 and not 0.10000000149."""
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    dtype = getattr(value, "dtype", None)
    if dtype is not None and dtype.kind == "f" and dtype.itemsize != 8:
        return float(str(value))
    if dtype is not None and dtype.kind in "biufU":
        return value.item()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def _of_text(text: str) -> str:
    number: int | float
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if repr(number) == text:
            return str(number) if isinstance(number, int) else _of_float(number)
    return _BOOLEANS.get(text.lower(), text)


def _of_float(number: float) -> str:
    return str(int(number)) if number.is_integer() else repr(number)
