"""The two lines of stages: one makes a model and does nothing twice, the other tells of now and never reuses an answer."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from tests.conftest import Project

Command = Callable[..., Any]
LINE = {
    "time": "2026-03-01T00:00:00.000+00:00", "request_id": "r", "variant": "champion", "version": "1", "user": None,
    "route": "/invocations", "columns": ["age"], "inputs": [[1.0]], "outputs": [1], "probabilities": None,
    "duration_ms": 5.0,
}  # fmt: skip


def records(project: Any) -> list[dict[str, Any]]:
    return [json.loads((folder / "run.json").read_bytes()) for folder in project.runs()]


@pytest.fixture
def tested(project: Any) -> Any:
    """Log ten requests of two variants, which is too little to decide."""
    lines = [LINE | {"request_id": f"r{i}", "variant": ("champion", "challenger")[i % 2]} for i in range(10)]
    (project.root / "log").mkdir()
    (project.root / "log" / "predictions-a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    project.configure(compare_variants={"predictions": "log", "metric": "duration_ms"})
    return project


def test_an_operation_asks_anew_each_time(tested: Any, command: Command) -> None:
    for _ in range(2):
        answer = command(tested.root, "compare-variants")
        assert answer.code == 0, answer.text
        assert "unchanged" not in answer.err
    assert [run["line"] for run in records(tested)] == ["operation"] * 2


def test_the_lines_do_not_mix(tested: Any, command: Command) -> None:
    answer = command(tested.root, "run", "--stages", "train,compare-variants")
    assert answer.code == 2
    assert (
        "train makes a model and compare-variants checks or changes the service; run them one after the other"
        in answer.err
    )
    assert tested.runs() == []


def test_a_model_goes_on_with_its_own_newest_run(tested: Any, command: Command) -> None:
    assert command(tested.root, "run", "--stages", "train").code == 0
    assert command(tested.root, "compare-variants").code == 0
    answer = command(tested.root, "run", "--stages", "train,evaluate")
    assert "train        unchanged" in answer.err, answer.text
    trained, compared = records(tested)
    assert (list(trained["stages"]), list(compared["stages"])) == (["train", "evaluate"], ["compare-variants"])


def test_an_operation_is_recorded_with_what_it_said(tested: Any, command: Command) -> None:
    assert command(tested.root, "run", "--stages", "compare-variants,record").code == 0
    (run,) = records(tested)
    shown = subprocess.run(
        ["git", "show", f"model-ci/records:runs/{run['run_id']}/run.json"],
        cwd=tested.root, check=True, capture_output=True,
    ).stdout  # fmt: skip
    assert json.loads(shown)["stages"]["compare-variants"] == run["stages"]["compare-variants"]


def test_a_record_is_completed_in_place_when_a_later_job_adds_to_the_run(
    ran: Callable[..., Project], command: Command
) -> None:
    project = ran("--stages", "train,record")
    assert command(project.root, "run", "--stages", "evaluate,record").code == 0
    (run,) = records(project)
    log = ["git", "log", "--format=%s", "model-ci/records", "--", f"runs/{run['run_id']}/run.json"]
    commits = subprocess.run(log, cwd=project.root, check=True, capture_output=True, text=True).stdout.splitlines()
    assert commits == [f"Record run {run['run_id']}: passed", f"Record run {run['run_id']}: not judged"]
