"""Whatever a model says and whatever a gate asks for: no traceback, and nothing passes that was not shown to hold."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model_ci.config import Gate
from model_ci.config.conditions import CONDITIONS
from model_ci.gates import gate as gates
from model_ci.gates import sliced, slices
from model_ci.gates.comparison import Resampling, differences
from model_ci.gates.fairness import FAIRNESS
from model_ci.gates.metrics import Metric, measure, resolve
from model_ci.gates.outputs import Outputs
from model_ci.gates.sliced import Sides

FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NUMBERS = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 0.5, math.nan, math.inf, -math.inf, 1e308, 5e-324]), st.floats(-1e6, 1e6)
)
SHARES = st.one_of(st.sampled_from([0.0, 1.0, math.nan, math.inf, -0.5, 2.0]), st.floats(0, 1))
NAMES = {
    "binary": ("roc_auc", "log_loss", "brier_score", "f1", "accuracy", "expected_calibration_error", "own:metric"),
    "regression": ("mean_absolute_error", "r2", "root_mean_squared_log_error", "max_error", "own:metric"),
}
OWN: list[Callable[..., Any]] = [
    lambda truth, predicted: math.nan,
    lambda truth, predicted: math.inf,
    lambda truth, predicted: "no number",
    lambda truth, predicted: None,
    lambda truth, predicted: 1 / 0,
    lambda truth, predicted: float(np.mean(truth)),
]


@st.composite
def sides(draw: st.DrawFn, task: str) -> tuple[Outputs, Outputs]:
    """Both models on the same rows: none, one, one class only, constant, and whatever else is no number."""
    rows = draw(st.sampled_from([0, 1, 2, 3, 30]))
    listed = st.lists(NUMBERS, min_size=rows, max_size=rows)
    if task == "regression":
        truth = np.array(draw(st.lists(st.floats(-1e6, 1e6), min_size=rows, max_size=rows)), dtype=float)
        return tuple(Outputs(truth=truth, labels=np.array(draw(listed)), probabilities=None) for _ in "ab")  # type: ignore[return-value]
    truth = np.array(draw(st.lists(st.integers(0, 1), min_size=rows, max_size=rows)), dtype=int)
    return _classifier(draw, truth), _classifier(draw, truth)


def _classifier(draw: st.DrawFn, truth: np.ndarray) -> Outputs:
    rows = len(truth)
    labels = np.array(draw(st.lists(st.sampled_from([0, 1, -1]), min_size=rows, max_size=rows)), dtype=int)
    if draw(st.booleans()):
        return Outputs(truth=truth, labels=labels, probabilities=None)
    positive = np.array(draw(st.lists(SHARES, min_size=rows, max_size=rows)), dtype=float)
    return Outputs(truth=truth, labels=labels, probabilities=np.column_stack([1 - positive, positive]))


LIMITS = st.one_of(st.none(), st.sampled_from([0.0, 1e-300, 1e300]), st.floats(0, 10))
GATES = st.fixed_dictionaries({
    "min": LIMITS, "max": LIMITS, "max_drop": LIMITS, "max_rise": LIMITS, "min_gain": LIMITS,
})  # fmt: skip


def metric_of(data: st.DataObject, task: str) -> Metric:
    name, own = data.draw(st.sampled_from(NAMES[task])), data.draw(st.sampled_from(OWN))
    return resolve(name, task, lambda _: own)


def check(outcomes: list[gates.Outcome]) -> None:
    """A pass has a value, kept its limit, and had what it was compared with."""
    for outcome in outcomes:
        if outcome.state != "passed":
            continue
        value = outcome.challenger
        assert value is not None
        assert math.isfinite(value)
        assert outcome.limit is not None
        if outcome.condition == "min":
            assert value >= outcome.limit
        if outcome.condition == "max" and outcome.metric not in FAIRNESS:
            assert value <= outcome.limit
        if CONDITIONS[outcome.condition].compares:
            assert outcome.champion is not None
            assert math.isfinite(outcome.champion)
            assert outcome.interval is not None
            assert all(map(math.isfinite, outcome.interval))
    said, _ = gates.verdict(outcomes)
    assert said == "failed" or any(o.state == "passed" for o in outcomes)
    assert said == "failed" or not any(o.state in ("failed", "inconclusive") for o in outcomes)


@FEW
@given(data=st.data(), task=st.sampled_from(["binary", "regression"]), limits=GATES, confidence=st.floats(0.5, 0.999))
def test_any_outputs_any_gate(data: st.DataObject, task: str, limits: dict[str, Any], confidence: float) -> None:
    mine, theirs = data.draw(sides(task))
    metric = metric_of(data, task)
    wanted = {metric.name: metric}
    gate = Gate(metric=metric.name, **limits)
    first = data.draw(st.booleans())
    plan = Resampling(resamples=20, seed=0)
    found = {} if first or not len(mine.truth) else differences(wanted, mine, theirs, plan)
    compared = gates.Comparisons(differences=found, rows=len(mine.truth), confidence=confidence)
    champion = None if first else measure(wanted, theirs)
    check(gates.judge([gate], measure(wanted, mine), champion, compared))


@FEW
@given(
    data=st.data(),
    limits=GATES,
    gap=LIMITS,
    fair=st.sampled_from([None, *FAIRNESS]),
    least=st.integers(1, 5),
    bins=st.integers(2, 4),
)
def test_any_outputs_any_slices(
    data: st.DataObject, limits: dict[str, Any], gap: float | None, fair: str | None, least: int, bins: int
) -> None:
    mine, theirs = data.draw(sides("binary"))
    rows = len(mine.truth)
    values = st.one_of(st.none(), NUMBERS, st.sampled_from(["", "a", "ä", "(absent)", "x=1, y=2"]))
    kind = data.draw(st.sampled_from([NUMBERS, st.sampled_from(["a", "b"]), values]))
    frame = pd.DataFrame({"part": data.draw(st.lists(kind, min_size=rows, max_size=rows))})
    metric = None if fair else metric_of(data, "binary")
    name = fair or (metric.name if metric else "")
    fair_limits = {
        "max": limits["max"] or 0.1,
        "max_rise": limits["max_rise"],
    }  # a gate without a limit is refused before
    given_limits = fair_limits if fair else {**limits, "max_gap": gap}
    gate = Gate(metric=name, by="part", min_rows=least, bins=bins, **given_limits)
    first = data.draw(st.booleans())
    both = Sides(
        challenger=mine, champion=None if first else theirs, first=first, plan=Resampling(resamples=20, seed=0),
        confidence=0.9,
    )  # fmt: skip
    parts = slices.cut(frame, ["part"], bins) if rows else []
    assert sorted(np.concatenate([p.rows for p in parts]).tolist() if parts else []) == list(range(rows))
    judged = sliced.judge(gate, metric, parts, both, FAIRNESS)
    empty = measure({}, mine)
    outcomes = gates.judge([gate], empty, None if first else empty, sliced={gate: judged})
    check([o for o in outcomes if o.condition != "max_gap"])
    for outcome in outcomes:
        worst = [part.state for part in outcome.slices]
        assert outcome.state != "passed" or not {"failed", "inconclusive"} & set(worst)
        assert outcome.state != "passed" or set(worst) != {"too small"}
        assert outcome.state != "passed" or outcome.challenger is not None


def test_the_fairness_of_one_row_is_no_traceback() -> None:
    one = Outputs(truth=np.array([0]), labels=np.array([1]), probabilities=None)
    plan = Resampling(resamples=20, seed=0)
    both = Sides(challenger=one, champion=None, first=True, plan=plan, confidence=0.9)
    gate = Gate(metric="demographic_parity", by="part", min_rows=1, max=0.5)
    parts = slices.cut(pd.DataFrame({"part": ["a"]}), ["part"], 2)
    (outcome,) = sliced.judge(gate, None, parts, both, FAIRNESS)
    assert outcome.state == "failed"
    assert "nothing to compare it with" in outcome.reason
