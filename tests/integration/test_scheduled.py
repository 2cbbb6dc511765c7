"""From the service back to training, as the scheduled workflow and the scheduled pipeline run it."""

import json
from collections.abc import Callable
from dataclasses import replace
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
    record = newest_record(outcome.origin)
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
        record = newest_record(outcome.origin)
        assert (record["line"], record["verdict"]) == ("model", "passed")
        assert record["trigger"]["reason"].startswith("retrain 2")
        again = gitlab.run(tree, "schedule")
        assert watcher.beats == ["/ping/5ecre7"] * 2, again.told
    assert again.jobs["watch"].dotenv["RETRAIN"] == "false", again.told
    assert "watch decided for no training" in again.jobs["train"].log
    assert newest_record(again.origin)["line"] == "operation"
