"""From the service back to training, as the scheduled workflow and the scheduled pipeline run it."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.ci.github import Event, GitHub
from tests.ci.gitlab import GitLab
from tests.ci.repository import newest_record
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
      stages: monitor
      set: |
        monitor.predictions=log.jsonl
        monitor.outcomes=labels.csv
        monitor.until=2026-03-02
        monitor.quality.gates=[{metric: accuracy, min: 0.95}]
"""
SETTINGS = (
    "monitor.predictions=log.jsonl\nmonitor.outcomes=labels.csv\nmonitor.until=2026-03-02\n"
    "monitor.quality.gates=[{metric: accuracy, min: MIN}]"
)


def test_github_looks_decides_trains_and_tells(github: GitHub, consumer: Callable[..., Path]) -> None:
    with serve("github") as forge:
        forge.who_am_i = False
        github = GitHub(
            folder=github.folder,
            repositories=github.repositories,
            variables={**github.variables, "GITHUB_API_URL": forge.url},
        )
        outcome = github.run(
            tried(consumer(workflow=WORKFLOW)),
            "model.yml",
            Event(name="schedule", payload={"schedule": "0 5 * * *"}, secrets={"GITHUB_TOKEN": forge.token}),
        )
        jobs = {name.rpartition("/")[2]: job.result for name, job in outcome.jobs.items()}
        assert forge.states() == {"shop: monitor says no": "open"}, (jobs, outcome.told)
    record = newest_record(outcome.origin)
    assert (record["line"], record["verdict"]) == ("model", "passed")
    assert record["trigger"]["reason"].startswith("retrain 2")
    assert "first: there is no champion; quality: " in record["trigger"]["reason"]
    assert record["stages"]["register"]["promoted"]


def test_gitlab_looks_decides_trains_and_then_has_no_reason_to(
    gitlab: GitLab, consumer: Callable[..., Path], toolkit: str
) -> None:
    included = {
        "project": "acme/model-ci",
        "ref": "v1",
        "file": "gitlab/scheduled.gitlab-ci.yml",
        "inputs": {"toolkit": toolkit, "set": SETTINGS.replace("MIN", "0.5"), "stages": "monitor,retrain,record"},
    }
    tree = tried(consumer(pipeline=json.dumps({"stages": ["watch", "train"], "include": [included]})))
    outcome = gitlab.run(tree, "schedule")
    assert outcome.jobs["watch"].dotenv["RETRAIN"] == "true", outcome.told
    record = newest_record(outcome.origin)
    assert (record["line"], record["verdict"]) == ("model", "passed")
    assert record["trigger"]["reason"].startswith("retrain 2")
    again = gitlab.run(tree, "schedule")
    assert again.jobs["watch"].dotenv["RETRAIN"] == "false", again.told
    assert "watch decided for no training" in again.jobs["train"].log
    assert newest_record(again.origin)["line"] == "operation"
