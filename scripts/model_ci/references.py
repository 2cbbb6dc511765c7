"""What today's rows are compared with: the profile of a registered model, of a file, or of a table that is read now."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model_ci import ledger, registry
from model_ci.config import Config
from model_ci.drift import build, engine
from model_ci.drift.profile import FILE, Column, Profile, column
from model_ci.drift.sketch import family
from model_ci.errors import ConfigError
from model_ci.production import rows
from model_ci.run import Run

if TYPE_CHECKING:
    import pyarrow as pa

    from model_ci.registry import Registry, Version

_SAMPLED_PARTS: Final = 8
_HERE: Final = "check-drift"


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A profile, the table that it was made of where there is one, and each column's weight in the model, if known."""

    profile: Profile
    table: rows.Rows | None
    importance: Mapping[str, float] | None
    described: Mapping[str, Any]


def find(config: Config, run: Run) -> Reference:
    """Find the reference that the configuration names; raise ConfigError when there is none."""
    wanted = config.check_drift
    if wanted.reference is None:
        return _registered(config, run)
    if wanted.reference.endswith(".json.gz"):
        file = config.root / wanted.reference
        if not file.is_file():
            raise ConfigError(f"{_HERE}.reference: {wanted.reference}: no such file in {config.root}; name a profile")
        return _of_profile(Profile.from_bytes(file.read_bytes(), wanted.reference), "file", wanted.reference)
    return _of_table(config, rows.open(wanted.reference, config.root))


def names(config: Config, profile: Profile, *, is_log: bool) -> dict[str, str]:
    """Return what the columns of a profile are called in rows, where that is something else."""
    wanted = config.check_drift
    found = {build.PREDICTION: "_prediction"} if is_log else {}
    if wanted.prediction:
        found[build.PREDICTION] = wanted.prediction
    probabilities = [c.name for c in profile.columns if c.role == "probability"]
    classes = [str(c) for c in profile.made.get("classes", ())]
    if is_log:
        found |= {build.probability(name): f"_probability_{name}" for name in classes}
    if wanted.probability and probabilities:
        found[probabilities[-1]] = wanted.probability
    return found


def _registered(config: Config, run: Run) -> Reference:
    with (
        registry.open_registry(config, config.root, in_ci=run.in_ci) as store,
        tempfile.TemporaryDirectory() as scratch,
    ):
        version = _version(config, store)
        folder = _attachment(store, version, "profile", Path(scratch))
        if folder is None or not (folder / FILE).is_file():
            raise ConfigError(
                f"{_HERE}: version {version.number} of {config.model.name} has no profile; register a model that this "
                f"version of model-ci trained, or name a table as {_HERE}.reference"
            )
        profile = Profile.from_bytes((folder / FILE).read_bytes(), f"version {version.number}")
        explained = _attachment(store, version, "explain", Path(scratch))
        importance = _importance(explained / "importance.json") if explained else None
    found = _of_profile(profile, "version", f"version {version.number}", importance)
    return Reference(
        profile=profile,
        table=None,
        importance=importance,
        described={**found.described, "version": version.number, "run_id": version.run_id or None},
    )


def _version(config: Config, store: "Registry") -> "Version":
    number = config.check_drift.version
    if environment := config.check_drift.environment:
        number = _deployed(config, environment)
    if number == "champion":
        if champion := store.champion():
            return champion
        raise ConfigError(
            f"{_HERE}: there is no champion in {store.where}; run `model-ci register`, or name a {_HERE}.reference"
        )
    versions = {version.number: version for version in store.versions()}
    if number not in versions:
        raise ConfigError(
            f"{_HERE}.version: {number!r} is no version of {config.model.name}; there are {', '.join(versions) or 'none'}"
        )
    return versions[number]


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


def _attachment(store: "Registry", version: "Version", name: str, scratch: Path) -> Path | None:
    return store.attachment(version, name, scratch / name)


def _importance(file: Path) -> dict[str, float] | None:
    try:
        columns = json.loads(file.read_bytes())["columns"]
        return {c["name"]: float(c["share"]) for c in columns if c["share"] is not None}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _of_profile(profile: Profile, kind: str, name: str, importance: Mapping[str, float] | None = None) -> Reference:
    described = {
        "kind": kind,
        "name": name,
        "version": None,
        "run_id": profile.made.get("run_id"),
        "rows": profile.rows,
    }
    return Reference(profile=profile, table=None, importance=importance, described=described)


def _of_table(config: Config, table: rows.Rows) -> Reference:
    columns = _columns(config, table)
    work = engine.Work(
        columns=columns,
        names={build.PREDICTION: str(config.check_drift.prediction), _LAST: str(config.check_drift.probability)},
        season=config.check_drift.seasonal,
        time=_time(config, table),
        by_season=bool(config.check_drift.seasonal),
    )
    tally = engine.tally(table.parts, work, config.check_drift.engine, config.check_drift.dask_address)
    if not tally.windows:
        raise ConfigError(f"{_HERE}.reference: {table.location}: has no rows; name a table that has some")
    profile = Profile(
        columns=columns,
        counted=tally.whole(),
        span=(tally.first, tally.last),
        season=config.check_drift.seasonal,
        seasons=tally.windows if work.by_season else {},
        made={"clock": family(table.types[work.time]).replace("text", "time") if work.time else None},
    )
    found = _of_profile(profile, "table", table.location)
    return Reference(profile=profile, table=table, importance=None, described=found.described)


_LAST: Final = build.probability("the last class")


def _columns(config: Config, table: rows.Rows) -> tuple[Column, ...]:
    """Lay the grids by a few batches from all over the table."""
    import pyarrow as pa

    roles = _roles(config, table)
    parts = table.parts[:: -(-len(table.parts) // _SAMPLED_PARTS)]
    sample = [next(iter(part.batches([*roles])), None) for part in parts]
    batches = [batch for batch in sample if batch is not None and batch.num_rows]
    if not batches:
        raise ConfigError(f"{_HERE}.reference: {table.location}: has no rows; name a table that has some")
    classes = config.model.task != "regression"
    found = []
    for name, (role, called) in roles.items():
        arrays = [b.column(name) for b in batches if name in b.schema.names]
        values = _joined(arrays) if arrays else pa.nulls(0)
        described = column(called, role, values, categories=classes and role in ("target", "prediction"))
        if described is not None:
            found.append(described)
    return tuple(found)


def _roles(config: Config, table: rows.Rows) -> dict[str, tuple[str, str]]:
    """Return each column of a table with its role and its name in a profile."""
    wanted, data = config.check_drift, config.data
    special = {data.target: ("target", data.target)}
    if wanted.prediction:
        special[wanted.prediction] = ("prediction", build.PREDICTION)
    if wanted.probability:
        special[wanted.probability] = ("probability", _LAST)
    left_out = {data.time_column, wanted.time_column, *data.exclude}
    features = [n for n in (data.features or table.types) if n not in special and n not in left_out]
    missing = [n for n in features if n not in table.types]
    if missing:
        raise ConfigError(
            f"{_HERE}.reference: {table.location}: has no column {', '.join(missing)}; name another table"
        )
    return {n: ("feature", n) for n in features} | {n: r for n, r in special.items() if n in table.types}


def _joined(arrays: "list[pa.Array]") -> "pa.Array":
    import pyarrow as pa

    plain = [a.dictionary_decode() if pa.types.is_dictionary(a.type) else a for a in arrays]
    return pa.concat_arrays(plain)


def _time(config: Config, table: rows.Rows) -> str | None:
    name = config.check_drift.time_column or config.data.time_column
    if name is None or name not in table.types:
        if config.check_drift.seasonal:
            raise ConfigError(f"{_HERE}.seasonal: {table.location} has no time; set {_HERE}.time_column")
        return None
    return name if family(table.types[name]) in ("time", "number", "text") else None
