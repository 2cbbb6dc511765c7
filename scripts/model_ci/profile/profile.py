"""The profile of the rows that a model learnt from: small, without any of the rows, and of parts that add up."""

import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Final

from model_ci.errors import ConfigError
from model_ci.frozen import dataclass
from model_ci.profile import sketch
from model_ci.profile.grid import Grid, fit
from model_ci.profile.sketch import Categories, CategoriesRecord, Labels, Numbers, NumbersRecord, Sketch

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from model_ci.types import Settings


FOLDER: Final = "profile"  # of the run
FILE: Final = "profile.json.gz"
VERSION: Final = 1
_SEASON_BINS: Final = 512
_SEASON_CATEGORIES: Final = 200
LABELS: Final = ("target", "prediction")  # roles of columns that may hold classes
_NUMBERS_OF: Final = ("number", "time")


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column that is watched: its name in the rows, what it is to the model, and how it is counted."""

    name: str
    role: str
    family: str  # of its values, see sketch.family
    grid: Grid | None = None  # None: categories

    def empty(self) -> Sketch:
        """Return the sketch of no rows."""
        if self.grid is not None:
            return Numbers.empty(self.grid)
        return self._categories()

    def write(self, value: object) -> str:
        """Return the name under which a category is counted."""
        return self._categories().write(value)

    def _categories(self) -> Categories:
        return Labels() if self.role in LABELS else Categories()


class Stored(Mapping[str, Sketch]):
    """Sketches as they are written, unpacked when they are asked for: one takes up 650 kB while it counts, and few at rest."""

    def __init__(self, records: "Mapping[str, NumbersRecord | CategoriesRecord]") -> None:
        self.records = records

    @classmethod
    def of(cls, columns: "Iterable[tuple[Column, pa.Array]]") -> "Stored":
        """Count whole columns, one at a time."""
        records = {}
        for column, values in columns:
            counted = column.empty()
            counted.add(values)
            records[column.name] = _small(counted)
        return cls(records)

    def __getitem__(self, name: str) -> Sketch:
        return sketch.from_record(self.records[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)


@dataclass(kw_only=True)
class Counted:
    """What was counted of some rows: a sketch a column."""

    rows: int
    sketches: Mapping[str, Sketch]

    @classmethod
    def of(cls, columns: Iterable[Column]) -> "Counted":
        """Return the count of no rows."""
        return cls(rows=0, sketches={column.name: column.empty() for column in columns})

    def add(self, batch: "pa.RecordBatch", names: Mapping[str, str] | None = None) -> None:
        """Count a batch's rows; `names` says what a column is called there. Columns that it has not stay as they are."""
        self.rows += batch.num_rows
        for name, counted in self.sketches.items():
            at = batch.schema.get_field_index(names.get(name, name) if names else name)
            if at >= 0:
                counted.add(batch.column(at))

    def merge(self, other: "Counted") -> "Counted":
        """Return the count of both parts' rows."""
        both = {name: sketch.merged(s, other.sketches[name]) for name, s in self.sketches.items()}
        return Counted(rows=self.rows + other.rows, sketches=both)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What rows are like, and which time they are of; `seasons` holds the same for each month (1-12) or weekday (1-7)."""

    columns: Sequence[Column]
    counted: Counted
    span: tuple[float | None, float | None] = (None, None)  # microseconds since 1970, or the numbers themselves
    season: str | None = None
    seasons: Mapping[int, Counted] = field(default_factory=dict)
    made: "Settings" = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """The rows that were counted."""
        return self.counted.rows

    def reference(self, mixture: Mapping[int, float] | None) -> Mapping[str, Sketch]:
        """Return each column's sketch; with shares of seasons, mixed as those say, of the seasons that are known."""
        known = {season: share for season, share in (mixture or {}).items() if season in self.seasons}
        if not known:
            return self.counted.sketches
        total = sum(known.values())
        mixed = dict(self.counted.sketches)
        for column in self.columns:
            parts = [(self.seasons[s].sketches.get(column.name), share / total) for s, share in known.items()]
            there = [(part, share) for part, share in parts if part is not None and part.rows + part.nulls > 0]
            if there and column.role in ("feature", "target"):
                mixed[column.name] = sketch.blended(there)
        return mixed

    def merge(self, other: "Profile") -> "Profile":
        """Return the profile of both parts' rows; raise ValueError when they do not count the same columns alike."""
        if [(c.name, c.role) for c in self.columns] != [(c.name, c.role) for c in other.columns]:
            raise ValueError("profiles of different columns cannot be added up")
        seasons = {
            s: self.seasons[s].merge(other.seasons[s])
            if s in self.seasons and s in other.seasons
            else (self.seasons.get(s) or other.seasons[s])
            for s in sorted(self.seasons.keys() | other.seasons.keys())
        }
        lows, highs = zip(self.span, other.span, strict=True)
        return replace(
            self,
            counted=self.counted.merge(other.counted),
            span=(_extreme(lows, min), _extreme(highs, max)),
            seasons=seasons,
        )

    def to_bytes(self) -> bytes:
        """Write the profile, coarsened to what is kept; the same profile gives the same bytes."""
        text = json.dumps(self._record(), separators=(",", ":"), allow_nan=False)
        return gzip.compress(text.encode(), compresslevel=6, mtime=0)

    @classmethod
    def from_bytes(cls, content: bytes, where: str) -> "Profile":
        """Read what `to_bytes` wrote; raise ConfigError when it is none, or of another version."""
        try:
            record = json.loads(gzip.decompress(content))
            version = record["schema_version"]
            return cls._read(record) if version == VERSION else _refuse(where, f"is of version {version}")
        except (OSError, EOFError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            return _refuse(where, f"is no profile: {error}")

    def _record(self) -> dict[str, object]:
        columns = [
            {"name": c.name, "role": c.role, "family": c.family, **_small(self.counted.sketches[c.name])}
            for c in self.columns
        ]
        return {
            "schema_version": VERSION,
            "made": dict(self.made),
            "rows": self.rows,
            "span": list(self.span),
            "columns": columns,
            "season": self.season,
            "seasons": {
                str(season): {
                    "rows": counted.rows,
                    "columns": {
                        name: _small(s, _SEASON_BINS, _SEASON_CATEGORIES) for name, s in counted.sketches.items()
                    },
                }
                for season, counted in sorted(self.seasons.items())
            },
        }

    @classmethod
    def _read(cls, record: "Settings") -> "Profile":
        columns = [
            Column(name=c["name"], role=c["role"], family=c["family"], grid=Grid(**c["grid"]) if "grid" in c else None)
            for c in record["columns"]
        ]
        seasons = {
            int(season): Counted(rows=part["rows"], sketches=Stored(part["columns"]))
            for season, part in record["seasons"].items()
        }
        first, last = record["span"]
        return cls(
            columns=columns,
            counted=Counted(rows=record["rows"], sketches=Stored({c["name"]: c for c in record["columns"]})),
            span=(first, last),
            season=record["season"],
            seasons=seasons,
            made=record["made"],
        )


def column(name: str, role: str, values: "pa.Array", *, categories: bool = False) -> Column | None:
    """Describe how a column like these values is to be counted; None for values that cannot be.

    Numbers that are classes are counted as `categories`.
    """
    import numpy as np

    family = sketch.family(values.type)
    if family == "other":
        return None
    if categories or family not in _NUMBERS_OF:
        return Column(name=name, role=role, family="text" if family == "null" else family)
    numbers = sketch.as_floats(values)
    return Column(name=name, role=role, family=family, grid=fit(numbers[np.isfinite(numbers)]))


def of_season(ticks: "NDArray[np.int64]", season: str) -> "NDArray[np.int64]":
    """Return the month (1-12) or weekday (1-7, Monday first) of microseconds since 1970."""
    import numpy as np

    if season == "month":
        months = ticks.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)
        return months % 12 + 1
    days = ticks // 86_400_000_000
    return (days + 3) % 7 + 1


def by_group(batch: "pa.RecordBatch", groups: "NDArray[np.int64]") -> "Iterator[tuple[int, pa.RecordBatch]]":
    """Part a batch by its rows' groups."""
    import numpy as np

    for group in np.unique(groups).tolist():
        yield group, batch.filter(sketch.mask(groups == group))


def _small(
    counted: Sketch, bins: int = sketch.MAX_BINS, categories: int = sketch.MAX_CATEGORIES
) -> "NumbersRecord | CategoriesRecord":
    small = counted.small(bins) if isinstance(counted, Numbers) else counted.small(categories)
    return small.as_record()


def _extreme(values: Iterable[float | None], choose: Callable[[Iterable[float]], float]) -> float | None:
    known = [value for value in values if value is not None]
    return choose(known) if known else None


def _refuse(where: str, what: str) -> "Profile":
    raise ConfigError(f"{where}: {what}; train again with this version of model-ci, or name another reference")
