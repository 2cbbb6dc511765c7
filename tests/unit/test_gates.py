"""The gates' verdicts: better, worse, equal, NaN, missing, first run, and nothing to judge."""

import math

import numpy as np
import pytest

from model_ci.config import Gate
from model_ci.gates.estimate import Difference
from model_ci.gates.gate import Absolute, Comparisons, Outcome, judge, verdict
from model_ci.gates.outputs import Scores
from model_ci.gates.proportion import Proportion


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


def compare(
    gate: Gate, value: float, spread: float, *, lower_is_better: bool = False, confidence: float = 0.95
) -> Outcome:
    """Judge one gate on a difference whose resamples lie evenly within `spread` of it, on 1,000 rows."""
    drawn = Difference(value=value, resampled=np.linspace(value - spread, value + spread, 1001))
    compared = Comparisons(differences={gate.metric: drawn}, rows=1000, confidence=confidence)
    low = [gate.metric] if lower_is_better else []
    (outcome,) = judge([gate], scores(**{gate.metric: 0.8 + value}), scores(**{gate.metric: 0.8}), compared, low)
    return outcome


@pytest.mark.parametrize(
    ("value", "spread", "comparison", "state"),
    [
        (0.03, 0.01, "better", "passed"),
        (0.0, 0.004, "within tolerance", "passed"),
        (-0.001, 0.004, "within tolerance", "passed"),
        (0.0, 0.0, "inconclusive", "inconclusive"),  # bounds that are not apart say nothing
        (0.0, 0.02, "inconclusive", "inconclusive"),
        (0.02, 0.05, "inconclusive", "inconclusive"),
        (-0.02, 0.03, "inconclusive", "inconclusive"),
        (-0.03, 0.01, "worse", "failed"),
    ],
)
def test_non_inferiority_is_judged_by_the_bounds(value: float, spread: float, comparison: str, state: str) -> None:
    outcome = compare(DROP, value, spread)
    assert (outcome.comparison, outcome.state) == (comparison, state)
    mirrored = compare(Gate(metric="auc", max_rise=0.005), -value, spread)
    assert (mirrored.comparison, mirrored.state) == (comparison, state)


@pytest.mark.parametrize(
    ("value", "spread", "comparison", "state"),
    [
        (0.03, 0.01, "better", "passed"),
        (0.012, 0.01, "inconclusive", "inconclusive"),
        (0.0, 0.001, "worse", "failed"),
        (-0.03, 0.01, "worse", "failed"),
    ],
)
def test_superiority_is_judged_by_the_bounds(value: float, spread: float, comparison: str, state: str) -> None:
    gate = Gate(metric="auc", min_gain=0.01)
    outcome = compare(gate, value, spread)
    assert (outcome.comparison, outcome.state) == (comparison, state)
    lower = compare(gate, -value, spread, lower_is_better=True)
    assert (lower.comparison, lower.state) == (comparison, state)


def test_inconclusive_says_how_many_rows_would_tell_and_what_follows_is_set_once() -> None:
    outcome = compare(DROP, 0.0, 0.02)
    assert outcome.rows_needed is not None
    assert 10_000 < outcome.rows_needed < 20_000  # the bound is 3.6 limits away: 13 times the rows
    assert f"about {outcome.rows_needed:,} rows would tell" in outcome.reason
    sure = Outcome(**{**vars(outcome), "state": "passed", "metric": "other"})
    assert verdict([sure, outcome])[0] == "failed"
    assert verdict([sure, outcome], inconclusive="pass") == (
        "passed",
        "1 of 2 conditions passed; auc inconclusive, which is allowed",
    )
    assert verdict([outcome], inconclusive="pass")[0] == "failed", "nothing was shown"


def test_a_metric_without_an_interval_does_not_pass() -> None:
    compared = Comparisons(differences={}, rows=1000, confidence=0.95)
    (outcome,) = judge([DROP], scores(auc=0.9), scores(auc=0.8), compared)
    assert outcome.state == "failed"
    assert "too few resamples have a value" in outcome.reason


def test_several_gates_are_called_worse_only_as_holm_allows() -> None:
    """One of twenty gates looks worse at 0.95: chance does that two times in three."""
    names = [f"m{i}" for i in range(20)]
    steady = np.linspace(-0.001, 0.001, 1001)
    drawn = {name: Difference(value=0.0, resampled=steady) for name in names}
    drawn["m7"] = Difference(value=-0.02, resampled=np.linspace(-0.036, -0.004, 1001))
    gates = [Gate(metric=name, max_drop=0.005) for name in names]
    of_all = judge(
        gates, scores(**dict.fromkeys(names, 0.8)), scores(**dict.fromkeys(names, 0.8)),
        Comparisons(differences=drawn, rows=1000, confidence=0.95),
    )  # fmt: skip
    assert of_all[7].comparison == "inconclusive"
    assert "one of 20 comparisons" in of_all[7].reason
    assert verdict(of_all)[0] == "failed"
    alone = judge(
        gates[7:8],
        scores(m7=0.78),
        scores(m7=0.8),
        Comparisons(differences={"m7": drawn["m7"]}, rows=1000, confidence=0.95),
    )
    assert alone[0].comparison == "worse"


def test_latency_and_size_are_judged_by_the_difference_itself() -> None:
    gate = Gate(metric="latency_ms", max_rise=2.0)
    compared = Comparisons(differences={}, rows=1000, confidence=0.95)
    (outcome,) = judge([gate], scores(latency_ms=5.0), scores(latency_ms=4.0), compared, ["latency_ms"])
    assert outcome.state == "passed"


def test_a_confidence_that_the_resamples_are_too_few_for_does_not_pass() -> None:
    """The outermost of 1,001 resamples bounds one in 1,002, no more."""
    assert compare(DROP, 0.0, 0.004, confidence=0.999).state == "passed"
    outcome = compare(DROP, 0.0, 0.004, confidence=0.9999)
    assert (outcome.state, outcome.interval) == ("failed", None)
    assert "set evaluate.uncertainty.resamples to 9999 or more" in outcome.reason


@pytest.mark.parametrize(
    ("hits", "rows", "bound", "state"),
    [
        (70, 100, False, "passed"),  # 0.7 is at least 0.65, though its bound is 0.62
        (70, 100, True, "inconclusive"),
        (700, 1000, True, "passed"),
        (40, 100, True, "failed"),
        (60, 100, False, "failed"),
        (60, 100, True, "inconclusive"),
    ],
)
def test_an_absolute_gate_shows_its_bounds_and_holds_them_when_asked(
    hits: int, rows: int, bound: bool, state: str
) -> None:
    share = Proportion(value=hits / rows, drawn_from=rows, hits=hits, rows=rows)
    absolute = Absolute(estimates={"accuracy": share}, rows=rows, confidence=0.95, bound=bound)
    (outcome,) = judge([Gate(metric="accuracy", min=0.65)], scores(accuracy=hits / rows), None, absolute=absolute)
    assert outcome.state == state
    assert outcome.interval == share.interval(0.95)


def test_a_comparison_on_too_few_rows_of_a_class_is_inconclusive_and_names_how_many_are_needed() -> None:
    drawn = Difference(
        value=0.0, resampled=np.linspace(-0.001, 0.001, 1001), drawn_from=5, of="rows of the positive class"
    )
    compared = Comparisons(differences={"recall": drawn}, rows=500, confidence=0.95)
    (outcome,) = judge([Gate(metric="recall", max_drop=0.05)], scores(recall=0.8), scores(recall=0.8), compared)
    assert outcome.state == "inconclusive"
    assert "rests on 5 rows of the positive class, and 20 are needed: hold out about 2,000 rows" in outcome.reason
    assert outcome.rows_needed == 2000
