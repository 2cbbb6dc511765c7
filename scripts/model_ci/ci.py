"""The platform: the only reader of GITHUB_* and CI_*; outputs, annotations and summaries go out through here."""

import base64
import getpass
import json
import os
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from model_ci import output, web
from model_ci.errors import ServiceError
from model_ci.frozen import dataclass

if TYPE_CHECKING:
    from model_ci.record_types import RecordCi
    from model_ci.types import Document


REPORTS: Final = Path(".model-ci") / "reports"
_GITLAB_EVENTS: Final = {
    "merge_request_event": "pull_request",
    "external_pull_request_event": "pull_request",
    "web": "manual",
    "schedule": "schedule",
    "push": "push",
}
_GITHUB_EVENTS: Final = {
    "pull_request": "pull_request",
    "pull_request_target": "pull_request",
    "merge_group": "pull_request",
    "workflow_dispatch": "manual",
    "schedule": "schedule",
    "push": "push",
}


# What CI systems set that have no adapter here; Jenkins and Azure DevOps need not set CI.
_CI_SYSTEMS: Final = ("CI", "CONTINUOUS_INTEGRATION", "JENKINS_URL", "TF_BUILD", "TEAMCITY_VERSION")
_NO: Final = ("", "0", "false", "no")


@dataclass(frozen=True, kw_only=True)
class Context:
    """What started this process; `provider` is github, gitlab, other (a CI system without an adapter) or local."""

    provider: str = "local"
    event: str = "local"
    branch: str | None = None
    default_branch: str | None = None
    run_url: str | None = None
    actor: str | None = None
    checkout: Path | None = None
    unknown: str | None = None  # why the default branch is not known

    @property
    def in_ci(self) -> bool:
        """Whether a CI platform runs this."""
        return self.provider != "local"

    def in_checkout(self, file: Path) -> str:
        """Return how the platform calls a file: its path below the checkout, where it is below it."""
        file = file.resolve()
        inside = self.checkout is not None and file.is_relative_to(self.checkout)
        return file.relative_to(self.checkout).as_posix() if inside and self.checkout else file.name

    @property
    def only_reads(self) -> str | None:
        """Why nothing outside the run's folder may change, or None when it may: in CI only on the known default branch."""
        if self.event == "pull_request":
            return "a pull request only reads"
        if self.in_ci and not self.default_branch:
            return f"only the default branch writes, and which one that is is not known: {self.unknown}"
        if self.in_ci and self.branch != self.default_branch:
            return f"only {self.default_branch} writes, this is {self.branch or 'a tag'}"
        return None

    @property
    def person(self) -> str:
        """Who started it: the platform's actor, on somebody's own machine its user and name."""
        if self.actor:
            return self.actor
        try:
            return f"{getpass.getuser()}@{socket.gethostname()}"
        except (OSError, KeyError):
            return socket.gethostname()

    def as_record(self) -> "RecordCi":
        """Return what the run record keeps of it."""
        return {"provider": self.provider, "run_url": self.run_url, "actor": self.actor, "branch": self.branch}


def context(environment: Mapping[str, str] = os.environ) -> Context:
    """Read the platform's variables."""
    if environment.get("GITHUB_ACTIONS") == "true":
        return _github(environment)
    if environment.get("GITLAB_CI") == "true":
        return _gitlab(environment)
    named = next((name for name in _CI_SYSTEMS if environment.get(name, "").lower() not in _NO), None)
    if named:
        return Context(
            provider="other", event="unknown", unknown=f"{named} is set, by a CI system that model-ci does not know"
        )
    return Context()


def _github(env: Mapping[str, str]) -> Context:
    event = env.get("GITHUB_EVENT_NAME", "")
    branch = env.get("GITHUB_REF_NAME") if env.get("GITHUB_REF", "").startswith("refs/heads/") else None
    default_branch, unknown = _default_branch(env)
    if event == "schedule":  # it runs on the default branch and no other
        default_branch = default_branch or branch
    server, repository, run = env.get("GITHUB_SERVER_URL"), env.get("GITHUB_REPOSITORY"), env.get("GITHUB_RUN_ID")
    return Context(
        provider="github",
        event=_GITHUB_EVENTS.get(event, event or "unknown"),
        branch=branch,
        default_branch=default_branch,
        unknown=unknown,
        run_url=f"{server}/{repository}/actions/runs/{run}" if server and repository and run else None,
        actor=env.get("GITHUB_ACTOR"),
        checkout=_folder(env.get("GITHUB_WORKSPACE")),
    )


def _default_branch(env: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Read it from the event's file; or say why it is not known."""
    place = env.get("GITHUB_EVENT_PATH")
    if not place:
        return None, "GITHUB_EVENT_PATH is not set"
    try:
        branch = json.loads(Path(place).read_bytes())["repository"]["default_branch"]
    except OSError as error:
        return None, f"the event's file {place} cannot be read: {error.strerror}"
    except (KeyError, ValueError, TypeError):
        branch = None
    return (
        (branch, None) if branch and isinstance(branch, str) else (None, f"the event's file {place} does not name it")
    )


def _gitlab(env: Mapping[str, str]) -> Context:
    source = env.get("CI_PIPELINE_SOURCE", "")
    merging = env.get("CI_MERGE_REQUEST_IID")
    return Context(
        provider="gitlab",
        event="pull_request" if merging else _GITLAB_EVENTS.get(source, source or "unknown"),
        branch=env.get("CI_COMMIT_BRANCH") or None,
        default_branch=env.get("CI_DEFAULT_BRANCH") or None,
        unknown="CI_DEFAULT_BRANCH is not set",
        run_url=env.get("CI_PIPELINE_URL"),
        actor=env.get("GITLAB_USER_LOGIN"),
        checkout=_folder(env.get("CI_PROJECT_DIR")),
    )


def protected_environment(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the environment, with its approvals, that the platform lets this job run in; None where it says of none.

    GitHub says so in the token that it signs for the job, which needs `permissions: id-token: write`.
    """
    if environment.get("GITLAB_CI") == "true":
        return environment.get("CI_ENVIRONMENT_NAME") or None
    url, token = (environment.get(f"ACTIONS_ID_TOKEN_REQUEST_{name}") for name in ("URL", "TOKEN"))
    if environment.get("GITHUB_ACTIONS") != "true" or not url or not token:
        return None
    try:
        answer = web.Client().ask("GET", f"{url}&audience=model-ci", {"Authorization": f"Bearer {token}"})
        claims = json.loads(answer.body)["value"].split(".")[1]
        payload = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    except (ServiceError, ValueError, KeyError, IndexError, TypeError):
        return None
    return payload.get("environment") if isinstance(payload, dict) else None


def _folder(name: str | None) -> Path | None:
    return Path(name).resolve() if name else None


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the process may comment on: a pull request by its number, or what an untrusted workflow ran on."""

    provider: str
    api_url: str
    project: str
    token: str | None
    link: str | None
    number: int | None = None
    workflow_run: "Document | None" = None


def request(environment: Mapping[str, str] = os.environ) -> Request | None:
    """Read which pull request this is about, from the platform itself; None where there is no platform."""
    where = context(environment)
    token = environment.get("MODEL_CI_API_TOKEN") or None
    if where.provider == "github":
        event = _payload(environment)
        run = event.get("workflow_run") if environment.get("GITHUB_EVENT_NAME") == "workflow_run" else None
        return Request(
            provider="github",
            api_url=environment.get("GITHUB_API_URL", "https://api.github.com"),
            project=environment["GITHUB_REPOSITORY"],
            token=token,
            link=run["html_url"] if run else where.run_url,
            number=(event.get("pull_request") or {}).get("number"),
            workflow_run=run,
        )
    if where.provider == "gitlab":
        number = environment.get("CI_MERGE_REQUEST_IID")
        return Request(
            provider="gitlab",
            api_url=environment["CI_API_V4_URL"],
            project=environment.get("CI_MERGE_REQUEST_PROJECT_ID") or environment["CI_PROJECT_ID"],
            token=token,
            link=where.run_url,
            number=int(number) if number else None,
        )
    return None


def _payload(env: Mapping[str, str]) -> "Document":
    try:
        event = json.loads(Path(env["GITHUB_EVENT_PATH"]).read_bytes())
    except (KeyError, OSError, ValueError):
        return {}
    return event if isinstance(event, dict) else {}


def publish(where: Context, root: Path, outputs: Mapping[str, str], summary: str, reports: Mapping[str, str]) -> None:
    """Hand the outputs, the summary (Markdown) and the report files to the platform; locally, do nothing."""
    if where.provider == "github":
        _append(os.environ.get("GITHUB_OUTPUT"), "".join(_github_output(k, v) for k, v in outputs.items()))
        _append(os.environ.get("GITHUB_STEP_SUMMARY"), summary)
    if where.provider == "gitlab":
        folder = root / REPORTS
        folder.mkdir(parents=True, exist_ok=True)
        lines = (f"{name.upper().replace('-', '_')}={value}\n" for name, value in outputs.items())
        for name, text in {"outputs.env": "".join(lines), **reports}.items():
            (folder / name).write_text(text, encoding="utf-8")


def annotate(where: Context, level: str, title: str, message: str, place: tuple[str, int] | None = None) -> bool:
    """Make the platform show a message of a level (error, warning or notice); return False where it cannot.

    `place` is the file and the line that it is shown beside.
    """
    if where.provider != "github":
        return False
    beside = f"file={_escape(place[0], ':,')},line={place[1]}," if place else ""
    output.command(f"::{level} {beside}title={_escape(title, ':,')}::{_escape(message)}")
    return True


def _github_output(name: str, value: str) -> str:
    delimiter = f"end-{secrets.token_hex(16)}"
    return f"{name}<<{delimiter}\n{value}\n{delimiter}\n"


def _escape(text: str, more: str = "") -> str:
    for character in ("%", "\r", "\n", *more):
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def _append(file: str | None, text: str) -> None:
    if file:
        with Path(file).open("a", encoding="utf-8") as handle:
            handle.write(text)
