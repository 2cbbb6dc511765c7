"""`model-ci remove`: who may not change an environment may not take it away either."""

from collections.abc import Callable
from typing import Any

import pytest

GITHUB_PULL_REQUEST = {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "pull_request", "GITHUB_REF": "refs/pull/7/merge"}


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ({"only_ci": True}, "somebody's own machine"),
        ({"allowed_refs": ["release/*"]}, "this is main; allowed: release/*"),
        ({"approval": "production"}, "no protected environment; needed: production"),
    ],
    ids=["only_ci", "allowed_refs", "approval"],
)
def test_the_policy_holds(project: Any, command: Callable[..., Any], rules: dict[str, Any], why: str) -> None:
    project.configure(deploy={"environments": {"production": {"policy": rules}}})
    answer = command(project.root, "remove", "--environment", "production")
    assert answer.code == 3, answer.text
    assert why in answer.out


def test_a_pull_request_removes_nothing(
    project: Any, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in GITHUB_PULL_REQUEST.items():
        monkeypatch.setenv(name, value)
    answer = command(project.root, "remove", "--environment", "staging")
    assert answer.code == 2
    assert "a pull request only reads" in answer.err


def test_an_environment_that_is_not_there_is_said(project: Any, command: Callable[..., Any]) -> None:
    answer = command(project.root, "remove", "--environment", "elsewhere")
    assert answer.code == 2
    assert "no environment 'elsewhere'; there are staging" in answer.err
