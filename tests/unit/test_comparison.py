"""The paired bootstrap: exact against a loop over scikit-learn, and Holm against the published example."""

import numpy as np
import pytest

from model_ci.errors import ConfigError
from model_ci.gates.comparison import Resampling, differences, holm, rows_needed
from model_ci.gates.estimate import Difference, Moments, Same, narrowed, widened
from model_ci.gates.metrics import available, measure, resolve
from model_ci.gates.outputs import Outputs
from model_ci.gates.proportion import PairedProportion, Proportion

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
    other = Outputs(truth=one_positive.truth, labels=few.labels, probabilities=binary(2).probabilities)
    assert differences(metric, one_positive, other, Resampling(resamples=50, seed=0)) == {}


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


def outputs(truth: list[int], labels: list[int], rows: int) -> Outputs:
    """Return rows whose first labels are given; the others are negative and called so."""
    filled = [np.array(given + [0] * (rows - len(given))) for given in (truth, labels)]
    return Outputs(truth=filled[0], labels=filled[1], probabilities=None)


@pytest.mark.parametrize(
    ("only_mine", "only_theirs", "rows", "confidence", "expected"),
    [
        (0, 1, 44, 0.95, (-0.096, 0.037)),  # the crossover trial of Tango (1998), 90 % two-sided
        (12, 2, 60, 0.975, (0.0512, 0.2925)),
        (0, 0, 50, 0.975, (-0.0713, 0.0713)),  # z^2 / (n + z^2): no pair differs, and the bounds are still apart
    ],
)
def test_paired_shares_have_the_published_bounds(
    only_mine: int, only_theirs: int, rows: int, confidence: float, expected: tuple[float, float]
) -> None:
    paired = PairedProportion(value=0.0, only_mine=only_mine, only_theirs=only_theirs, rows=rows)
    low, high = paired.interval(confidence)
    assert (low, high) == pytest.approx(expected, abs=5e-4)
    assert paired.chance_above(high) == pytest.approx(1 - confidence)
    assert paired.chance_above(-low, -1) == pytest.approx(1 - confidence)


def test_a_share_has_scipys_exact_bounds() -> None:
    from scipy.stats import binomtest

    for hits, rows in ((7, 20), (0, 12), (12, 12)):
        share = Proportion(value=hits / rows, hits=hits, rows=rows)
        exact = binomtest(hits, rows).proportion_ci(0.9)
        low, high = share.interval(0.95)
        assert (low, high) == pytest.approx((exact.low, exact.high))
        assert share.chance_above(high) == pytest.approx(0.05 if high < 1 else 1)


@pytest.mark.parametrize(
    ("name", "task", "kind"),
    [
        ("recall", "binary", "rows of the positive class"),
        ("precision", "binary", "rows predicted positive"),
        ("f1", "binary", "rows predicted positive"),
        ("roc_auc", "binary", "rows of the positive class"),
        ("log_loss", "binary", "rows of the positive class"),
        ("accuracy", "binary", "rows"),
        ("recall_macro", "multiclass", "rows of class 3 of 3"),
        ("log_loss", "multiclass", "rows"),
    ],
)
def test_a_metric_rests_on_its_rarest_kind_of_row(name: str, task: str, kind: str) -> None:
    metric = resolve(name, task, lambda n: None)
    classes = 2 if task == "binary" else 3
    truth, labels = np.zeros(100, dtype=int), np.zeros(100, dtype=int)
    truth[:30], labels[:25] = 1, 1
    if classes == 3:
        truth[90:] = 2
    p = np.full((100, classes), 1 / classes)
    units, named = metric.basis.support([Outputs(truth=truth, labels=labels, probabilities=p)], None)
    assert named == kind
    assert units == {"rows of the positive class": 30, "rows predicted positive": 25, "rows": 100}.get(kind, 10)


def test_labels_that_agree_on_few_rows_of_a_class_have_bounds_that_are_apart() -> None:
    mine = outputs([1] * 25, [1] * 20 + [0] * 5 + [1], 500)
    theirs = outputs([1] * 25, [1] * 20 + [0] * 5, 500)
    names = ("recall", "precision", "f1", "balanced_accuracy")
    metrics = {name: resolve(name, "binary", lambda n: None) for name in names}
    for estimate in differences(metrics, mine, theirs, Resampling(resamples=500, seed=0)).values():
        low, high = estimate.interval(0.95)
        assert low < -0.02
        assert high > 0.0


def test_a_few_large_losses_widen_the_bound() -> None:
    draw = np.random.default_rng(3)
    even, skewed = draw.normal(size=60), draw.pareto(2.5, 60)
    for losses, wider in ((even, False), (skewed, True)):
        moments = Moments.of(float(losses.mean()), losses, None)
        assert moments
        student = losses.mean() + losses.std(ddof=1) / np.sqrt(60) * 1.671
        assert (moments.interval(0.05)[1] > student * 1.05) == wider


def test_models_with_the_same_answers_are_the_same_as_far_as_rows_can_show() -> None:
    metric = {"roc_auc": resolve("roc_auc", "binary", lambda n: None)}
    assert isinstance(differences(metric, binary(1), binary(1), Resampling(resamples=50, seed=0))["roc_auc"], Same)
