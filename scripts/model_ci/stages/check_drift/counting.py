"""Where parts of the rows are counted: here one after the other, or on Dask's workers; the sums are the same."""

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Protocol

from model_ci.errors import ConfigError, ServiceError
from model_ci.frozen import dataclass
from model_ci.profile.profile import Column, Counted, by_group, of_season
from model_ci.profile.sketch import as_floats, family, mask

if TYPE_CHECKING:
    import distributed
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from model_ci.types import Array


class Part(Protocol):
    """Some of the rows, to be read anywhere."""

    def batches(self, columns: Sequence[str]) -> "Iterator[pa.RecordBatch]":
        """Yield the part's rows with those of the columns that it has."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is counted: which columns under which names, of which times, in which groups."""

    columns: tuple[Column, ...]
    names: Mapping[str, str]  # of the columns, in the rows
    time: str | None = None
    since: float | None = None
    until: float | None = None
    every: float | None = None  # length of a group, in the units of the time
    season: str | None = None
    by_season: bool = False  # let the groups be the seasons themselves

    @property
    def read(self) -> list[str]:
        """The columns that must be read."""
        columns = [self.names.get(column.name, column.name) for column in self.columns]
        return [*dict.fromkeys([*columns, *([self.time] if self.time else [])])]


@dataclass(kw_only=True)
class Tally:
    """The counts of some rows: by window and, where asked, how many of its rows are of which season."""

    windows: dict[int, Counted]
    seasons: dict[int, dict[int, int]]
    first: float | None = None
    last: float | None = None
    backwards: int = 0  # rows that are older than the one before them

    def whole(self) -> Counted:
        """Return the counts of all windows together."""
        return reduce(Counted.merge, self.windows.values())

    def merge(self, other: "Tally") -> "Tally":
        """Return the counts of both."""
        windows = dict(self.windows)
        for key, counted in other.windows.items():
            windows[key] = windows[key].merge(counted) if key in windows else counted
        seasons = {key: dict(tally) for key, tally in self.seasons.items()}
        for key, tally in other.seasons.items():
            mine = seasons.setdefault(key, {})
            for season, rows in tally.items():
                mine[season] = mine.get(season, 0) + rows
        firsts = [t for t in (self.first, other.first) if t is not None]
        lasts = [t for t in (self.last, other.last) if t is not None]
        return Tally(
            windows=windows,
            seasons=seasons,
            first=min(firsts, default=None),
            last=max(lasts, default=None),
            backwards=self.backwards + other.backwards,
        )


def tally(parts: Sequence[Part], work: Work, engine: str = "local", address: str | None = None) -> Tally:
    """Count all parts' rows; raise ConfigError for an engine that is not installed, ServiceError for one that fails."""
    if engine == "dask":
        return _on_dask(parts, work, address)
    return reduce(Tally.merge, (count(part, work) for part in parts), Tally(windows={}, seasons={}))


def count(part: Part, work: Work) -> Tally:
    """Count one part's rows."""
    tally = Tally(windows={}, seasons={})
    for batch in part.batches(work.read):
        _add(tally, batch, work)
    return tally


def within(batch: "pa.RecordBatch", work: Work) -> "pa.RecordBatch":
    """Return those rows of a batch that are of the time that counts."""
    ticks = _ticks(batch, work)
    return batch if ticks is None else _inside(batch, ticks, work)[0]


def _add(tally: Tally, batch: "pa.RecordBatch", work: Work) -> None:
    ticks = _ticks(batch, work)
    if ticks is not None:
        batch, ticks = _inside(batch, ticks, work)
    if not batch.num_rows:
        return
    if ticks is None:
        _window(tally, 0, batch, None, work)
        return
    lowest, highest = float(ticks.min()), float(ticks.max())
    tally.first = lowest if tally.first is None else min(tally.first, lowest)
    tally.backwards += int((ticks[1:] < ticks[:-1]).sum()) + int(tally.last is not None and ticks[0] < tally.last)
    tally.last = highest if tally.last is None else max(tally.last, highest)
    if work.by_season and work.season:
        groups = of_season(ticks.astype("int64"), work.season)
    elif work.every is not None:
        groups = (ticks // work.every).astype("int64")
    else:
        _window(tally, 0, batch, ticks, work)
        return
    for key, rows in by_group(batch, groups):
        _window(tally, key, rows, ticks[groups == key], work)


def _window(tally: Tally, key: int, batch: "pa.RecordBatch", ticks: "Array | None", work: Work) -> None:
    import numpy as np

    if key not in tally.windows:
        tally.windows[key] = Counted.of(work.columns)
    tally.windows[key].add(batch, work.names)
    if work.season and ticks is not None:
        mine = tally.seasons.setdefault(key, {})
        names, rows = np.unique(of_season(ticks.astype(np.int64), work.season), return_counts=True)
        for name, number in zip(names.tolist(), rows.tolist(), strict=True):
            mine[name] = mine.get(name, 0) + number


def _ticks(batch: "pa.RecordBatch", work: Work) -> "NDArray[np.float64] | None":
    import numpy as np

    if work.time is None or batch.schema.get_field_index(work.time) < 0:
        return None
    column = batch.column(batch.schema.get_field_index(work.time))
    if family(column.type) == "text":
        column = _parsed(column, work.time)
    ticks = as_floats(column)
    timeless = batch.num_rows - int(np.isfinite(ticks).sum())
    if timeless:
        raise ConfigError(
            f"{work.time}: {timeless} rows have no time; add it, take the rows out, or name another check-drift.time_column"
        )
    return ticks


def _parsed(column: "pa.Array", name: str) -> "pa.Array":
    """Read times that are written as text, in ISO 8601."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
        try:
            return column.cast(pa.string()).cast(kind)
        except pa.ArrowException:
            continue
    raise ConfigError(f"{name}: holds text that is no time; write ISO 8601, such as 2013-07-01T12:00:00")


def _inside(
    batch: "pa.RecordBatch", ticks: "NDArray[np.float64]", work: Work
) -> "tuple[pa.RecordBatch, NDArray[np.float64]]":
    if work.since is None and work.until is None:
        return batch, ticks
    import numpy as np

    keep = np.full(len(ticks), True)
    if work.since is not None:
        keep &= ticks >= work.since
    if work.until is not None:
        keep &= ticks < work.until
    return batch.filter(mask(keep)), ticks[keep]


def _on_dask(parts: Sequence[Part], work: Work, address: str | None) -> Tally:
    """Count each part on a worker, and add up what comes back, in the parts' order."""
    try:
        import distributed
    except ImportError:
        raise ConfigError(
            "check-drift.engine: dask is not installed; pip install 'model-ci[dask]', or set engine: local"
        ) from None
    try:
        if address:
            with distributed.Client(address, timeout=30) as client:
                return _gather(client, parts, work)
        with distributed.LocalCluster(dashboard_address=None) as cluster, distributed.Client(cluster) as client:
            return _gather(client, parts, work)
    except (OSError, TimeoutError) as error:
        raise ServiceError(
            f"check-drift.dask_address: {address or 'local cluster'}: {error}; see that the scheduler is up"
        ) from None


def _gather(client: "distributed.Client", parts: Sequence[Part], work: Work) -> Tally:
    tallies: list[Tally] = client.gather(client.map(count, parts, work=work, pure=False))
    return reduce(Tally.merge, tallies, Tally(windows={}, seasons={}))
