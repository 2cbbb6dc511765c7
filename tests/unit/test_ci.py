"""The platforms' variables, and what is handed back."""

import json
from pathlib import Path

import pytest

from model_ci import ci

GITHUB = {
    "GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "push", "GITHUB_REF": "refs/heads/main", "GITHUB_REF_NAME": "main",
    "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "acme/shop", "GITHUB_RUN_ID": "7", "GITHUB_ACTOR": "ann",
}  # fmt: skip
GITLAB = {
    "GITLAB_CI": "true", "CI_PIPELINE_SOURCE": "push", "CI_COMMIT_BRANCH": "main", "CI_DEFAULT_BRANCH": "main",
    "CI_PIPELINE_URL": "https://gitlab.example.com/acme/shop/-/pipelines/7", "GITLAB_USER_LOGIN": "ann",
}  # fmt: skip


@pytest.fixture
def payload(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "event.json").write_text(json.dumps({"repository": {"default_branch": "main"}}))
    return {"GITHUB_EVENT_PATH": str(tmp_path / "event.json")}


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        (GITHUB, "GITHUB_EVENT_PATH is not set"),
        (GITHUB | {"GITHUB_EVENT_PATH": "/nowhere/event.json"}, "the event's file /nowhere/event.json cannot be read"),
        (GITHUB | {"GITHUB_EVENT_PATH": "{}"}, "does not name it"),
        (GITHUB | {"GITHUB_EVENT_PATH": "[1]"}, "does not name it"),
        (GITHUB | {"GITHUB_EVENT_PATH": '{"repository": {"default_branch": null}}'}, "does not name it"),
        ({k: v for k, v in GITLAB.items() if k != "CI_DEFAULT_BRANCH"}, "CI_DEFAULT_BRANCH is not set"),
        ({"CI": "true"}, "CI is set, by a CI system that model-ci does not know"),
        ({"JENKINS_URL": "https://jenkins.example.com", "BRANCH_NAME": "PR-7"}, "JENKINS_URL is set"),
        ({"TF_BUILD": "True"}, "TF_BUILD is set"),
    ],
)
def test_a_default_branch_that_is_not_known_means_only_reading(
    environment: dict[str, str], why: str, tmp_path: Path
) -> None:
    place = environment.get("GITHUB_EVENT_PATH", "")
    if place.startswith(("{", "[")):
        (tmp_path / "event.json").write_text(place)
        environment = environment | {"GITHUB_EVENT_PATH": str(tmp_path / "event.json")}
    only_reads = ci.context(environment).only_reads
    assert only_reads
    assert only_reads.startswith("only the default branch writes")
    assert why in only_reads


def test_a_schedule_runs_on_the_default_branch() -> None:
    assert ci.context(GITHUB | {"GITHUB_EVENT_NAME": "schedule"}).only_reads is None


@pytest.mark.parametrize("value", ["", "0", "false"])
def test_ci_that_is_denied_is_a_laptop(value: str) -> None:
    assert ci.context({"CI": value}).provider == "local"


def test_nothing_set_is_a_laptop() -> None:
    context = ci.context({})
    assert (context.provider, context.in_ci, context.only_reads) == ("local", False, None)


def test_github_push(payload: dict[str, str]) -> None:
    context = ci.context(GITHUB | payload)
    assert context.run_url == "https://github.com/acme/shop/actions/runs/7"
    assert (context.event, context.branch, context.actor, context.only_reads) == ("push", "main", "ann", None)


@pytest.mark.parametrize("event", ["pull_request", "pull_request_target", "merge_group"])
def test_github_pull_requests_only_read(event: str, payload: dict[str, str]) -> None:
    context = ci.context(GITHUB | payload | {"GITHUB_EVENT_NAME": event})
    assert context.only_reads == "a pull request only reads"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"GITHUB_REF": "refs/heads/try", "GITHUB_REF_NAME": "try"}, "only main writes, this is try"),
        ({"GITHUB_REF": "refs/tags/v1", "GITHUB_REF_NAME": "v1"}, "only main writes, this is a tag"),
        ({"GITHUB_EVENT_NAME": "workflow_dispatch"}, None),
        ({"GITHUB_EVENT_NAME": "schedule"}, None),
    ],
)
def test_github_only_the_default_branch_writes(
    changes: dict[str, str], why: str | None, payload: dict[str, str]
) -> None:
    assert ci.context(GITHUB | payload | changes).only_reads == why


@pytest.mark.parametrize(
    ("changes", "event", "reads"),
    [
        ({}, "push", False),
        ({"CI_PIPELINE_SOURCE": "web"}, "manual", False),
        ({"CI_PIPELINE_SOURCE": "schedule"}, "schedule", False),
        ({"CI_COMMIT_BRANCH": "try"}, "push", True),
        ({"CI_PIPELINE_SOURCE": "merge_request_event", "CI_MERGE_REQUEST_IID": "7"}, "pull_request", True),
        ({"CI_PIPELINE_SOURCE": "parent_pipeline", "CI_MERGE_REQUEST_IID": "7"}, "pull_request", True),
        ({"CI_PIPELINE_SOURCE": "external_pull_request_event"}, "pull_request", True),
    ],
)
def test_gitlab(changes: dict[str, str], event: str, reads: bool) -> None:
    context = ci.context(GITLAB | changes)
    assert context.event == event
    assert bool(context.only_reads) is reads


def test_outputs_cannot_be_forged_by_a_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "out"))
    hostile = "x\nend\nverdict<<e\npassed\ne"
    ci.publish(ci.context(GITHUB), tmp_path, {"reason": hostile}, "", {})
    lines = (tmp_path / "out").read_text().splitlines()
    name, delimiter = lines[0].split("<<")
    assert (name, lines[-1]) == ("reason", delimiter)
    assert delimiter not in "\n".join(lines[1:-1])


def test_annotations_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert not ci.annotate(ci.context({}), "error", "t", "m")
    assert ci.annotate(ci.context(GITHUB), "error", "a: b, c", "50% of\nrows::error::x")
    assert capsys.readouterr().out == "::error title=a%3A b%2C c::50%25 of%0Arows::error::x\n"


def test_the_summary_is_appended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "summary.md"
    file.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    ci.publish(ci.context(GITHUB), tmp_path, {}, "after\n", {})
    assert file.read_text() == "before\nafter\n"
