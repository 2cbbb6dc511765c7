"""Whether rows can be compared with the reference at all: their columns, their types, their time."""

from collections.abc import Iterator, Mapping
from typing import Final

from model_ci.data.finding import Finding
from model_ci.production import rows
from model_ci.profile.profile import Column, Profile
from model_ci.profile.sketch import family
from model_ci.stages.check_drift import counting

_ALIKE: Final = {("number", "boolean"), ("text", "boolean")}  # reference, rows: what JSON and Parquet write differently


def of_column(column: Column, names: Mapping[str, str], opened: rows.Rows) -> list[Finding]:
    """Tell of a column that is not there or holds something else; labels come later, and answers need not be logged."""
    name = names.get(column.name, column.name)
    where = f"{opened.location}: {name}"
    if name not in opened.types:
        if column.role == "feature" and opened.types:
            what = "the rows have no such column, which the model was trained on; log it"
            return [Finding(rule="missing-column", where=where, what=what)]
        return []
    now = family(opened.types[name])
    classes = column.grid is None and column.role in ("target", "prediction")
    if now in (column.family, "null") or classes or (column.family, now) in _ALIKE or column.family == "null":
        return []
    what = f"holds {now} values, it held {column.family} values when the model was trained; write it as it was"
    return [Finding(rule="changed-type", where=where, what=what)]


def of_time(tally: counting.Tally, profile: Profile, opened: rows.Rows, work: counting.Work) -> Iterator[Finding]:
    """Tell of rows that are not in order, or not of a time after the reference's."""
    where = f"{opened.location}: {work.time}"
    if tally.backwards and not opened.is_log:
        what = f"{tally.backwards} rows are older than those before them"
        yield Finding(rule="order", where=where, what=what, count=tally.backwards, level="warning")
    first, newest = profile.span
    if tally.last is None or newest is None or first is None or work.time is None:
        return
    if family(opened.types[work.time]).replace("text", "time") != profile.made.get("clock"):
        return
    if tally.last < first:
        what = "the rows are all older than those that the model was trained on: time goes backwards; name newer rows"
        yield Finding(rule="time", where=where, what=what)
    elif tally.first is not None and tally.first < newest:
        what = "some rows are of the time that the model was trained on, so they may be the very same"
        yield Finding(rule="overlap", where=where, what=what, level="warning")


def unknown_seasons(tally: counting.Tally, profile: Profile, season: str | None) -> list[Finding]:
    """Tell what seasons the reference does not know: there the whole of it is compared with."""
    asked = {name for counts in tally.seasons.values() for name in counts}
    unknown = sorted(asked - profile.seasons.keys()) if season else []
    what = f"the reference has no rows of {season} {', '.join(map(str, unknown))}"
    finding = Finding(rule="season", where="check-drift", what=what, examples=unknown, level="warning")
    return [finding] if unknown else []
