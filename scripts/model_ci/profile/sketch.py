"""What one column is like, in little room: counts by bin, or by category. Sketches of parts add up to that of the whole."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypedDict

from model_ci.profile.grid import Grid
from model_ci.serving import classes

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from model_ci.types import Array

MAX_BINS: Final = 4096  # of a number that is kept
MAX_CATEGORIES: Final = 1000  # of a column that is kept
_MAX_DISTINCT: Final = 50_000  # while counting
_FLOATS: Final = {"double": "float64", "float": "float32", "halffloat": "float16"}  # as Arrow calls them


class GridRecord(TypedDict):
    """A grid as it is written."""

    center: float
    scale: float
    bits: int


class NumbersRecord(TypedDict):
    """A sketch of numbers as it is written."""

    kind: Literal["number"]
    nulls: int
    infinite: int
    min: float | None
    max: float | None
    grid: GridRecord
    bins: Sequence[int]
    counts: Sequence[int]


class CategoriesRecord(TypedDict):
    """A sketch of categories as it is written."""

    kind: Literal["category"]
    nulls: float
    counts: Mapping[str, int]
    rest: float
    others: int


@dataclass(kw_only=True)
class Numbers:
    """A column of numbers: `counts` by bin of the grid, all bins, lowest first. It holds no value of any row but the extremes."""

    grid: Grid
    counts: "Array"
    nulls: float = 0
    infinite: float = 0
    low: float | None = None
    high: float | None = None

    @classmethod
    def empty(cls, grid: Grid) -> Self:
        """Return the sketch of no rows."""
        import numpy as np

        return cls(grid=grid, counts=np.zeros(2 * grid.side, dtype=np.int64))

    @property
    def rows(self) -> float:
        """The rows that have a value."""
        return float(self.counts.sum())

    @property
    def moments(self) -> tuple[float, float] | None:
        """Mean and standard deviation, to half a bin; None without a value."""
        bins = self.counts.nonzero()[0]
        if not len(bins):
            return None
        weights, middles = self.counts[bins] / self.counts.sum(), self.grid.middles(bins)
        mean = float(weights @ middles)
        return mean, float((weights @ (middles - mean) ** 2) ** 0.5)

    def add(self, column: "pa.Array") -> None:
        """Count a column's values; NaN is a null."""
        import numpy as np

        self.nulls += column.null_count
        values = as_floats(column)
        if not len(values):
            return
        low, high = float(values.min()), float(values.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            self.nulls += int(np.isnan(values).sum())
            self.infinite += int(np.isinf(values).sum())
            values = values[np.isfinite(values)]
            if not len(values):
                return
            low, high = float(values.min()), float(values.max())
        self.grid.count(values, self.counts)
        self._reach(low, high)

    def merge(self, other: "Numbers") -> "Numbers":
        """Return the sketch of both columns' rows, in the coarser of the two grids."""
        bits = min(self.grid.bits, other.grid.bits)
        mine, theirs = self.coarser(bits), other.coarser(bits)
        if mine.grid != theirs.grid:
            raise ValueError("sketches on different grids cannot be added up")
        both = replace(
            mine,
            counts=mine.counts + theirs.counts,
            nulls=self.nulls + other.nulls,
            infinite=self.infinite + other.infinite,
        )
        if other.low is not None and other.high is not None:
            both._reach(other.low, other.high)
        return both

    def coarser(self, bits: int) -> "Numbers":
        """Return the same in the grid of so many bits."""
        import numpy as np

        if bits == self.grid.bits:
            return replace(self)
        grid = replace(self.grid, bits=bits)
        bins = self.counts.nonzero()[0]
        counts = np.bincount(self.grid.coarser(bins, bits), weights=self.counts[bins], minlength=2 * grid.side)
        return replace(self, grid=grid, counts=counts.astype(self.counts.dtype))

    def small(self, most: int = MAX_BINS) -> "Numbers":
        """Return the same in the finest grid that needs no more than so many bins."""
        coarse = self
        while int((coarse.counts > 0).sum()) > most:
            coarse = coarse.coarser(coarse.grid.bits - 1)
        return coarse

    def as_record(self) -> "NumbersRecord":
        """Return it as JSON: bins by their distance to the one before."""
        import numpy as np

        bins = self.counts.nonzero()[0]
        grid: GridRecord = {"center": self.grid.center, "scale": self.grid.scale, "bits": self.grid.bits}
        return {
            "kind": "number",
            "nulls": int(self.nulls),
            "infinite": int(self.infinite),
            "min": self.low,
            "max": self.high,
            "grid": grid,
            "bins": np.diff(bins, prepend=0).tolist(),
            "counts": self.counts[bins].tolist(),
        }

    @classmethod
    def from_record(cls, record: "NumbersRecord") -> Self:
        """Read what `as_record` wrote."""
        import numpy as np

        numbers = cls.empty(Grid(**record["grid"]))
        numbers.counts[np.cumsum(np.array(record["bins"], dtype=np.int64))] = record["counts"]
        numbers.nulls, numbers.infinite = record["nulls"], record["infinite"]
        numbers.low, numbers.high = record["min"], record["max"]
        return numbers

    def _reach(self, low: float, high: float) -> None:
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)


@dataclass(kw_only=True)
class Categories:
    """A column of categories: `counts` by name; `rest` counts the rows of the `others` that are too many to be named."""

    counts: Counter[str] = field(default_factory=Counter)
    nulls: float = 0
    rest: float = 0
    others: int = 0

    @property
    def rows(self) -> float:
        """The rows that have a value."""
        return self.counts.total() + self.rest

    @staticmethod
    def write(value: Any) -> str:
        """Return the name under which a value is counted."""
        return text(value)

    def add(self, column: "pa.Array") -> None:
        """Count a column's values."""
        import numpy as np
        import pyarrow as pa

        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        self.nulls += column.null_count
        codes = plain(column.indices.drop_null())
        named = column.dictionary.to_pylist()
        for code, count in enumerate(np.bincount(codes, minlength=len(named)).tolist()):
            if count and (named[code] is None or named[code] != named[code]):
                self.nulls += count
            elif count:
                self._add(self.write(named[code]), count)

    def merge(self, other: "Categories") -> "Categories":
        """Return the sketch of both columns' rows: exact unless there are too many categories to be named."""
        both = replace(
            self,
            counts=Counter(self.counts),
            nulls=self.nulls + other.nulls,
            rest=self.rest + other.rest,
            others=self.others + other.others,
        )
        for name, count in other.counts.items():
            both._add(name, count)
        return both

    def small(self, most: int = MAX_CATEGORIES) -> "Categories":
        """Return the same with only the most frequent categories named."""
        ranked = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        rest = sum(count for _, count in ranked[most:])
        others = self.others + len(ranked[most:])
        return replace(self, counts=Counter(dict(ranked[:most])), rest=self.rest + rest, others=others)

    def as_record(self) -> "CategoriesRecord":
        """Return it as JSON."""
        ranked = dict(sorted(self.counts.items(), key=lambda item: (-item[1], item[0])))
        return {"kind": "category", "nulls": self.nulls, "counts": ranked, "rest": self.rest, "others": self.others}

    @classmethod
    def from_record(cls, record: "CategoriesRecord") -> Self:
        """Read what `as_record` wrote."""
        return cls(
            counts=Counter(record["counts"]), nulls=record["nulls"], rest=record["rest"], others=record["others"]
        )

    def _add(self, name: str, count: int) -> None:
        if name in self.counts or len(self.counts) < _MAX_DISTINCT:
            self.counts[name] += count
        else:
            self.rest += count
            self.others += 1


class Labels(Categories):
    """A column of classes, counted by the names of the classes, whichever types the values have."""

    @staticmethod
    def write(value: Any) -> str:
        """Return the name of the class."""
        return str(classes.name(value))


Sketch = Numbers | Categories


def from_record(record: "NumbersRecord | CategoriesRecord") -> Sketch:
    """Read a sketch of either kind."""
    return Numbers.from_record(record) if record["kind"] == "number" else Categories.from_record(record)


def merged(one: Sketch, other: Sketch) -> Sketch:
    """Return the sketch of both columns' rows; raise ValueError for sketches of two kinds."""
    if isinstance(one, Numbers) and isinstance(other, Numbers):
        return one.merge(other)
    if isinstance(one, Categories) and isinstance(other, Categories):
        return one.merge(other)
    raise ValueError("numbers and categories cannot be added up")


def blended(parts: list[tuple[Sketch, float]]) -> Sketch:
    """Return parts mixed by the given shares, as of as many rows as the mixture tells as much as (Kish's effective size)."""
    parts = [(part, share) for part, share in parts if share > 0 and part.rows + part.nulls > 0]
    size = 1 / sum(share**2 / (part.rows + part.nulls) for part, share in parts)
    scaled = [_scaled(part, size * share / (part.rows + part.nulls)) for part, share in parts]
    mixture = scaled[0]
    for part in scaled[1:]:
        mixture = merged(mixture, part)
    return mixture


def family(dtype: "pa.DataType") -> str:
    """Return what a type's values are: number, text, boolean, time, null (no value at all), or other."""
    import pyarrow as pa

    kinds = pa.types
    if kinds.is_dictionary(dtype):
        return family(dtype.value_type)
    if kinds.is_integer(dtype) or kinds.is_floating(dtype) or kinds.is_decimal(dtype):
        return "number"
    if kinds.is_string(dtype) or kinds.is_large_string(dtype) or str(dtype) == "string_view":
        return "text"
    if kinds.is_boolean(dtype):
        return "boolean"
    if kinds.is_temporal(dtype) and not kinds.is_duration(dtype) and not kinds.is_time(dtype):
        return "time"
    return "null" if kinds.is_null(dtype) else "other"


def as_floats(column: "pa.Array") -> "NDArray[np.float64]":
    """Return the values that are there as doubles; times as microseconds since 1970."""
    import numpy as np
    import pyarrow as pa

    if column.null_count:
        column = column.drop_null()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.timestamp("us", getattr(column.type, "tz", None))).cast(pa.int64())
    elif pa.types.is_decimal(column.type) or pa.types.is_boolean(column.type) or pa.types.is_null(column.type):
        column = column.cast(pa.float64())
    return plain(column).astype(np.float64, copy=False)


def plain(column: "pa.Array") -> "Array":
    """Return the numbers of a column without nulls as they lie in memory; Arrow's own way would import pandas."""
    import numpy as np

    kind = np.dtype(_FLOATS.get(str(column.type), str(column.type)))
    data = column.buffers()[1]
    if data is None or not len(column):
        return np.zeros(0, dtype=kind)
    return np.frombuffer(data, dtype=kind, count=len(column), offset=column.offset * kind.itemsize)


def mask(keep: "NDArray[np.bool_]") -> "pa.Array":
    """Return Arrow's form of a mask; its own way would import pandas."""
    import numpy as np
    import pyarrow as pa

    bits = pa.py_buffer(np.packbits(keep, bitorder="little").tobytes())
    return pa.Array.from_buffers(pa.bool_(), len(keep), [None, bits])


def text(value: object) -> str:
    """Write a category's value, the same whichever file it came from."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _scaled(part: Sketch, factor: float) -> Sketch:
    if isinstance(part, Numbers):
        return replace(part, counts=part.counts * factor, nulls=part.nulls * factor, infinite=part.infinite * factor)
    counts: Any = {name: count * factor for name, count in part.counts.items()}
    return replace(part, counts=Counter(counts), nulls=part.nulls * factor, rest=part.rest * factor)
