"""The signature: which columns a model takes, of which types, and whether what a caller sends is that.

Types are MLflow's. A value is taken where nothing of it is lost: 5 for a double, 5.0 or "5" for a long, but not 5.5, and
no infinity, which some models take for a number and others refuse.
"""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from model_ci.serving.refusal import Problem, Refusal
from model_ci.serving.types import Columns, Record, Value, Values

if TYPE_CHECKING:
    from model_ci.serving.types import Array

TYPES: Final = ("string", "long", "integer", "double", "float", "boolean", "datetime")
NUMBERS: Final = ("long", "integer", "double", "float", "boolean")
RANGES: Final = {"long": (-(2**63), 2**63 - 1), "integer": (-(2**31), 2**31 - 1)}
_NULLABLE: Final = ("string", "double", "float", "datetime")
LARGEST: Final = {"double": sys.float_info.max, "float": 3.4028234663852886e38}
_INFINITE: Final = math.inf
_NONE: Final = type(None)
_LONGEST: Final = 60  # of a value in a message


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of the input; one that is not required may be left out, and is null then.

    `dtype` is how pandas names the times that the model was trained on, such as datetime64[us, Europe/Berlin]. Of a
    categorical column `categories` are those that the model was trained on; another value is null for it.
    """

    name: str
    type: str
    required: bool
    dtype: str = ""
    categories: Sequence[str] | None = None
    ordered: bool = False

    @property
    def nullable(self) -> bool:
        """Whether a value may be null."""
        return self.type in _NULLABLE

    @property
    def zoned(self) -> bool | None:
        """Whether a time must have an offset; None where that is not known."""
        return "," in self.dtype if self.dtype else None


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Checked rows: for each column of the signature, in its order, the values of all rows."""

    count: int
    values: Sequence[Values]

    def singles(self) -> "Iterator[Rows]":
        """Yield each row by itself."""
        for row in range(self.count):
            yield Rows(count=1, values=[[column[row]] for column in self.values])


def matrix(columns: Sequence[Values], kind: Value) -> "Array":
    """Return columns of values side by side, rows x columns, in one piece of memory; null is NaN."""
    import numpy as np

    made: Array = np.array(columns, dtype=kind)
    return made.reshape(1, -1) if made.shape[1] == 1 else np.ascontiguousarray(made.T)


class Signature:
    """The columns of a model, in the order in which it takes them."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = list(columns)
        self.names = [column.name for column in columns]
        self._checks = [(column.name, _CHECKS[column.type], column) for column in columns]

    @classmethod
    def read(cls, records: Sequence[Record]) -> "Signature":
        """Make a signature of the manifest's list."""
        return cls([Column(**record) for record in records])

    def rows(self, given: Columns, count: int) -> Rows:
        """Check columns of `count` values each; raise Refusal 422 with every problem.

        Columns that the model does not know are left aside, as MLflow does.
        """
        problems: list[Problem] = []
        values: list[Values] = []
        for name, check, column in self._checks:
            column_values = given.get(name)
            if column_values is None:
                if column.required:
                    problems.append(Problem(column=name, reason="the model needs this column, and it is not there"))
                    continue
                column_values = (None,) * count
            values.append(check(column_values, column, problems))
        if problems:
            raise refused(problems)
        return Rows(count=count, values=values)


def refused(problems: Sequence[Problem]) -> Refusal:
    """Return the refusal of rows that are not by the signature."""
    first = problems[0]
    where = f"column {first.column!r}" if first.column is not None else "the rows"
    at = f", row {first.row}" if first.row is not None else ""
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return Refusal(422, "input", f"{where}{at}: {first.reason}{more}", problems)


def _text(values: Values, column: Column, problems: list[Problem]) -> Values:
    kinds = set(map(type, values))
    if kinds <= {str, _NONE}:
        return values
    texts: list[Value] = []
    for row, value in enumerate(values):
        if _is_null(value):
            texts.append(None)
            continue
        if type(value) is not str:
            problems.append(Problem(column=column.name, row=row, reason=f"must be text or null. Got {shown(value)}."))
        texts.append(value)
    return texts


def _double(values: Values, column: Column, problems: list[Problem]) -> Values:
    kinds = set(map(type, values))
    if kinds <= {float, int, bool, _NONE} and column.type == "double":
        try:
            numbers = values if kinds <= {float, _NONE} else [None if v is None else float(v) for v in values]
            if _INFINITE not in numbers and -_INFINITE not in numbers:
                return numbers
        except OverflowError:
            pass
    checked: list[float | None] = []
    for row, value in enumerate(values):
        try:
            checked.append(None if value is None else _as_float(value, LARGEST[column.type]))
        except (ValueError, OverflowError):
            reason = f"must be a finite number or null. Got {shown(value)}."
            problems.append(Problem(column=column.name, row=row, reason=reason))
    return checked


def _as_float(value: Value, largest: float) -> float:
    if type(value) is str and ("_" in value or len(value) > _LONGEST):
        raise ValueError
    if not isinstance(value, (int, float, str)):
        raise ValueError  # noqa: TRY004 - told to the caller as one kind of problem
    number = float(value)
    if abs(number) > largest:
        raise OverflowError
    return number


def _long(values: Values, column: Column, problems: list[Problem]) -> Values:
    low, high = RANGES[column.type]
    if set(map(type, values)) == {int} and min(values) >= low and max(values) <= high:
        return values
    numbers = []
    for row, value in enumerate(values):
        try:
            number = _as_int(value)
        except (ValueError, OverflowError):
            number = low - 1
        if not low <= number <= high:
            reason = f"must be a whole number from {low} to {high}. Got {shown(value)}."
            problems.append(Problem(column=column.name, row=row, reason=reason))
            continue
        numbers.append(number)
    return numbers


def _as_int(value: Value) -> int:
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if type(value) is str and "_" not in value and len(value) <= _LONGEST:
        return int(value)
    raise ValueError


def _boolean(values: Values, column: Column, problems: list[Problem]) -> Values:
    if set(map(type, values)) == {bool}:
        return values
    for row, value in enumerate(values):
        if type(value) is not bool:
            problems.append(Problem(column=column.name, row=row, reason=f"must be true or false. Got {shown(value)}."))
    return values


def _datetime(values: Values, column: Column, problems: list[Problem]) -> Values:
    checked = []
    for row, value in enumerate(values):
        try:
            time = None if _is_null(value) else datetime.fromisoformat(value)
        except (TypeError, ValueError):
            time, reason = None, f"must be a time such as {_EXAMPLES[column.zoned]}, or null. Got {shown(value)}."
            problems.append(Problem(column=column.name, row=row, reason=reason))
        if time is not None and column.zoned not in (None, time.tzinfo is not None):
            needed = "with its offset" if column.zoned else "without an offset, as in training"
            reason = f"must be a time {needed}, such as {_EXAMPLES[column.zoned]}. Got {shown(value)}."
            problems.append(Problem(column=column.name, row=row, reason=reason))
        checked.append(None if time is None else time.isoformat())
    return checked


def _is_null(value: Value) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def shown(value: Value) -> str:
    """Return a value as a message shows it."""
    if isinstance(value, int) and value.bit_length() > 256:
        return "a whole number of more than 77 digits"
    text = repr(value) if isinstance(value, (int, float, str, _NONE)) else f"a {_WORDS.get(type(value), 'value')}"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


_EXAMPLES: Final = {None: "2024-05-01T12:30:00", False: "2024-05-01T12:30:00", True: "2024-05-01T12:30:00+02:00"}
_WORDS: Final[dict[Value, str]] = {list: "list", dict: "mapping"}
_CHECKS: Final = {
    "string": _text, "long": _long, "integer": _long, "double": _double, "float": _double, "boolean": _boolean,
    "datetime": _datetime,
}  # fmt: skip
