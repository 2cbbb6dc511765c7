"""Which rows count, and which of them are kept from training."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from model_ci.config import Data
from model_ci.data import rowhash
from model_ci.data.scan import Scan
from model_ci.data.times import Clock
from model_ci.errors import ConfigError
from model_ci.terms import WindowKind

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Mask = npt.NDArray[np.bool_]
    Ticks = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A window of time and a border in it, found in the data.

    Rows from `low` on and before `until` count, but of those at `low` not the first `skip`; those from `boundary` on
    are held out. Without a clock every row counts. Without a boundary rows are held out at random.
    """

    data: Data
    seed: int
    clock: Clock | None
    low: Any = None
    skip: int = 0
    until: Any = None
    boundary: Any = None

    @property
    def everything(self) -> bool:
        """Whether no row is left out."""
        return self.low is None and self.until is None

    def roughly(self, lazy: "pl.LazyFrame") -> "pl.LazyFrame":
        """Leave out rows that do not count, while reading; `window` still has to follow."""
        if self.clock is not None and self.low is not None:
            lazy = lazy.filter(self.clock.ticks() >= self.low)
        if self.clock is not None and self.until is not None:
            lazy = lazy.filter(self.clock.ticks() < self.until)
        return lazy

    def window(self, frames: "Iterable[pl.DataFrame]") -> "Iterator[pl.DataFrame]":
        """Yield the rows that count of frames that follow on one another."""
        import numpy as np

        skip = self.skip
        for frame in frames:
            if self.clock is None or self.everything:
                yield frame
                continue
            ticks = _ticks(frame, self.clock)
            keep = np.full(len(ticks), True)
            if self.low is not None:
                keep &= ticks >= self.low
            if self.until is not None:
                keep &= ticks < self.until
            if skip:
                first = ((ticks == self.low) & _labelled(frame, self.data.target)).nonzero()[0][:skip]
                keep[first] = False
                skip -= len(first)
            yield frame.filter(keep)

    def holdout(self, frame: "pl.DataFrame", hashes: "dict[str, rowhash.RowHashes] | None" = None) -> "Mask":
        """Tell of each row that counts whether it is held out.

        At random it is the row's own values that decide, so that a row stays on its side when others come.
        """
        if self.clock is not None and self.boundary is not None:
            return _ticks(frame, self.clock) >= self.boundary  # type: ignore[no-any-return]
        hashes = hashes if hashes is not None else rowhash.of_columns(frame)
        return rowhash.shares(rowhash.of_rows(hashes, hashes, self.seed)) < self.data.holdout.share

    def as_record(self) -> dict[str, Any]:
        """Return how the rows were chosen, as it stands in a run's record."""
        window, holdout = self.data.window, self.data.holdout
        shown = self.clock.shown if self.clock else str
        return {
            "window": {"kind": window.kind, "last": window.last, "start": window.start},
            "until": self.data.until,
            "holdout": {"by": holdout.by, "last": holdout.last, "share": None if holdout.last else holdout.share},
            "boundary": None if self.boundary is None else shown(self.boundary),
        }


def find(data: Data, scan: Scan, seed: int, frame: "pl.DataFrame | None" = None) -> Cut:
    """Find the cut in the rows of `scan`, or in `frame` when they have been read already.

    Raises ConfigError when no row is left, or all are on one side.
    """
    if data.time_column is None:
        return Cut(data=data, seed=seed, clock=None)
    clock = Clock(data.time_column, scan.schema[data.time_column])
    rows = _times(data, scan, clock, frame)
    where = f"{scan.source.location}: {data.time_column}"
    until = clock.at(data.until, "data.until") if data.until else None
    ticks = _in_order(rows, data, where, clock, until)
    low, first, skip = _low(ticks, data, clock)
    if first >= len(ticks):
        raise ConfigError(
            f"{where}: no row is at or after data.window.start {data.window.start!r}; "
            f"the newest is of {clock.shown(ticks[-1])}"
        )
    boundary = _boundary(ticks[first:], data, clock, where) if data.holdout.by == "time" else None
    return Cut(data=data, seed=seed, clock=clock, low=low, skip=skip, until=until, boundary=boundary)


def needs_times(data: Data) -> bool:
    """Whether rows are left out by their time, so that it is worth reading the times before the rest."""
    whole = data.window.kind in (WindowKind.ALL, WindowKind.DYNAMIC) and data.window.last is None
    return not whole or data.until is not None


def _times(data: Data, scan: Scan, clock: Clock, frame: "pl.DataFrame | None") -> "pl.DataFrame":
    import polars as pl

    wanted = [clock.ticks().alias("ticks"), pl.col(data.target).is_not_null().alias("labelled")]
    return frame.select(wanted) if frame is not None else scan.collect(scan.lazy().select(wanted))


def _in_order(rows: "pl.DataFrame", data: Data, where: str, clock: Clock, until: Any) -> "Ticks":
    """Return the times of the labelled rows before `until`, sorted."""
    import polars as pl

    timeless = rows["ticks"].null_count()
    if timeless:
        raise ConfigError(f"{where}: {timeless} of {rows.height} rows have no time; add it, or take the rows out")
    if not rows.height:
        raise ConfigError(f"{where}: there are no rows; name a file that has some")
    if until is not None:
        oldest = rows["ticks"].min()
        rows = rows.filter(pl.col("ticks") < until)
        if not rows.height:
            raise ConfigError(
                f"{where}: no row is before data.until {data.until!r}; the oldest is of {clock.shown(oldest)}"
            )
    labelled = rows["ticks"] if rows["labelled"].all() else rows.filter("labelled")["ticks"]
    if not len(labelled):
        raise ConfigError(
            f"{where.rpartition(': ')[0]}: {data.target}: no row has a value of the target; add the labels"
        )
    return labelled.sort().to_numpy()


def _low(ticks: "Ticks", data: Data, clock: Clock) -> tuple[Any, int, int]:
    """Return the window's oldest time, its place in the times, and how many rows of that time do not count."""
    import numpy as np

    window = data.window
    if window.kind == WindowKind.EXPANDING:
        low: Any = clock.at(str(window.start), "data.window.start")
        return low, int(np.searchsorted(ticks, low)), 0
    recent = window.kind in (WindowKind.FIXED, WindowKind.DYNAMIC) and window.last is not None
    if recent and isinstance(window.last, int):
        first = max(len(ticks) - window.last, 0)
        return ticks[first].item(), first, first - int(np.searchsorted(ticks, ticks[first]))
    if recent:
        length = clock.length(str(window.last), "data.window.last")
        first = int(np.searchsorted(ticks, ticks[-1] - length, side="right"))
        return ticks[first].item(), first, 0
    return None, 0, 0


def _boundary(ticks: "Ticks", data: Data, clock: Clock, where: str) -> Any:
    """Return the first time that is held out; rows of one time are never on both sides."""
    import numpy as np

    if data.holdout.last:
        length = clock.length(data.holdout.last, "data.holdout.last")
        first = int(np.searchsorted(ticks, ticks[-1] - length, side="right"))
    else:
        wanted = min(max(round(len(ticks) * (1 - data.holdout.share)), 1), len(ticks) - 1)
        sides = [int(np.searchsorted(ticks, ticks[wanted], side=side)) for side in ("left", "right")]
        first = min((s for s in sides if 0 < s < len(ticks)), key=lambda s: abs(s - wanted), default=0)
    if not 0 < first < len(ticks):
        oldest, newest = clock.shown(ticks[0]), clock.shown(ticks[-1])
        raise ConfigError(
            f"{where}: the {len(ticks)} rows from {oldest} to {newest} cannot be parted into training and holdout by time; "
            "widen data.window, change data.holdout, or give more rows"
        )
    return ticks[first].item()


def _ticks(frame: "pl.DataFrame", clock: Clock) -> "Ticks":
    return frame.select(clock.ticks()).to_series().to_numpy()


def _labelled(frame: "pl.DataFrame", target: str) -> "Mask":
    return frame[target].is_not_null().to_numpy()
