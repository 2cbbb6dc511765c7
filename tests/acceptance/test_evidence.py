"""The evidence stays what the models answered, and a verdict is only given where it means something."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Project, write_rows

Command = Callable[..., Any]
WRITES = """
import numpy as np


def into_the_answers(truth, chance):
    chance[:] = truth
    return 0.0


def into_the_truth(truth, chance):
    truth[:] = (chance > 0.5).astype(truth.dtype)
    return 0.0


def by_a_way_round(truth, chance):
    for array in (truth, chance):
        array.setflags(write=True)
        array[:] = 1
    return 0.0


def careful(truth, chance):
    return float(np.mean(np.abs(truth - chance)))


def into_the_rows(rows, truth, predicted):
    rows["kind"] = "a"
    rows.loc[:, "sold"] = 0
    rows.drop(columns="size", inplace=True)
    return True


def into_the_metrics(metrics):
    metrics.clear()
    return True
"""
METRICS = ["checks:into_the_answers", "checks:into_the_truth", "checks:by_a_way_round", "checks:careful"]
GATES = [
    *({"metric": name, "max": 0.9} for name in METRICS),
    {"metric": "roc_auc", "min": 0.6},
    {"metric": "brier_score", "by": "kind", "min_rows": 10, "max": 0.4},
]


def judged(project: Any) -> dict[str, Any]:
    """What became of each gate, by its metric."""
    evaluate = project.record()["stages"]["evaluate"]
    return {g["metric"]: {k: v for k, v in g.items() if k != "sign"} for g in evaluate["gates"]}


def test_no_order_of_gates_that_write_changes_what_another_says(project: Any, command: Command) -> None:
    (project.root / "checks.py").write_text(WRITES)
    own = ["checks:into_the_rows", "checks:into_the_metrics"]
    orders = [(GATES, own), (GATES[::-1], own[::-1]), (GATES[3:] + GATES[:3], own)]
    seen = []
    for i, (gates, own_gates) in enumerate(orders):
        project.configure(
            evaluate={"gates": gates, "own_gates": own_gates, "metrics": [], "uncertainty": {"resamples": 200}}
        )
        assert command(project.root, "run", "--stages", "train,evaluate").code == 3
        seen.append(judged(project))
        assert list(seen[i]) == [*(g["metric"] for g in gates), *own_gates]
    for other in seen[1:]:
        assert other == seen[0]
    states = {name: gate["state"] for name, gate in seen[0].items()}
    assert states == {
        "checks:into_the_answers": "failed", "checks:into_the_truth": "failed", "checks:by_a_way_round": "passed",
        "checks:careful": "passed", "roc_auc": "passed", "brier_score": "passed", "checks:into_the_rows": "passed",
        "checks:into_the_metrics": "passed",
    }  # fmt: skip
    assert "read-only" in seen[0]["checks:into_the_answers"]["reason"]
    assert 0.6 < seen[0]["roc_auc"]["challenger"] < 0.95
    assert {part["slice"] for part in seen[0]["brier_score"]["slices"]} == {"kind=a", "kind=b", "kind=c"}


def test_an_entry_point_that_writes_into_its_rows_changes_no_record(project: Any, command: Command) -> None:
    assert command(project.root, "train").code == 0
    honest = project.record()["stages"]["train"]
    code = (project.root / "model_code.py").read_text().replace("def build(C=1.0,", "def build(train, C=1.0,")
    spoilt = code.replace("    kinds =", "    train.loc[:, 'sold'] = 1\n    train['size'] = 0.0\n    kinds =")
    (project.root / "model_code.py").write_text(spoilt)
    assert command(project.root, "train").code == 0
    trained = project.record()["stages"]["train"]
    assert trained["data"] == honest["data"]
    assert trained["model"]["probe_sha256"] == honest["model"]["probe_sha256"]


def two_columns(file: Path, numbers: bool) -> None:
    """The target is whether one column is above the other, or their sum: neither alone gives it away."""
    draw = random.Random(1)
    lines = ["day,left,right,sold"]
    for i in range(600):
        left, right = draw.gauss(0, 1), draw.gauss(0, 1)
        sold = round(left + right, 6) if numbers else int(left > right)
        lines.append(f"2024-{1 + i * 12 // 600:02d}-{1 + i % 28:02d},{left:.6f},{right:.6f},{sold}")
    file.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("numbers", [False, True], ids=["classes", "numbers"])
def test_a_model_that_is_too_good_fails(project: Any, command: Command, numbers: bool) -> None:
    two_columns(project.root / "data.csv", numbers)
    with (project.root / "model_code.py").open("a") as code:
        code.write("\n\ndef plain():\n    return LogisticRegression(C=100)\n")
        code.write(
            "\n\ndef line():\n    from sklearn.linear_model import LinearRegression\n    return LinearRegression()\n"
        )
    project.configure(
        model={"task": "regression" if numbers else "binary"},
        train={"entrypoint": f"model_code:{'line' if numbers else 'plain'}", "parameters": {}},
        evaluate={"metrics": [], "gates": [{"metric": "r2" if numbers else "roc_auc", "min": 0.6}]},
    )
    stages = ("run", "--stages", "train,evaluate")
    answer = command(project.root, *stages)
    assert answer.code == 3, answer.text
    assert "Too good to be true: the model puts" in answer.out
    assert "evaluate.too_good is 0.995. Some columns give away the target" in answer.out
    assert project.record()["stages"]["evaluate"]["too_good"]["share"] > 0.995
    assert command(project.root, *stages, "--set", "evaluate.too_good=null").code == 0
    assert project.record()["stages"]["evaluate"]["too_good"] is None


def test_a_good_model_is_not_too_good(ran: Callable[..., Project], command: Command) -> None:
    project = ran("--stages", "train,evaluate")
    record = project.record()["stages"]["evaluate"]
    assert record["too_good"]["share"] == pytest.approx(record["metrics"]["roc_auc"]["challenger"], abs=1e-12)
    assert command(project.root, "run", "--stages", "train,evaluate", "--set", "evaluate.too_good=0.6").code == 3


ALL_METRICS = [
    "accuracy",
    "balanced_accuracy",
    "roc_auc",
    "average_precision",
    "f1",
    "f1_weighted",
    "recall",
    "jaccard",
]
LOSSES = ["log_loss", "brier_score", "expected_calibration_error"]


def test_a_holdout_of_one_class_passes_no_metric(project: Any, command: Command) -> None:
    write_rows(project.root / "data.csv")
    head, *lines = (project.root / "data.csv").read_text().splitlines()
    late = [line.rpartition(",")[0] + ",0" for line in lines[250:]]
    (project.root / "data.csv").write_text("\n".join([head, *lines[:250], *late]) + "\n")
    (project.root / "checks.py").write_text("def zero(truth, chance):\n    return 0\n")
    gates = [
        *({"metric": name, "min": 0.0} for name in ALL_METRICS),
        *({"metric": name, "max": 9} for name in LOSSES),
        {"metric": "accuracy", "by": "kind", "min": 0.0, "min_rows": 5},
        {"metric": "demographic_parity", "by": "kind", "max": 1, "min_rows": 5},
        {"metric": "checks:zero", "max": 1},
        {"metric": "size_mb", "max": 100},
    ]
    project.configure(evaluate={"gates": gates, "metrics": []})
    answer = command(project.root, "run", "--stages", "train,evaluate")
    assert answer.code == 3, answer.text
    found = project.record()["stages"]["evaluate"]["gates"]
    for gate in found:
        own = gate["metric"] in ("checks:zero", "size_mb")
        assert gate["state"] == ("passed" if own else "failed"), gate
        assert own or "rows of one class: all are of the negative class" in gate["reason"]
    assert len(found) == len(gates)


def test_an_own_metric_that_returns_no_number_fails_with_the_reason(project: Any, command: Command) -> None:
    returned = {
        "text": "'0.9'",
        "yes": "True",
        "nothing": "None",
        "array": "truth",
        "nan": "float('nan')",
        "end": "exit(0)",
    }
    bodies = [f"def {name}(truth, chance):\n    return {value}\n" for name, value in returned.items()]
    (project.root / "checks.py").write_text("\n\n".join(bodies))
    gates = [{"metric": f"checks:{name}", "min": 0, "max": 1} for name in returned]
    project.configure(evaluate={"gates": [*gates, {"metric": "roc_auc", "min": 0.5}], "metrics": []})
    assert command(project.root, "run", "--stages", "train,evaluate").code == 3
    *own, builtin = project.record()["stages"]["evaluate"]["gates"]
    assert builtin["state"] == "passed"
    assert len(own) == 2 * len(returned)
    for gate in own:
        assert gate["state"] == "failed"
        assert "return a number" in gate["reason"] or "is nan" in gate["reason"]
