"""The actions, executed as a user's workflow executes them: from another repository."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import yaml
from tests.ci.github import Event, GitHub
from tests.ci.repository import branches, newest_record
from tests.ci.yaml12 import load

HOSTILE = "$(touch x) `touch x` \"; touch x; \" '; touch x; '\n${{ github.token }} %0A::error::x"
STAGES = """
name: stages
on: push
permissions: {contents: write}
jobs:
  model:
    runs-on: ubuntu-latest
    outputs:
      verdict: ${{ steps.evaluate.outputs.verdict }}
      version: ${{ steps.register.outputs.model-version }}
      champion: ${{ steps.register.outputs.champion-version }}
      runs: ${{ steps.check.outputs.run-id }} ${{ steps.record.outputs.run-id }}
    steps:
      - uses: actions/checkout@v7
      - id: check
        uses: acme/model-ci/actions/check-data@v1
      - uses: acme/model-ci/actions/train@v1
        with:
          set: |
            train.parameters.C=0.5
            train.seed=7
      - id: evaluate
        uses: acme/model-ci/actions/evaluate@v1
        with:
          set: |
            train.parameters.C=0.5
            train.seed=7
      - id: register
        uses: acme/model-ci/actions/register@v1
      - id: record
        uses: acme/model-ci/actions/record@v1
      - run: git status --porcelain
"""
HAND_OVER = """
name: hand-over
on: push
permissions: {contents: read}
jobs:
  train:
    runs-on: ubuntu-latest
    outputs:
      run: ${{ steps.train.outputs.run-id }}
    steps:
      - uses: actions/checkout@v7
      - id: train
        uses: acme/model-ci/actions/train@v1
        with: {working-directory: a b}
      - uses: actions/upload-artifact@v7
        with:
          name: run
          path: a b/${{ steps.train.outputs.run-folder }}
          include-hidden-files: true
  evaluate:
    needs: train
    runs-on: ubuntu-latest
    outputs:
      run: ${{ steps.evaluate.outputs.run-id }}
      verdict: ${{ steps.evaluate.outputs.verdict }}
    steps:
      - uses: actions/checkout@v7
      - uses: actions/download-artifact@v8
        with:
          name: run
          path: a b/.model-ci/runs/${{ needs.train.outputs.run }}
      - id: evaluate
        uses: acme/model-ci/actions/evaluate@v1
        with:
          working-directory: a b
          run: ${{ needs.train.outputs.run }}
"""
REFUSED = """
name: refused
on: push
permissions: {contents: read}
jobs:
  model:
    runs-on: ubuntu-latest
    outputs:
      verdict: ${{ steps.run.outputs.verdict }}
    steps:
      - uses: actions/checkout@v7
      - id: run
        uses: acme/model-ci/actions/run@v1
        with:
          stages: train, evaluate
          set: "evaluate.gates=[{metric: roc_auc, min: 0.999}]"
          on-verdict: ON_VERDICT
      - if: always()
        uses: actions/upload-artifact@v7
        with: {name: run, path: .model-ci/runs/, include-hidden-files: true}
  after:
    needs: model
    runs-on: ubuntu-latest
    steps: [{run: "true"}]
"""
INJECTED = """
name: injected
on:
  workflow_dispatch:
    inputs:
      reason: {type: string}
      set: {type: string}
permissions: {contents: read}
jobs:
  model:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v7
      - uses: acme/model-ci/actions/train@v1
        with:
          set: ${{ inputs.set }}
          reason: ${{ inputs.reason }}
      - run: test ! -e x && cat .model-ci/runs/*/run.json
"""


def test_a_model_goes_through_all_stages(github: GitHub, consumer: Callable[..., Path]) -> None:
    outcome = github.run(consumer(workflow=STAGES), "model.yml")
    job = outcome.job("model")
    assert outcome.exit == 0, outcome.told
    assert job.outputs["verdict"] == "passed"
    assert (job.outputs["version"], job.outputs["champion"]) == ("1", "1")
    assert len(set(job.outputs["runs"].split())) == 1
    assert branches(outcome.origin) == {"main", "model-ci/records", "model-ci/store"}
    assert "??" not in job.log
    record = newest_record(outcome.origin)
    assert record["stages"]["train"]["parameters"] == {"C": 0.5}
    assert record["ci"]["provider"] == "github"


def test_a_run_is_handed_from_job_to_job(github: GitHub, consumer: Callable[..., Path]) -> None:
    outcome = github.run(consumer("a b", workflow=HAND_OVER), "model.yml")
    assert outcome.exit == 0, outcome.told
    assert outcome.job("evaluate").outputs == {"run": outcome.job("train").outputs["run"], "verdict": "passed"}


def test_a_refusal_fails_the_job_and_keeps_the_run(github: GitHub, consumer: Callable[..., Path]) -> None:
    outcome = github.run(consumer(workflow=REFUSED.replace("ON_VERDICT", "fail")), "model.yml")
    assert outcome.exit == 1
    assert outcome.job("model").result == "failure"
    assert outcome.job("model").outputs == {"verdict": "failed"}
    assert outcome.job("after").result == "skipped"
    assert "refused" in outcome.summary.splitlines()[0].lower()
    assert [a.message for a in outcome.annotations if a.level == "error" and "roc_auc" in a.message]
    assert [name for name in outcome.artifact("run").namelist() if name.endswith("/run.json")]


def test_a_refusal_can_be_a_warning(github: GitHub, consumer: Callable[..., Path]) -> None:
    outcome = github.run(consumer(workflow=REFUSED.replace("ON_VERDICT", "warn")), "model.yml")
    assert outcome.exit == 0, outcome.told
    assert outcome.job("after").result == "success"
    assert outcome.job("model").outputs == {"verdict": "failed"}
    assert {a.level for a in outcome.annotations if "roc_auc" in a.message} == {"warning"}


def test_nothing_in_an_input_is_executed(github: GitHub, consumer: Callable[..., Path]) -> None:
    inputs = {"reason": HOSTILE, "set": "train.parameters.C=0.25\n\n"}
    outcome = github.run(consumer(workflow=INJECTED), "model.yml", Event(name="workflow_dispatch", inputs=inputs))
    assert outcome.exit == 0, outcome.told
    record = json.loads(outcome.job("model").steps["2"].log)
    assert record["trigger"]["reason"] == HOSTILE
    assert record["config"]["values"]["train"]["parameters"] == {"C": 0.25}


def test_the_projects_own_workflow_calls_its_own_actions(github: GitHub, product: Path, tmp_path: Path) -> None:
    tree = shutil.copytree(product, tmp_path / "own")
    root = Path(__file__).parents[2]
    shutil.copytree(root / "example-project", tree / "example-project", ignore=shutil.ignore_patterns(".model-ci"))
    workflow = load(root / ".github" / "workflows" / "ci.yml")
    workflow["jobs"] = {"actions": {**workflow["jobs"]["actions"], "runs-on": "ubuntu-latest"}}
    (tree / ".github" / "workflows" / "ci.yml").write_text(yaml.safe_dump(workflow))
    outcome = github.run(tree, "ci.yml", timeout_s=900)
    assert outcome.exit == 0, outcome.told
    assert branches(outcome.origin) == {"main"}  # nothing of it writes
