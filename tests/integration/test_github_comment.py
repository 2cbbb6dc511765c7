"""The workflow that comments, called after the one that ran the pull request's code, as GitHub would call it."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.ci.github import Event, GitHub
from tests.forge.records import record
from tests.forge.service import HEAD, Forge, serve

WORKFLOW = """
on:
  workflow_run: {workflows: [Model], types: [completed]}
permissions: {}
jobs:
  report:
    uses: acme/model-ci/.github/workflows/comment.yml@v1
    permissions: {actions: read, pull-requests: write}
"""


def event(forge: Forge, **changes: str) -> Event:
    run = {
        "id": 9, "event": "pull_request", "head_sha": HEAD["sha"], "head_branch": HEAD["branch"],
        "head_repository": {"full_name": HEAD["repository"]}, "html_url": "https://github.com/acme/demo/actions/runs/9",
    }  # fmt: skip
    payload = {"action": "completed", "workflow_run": run | changes}
    return Event(name="workflow_run", payload=payload, secrets={"GITHUB_TOKEN": forge.token})


def served(github: GitHub, forge: Forge) -> GitHub:
    variables = {**github.variables, "GITHUB_API_URL": forge.url}
    return GitHub(folder=github.folder, repositories=github.repositories, variables=variables)


def test_a_forks_pull_request_gets_its_comment_and_nothing_of_it_runs(
    github: GitHub, consumer: Callable[..., Path]
) -> None:
    tree = consumer(workflow=WORKFLOW)
    (tree / "requirements.txt").write_text("a-requirement-that-no-index-has==1.0\n")
    with serve("github") as forge:
        forge.open_pull(7)
        forge.who_am_i = False
        forge.leave("model-ci-record-1", run_json=json.dumps(record()).encode())
        asked = served(github, forge)
        done = asked.run(tree, "model.yml", event(forge))
        assert done.exit == 0, done.told
        assert "comment: created in 7" in done.job("comment").log
        assert "## ❌ flight-delays: refused" in forge.mine[0]
        assert forge.token not in done.told


def test_a_push_is_not_commented_on(github: GitHub, consumer: Callable[..., Path]) -> None:
    with serve("github") as forge:
        done = served(github, forge).run(consumer(workflow=WORKFLOW), "model.yml", event(forge, event="push"))
        assert done.exit == 0, done.told
        assert forge.asked == []
