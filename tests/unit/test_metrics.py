"""Metrics by name, against scikit-learn called by hand."""

import numpy as np
import pytest
from sklearn import metrics as sk

from model_ci.errors import ConfigError
from model_ci.gates.metrics import available, measure, resolve
from model_ci.gates.outputs import Outputs

RNG = np.random.default_rng(0)
TRUTH = RNG.integers(0, 2, 300)
P = np.clip(TRUTH * 0.3 + RNG.uniform(size=300) * 0.7, 0, 1)
BINARY = Outputs(truth=TRUTH, labels=(P > 0.5).astype(int), probabilities=np.column_stack([1 - P, P]))
TRUTH3 = RNG.integers(0, 3, 300)
P3 = RNG.dirichlet([1, 1, 1], 300)
MULTI = Outputs(truth=TRUTH3, labels=P3.argmax(1), probabilities=P3)
Y = RNG.normal(size=300)
NUMBERS = Outputs(truth=Y, labels=Y + RNG.normal(size=300), probabilities=None)


def value(name: str, task: str, outputs: Outputs) -> float | None:
    return measure({name: resolve(name, task, lambda n: None)}, outputs).values[name]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("roc_auc", sk.roc_auc_score(TRUTH, P)),
        ("log_loss", sk.log_loss(TRUTH, P)),
        ("neg_log_loss", sk.log_loss(TRUTH, P)),
        ("brier_score", sk.brier_score_loss(TRUTH, P)),
        ("average_precision", sk.average_precision_score(TRUTH, P)),
        ("f1", sk.f1_score(TRUTH, P > 0.5)),
        ("balanced_accuracy", sk.balanced_accuracy_score(TRUTH, P > 0.5)),
    ],
)
def test_binary(name: str, expected: float) -> None:
    assert value(name, "binary", BINARY) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", sk.accuracy_score(TRUTH3, P3.argmax(1))),
        ("f1_macro", sk.f1_score(TRUTH3, P3.argmax(1), average="macro")),
        ("log_loss", sk.log_loss(TRUTH3, P3)),
        ("roc_auc_ovr", sk.roc_auc_score(TRUTH3, P3, multi_class="ovr")),
    ],
)
def test_multiclass(name: str, expected: float) -> None:
    assert value(name, "multiclass", MULTI) == pytest.approx(expected, abs=1e-15)


def test_a_class_that_the_holdout_lacks_does_not_upset_log_loss() -> None:
    some = TRUTH3 < 2
    outputs = Outputs(truth=TRUTH3[some], labels=P3[some].argmax(1), probabilities=P3[some])
    assert value("log_loss", "multiclass", outputs) == pytest.approx(
        sk.log_loss(TRUTH3[some], P3[some], labels=[0, 1, 2])
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mean_absolute_error", sk.mean_absolute_error(NUMBERS.truth, NUMBERS.labels)),
        ("root_mean_squared_error", sk.root_mean_squared_error(NUMBERS.truth, NUMBERS.labels)),
        ("r2", sk.r2_score(NUMBERS.truth, NUMBERS.labels)),
    ],
)
def test_regression(name: str, expected: float) -> None:
    assert value(name, "regression", NUMBERS) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_every_available_metric_can_be_asked(task: str) -> None:
    outputs = {"binary": BINARY, "multiclass": MULTI, "regression": NUMBERS}[task]
    metrics = {name: resolve(name, task, lambda n: None) for name in available(task)}
    scores = measure(metrics, outputs)
    assert len(metrics) >= 10
    assert all(scores.values[n] is not None or scores.reasons[n] for n in metrics)


def test_one_class_only_gives_no_auc() -> None:
    alone = Outputs(
        truth=np.ones(50, int), labels=np.ones(50, int), probabilities=np.column_stack([1 - P[:50], P[:50]])
    )
    scores = measure({"roc_auc": resolve("roc_auc", "binary", lambda n: None)}, alone)
    assert scores.values["roc_auc"] is None
    assert scores.reasons["roc_auc"]


def test_nan_predictions_give_no_value() -> None:
    broken = np.where(np.arange(300) == 7, np.nan, P)
    outputs = Outputs(truth=TRUTH, labels=BINARY.labels, probabilities=np.column_stack([1 - broken, broken]))
    assert value("roc_auc", "binary", outputs) is None
    assert value("log_loss", "binary", outputs) is None


def test_the_users_own_metric() -> None:
    def mine(truth: np.ndarray, probability: np.ndarray) -> float:
        return float((truth * probability).sum())

    metric = resolve("costs:mine", "binary", lambda name: mine)
    assert measure({"mine": metric}, BINARY).values["mine"] == pytest.approx(float((TRUTH * P).sum()))
    assert metric.greater_is_better is None


@pytest.mark.parametrize(
    ("name", "task", "hint"),
    [
        ("roc_acu", "binary", "did you mean 'roc_auc'"),
        ("r2", "binary", "allowed for binary"),
        ("zzz", "regression", "allowed for"),
    ],
)
def test_unknown_names_are_told_with_what_is_allowed(name: str, task: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        resolve(name, task, lambda n: None)


def test_directions() -> None:
    assert resolve("roc_auc", "binary", lambda n: None).greater_is_better is True
    assert resolve("log_loss", "binary", lambda n: None).greater_is_better is False
