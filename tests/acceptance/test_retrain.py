"""`model-ci retrain` through its front door: what it decides, what it remembers, and when it says that it was missed."""

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.conftest import Project, write_rows

Command = Callable[..., Any]


@pytest.fixture
def served(project: Project, command: Command) -> Project:
    """A project with a champion, whose runs go to a remote that outlives the runner."""
    origin = project.root.parent / "origin.git"
    subprocess.run(["git", "init", "-q", "--bare", str(origin)], check=True)
    subprocess.run(["git", "remote", "add", "origin", str(origin)], cwd=project.root, check=True)
    project.configure(
        retrain={"cooldown": "1d", "budget": 2, "per": "7d", "patience": 2, "every": "30d"},
        evaluate={"gates": [{"metric": "roc_auc", "min": 0.6, "max_drop": 0.1}]},
    )
    assert command(project.root, "run").code == 0
    return project


def decide(project: Project, command: Command, when: str, *arguments: str) -> dict[str, Any]:
    answer = command(project.root, "run", "--stages", "retrain,record", "--set", f"retrain.until={when}", *arguments)
    assert answer.code == 0, answer.text
    return project.record()["stages"]["retrain"]  # type: ignore[no-any-return]


def soon(days: float = 0) -> str:
    from datetime import timedelta

    return (datetime.now(UTC) + timedelta(days=days)).isoformat(timespec="seconds")


def test_it_decides_remembers_and_gives_up(served: Project, command: Command) -> None:
    quiet = decide(served, command, soon(1))
    assert (quiet["retrain"], quiet["why"], quiet["data"]["new_rows"]) == (False, "nothing speaks for it", 0)
    due = decide(served, command, soon(31))
    assert due["retrain"]
    assert due["reason"].startswith(f"retrain {served.record()['run_id']}: schedule: ")
    (served.root / "runs-away").mkdir()
    (served.root / ".model-ci" / "runs").rename(served.root / "runs-away" / "runs")  # another runner
    held = decide(served, command, soon(31.5))
    assert (held["retrain"], [h["by"] for h in held["held"]]) == (False, ["cooldown"])
    assert decide(served, command, soon(33))["retrain"]
    tired = decide(served, command, soon(60))
    assert (tired["retrain"], [h["by"] for h in tired["held"]], tired["without_gain"]) == (False, ["breaker"], 2)
    asked = decide(served, command, soon(61), "--reason", "new labels")
    assert (asked["retrain"], asked["resets"]) == (True, True)
    assert [c["kind"] for c in asked["causes"]] == ["schedule", "demand"]


def test_decisions_for_another_model_of_the_repository_do_not_count(served: Project, command: Command) -> None:
    assert decide(served, command, soon(31))["retrain"]
    other = served.root / "other.yaml"
    other.write_text((served.root / "model-ci.yaml").read_text().replace("name: shop", "name: other"))
    assert command(served.root, "run", "--config", str(other)).code == 0
    answer = command(
        served.root, "run", "--config", str(other), "--stages", "retrain,record", "--set", f"retrain.until={soon(31)}"
    )
    assert answer.code == 0, answer.text
    section = served.record()["stages"]["retrain"]
    assert (section["retrain"], section["held"], section["without_gain"]) == (True, [], 0)


def test_new_rows_cause_one_training_and_a_promotion_counts(served: Project, command: Command) -> None:
    write_rows(served.root / "data.csv", rows=600, seed=5)
    rows = (served.root / "data.csv").read_text().replace("2024-", "2025-").splitlines()[1:]
    write_rows(served.root / "data.csv")
    with (served.root / "data.csv").open("a") as file:
        file.write("\n".join(rows) + "\n")
    wanted = ["--set", "retrain.new_rows=500", "--set", "retrain.approval=true"]
    found = decide(served, command, soon(1), *wanted)
    assert (found["retrain"], found["approval"], found["data"]["new_rows"]) == (True, "required", 600)
    assert decide(served, command, soon(3), *wanted)["held"][0]["by"] == "duplicate"
    answer = command(served.root, "run", "--reason", found["reason"])
    assert answer.code == 0, answer.text
    later = decide(served, command, soon(4), *wanted)
    assert (later["data"]["new_rows"], later["without_gain"], later["causes"]) == (0, 0, [])


def test_the_next_check_notices_that_none_ran(served: Project, command: Command) -> None:
    every_day = ["--set", "retrain.interval=1d", "--set", "retrain.missed=3"]
    assert decide(served, command, soon(1), *every_day)["findings"] == []
    assert decide(served, command, soon(3), *every_day)["findings"] == []
    (finding,) = decide(served, command, soon(9), *every_day)["findings"]
    assert "is meant to every 1d" in finding["what"]


GITHUB_SCHEDULE = {
    "GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "schedule", "GITHUB_REF": "refs/heads/main", "GITHUB_REF_NAME": "main",
}  # fmt: skip


@pytest.mark.parametrize("checked", [True, False])
def test_every_run_of_the_pipeline_notices_that_no_check_ran(
    served: Project, command: Command, monkeypatch: pytest.MonkeyPatch, checked: bool
) -> None:
    """Whether it stopped after a check, or never began since the first training that expected one."""
    served.configure(retrain={"interval": "1d"})
    if checked:
        decide(served, command, soon())
    else:
        assert command(served.root, "run", "--force").code == 0
    for name, value in GITHUB_SCHEDULE.items():
        monkeypatch.setenv(name, value)
    for days, overdue in ((1, False), (9, True)):
        answer = command(served.root, "run", "--force", "--set", f"retrain.until={soon(days)}")
        assert answer.code == 0, answer.text
        assert served.record()["line"] == "model"
        said = [line for line in answer.out.splitlines() if "is meant to every 1d" in line]
        assert len(said) == 2 * overdue, answer.out  # in the report, and as an annotation
        assert sum(line.startswith("::warning title=model-ci::retrain: did not run from ") for line in said) == overdue


def test_no_check_is_missed_where_none_is_meant_to_run(served: Project, command: Command) -> None:
    decide(served, command, soon())
    answer = command(served.root, "run", "--force", "--set", f"retrain.until={soon(90)}")
    assert answer.code == 0
    assert "did not run" not in answer.text
    assert served.record()["stages"]["record"]["findings"] == []


def test_a_decision_that_is_not_on_record_fails_its_job(served: Project, command: Command) -> None:
    subprocess.run(["git", "remote", "set-url", "origin", "/nowhere"], cwd=served.root, check=True)
    answer = command(served.root, "run", "--stages", "retrain,record")
    assert answer.code == 5, answer.text
    assert served.record()["stages"]["retrain"]["verdict"] == "done"


def test_without_a_champion_it_says_so(project: Project, command: Command) -> None:
    answer = command(project.root, "retrain")
    assert answer.code == 0
    assert "Train again: first (there is no champion)." in answer.out


@pytest.fixture
def damaged(served: Project) -> str:
    """Damage the first record on the branch, and return its run."""
    name = served.runs()[0].name
    clone = served.root.parent / "clone"
    origin = served.root.parent / "origin.git"
    subprocess.run(["git", "clone", "-q", "-b", "model-ci/records", str(origin), str(clone)], check=True)
    (clone / "runs" / name / "run.json").write_text(json.dumps({"run_id": name}))
    subprocess.run(["git", "commit", "-q", "-am", "damage"], cwd=clone, check=True)
    subprocess.run(["git", "push", "-q"], cwd=clone, check=True)
    return name


def test_a_damaged_history_decides_nothing(served: Project, command: Command, damaged: str) -> None:
    answer = command(served.root, "retrain")
    assert answer.code == 5
    assert f"runs/{damaged}/run.json: cannot be read" in answer.text
    assert "nothing is decided" in answer.text


def test_of_a_damaged_history_nobody_knows_whether_a_check_is_overdue(
    served: Project, command: Command, damaged: str
) -> None:
    answer = command(served.root, "run", "--force", "--set", "retrain.interval=1d")
    assert answer.code == 0, answer.text
    assert f"Retraining: retrain: nobody knows when it ran last: runs/{damaged}/run.json: " in answer.out
    assert served.record()["stages"]["record"]["pushed"]


def test_a_no_of_drift_does_not_keep_it_from_deciding(served: Project, command: Command) -> None:
    served.configure(check_drift={"rows": "today.csv", "min_rows": 50})
    write_rows(served.root / "today.csv", rows=400, seed=7)
    text = (served.root / "today.csv").read_text().splitlines()
    far = [text[0], *(",".join([c[0], str(float(c[1]) + 3), *c[2:]]) for c in (line.split(",") for line in text[1:]))]
    (served.root / "today.csv").write_text("\n".join(far) + "\n")
    answer = command(served.root, "run", "--stages", "check-drift,retrain,record")
    assert answer.code == 3, answer.text
    section = served.record()["stages"]["retrain"]
    assert section["retrain"]
    assert [cause["kind"] for cause in section["causes"]] == ["drift"]
