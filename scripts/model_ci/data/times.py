"""Times: how they are written as text, and how they count as numbers."""

import math
import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from model_ci.errors import ConfigError
from model_ci.frozen import dataclass

if TYPE_CHECKING:
    import polars as pl

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DATE: Final = "%Y-%m-%d"
_ISO: Final = re.compile(r"\d{4}-\d\d-\d\d(?:([T ])\d\d:\d\d(:\d\d(?:\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True, kw_only=True)
class Writing:
    """How times are written as text: the format of strptime, and the type that holds them."""

    format: str
    zoned: bool = False
    dated: bool = False  # dates without a time of the day

    @property
    def dtype(self) -> "pl.Date | pl.Datetime":
        """The type that holds the times."""
        import polars as pl

        return pl.Date() if self.dated else pl.Datetime("us", "UTC" if self.zoned else None)

    def parse(self, column: "pl.Expr") -> "pl.Expr":
        """Read text; null where it is not written like this."""
        text = column.str.strip_chars()
        if self.zoned:
            text = text.str.replace("Z$", "+00:00")
        return text.str.strptime(self.dtype, self.format, strict=False)


def writing(text: str) -> Writing | None:
    """Recognize how a time is written; None when it is no ISO 8601."""
    match = _ISO.fullmatch(text.strip())
    if match is None:
        return None
    between, seconds, zone = match.groups()
    if between is None:
        return Writing(format=_DATE, dated=True)
    clock = "%H:%M:%S%.f" if seconds else "%H:%M"
    return Writing(format=f"{_DATE}{between}{clock}{'%#z' if zone else ''}", zoned=bool(zone))


def declared(form: str) -> Writing:
    """Return the writing of a format of strptime's; one without hours is of dates."""
    return Writing(format=form, zoned="%z" in form or "%#z" in form, dated=not re.search(r"%[HIRTcs+]", form))


def zone(name: str | None) -> tzinfo:
    """Return the zone of that name; UTC, which is also for times without a zone, needs no table of zones."""
    return ZoneInfo(name) if name not in (None, "UTC") else UTC


class Clock:
    """Counts the times of one column: microseconds since 1970 for dates and times, the numbers themselves for numbers."""

    def __init__(self, column: str, dtype: "pl.DataType") -> None:
        import polars as pl

        self.column = column
        self.numbers = dtype in (pl.Int64, pl.Float64)
        self._dates = dtype == pl.Date
        self._zone: str | None = getattr(dtype, "time_zone", None)
        if not (self.numbers or self._dates or isinstance(dtype, pl.Datetime)):
            raise ConfigError(
                f"data.time_column: {column} holds {dtype}, which is no time; name a column of dates, times or numbers"
            )

    def ticks(self) -> "pl.Expr":
        """Return the column as the numbers that it counts in."""
        import polars as pl

        column = pl.col(self.column)
        if self.numbers:
            return pl.when(column.is_finite()).then(column)
        return column.cast(pl.Datetime("us", self._zone)).cast(pl.Int64)

    def at(self, text: str, key: str) -> float:
        """Count a time that the configuration names under `key`; raise ConfigError when it is none."""
        if self.numbers:
            return self._number(text, key)
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError:
            raise ConfigError(f"{key}: {text!r} is no time; write ISO 8601, such as 2013-07-01T12:00:00") from None
        if moment.tzinfo is not None and self._zone is None:
            raise ConfigError(f"{key}: {text!r} has a zone, but the times of {self.column} have none; leave it out")
        return _microseconds((moment if moment.tzinfo else moment.replace(tzinfo=zone(self._zone))) - _EPOCH)

    def length(self, duration: str, key: str) -> float:
        """Count a duration such as 30d; raise ConfigError for times that are numbers, which have no unit."""
        if self.numbers:
            raise ConfigError(
                f"{key}: {duration!r} is a duration, but {self.column} counts in numbers without a unit; "
                "give a number of rows or a share, or make the column a date"
            )
        return seconds(duration) * 1e6

    def shown(self, tick: Any) -> Any:
        """Write what was counted as it stands in a record: ISO 8601, or the number."""
        if self.numbers:
            return int(tick) if float(tick).is_integer() else float(tick)
        moment = _EPOCH + timedelta(microseconds=int(tick))
        if self._dates:
            return date.isoformat(moment.date())
        return (moment.astimezone(zone(self._zone)) if self._zone else moment.replace(tzinfo=None)).isoformat()

    def _number(self, text: str, key: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise ConfigError(f"{key}: {text!r} is no number, but {self.column} counts in numbers; write a number")
        return number


def seconds(duration: str) -> int:
    """Count the seconds of a duration such as 30d."""
    return int(duration[:-1]) * _SECONDS[duration[-1]]


def _microseconds(duration: timedelta) -> float:
    return duration // timedelta(microseconds=1)
