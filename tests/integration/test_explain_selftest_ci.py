"""explain, selftest and the comment, as workflows and pipelines run them."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.ci.github import Event, GitHub
from tests.ci.gitlab import GitLab
from tests.forge.records import record
from tests.forge.service import serve

from model_ci import config, registry

WORKFLOW = """
name: explained
on: push
permissions: {contents: read}
jobs:
  model:
    runs-on: ubuntu-latest
    outputs:
      explained: ${{ steps.explain.outputs.verdict }}
      tested: ${{ steps.selftest.outputs.verdict }}
      runs: ${{ steps.explain.outputs.run-id }} ${{ steps.selftest.outputs.run-id }}
    steps:
      - uses: actions/checkout@v7
      - uses: acme/model-ci/actions/run@v1
        with: {stages: "check-data,train,evaluate"}
      - id: explain
        uses: acme/model-ci/actions/explain@v1
        with: {set: "explain.max_share={size: 0.999}"}
      - id: selftest
        uses: acme/model-ci/actions/selftest@v1
"""
PIPELINE = {"project": "acme/model-ci", "ref": "v1"}


def test_github_explains_a_model_and_tests_its_gates(github: GitHub, consumer: Callable[..., Path]) -> None:
    outcome = github.run(consumer(workflow=WORKFLOW), "model.yml", Event())
    assert outcome.exit == 0, outcome.told
    job = outcome.job("model")
    assert (job.outputs["explained"], job.outputs["tested"]) == ("passed", "passed")
    assert len(set(job.outputs["runs"].split())) == 1
    assert "the gates refuse what is planted" in job.log


def test_gitlab_explains_a_model_keeps_it_with_the_version_and_tests_its_gates(
    gitlab: GitLab, consumer: Callable[..., Path], toolkit: str, tmp_path: Path
) -> None:
    jobs = {
        "pipeline": {"job-name": "fit", "stage": "train", "stages": "check-data, train, evaluate"},
        "explain": {"after": "fit"},
        "register": {"after": "explain"},
        "selftest": {"after": "fit", "set": "evaluate.gates=[{metric: roc_auc, max_drop: 0.9}]"},
    }
    files = [
        PIPELINE | {"file": f"gitlab/{name}.gitlab-ci.yml", "inputs": {"toolkit": toolkit, **given}}
        for name, given in jobs.items()
    ]
    stages = ["train", "explain", "register", "selftest"]
    tree = consumer(pipeline=json.dumps({"stages": stages, "include": files}))
    outcome = gitlab.run(tree, timeout_s=900)
    states = {name: job.status for name, job in outcome.jobs.items()}
    assert states == {"fit": "success", "explain": "success", "register": "success", "selftest": "failed"}, outcome.told
    assert "let something through" in outcome.jobs["selftest"].log
    assert "as the first model" in outcome.jobs["selftest"].log
    assert outcome.jobs["selftest"].dotenv["VERDICT"] == "failed"
    folder = tmp_path / "reader"
    clone(outcome.origin, folder)
    with registry.open_registry(config.load(folder / "model-ci.yaml", []), folder, in_ci=True) as store:
        champion = store.champion()
        assert champion is not None
        kept = store.attachment(champion, "explain", tmp_path / "kept")
    assert kept is not None
    assert json.loads((kept / "importance.json").read_text())["columns"]


def test_gitlab_comments_in_a_merge_request(gitlab: GitLab, consumer: Callable[..., Path], toolkit: str) -> None:
    """The job before it only leaves a record, which is all that the comment is made of."""
    made = record()
    run = f".model-ci/runs/{made['run_id']}"
    left = {
        "stage": "test",
        "rules": [{"if": '$CI_PIPELINE_SOURCE == "merge_request_event"'}],
        "script": [f"mkdir -p {run}", f"cp run.json {run}/run.json"],
        "artifacts": {"paths": [".model-ci/runs/"]},
    }
    comment = PIPELINE | {"file": "gitlab/comment.gitlab-ci.yml", "inputs": {"toolkit": toolkit}}
    tree = consumer(
        pipeline=json.dumps({"stages": ["test", "comment"], "include": [comment], "model-ci": left}),
    )
    (tree / "run.json").write_text(json.dumps(made))
    with serve("gitlab") as forge:
        theirs = {"CI_API_V4_URL": forge.url, "CI_PROJECT_ID": "12", "MODEL_CI_API_TOKEN": forge.token}
        asked = GitLab(folder=gitlab.folder, projects=gitlab.projects, variables={**gitlab.variables, **theirs})
        for word in ("created", "unchanged"):
            outcome = asked.run(tree, "merge_request_event", "feature")
            assert outcome.exit == 0, outcome.told
            assert f"comment: {word} in 7" in outcome.jobs["comment"].log
        assert len(forge.mine) == 1
        assert "## ❌ flight-delays: refused" in forge.mine[0]
        assert forge.token not in outcome.output


def clone(origin: Path, folder: Path) -> None:
    """Check the project out as a reader of its store does."""
    subprocess.run(["git", "clone", "--quiet", "--branch", "main", origin, folder], check=True)
