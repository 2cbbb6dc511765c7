"""notify: one issue for each cause that somebody has to look at, closed when it is gone, a message to a chat, a heartbeat."""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

from model_ci import ci, config, report
from model_ci.errors import ConfigError, Exit, ModelCIError, ServiceError
from model_ci.forge import HEARTBEAT, WEBHOOK, GitHub, GitLab, Tracker, beat, raise_issue, settle, tell
from model_ci.frozen import dataclass
from model_ci.run import Run, by_id, sections
from model_ci.stages import STAGES
from model_ci.stages.content import content
from model_ci.terms import Verdict


@dataclass(frozen=True, kw_only=True)
class Cause:
    """What an issue is about: a stage that judges, or that the job did not come to an end."""

    marker: str
    lasts: bool
    title: str
    body: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--config", default=config.DEFAULT_FILE, metavar="FILE", help="the configuration (%(default)s)")
    parser.add_argument("--run", default="", metavar="ID", help="the run to tell of (none)")
    parser.add_argument(
        "--verdict", default="", metavar="WORD", help="the job's output verdict: done, passed, failed; else it had none"
    )


def main(arguments: argparse.Namespace) -> int:
    """Open, update and close; tell the chat what was opened and closed, and the watcher that a check ran."""
    if why := ci.context().only_reads:
        print(f"notify: nothing to do: {why}")
        return Exit.YES
    run = by_id(Path(arguments.config).resolve().parent, arguments.run) if arguments.run else None
    _beat(run, arguments.verdict)
    request = ci.request()
    tracker, limit = _tracker(request)
    link = request.link if request else None
    model = _model(Path(arguments.config))
    file = ci.context().in_checkout(Path(arguments.config))
    messages: list[str] = []
    problems: list[str] = []
    for cause in (_unfinished(arguments, file, link), *_causes(run, model, link, limit)):
        try:
            messages += _tell(tracker, cause)
        except ServiceError as error:
            problems += error.problems
    problems += _send(messages, link)
    if problems:
        raise ServiceError(*problems)
    return Exit.YES


def _model(file: Path) -> str:
    """Return the model's name; a file that is broken is told of by its own name."""
    try:
        return config.load(file).model.name
    except ConfigError:
        return file.name


def _tracker(request: ci.Request | None) -> tuple[Tracker | None, int]:
    if request is None or request.token is None:
        print("notify: no issues: MODEL_CI_API_TOKEN is not set, or neither GitHub nor GitLab runs this")
        return None, GitHub.comment_limit
    if request.provider == "gitlab":
        gitlab = GitLab(api_url=request.api_url, project=request.project, token=request.token)
        return gitlab.tracker(), GitLab.comment_limit
    github = GitHub(api_url=request.api_url, repository=request.project, token=request.token)
    return github.tracker(), GitHub.comment_limit


def _causes(run: Run | None, model: str, link: str | None, limit: int) -> Iterator[Cause]:
    """Yield every cause that this run can tell of; what did not run, or judged nothing, is left as it was."""
    folder = run.record["config"]["folder"] if run else ""
    for name, section in sections(run.record).items() if run else ():
        if STAGES[name].judges and "reused_from" not in section and section["verdict"] != Verdict.DONE:
            yield Cause(
                marker=report.marker(model, name, folder=folder),
                lasts=section["verdict"] == Verdict.FAILED,
                title=f"{model}: {name} says no",
                body=report.comment(
                    content(run.record), mark=report.marker(model, name, folder=folder), link=link, limit=limit
                )
                if run
                else "",
            )


def _unfinished(arguments: argparse.Namespace, file: str, link: str | None) -> Cause:
    """Tell of a job without a verdict, by the file: its model's name is not known while it is broken."""
    lasts = arguments.verdict not in (Verdict.DONE, Verdict.PASSED, Verdict.FAILED)
    state = "did not come to a verdict, so nothing is known" if lasts else "came to a verdict again"
    where = f"\n\n[The job]({link})" if link else ""
    marker = report.marker(file, "unfinished")
    return Cause(marker=marker, lasts=lasts, title=f"{file}: no verdict", body=f"{marker}\n\nThe job {state}.{where}\n")


def _tell(tracker: Tracker | None, cause: Cause) -> Iterator[str]:
    """Bring the issue into line, and yield what a chat should know; without a tracker, what lasts."""
    if tracker is None:
        if cause.lasts:
            yield cause.title
        return
    if cause.lasts:
        done = raise_issue(tracker, cause.marker, cause.title, cause.body)
    else:
        done = settle(tracker, cause.marker, cause.body)
    if done != "nothing":
        print(f"notify: {done}: {cause.title}")
    if done in ("opened", "closed"):
        yield cause.title if done == "opened" else f"{cause.title}: no longer"


def _send(messages: list[str], link: str | None) -> list[str]:
    """Tell the chat; return what went wrong."""
    address = os.environ.get(WEBHOOK)
    if not address or not messages:
        return []
    try:
        tell(address, "\n".join([*messages, *([link] if link else [])]))
    except ModelCIError as error:
        return list(error.problems)
    print(f"notify: told the chat: {', '.join(messages)}")
    return []


def _beat(run: Run | None, verdict: str) -> None:
    """Tell the watcher of a check; a push and a training are none, and what cannot be told is only said."""
    address, where = os.environ.get(HEARTBEAT), ci.context()
    if not address or where.event == "push" or (run and run.record["line"] != "operation"):
        return
    try:
        beat(address, well=verdict in (Verdict.DONE, Verdict.PASSED))
    except ModelCIError as error:
        warning = f"the watcher was not told: {'; '.join(error.problems)}"
        if not ci.annotate(where, "warning", "model-ci notify", warning):
            print(f"notify: {warning}")
