"""Metrics by name, against scikit-learn called by hand."""

import numpy as np
import pytest
from sklearn import metrics as sk

from model_ci.errors import ConfigError
from model_ci.gates.fitness import _made_up
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


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_every_metric_of_a_task_ranks_models_or_is_refused(task: str) -> None:
    """Whatever scikit-learn's next version adds: its sign and the answers it takes are as we read them."""
    outputs = {"binary": BINARY, "multiclass": MULTI, "regression": NUMBERS}[task]
    fitting = []
    for name in available(task):
        try:
            metric = resolve(name, task, lambda n: None)
        except ConfigError as error:
            assert "cannot be computed" in error.problems[0] or "whatever the model answers" in error.problems[0]
            continue
        fitting.append(name)
        good, bad = (metric.function(outputs) for outputs in _made_up(task))
        assert (good > bad) == metric.greater_is_better, name
        scores = measure({name: metric}, outputs)
        assert scores.values[name] is not None or scores.reasons[name]
    assert len(fitting) >= 12


@pytest.mark.parametrize(
    ("name", "task", "words"),
    [
        ("neg_log_loss", "binary", "use log_loss, of which less is better"),
        ("neg_brier_score", "binary", "use brier_score"),
        ("neg_negative_likelihood_ratio", "binary", "use negative_likelihood_ratio"),
        ("neg_root_mean_squared_error", "regression", "use root_mean_squared_error"),
        ("top_k_accuracy", "binary", "is 1 for binary whatever the model answers"),
        ("f1", "multiclass", "use f1_macro, f1_micro, f1_weighted"),
        ("f1_samples", "binary", "cannot be computed for binary"),
        ("average_precision", "regression", "is no metric for regression"),
    ],
)
def test_a_name_that_would_be_misread_is_refused(name: str, task: str, words: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        resolve(name, task, lambda n: None)
    assert words in refusal.value.problems[0]


def ends(*_: object) -> float:
    raise SystemExit(0)


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ("0.9", "returned '0.9' (str)"), (True, "returned True (bool)"), (np.True_, "(bool)"), (None, "returned None (NoneType)"),
        (1 + 0j, "(complex)"), (np.array([0.9]), "(ndarray)"), (np.array(0.9), "(ndarray)"), ([0.9], "(list)"),
        (float("nan"), "is nan"), (float("inf"), "is inf"),
    ],
)  # fmt: skip
def test_an_own_metric_returns_a_number_or_has_no_value(returned: object, words: str) -> None:
    metric = resolve("own:metric", "binary", lambda n: lambda truth, chance: returned)
    found = measure({"own": metric}, BINARY)
    assert found.values["own"] is None
    assert words in found.reasons["own"]


@pytest.mark.parametrize("returned", [0.5, 1, np.float32(0.5), np.int64(2), np.float64(0.25)])
def test_an_own_metric_may_return_any_real_number(returned: object) -> None:
    metric = resolve("own:metric", "binary", lambda n: lambda truth, chance: returned)
    assert measure({"own": metric}, BINARY).values["own"] == float(returned)  # type: ignore[arg-type]


def test_an_own_metric_that_ends_the_process_has_no_value() -> None:
    metric = resolve("own:metric", "binary", lambda n: ends)
    assert "ended the process with 0" in measure({"own": metric}, BINARY).reasons["own"]
    assert np.isnan(metric.weighted(BINARY)(np.ones((2, 300)))).all()


def constant(truth: np.ndarray, of: int, classes: int) -> Outputs:
    probabilities = np.full((len(truth), classes), 0.1 / (classes - 1))
    probabilities[:, of] = 0.9
    return Outputs(truth=truth, labels=np.full(len(truth), of), probabilities=probabilities)


PER_CLASS = [
    "balanced_accuracy", "roc_auc", "average_precision", "f1", "f1_macro", "recall_macro", "precision_macro", "jaccard_macro",
    "jaccard", "precision", "matthews_corrcoef",
]  # fmt: skip


@pytest.mark.parametrize("only", [0, 1])
@pytest.mark.parametrize("name", PER_CLASS)
def test_rows_of_one_class_give_no_value_to_what_compares_classes(name: str, only: int) -> None:
    outputs = constant(np.full(100, only), only, 2)
    found = measure({name: resolve(name, "binary", lambda n: None)}, outputs)
    assert found.values[name] is None
    assert f"rows without the {'negative' if only else 'positive'} class" in found.reasons[name]


@pytest.mark.parametrize("name", ["f1_macro", "recall_macro", "balanced_accuracy", "roc_auc_ovr", "jaccard_macro"])
def test_rows_that_lack_a_class_of_the_model_give_no_value_to_a_mean_over_classes(name: str) -> None:
    outputs = constant(np.arange(100) % 2, 0, 3)
    found = measure({name: resolve(name, "multiclass", lambda n: None)}, outputs)
    assert found.values[name] is None
    assert "rows without class 3 of 3" in found.reasons[name]


def test_recall_needs_positive_rows_alone() -> None:
    metric = {"recall": resolve("recall", "binary", lambda n: None)}
    assert measure(metric, constant(np.ones(50, int), 1, 2)).values["recall"] == 1
    assert measure(metric, constant(np.zeros(50, int), 0, 2)).values["recall"] is None


@pytest.mark.parametrize("name", ["f1", "balanced_accuracy", "average_precision", "roc_auc", "recall"])
def test_a_resample_that_lacks_a_class_has_no_value(name: str) -> None:
    metric = resolve(name, "binary", lambda n: None)
    every, negative = np.ones(300), (TRUTH == 0).astype(float)
    values = metric.weighted(BINARY)(np.stack([every, negative]))
    assert np.isfinite(values[0]) and np.isnan(values[1])
