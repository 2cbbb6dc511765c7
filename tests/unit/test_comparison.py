"""The paired bootstrap: exact against a loop over scikit-learn, and Holm against the published example."""

import numpy as np
import pytest

from model_ci.errors import ConfigError
from model_ci.gates.comparison import Resampling, differences, holm, rows_needed
from model_ci.gates.estimate import Difference, narrowed, widened
from model_ci.gates.metrics import available, measure, resolve
from model_ci.gates.outputs import Outputs

RNG = np.random.default_rng(1)
ROWS = 120


def binary(seed: int, ties: bool = False) -> Outputs:
    draw = np.random.default_rng(seed)
    truth = np.random.default_rng(0).integers(0, 2, ROWS)
    p = np.clip(0.3 * truth + draw.uniform(size=ROWS) * 0.7, 0, 1)
    p = np.round(p, 1) if ties else p
    return Outputs(truth=truth, labels=(p > 0.5).astype(int), probabilities=np.column_stack([1 - p, p]))


def multiclass(seed: int) -> Outputs:
    p = np.random.default_rng(seed).dirichlet([1, 1, 1], ROWS)
    truth = np.random.default_rng(0).integers(0, 3, ROWS)
    return Outputs(truth=truth, labels=p.argmax(axis=1), probabilities=p)


def numbers(seed: int) -> Outputs:
    truth = np.exp(np.random.default_rng(0).normal(size=ROWS)) + 1
    noise = np.random.default_rng(seed).uniform(0.5, 1.5, ROWS)
    return Outputs(truth=truth, labels=truth * noise, probabilities=None)


def fits(name: str, task: str) -> bool:
    try:
        return bool(resolve(name, task, lambda n: None))
    except ConfigError:
        return False


def asked(task: str, outputs: Outputs) -> list[str]:
    """The metrics that have a value for such outputs; some ask for labels of another kind."""
    metrics = {name: resolve(name, task, lambda n: None) for name in available(task) if fits(name, task)}
    values = measure(metrics, outputs).values
    return [name for name in metrics if values[name] is not None]


CASES = [
    *((name, "binary", binary(1), binary(2)) for name in asked("binary", binary(1))),
    *((name, "binary", binary(1, ties=True), binary(2, ties=True)) for name in ("roc_auc", "average_precision")),
    *((name, "multiclass", multiclass(1), multiclass(2)) for name in asked("multiclass", multiclass(1))),
    *((name, "regression", numbers(1), numbers(2)) for name in asked("regression", numbers(1))),
]


@pytest.mark.parametrize(
    ("name", "task", "mine", "theirs"), CASES, ids=[f"{c[1]}-{c[0]}-{i}" for i, c in enumerate(CASES)]
)
def test_resampled_differences_are_those_of_a_loop_over_scikit_learn(
    name: str, task: str, mine: Outputs, theirs: Outputs
) -> None:
    metric = resolve(name, task, lambda n: None)
    plan = Resampling(resamples=12, seed=3)
    resampled = [metric.weighted(side) for side in (mine, theirs)]
    rows = np.arange(ROWS)
    for weights in plan.weights(ROWS):
        loop = []
        for w in weights:
            drawn = np.repeat(rows, w.astype(int))
            loop.append(metric.function(mine.drawn(drawn)) - metric.function(theirs.drawn(drawn)))
        assert resampled[0](weights) - resampled[1](weights) == pytest.approx(loop, abs=1e-12)


def test_blocks_are_drawn_whole() -> None:
    blocks = np.repeat(np.arange(30), 4)
    for weights in Resampling(resamples=10, seed=0, blocks=blocks).weights(ROWS):
        assert (weights.reshape(-1, 30, 4) == weights.reshape(-1, 30, 4)[:, :, :1]).all()


def test_the_seed_decides() -> None:
    metric = {"roc_auc": resolve("roc_auc", "binary", lambda n: None)}
    first, again, other = (
        differences(metric, binary(1), binary(2), Resampling(resamples=50, seed=seed))["roc_auc"].resampled
        for seed in (0, 0, 1)
    )
    assert (first == again).all()
    assert not (first == other).all()


def test_a_metric_that_most_resamples_have_no_value_of_has_no_interval() -> None:
    few = binary(1)
    one_positive = Outputs(truth=np.eye(1, ROWS, dtype=int)[0], labels=few.labels, probabilities=few.probabilities)
    metric = {"roc_auc": resolve("roc_auc", "binary", lambda n: None)}
    assert differences(metric, one_positive, one_positive, Resampling(resamples=50, seed=0)) == {}


def test_holm() -> None:
    # The worked example of Holm's procedure: 0.005 and 0.01 are rejected at 0.05, 0.03 and 0.04 are not.
    assert holm([0.01, 0.04, 0.03, 0.005], 0.05) == [True, False, False, True]
    assert holm([0.04], 0.05) == [True]
    assert holm([], 0.05) == []


@pytest.mark.parametrize(
    ("value", "interval", "limit", "expected"),
    [
        (0.0, (-0.02, 0.02), -0.01, 4000),  # half as far as the bound: four times the rows
        (-0.02, (-0.04, 0.0), -0.01, 4000),
        (-0.01, (-0.03, 0.01), -0.01, None),
        (0.05, (0.04, 0.06), -0.01, 28),
    ],
)
def test_rows_that_would_settle_it(
    value: float, interval: tuple[float, float], limit: float, expected: int | None
) -> None:
    assert rows_needed(1000, value, interval, limit) == expected


def test_few_blocks_widen_the_interval_and_the_p_value_alike() -> None:
    # Student's 5 % with 19 degrees of freedom is -1.729; -1.729 * sqrt(20 / 19) = -1.774, the normal's 3.8 %.
    assert widened(0.05, 20) == pytest.approx(0.0380, abs=1e-4)
    assert widened(0.05, 50_000) == pytest.approx(0.05, abs=1e-4)
    assert widened(0.05, None) == 0.05
    assert narrowed(widened(0.05, 20), 20) == pytest.approx(0.05)
    drawn = np.random.default_rng(0).normal(size=2000)
    few, many = (Difference(value=0.0, resampled=drawn, drawn_from=n) for n in (20, 50_000))
    assert few.interval(0.95)[0] < many.interval(0.95)[0] < many.interval(0.95)[1] < few.interval(0.95)[1]
    assert few.chance_above(1.7) > many.chance_above(1.7)


def test_differences_know_what_they_were_drawn_from() -> None:
    metric = {"roc_auc": resolve("roc_auc", "binary", lambda n: None)}
    rows = differences(metric, binary(1), binary(2), Resampling(resamples=20, seed=0))["roc_auc"]
    blocks = np.repeat(np.arange(30), 4)
    drawn = differences(metric, binary(1), binary(2), Resampling(resamples=20, seed=0, blocks=blocks))["roc_auc"]
    rarer = int(min(binary(1).truth.sum(), ROWS - binary(1).truth.sum()))
    assert (rows.drawn_from, drawn.drawn_from) == (rarer, 27), "blocks with a row of the rarer class"


def test_a_bound_is_a_resample_that_the_p_value_counts_the_same() -> None:
    """The 50th of 999 resamples is the bound of 95 %: as many are at most there as the p-value allows."""
    drawn = Difference(value=500.0, resampled=np.arange(1.0, 1000.0))
    assert drawn.interval(0.95) == pytest.approx((50.0, 950.0))
    assert drawn.chance_above(-50.0, -1) == pytest.approx((50 + 1) / 1000)
