"""Calibration by hand-made cases and by scikit-learn; the user's own condition."""

from typing import Any

import numpy as np
import pytest

from model_ci.config import Gate
from model_ci.gates import calibration, own
from model_ci.gates.calibration import calibration_intercept, calibration_slope, expected_calibration_error
from model_ci.gates.comparison import Resampling, differences
from model_ci.gates.gate import Comparisons, judge, verdict
from model_ci.gates.metrics import measure, resolve
from model_ci.gates.outputs import Outputs

DRAW = np.random.default_rng(0)
ODDS = DRAW.normal(0, 1.5, 4000)
TRUTH = (DRAW.random(4000) < 1 / (1 + np.exp(-ODDS))).astype(int)


def both(positive: Any) -> Any:
    return np.column_stack([1 - positive, positive])


def said(slope: float, shift: float = 0) -> Outputs:
    """A model whose log odds are the true ones, stretched and shifted."""
    positive = 1 / (1 + np.exp(-(slope * ODDS + shift)))
    return Outputs(truth=TRUTH, labels=(positive > 0.5).astype(int), probabilities=both(positive))


HONEST, BOLD = said(1), said(4)


def test_what_is_said_is_held_against_what_came() -> None:
    truth = np.repeat([0, 1], 50)
    assert expected_calibration_error(truth, both(truth.astype(float))) == 0
    assert expected_calibration_error(truth, both(np.full(100, 0.5))) == pytest.approx(0)
    assert expected_calibration_error(truth, both(np.full(100, 0.8))) == pytest.approx(0.3)
    assert expected_calibration_error(truth, both(1.0 - truth)) == pytest.approx(1)
    classes = np.array([[0.6, 0.3, 0.1]] * 10)
    assert expected_calibration_error(np.array([0] * 6 + [1] * 4), classes) == pytest.approx(0)


def test_the_order_of_the_rows_does_not_matter() -> None:
    positive = np.round(DRAW.random(1000), 1)  # many rows with the same probability
    truth = DRAW.integers(0, 2, 1000)
    order = DRAW.permutation(1000)
    assert expected_calibration_error(truth, both(positive)) == pytest.approx(
        expected_calibration_error(truth[order], both(positive[order]))
    )


@pytest.mark.parametrize(("slope", "shift"), [(1, 0), (2, 0), (0.5, 0.3)])
def test_slope_and_intercept_are_those_of_a_logistic_regression(slope: float, shift: float) -> None:
    from sklearn.linear_model import LogisticRegression

    outputs = said(slope, shift)
    fitted = LogisticRegression(C=1e12, tol=1e-10, max_iter=1000).fit((slope * ODDS + shift)[:, None], TRUTH)
    assert calibration_slope(TRUTH, outputs.probabilities) == pytest.approx(fitted.coef_[0, 0], rel=1e-4)
    intercept = calibration_intercept(TRUTH, outputs.probabilities)
    moved = 1 / (1 + np.exp(-(slope * ODDS + shift + intercept)))
    assert moved.mean() == pytest.approx(TRUTH.mean())


def test_what_has_no_line_has_no_slope() -> None:
    assert np.isnan(calibration_slope(TRUTH, both(np.full(4000, 0.4))))
    assert np.isnan(calibration_slope(TRUTH, both(TRUTH.astype(float))))


@pytest.mark.parametrize("name", ["expected_calibration_error", "calibration_slope", "calibration_intercept"])
def test_probabilities_that_are_absent_or_nan_have_no_value(name: str) -> None:
    metric = resolve(name, "binary", lambda n: print)
    absent = Outputs(truth=TRUTH, labels=TRUTH, probabilities=None)
    nan = Outputs(truth=TRUTH, labels=TRUTH, probabilities=np.full((4000, 2), np.nan))
    empty = HONEST.drawn(np.array([], dtype=int))
    for outputs in (absent, nan, empty):
        scores = measure({name: metric}, outputs)
        assert scores.values[name] is None
        (outcome,) = judge([Gate(metric=name, max=99)], scores, None)
        assert outcome.state == "failed"
        assert "does not pass" in outcome.reason


@pytest.mark.parametrize(
    ("challenger", "champion", "expected"),
    [(HONEST, BOLD, "passed"), (HONEST, HONEST, "passed"), (BOLD, HONEST, "failed"), (HONEST, None, "no champion")],
)
def test_calibration_against_the_champion(challenger: Outputs, champion: Outputs | None, expected: str) -> None:
    name = "expected_calibration_error"
    metrics = {name: resolve(name, "binary", lambda n: print)}
    assert metrics[name].greater_is_better is False
    plan = Resampling(resamples=200, seed=0)
    theirs = measure(metrics, champion) if champion else None
    compared = (
        Comparisons(differences=differences(metrics, challenger, champion, plan), rows=4000, confidence=0.95)
        if champion
        else None
    )
    (outcome,) = judge([Gate(metric=name, max_rise=0.02)], measure(metrics, challenger), theirs, compared, [name])
    assert outcome.state == expected


@pytest.mark.parametrize(
    ("answer", "state", "reason"),
    [
        (True, "passed", "holds"),
        (np.bool_(True), "passed", "holds"),
        ((True, "enough late ones"), "passed", "enough late ones"),
        (False, "failed", "does not hold"),
        ((False, "too few"), "failed", "too few"),
        (None, "failed", "returned None"),
        (float("nan"), "failed", "returned nan"),
        (1, "failed", "returned 1"),
        ("yes", "failed", "returned 'yes'"),
        ((None, "?"), "failed", "returned (None, '?')"),
        ((True, 3), "failed", "returned (True, 3)"),
    ],
)
def test_of_the_users_own_answers_only_true_passes(answer: object, state: str, reason: str) -> None:
    outcome = own.judge("own:gate", answer)
    assert outcome.state == state
    assert reason in outcome.reason
    assert verdict([outcome])[0] == state


@pytest.mark.parametrize("rows", [50, 100, 200, 500])
def test_a_calibrated_model_is_seldom_called_off(rows: int) -> None:
    """Nominal 5 %; 300 samples leave a share up to 9 % to chance. The plain mean is above 0.05 in 46 to 99 %."""
    draw = np.random.default_rng(rows)
    off = 0
    for _ in range(300):
        chance = draw.beta(2, 3, rows)
        off += expected_calibration_error((draw.random(rows) < chance).astype(int), both(chance)) > 0.05
    assert off / 300 < 0.09


def test_a_model_that_is_off_has_the_error_that_it_has() -> None:
    draw = np.random.default_rng(2)
    chance = draw.uniform(0.2, 0.6, 5000)
    truth = (draw.random(5000) < chance + 0.15).astype(int)
    assert expected_calibration_error(truth, both(chance)) == pytest.approx(0.15, abs=0.02)
    outputs = Outputs(truth=truth, labels=truth, probabilities=both(chance))
    estimate = calibration.estimate(outputs, 5000, "rows")
    assert estimate
    low, high = estimate.interval(0.95)
    assert 0.11 < low < 0.15 < high < 0.19
