"""What today's rows are compared with: the profile of a registered model, of a file, or of a table that is read now."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from model_ci import registry
from model_ci.config import Config
from model_ci.errors import ConfigError
from model_ci.frozen import dataclass
from model_ci.production import rows
from model_ci.profile import build
from model_ci.profile.profile import FILE, Profile
from model_ci.release import ledger
from model_ci.run import Run
from model_ci.serving import classes as naming
from model_ci.stages.check_drift import table

if TYPE_CHECKING:
    from model_ci.record_types import CheckDriftReference
    from model_ci.registry import Registry, Version

_HERE: Final = "check-drift"


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A profile, the table that it was made of where there is one, and each column's weight in the model, if known."""

    profile: Profile
    table: rows.Rows | None
    importance: Mapping[str, float] | None
    described: "CheckDriftReference"


def find(config: Config, run: Run) -> Reference:
    """Find the reference that the configuration names; raise ConfigError when there is none."""
    settings = config.check_drift
    if settings.reference is None:
        return _registered(config, run)
    if settings.reference.endswith(".json.gz"):
        file = config.root / settings.reference
        if not file.is_file():
            raise ConfigError(f"{_HERE}.reference: {settings.reference}: no such file in {config.root}; name a profile")
        return _of_profile(Profile.from_bytes(file.read_bytes(), settings.reference), "file", settings.reference)
    opened = rows.open(settings.reference, config.root, csv=config.data.csv)
    return replace(_of_profile(table.profiled(config, opened), "table", opened.location), table=opened)


def names(config: Config, profile: Profile, *, is_log: bool) -> dict[str, str]:
    """Return what the columns of a profile are called in rows, where that is something else."""
    settings = config.check_drift
    renamed = {build.PREDICTION: "_prediction"} if is_log else {}
    if settings.prediction:
        renamed[build.PREDICTION] = settings.prediction
    probabilities = [c.name for c in profile.columns if c.role == "probability"]
    classes = [str(c) for c in profile.made.get("classes", ())]
    if is_log:
        renamed |= {build.probability(name): f"_probability_{name}" for name in classes}
    if settings.probability and probabilities:
        place = naming.positive(classes, config.model.positive)
        renamed[probabilities[-1 if place is None else place]] = settings.probability
    return renamed


def _registered(config: Config, run: Run) -> Reference:
    with (
        registry.open_registry(config, config.root, in_ci=run.in_ci) as store,
        tempfile.TemporaryDirectory() as scratch,
    ):
        version = _version(config, store)
        folder = store.attachment(version, "profile", Path(scratch) / "profile")
        if folder is None or not (folder / FILE).is_file():
            raise ConfigError(
                f"{_HERE}: version {version.number} of {config.model.name} has no profile; register a model that this "
                f"version of model-ci trained, or name a table as {_HERE}.reference"
            )
        profile = Profile.from_bytes((folder / FILE).read_bytes(), f"version {version.number}")
        explained = store.attachment(version, "explain", Path(scratch) / "explain")
        importance = _importance(explained / "importance.json") if explained else None
    reference = _of_profile(profile, "version", f"version {version.number}", importance)
    return replace(
        reference, described={**reference.described, "version": version.number, "run_id": version.run_id or None}
    )


def _version(config: Config, store: "Registry") -> "Version":
    number = config.check_drift.version
    if environment := config.check_drift.environment:
        number = _deployed(config, environment)
    version = store.named(number, f"{_HERE}.version")
    if version is None:
        raise ConfigError(
            f"{_HERE}: there is no champion in {store.where}; run `model-ci register`, or name a {_HERE}.reference"
        )
    return version


def _deployed(config: Config, environment: str) -> str:
    """Return the version that the ledger says runs there: the one with the most requests."""
    entries = ledger.read(config, environment)
    served = entries[-1].deployment if entries else None
    variants = served.variants if served else ()
    known = sorted((v for v in variants if v.version), key=lambda v: (-v.weight, v.name))
    if not known:
        raise ConfigError(
            f"{_HERE}.environment: the ledger knows of no registered version in {environment!r}; deploy one, or leave it out"
        )
    return str(known[0].version)


def _importance(file: Path) -> dict[str, float] | None:
    try:
        columns = json.loads(file.read_bytes())["columns"]
        return {c["name"]: float(c["share"]) for c in columns if c["share"] is not None}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _of_profile(profile: Profile, kind: str, name: str, importance: Mapping[str, float] | None = None) -> Reference:
    described: CheckDriftReference = {
        "kind": kind,
        "name": name,
        "version": None,
        "run_id": profile.made.get("run_id"),
        "rows": profile.rows,
    }
    return Reference(profile=profile, table=None, importance=importance, described=described)
