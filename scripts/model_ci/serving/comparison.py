"""The one comparison of answers: the service's own check, the image's trial, ONNX parity and the smoke test all use it.

Labels of classes are equal or not. Numbers and probabilities may differ by a tolerance, of large numbers as a share. A
missing, additional or non-finite value, another shape and another type are never within a tolerance.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from model_ci.serving.predictions import Predictions

Label = str | float | bool | None  # as JSON has it; an int is a float here
_NAMES = {bool: "a boolean", int: "a whole number", float: "a number", str: "text", type(None): "null"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """A label or number for each row, and the probability of each class where the model gives them."""

    labels: Sequence[Label]
    probabilities: Sequence[Sequence[float]] | None

    @classmethod
    def of(cls, predictions: Predictions) -> "Answers":
        """Return predictions as JSON has them."""
        probabilities = predictions.probabilities
        return cls(labels=predictions.listed, probabilities=None if probabilities is None else probabilities.tolist())

    @classmethod
    def read(cls, body: bytes) -> "Answers":
        """Read the body of an answer of /invocations; raise ValueError when it is not one."""
        try:
            value = json.loads(body)
            labels, probabilities = value["predictions"], value.get("probabilities")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise ValueError(f"not an answer with predictions: {body[:200]!r}") from None
        rows = [] if probabilities is None else probabilities
        if type(labels) is not list or type(rows) is not list or not all(type(row) is list for row in rows):
            raise ValueError(f"not lists of predictions and probabilities: {body[:200]!r}")
        return cls(labels=labels, probabilities=probabilities)

    def part(self, rows: slice) -> "Answers":
        """Return the answers for some of the rows."""
        probabilities = None if self.probabilities is None else self.probabilities[rows]
        return Answers(labels=self.labels[rows], probabilities=probabilities)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerComparison:
    """How answers differ from those expected; `problem` names the first reason why they must not stand for them."""

    rows: int
    max_abs_difference: float | None  # None where there is no distance: other labels, shapes or types
    tolerance: float
    problem: str | None

    @property
    def holds(self) -> bool:
        """Whether the answers are the expected ones."""
        return self.problem is None

    @property
    def labels_equal(self) -> bool:
        """Whether only numbers differ, if anything does."""
        return self.max_abs_difference is not None


class _MismatchError(Exception):
    """Why two answers have no distance."""


def compare(answers: Answers, expected: Answers, tolerance: float, *, classes: bool) -> AnswerComparison:
    """Compare answers about the same rows; `classes` where the labels name classes, which have no distance."""
    rows = len(expected.labels)
    try:
        pairs = _pairs(answers, expected, classes=classes)
        differences = [_difference(where, given, known) for where, given, known in pairs]
    except _MismatchError as mismatch:
        return AnswerComparison(rows=rows, max_abs_difference=None, tolerance=tolerance, problem=str(mismatch))
    largest = max(differences, default=0.0)
    problem = None
    if largest > tolerance:
        where, given, known = pairs[differences.index(largest)]
        problem = f"{where}: {given!r} instead of {known!r}, which differ by {largest:.3g}, more than {tolerance:g}"
    return AnswerComparison(rows=rows, max_abs_difference=largest, tolerance=tolerance, problem=problem)


def _pairs(answers: Answers, expected: Answers, *, classes: bool) -> list[tuple[str, Label, Label]]:
    """Return the numbers to compare, with their places; raise _MismatchError for everything but numbers."""
    if not expected.labels:
        raise _MismatchError("there are no rows to compare")
    if len(answers.labels) != len(expected.labels):
        raise _MismatchError(f"{len(answers.labels)} predictions for {len(expected.labels)} rows")
    labels = [
        (f"prediction of row {row}", given, known)
        for row, (given, known) in enumerate(zip(answers.labels, expected.labels, strict=True))
    ]
    for where, given, known in labels:
        _require_type(where, given, known)
        if given != known and (classes or type(known) is not float):
            raise _MismatchError(f"{where}: {given!r} instead of {known!r}")
    numbers = [] if classes else [pair for pair in labels if type(pair[2]) is float]
    return numbers + _probabilities(answers, expected)


def _probabilities(answers: Answers, expected: Answers) -> list[tuple[str, Label, Label]]:
    given, known = answers.probabilities, expected.probabilities
    if given is None or known is None:
        if given is not known:
            raise _MismatchError("no probabilities" if given is None else "probabilities where the model gives none")
        return []
    if len(given) != len(known):
        raise _MismatchError(f"probabilities of {len(given)} rows instead of {len(known)}")
    for row, (ours, theirs) in enumerate(zip(given, known, strict=True)):
        if len(ours) != len(theirs):
            raise _MismatchError(f"{len(ours)} probabilities of row {row} instead of {len(theirs)}")
    return [
        (f"probability {column} of row {row}", ours, theirs)
        for row, values in enumerate(zip(given, known, strict=True))
        for column, (ours, theirs) in enumerate(zip(*values, strict=True))
    ]


def _difference(where: str, given: Label, known: Label) -> float:
    _require_type(where, given, known)
    if not isinstance(given, float) or not isinstance(known, float) or not math.isfinite(given - known):
        raise _MismatchError(f"{where}: {given!r} instead of {known!r}")
    return abs(given - known) / max(1.0, abs(known))


def _require_type(where: str, given: Label, known: Label) -> None:
    if type(given) is not type(known):
        kinds = [_NAMES.get(type(value), f"a {type(value).__name__}") for value in (given, known)]
        raise _MismatchError(f"{where}: {given!r} is {kinds[0]} and not {kinds[1]}")
