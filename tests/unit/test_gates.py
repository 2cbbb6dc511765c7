"""The gates' verdicts: better, worse, equal, NaN, missing, first run, and nothing to judge."""

import math

import pytest

from model_ci.config import Gate
from model_ci.gates.gate import judge, verdict
from model_ci.gates.metrics import Scores


def scores(**values: float | None) -> Scores:
    return Scores(values=values, reasons={})


def decide(gate: Gate, challenger: Scores, champion: Scores | None) -> str:
    return verdict(judge([gate], challenger, champion))[0]


DROP = Gate(metric="auc", max_drop=0.005)
RISE = Gate(metric="loss", max_rise=0.005)


@pytest.mark.parametrize(
    ("challenger", "champion", "expected"),
    [
        (0.9, 0.8, "passed"),
        (0.8, 0.8, "passed"),
        (0.795, 0.8, "passed"),  # exactly the limit, which binary fractions miss by a hair
        (0.7949, 0.8, "failed"),
        (0.1, 0.8, "failed"),
        (math.nan, 0.8, "failed"),
        (math.inf, 0.8, "failed"),
        (None, 0.8, "failed"),
        (0.9, math.nan, "failed"),
        (0.9, None, "failed"),
    ],
)
def test_max_drop(challenger: float | None, champion: float | None, expected: str) -> None:
    assert decide(DROP, scores(auc=challenger), scores(auc=champion)) == expected


@pytest.mark.parametrize(
    ("challenger", "champion", "expected"),
    [(0.2, 0.3, "passed"), (0.3, 0.3, "passed"), (0.305, 0.3, "passed"), (0.31, 0.3, "failed"), (math.nan, 0.3, "failed"),
     (-math.inf, 0.3, "failed"), (0.2, math.nan, "failed")],
)  # fmt: skip
def test_max_rise(challenger: float, champion: float, expected: str) -> None:
    assert decide(RISE, scores(loss=challenger), scores(loss=champion)) == expected


@pytest.mark.parametrize(
    ("gate", "value", "expected"),
    [
        (Gate(metric="m", min=0.6), 0.6, "passed"),
        (Gate(metric="m", min=0.6), 0.5999, "failed"),
        (Gate(metric="m", max=0.6), 0.6, "passed"),
        (Gate(metric="m", max=0.6), 0.6001, "failed"),
        (Gate(metric="m", min=0.6), math.nan, "failed"),
        (Gate(metric="m", max=0.6), math.nan, "failed"),
        (Gate(metric="m", max=0.6), -math.inf, "failed"),
        (Gate(metric="m", min=0.6), math.inf, "failed"),
        (Gate(metric="m", min=0.5, max=0.6), 0.7, "failed"),
    ],
)
def test_absolute(gate: Gate, value: float, expected: str) -> None:
    assert decide(gate, scores(m=value), scores(m=0.1)) == expected


def test_a_missing_metric_fails_and_says_why() -> None:
    challenger = Scores(values={"auc": None}, reasons={"auc": "is nan"})
    (outcome,) = judge([Gate(metric="auc", min=0.5)], challenger, None)
    assert outcome.state == "failed"
    assert outcome.reason == "is nan; what is not there does not pass"
    (outcome,) = judge([Gate(metric="auc", min=0.5)], scores(), None)
    assert "has no auc" in outcome.reason


def test_the_first_run_is_judged_by_absolute_gates_and_says_so() -> None:
    outcomes = judge([Gate(metric="auc", min=0.5, max_drop=0.1)], scores(auc=0.7), None)
    assert [o.state for o in outcomes] == ["passed", "no champion"]
    assert verdict(outcomes) == ("passed", "1 of 1 conditions passed")


def test_a_first_run_with_only_relative_gates_is_not_green() -> None:
    said, why = verdict(judge([DROP], scores(auc=0.9), None))
    assert said == "failed"
    assert "add a min or max" in why


def test_zero_gates_are_not_green() -> None:
    assert verdict([])[0] == "failed"


def test_one_failure_among_passes_fails() -> None:
    gates = [Gate(metric="a", min=0.5), Gate(metric="b", min=0.5)]
    said, why = verdict(judge(gates, scores(a=0.9, b=0.1), None))
    assert said == "failed"
    assert "1 of 2" in why
    assert "b" in why
