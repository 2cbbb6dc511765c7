"""Which rows are held out, and which of the others are learnt from."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from model_ci.config import Data
from model_ci.data import rowhash
from model_ci.data.holdout import Sides, stratified
from model_ci.data.scan import HELD_OUT, Scan
from model_ci.data.times import Clock
from model_ci.errors import ConfigError
from model_ci.frozen import dataclass
from model_ci.terms import HoldoutKind, WindowKind

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from model_ci.data.rowhash import RowHashes
    from model_ci.types import JSON

    Mask = npt.NDArray[np.bool_]
    Ticks = npt.NDArray[np.number]

Tick = int | float


@dataclass(frozen=True, kw_only=True)
class Part:
    """Rows that count, in their order, and which of them are held out."""

    rows: "pl.DataFrame"
    held: "Mask"
    known: "dict[str, RowHashes]"

    def hashes(self) -> "dict[str, RowHashes]":
        """Return the hashes of all values, by column."""
        return self.known | rowhash.of_columns(self.rows.drop(self.known))


@dataclass(frozen=True, kw_only=True)
class Cut:
    """The holdout, cut from all rows before `until`, and the window that says which of the others are learnt from.

    Held out are the rows from `boundary` on, or those that `sides` names. Learnt from are the others from `low` on and
    before `before`, but of those at `low` not the first `skip`. Without a clock all the others are.
    """

    data: Data
    sides: Sides
    clock: Clock | None
    low: Tick | None = None
    skip: int = 0
    until: Tick | None = None
    boundary: Tick | None = None
    before: Tick | None = None
    gap_rows: int = 0

    def roughly(self, lazy: "pl.LazyFrame") -> "pl.LazyFrame":
        """Leave out rows that do not count, while reading; `parts` still has to follow."""
        if self.clock is not None and self.low is not None and self.boundary is not None:
            lazy = lazy.filter(self.clock.ticks() >= self.low)
        if self.clock is not None and self.until is not None:
            lazy = lazy.filter(self.clock.ticks() < self.until)
        return lazy

    def parts(self, frames: "Iterable[pl.DataFrame]") -> "Iterator[Part]":
        """Yield the rows that count of frames that follow on one another."""
        skip = self.skip
        for frame in frames:
            ticks = None if self.clock is None else _ticks(frame, self.clock)
            known = {} if self.boundary is not None else self.sides.hashes(frame)
            held = self.sides.held(frame, known) if self.boundary is None or ticks is None else ticks >= self.boundary
            rows = frame.drop(HELD_OUT, strict=False)
            keep = None
            if ticks is not None:
                learnt, skip = self._learnt(frame, ticks, held, skip)
                keep = held | learnt
                if self.until is not None:
                    keep &= ticks < self.until
            if keep is None or keep.all():
                yield Part(rows=rows, held=held, known=known)
            else:
                known = {name: values[keep] for name, values in known.items()}
                yield Part(rows=rows.filter(keep), held=held[keep], known=known)

    def _learnt(self, frame: "pl.DataFrame", ticks: "Ticks", held: "Mask", skip: int) -> "tuple[Mask, int]":
        """Return for each row whether the window has it, and how many rows are left to skip."""
        inside = ~held
        if self.before is not None:
            inside &= ticks < self.before
        if self.low is not None:
            inside &= ticks >= self.low
        if skip:
            first = (inside & (ticks == self.low) & _labelled(frame, self.data.target)).nonzero()[0][:skip]
            inside[first] = False
            skip -= len(first)
        return inside, skip

    def as_record(self) -> "dict[str, JSON]":
        """Return how the rows were chosen, as it stands in a run's record."""
        window, holdout = self.data.window, self.data.holdout
        shown = self.clock.shown if self.clock else str
        chosen = holdout.by in (HoldoutKind.RANDOM, HoldoutKind.GROUP)
        return {
            "window": {"kind": window.kind, "last": window.last, "start": window.start},
            "until": self.data.until,
            "holdout": {
                "by": holdout.by,
                "last": holdout.last,
                "share": None if holdout.last or holdout.by == HoldoutKind.FILE else holdout.share,
                "group": holdout.group,
                "path": holdout.path,
                "key": list(holdout.key) if holdout.key else None,
                "seed": holdout.seed if chosen else None,
                "stratify": holdout.stratify,
                "gap": holdout.gap,
                "gap_rows": self.gap_rows,
            },
            "boundary": None if self.boundary is None else shown(self.boundary),
        }


def find(data: Data, scan: Scan, features: Sequence[str], frame: "pl.DataFrame | None" = None) -> Cut:
    """Find the cut in the rows of `scan`, or in `frame` when they have been read already.

    Raises ConfigError when no row is left, or all are on one side.
    """
    import numpy as np

    clock = None if data.time_column is None else Clock(data.time_column, scan.schema[data.time_column])
    sides, by_time = Sides.of(data, features), data.holdout.by == HoldoutKind.TIME
    surveyed = not by_time and (data.holdout.stratify or data.window.last is not None)
    if clock is None and not surveyed:
        return Cut(data=data, sides=sides, clock=None)
    rows = _survey(data, scan, clock, sides if surveyed else None, frame)
    where = f"{scan.source.location}: {data.time_column}"
    until = clock.at(data.until, "data.until") if clock and data.until else None
    if clock:
        rows = _timed(rows, data, where, clock, until)
    rows = _only_labelled(rows, data, scan.source.location)
    if data.holdout.stratify:
        sides = stratified(sides, rows)
    if clock is None:
        return Cut(data=data, sides=sides, clock=None)
    ticks: Ticks = rows["ticks"].to_numpy()
    boundary, before, gap_rows = None, None, 0
    if by_time:
        ticks = np.sort(ticks)
        boundary = _boundary(ticks, data, clock, where)
        before = boundary - clock.length(data.holdout.gap, "data.holdout.gap") if data.holdout.gap else boundary
        rest = ticks[ticks < before]
        gap_rows = int((ticks < boundary).sum()) - len(rest)
    else:
        rest = np.sort(ticks[~sides.held_of(rows)] if surveyed else ticks)
    low, skip = _low(rest, ticks, data, clock, where)
    return Cut(
        data=data,
        sides=sides,
        clock=clock,
        low=low,
        skip=skip,
        until=until,
        boundary=boundary,
        before=before,
        gap_rows=gap_rows,
    )


def needs_times(data: Data) -> bool:
    """Whether rows are left out by their time, so that it is worth reading the times before the rest."""
    whole = data.window.kind in (WindowKind.ALL, WindowKind.DYNAMIC) and data.window.last is None
    return not whole or data.until is not None


def _survey(
    data: Data, scan: Scan, clock: Clock | None, sides: Sides | None, frame: "pl.DataFrame | None"
) -> "pl.DataFrame":
    """Return of every row its time, whether it has a label, and what its side is decided by, where that is asked for."""
    import polars as pl

    columns = [pl.col(data.target).is_not_null().alias("labelled"), *([clock.ticks().alias("ticks")] if clock else [])]
    if sides is None:
        return frame.select(columns) if frame is not None else scan.collect(scan.lazy().select(columns))
    frames = scan.batches() if frame is None else [frame]
    return pl.concat(f.select(columns).with_columns(sides.survey(f)) for f in frames)


def _timed(rows: "pl.DataFrame", data: Data, where: str, clock: Clock, until: Tick | None) -> "pl.DataFrame":
    """Return the rows before `until`; raise ConfigError when one has no time, or none is left."""
    import polars as pl

    timeless = rows["ticks"].null_count()
    if timeless:
        raise ConfigError(f"{where}: {timeless} of {rows.height} rows have no time; add it, or take the rows out")
    if until is None:
        return rows
    oldest = rows["ticks"].min()
    rows = rows.filter(pl.col("ticks") < until)
    if not rows.height:
        raise ConfigError(
            f"{where}: no row is before data.until {data.until!r}; the oldest is of {clock.shown(oldest)}"
        )
    return rows


def _only_labelled(rows: "pl.DataFrame", data: Data, location: str) -> "pl.DataFrame":
    labelled = rows if rows["labelled"].all() else rows.filter("labelled")
    if not labelled.height:
        raise ConfigError(f"{location}: {data.target}: no row has a value of the target; add the labels")
    return labelled


def _low(rest: "Ticks", ticks: "Ticks", data: Data, clock: Clock, where: str) -> tuple[Tick | None, int]:
    """Return the window's oldest time, and how many rows of that time do not count; `rest` is what is not held out."""
    import numpy as np

    window = data.window
    if not len(rest):
        why = "data.holdout.gap" if data.holdout.gap else "data.holdout"
        raise ConfigError(f"{where}: no row is left to learn from; change {why}, or give more rows")
    if window.kind == WindowKind.EXPANDING:
        low = clock.at(str(window.start), "data.window.start")
        if rest[-1] < low:
            raise ConfigError(
                f"{where}: no row to learn from is at or after data.window.start {window.start!r}; the newest is of "
                f"{clock.shown(rest[-1])}, and the newest of all rows of {clock.shown(ticks.max())}"
            )
        return low, 0
    if window.kind not in (WindowKind.FIXED, WindowKind.DYNAMIC) or window.last is None:
        return None, 0
    if isinstance(window.last, int):
        first = max(len(rest) - window.last, 0)
        return rest[first].item(), first - int(np.searchsorted(rest, rest[first]))
    length = clock.length(window.last, "data.window.last")
    return rest[int(np.searchsorted(rest, rest[-1] - length, side="right"))].item(), 0


def _boundary(ticks: "Ticks", data: Data, clock: Clock, where: str) -> Tick:
    """Return the first time that is held out; rows of one time are never on both sides."""
    import numpy as np

    if data.holdout.last:
        length = clock.length(data.holdout.last, "data.holdout.last")
        first = int(np.searchsorted(ticks, ticks[-1] - length, side="right"))
    else:
        aim = min(max(round(len(ticks) * (1 - data.holdout.share)), 1), len(ticks) - 1)
        borders = [int(np.searchsorted(ticks, ticks[aim], side=side)) for side in ("left", "right")]
        first = min((b for b in borders if 0 < b < len(ticks)), key=lambda b: abs(b - aim), default=0)
    if not 0 < first < len(ticks):
        oldest, newest = clock.shown(ticks[0]), clock.shown(ticks[-1])
        raise ConfigError(
            f"{where}: the {len(ticks)} rows from {oldest} to {newest} cannot be parted into training and holdout by time; "
            "change data.holdout, or give more rows"
        )
    return ticks[first].item()  # type: ignore[no-any-return]


def _ticks(frame: "pl.DataFrame", clock: Clock) -> "Ticks":
    return frame.select(clock.ticks()).to_series().to_numpy()


def _labelled(frame: "pl.DataFrame", target: str) -> "Mask":
    return frame[target].is_not_null().to_numpy()
