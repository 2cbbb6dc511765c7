"""The stages that tell of a service, as a scheduled workflow and a scheduled pipeline run them."""

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
      decision: ${{ steps.compare.outputs.decision }}
      verdict: ${{ steps.compare.outputs.verdict }}
      runs: ${{ steps.compare.outputs.run-id }} ${{ steps.monitor.outputs.run-id }} ${{ steps.record.outputs.run-id }}
    steps:
      - uses: actions/checkout@v7
      - id: compare
        uses: acme/model-ci/actions/compare-variants@v1
        with:
          set: |
            compare-variants.predictions=requests.csv
            compare-variants.metric=revenue
            compare-variants.better=higher
      - id: monitor
        uses: acme/model-ci/actions/monitor@v1
        with:
          run: ${{ steps.compare.outputs.run-id }}
          set: |
            monitor.predictions=log.jsonl
            monitor.outcomes=labels.csv
            monitor.until=2026-03-02
            monitor.quality.gates=[{metric: accuracy, min: 0.8}]
      - id: record
        uses: acme/model-ci/actions/record@v1
        with: {run: "${{ steps.compare.outputs.run-id }}"}
"""


def tried(tree: Path) -> Path:
    """Leave a test whose treatment earns more, and predictions that are right in nine of ten rows."""
    lines, logged, labels = ["time,variant,revenue"], [], ["request_id,sold"]
    for i in range(800):
        treated = i * 7919 % 2
        lines.append(
            f"2026-03-01T{i // 60:02d}:{i % 60:02d}:00,{('champion', 'challenger')[treated]},{i % 11 + 4 * treated}"
        )
        line = {
            "time": f"2026-03-01T{i // 60:02d}:{i % 60:02d}:00+00:00", "request_id": f"r{i}", "variant": "champion",
            "columns": ["size"], "inputs": [[i]], "outputs": [i % 2],
        }  # fmt: skip
        logged.append(json.dumps(line))
        labels.append(f"r{i},{(i + (i % 10 == 0)) % 2}")
    (tree / "log.jsonl").write_text("\n".join(logged) + "\n")
    (tree / "labels.csv").write_text("\n".join(labels) + "\n")
    (tree / "requests.csv").write_text("\n".join(lines) + "\n")
    return tree


def test_github_compares_variants_on_a_schedule(github: GitHub, consumer: Callable[..., Path]) -> None:
    outcome = github.run(
        tried(consumer(workflow=WORKFLOW)), "model.yml", Event(name="schedule", payload={"schedule": "0 5 * * *"})
    )
    assert outcome.exit == 0, outcome.told
    outputs = outcome.job("watch").outputs
    assert (outputs["decision"], outputs["verdict"]) == ("promote", "passed")
    assert len(set(outputs["runs"].split())) == 1
    record = newest_record(outcome.origin)
    assert record["line"] == "operation"
    assert record["stages"]["compare-variants"]["decision"] == "promote"
    assert record["stages"]["monitor"]["quality"][0]["metrics"]["accuracy"]["value"] == 0.9


def test_gitlab_compares_variants_on_a_schedule(gitlab: GitLab, consumer: Callable[..., Path], toolkit: str) -> None:
    settings = (
        "compare-variants.predictions=requests.csv\ncompare-variants.metric=revenue\ncompare-variants.better=lower"
    )
    template = {"project": "acme/model-ci", "ref": "v1", "file": "gitlab/compare-variants.gitlab-ci.yml"}
    included = [template | {"inputs": {"toolkit": toolkit, "set": settings}}]
    tree = tried(consumer(pipeline=json.dumps({"stages": ["compare-variants"], "include": included})))
    outcome = gitlab.run(tree, "schedule")
    job = outcome.jobs["compare-variants"]
    assert (outcome.exit, job.status) == (1, "failed"), outcome.told
    assert job.dotenv["DECISION"] == "roll back"
    assert job.dotenv["VERDICT"] == "failed"
    assert job.artifacts is not None
    assert list(job.artifacts.glob(".model-ci/runs/*/run.json"))


def test_gitlab_watches_a_service_on_a_schedule(gitlab: GitLab, consumer: Callable[..., Path], toolkit: str) -> None:
    settings = (
        "monitor.predictions=log.jsonl\nmonitor.outcomes=labels.csv\nmonitor.until=2026-03-02\n"
        "monitor.quality.gates=[{metric: accuracy, min: 0.95}]"
    )
    template = {"project": "acme/model-ci", "ref": "v1", "file": "gitlab/monitor.gitlab-ci.yml"}
    included = [template | {"inputs": {"toolkit": toolkit, "set": settings}}]
    tree = tried(consumer(pipeline=json.dumps({"stages": ["monitor"], "include": included})))
    outcome = gitlab.run(tree, "schedule")
    job = outcome.jobs["monitor"]
    assert (outcome.exit, job.status) == (1, "failed"), outcome.told
    assert job.dotenv["VERDICT"] == "failed"
    assert "accuracy min 0.95" in job.log
