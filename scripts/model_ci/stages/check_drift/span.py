"""Which time of the rows counts, and in which windows, as the configuration says it in words."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from model_ci.config import Config
from model_ci.data import times
from model_ci.errors import ConfigError
from model_ci.production import rows
from model_ci.profile.profile import Column
from model_ci.profile.sketch import family
from model_ci.stages.check_drift import counting

_HERE: Final = "check-drift"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def work(config: Config, opened: rows.Rows, columns: tuple[Column, ...], names: Mapping[str, str]) -> counting.Work:
    """Say what is counted of the rows; raise ConfigError for a time that they do not have, or that is none."""
    settings = config.check_drift
    time = _time(config, opened)
    needing = [k for k in ("since", "until", "last", "seasonal") if getattr(settings, k)]
    needing += ["windows.every"] if settings.windows.every else []
    if time is None and needing:
        raise ConfigError(
            f"{_HERE}.{needing[0]}: {opened.location} has no time; name its column as {_HERE}.time_column"
        )
    bounded = counting.Work(
        columns=columns,
        names=names,
        time=time,
        since=_tick(settings.since, "since", opened, time),
        until=_tick(settings.until, "until", opened, time),
        every=_length(settings.windows.every, opened, time, "windows.every"),
        season=settings.seasonal,
    )
    if settings.last:
        newest = counting.tally(opened.parts, replace(bounded, columns=(), every=None, season=None)).last
        length = _length(settings.last, opened, time, "last") or 0
        low = None if newest is None else newest - length + 1
        bounded = replace(bounded, since=max(bounded.since or low, low) if low is not None else bounded.since)
    return bounded


def shown(opened: rows.Rows, time: str | None, tick: float | None) -> str | float | None:
    """Write a moment of the rows for people; one that counts in numbers stays one."""
    if tick is None or time is None:
        return None
    if family(opened.types[time]) == "number":
        return tick
    return (_EPOCH + timedelta(microseconds=tick)).isoformat(timespec="milliseconds")


def _time(config: Config, opened: rows.Rows) -> str | None:
    column = config.check_drift.time_column
    if column and column not in opened.types and opened.types:
        there = ", ".join(opened.types)
        raise ConfigError(f"{_HERE}.time_column: {opened.location} has no column {column!r}; there are {there}")
    if column:
        return column
    name = "_time" if opened.is_log else config.data.time_column
    return name if name in opened.types else None


def _tick(text: str | None, key: str, opened: rows.Rows, time: str | None) -> float | None:
    if text is None or time is None:
        return None
    try:
        if family(opened.types[time]) == "number":
            return float(text)
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{_HERE}.{key}: {text!r} is no time of {time}; write ISO 8601, as 2026-03-01T12:00:00"
        ) from None
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) / timedelta(microseconds=1)


def _length(duration: str | None, opened: rows.Rows, time: str | None, key: str) -> float | None:
    if duration is None or time is None:
        return None
    if family(opened.types[time]) == "number":
        raise ConfigError(
            f"{_HERE}.{key}: {duration!r} is a duration, but {time} counts in numbers; name a column of times"
        )
    return times.seconds(duration) * 1e6
