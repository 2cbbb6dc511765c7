"""The reusable workflow, called from another repository, on every event that it is for."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.ci.github import Event, GitHub
from tests.ci.repository import branches, newest_record

from model_ci.forge import handover

WORKFLOW = """
on:
  push: {branches: [main]}
  pull_request:
  schedule: [{cron: "0 6 1 * *"}]
  workflow_dispatch: {inputs: {set: {type: string}, reason: {type: string}}}
permissions: {contents: write}
jobs:
  model:
    uses: acme/model-ci/.github/workflows/pipeline.yml@v1
    with: {set: "${{ inputs.set }}", reason: "${{ inputs.reason }}"}
"""
WRITTEN = {"main", "model-ci/records", "model-ci/store"}
PULL_REQUEST = Event(
    name="pull_request",
    payload={
        "action": "opened",
        "number": 7,
        "pull_request": {"number": 7, "head": {"ref": "feature"}, "base": {"ref": "main"}},
    },
    branch="feature",
    secrets={"MLFLOW_TRACKING_PASSWORD": "write-secret", "MLFLOW_READ_USERNAME": "reader"},
)


def test_a_push_makes_a_champion_and_a_pull_request_is_judged_against_it(
    github: GitHub, consumer: Callable[..., Path]
) -> None:
    tree = consumer(workflow=WORKFLOW)
    pushed = github.run(tree, "model.yml")
    assert pushed.exit == 0, pushed.told
    assert {job.id for job in pushed.jobs.values()} == {"model", "pipeline"}
    assert pushed.job("model").outputs | {"run-id": ""} == {
        "verdict": "passed",
        "run-id": "",
        "model-version": "1",
        "champion-version": "1",
    }
    run_id = pushed.job("model").outputs["run-id"]
    assert f"{run_id}/run.json" in pushed.artifact(f"model-ci-{run_id}").namelist()
    assert branches(pushed.origin) == WRITTEN

    asked = github.run(tree, "model.yml", PULL_REQUEST)
    assert asked.exit == 0, asked.told
    assert {job.id for job in asked.jobs.values()} == {"model", "pull-request"}
    outputs = asked.job("model").outputs
    assert (outputs["verdict"], outputs["model-version"], outputs["champion-version"]) == ("passed", "", "1")
    assert newest_record(asked.origin)["run_id"] == run_id
    assert branches(asked.origin) == {*WRITTEN, "feature"}
    assert f"model-ci-{outputs['run-id']}" in asked.artifacts
    handed_over = f"model-ci-record-{outputs['run-id']}"
    assert handover.from_archive(asked.artifacts[handed_over].read_bytes(), "it")["run_id"] == outputs["run-id"]


def test_a_person_starts_it_with_parameters(github: GitHub, consumer: Callable[..., Path]) -> None:
    inputs = {"set": "train.parameters.C=0.5\nmodel.name=other", "reason": 'new "prices"; $(touch x)'}
    outcome = github.run(consumer(workflow=WORKFLOW), "model.yml", Event(name="workflow_dispatch", inputs=inputs))
    assert outcome.exit == 0, outcome.told
    record = newest_record(outcome.origin)
    assert record["trigger"] == {"event": "manual", "reason": inputs["reason"]}
    assert record["config"]["values"]["train"]["parameters"] == {"C": 0.5}
    assert record["model"]["name"] == "other"


def test_it_runs_on_schedule(github: GitHub, consumer: Callable[..., Path]) -> None:
    event = Event(name="schedule", payload={"schedule": "0 6 1 * *"})
    outcome = github.run(consumer(workflow=WORKFLOW), "model.yml", event)
    assert outcome.exit == 0, outcome.told
    assert newest_record(outcome.origin)["trigger"]["event"] == "schedule"
    assert branches(outcome.origin) == WRITTEN


def test_a_refusal_is_recorded_and_uploaded(github: GitHub, consumer: Callable[..., Path]) -> None:
    inputs = {"set": "evaluate.gates=[{metric: roc_auc, min: 0.999}]", "reason": "as strict as can be"}
    outcome = github.run(consumer(workflow=WORKFLOW), "model.yml", Event(name="workflow_dispatch", inputs=inputs))
    assert outcome.exit == 1
    outputs = outcome.job("pipeline").steps["run"].outputs  # act hands no outputs of a failed workflow on
    assert (outputs["verdict"], outputs["model-version"]) == ("failed", "")
    assert "refused" in outcome.summary.splitlines()[0].lower()
    assert f"model-ci-{outputs['run-id']}" in outcome.artifacts
    assert newest_record(outcome.origin)["verdict"] == "failed"
    assert branches(outcome.origin) == {"main", "model-ci/records"}


def test_a_pull_request_sees_no_secret_that_writes(github: GitHub, consumer: Callable[..., Path]) -> None:
    tree = consumer(workflow=WORKFLOW + "    secrets: inherit\n")
    code = tree / "model_code.py"
    code.write_text(
        code.read_text() + "\nimport json, os\njson.dump(dict(os.environ), open(os.environ['SEEN'], 'w'))\n"
    )
    seen = github.folder / "seen"
    watched = GitHub(
        folder=github.folder, repositories=github.repositories, variables={**github.variables, "SEEN": str(seen)}
    )
    outcome = watched.run(tree, "model.yml", PULL_REQUEST)
    assert outcome.exit == 0, outcome.told
    environment = json.loads(seen.read_text())
    assert environment["MLFLOW_TRACKING_USERNAME"] == "reader"
    assert "write-secret" not in environment.values()


@pytest.mark.parametrize("runs_on", ['["self-hosted", "gpu"]', "ubuntu-24.04"])
def test_the_runner_is_chosen_by_label_or_labels(github: GitHub, consumer: Callable[..., Path], runs_on: str) -> None:
    inputs = "    with: {runs-on: '" + runs_on + "', stages: none}\n"
    workflow = WORKFLOW.partition("    with:")[0] + inputs
    outcome = github.run(consumer(workflow=workflow), "model.yml")
    assert "none" in outcome.job("pipeline").log
