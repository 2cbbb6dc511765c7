"""The classes of a target through the front door: their names, the positive one, and the model's own labels."""

import json
from collections.abc import Callable
from typing import Any

import pytest

Command = Callable[..., Any]

CODE = """
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier


def build(threshold=0.2):
    return FixedThresholdClassifier(LogisticRegression(), threshold=threshold, response_method="predict_proba")
"""


def rewrite(project: Any, change: Callable[[str], str]) -> None:
    """Write the target, which is the last column, in another way."""
    file = project.root / "data.csv"
    head, *lines = file.read_text().splitlines()
    rows = (line.rpartition(",") for line in lines)
    file.write_text("\n".join([head, *(f"{row}{comma}{change(target)}" for row, comma, target in rows)]) + "\n")


def words(target: str) -> str:
    return {"1": "default", "0": "paid"}[target]


def metrics(project: Any) -> dict[str, Any]:
    return {name: m["challenger"] for name, m in project.record()["stages"]["evaluate"]["metrics"].items()}


@pytest.fixture
def by_label(project: Any) -> Any:
    project.configure(
        evaluate={
            "metrics": ["precision", "recall", "f1", "average_precision", "brier_score", "roc_auc"],
            "gates": [
                {"metric": "accuracy", "min": 0},
                {"metric": "equalized_odds", "by": "kind", "min_rows": 20, "max": 1},
            ],
        }
    )
    return project


def test_every_way_to_write_the_classes_gives_the_same_metrics(by_label: Any, command: Command) -> None:
    assert command(by_label.root, "run", "--stages", "train,evaluate").code == 0
    expected = metrics(by_label)
    text = (by_label.root / "data.csv").read_text()
    for change in (lambda t: f"{t}.0", lambda t: "true" if t == "1" else "false", words):
        (by_label.root / "data.csv").write_text(text)
        rewrite(by_label, change)
        answer = command(by_label.root, "run", "--stages", "train,evaluate", *(
            ("--set", "model.positive=default") if change is words else ()
        ))  # fmt: skip
        assert answer.code == 0, answer.text
        assert metrics(by_label) == pytest.approx(expected, abs=1e-6)


def test_classes_that_name_no_positive_one_are_refused(by_label: Any, command: Command) -> None:
    rewrite(by_label, words)
    for arguments in (("check-config",), ("run", "--stages", "train,evaluate")):
        answer = command(by_label.root, *arguments)
        assert answer.code == 2, answer.text
        assert (
            "model-ci.yaml: model.positive: is not set, and sold has the classes 'default' and 'paid'; "
            "name the one that counts as positive, for example positive: default"
        ) in answer.text
    answer = command(by_label.root, "check-config", "--set", "model.positive=dafault")
    assert "model.positive: 'dafault' is not a class of sold; its classes are 'default' and 'paid'" in answer.text


def test_the_positive_class_reaches_every_report(by_label: Any, command: Command) -> None:
    rewrite(by_label, words)
    by_label.configure(model={"positive": "default"}, explain={})
    answer = command(by_label.root, "run")
    assert answer.code == 0, answer.text
    assert "The positive class is default." in answer.out
    assert "The positive class is default." in (by_label.runs()[-1] / "report.html").read_text()
    record = by_label.record()["stages"]
    assert (record["evaluate"]["positive"], record["explain"]["target_class"]) == ("default", "default")
    of_default = {c["name"]: c for c in record["explain"]["columns"]}
    answer = command(by_label.root, "explain", "--row", "3")
    assert "of default is" in answer.out, answer.text
    command(by_label.root, "run", "--stages", "explain", "--set", "model.positive=paid")
    assert {c["name"]: c["share"] for c in by_label.record()["stages"]["explain"]["columns"]} == pytest.approx(
        {name: c["share"] for name, c in of_default.items()}
    )


def test_another_positive_class_is_another_verdict(by_label: Any, command: Command) -> None:
    command(by_label.root, "run", "--stages", "train,evaluate")
    before = metrics(by_label)
    answer = command(by_label.root, "run", "--stages", "train,evaluate", "--set", "model.positive=0")
    assert "train        unchanged" in answer.err
    after = metrics(by_label)
    assert after["recall"] != before["recall"]
    assert after["accuracy"] == before["accuracy"]
    assert after["roc_auc"] == pytest.approx(before["roc_auc"])
    assert after["brier_score"] == pytest.approx(before["brier_score"])


def test_labels_are_those_of_the_models_own_predict(by_label: Any, command: Command) -> None:
    (by_label.root / "model_code.py").write_text(CODE)
    rewrite(by_label, lambda target: f"{target}.0")
    settings = ("--set", "data.features=[size,age]", "--set", "train.parameters={}")
    assert command(by_label.root, "run", "--stages", "train,evaluate", *settings).code == 0
    low = metrics(by_label)
    settings = (*settings[:2], "--set", "train.parameters={threshold: 0.9}")
    assert command(by_label.root, "run", "--stages", "train,evaluate", *settings).code == 0
    high = metrics(by_label)
    assert low["recall"] > high["recall"]
    assert low["roc_auc"] == pytest.approx(high["roc_auc"])


def test_one_class_in_two_writings_and_a_third_class_are_refused(project: Any, command: Command) -> None:
    counter = iter(range(10_000))
    rewrite(project, lambda target: "x" if target == "0" else ("1", "1.0")[next(counter) % 2])
    answer = command(project.root, "run", "--stages", "train")
    assert answer.code == 2
    assert "'1' and '1.0' are written as two classes and mean one; write each class in one way" in answer.text
    rewrite(project, lambda target: ("a", "b", "c")[next(counter) % 3])
    answer = command(project.root, "run", "--stages", "train")
    assert "has 3 classes ('a', 'b', 'c'), binary is two; set task: multiclass" in answer.text


def test_init_proposes_the_rarer_class(project: Any, command: Command) -> None:
    rewrite(project, words)
    (project.root / "model-ci.yaml").unlink()
    text = (project.root / "data.csv").read_text()
    rarer = min(("default", "paid"), key=text.count)
    answer = command(project.root, "init", "--target", "sold")
    assert answer.code == 0, answer.text
    assert f"  positive: {rarer}  # the rarer class" in (project.root / "model-ci.yaml").read_text()
    assert command(project.root, "check-config").code == 0


@pytest.mark.parametrize("written", ["0/1", "0.0/1.0", "False/True", "no/yes"])
def test_logs_and_outcomes_name_classes_in_any_way(project: Any, command: Command, written: str) -> None:
    no, yes = written.split("/")
    values = {"0/1": (0, 1), "0.0/1.0": (0.0, 1.0), "False/True": (False, True), "no/yes": (no, yes)}[written]
    write_test(project.root, values)
    for outcomes in ((no, yes), ("0", "1"), ("0.0", "1.0"), ("false", "true")):
        if written == "no/yes" and outcomes != (no, yes):
            continue
        (project.root / "outcomes.csv").write_text(
            "request_id,sold\n" + "".join(f"r{i},{outcomes[i % 10 < 3]}\n" for i in range(600))
        )
        for metric in ("brier_score", "log_loss", "error"):
            answer = command(
                project.root, "compare-variants", "--force",
                *("--set", "compare-variants.predictions=predictions-1.jsonl"),
                *("--set", "compare-variants.outcomes=outcomes.csv", "--set", f"compare-variants.metric={metric}"),
            )  # fmt: skip
            assert "Roll back" in answer.out, (outcomes, metric, answer.text)


def write_test(root: Any, values: tuple[Any, Any]) -> None:
    """Log 600 predictions, three in ten of which come true: the champion knows which, the challenger says never."""
    with (root / "predictions-1.jsonl").open("w") as log:
        for i in range(600):
            new = (i * 7919) % 2 == 1
            chance = 0.02 if new else (0.9 if i % 10 < 3 else 0.1)
            line = {
                "time": f"2026-03-01T{1 + i // 60:02d}:{i % 60:02d}:00Z", "request_id": f"r{i}", "route": "/invocations",
                "variant": "challenger" if new else "champion", "version": "2" if new else "1", "columns": ["size"],
                "inputs": [[1.0]], "outputs": [values[chance > 0.5]], "probabilities": [[1 - chance, chance]], "duration_ms": 1.0,
            }  # fmt: skip
            log.write(json.dumps(line) + "\n")
