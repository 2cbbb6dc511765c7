"""What was decided before, and what came of it: the runs of this folder, and those on the records branch."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from model_ci.config import Config, Retrain
from model_ci.errors import ConfigError, ServiceError
from model_ci.frozen import dataclass
from model_ci.git import Branch
from model_ci.run import RECORD, RUNS, Run, belongs

if TYPE_CHECKING:
    from model_ci.record_types import Record
    from model_ci.types import Settings


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One decision: whether to train again, the keys of its causes, and whether it let the breaker go on."""

    run_id: str
    at: datetime
    retrain: bool
    keys: tuple[str, ...] = ()
    resets: bool = False


@dataclass(frozen=True, kw_only=True)
class Training:
    """One run that trained: its reason tells the decision that it followed, if any."""

    run_id: str
    at: datetime
    reason: str
    promoted: bool
    expects_check: bool = False  # its file says how often the check is meant to run


@dataclass(frozen=True, kw_only=True)
class History:
    """All decisions and trainings, the oldest first."""

    decisions: Sequence[Decision] = field(default=())
    trainings: Sequence[Training] = field(default=())

    def retrained(self) -> list[Decision]:
        """Return the decisions for a training."""
        return [decision for decision in self.decisions if decision.retrain]

    def without_gain(self) -> int:
        """Count the newest trainings that were decided on and made no champion, since one did or a person said go on.

        One whose run is not on record brought nothing that anybody knows of.
        """
        count = 0
        for _, begins_anew, in_vain in sorted(self._events()):
            count = 0 if begins_anew else count
            count += in_vain
        return count

    def _events(self) -> Iterator[tuple[datetime, bool, bool]]:
        """Yield when something happened, whether the count begins anew there, and whether a training was in vain."""
        for decision in self.decisions:
            gained = any(t.promoted and decision.run_id in t.reason for t in self.trainings)
            yield decision.at, decision.resets or (decision.retrain and gained), decision.retrain and not gained
        mine = [decision.run_id for decision in self.decisions]
        for training in self.trainings:
            if training.promoted and not any(run_id in training.reason for run_id in mine):
                yield training.at, True, False


def read(config: Config, run: Run, branch: Branch, *, remote_needed: bool) -> History:
    """Read what was before `run`, of the same model, file and folder; no branch means a first run.

    Raises ServiceError when a record on the branch is damaged, or the remote does not answer and `remote_needed`.
    """
    folder = run.record["config"]["folder"]
    files = {file.parent.name: file for file in sorted((config.root / RUNS).glob(f"*/{RECORD}"))}
    with tempfile.TemporaryDirectory(prefix="model-ci-history-") as scratch:
        try:
            branch.fetch(Path(scratch))
        except (ServiceError, ConfigError):
            if remote_needed:
                raise
        for file in sorted((Path(scratch) / "runs").glob(f"*/{RECORD}")):
            files[file.parent.name] = file
        read = (_record(file, branch.name) for name, file in sorted(files.items()) if name != run.id)
        records = [record for record in read if belongs(record, config) and record["config"]["folder"] == folder]
    decisions = sorted((d for r in records for d in _decision(r)), key=lambda d: d.at)
    trainings = sorted((t for r in records for t in _training(r)), key=lambda t: t.at)
    return History(decisions=decisions, trainings=trainings)


def now(settings: Retrain) -> datetime:
    """Return the moment that is decided for; raise ConfigError for one that is none."""
    if settings.until is None:
        return datetime.now(UTC)
    try:
        return moment(settings.until)
    except ValueError:
        raise ConfigError(
            f"retrain.until: {settings.until!r} is no time; write it in ISO 8601, as 2026-03-01T12:00:00"
        ) from None


def moment(text: str) -> datetime:
    """Read a time of ISO 8601; without a zone it is UTC."""
    parsed = datetime.fromisoformat(text)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _record(file: Path, branch: str) -> "Record":
    try:
        record = json.loads(file.read_bytes())
        (
            record["run_id"],
            record["stages"].get("retrain"),
            record["trigger"]["reason"],
            record["model"]["name"],
            record["config"]["file"],
            record["config"]["folder"],
        )
        [*_decision(record), *_training(record)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ServiceError(
            f"runs/{file.parent.name}/{RECORD}: cannot be read: {type(error).__name__}: {error}; what was tried before is not known "
            f"then, so nothing is decided: restore the last commit of branch '{branch}' that can be read, or delete the run's folder"
        ) from None
    return cast("Record", record)


def _decision(record: "Record") -> Iterator[Decision]:
    section = record["stages"].get("retrain")
    if section:
        yield Decision(
            run_id=record["run_id"],
            at=moment(section["at"]),
            retrain=bool(section["retrain"]),
            keys=tuple(cause["key"] for cause in section["causes"]),
            resets=bool(section["resets"]),
        )


def _training(record: "Record") -> Iterator[Training]:
    trained = record["stages"].get("train")
    if trained and "reused_from" not in trained:
        registered = record["stages"].get("register")
        values = cast("Settings", record["config"]["values"])
        yield Training(
            run_id=record["run_id"],
            at=moment(values["data"].get("until") or record["start"]),
            reason=record["trigger"]["reason"] or "",
            promoted=bool(registered and registered["promoted"]),
            expects_check=bool(values.get("retrain", {}).get("interval")),
        )
