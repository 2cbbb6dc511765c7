"""Gates by slices: every verdict, the gap, fairness as fairlearn has it, and what is too small."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from model_ci.config import Gate
from model_ci.errors import ConfigError
from model_ci.gates import gate as gates
from model_ci.gates import sliced
from model_ci.gates.comparison import Resampling, differences
from model_ci.gates.estimate import Difference
from model_ci.gates.fairness import FAIRNESS
from model_ci.gates.gap import widest
from model_ci.gates.metrics import resolve
from model_ci.gates.outputs import Outputs, Scores
from model_ci.gates.sliced import Sides
from model_ci.gates.slices import Slice, cut

NO_SCORES = Scores(values={}, reasons={})


def outputs(groups: Sequence[str], right: dict[str, float], rows: int = 1000, seed: int = 0) -> Outputs:
    """Predictions of two classes that are right in each group with its probability."""
    draw = np.random.default_rng(seed)
    group = np.resize(list(groups), rows)
    truth = draw.integers(0, 2, rows)
    hit = draw.random(rows) < np.array([right[g] for g in group])
    labels = np.where(hit, truth, 1 - truth)
    positive = np.where(labels == 1, 0.9, 0.1) + draw.normal(0, 0.01, rows)
    return Outputs(truth=truth, labels=labels, probabilities=np.column_stack([1 - positive, positive]))


def parts(groups: Sequence[str], rows: int = 1000) -> list[Slice]:
    return cut(pd.DataFrame({"group": np.resize(list(groups), rows)}), ["group"], 4)


def judge(
    gate: Gate, challenger: Outputs | None, champion: Outputs | None = None, *, groups: str = "ab", first: bool = False,
    rows: int = 1000,
) -> list[gates.Outcome]:  # fmt: skip
    metric = None if gate.metric in FAIRNESS else resolve(gate.metric, "binary", lambda name: print)
    plan = Resampling(resamples=40, seed=0)
    sides = Sides(challenger=challenger, champion=champion, first=first, plan=plan, confidence=0.95)
    judged = sliced.judge(gate, metric, parts(groups, rows), sides, FAIRNESS)
    return gates.judge([gate], NO_SCORES, NO_SCORES, sliced={gate: judged})


def state(*arguments: Any, **named: Any) -> str:
    (outcome,) = judge(*arguments, **named)
    return outcome.state


GOOD, EQUAL, POOR = (outputs("ab", {"a": a, "b": b}) for a, b in ((0.9, 0.9), (0.8, 0.8), (0.9, 0.4)))
NAN = Outputs(truth=GOOD.truth, labels=np.full(1000, -1), probabilities=np.full((1000, 2), math.nan))
MIN = Gate(metric="accuracy", by="group", min=0.7)
DROP = Gate(metric="accuracy", by="group", max_drop=0.1)
GAIN = Gate(metric="accuracy", by="group", min_gain=0.02)
GAP = Gate(metric="accuracy", by="group", max_gap=0.2)
PARITY = Gate(metric="demographic_parity", by="group", max=0.2)
ODDS = Gate(metric="equalized_odds", by="group", max=0.2)
ODDS_RISE = Gate(metric="equalized_odds", by="group", max_rise=0.15)


@pytest.mark.parametrize(
    ("gate", "challenger", "champion", "expected"),
    [
        (MIN, GOOD, EQUAL, "passed"),
        (MIN, EQUAL, EQUAL, "passed"),
        (MIN, POOR, EQUAL, "failed"),
        (DROP, GOOD, EQUAL, "passed"),
        (DROP, EQUAL, EQUAL, "passed"),
        (DROP, POOR, EQUAL, "failed"),
        (GAIN, GOOD, EQUAL, "passed"),
        (GAIN, EQUAL, EQUAL, "failed"),
        (GAIN, POOR, EQUAL, "failed"),
        (GAP, GOOD, EQUAL, "passed"),
        (GAP, POOR, EQUAL, "failed"),
        (PARITY, GOOD, EQUAL, "passed"),
        (ODDS, GOOD, EQUAL, "passed"),
        (ODDS, POOR, EQUAL, "failed"),
        (ODDS_RISE, EQUAL, EQUAL, "passed"),
        (ODDS_RISE, GOOD, POOR, "passed"),
        (ODDS_RISE, POOR, EQUAL, "failed"),
    ],
)
def test_better_equal_and_worse(gate: Gate, challenger: Outputs, champion: Outputs, expected: str) -> None:
    (outcome,) = judge(gate, challenger, champion)
    assert outcome.state == expected, outcome.reason
    if expected == "failed" and gate.metric == "accuracy" and gate is not GAIN:
        assert outcome.slice == "group=b"


@pytest.mark.parametrize("gate", [MIN, DROP, GAIN, PARITY, ODDS, ODDS_RISE, GAP])
def test_nan_missing_first_and_too_little(gate: Gate) -> None:
    assert state(gate, NAN, EQUAL) == "failed"
    assert state(gate, None, EQUAL) == "failed"
    relative = gate.compares
    assert state(gate, GOOD, None, first=True) == ("no champion" if relative else "passed")
    assert state(gate, GOOD, None) == ("failed" if relative else "passed")  # a champion that cannot be asked
    few = Gate(**vars(gate) | {"min_rows": 501})
    (outcome,) = judge(few, GOOD, EQUAL)
    assert outcome.state == "failed"
    assert "all 2 slices are too small" in outcome.reason
    assert [s.state for s in outcome.slices] == ["too small", "too small"]


def test_parity_is_refused_where_one_group_is_chosen_more() -> None:
    half = np.tile([1, 0], 500)
    chosen = Outputs(truth=GOOD.truth, labels=half, probabilities=None)
    (outcome,) = judge(PARITY, chosen, None, first=True)
    assert (outcome.state, outcome.challenger) == ("failed", 1.0)


def test_the_gap_of_a_model_that_answers_nothing_is_not_small() -> None:
    (outcome,) = judge(GAP, NAN, None, first=True)
    assert "has predictions that are no numbers; what is not there does not pass" in outcome.reason


def test_a_small_slice_is_shown_and_counts_as_nothing() -> None:
    rows = 1000
    frame = pd.DataFrame({"group": ["a"] * 960 + ["b"] * 40})
    plan = Resampling(resamples=40, seed=0)
    sides = Sides(challenger=GOOD, champion=None, first=True, plan=plan, confidence=0.95)
    metric = resolve("accuracy", "binary", lambda name: print)
    (outcome,) = sliced.judge(MIN, metric, cut(frame, ["group"], 4), sides)
    assert outcome.state == "passed"
    assert [(s.slice, s.rows, s.state) for s in outcome.slices] == [
        ("group=a", 960, "passed"),
        ("group=b", 40, "too small"),
    ]
    assert "1 too small" in outcome.reason
    assert rows == sum(s.rows or 0 for s in outcome.slices)


def test_of_many_slices_one_that_chance_explains_is_not_called_failed() -> None:
    groups = [f"{i:02d}" for i in range(40)]
    alike = outputs(groups, dict.fromkeys(groups, 0.75), rows=4800, seed=0)
    plan = Resampling(resamples=40, seed=0)
    sides = Sides(challenger=alike, champion=None, first=True, plan=plan, confidence=0.95)
    gate = Gate(metric="log_loss", by="group", max=0.66)
    metric = resolve("log_loss", "binary", lambda name: print)
    before = sliced.judge(gate, metric, parts(groups, 4800), sides)
    (after,) = gates.judge([gate], NO_SCORES, None, sliced={gate: before})
    assert before[0].state == "failed"
    assert after.state == "inconclusive"
    assert "of 40 comparisons" in after.reason
    bad = outputs(groups, dict.fromkeys(groups, 0.75) | {"07": 0.3}, rows=4800, seed=0)
    worse = sliced.judge(gate, metric, parts(groups, 4800), Sides(**vars(sides) | {"challenger": bad}))
    (outcome,) = gates.judge([gate], NO_SCORES, None, sliced={gate: worse})
    assert (outcome.state, outcome.slice) == ("failed", "group=07")


def test_the_fairness_figures_are_fairlearns() -> None:
    from fairlearn.metrics import demographic_parity_difference, equalized_odds_difference

    group = np.resize(list("ab"), 1000)
    for gate, reference in ((PARITY, demographic_parity_difference), (ODDS, equalized_odds_difference)):
        (outcome,) = judge(gate, POOR, None, first=True)
        assert outcome.challenger == pytest.approx(reference(POOR.truth, POOR.labels, sensitive_features=group))
        assert outcome.interval is not None
        assert outcome.interval[0] < (outcome.challenger or 0) < outcome.interval[1]


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_a_slice_is_resampled_with_the_holdout_and_as_a_loop_would(name: str) -> None:
    metric = resolve(name, "binary", lambda n: print)
    gate = Gate(metric=name, by="group", min=-9)
    plan = Resampling(resamples=60, seed=5)
    sides = Sides(challenger=POOR, champion=None, first=True, plan=plan, confidence=0.9)
    (outcome,) = sliced.judge(gate, metric, parts("ab"), sides)
    weights = np.concatenate(list(plan.weights(1000))).astype(int)
    for part, judged in zip(parts("ab"), outcome.slices, strict=True):
        drawn = [metric.function(POOR.drawn(np.repeat(part.rows, w[part.rows]))) for w in weights]
        rarer = min(np.bincount(POOR.truth[part.rows]))
        expected = Difference(value=0.0, resampled=np.array(drawn), drawn_from=int(rarer)).interval(0.9)
        assert judged.interval == pytest.approx(expected)
        assert expected[0] < np.quantile(drawn, 0.1) < np.quantile(drawn, 0.9) < expected[1]  # few rows: wider


def test_a_slice_of_all_rows_is_judged_as_all_rows_are() -> None:
    metric = resolve("accuracy", "binary", lambda name: print)
    whole = [Slice(name="all", rows=np.arange(40))]
    few, many = (Outputs(**{k: v[:40] for k, v in vars(o).items()}) for o in (GOOD, EQUAL))
    for blocks in (None, np.repeat(np.arange(20), 2)):
        plan = Resampling(resamples=40, seed=1, blocks=blocks)
        sides = Sides(challenger=few, champion=many, first=False, plan=plan, confidence=0.95)
        gate = Gate(metric="accuracy", by="group", max_drop=0.0, min_rows=2)
        (outcome,) = sliced.judge(gate, metric, whole, sides)
        found = differences({"accuracy": metric}, few, many, plan)["accuracy"]
        assert outcome.interval == found.interval(0.95)
        assert outcome.chance == found.chance_above(-1e-12)
        assert found.drawn_from == plan.units(np.arange(40)) == (20 if blocks is not None else 40)


def test_a_gap_between_few_rows_is_less_sure_than_one_between_many() -> None:
    drawn = np.random.default_rng(0).normal([0.0, 1.0], 0.5, (500, 2))
    few, many = (widest(np.array([0.0, 1.0]), drawn, [n, n], 0.1, 0.95) for n in (8, 8000))
    assert few.interval is not None
    assert many.interval is not None
    assert few.interval[0] < many.interval[0] < many.interval[1] < few.interval[1]
    assert (few.chance or 0) > (many.chance or 1)


def test_a_slice_of_one_class_has_no_area_and_does_not_pass() -> None:
    one = Outputs(
        truth=np.where(np.resize([0, 1], 1000), GOOD.truth, 1), labels=GOOD.labels, probabilities=GOOD.probabilities
    )
    (outcome,) = judge(Gate(metric="roc_auc", by="group", min=0.5), one, None, first=True)
    assert outcome.state == "failed"
    assert outcome.slice == "group=a"
    (odds,) = judge(ODDS, one, None, first=True)
    assert "no false positive rate in group=a" in odds.reason


def test_one_slice_has_no_gap() -> None:
    assert state(GAP, GOOD, None, groups="a", first=True) == "failed"


def test_cutting_names_every_row_once() -> None:
    frame = pd.DataFrame({"n": [1.0, 2, 3, 4, 5, 6, 7, math.nan], "c": [*"xyxyxyx", None]})
    binned = cut(frame, ["n"], 2)
    assert [(s.name, len(s.rows)) for s in binned] == [("n=(absent)", 1), ("n=[1, 4)", 3), ("n=[4, 7]", 4)]
    both = cut(frame, ["c", "n"], 2)
    assert sorted(np.concatenate([s.rows for s in both]).tolist()) == list(range(8))
    assert "c=x, n=[1, 4)" in [s.name for s in both]
    few = cut(pd.DataFrame({"flag": [0, 1, 1]}), ["flag"], 4)
    assert [s.name for s in few] == ["flag=0", "flag=1"]
    constant = cut(pd.DataFrame({"n": [3.0] * 5}), ["n"], 2)
    assert [s.name for s in constant] == ["n=3.0"]


def test_columns_that_are_not_there_and_slices_without_end_are_told() -> None:
    frame = pd.DataFrame({"id": [f"row {i}" for i in range(1200)]})
    with pytest.raises(ConfigError, match="no column 'carrier'; there are id"):
        cut(frame, ["carrier"], 4)
    with pytest.raises(ConfigError, match="1200 slices, at most 1000"):
        cut(frame, ["id"], 4)
