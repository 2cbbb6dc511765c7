"""`model-ci selftest`: it refuses what is planted in real projects, and names what lets something through."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Command = Callable[..., Any]
EXAMPLE = Path(__file__).parents[2] / "example-project"
PLANTED = ("shuffled predictions", "constant prediction", "predictions of NaN", "swapped classes", "missing metrics")
EVERYWHERE = {
    "a holdout of one class", "an ignored threshold", "a model that knows the target", "a model that differs in a tenth of the rows",
    "a holdout that the model has learnt from", "a changed gate",
}  # fmt: skip
MORE_CODE = """
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler


def number():
    return make_pipeline(StandardScaler(), Ridge())


def several():
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
"""


def results(text: str) -> dict[str, str]:
    """The result of each case, by its name."""
    lines = text.partition("Cases\n")[2].partition("\n\n")[0].splitlines()[1:]
    rows = [[cell.strip() for cell in line.strip().split("  ") if cell.strip()] for line in lines]
    return {row[0]: row[-1] for row in rows}


def let_through(text: str) -> set[str]:
    return {name for name, result in results(text).items() if result == "failed"}


@pytest.fixture
def ready(project: Any, command: Command) -> Any:
    """The small project with a contract and a champion."""
    assert command(project.root, "check-data", "--learn").code == 0
    answer = command(project.root, "run", "--stages", "check-data,train,evaluate")
    assert answer.code == 0, answer.text
    return project


def test_flights_refuse_all_that_is_planted(tmp_path: Path, command: Command) -> None:
    root = tmp_path / "flights"
    shutil.copytree(EXAMPLE, root, ignore=shutil.ignore_patterns("__pycache__", ".model-ci"))
    subprocess.run(["git", "init", "-q", "."], cwd=root, check=True)
    until = ("--set", "data.until='2013-02-20'")
    assert command(root, "train", *until).code == 0
    answer = command(root, "selftest", *until)
    assert answer.code == 0, answer.text
    assert answer.out.startswith("flight-delays: the gates refuse what is planted\n")
    found = results(answer.out)
    assert {name for name, result in found.items() if result != "passed"} <= {"an ignored threshold"}
    assert {*PLANTED, *(f"{name}, as the first model" for name in PLANTED), *EVERYWHERE} < found.keys()
    assert len(found) == 22


@pytest.mark.parametrize(
    ("name", "task", "gates"),
    [
        ("diabetes", "regression", [{"metric": "r2", "min": 0.2, "max_drop": 0.05}]),
        ("diabetes", "regression", [{"metric": "mean_absolute_error", "max": 55, "max_rise": 2}]),
        ("wine", "multiclass", [{"metric": "accuracy", "min": 0.8, "max_drop": 0.05}]),
        ("wine", "multiclass", [{"metric": "log_loss", "max": 0.4}, {"metric": "roc_auc_ovr", "min": 0.8}]),
    ],
)
def test_the_data_sets_of_scikit_learn_refuse_all_that_is_planted(
    project: Any, command: Command, name: str, task: str, gates: list[dict[str, Any]]
) -> None:
    import sklearn.datasets

    table = getattr(sklearn.datasets, f"load_{name}")(as_frame=True).frame
    table.sample(frac=1, random_state=0).to_csv(project.root / "data.csv", index=False)
    with (project.root / "model_code.py").open("a") as code:
        code.write(MORE_CODE)
    project.configure(
        model={"task": task},
        data={"target": "target", "time_column": None},
        train={"entrypoint": f"model_code:{'number' if task == 'regression' else 'several'}", "parameters": {}},
        evaluate={"metrics": [], "min_rows": 20, "gates": gates, "uncertainty": {"resamples": 200}},
    )
    assert command(project.root, "check-data", "--learn").code == 0
    assert command(project.root, "train").code == 0
    answer = command(project.root, "selftest")
    assert answer.code == 0, answer.text
    untried = {name for name, result in results(answer.out).items() if result != "passed"}
    relative = any("max_drop" in gate or "max_rise" in gate for gate in gates)
    assert untried == {
        "an ignored threshold",
        *(["a holdout of one class"] if task == "regression" else []),
        *([] if relative else ["the champion against itself", "a model that differs in a tenth of the rows"]),
    }


def test_gates_that_do_not_look_at_predictions_let_bad_models_through(ready: Any, command: Command) -> None:
    ready.configure(evaluate={"gates": [{"metric": "size_mb", "max": 10}]})
    answer = command(ready.root, "selftest")
    assert answer.code == 3
    assert answer.out.startswith("shop: the gates let something through\n")
    assert let_through(answer.out) >= {"shuffled predictions", "constant prediction", "predictions of NaN"}
    assert "Shuffled predictions must be refused, but: let through: no gate refuses it." in answer.out


def test_a_limit_that_guessing_meets_is_found_by_the_first_model(ready: Any, command: Command) -> None:
    gates = [{"metric": "accuracy", "min": 0.4, "max_drop": 0.01}]
    ready.configure(evaluate={"gates": gates, "uncertainty": {"resamples": 200}})
    answer = command(ready.root, "selftest")
    assert answer.code == 3
    assert "constant prediction, as the first model" in let_through(answer.out)
    assert "constant prediction" not in let_through(answer.out)


def test_a_gate_that_refuses_everything_is_no_proof(ready: Any, command: Command) -> None:
    ready.configure(evaluate={"gates": [{"metric": "size_mb", "max": 0.0001}]})
    answer = command(ready.root, "selftest")
    assert answer.code == 3
    assert "no gate sees the difference" in answer.out


def test_a_contract_without_bounds_notices_nothing(ready: Any, command: Command) -> None:
    file = ready.root / "data-contract.yaml"
    agreed = yaml.safe_load(file.read_text())
    agreed["columns"]["size"] |= {"min": None, "max": None}
    agreed["columns"]["kind"]["unseen"] = 1
    file.write_text(yaml.safe_dump(agreed))
    answer = command(ready.root, "selftest")
    assert answer.code == 3
    assert "not noticed in kind" in answer.out
    assert let_through(answer.out) == {"data moved out of its ranges"}
    file.unlink()
    answer = command(ready.root, "selftest")
    assert answer.code == 0
    assert "there is no data contract; write one" in answer.out


def test_gates_by_slices_and_of_ones_own_are_tried_too(ready: Any, command: Command) -> None:
    (ready.root / "own.py").write_text("def calm(predicted):\n    return bool((predicted < 2).all())\n")
    gates = [
        {"metric": "roc_auc", "min": 0.6, "by": "kind", "min_rows": 10, "max_gap": 0.6},
        {"metric": "demographic_parity", "max": 1, "by": "kind", "min_rows": 10},
    ]
    ready.configure(evaluate={"gates": gates, "own_gates": ["own:calm"]})
    answer = command(ready.root, "selftest")
    assert answer.code == 0, answer.text
    (parity,) = [
        line for line in answer.out.splitlines() if line.strip().startswith("demographic_parity by kind max 1 ")
    ]
    assert "lets it through" in parity
    assert "own:calm your own" in answer.out


def test_nothing_is_written_and_the_summary_says_it(
    ready: Any, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    ready.configure(evaluate={"gates": [{"metric": "size_mb", "max": 10}]})
    kept = ready.root / ".model-ci"
    before = {file: file.read_bytes() for file in kept.rglob("*") if file.is_file() and "cache" not in file.parts}
    answer = command(ready.root, "selftest")
    assert answer.code == 3
    assert before == {
        file: file.read_bytes() for file in kept.rglob("*") if file.is_file() and "cache" not in file.parts
    }
    assert summary.read_text().startswith("## ❌ shop: the gates let something through\n")
    assert "| shuffled predictions | refused | let through: no gate refuses it | ❌ failed |" in summary.read_text()
    assert "::error title=model-ci selftest::Shuffled predictions must be refused" in answer.out


def test_without_a_trained_model_it_says_what_to_do(project: Any, command: Command) -> None:
    answer = command(project.root, "selftest")
    assert answer.code == 2
    assert "with a train here; run `model-ci train` first" in answer.text
    assert "--run nope: no such run" in command(project.root, "selftest", "--run", "nope").text


def test_a_gate_on_labels_sees_an_ignored_threshold(ready: Any, command: Command) -> None:
    quick = {"uncertainty": {"resamples": 200}}
    ready.configure(evaluate={"gates": [{"metric": "roc_auc", "min": 0.6}], **quick})
    answer = command(ready.root, "selftest")
    assert results(answer.out)["an ignored threshold"] == "not tried"
    assert "no gate on labels refuses it; add one on precision" in answer.out
    ready.configure(
        evaluate={"gates": [{"metric": "roc_auc", "min": 0.6}, {"metric": "balanced_accuracy", "min": 0.6}], **quick}
    )
    assert results(command(ready.root, "selftest").out)["an ignored threshold"] == "passed"


def test_code_of_a_gate_that_does_not_count_is_named(ready: Any, command: Command) -> None:
    (ready.root / "own.py").write_text("def cost(truth, chance):\n    return float(abs(truth - chance).mean())\n")
    gates = [{"metric": "roc_auc", "min": 0.6}, {"metric": "own:cost", "max": 0.45}]
    ready.configure(evaluate={"gates": gates, "uncertainty": {"resamples": 200}, "too_good": None})
    answer = command(ready.root, "selftest")
    assert results(answer.out)["a changed gate"] == "passed"
    assert results(answer.out)["a model that knows the target"] == "not tried"
    answer = command(ready.root, "selftest", "--set", "evaluate.code=[model_code.py]")
    assert answer.code == 3
    assert "a change of own.py is not noticed; add it to evaluate.code" in answer.out
