"""An observation of the rows: what was counted in each of their windows, and what is wrong with them."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypedDict

from model_ci.config import Config
from model_ci.data.finding import Finding
from model_ci.frozen import dataclass
from model_ci.production import rows
from model_ci.profile.profile import Column, Counted
from model_ci.stages.check_drift import counting, fitness, reference, span
from model_ci.stages.check_drift.reference import Reference

if TYPE_CHECKING:
    import pyarrow as pa

    from model_ci import record_types
    from model_ci.record_types import CheckDriftReference, CheckDriftWindow


class Observed(TypedDict):
    """What a section holds of the rows."""

    rules: str
    reference: "CheckDriftReference"
    window: "CheckDriftWindow"
    engine: str
    level: float
    findings: "Sequence[record_types.Finding]"


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What was read: the windows of the rows, and what is wrong with them."""

    config: Config
    reference: Reference
    rows: rows.Rows
    work: counting.Work
    columns: tuple[Column, ...]  # that are watched, whether the rows have them or not
    absent: frozenset[str]
    tally: counting.Tally
    findings: tuple[Finding, ...]

    @property
    def windows(self) -> list[tuple[int, Counted]]:
        """The windows that have rows, oldest first."""
        return sorted(self.tally.windows.items())

    @property
    def broken(self) -> list[Finding]:
        """What makes the rows unfit to be judged."""
        return [finding for finding in self.findings if finding.level == "failure"]

    @property
    def digest(self) -> str:
        """Tells looks apart by what was counted, so that a window that is looked at again is not counted again."""
        sketches = [
            [name, sketch.as_record()]
            for _, counted in self.windows
            for name, sketch in sorted(counted.sketches.items())
        ]
        text = json.dumps([self.tally.first, self.tally.last, sketches], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def arrow(self, names: Sequence[str]) -> "Iterator[pa.RecordBatch]":
        """Yield the rows of the window themselves, of some columns."""
        time = [self.work.time] if self.work.time else []
        for batch in self.rows.arrow([*dict.fromkeys([*names, *time])]):
            yield counting.within(batch, self.work).select(list(names))

    def as_record(self) -> Observed:
        """Return what was looked at, as it stands in a run's record."""
        tally, config = self.tally, self.config.check_drift
        return {
            "rules": config.rules,
            "reference": self.reference.described,
            "window": {
                "location": self.rows.location,
                "rows": sum(counted.rows for counted in tally.windows.values()),
                "first": span.shown(self.rows, self.work.time, tally.first),
                "last": span.shown(self.rows, self.work.time, tally.last),
                "digest": self.digest,
                "season": config.seasonal,
            },
            "engine": config.engine,
            "level": config.level,
            "findings": [finding.as_record() for finding in self.findings],
        }


def observe(config: Config, against: Reference, opened: rows.Rows) -> Observation:
    """Count the rows, once what they hold is known to be comparable."""
    settings, profile = config.check_drift, against.profile
    names = reference.names(config, profile, is_log=opened.is_log)
    misfits = {column.name: fitness.of_column(column, names, opened) for column in profile.columns}
    absent = {name for name, misfit in misfits.items() if misfit or names.get(name, name) not in opened.types}
    work = span.work(config, opened, tuple(c for c in profile.columns if c.name not in absent), names)
    tally = counting.tally(opened.parts, work, settings.engine, settings.dask_address)
    findings = [*opened.findings, *(f for misfit in misfits.values() for f in misfit)]
    findings += fitness.of_time(tally, profile, opened, work)
    if not any(counted.rows for counted in tally.windows.values()):
        what = "has no row in the window; see that the service logs, and what since, until and last leave"
        empty = Finding(rule="empty", where=opened.location, what=what, count=0)
        findings = [*(f for f in findings if f.rule != "empty"), empty]
    findings = [replace(f, level="warning") if f.rule in settings.allow else f for f in findings]
    return Observation(
        config=config,
        reference=against,
        rows=opened,
        work=work,
        columns=tuple(profile.columns),
        absent=frozenset(absent),
        tally=tally,
        findings=(*findings, *fitness.unknown_seasons(tally, profile, settings.seasonal)),
    )
