"""The ledger: who changed what serves in an environment, appended to the records branch and never rewritten."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from model_ci import ci
from model_ci.config import Config
from model_ci.errors import ServiceError
from model_ci.frozen import dataclass
from model_ci.git import Branch, Commit
from model_ci.run import timestamp
from model_ci.targets.deployment import Deployment
from model_ci.types import Document

if TYPE_CHECKING:
    from model_ci.types import Settings


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One change: what serves since, None when it was removed, and what served before, None when nothing did."""

    time: str
    actor: str | None
    action: str  # deploy, weights, promote, rollback or remove
    environment: str
    deployment: Deployment | None
    previous: Deployment | None
    run_id: str | None  # None: no run was part of it
    reason: str | None
    ci_url: str | None
    approval: str | None = None  # the protected environment whose job did it

    def as_record(self) -> Document:
        """Return it as JSON."""
        record = {key: value for key, value in asdict(self).items() if key not in ("deployment", "previous")}
        return record | {"variants": _variants(self.deployment), "previous": _variants(self.previous)}

    @classmethod
    def from_record(cls, record: "Settings") -> "Entry":
        """Read what `as_record` wrote."""

        def deployed(variants: list[Document]) -> Deployment | None:
            there = {"environment": record["environment"], "variants": variants}
            return Deployment.from_record(there) if variants else None

        named: Document = {key: record.get(key) for key in ("actor", "reason", "ci_url", "approval")}
        required: Document = {key: record[key] for key in ("time", "action", "environment", "run_id")}
        now, before = deployed(record["variants"]), deployed(record["previous"])
        return cls(**named, **required, deployment=now, previous=before)


def new(  # noqa: PLR0913 - one argument a field
    action: str,
    environment: str,
    desired: Deployment | None,
    previous: Deployment | None,
    *,
    run_id: str | None,
    reason: str | None,
    where: ci.Context,
    approval: str | None = None,
) -> Entry:
    """Make an entry of now."""
    return Entry(
        time=timestamp(),
        actor=where.person,
        action=action,
        environment=environment,
        deployment=desired,
        previous=previous,
        run_id=run_id,
        reason=reason,
        ci_url=where.run_url,
        approval=approval,
    )


def append(config: Config, entry: Entry) -> Commit:
    """Add an entry on top of whatever is there; raise ServiceError when the branch cannot be reached."""
    line = json.dumps(entry.as_record(), sort_keys=True, allow_nan=False).encode() + b"\n"
    message = f"{entry.action.capitalize()} in {entry.environment}"
    return _branch(config).extend(_file(entry.environment), line, message)


def read(config: Config, environment: str) -> list[Entry]:
    """Return the environment's entries, the newest last."""
    text = _branch(config).read(_file(environment)) or b""
    try:
        return [Entry.from_record(json.loads(line)) for line in text.splitlines() if line.strip()]
    except (ValueError, KeyError, TypeError) as error:
        place = f"{_file(environment)} on branch '{config.record.branch}'"
        raise ServiceError(f"{place}: cannot be read: {error}; restore the branch's last commit that can") from None


def _variants(deployment: Deployment | None) -> list[Document]:
    return deployment.as_record()["variants"] if deployment else []


def _file(environment: str) -> str:
    return f"ledger/{environment}.jsonl"


def _branch(config: Config) -> Branch:
    return Branch(root=config.root, name=config.record.branch, remote=config.record.remote)
