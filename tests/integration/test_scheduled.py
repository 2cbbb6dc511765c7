"""From the service back to training, as the scheduled workflow and the scheduled pipeline run it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.ci import repository
from tests.ci.github import Event, GitHub
from tests.ci.gitlab import GitLab
from tests.forge.service import serve
from tests.integration.test_operation_ci import tried

WORKFLOW = """
name: operation
on:
  schedule: [{cron: "0 5 * * *"}]
  repository_dispatch: {types: [new-data]}
permissions: {}
jobs:
  operation:
    uses: acme/model-ci/.github/workflows/scheduled.yml@v1
    permissions: {contents: write, issues: write}
    with:
      stages: monitor,retrain,record
      set: |
        monitor.predictions=log.jsonl
        monitor.outcomes=labels.csv
        monitor.until=2026-03-02
        monitor.quality.gates=[{metric: accuracy, min: 0.95}]
    secrets: inherit
"""
SETTINGS = (
    "monitor.predictions=log.jsonl\nmonitor.outcomes=labels.csv\nmonitor.until=2026-03-02\n"
    "monitor.quality.gates=[{metric: accuracy, min: MIN}]"
)

PUSHED = """
on: {push: {branches: [main]}}
permissions: {}
jobs:
  model:
    uses: acme/model-ci/.github/workflows/pipeline.yml@v1
    permissions: {contents: write}
    with: {set: retrain.interval=1d}
"""


def checked_long_ago(folder: Path) -> None:
    """Let the platform's repository begin with the record of a check that ran a year ago."""
    name = "20250101T050000000Z-0a1b2c3d"
    section = {"at": "2025-01-01T05:00:00Z", "retrain": False, "causes": [], "resets": False}
    record = {
        "run_id": name, "trigger": {"reason": None}, "stages": {"retrain": section}, "model": {"name": "shop"},
        "config": {"file": "model-ci.yaml", "folder": ""},
    }  # fmt: skip
    file = folder / "before" / "runs" / name / "run.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(record))
    repository.create(folder / "before", "file:///nowhere", "model-ci/records")
    repository.serve(folder / "before", folder / "origin.git")


def test_github_tells_who_pushes_that_no_check_runs(github: GitHub, consumer: Callable[..., Path]) -> None:
    checked_long_ago(github.folder)
    outcome = github.run(consumer(workflow=PUSHED), "model.yml")
    assert outcome.exit == 0, outcome.told
    (said,) = [a for a in outcome.annotations if a.message.startswith("retrain: did not run from 2025-01-01 to ")]
    assert said.level == "warning"
    assert "did not run from 2025-01-01" in outcome.summary


def test_gitlab_tells_who_pushes_that_no_check_runs(
    gitlab: GitLab, consumer: Callable[..., Path], toolkit: str
) -> None:
    checked_long_ago(gitlab.folder)
    included = {"project": "acme/model-ci", "ref": "v1", "file": "gitlab/pipeline.gitlab-ci.yml"}
    included |= {"inputs": {"toolkit": toolkit, "set": "retrain.interval=1d"}}
    outcome = gitlab.run(consumer(pipeline=json.dumps({"include": [included]})))
    assert outcome.exit == 0, outcome.told
    assert "Retraining: retrain: did not run from 2025-01-01 to " in outcome.jobs["model-ci"].log


def test_github_looks_decides_trains_and_tells(github: GitHub, consumer: Callable[..., Path]) -> None:
    with serve("github") as forge:
        forge.who_am_i = False
        github = replace(github, variables={**github.variables, "GITHUB_API_URL": forge.url})
        secrets = {"GITHUB_TOKEN": forge.token, "MODEL_CI_HEARTBEAT_URL": f"{forge.url}/ping/5ecre7"}
        outcome = github.run(
            tried(consumer(workflow=WORKFLOW)),
            "model.yml",
            Event(name="schedule", payload={"schedule": "0 5 * * *"}, secrets=secrets),
        )
        jobs = {name.rpartition("/")[2]: job.result for name, job in outcome.jobs.items()}
        assert forge.states() == {"shop: monitor says no": "open"}, (jobs, outcome.told)
        assert forge.beats == ["/ping/5ecre7/fail"]  # of the look, and the training is none
    record = repository.newest_record(outcome.origin)
    assert (record["line"], record["verdict"]) == ("model", "passed")
    assert record["trigger"]["reason"].startswith("retrain 2")
    assert "first: there is no champion; quality: " in record["trigger"]["reason"]
    assert record["stages"]["register"]["promoted"]


def test_gitlab_looks_decides_trains_tells_and_then_has_no_reason_to(
    gitlab: GitLab, consumer: Callable[..., Path], toolkit: str
) -> None:
    of_us = {"project": "acme/model-ci", "ref": "v1"}
    settings = {"set": SETTINGS.replace("MIN", "0.5"), "stages": "monitor,retrain,record"}
    scheduled = {"file": "gitlab/scheduled.gitlab-ci.yml", "inputs": {"toolkit": toolkit, **settings}}
    notify = {"file": "gitlab/notify.gitlab-ci.yml", "inputs": {"toolkit": toolkit, "after": "watch"}}
    pipeline = {"stages": ["watch", "train"], "include": [of_us | scheduled, of_us | notify]}
    tree = tried(consumer(pipeline=json.dumps(pipeline)))
    with serve("gitlab") as watcher:
        heartbeat = {"MODEL_CI_HEARTBEAT_URL": watcher.url.removesuffix("/api/v4") + "/ping/5ecre7"}
        gitlab = replace(gitlab, variables={**gitlab.variables, **heartbeat})
        outcome = gitlab.run(tree, "schedule")
        assert watcher.beats == ["/ping/5ecre7"], outcome.told
        assert "5ecre7" not in outcome.output
        assert outcome.jobs["watch"].dotenv["RETRAIN"] == "true", outcome.told
        record = repository.newest_record(outcome.origin)
        assert (record["line"], record["verdict"]) == ("model", "passed")
        assert record["trigger"]["reason"].startswith("retrain 2")
        again = gitlab.run(tree, "schedule")
        assert watcher.beats == ["/ping/5ecre7"] * 2, again.told
    assert again.jobs["watch"].dotenv["RETRAIN"] == "false", again.told
    assert "watch decided for no training" in again.jobs["train"].log
    assert repository.newest_record(again.origin)["line"] == "operation"
