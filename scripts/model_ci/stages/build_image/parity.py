"""Whether two ways to run a model answer alike, on real rows and on rows that are meant to make trouble."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from model_ci.serving import engine
from model_ci.serving.predictions import Predictions
from model_ci.serving.refusal import Refusal
from model_ci.serving.signature import Column, Rows, Signature

_NUMBERS: Final = (0.0, -1.0, 0.1, 3.5, 2.0**24 + 1, 1e300)
_WHOLE: Final = (0, -1, 2**24 + 1, 2**31 - 1)
_LARGE: Final = 2**53 + 1  # no double
_TEXTS: Final = ("", "never seen in training", " ", "ü✈")


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How one engine's answers differ from another's on the same rows; rows that both refuse are equal."""

    rows: int
    max_abs_difference: float
    tolerance: float
    labels_equal: bool
    refused_alike: bool

    @property
    def holds(self) -> bool:
        """Whether the one may stand for the other."""
        return self.labels_equal and self.refused_alike and self.max_abs_difference <= self.tolerance

    def as_record(self) -> dict[str, Any]:
        """Return it as the manifest holds it."""
        return {
            "rows": self.rows, "max_abs_difference": self.max_abs_difference, "tolerance": self.tolerance,
            "labels_equal": self.labels_equal, "refused_alike": self.refused_alike,
        }  # fmt: skip


def compare(ours: engine.Engine, theirs: engine.Engine, rows: Rows, signature: Signature, tolerance: float) -> Parity:
    """Compare on the rows given, and on variants of the first with one value replaced by an awkward one."""
    miss, labels, refused = difference(engine.ask(ours, rows), engine.ask(theirs, rows)), True, True
    count = rows.count
    if miss is None:
        return Parity(rows=count, max_abs_difference=0.0, tolerance=tolerance, labels_equal=False, refused_alike=True)
    for row in awkward(rows, signature.columns):
        count += 1
        mine, other = _asked(ours, row), _asked(theirs, row)
        if mine is None or other is None:
            refused = refused and mine is other
            continue
        further = difference(mine, other)
        labels = labels and further is not None
        miss = max(miss, further or 0.0)
    return Parity(rows=count, max_abs_difference=miss, tolerance=tolerance, labels_equal=labels, refused_alike=refused)


def difference(ours: Predictions, theirs: Predictions) -> float | None:
    """Return the largest difference of the numbers, of large ones as a share; None when labels differ."""
    import numpy as np

    if (ours.probabilities is None) != (theirs.probabilities is None):
        return None
    if ours.probabilities is None and theirs.labels.dtype.kind == "f":
        scale = np.maximum(1.0, np.abs(theirs.labels))
        return float((np.abs(ours.labels - theirs.labels) / scale).max(initial=0.0))
    if ours.listed != theirs.listed:
        return None
    if ours.probabilities is None or theirs.probabilities is None:
        return 0.0
    return float(np.abs(ours.probabilities - theirs.probabilities).max(initial=0.0))


def awkward(rows: Rows, columns: Sequence[Column]) -> Iterator[Rows]:
    """Yield single rows: the first one, with each column in turn null, unknown, large, or between two floats."""
    first = [values[0] for values in rows.values]
    for place, column in enumerate(columns):
        for value in _values(column.type):
            yield Rows(count=1, values=[[value if i == place else v] for i, v in enumerate(first)])


def _values(kind: str) -> Sequence[Any]:
    match kind:
        case "string":
            return (None, *_TEXTS)
        case "double":
            return (None, *_NUMBERS)
        case "float":
            return (None, *_NUMBERS[:-1])
        case "long":
            return (*_WHOLE, _LARGE)
        case "integer":
            return _WHOLE
        case "boolean":
            return (True, False)
    return (None,)


def _asked(loaded: engine.Engine, row: Rows) -> Predictions | None:
    try:
        return engine.ask(loaded, row)
    except Refusal:
        return None
