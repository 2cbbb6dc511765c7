"""Whether two ways to run a model answer alike, on real rows and on rows that are meant to make trouble."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from model_ci.frozen import dataclass
from model_ci.serving import comparison, engine
from model_ci.serving.comparison import AnswerComparison, Answers
from model_ci.serving.engine import CheckedEngine, Engine, Form
from model_ci.serving.refusal import Refusal
from model_ci.serving.signature import Column, Rows
from model_ci.serving.sklearn_engine import SklearnEngine
from model_ci.types import Document

_REFUSED: Final = "one of the two refuses a row that the other answers"
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
    problem: str | None

    @property
    def holds(self) -> bool:
        """Whether the one may stand for the other."""
        return self.problem is None

    def as_record(self) -> Document:
        """Return it as the manifest holds it."""
        return {
            "rows": self.rows, "max_abs_difference": self.max_abs_difference, "tolerance": self.tolerance,
            "labels_equal": self.labels_equal, "refused_alike": self.refused_alike,
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The model itself: its answers to rows as it was trained on them, and an engine for rows that were never trained on.

    `classes` where its labels name classes.
    """

    rows: Rows
    answers: Answers
    engine: SklearnEngine
    columns: Sequence[Column]
    classes: bool

    def compare(self, candidate: Engine, tolerance: float) -> Parity:
        """Compare on the rows, and on variants of the first one with one awkward value each."""
        compared = [self.compare_rows(candidate, tolerance)]
        if compared[0].problem is None:
            compared += [
                self._compared(self._asked(candidate, row), self._asked(self.engine, row), tolerance)
                for row in awkward(self.rows, self.columns)
            ]
        measured = [each.max_abs_difference for each in compared if each.max_abs_difference is not None]
        return Parity(
            rows=self.rows.count + len(compared) - 1, max_abs_difference=max(measured, default=0.0),
            tolerance=tolerance, labels_equal=all(each.labels_equal for each in compared),
            refused_alike=all(each.problem != _REFUSED for each in compared),
            problem=next((each.problem for each in compared if each.problem), None),
        )  # fmt: skip

    def compare_rows(self, candidate: Engine, tolerance: float) -> AnswerComparison:
        """Compare on the rows alone."""
        return self._compared(self._asked(candidate, self.rows), self.answers, tolerance)

    def _asked(self, loaded: Engine, rows: Rows) -> Answers | None:
        """Ask as the service does, which gives no answer that is not finite."""
        chances = self.answers.probabilities
        form = Form(type=type(self.answers.labels[0]), classes=len(chances[0]) if chances else 0)
        try:
            return Answers.of(engine.ask(CheckedEngine(loaded, form), rows))
        except Refusal:
            return None

    def _compared(self, answers: Answers | None, expected: Answers | None, tolerance: float) -> AnswerComparison:
        if answers is None or expected is None:
            problem = None if answers is expected else _REFUSED
            return AnswerComparison(rows=1, max_abs_difference=0.0, tolerance=tolerance, problem=problem)
        return comparison.compare(answers, expected, tolerance, classes=self.classes)


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
