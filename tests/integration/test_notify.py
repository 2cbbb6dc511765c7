"""`model-ci notify` against servers that speak GitHub's and GitLab's APIs, a chat's webhook, and a watcher's address."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.forge.records import gate, record
from tests.forge.service import ME, Failure, Forge, serve

from model_ci.report import marker

GOOD = record(gates=[gate()])
BAD = record() | {"run_id": "20261123T110000000Z-0a1b2c3e"}
CHECKED, DRIFTED = GOOD | {"line": "operation"}, BAD | {"line": "operation"}
REFUSED, UNFINISHED = "flight-delays: evaluate says no", "model-ci.yaml: no verdict"
Notify = Callable[..., Any]


@pytest.fixture(params=["github", "gitlab"])
def forge(request: pytest.FixtureRequest) -> Iterator[Forge]:
    with serve(request.param) as running:
        yield running


@pytest.fixture
def notify(forge: Forge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., Any]) -> Notify:
    """Tell of a record, on the default branch, as a scheduled job would."""
    (tmp_path / "event.json").write_text('{"repository": {"default_branch": "main"}}')
    (tmp_path / "model-ci.yaml").write_text(
        json.dumps({
            "model": {"name": "flight-delays", "task": "binary"}, "data": {"path": "x.csv", "target": "y"},
            "train": {"entrypoint": "a:b"}, "evaluate": {"gates": [{"metric": "roc_auc", "min": 0.5}]},
        })
    )  # fmt: skip
    for name, value in {
        "github": {
            "GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "schedule", "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
            "GITHUB_REPOSITORY": "acme/shop", "GITHUB_API_URL": forge.url, "GITHUB_REF": "refs/heads/main",
            "GITHUB_REF_NAME": "main", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_RUN_ID": "9",
        },
        "gitlab": {
            "GITLAB_CI": "true", "CI_API_V4_URL": forge.url, "CI_PROJECT_ID": "12", "CI_PIPELINE_SOURCE": "schedule",
            "CI_COMMIT_BRANCH": "main", "CI_DEFAULT_BRANCH": "main", "CI_PIPELINE_URL": "https://gitlab.example/p/1",
        },
    }[forge.kind].items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MODEL_CI_API_TOKEN", forge.token)
    monkeypatch.setenv("MODEL_CI_WEBHOOK_URL", forge.url.removesuffix("/api/v4") + "/hook")

    def call(made: dict[str, Any] | None = None, verdict: str | None = None) -> Any:
        run: list[str] = []
        verdict = made["verdict"] if made and verdict is None else verdict or ""
        if made is not None:
            folder = tmp_path / ".model-ci" / "runs" / made["run_id"]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "run.json").write_text(json.dumps(made))
            run = ["--run", made["run_id"]]
        return command(tmp_path, "notify", "--verdict", verdict, *run)

    return call


def test_an_issue_lasts_as_long_as_its_cause(forge: Forge, notify: Notify) -> None:
    assert notify(GOOD).out == ""
    assert forge.issues == []
    assert f"notify: opened: {REFUSED}" in notify(BAD).out
    assert forge.states() == {REFUSED: "open"}
    assert "❌ flight-delays: refused" in forge.issues[0]["body"]
    notify(BAD | {"run_id": "20261123T120000000Z-0a1b2c3f"})
    assert f"notify: closed: {REFUSED}" in notify(GOOD).out
    assert forge.states() == {REFUSED: "closed"}
    assert "✅ flight-delays: passed" in forge.issues[0]["body"]
    notify(BAD)
    assert [issue["state"] for issue in forge.issues] == ["closed", "open"]


def test_the_chat_hears_what_begins_and_what_ends(forge: Forge, notify: Notify) -> None:
    for made in (BAD, BAD | {"run_id": "20261123T120000000Z-0a1b2c3f"}, GOOD):
        notify(made)
    assert [message.splitlines()[0] for message in forge.messages] == [REFUSED, f"{REFUSED}: no longer"]
    assert all(message.splitlines()[1].startswith("https://") for message in forge.messages)


def test_a_job_without_a_verdict_is_a_cause_of_its_own(forge: Forge, notify: Notify) -> None:
    notify(verdict="error")
    assert forge.states() == {UNFINISHED: "open"}
    notify(verdict="")
    assert forge.states() == {UNFINISHED: "open"}
    notify(BAD)
    assert forge.states() == {UNFINISHED: "closed", REFUSED: "open"}


def test_a_broken_configuration_is_told_of_until_it_is_mended(forge: Forge, notify: Notify, tmp_path: Path) -> None:
    whole = (tmp_path / "model-ci.yaml").read_text()
    (tmp_path / "model-ci.yaml").write_text("model: [")
    assert notify(verdict="error").code == 0
    assert forge.states() == {UNFINISHED: "open"}
    (tmp_path / "model-ci.yaml").write_text(whole)
    notify(GOOD)
    assert forge.states() == {UNFINISHED: "closed"}


def test_what_judged_nothing_closes_nothing(forge: Forge, notify: Notify) -> None:
    notify(BAD)
    nothing = json.loads(json.dumps(GOOD))
    nothing["stages"]["evaluate"]["verdict"] = "done"
    nothing["verdict"] = "not judged"
    notify(nothing, verdict="done")
    assert forge.states() == {REFUSED: "open"}


def test_what_did_not_run_closes_nothing(forge: Forge, notify: Notify) -> None:
    notify(BAD)
    taken_over = json.loads(json.dumps(GOOD))
    taken_over["stages"]["evaluate"]["reused_from"] = BAD["run_id"]
    notify(taken_over)
    assert forge.states() == {REFUSED: "open"}


def test_nobody_elses_issue_is_touched(forge: Forge, notify: Notify) -> None:
    notify(BAD)
    ours = forge.issues[0]["body"]
    forge.issues.clear()
    forge.open_issue("theirs", ours)
    if forge.kind == "github":  # which lists pull requests among the issues
        forge.open_issue("a pull request", ours, author=ME[forge.kind], pull_request={})
    before = json.dumps(forge.issues)
    notify(BAD)
    assert forge.states().pop(REFUSED) == "open"
    assert json.dumps(forge.issues[:-1]) == before


def test_what_cannot_be_opened_fails_and_names_the_permission(forge: Forge, notify: Notify) -> None:
    forge.failures = [Failure(403, message="Resource not accessible")]
    answer = notify(BAD)
    assert answer.code == 5
    assert ("`issues: write`" if forge.kind == "github" else "scope `api`") in answer.err


def test_a_chat_that_does_not_listen_fails_and_its_address_stays_secret(forge: Forge, notify: Notify) -> None:
    forge.open_issue(REFUSED, marker("flight-delays", "evaluate"), author=ME[forge.kind])
    forge.failures = [Failure(404, message="no_service")]
    answer = notify(GOOD)  # closing takes no POST
    assert answer.code == 5
    assert "MODEL_CI_WEBHOOK_URL: 404: no_service" in answer.err
    assert "/hook" not in answer.text


def test_a_pull_request_opens_nothing(forge: Forge, notify: Notify, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_EVENT_NAME", "pull_request")
    monkeypatch.setenv("CI_MERGE_REQUEST_IID", "7")
    assert notify(BAD).out == "notify: nothing to do: a pull request only reads\n"
    assert forge.issues == []


def test_without_a_token_the_chat_is_told_all_the_same(
    forge: Forge, notify: Notify, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MODEL_CI_API_TOKEN")
    assert "no issues: MODEL_CI_API_TOKEN is not set" in notify(BAD).out
    assert forge.messages[0].startswith(REFUSED)


@pytest.fixture
def watched(forge: Forge, monkeypatch: pytest.MonkeyPatch) -> None:
    base = forge.url.removesuffix("/api/v4")
    monkeypatch.setenv("MODEL_CI_HEARTBEAT_URL", f"{base}/ping/5ecre7?create=1")


@pytest.mark.usefixtures("watched")
def test_a_watcher_hears_of_every_check_and_how_it_ended(forge: Forge, notify: Notify) -> None:
    for made in (CHECKED, DRIFTED):
        assert notify(made).code == 0
    assert notify(verdict="error").code == 0
    well, unwell = "/ping/5ecre7?create=1", "/ping/5ecre7/fail?create=1"
    assert forge.beats == [well, unwell, unwell]


@pytest.mark.usefixtures("watched")
def test_a_training_and_a_push_are_no_check(forge: Forge, notify: Notify, monkeypatch: pytest.MonkeyPatch) -> None:
    notify(GOOD)
    monkeypatch.setenv("GITHUB_EVENT_NAME", "push")
    monkeypatch.setenv("CI_PIPELINE_SOURCE", "push")
    notify(verdict="error")
    assert forge.beats == []


@pytest.mark.usefixtures("watched")
def test_a_watcher_that_does_not_listen_is_a_warning_and_its_address_stays_secret(forge: Forge, notify: Notify) -> None:
    forge.failures = [Failure(404, message="there is no ping/5ecre7")]
    answer = notify(CHECKED)
    assert answer.code == 0, answer.text
    assert "the watcher was not told: MODEL_CI_HEARTBEAT_URL: 404: there is no ***" in answer.out
    assert answer.out.startswith("::warning ") == (forge.kind == "github")
    assert "5ecre7" not in answer.text


@pytest.mark.parametrize("address", ["hc-ping.com/5ecre7", "https:///5ecre7"])
def test_an_address_that_is_none_is_a_warning_too(
    notify: Notify, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("MODEL_CI_HEARTBEAT_URL", address)
    answer = notify(CHECKED)
    assert answer.code == 0
    assert "MODEL_CI_HEARTBEAT_URL: is no address that begins with https://" in answer.out
    assert "5ecre7" not in answer.text
