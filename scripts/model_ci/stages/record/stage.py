"""Record: the run's record and its summary become a commit on the records branch."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, cast

from model_ci import report
from model_ci.config import Config
from model_ci.data.finding import Finding
from model_ci.errors import ConfigError, ServiceError
from model_ci.git import Branch
from model_ci.records import history, overdue
from model_ci.run import Result, Run, sections
from model_ci.stages.content import content

if TYPE_CHECKING:
    from model_ci.record_types import Record


_README: Final = """\
# Runs of model-ci

One folder a run, the newest last: `runs/<run>/summary.md` to read, `runs/<run>/run.json` to compute with.
`ledger/<environment>.jsonl` says who changed what serves there, a line a change.
`model-ci` adds to this branch and never rewrites it. It reads what it wrote here: when a model was trained last and why,
and what served before. So deleting the branch makes it forget.
"""


def inputs(config: Config, run: Run) -> Mapping[str, object]:
    """The record, and where it goes."""
    return {"run": _before_this(run), "record section": config.values["record"]}


def run(config: Config, run: Run) -> Result:
    """Commit and push; what goes wrong, and a check that did not run, stands in the section and changes no verdict."""
    record = _before_this(run)
    files = {
        "README.md": _README.encode(),
        f"runs/{run.id}/run.json": json.dumps(record, indent=2, allow_nan=False).encode() + b"\n",
        f"runs/{run.id}/summary.md": report.markdown(content(record)).encode(),
    }
    section: dict[str, object] = {"branch": config.record.branch, "remote": config.record.remote}
    try:
        branch = Branch(root=config.root, name=config.record.branch, remote=config.record.remote)
        done = branch.append(files, f"Record run {run.id}: {record['verdict']}")
    except (ConfigError, ServiceError) as error:
        return Result(section=section | {"commit": None, "pushed": False, "problem": str(error), "findings": []})
    if not done.pushed:
        section["remote"] = None  # the repository has none: its own branch holds the record
    findings = [finding.as_record() for finding in _overdue(config, run, branch)]
    return Result(section=section | {"commit": done.sha, "pushed": done.pushed, "problem": None, "findings": findings})


def _overdue(config: Config, run: Run, branch: Branch) -> Iterator[Finding]:
    """Tell whoever runs this that the scheduled check did not: it cannot say so itself."""
    if not config.retrain.interval or run.section("retrain"):
        return
    try:
        past = history.read(config, run, branch, remote_needed=run.in_ci)
        yield from overdue.find(config.retrain, past, history.now(config.retrain))
    except (ConfigError, ServiceError) as error:
        yield overdue.unseen(f"nobody knows when it ran last: {error}")


def _before_this(run: Run) -> "Record":
    """Return the record as it was before it was recorded, so that recording it again finds it unchanged."""
    stages = {name: section for name, section in sections(run.record).items() if name != "record"}
    ends = [section["end"] for section in stages.values() if "reused_from" not in section]
    begin = {key: value for key, value in run.record.items() if key not in ("stages", "end", "duration_s")}
    return cast("Record", {**begin, **({"end": max(ends)} if ends else {}), "stages": stages})
