"""Where the champion lives is declared or known, and what is not known to be the default branch writes nothing."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]
STAGES = ("run", "--stages", "train,evaluate,register,record")
PUSH = {
    "GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "push", "GITHUB_REF": "refs/heads/main", "GITHUB_REF_NAME": "main",
    "GITHUB_REPOSITORY": "acme/shop", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_RUN_ID": "1",
}  # fmt: skip


def branches(project: Any) -> str:
    listed = subprocess.run(
        ["git", "for-each-ref", "--format=%(refname)"], cwd=project.root, capture_output=True, text=True, check=True
    )
    return listed.stdout


@pytest.fixture
def records_name_a_server(project: Any) -> Any:
    """A repository whose records branch holds a run that registered on a server."""
    from model_ci.git import Branch

    record = {"model": {"name": "shop"}, "stages": {"register": {"store": "server"}}}
    branch = Branch(root=project.root, name="model-ci/records", remote="origin")
    branch.append({"runs/20260101T000000000Z-00000000/run.json": json.dumps(record).encode()}, "Record a run")
    return project


def enter(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], folder: Path) -> None:
    (folder / "event.json").write_text('{"repository": {"default_branch": "main"}}')
    for name, value in ({"GITHUB_EVENT_PATH": str(folder / "event.json")} | environment).items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("event", ["pull_request", "push"])
@pytest.mark.parametrize("address", [None, ""])
def test_an_address_that_the_records_know_is_missed(
    records_name_a_server: Any, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, event: str,
    address: str | None,
) -> None:  # fmt: skip
    enter(monkeypatch, PUSH | {"GITHUB_EVENT_NAME": event}, tmp_path)
    if address is not None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    answer = command(records_name_a_server.root, *STAGES)
    assert answer.code == 2, answer.text
    assert "the records name an MLflow server, but MLFLOW_TRACKING_URI is" in answer.err
    assert "fork" in answer.err
    assert "no champion yet" not in answer.text
    assert "model-ci/store" not in branches(records_name_a_server)


@pytest.mark.parametrize(
    "environment",
    [
        PUSH | {"GITHUB_EVENT_PATH": "/github/workflow/event.json"},
        {"CI": "true"},
        {"JENKINS_URL": "https://jenkins.example.com", "CHANGE_ID": "7"},
        {"GITLAB_CI": "true", "CI_PIPELINE_SOURCE": "push", "CI_COMMIT_BRANCH": "try"},
    ],
    ids=["no event", "unknown", "jenkins", "no default branch"],
)
def test_what_is_not_known_to_be_the_default_branch_writes_nothing(
    project: Any, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: dict[str, str]
) -> None:
    enter(monkeypatch, environment, tmp_path)
    answer = command(project.root, *STAGES)
    assert answer.code == 0, answer.text
    assert answer.err.count("left out: only the default branch writes, and which one that is is not known") == 2
    assert "model-ci/" not in branches(project)
    answer = command(project.root, "remove", "--environment", "production")
    assert answer.code == 2
    assert "only the default branch writes" in answer.err


@pytest.mark.parametrize("inconclusive", ["fail", "pass"])
def test_a_pull_request_that_cannot_read_the_champion_is_inconclusive(
    project: Any, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, inconclusive: str
) -> None:
    project.configure(
        register={"store": "server"},
        evaluate={
            "gates": [{"metric": "roc_auc", "min": 0.6, "max_drop": 0.1}], "uncertainty": {"inconclusive": inconclusive}
        },
    )  # fmt: skip
    enter(monkeypatch, PUSH | {"GITHUB_EVENT_NAME": "pull_request"}, tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr("model_ci.registry.server.TRIES", 1)
    answer = command(project.root, "run", "--stages", "train,evaluate")
    assert answer.code == 3, answer.text
    section = project.record()["stages"]["evaluate"]
    assert section["verdict"] == "failed"
    assert section["why"].startswith("inconclusive: the champion cannot be read: ")
    assert [g["state"] for g in section["gates"]] == ["passed", "inconclusive"]
    assert "there is no champion" not in answer.text
    monkeypatch.setenv("GITHUB_EVENT_NAME", "push")
    assert command(project.root, "run", "--stages", "train,evaluate", "--force").code == 5
