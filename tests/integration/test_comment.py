"""`model-ci comment` against servers that speak the APIs: after another workflow, in its own job, and on GitLab."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.forge.records import record
from tests.forge.service import HEAD, Failure, Forge, serve

from model_ci.errors import Exit

Command = Callable[..., Any]
RUN = {
    "id": 9, "event": "pull_request", "head_sha": HEAD["sha"], "head_branch": HEAD["branch"],
    "head_repository": {"full_name": HEAD["repository"]}, "html_url": "https://github.com/acme/shop/actions/runs/9",
}  # fmt: skip


@pytest.fixture
def github() -> Iterator[Forge]:
    with serve("github") as forge:
        forge.who_am_i = False
        yield forge


@pytest.fixture
def gitlab() -> Iterator[Forge]:
    with serve("gitlab") as forge:
        yield forge


@pytest.fixture
def after(github: Forge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> Command:
    """Comment in a workflow that runs after the pull request's own."""

    def call(**changes: Any) -> Any:
        on_github(monkeypatch, github, tmp_path, "workflow_run", {"workflow_run": RUN | changes})
        return command(tmp_path, "comment")

    return call


def on_github(monkeypatch: pytest.MonkeyPatch, forge: Forge, folder: Path, event: str, payload: dict[str, Any]) -> None:
    (folder / "event.json").write_text(json.dumps(payload))
    for name, value in {
        "GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": event, "GITHUB_EVENT_PATH": str(folder / "event.json"),
        "GITHUB_REPOSITORY": "acme/shop", "GITHUB_API_URL": forge.url, "MODEL_CI_API_TOKEN": forge.token,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)


def on_gitlab(monkeypatch: pytest.MonkeyPatch, forge: Forge, token: str | None) -> None:
    for name, value in {
        "GITLAB_CI": "true", "CI_API_V4_URL": forge.url, "CI_PROJECT_ID": "12", "CI_MERGE_REQUEST_IID": "7",
        "CI_PIPELINE_SOURCE": "merge_request_event", "CI_PIPELINE_URL": "https://gitlab.example/p/1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    if token:
        monkeypatch.setenv("MODEL_CI_API_TOKEN", token)


def leave(forge: Forge, made: dict[str, Any]) -> None:
    forge.leave(f"model-ci-record-{len(forge.artifacts)}", run_json=json.dumps(made).encode())


def keep(folder: Path, made: dict[str, Any]) -> None:
    run = folder / ".model-ci" / "runs" / made["run_id"]
    run.mkdir(parents=True)
    (run / "run.json").write_text(json.dumps(made))


def test_after_a_forks_workflow_its_pull_request_gets_one_comment(github: Forge, after: Command) -> None:
    github.open_pull(7)
    leave(github, record())
    first = after()
    assert (first.code, first.out) == (0, "comment: created in 7\n"), first.text
    github.artifacts.clear()
    leave(github, record(gates=[g for g in record()["stages"]["evaluate"]["gates"] if g["state"] == "passed"]))
    assert after().out == "comment: updated in 7\n"
    (body,) = github.mine
    assert "## ✅ flight-delays: passed" in body
    assert f"]({RUN['html_url']})" in body


def test_each_model_has_its_comment_and_its_newest_record_counts(github: Forge, after: Command) -> None:
    github.open_pull(7)
    leave(github, record("second") | {"run_id": "20261123T110000000Z-00000002"})
    leave(github, record("first"))
    older = record("second", gates=record()["stages"]["evaluate"]["gates"][:1])
    leave(github, older)
    after()
    after()
    assert sorted(body.splitlines()[0] for body in github.mine) == [
        "<!-- model-ci: first -->",
        "<!-- model-ci: second -->",
    ]
    assert all("refused" in body for body in github.mine)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"event": "push"}, "did not run for a pull request"),
        ({"head_repository": None}, "did not run for a pull request"),
        ({"head_sha": "b" * 40}, "no open pull request has bbbbbbbbbbbb as its newest commit"),
        ({"head_branch": "other"}, "no open pull request"),
        ({"head_repository": {"full_name": "mallory/other"}}, "no open pull request"),
    ],
)
def test_what_belongs_to_no_pull_request_is_not_shown(
    github: Forge, after: Command, changes: dict[str, Any], why: str
) -> None:
    github.open_pull(7)
    leave(github, record())
    done = after(**changes)
    assert (done.code, github.mine) == (0, [])
    assert why in done.out


def test_the_record_cannot_choose_the_pull_request(github: Forge, after: Command) -> None:
    github.open_pull(7)
    made = record()
    made["code"] |= {"pull_request": 1, "number": 1}
    made["config"]["values"] = {"number": 1}
    leave(github, made)
    after()
    assert [path for method, path in github.asked if method == "POST"] == ["/repos/acme/shop/issues/7/comments"]


def test_no_record_is_no_comment(github: Forge, after: Command) -> None:
    github.open_pull(7)
    github.leave("model-ci-20261123T100000000Z-0a1b2c3d", model=b"x")
    done = after()
    assert (done.code, done.out) == (0, "comment: nothing to do: the workflow left no record\n")


@pytest.mark.parametrize(
    "files",
    [
        {"run_json": b"{}"},
        {"run_json": b"[" * 50_000},
        {"run_json": b" " * 5_000_000},
        {"../../run_json": b"{}", "run_json": b"{}"},
        {"model": b"x"},
        {"run_json": b'{"\\n::set-output name=x::y": 1}'},
    ],
    ids=["no record", "deep", "large", "path", "absent", "orders"],
)
def test_a_hostile_archive_is_refused_in_words(
    github: Forge, after: Command, files: dict[str, bytes], tmp_path: Path
) -> None:
    github.open_pull(7)
    github.leave("model-ci-record-x", **files)
    leave(github, record())
    before = sorted(tmp_path.rglob("*"))
    done = after()
    assert done.code == Exit.CONFIG
    assert "Traceback" not in done.text
    assert not [line for line in done.text.splitlines() if line.startswith("::")]
    assert len(github.mine) == 1  # the good one is shown all the same
    assert {path.name for path in set(tmp_path.rglob("*")) - set(before)} <= {"event.json"}


def test_a_record_whose_open_corners_hold_nonsense_is_refused(github: Forge, after: Command) -> None:
    github.open_pull(7)
    made = record()
    times = {key: made["stages"]["train"][key] for key in ("start", "end", "duration_s", "fingerprint", "code_commit")}
    made["stages"]["register"] = {
        **times, "verdict": "done", "inputs": {}, "settings": None, "store": "file", "name": "x", "version": "1",
        "created": True, "promoted": False, "champion": None, "previous": None, "rejudged": {"no": "why"},
        "store_state": None,
    }  # fmt: skip
    leave(github, made)
    done = after()
    assert (done.code, github.mine) == (Exit.CONFIG, [])
    assert "does not hold what a report is made of" in done.err


def test_more_records_than_anybody_reads_are_not_shown(github: Forge, after: Command) -> None:
    github.open_pull(7)
    for i in range(12):
        leave(github, record(f"model-{i}"))
    done = after()
    assert done.code == Exit.CONFIG
    assert len(github.mine) == 10


def test_what_is_said_mentions_nobody(github: Forge, after: Command) -> None:
    github.open_pull(7)
    made = record("@acme/team")
    made["stages"]["evaluate"]["why"] = "/merge @ann #1 https://evil.example <script>"
    leave(github, made)
    after()
    (body,) = github.mine
    assert "@acme" not in body.partition("\n")[2]
    assert "https://evil" not in body
    assert "<script" not in body


def test_a_permission_that_lacks_is_named_and_the_token_is_not(github: Forge, after: Command) -> None:
    github.open_pull(7)
    leave(github, record())
    github.failures = [Failure(403, message=f"Resource not accessible by {github.token}")]
    done = after()
    assert done.code == Exit.SERVICE
    assert "`pull-requests: write`" in done.err
    assert github.token not in done.text


def test_in_the_pull_requests_own_job_the_run_in_the_folder_is_shown(
    github: Forge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    on_github(monkeypatch, github, tmp_path, "pull_request", {"pull_request": {"number": 7}})
    keep(tmp_path, record())
    assert command(tmp_path, "comment").out == "comment: created in 7\n"
    assert command(tmp_path, "comment", "--run", record()["run_id"]).out == "comment: unchanged in 7\n"
    missing = command(tmp_path, "comment", "--run", "20260101T000000000Z-00000000")
    assert (missing.code, "there is no run 20260101T000000000Z-00000000" in missing.err) == (Exit.CONFIG, True)


def test_without_a_token_or_a_platform_it_says_what_lacks(
    github: Forge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    assert "neither GitHub nor GitLab" in command(tmp_path, "comment").err
    on_github(monkeypatch, github, tmp_path, "push", {})
    assert "this is no pull request" in command(tmp_path, "comment").out
    monkeypatch.delenv("MODEL_CI_API_TOKEN")
    assert command(tmp_path, "comment").err.startswith("MODEL_CI_API_TOKEN: is not set; ")


def test_gitlab_gets_one_note(gitlab: Forge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    on_gitlab(monkeypatch, gitlab, gitlab.token)
    keep(tmp_path, record())
    assert [command(tmp_path, "comment").out for _ in range(2)] == [
        "comment: created in 7\n",
        "comment: unchanged in 7\n",
    ]
    assert "](https://gitlab.example/p/1)" in gitlab.mine[0]


def test_gitlab_without_a_token_shows_its_reports_only(
    gitlab: Forge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    on_gitlab(monkeypatch, gitlab, None)
    done = command(tmp_path, "comment")
    assert done.code == 0
    assert done.out.count("MODEL_CI_API_TOKEN is not set") == 1
    assert gitlab.asked == []
