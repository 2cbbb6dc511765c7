"""comment: the report as one comment in the pull or merge request, kept up to date.

What is shown was made by the request's own code, so every record is taken for hostile, the one in this folder too.
"""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from model_ci import ci, config, report
from model_ci.errors import ConfigError, Exit, ModelCIError
from model_ci.forge import GitHub, GitLab, Head, handover, put
from model_ci.run import RECORD, RUNS, run_folders
from model_ci.stages.content import content

if TYPE_CHECKING:
    from model_ci.record_types import Record
    from model_ci.types import Document


_TOKEN: Final = "MODEL_CI_API_TOKEN"  # noqa: S105 - its name
_MOST_MODELS: Final = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--config", default=config.DEFAULT_FILE, metavar="FILE", help="the configuration (%(default)s)")
    parser.add_argument("--run", default="", metavar="ID", help="the run to show (the newest)")


def main(arguments: argparse.Namespace) -> int:
    """Comment where there is a request to comment in; say why where there is none."""
    request = ci.request()
    if request is None:
        raise ConfigError("comment: neither GitHub nor GitLab runs this; there is no pull request to comment in")
    if request.provider == "gitlab":
        return _on_gitlab(request, arguments)
    if request.token is None:
        raise ConfigError(f"{_TOKEN}: is not set; give the workflow's token, with `pull-requests: write`")
    github = GitHub(api_url=request.api_url, repository=request.project, token=request.token)
    if request.workflow_run is not None:
        return _after_workflow(github, request, request.workflow_run)
    if request.number is None:
        return _nothing("this is no pull request")
    return _comment(github, [request.number], [_local(arguments)], request.link)


def _on_gitlab(request: ci.Request, arguments: argparse.Namespace) -> int:
    if request.number is None:
        return _nothing("this is no merge request")
    if request.token is None:
        return _nothing(
            f"{_TOKEN} is not set, and a job's own token may not comment; "
            "the merge request shows the tests, the metrics and the code quality all the same"
        )
    gitlab = GitLab(api_url=request.api_url, project=request.project, token=request.token)
    return _comment(gitlab, [request.number], [_local(arguments)], request.link)


def _after_workflow(github: GitHub, request: ci.Request, run: "Document") -> int:
    """Comment on what an untrusted workflow made; which pull request that is, only GitHub is asked."""
    if run["event"] != "pull_request" or not run.get("head_repository"):
        return _nothing("the workflow did not run for a pull request")
    head = Head(repository=run["head_repository"]["full_name"], branch=run["head_branch"], sha=run["head_sha"])
    numbers = list(github.pull_requests(head))
    if not numbers:
        return _nothing(f"no open pull request has {head.sha[:12]} as its newest commit")
    records, problems = _handed_over(github.artifacts(int(run["id"]), handover.PREFIX, handover.ARCHIVE_LIMIT))
    code = _comment(github, numbers, records, request.link) if records else _nothing("the workflow left no record")
    if problems:
        raise ConfigError(*problems)
    return code


def _handed_over(archives: Iterable[tuple[str, bytes]]) -> "tuple[list[Record], list[str]]":
    """Return the newest record of each folder's model, and what is wrong with the others."""
    records: list[Record] = []
    problems: list[str] = []
    for i, (_, archive) in enumerate(archives, start=1):
        if i > _MOST_MODELS:
            problems.append(f"comment: there are more than {_MOST_MODELS} records; the others are not shown")
            break
        try:
            records.append(handover.from_archive(archive, f"artifact {i}"))
        except ModelCIError as error:
            problems += error.problems
    newest = {_marker(record): record for record in sorted(records, key=lambda r: r["run_id"])}
    return list(newest.values()), problems


def _local(arguments: argparse.Namespace) -> "Record":
    """Read the record of a run in this folder."""
    file = Path(arguments.config).resolve()
    for folder in reversed(run_folders(file.parent)):
        if arguments.run in ("", folder.name):
            with (folder / RECORD).open("rb") as handle:
                record = handover.parse(handle.read(handover.ARCHIVE_LIMIT), str(folder / RECORD))
            if arguments.run or record["config"]["file"] == file.name:
                return record
    named = f"run {arguments.run}" if arguments.run else f"run of {file.name}"
    raise ConfigError(f"comment: there is no {named} in {file.parent / RUNS}; run `model-ci run`, or fetch its files")


def _comment(forge: GitHub | GitLab, numbers: Iterable[int], records: "Iterable[Record]", link: str | None) -> int:
    texts = list(_texts(records, link, forge.comment_limit))
    for number in numbers:
        for marker, body in texts:
            done = put(forge.thread(number), marker, body)
            print(f"comment: {done} in {number}")
    return Exit.YES


def _texts(records: "Iterable[Record]", link: str | None, limit: int) -> Iterator[tuple[str, str]]:
    for record in records:
        try:
            marker = _marker(record)
            yield marker, report.comment(content(record), mark=marker, link=link, limit=limit)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
            # the schema leaves some corners open, and what stands there may be anything
            raise ConfigError("comment: the record does not hold what a report is made of; it is not shown") from None


def _marker(record: "Record") -> str:
    return report.marker(record["model"]["name"], folder=record["config"]["folder"])


def _nothing(why: str) -> int:
    print(f"comment: nothing to do: {why}")
    return Exit.YES
