"""A run: one folder, its record run.json, and the files that the stages leave beside it."""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, cast, overload

from model_ci import __version__
from model_ci.config import Config
from model_ci.errors import ConfigError
from model_ci.files import write_atomically
from model_ci.frozen import dataclass
from model_ci.schema import dotted_path
from model_ci.terms import Verdict
from model_ci.validity import violations

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
        self._to_bring: list[Path] = []

    @classmethod
    def create(cls, root: Path, header: Mapping[str, object]) -> "Run":
        """Make a new run below `root`, in memory: its folder appears with the first file that a stage leaves in it."""
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
        return cls(root / RUNS / run_id, cast("Record", record))

    @classmethod
    def open(cls, folder: Path) -> "Run":
        """Open a run folder; raise ConfigError when its record is absent or not by the schema."""
        file = folder / RECORD
        try:
            record = json.loads(file.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigError(f"{file}: cannot be read: {error}; delete the folder, or fetch it again") from None
        violated = [
            f"{file}: {dotted_path(path)}: {message}" for path, message in violations(record, "run", folder.parents[2])
        ]
        if violated:
            raise ConfigError(*violated)
        return cls(folder, record)

    @property
    def id(self) -> str:
        """The run's id: sorts by time, unique."""
        return self.record["run_id"]

    @property
    def in_ci(self) -> bool:
        """Whether a CI platform began the run."""
        return self.record["ci"]["provider"] != "local"

    @property
    def in_pull_request(self) -> bool:
        """Whether a pull request began the run, which judges and changes nothing."""
        return self.record["trigger"]["event"] == "pull_request"

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
            raise ConfigError(f"{wanted_by}: run {self.id} has no {stage}; run `model-ci {stage}` first")
        return section

    def producer(self, stage: str) -> str:
        """Return the id of the run that produced the section of `stage`: this one, unless it was taken over."""
        section = cast("ReusableSection | None", self.section(stage))
        return section.get("reused_from", self.id) if section else self.id

    def require_data(self, stage: Literal["check-data", "train"], sha256: str, wanted_by: str) -> None:
        """Raise ConfigError when the data is not the one that `stage` read, where it has completed."""
        section = self.section(stage)
        if section and section["data"]["sha256"] != sha256:
            raise ConfigError(
                f"{wanted_by}: the data changed since {stage} ended in run {self.id}; run `model-ci {stage}` first"
            )

    def failed(self) -> list[str]:
        """Name the stages that failed."""
        return [name for name, section in sections(self.record).items() if section["verdict"] == Verdict.FAILED]

    def take_over(self, stage: str, section: "Mapping[str, object]", old: "Run", folders: Sequence[str]) -> None:
        """Take over a section of another run, in memory; `settle` brings the folders that belong to it."""
        taken = {**section, "reused_from": old.producer(stage)}
        self.record["stages"] = cast("Sections", {**self.record["stages"], stage: taken})
        self.record["verdict"] = _verdict(self.record)
        self._to_bring += [old.folder / name for name in folders]

    def settle(self) -> None:
        """Bring to the disk what was taken over."""
        import shutil

        for folder in self._to_bring:
            shutil.copytree(folder, self.folder / folder.name, copy_function=_link, dirs_exist_ok=True)
        if self._to_bring:
            self._to_bring = []
            self.save()

    def has_work(self) -> bool:
        """Whether a stage ran in this run itself."""
        return any("reused_from" not in section for section in sections(self.record).values())

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
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / RECORD, json.dumps(self.record, indent=2, allow_nan=False).encode() + b"\n")

    @contextmanager
    def new_folder(self, name: str) -> Iterator[Path]:
        """Give an empty folder that becomes `name` in the run only when the block ends well."""
        import shutil

        partial = self.folder / f"{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        target = self.folder / name
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)


def run_folders(root: Path) -> list[Path]:
    """Return the run folders below `root`, oldest first; one without a record does not count."""
    return [folder for folder in sorted((root / RUNS).glob("*")) if (folder / RECORD).is_file()]


def runs_of(config: Config) -> Iterator[Run]:
    """Yield the runs of the configuration's model and file, newest first; nothing of another model-ci is reused."""
    for folder in reversed(run_folders(config.root)):
        if _may_be_reused(folder, config):
            yield Run.open(folder)


def named(config: Config, run_id: str) -> Run:
    """Open the run that --run names; raise ConfigError when it does not exist or is not of this configuration."""
    run = by_id(config.root, run_id)
    if not belongs(run.record, config):
        model, file = run.record["model"]["name"], run.record["config"]["file"]
        raise ConfigError(
            f"--run {run_id}: is a run of model {model!r} in {file}, not of {config.model.name!r} in {config.file}; "
            f"name another run, or --config {file}"
        )
    return run


def by_id(root: Path, run_id: str) -> Run:
    """Open the run of that id, whatever model it is of; raise ConfigError when it does not exist."""
    folders = run_folders(root)
    for folder in folders:
        if folder.name == run_id:
            return Run.open(folder)
    newest = ", ".join(folder.name for folder in folders[-5:])
    raise ConfigError(
        f"--run {run_id}: no such run in {root}; the newest are {newest or 'none'}: name one of them, or fetch its files"
    )


def find(config: Config, run_id: str, *, stage: str, wanted_by: str) -> Run:
    """Return the named run, or the newest that holds `stage`; raise ConfigError when there is none."""
    if run_id:
        run = named(config, run_id)
        run.require(stage, wanted_by)
        return run
    for run in runs_of(config):
        if run.section(stage):
            return run
    raise ConfigError(
        f"{wanted_by}: there is no run of {config.model.name} with a {stage} here; "
        f"run `model-ci {command_for([stage])}` first"
    )


def command_for(stages: Sequence[str]) -> str:
    """Return the arguments that run these stages."""
    return stages[0] if len(stages) == 1 else f"run --stages {','.join(stages)}"


def _may_be_reused(folder: Path, config: Config) -> bool:
    try:
        record = json.loads((folder / RECORD).read_bytes())
        return bool(record["tool"]["version"] == __version__) and belongs(record, config)
    except (OSError, ValueError, KeyError, TypeError):
        return True  # opening it tells what is wrong


def belongs(record: "Record", config: Config) -> bool:
    """Whether a run is one of this model and this configuration file."""
    return bool(record["model"]["name"] == config.model.name and record["config"]["file"] == config.file)


@contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """Hold the one lock of `root`'s runs; the kernel frees it when the process dies."""
    lock = root / RUNS.parent / "lock"
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        handle = lock.open("a+")
    except OSError as error:
        raise ConfigError(
            f"{lock}: cannot be written: {error.strerror}; model-ci keeps its runs there: make the folder writable, "
            "or use a checkout of your own"
        ) from None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"{lock}: another model-ci works in this folder; wait for it, or use another checkout"
            ) from None
        yield


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        import shutil

        shutil.copy2(source, target)


def timestamp(moment: datetime | None = None) -> str:
    """Write a moment (now) in UTC to the millisecond, ISO 8601."""
    return (moment or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="milliseconds")


def sections(record: "Record") -> "Mapping[str, Section]":
    """Return the sections of a record by stage, where every stage is treated alike."""
    return cast("Mapping[str, Section]", record["stages"])


def _verdict(record: "Record") -> Verdict:
    """One failure fails the run; a model passes only by its evaluation."""
    verdicts = {section["verdict"] for section in sections(record).values()}
    if Verdict.FAILED in verdicts:
        return Verdict.FAILED
    if record["line"] == "model":
        evaluation = record["stages"].get("evaluate")
        verdicts = {evaluation["verdict"]} if evaluation else set()
    return Verdict.PASSED if Verdict.PASSED in verdicts else Verdict.NOT_JUDGED
