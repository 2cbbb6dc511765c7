"""What a pipeline did, read from the output and the folders of gitlab-ci-local."""

import base64
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_ANSI: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_STATUS: Final = {"PASS": "success", "FAIL": "failed", "WARN": "warning"}
_RESULT: Final = re.compile(r"^[ \t]*(PASS|FAIL|WARN) +(\S[^\n]*?)(?: [\d.]+% coverage)?(?:  [^\n]*)?$", re.MULTILINE)
_NOT_JOBS: Final = ("The job:", "downstream pipeline is", "Avoid overriding", "interpolation functions")


@dataclass
class Job:
    """A job; `artifacts` holds what it exported, `workdir` its own checkout with the reports that it did not."""

    name: str
    status: str
    log: str = ""
    artifacts: Path | None = None
    workdir: Path | None = None
    dotenv: dict[str, str] = field(default_factory=dict)


@dataclass
class Outcome:
    """A pipeline's end; `planned` says of each job when it runs, also never."""

    exit: int
    origin: Path  # the bare repository that the checkout came from
    planned: dict[str, str] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    output: str = ""

    @property
    def told(self) -> str:
        """What a person would read to see why it failed."""
        return "\n".join(job.log[-3000:] for job in self.jobs.values()) or self.output[-3000:]


def read(outcome: Outcome, state: Path) -> None:
    """Fill `outcome` from its output and from the folder that gitlab-ci-local keeps."""
    outcome.output = _ANSI.sub("", outcome.output)
    for match in _RESULT.finditer(outcome.output):
        if not match[2].startswith(_NOT_JOBS):
            outcome.jobs[match[2]] = _job(match[2], _STATUS[match[1]], state)


def _job(name: str, status: str, state: Path) -> Job:
    safe = re.sub(r"[^\w-]+", lambda m: base64.urlsafe_b64encode(m[0].encode()).decode().rstrip("="), name)
    job = Job(name, status)
    log, artifacts, workdir = (state / "output" / f"{safe}.log", state / "artifacts" / safe, state / "builds" / safe)
    job.log = _ANSI.sub("", log.read_text()) if log.exists() else ""
    job.artifacts = artifacts if artifacts.is_dir() else None
    job.workdir = workdir if workdir.is_dir() else None
    for file in (artifacts / ".gitlab-ci-reports" / "dotenv").rglob("*"):
        if file.is_file():
            job.dotenv |= dict(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line)
    return job
