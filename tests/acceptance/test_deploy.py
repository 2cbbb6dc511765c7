"""deploy, promote and rollback where there is no engine, no image, nothing to go back to: what the user is told."""

from collections.abc import Callable
from typing import Any

import pytest

Command = Callable[..., Any]


@pytest.fixture(autouse=True)
def _no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")


def test_without_an_image_deploy_says_what_to_run(project: Any, command: Command) -> None:
    for arguments in (["deploy"], ["deploy", "--dry-run"]):
        answer = command(project.root, *arguments)
        assert answer.code == 2
        assert "model-ci run --stages train,build-image" in answer.err


@pytest.mark.parametrize("order", [["promote", "--to", "staging"], ["rollback", "--environment", "staging"]])
def test_without_an_engine_it_ends_with_five(project: Any, command: Command, order: list[str]) -> None:
    for arguments in (order, [*order, "--dry-run"]):
        answer = command(project.root, *arguments)
        assert answer.code == 5, answer.text
        assert "docker: connecting: " in answer.err
        assert "start the engine, or name another by DOCKER_HOST" in answer.err


def test_a_pull_request_promotes_nothing(project: Any, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "pull_request"}.items():
        monkeypatch.setenv(name, value)
    answer = command(project.root, "promote", "--to", "staging")
    assert answer.code == 0, answer.text
    assert "left out: a pull request only reads" in answer.err


def test_an_option_that_is_empty_sets_nothing(project: Any, command: Command) -> None:
    answer = command(project.root, "deploy", "--environment=", "--weight=", "--dry-run")
    assert "model-ci run --stages train,build-image" in answer.err
    for wrong, why in (("--weight=101", "in the range [0, 100]"), ("--weight=half", "must be a whole number")):
        answer = command(project.root, "deploy", wrong, "--dry-run")
        assert answer.code == 2
        assert f"deploy.weight: must be {why}" in answer.err or why in answer.err


def test_render_is_for_targets_that_have_files(project: Any, command: Command) -> None:
    answer = command(project.root, "deploy", "--render", "files")
    assert answer.code == 2
    assert not (project.root / "files" / "deployment.yaml").exists()
