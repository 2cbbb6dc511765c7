"""Rows whose time has not come yet: they make the data look newer than it is."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from model_ci.data.finding import MAX_EXAMPLES, Finding, share, such_as
from model_ci.data.times import Clock

if TYPE_CHECKING:
    import polars as pl

_LENIENT: Final = timedelta(days=1)  # times without a zone may be of any


class Future:
    """Counts the rows whose time lies more than a day ahead; numbers have no future."""

    def __init__(self, clock: Clock | None) -> None:
        self._clock = None if clock is None or clock.numbers else clock
        self._limit = int((datetime.now(UTC) + _LENIENT).timestamp() * 1e6)
        self._count = self._rows = 0
        self._newest: list[Any] = []

    def add(self, batch: "pl.DataFrame") -> None:
        """Take the rows of one batch."""
        if self._clock is None:
            return
        ticks = batch.select(self._clock.ticks()).to_series()
        ahead = ticks.filter(ticks > self._limit)
        self._rows += batch.height
        self._count += ahead.len()
        if ahead.len():
            self._newest = sorted({*self._newest, *ahead.unique().top_k(MAX_EXAMPLES)}, reverse=True)[:MAX_EXAMPLES]

    def findings(self, allowed: float) -> list[Finding]:
        """Tell when more than the allowed share lies in the future."""
        if self._clock is None or self._count <= allowed * self._rows:
            return []
        examples = [self._clock.shown(tick) for tick in self._newest]
        what = (
            f"{share(self._count, self._rows)} lie in the future{such_as(examples)}; correct the times, leave the rows out "
            "with data.until, or raise check-data.future when they are times of what is planned"
        )
        return [Finding(rule="future", where=self._clock.column, what=what, count=self._count, examples=examples)]
