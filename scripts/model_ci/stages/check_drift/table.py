"""A table that is named as the reference: which of its columns are watched, and the profile of its rows."""

from typing import TYPE_CHECKING, Final

from model_ci.config import Config
from model_ci.errors import ConfigError
from model_ci.production import rows
from model_ci.profile import build
from model_ci.profile.profile import Column, Profile, column
from model_ci.profile.sketch import family
from model_ci.stages.check_drift import counting

if TYPE_CHECKING:
    import pyarrow as pa

_SAMPLED_PARTS: Final = 8
_HERE: Final = "check-drift"
_LAST: Final = build.probability("the last class")


def profiled(config: Config, table: rows.Rows) -> Profile:
    """Count a table's rows; raise ConfigError when it has none, or not the model's columns."""
    columns = _columns(config, table)
    work = counting.Work(
        columns=columns,
        names={build.PREDICTION: str(config.check_drift.prediction), _LAST: str(config.check_drift.probability)},
        season=config.check_drift.seasonal,
        time=_time(config, table),
        by_season=bool(config.check_drift.seasonal),
    )
    tally = counting.tally(table.parts, work, config.check_drift.engine, config.check_drift.dask_address)
    if not tally.windows:
        raise ConfigError(f"{_HERE}.reference: {table.location}: has no rows; name a table that has some")
    return Profile(
        columns=columns,
        counted=tally.whole(),
        span=(tally.first, tally.last),
        season=config.check_drift.seasonal,
        seasons=tally.windows if work.by_season else {},
        made={"clock": family(table.types[work.time]).replace("text", "time") if work.time else None},
    )


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
    columns = []
    for name, (role, called) in roles.items():
        arrays = [b.column(name) for b in batches if name in b.schema.names]
        values = _joined(arrays) if arrays else pa.nulls(0)
        described = column(called, role, values, categories=classes and role in ("target", "prediction"))
        if described is not None:
            columns.append(described)
    return tuple(columns)


def _roles(config: Config, table: rows.Rows) -> dict[str, tuple[str, str]]:
    """Return each column of a table with its role and its name in a profile."""
    settings, data = config.check_drift, config.data
    special = {data.target: ("target", data.target)}
    if settings.prediction:
        special[settings.prediction] = ("prediction", build.PREDICTION)
    if settings.probability:
        special[settings.probability] = ("probability", _LAST)
    left_out = {data.time_column, settings.time_column, *data.exclude}
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
