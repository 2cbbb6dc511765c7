"""A run: one folder, its record run.json, and the files that the stages leave beside it."""

import fcntl
import json
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from model_ci import __version__
from model_ci.errors import ConfigError
from model_ci.files import write_atomically
from model_ci.schema import dotted_path, problems
from model_ci.terms import Verdict

RUNS: Final = Path(".model-ci") / "runs"
RECORD: Final = "run.json"


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a stage gives back: its section of the record, and its verdict where it judges."""

    section: Mapping[str, Any]
    verdict: Verdict = Verdict.DONE  # done, passed or failed


class Run:
    """A run folder.

    The record is only ever replaced whole, so a kill at any instant leaves the last complete one;
    a file in the folder counts only once the record names it.
    """

    def __init__(self, folder: Path, record: dict[str, Any]) -> None:
        self.folder = folder
        self.record = record

    @classmethod
    def create(cls, root: Path, header: Mapping[str, Any]) -> "Run":
        """Make a new run folder below `root` and write its record's header."""
        now = datetime.now(UTC)
        run_id = f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03d}Z-{secrets.token_hex(4)}"
        run = cls(
            root / RUNS / run_id,
            {
                "schema_version": 1,
                "run_id": run_id,
                "start": timestamp(now),
                **header,
                "stages": {},
                "verdict": Verdict.NOT_JUDGED,
            },
        )
        run.folder.mkdir(parents=True)
        run.save()
        return run

    @classmethod
    def open(cls, folder: Path) -> "Run":
        """Open a run folder; raise ConfigError when its record is absent or not by the schema."""
        file = folder / RECORD
        try:
            record = json.loads(file.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigError(f"{file}: cannot be read: {error}; delete the folder, or fetch it again") from None
        found = [f"{file}: {dotted_path(path)}: {message}" for path, message in problems(record, "run")]
        if found:
            raise ConfigError(*found)
        return cls(folder, record)

    @property
    def id(self) -> str:
        """The run's id: sorts by time, unique."""
        return str(self.record["run_id"])

    @property
    def in_ci(self) -> bool:
        """Whether a CI platform began the run."""
        return bool(self.record["ci"]["provider"] != "local")

    def section(self, stage: str) -> dict[str, Any] | None:
        """Return what `stage` recorded, or None when it has not completed in this run."""
        return self.record["stages"].get(stage)  # type: ignore[no-any-return]

    def require(self, stage: str, wanted_by: str) -> dict[str, Any]:
        """Return the section of `stage`; raise ConfigError when it has not completed."""
        section = self.section(stage)
        if section is None:
            raise ConfigError(
                f"{wanted_by}: run {self.id} has no {stage}; run `model-ci {stage}` first, or `model-ci run`"
            )
        return section

    def complete(self, stage: str, section: Mapping[str, Any]) -> None:
        """Add a stage's section; the stage counts as done from here on, and the run's verdict with it."""
        stages = self.record["stages"] | {stage: dict(section)}
        ends = datetime.fromisoformat(section["end"])
        seconds = (ends - datetime.fromisoformat(self.record["start"])).total_seconds()
        end = {"end": section["end"], "duration_s": round(max(seconds, 0), 3)} if "reused_from" not in section else {}
        self.record |= {"stages": stages, "verdict": _verdict(self.record["line"], stages), **end}
        self.save()

    def save(self) -> None:
        """Replace run.json atomically: temporary file, fsync, rename, fsync of the folder."""
        write_atomically(self.folder / RECORD, json.dumps(self.record, indent=2, allow_nan=False).encode() + b"\n")

    @contextmanager
    def new_folder(self, name: str) -> Iterator[Path]:
        """Give an empty folder that becomes `name` in the run only when the block ends well."""
        partial = self.folder / f"{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        yield partial
        target = self.folder / name
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)


def run_folders(root: Path) -> list[Path]:
    """Return the run folders below `root`, oldest first; one without a record was never begun and does not count."""
    return [folder for folder in sorted((root / RUNS).glob("*")) if (folder / RECORD).is_file()]


def of_this_version(folder: Path) -> bool:
    """Tell whether this very version of model-ci wrote the record; nothing of another one's is reused."""
    try:
        return bool(json.loads((folder / RECORD).read_bytes())["tool"]["version"] == __version__)
    except (ValueError, KeyError, TypeError):
        return True  # damaged: opening it says so


@contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """Hold the one lock of `root`'s runs; the kernel frees it when the process dies."""
    lock = root / RUNS.parent / "lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"{lock}: another model-ci works in this folder; wait for it, or use another checkout"
            ) from None
        yield


def timestamp(moment: datetime | None = None) -> str:
    """Write a moment (now) in UTC to the millisecond, ISO 8601."""
    return (moment or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="milliseconds")


def _verdict(line: str, stages: Mapping[str, Any]) -> Verdict:
    """One no is a no; a yes to a model is only what an evaluation says."""
    said = {section["verdict"] for section in stages.values()}
    if Verdict.FAILED in said:
        return Verdict.FAILED
    if line == "model":
        said = {stages.get("evaluate", {}).get("verdict")}
    return Verdict.PASSED if Verdict.PASSED in said else Verdict.NOT_JUDGED
