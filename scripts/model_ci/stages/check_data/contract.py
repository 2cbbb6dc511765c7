"""The data contract: a small file, learnt from data and committed, that says what the data must look like."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from model_ci.data import rowhash
from model_ci.data.scan import Scan
from model_ci.errors import ConfigError
from model_ci.files import write_atomically
from model_ci.frozen import dataclass
from model_ci.schema import Document, fill_defaults, load_schema, problems
from model_ci.stages.check_data.repeats import Repeats

if TYPE_CHECKING:
    import polars as pl

_MARGIN: Final = 0.1  # of the range, on both sides
_MAX_VALUES: Final = 50
_MAX_WHOLE: Final = 64
_FEW_WHOLE: Final = 3
_CLOSED: Final = (
    0.25  # of an even share: the least and the greatest of a count are rarer, those of a day or a grade are not
)
_NATURAL: Final = {
    "month": (1, 12), "day": (1, 31), "hour": (0, 23), "minute": (0, 59), "second": (0, 59), "week": (1, 53),
    "weekday": (0, 7), "quarter": (1, 4), "percent": (0, 100), "percentage": (0, 100), "probability": (0, 1),
    "latitude": (-90, 90), "longitude": (-180, 180),
}  # fmt: skip
_NUMBERS: Final = ("integer", "number")
_TIMES: Final = ("date", "time")
_HEAD: Final = """\
# What the data must look like: learnt from {rows} rows of {location} by `model-ci check-data --learn`.
# Mend what it should not allow, and commit it. `model-ci check-data` compares every window of the data with it.
#   type: integer, number, text, boolean, date, time or other      nulls: share of the rows that may have no value
#   min, max: bounds, themselves allowed                           values: the only ones, but for the share unseen
#   duplicates: share of rows that may repeat another row          key: columns that together name a row once
"""


@dataclass(frozen=True, kw_only=True)
class Column:
    """What one column must look like."""

    type: str
    nulls: float
    min: Any
    max: Any
    values: Sequence[str] | None
    unseen: float


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What the data must look like."""

    duplicates: float
    key: Sequence[str]
    columns: Mapping[str, Column]


def read(file: Path, name: str) -> Contract:
    """Read and check the file; raise ConfigError with every problem at once."""
    try:
        document = Document(file.read_text(encoding="utf-8"), name)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}: cannot be read: {error}; make it a readable UTF-8 text file") from None
    messages = list(document.problems)
    if not messages:
        messages = [f"{document.where(path)}: {message}" for path, message in problems(document.value, "contract")]
    if messages:
        raise ConfigError(*messages)
    schema = load_schema("contract")
    values = fill_defaults(document.value, schema, schema)
    kind = schema["$defs"]["column"]
    columns = {name: Column(**fill_defaults(spec, kind, schema)) for name, spec in values["columns"].items()}
    messages = [
        f"{document.where(('columns', n))}: {text}" for n, column in columns.items() for text in _faults(column)
    ]
    messages += [
        f"{document.where(('key', i))}: {column!r} is none of the columns; correct it"
        for i, column in enumerate(values["key"])
        if column not in columns
    ]
    if messages:
        raise ConfigError(*messages)
    return Contract(duplicates=values["duplicates"], key=values["key"], columns=columns)


def write(file: Path, learnt: Mapping[str, Any], *, rows: int, location: str) -> None:
    """Write what was learnt, in a stable order, for people to read and mend."""
    body = yaml.safe_dump(learnt, default_flow_style=None, sort_keys=False, allow_unicode=True, width=math.inf)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, (_HEAD.format(rows=rows, location=location) + "\n" + body).encode())


class Learner:
    """Learns a contract from rows, batch by batch.

    Of the columns `unused` by the model only the type is agreed on, and the first that names each row is the key:
    they are mostly numbers and names of cases, and the next rows have others.
    """

    def __init__(self, scan: Scan, unused: Sequence[str] = ()) -> None:
        self._columns = {name: _Seen(name, kind) for name, kind in scan.kinds.items()}
        self._unused = unused
        self._rows = Repeats()
        self._keys = {name: Repeats() for name in unused if scan.kinds[name] in ("integer", "text")}
        self.rows = 0

    def add(self, batch: "pl.DataFrame", hashes: Mapping[str, rowhash.RowHashes]) -> None:
        """Take the rows of one batch and the hashes of their values."""
        self.rows += batch.height
        self._rows.add(rowhash.of_rows(hashes, hashes))
        for name, seen in self._columns.items():
            seen.add(batch[name])
        for name, repeats in self._keys.items():
            repeats.add(hashes[name])

    def contract(self) -> dict[str, Any]:
        """Return the contract that the rows keep, with some room."""
        keys = [n for n, r in self._keys.items() if not self._columns[n].nulls and not r.count()]
        return {
            "duplicates": _room(self._rows.count(), self.rows),
            "key": keys[:1],
            "columns": {n: seen.column(self.rows, bounds=n not in self._unused) for n, seen in self._columns.items()},
        }


class _Seen:
    """What one column has held so far."""

    def __init__(self, name: str, kind: str) -> None:
        self.name, self.kind, self.nulls = name, kind, 0
        self.low: Any = None
        self.high: Any = None
        self.values: set[str] | None = set() if kind == "text" else None
        self.counts: Counter[int] | None = Counter() if kind == "integer" else None

    def add(self, column: "pl.Series") -> None:
        self.nulls += column.null_count()
        if self.values is not None:
            self.values |= set(column.unique().drop_nulls())
            if len(self.values) > _MAX_VALUES:
                self.values = None
        if self.counts is not None:
            self.counts = self._counted(column.drop_nulls(), self.counts)
        if self.kind in _NUMBERS:
            column = column.filter(column.is_finite())
        if self.kind in (*_NUMBERS, *_TIMES) and (low := column.min()) is not None:
            high: Any = column.max()
            self.low = low if self.low is None else min(self.low, low)
            self.high = high if self.high is None else max(self.high, high)

    def column(self, rows: int, *, bounds: bool) -> dict[str, Any]:
        learnt: dict[str, Any] = {"type": self.kind, "nulls": _room(self.nulls, rows)}
        if not bounds:
            return learnt
        if self.low is not None and self.kind in _NUMBERS:
            learnt |= self._natural() or _bounds(self.low, self.high, whole=self.kind == "integer")
        elif self.low is not None:
            # A month of new data must pass, so times have no upper bound.
            learnt["min"] = (self.low.date() if isinstance(self.low, datetime) else self.low).isoformat()
        if self.values and len(self.values) <= rows / 2:
            learnt |= {"values": sorted(self.values), "unseen": 0}
        return learnt

    def _counted(self, values: "pl.Series", counts: "Counter[int]") -> "Counter[int] | None":
        """Add the values to the counts; None where they are too many for a closed set."""
        if values.n_unique() > _MAX_WHOLE:
            return None
        counts.update(dict(values.alias("value").value_counts(name="rows").iter_rows()))
        return counts if len(counts) <= _MAX_WHOLE else None

    def _natural(self) -> dict[str, Any] | None:
        """Return bounds that no next row will pass: of a number that its name explains, or whose values are a closed set."""
        words = re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", self.name).lower())
        for word, (low, high) in _NATURAL.items():
            if word in words and low <= self.low and self.high <= high:
                return {"min": low, "max": high}
        if not self.counts or len(self.counts) != self.high - self.low + 1 or len(self.counts) < _FEW_WHOLE:
            return None
        even = self.counts.total() / len(self.counts)
        rare = min(self.counts[self.low], self.counts[self.high])
        return {"min": self.low, "max": self.high} if rare >= even * _CLOSED else None


def _room(count: int, rows: int) -> float:
    """Return the share, with some room above it; none stays none."""
    if not count:
        return 0
    part = count / rows
    return min(1, math.ceil((part + max(_MARGIN * part, 0.01)) * 1000) / 1000)


def _bounds(low: float, high: float, *, whole: bool) -> dict[str, float]:
    margin = _MARGIN * (high - low)
    least, most = low - margin, high + margin
    # What was never negative is mostly a count, a length or a price.
    least, most = (max(least, 0) if low >= 0 else least), (min(most, 0) if high <= 0 else most)
    if whole:
        return {"min": math.ceil(least), "max": math.floor(most)}
    return {"min": _outward(least, math.floor, margin), "max": _outward(most, math.ceil, margin)}


def _outward(bound: float, rounded: Any, margin: float) -> float:
    """Round a bound away from the range, to digits that the margin makes meaningful."""
    if not margin or not math.isfinite(margin):
        return bound
    digits = 1 - math.floor(math.log10(margin))
    return float(round(rounded(bound * 10.0**digits) / 10.0**digits, max(digits, 0)))


def _faults(column: Column) -> list[str]:
    """Tell what a schema cannot: bounds of the wrong kind, or that nothing can be within."""
    faults = []
    bounds = {key: bound for key in ("min", "max") if (bound := getattr(column, key)) is not None}
    expected = "a number" if column.type in _NUMBERS else "a time, in ISO 8601" if column.type in _TIMES else None
    for key, bound in bounds.items():
        if expected is None:
            faults.append(f"{key}: {column.type} has no bounds; take it out")
        elif isinstance(bound, str) is (column.type in _NUMBERS) or (isinstance(bound, str) and not _is_time(bound)):
            faults.append(f"{key}: must be {expected}. Got {bound!r}.")
    if not faults and len(bounds) == 2 and bounds["min"] > bounds["max"]:
        faults.append(f"min {column.min} is above max {column.max}; nothing can pass")
    if column.values is not None and column.type != "text":
        faults.append(f"values: are for text, and this is {column.type}; take them out")
    return faults


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
