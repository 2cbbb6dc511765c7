"""Which rows were read: how many, of which times, and how many on each side."""

from typing import TYPE_CHECKING, Any

from model_ci.data.cut import Cut
from model_ci.errors import ConfigError
from model_ci.terms import HoldoutKind

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from model_ci.types import JSON


class Span:
    """Counts the labelled rows of a cut, batch by batch."""

    def __init__(self, cut: Cut) -> None:
        self._cut = cut
        self._first: Any = None
        self._last: Any = None
        self.rows = 0
        self.held = 0
        self.unlabelled = 0

    def add(self, batch: "pl.DataFrame", held: "npt.NDArray[np.bool_]", unlabelled: int) -> None:
        """Take the labelled rows of one batch, which of them are held out, and how many rows had no label."""
        self.rows += batch.height
        self.held += int(held.sum())
        self.unlabelled += unlabelled
        if self._cut.clock and batch.height:
            ticks = batch.select(self._cut.clock.ticks()).to_series()
            first, last = ticks.min(), ticks.max()
            self._first = first if self._first is None else min(self._first, first)
            self._last = last if self._last is None else max(self._last, last)

    def check(self, location: str) -> None:
        """Raise ConfigError when there are no rows, or all are on one side."""
        data = self._cut.data
        if not self.rows:
            why = (
                f"none of the {self.unlabelled} rows has a value of {data.target}" if self.unlabelled else "has no rows"
            )
            raise ConfigError(f"{location}: {why}; name files with labelled rows")
        if not 0 < self.held < self.rows:
            side = "held out" if self.held else "for training"
            how = f"data.holdout.share {data.holdout.share}"
            if data.holdout.by == HoldoutKind.FILE:
                how = f"data.holdout.path {data.holdout.path}"
            if data.holdout.by == HoldoutKind.GROUP:
                how += f", or name a data.holdout.group of more values than {data.holdout.group} has"
            raise ConfigError(f"{location}: all {self.rows} rows are {side}; give more rows, or change {how}")

    def as_record(self) -> "dict[str, JSON]":
        """Return which rows these are, and how they were chosen, as it stands in a run's record."""
        clock = self._cut.clock
        return self._cut.as_record() | {
            "rows": self.rows,
            "train_rows": self.rows - self.held,
            "holdout_rows": self.held,
            "unlabelled_rows": self.unlabelled,
            "first": clock.shown(self._first) if clock else None,
            "last": clock.shown(self._last) if clock else None,
        }
