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
from typing import TYPE_CHECKING, Final, Literal, cast, overload

from model_ci import __version__
from model_ci.errors import ConfigError
from model_ci.files import write_atomically
from model_ci.schema import dotted_path, problems
from model_ci.terms import Verdict

if TYPE_CHECKING:
    from model_ci.record_types import (
        BuildImageSection,
        Change,
        CheckDataSection,
        CheckDriftSection,
        CompareVariantsSection,
        EvaluateSection,
        ExplainSection,
        MonitorSection,
        Record,
        RecordSection,
        RegisterSection,
        RetrainSection,
        ReusableSection,
        Section,
        Sections,
        TrainSection,
    )

RUNS: Final = Path(".model-ci") / "runs"
RECORD: Final = "run.json"


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a stage gives back: its section of the record, and its verdict where it judges."""

    section: Mapping[str, object]
    verdict: Verdict = Verdict.DONE  # done, passed or failed


class Run:
    """A run folder.

    The record is only ever replaced whole, so a kill at any instant leaves the last complete one;
    a file in the folder counts only once the record names it.
    """

    def __init__(self, folder: Path, record: "Record") -> None:
        self.folder = folder
        self.record = record

    @classmethod
    def create(cls, root: Path, header: Mapping[str, object]) -> "Run":
        """Make a new run folder below `root` and write its record's header."""
        now = datetime.now(UTC)
        run_id = f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03d}Z-{secrets.token_hex(4)}"
        record = {
            "schema_version": 1,
            "run_id": run_id,
            "start": timestamp(now),
            **header,
            "stages": {},
            "verdict": Verdict.NOT_JUDGED,
        }
        run = cls(root / RUNS / run_id, cast("Record", record))
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
        return self.record["run_id"]

    @property
    def in_ci(self) -> bool:
        """Whether a CI platform began the run."""
        return self.record["ci"]["provider"] != "local"

    # The type of a section follows from the name of its stage; a name that is not known here gives what all have.
    @overload
    def section(self, stage: Literal["check-data"]) -> "CheckDataSection | None": ...
    @overload
    def section(self, stage: Literal["train"]) -> "TrainSection | None": ...
    @overload
    def section(self, stage: Literal["evaluate"]) -> "EvaluateSection | None": ...
    @overload
    def section(self, stage: Literal["explain"]) -> "ExplainSection | None": ...
    @overload
    def section(self, stage: Literal["register"]) -> "RegisterSection | None": ...
    @overload
    def section(self, stage: Literal["build-image"]) -> "BuildImageSection | None": ...
    @overload
    def section(self, stage: Literal["compare-variants"]) -> "CompareVariantsSection | None": ...
    @overload
    def section(self, stage: Literal["check-drift"]) -> "CheckDriftSection | None": ...
    @overload
    def section(self, stage: Literal["monitor"]) -> "MonitorSection | None": ...
    @overload
    def section(self, stage: Literal["retrain"]) -> "RetrainSection | None": ...
    @overload
    def section(self, stage: Literal["record"]) -> "RecordSection | None": ...
    @overload
    def section(self, stage: Literal["deploy", "promote", "rollback"]) -> "Change | None": ...
    @overload
    def section(self, stage: str) -> "Section | None": ...
    def section(self, stage: str) -> "Section | None":
        """Return what `stage` recorded, or None when it has not completed in this run."""
        return sections(self.record).get(stage)

    @overload
    def require(self, stage: Literal["train"], wanted_by: str) -> "TrainSection": ...
    @overload
    def require(self, stage: Literal["evaluate"], wanted_by: str) -> "EvaluateSection": ...
    @overload
    def require(self, stage: Literal["build-image"], wanted_by: str) -> "BuildImageSection": ...
    @overload
    def require(self, stage: str, wanted_by: str) -> "Section": ...
    def require(self, stage: str, wanted_by: str) -> "Section":
        """Return the section of `stage`; raise ConfigError when it has not completed."""
        section = self.section(stage)
        if section is None:
            raise ConfigError(
                f"{wanted_by}: run {self.id} has no {stage}; run `model-ci {stage}` first, or `model-ci run`"
            )
        return section

    def producer(self, stage: str) -> str:
        """Return the id of the run that produced the section of `stage`: this one, unless it was taken over."""
        section = cast("ReusableSection | None", self.section(stage))
        return section.get("reused_from", self.id) if section else self.id

    def complete(self, stage: str, section: Mapping[str, object]) -> None:
        """Add a stage's section; the stage counts as done from here on, and the run's verdict with it."""
        self.record["stages"] = cast("Sections", {**self.record["stages"], stage: dict(section)})
        self.record["verdict"] = _verdict(self.record)
        if "reused_from" not in section:
            end = str(section["end"])
            seconds = (datetime.fromisoformat(end) - datetime.fromisoformat(self.record["start"])).total_seconds()
            self.record |= {"end": end, "duration_s": round(max(seconds, 0), 3)}
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


def sections(record: "Record") -> "Mapping[str, Section]":
    """Return the sections of a record by stage, where every stage is treated alike."""
    return cast("Mapping[str, Section]", record["stages"])


def _verdict(record: "Record") -> Verdict:
    """One no is a no; a yes to a model is only what an evaluation says."""
    verdicts = {section["verdict"] for section in sections(record).values()}
    if Verdict.FAILED in verdicts:
        return Verdict.FAILED
    if record["line"] == "model":
        evaluation = record["stages"].get("evaluate")
        verdicts = {evaluation["verdict"]} if evaluation else set()
    return Verdict.PASSED if Verdict.PASSED in verdicts else Verdict.NOT_JUDGED
