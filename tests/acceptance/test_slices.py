"""Gates by slices, of fairness, calibration, data age and of one's own, through the front door."""

import json
from collections.abc import Callable
from typing import Any

import pytest

Command = Callable[..., Any]
OWN = """
def enough(rows, metrics):
    return len(rows) > 50, f"{len(rows)} rows, area {metrics['roc_auc']:.1f}"


def no(truth, predicted, champion):
    return False, f"champion {champion if champion is None else len(champion) == len(truth)}"


def broken():
    return {}["x"]


def silent():
    return None
"""


def gates(project: Any) -> list[dict[str, Any]]:
    return project.record()["stages"]["evaluate"]["gates"]  # type: ignore[no-any-return]


@pytest.fixture
def own(project: Any) -> Any:
    (project.root / "own.py").write_text(OWN)
    return project


def test_slices_are_recorded_and_shown_with_those_that_are_too_small(project: Any, command: Command) -> None:
    wanted = [
        {"metric": "roc_auc", "min": 0.6, "max_drop": 0.05},
        {"metric": "roc_auc", "by": "kind", "min": 0.6, "min_rows": 30},
        {"metric": "log_loss", "by": ["kind", "age"], "bins": 2, "max": 2, "max_rise": 0.5, "min_rows": 20},
        {"metric": "demographic_parity", "by": "kind", "max": 0.9, "min_rows": 30},
        {"metric": "expected_calibration_error", "max": 0.4},
    ]
    project.configure(evaluate={"gates": wanted, "metrics": ["calibration_slope"]})
    with (project.root / "data.csv").open("a") as data:
        data.write("".join(f"2024-12-28,0.{i},50,rare,{i % 2}\n" for i in range(9)))
    answer = command(project.root, "run")
    assert answer.code == 0, answer.text
    by_kind = next(gate for gate in gates(project) if gate["by"] == "kind" and gate["condition"] == "min")
    states = {part["slice"]: part["state"] for part in by_kind["slices"]}
    assert states == {"kind=a": "passed", "kind=b": "passed", "kind=c": "passed", "kind=rare": "too small"}
    worst = min((p for p in by_kind["slices"] if p["challenger"]), key=lambda p: p["challenger"])
    assert (by_kind["slice"], by_kind["challenger"]) == (worst["slice"], worst["challenger"])
    assert worst["interval"][0] < worst["challenger"] < worst["interval"][1]
    assert "kind=rare 9 - - - too small: 9 rows, 30 are needed" in " ".join(answer.out.split())
    assert "Slices of roc_auc by kind min 0.6" in answer.out
    again = command(project.root, "run", "--force")
    assert again.code == 0, again.text
    rises = [gate for gate in gates(project) if gate["condition"] == "max_rise"]
    assert {part["difference"] for part in rises[0]["slices"] if part["state"] != "too small"} == {0}
    assert {part["state"] for part in rises[0]["slices"]} == {"passed", "too small"}


def test_a_model_that_is_good_on_the_whole_and_bad_in_a_slice_is_refused(project: Any, command: Command) -> None:
    lines = (project.root / "data.csv").read_text().splitlines()
    turned = [f"{line[:-1]}{1 - int(line[-1])}" if ",c," in line else line for line in lines[1:]]
    (project.root / "data.csv").write_text("\n".join([lines[0], *turned]) + "\n")
    whole = {"metric": "roc_auc", "min": 0.51}
    project.configure(evaluate={"gates": [whole]})
    assert command(project.root, "run", "--stages", "train,evaluate").code == 0
    project.configure(evaluate={"gates": [whole, {"metric": "roc_auc", "by": "kind", "min": 0.6, "min_rows": 20}]})
    answer = command(project.root, "run", "--stages", "train,evaluate")
    assert answer.code == 3
    assert "kind=c: 0." in answer.out
    assert gates(project)[1]["state"] == "failed"


def test_ones_own_gates(own: Any, command: Command) -> None:
    own.configure(evaluate={"own_gates": ["own:enough"]})
    answer = command(own.root, "run")
    assert answer.code == 0, answer.text
    assert (
        gates(own)[-1] | {"metric": "own:enough", "condition": "own", "limit": None, "state": "passed"}
        == gates(own)[-1]
    )
    assert "rows, area 0." in json.dumps(gates(own)[-1]["reason"])
    own.configure(evaluate={"own_gates": ["own:no", "own:broken", "own:silent"]})
    answer = command(own.root, "run")
    assert answer.code == 3
    assert [(gate["state"], gate["reason"]) for gate in gates(own)[-3:]] == [
        ("failed", "champion True"),
        ("failed", "raised: KeyError: 'x'; what is not there does not pass"),
        ("failed", "returned None; return True or False, or that and the reason; what is not there does not pass"),
    ]


def test_the_age_of_the_data_counts_to_now_or_to_until(project: Any, command: Command) -> None:
    project.configure(evaluate={"gates": [{"metric": "data_age_days", "max": 150}, {"metric": "roc_auc", "min": 0.5}]})
    answer = command(project.root, "run", "--stages", "train,evaluate")
    assert answer.code == 3, answer.text
    assert gates(project)[0]["challenger"] > 365
    until = ("--stages", "train,evaluate", "--set", "data.until='2024-12-31'")
    answer = command(project.root, "run", *until)
    assert answer.code == 0, answer.text
    assert 50 < gates(project)[0]["challenger"] < 150
