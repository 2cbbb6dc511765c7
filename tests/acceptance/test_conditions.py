"""Every condition of the table through the commands: run, monitor, selftest and the report know each of them."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from model_ci.config.conditions import CONDITIONS, Judged

Command = Callable[..., Any]
LIMITS = {"min": 0.5, "max": 0.999, "min_gain": 0.0, "max_gap": 0.9}


def gates() -> list[dict[str, Any]]:
    """One gate for each condition, on a metric that it fits, with a limit that is easily kept."""
    made = []
    for name, condition in CONDITIONS.items():
        metric = "roc_auc" if condition.sign >= 0 or not condition.compares else "brier_score"
        sliced = {"by": "kind", "min_rows": 10} if condition.judged is Judged.GAP else {}
        made.append({"metric": metric, name: LIMITS.get(name, 0.5), **sliced})
    return made


def test_every_condition_is_judged_and_shown(project: Any, command: Command) -> None:
    project.configure(evaluate={"gates": gates(), "uncertainty": {"resamples": 200, "inconclusive": "pass"}})
    first = command(project.root, "run")
    assert first.code == 0, first.text
    states = {g["condition"]: g["state"] for g in project.record()["stages"]["evaluate"]["gates"]}
    assert states == {n: "no champion" if c.compares else "passed" for n, c in CONDITIONS.items()}

    second = command(project.root, "run", "--set", "train.parameters.C=0.9")
    judged = project.record()["stages"]["evaluate"]["gates"]
    assert [g["condition"] for g in judged] == list(CONDITIONS)
    for gate in judged:
        assert gate["state"] != "no champion"
        assert (gate["champion"] is not None) >= CONDITIONS[gate["condition"]].compares
        assert re.search(rf"{gate['metric']} .*{gate['condition']} {gate['limit']:g} ", second.out), gate["condition"]
    drop = next(g for g in judged if g["condition"] == "max_relative_drop")
    assert "lower than" in drop["reason"] or "higher than" in drop["reason"] or "equal to" in drop["reason"]
    assert f"(0.5 of {drop['champion']:.6g}) allowed" in drop["reason"]

    answer = command(project.root, "selftest")
    alone = answer.out.partition("Each gate alone")[2] or answer.out
    for name in CONDITIONS:
        assert name in alone, f"selftest leaves {name} out"


@pytest.mark.parametrize("metric", ["equalized_odds", "demographic_parity"])
def test_fairness_without_a_slice_of_enough_rows_fails_the_gate(project: Any, command: Command, metric: str) -> None:
    project.configure(evaluate={"gates": [{"metric": metric, "by": "kind", "max": 0.5, "min_rows": 100_000}]})
    answer = command(project.root, "run", "--stages", "train,evaluate")
    assert answer.code == 3, answer.text
    assert "slices are too small to judge" in answer.out


def test_a_limit_that_the_value_keeps_and_its_bound_does_not_is_shown(project: Any, command: Command) -> None:
    gate = {"metric": "roc_auc", "min": 0.5}
    project.configure(evaluate={"gates": [gate]})
    assert "but not surely" not in command(project.root, "run", "--stages", "train,evaluate").out
    (judged,) = project.record()["stages"]["evaluate"]["gates"]
    between = (judged["interval"][0] + judged["challenger"]) / 2
    project.configure(evaluate={"gates": [{**gate, "min": between}]})
    answer = command(project.root, "run", "--stages", "train,evaluate")
    assert answer.code == 0, answer.text
    assert "passed, but not surely" in answer.out
    strict = command(project.root, "run", "--stages", "train,evaluate", "--set", "evaluate.uncertainty.absolute=bound")
    assert strict.code == 3, strict.text
    assert "passed, but not surely" not in strict.out
