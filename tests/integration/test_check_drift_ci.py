"""Check-drift as a scheduled workflow and a scheduled pipeline run it."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.ci.github import Event, GitHub
from tests.ci.gitlab import GitLab
from tests.ci.repository import newest_record

WORKFLOW = """
name: watch
on: {schedule: [{cron: "0 5 * * *"}]}
permissions: {contents: write}
jobs:
  watch:
    runs-on: ubuntu-latest
    outputs:
      state: ${{ steps.drift.outputs.drift-state }}
      verdict: ${{ steps.drift.outputs.verdict }}
    steps:
      - uses: actions/checkout@v7
      - id: drift
        uses: acme/model-ci/actions/check-drift@v1
        with:
          on-verdict: warn
          set: |
            check-drift.rows=now.csv
            check-drift.reference=before.csv
      - uses: acme/model-ci/actions/record@v1
        with: {run: "${{ steps.drift.outputs.run-id }}"}
"""


def drifting(tree: Path) -> Path:
    """Leave rows of which one column has moved."""
    for name, shift in (("before.csv", 0), ("now.csv", 40)):
        lines = ["size,age", *(f"{i * 7919 % 1009 / 100:.2f},{shift + i * 31 % 97}" for i in range(600))]
        (tree / name).write_text("\n".join(lines) + "\n")
    return tree


def test_github_checks_for_drift_on_a_schedule(github: GitHub, consumer: Callable[..., Path]) -> None:
    outcome = github.run(
        drifting(consumer(workflow=WORKFLOW)), "model.yml", Event(name="schedule", payload={"schedule": "0 5 * * *"})
    )
    assert outcome.exit == 0, outcome.told
    assert outcome.job("watch").outputs == {"state": "drift", "verdict": "failed"}
    record = newest_record(outcome.origin)
    assert record["stages"]["check-drift"]["why"].startswith("drift of data: age")


def test_gitlab_checks_for_drift_on_a_schedule(gitlab: GitLab, consumer: Callable[..., Path], toolkit: str) -> None:
    settings = "check-drift.rows=now.csv\ncheck-drift.reference=before.csv"
    template = {"project": "acme/model-ci", "ref": "v1", "file": "gitlab/check-drift.gitlab-ci.yml"}
    included = [template | {"inputs": {"toolkit": toolkit, "set": settings}}]
    tree = drifting(consumer(pipeline=json.dumps({"stages": ["check-drift"], "include": included})))
    outcome = gitlab.run(tree, "schedule")
    job = outcome.jobs["check-drift"]
    assert (outcome.exit, job.status) == (1, "failed"), outcome.told
    assert (job.dotenv["DRIFT_STATE"], job.dotenv["VERDICT"]) == ("drift", "failed")
    assert job.artifacts is not None
    assert list(job.artifacts.glob(".model-ci/runs/*/drift/profile.json.gz"))
