"""Check-drift: whether today's rows are still like those that the model learnt from, and what of them is not."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model_ci import history, references
from model_ci.config import CheckDrift, Config
from model_ci.data import times
from model_ci.data.finding import Finding
from model_ci.drift import engine, evidently, verdict
from model_ci.drift.profile import FILE, Column, Counted, Profile
from model_ci.drift.sketch import family
from model_ci.errors import ConfigError
from model_ci.production import rows
from model_ci.references import Reference
from model_ci.run import Result, Run

if TYPE_CHECKING:
    from model_ci.drift.verdict import Judged, Rules

FOLDER: Final = "drift"  # of the run
_HERE: Final = "check-drift"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ALIKE: Final = {("number", "boolean"), ("text", "boolean")}  # reference, rows: what JSON and Parquet write differently


def inputs(config: Config, run: Run) -> Mapping[str, Any]:
    """The settings; what the rows are is read anew each time."""
    return {"check-drift section": config.values[_HERE]}


def check(config: Config) -> None:
    """Find what is not set or contradicts itself."""
    wrong = [*_wrong(config.check_drift)]
    if wrong:
        raise ConfigError(*wrong)


def run(config: Config, run: Run) -> Result:
    """Compare and judge; the verdict is failed for drift, for rows that cannot be judged, and for a broken log."""
    check(config)
    reference = references.find(config, run)
    opened = rows.open(
        str(config.check_drift.rows), config.root, [str(c) for c in reference.profile.made.get("classes", ())]
    )
    looked = _look(config, reference, opened)
    found = _judge_exactly(looked) if config.check_drift.rules == "evidently" else _judge(looked, run)
    section = {**_described(looked), **found}
    with run.new_folder(FOLDER) as folder:
        section["files"] = _leave(folder, looked)
    return Result(section={**section, "folder": FOLDER}, verdict=_verdict(section, config.check_drift))


@dataclass(frozen=True, kw_only=True)
class _Looked:
    """What was read: the windows of the rows, and what is wrong with them."""

    config: Config
    reference: Reference
    rows: rows.Rows
    work: engine.Work
    columns: tuple[Column, ...]  # that are watched, whether the rows have them or not
    absent: frozenset[str]
    tally: engine.Tally
    findings: tuple[Finding, ...]

    @property
    def windows(self) -> list[tuple[int, Counted]]:
        return sorted(self.tally.windows.items())

    @property
    def broken(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.level == "failure"]


def _wrong(wanted: CheckDrift) -> Iterator[str]:
    if wanted.rows is None:
        yield f"{_HERE}.rows: is not set; name the rows that the service was sent"
    table = wanted.reference is not None and not wanted.reference.endswith(".json.gz")
    for key, asked in {
        "rules: evidently": wanted.rules == "evidently",
        "joint": wanted.joint.rows > 0,
        "evidently_report": wanted.evidently_report,
    }.items():
        if asked and not table:
            yield f"{_HERE}.{key}: needs the reference's rows themselves; name a table as {_HERE}.reference"
    if wanted.windows.needed > wanted.windows.of:
        yield f"{_HERE}.windows: needed {wanted.windows.needed} is more than of {wanted.windows.of}; no column can drift"
    if wanted.rules == "evidently":
        if "total_variation" in (wanted.numbers, wanted.categories):
            yield f"{_HERE}: total_variation is not among Evidently's distances; choose another, or rules: own"
        if wanted.windows.of > 1 or wanted.seasonal:
            yield f"{_HERE}.rules: evidently looks at one window and knows no seasons; use rules: own"
    if wanted.environment and wanted.version != "champion":
        yield f"{_HERE}: environment and version both name a version; leave one of them out"


def _look(config: Config, reference: Reference, opened: rows.Rows) -> _Looked:
    """Count the rows, once what they hold is known to be comparable."""
    wanted, profile = config.check_drift, reference.profile
    names = references.names(config, profile, is_log=opened.is_log)
    findings = [*opened.findings]
    absent = set()
    for column in profile.columns:
        told = _missing(column, names, opened, profile)
        findings += told
        if told or names.get(column.name, column.name) not in opened.types:
            absent.add(column.name)
    work = _work(config, opened, profile, names, absent)
    tally = engine.tally(opened.parts, work, wanted.engine, wanted.dask_address)
    findings += _about_time(tally, reference, opened, work)
    if not any(counted.rows for counted in tally.windows.values()):
        what = "has no row in the window; see that the service logs, and what since, until and last leave"
        findings = [f for f in findings if f.rule != "empty"] + [
            Finding(rule="empty", where=opened.location, what=what, count=0)
        ]
    allowed = [replace(f, level="warning") if f.rule in wanted.allow else f for f in findings]
    return _Looked(
        config=config,
        reference=reference,
        rows=opened,
        work=work,
        columns=tuple(profile.columns),
        absent=frozenset(absent),
        tally=tally,
        findings=tuple(allowed),
    )


def _missing(column: Column, names: Mapping[str, str], opened: rows.Rows, profile: Profile) -> list[Finding]:
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


def _work(
    config: Config, opened: rows.Rows, profile: Profile, names: Mapping[str, str], absent: set[str]
) -> engine.Work:
    wanted = config.check_drift
    time = _time(config, opened)
    needing = [k for k in ("since", "until", "last", "seasonal") if getattr(wanted, k)]
    needing += ["windows.every"] if wanted.windows.every else []
    if time is None and needing:
        raise ConfigError(
            f"{_HERE}.{needing[0]}: {opened.location} has no time; name its column as {_HERE}.time_column"
        )
    work = engine.Work(
        columns=tuple(c for c in profile.columns if c.name not in absent),
        names=names,
        time=time,
        since=_tick(wanted.since, "since", opened, time),
        until=_tick(wanted.until, "until", opened, time),
        every=_length(wanted.windows.every, opened, time, "windows.every"),
        season=wanted.seasonal,
    )
    if wanted.last:
        newest = engine.tally(opened.parts, replace(work, columns=(), every=None, season=None)).last
        length = _length(wanted.last, opened, time, "last") or 0
        low = None if newest is None else newest - length + 1
        work = replace(work, since=max(work.since or low, low) if low is not None else work.since)
    return work


def _time(config: Config, opened: rows.Rows) -> str | None:
    wanted = config.check_drift.time_column
    if wanted and wanted not in opened.types and opened.types:
        there = ", ".join(opened.types)
        raise ConfigError(f"{_HERE}.time_column: {opened.location} has no column {wanted!r}; there are {there}")
    if wanted:
        return wanted
    name = "_time" if opened.is_log else config.data.time_column
    return name if name in opened.types else None


def _tick(text: str | None, key: str, opened: rows.Rows, time: str | None) -> float | None:
    if text is None or time is None:
        return None
    try:
        if family(opened.types[time]) == "number":
            return float(text)
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{_HERE}.{key}: {text!r} is no time of {time}; write ISO 8601, as 2026-03-01T12:00:00"
        ) from None
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) / timedelta(microseconds=1)


def _length(duration: str | None, opened: rows.Rows, time: str | None, key: str) -> float | None:
    if duration is None or time is None:
        return None
    if family(opened.types[time]) == "number":
        raise ConfigError(
            f"{_HERE}.{key}: {duration!r} is a duration, but {time} counts in numbers; name a column of times"
        )
    return times.seconds(duration) * 1e6


def _about_time(tally: engine.Tally, reference: Reference, opened: rows.Rows, work: engine.Work) -> Iterator[Finding]:
    where = f"{opened.location}: {work.time}"
    if tally.backwards and not opened.is_log:
        what = f"{tally.backwards} rows are older than those before them"
        yield Finding(rule="order", where=where, what=what, count=tally.backwards, level="warning")
    first, newest = reference.profile.span
    if tally.last is None or newest is None or first is None or work.time is None:
        return
    if family(opened.types[work.time]).replace("text", "time") != reference.profile.made.get("clock"):
        return
    if tally.last < first:
        what = "the rows are all older than those that the model was trained on: time goes backwards; name newer rows"
        yield Finding(rule="time", where=where, what=what)
    elif tally.first is not None and tally.first < newest:
        what = "some rows are of the time that the model was trained on, so they may be the very same"
        yield Finding(rule="overlap", where=where, what=what, level="warning")


def _judge(looked: _Looked, run: Run) -> dict[str, Any]:
    """Judge each window, and then the columns by how many windows they drifted in."""
    config = looked.config.check_drift
    rules = _rules(config)
    weight = verdict.weights(looked.columns, looked.reference.importance)
    judged, seen = _windows(looked, rules)
    before = _before(looked, run) if config.windows.of > 1 and config.windows.every is None and judged else []
    columns, drifted = [], []
    for found in judged:
        name = found.column.name
        marks = [*(s.get(name) for s in before), *(s.get(name) for s in seen)][-rules.of :]
        enough = verdict.in_enough_windows(marks, rules)
        drifted += [found.column] if enough else []
        columns.append(verdict.as_record(found, weight.get(name), marks, drifted=enough))
    kinds = verdict.kinds(drifted, weight, rules)
    joint = _joint(looked) if judged and config.joint.rows else None
    kinds["joint"] = bool(joint and joint["drifted"])
    return _told(looked, columns, kinds, joint, judged=bool(judged), seen=len(before) + len(seen))


def _rules(config: CheckDrift) -> "Rules":
    return verdict.Rules(
        numbers=config.numbers or "wasserstein",
        categories=config.categories or "jensen_shannon",
        threshold=config.threshold or 0.1,
        thresholds=config.thresholds,
        nulls=config.nulls,
        level=config.level,
        needed=config.windows.needed,
        of=config.windows.of,
        max_share=config.max_share,
        fail_on=config.fail_on,
    )


def _windows(looked: _Looked, rules: "Rules") -> "tuple[list[Judged], list[dict[str, bool]]]":
    """Return the newest window that can be judged, and which columns drifted in each of the last ones."""
    judged: list[Judged] = []
    seen: list[dict[str, bool]] = []
    for key, counted in looked.windows[-rules.of :] if looked.work.every else looked.windows:
        if counted.rows < looked.config.check_drift.min_rows:
            continue
        mixture = _mixture(looked.tally.seasons.get(key))
        window = verdict.Window(
            rows=counted.rows,
            sketches=counted.sketches,
            reference=looked.reference.profile.reference(mixture),
            absent=looked.absent,
        )
        judged = verdict.judge(looked.columns, window, rules)
        seen.append({j.column.name: j.drifted for j in judged})
    return judged, seen


def _mixture(seasons: Mapping[int, int] | None) -> dict[int, float] | None:
    total = sum(seasons.values()) if seasons else 0
    return {season: rows / total for season, rows in (seasons or {}).items()} if total else None


def _before(looked: _Looked, run: Run) -> list[dict[str, bool]]:
    """Return which columns drifted in the windows of earlier runs, each window once, and none of another reference."""
    found: dict[str, dict[str, bool]] = {}
    for section in history.sections(looked.config, run, _HERE):
        window, reference = section.get("window") or {}, section.get("reference") or {}
        same = all(reference.get(k) == looked.reference.described[k] for k in ("kind", "name", "rows"))
        if same and section.get("state") != "broken" and window.get("digest") != _digest(looked):
            found.pop(str(window.get("digest")), None)
            found[str(window.get("digest"))] = {c["name"]: c["drifted_now"] for c in section.get("columns", ())}
    return [*found.values()]


def _judge_exactly(looked: _Looked) -> dict[str, Any]:
    """Judge as Evidently's preset does: drift, when half of the columns have it."""
    from model_ci.drift import raw

    config, reference = looked.config.check_drift, looked.reference
    table = reference.table
    rows_now = sum(counted.rows for _, counted in looked.windows)
    if table is None or rows_now < config.min_rows:
        return _told(looked, [], {}, None, judged=False, seen=0)
    theirs = engine.Work(
        columns=looked.work.columns, names=references.names(looked.config, reference.profile, is_log=False)
    )
    weight = verdict.weights(looked.columns, reference.importance)
    judged = {j.column.name: j for j in _windows(looked, _rules(config))[0]}
    columns = []
    for column in looked.work.columns:
        method = config.categories if column.grid is None else config.numbers
        threshold = config.thresholds.get(column.name, config.threshold)
        score = raw.score(column, (table.parts, theirs), (looked.rows.parts, looked.work), method, threshold)
        # A column without a value is an error there; here it is drift, unless the reference has none either.
        drifted = score.drifted if score else bool(judged[column.name].reasons)
        record = verdict.as_record(judged[column.name], weight.get(column.name), [drifted], drifted=drifted)
        record |= {"drifted_now": drifted, "p_adjusted": None, "reasons": []}
        if score:
            record |= {
                "method": score.method,
                "score": score.value if score.value == score.value else None,
                "threshold": score.threshold,
                "p_value": score.value if score.is_p_value and score.value == score.value else None,
                "reasons": [f"{score.method} {score.value:.3g}, threshold {score.threshold:g}"] if drifted else [],
            }
        columns.append(record)
    share = sum(c["drifted"] for c in columns) / max(len(columns), 1)
    return _told(looked, columns, {"data": share >= evidently.SHARE}, None, judged=True, seen=1)


def _joint(looked: _Looked) -> dict[str, Any]:
    from model_ci.drift import joint

    wanted, table = looked.config.check_drift.joint, looked.reference.table
    columns = [c for c in looked.work.columns if c.role == "feature"]
    if table is None or not columns:
        raise ConfigError(f"{_HERE}.joint: there is no column to compare")
    names = [c.name for c in columns]
    sides = [
        joint.sample(table.arrow(names), wanted.rows, wanted.seed),
        joint.sample(_inside(looked, names), wanted.rows, wanted.seed),
    ]
    told = joint.tell_apart(sides[0], sides[1], columns, wanted.seed)
    level = looked.config.check_drift.level
    return {
        "auc": told.auc,
        "p_value": told.p_value,
        "min_auc": wanted.min_auc,
        "rows": list(told.rows),
        "drifted": told.p_value <= level and told.auc >= wanted.min_auc,
    }


def _inside(looked: _Looked, names: Sequence[str]) -> Iterator[Any]:
    time = [looked.work.time] if looked.work.time else []
    for batch in looked.rows.arrow([*dict.fromkeys([*names, *time])]):
        yield engine.within(batch, looked.work).select(list(names))


def _told(  # noqa: PLR0913 - what a section is made of
    looked: _Looked,
    columns: list[dict[str, Any]],
    kinds: Mapping[str, bool],
    joint: Mapping[str, Any] | None,
    *,
    judged: bool,
    seen: int,
) -> dict[str, Any]:
    config = looked.config.check_drift
    columns.sort(key=lambda c: (not c["drifted"], not c["drifted_now"], -(c["importance"] or 0), c["name"]))
    for column in columns[verdict.DRAWN_COLUMNS :]:
        column["distribution"] = None
    failing = [kind for kind in config.fail_on if kinds.get(kind)]
    enough = seen >= config.windows.needed
    state = (
        "broken" if looked.broken else "drift" if failing else "not judged" if not judged or not enough else "no drift"
    )
    share = sum(c["importance"] or 0.0 for c in columns if c["drifted"] and c["role"] == "feature")
    return {
        "state": state,
        "why": _why(looked, state, failing, columns, share, seen),
        "drift": {kind: bool(kinds.get(kind, False)) for kind in ("data", "prediction", "label", "joint")},
        "share": round(share, 6),
        "columns": columns,
        "joint": joint,
        "windows": {"seen": seen, "needed": config.windows.needed, "of": config.windows.of},
    }


def _why(  # noqa: PLR0917, PLR0913 - the words need it all
    looked: _Looked, state: str, failing: Sequence[str], columns: Sequence[Mapping[str, Any]], share: float, seen: int
) -> str:
    config = looked.config.check_drift
    moved = [c["name"] for c in columns if c["drifted"]]
    match state:
        case "broken":
            return "; ".join(f"{finding.where}: {finding.what}" for finding in looked.broken)
        case "not judged":
            rows_now = max((counted.rows for _, counted in looked.windows), default=0)
            if rows_now < config.min_rows:
                return f"{_number(rows_now, 'row')}, and {config.min_rows} are needed to judge"
            return f"{_number(seen, 'window')} so far, and {config.windows.needed} are needed to judge"
        case "drift":
            which = ", ".join(moved[:5]) + (f" and {len(moved) - 5} more" if len(moved) > 5 else "")
            carried = f", which carry {share:.0%} of the model's weight," if "data" in failing else ""
            return f"drift of {' and '.join(failing)}: {which or 'the columns together'}{carried} moved"
    if moved:
        return f"{', '.join(moved[:5])} drifted, but carry only {share:.0%} of the model's weight"
    return f"{_number(len(columns), 'column')} {'is' if len(columns) == 1 else 'are'} as before"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count:,} {noun}s"


def _described(looked: _Looked) -> dict[str, Any]:
    tally = looked.tally
    return {
        "rules": looked.config.check_drift.rules,
        "reference": dict(looked.reference.described),
        "window": {
            "location": looked.rows.location,
            "rows": sum(counted.rows for counted in tally.windows.values()),
            "first": _shown(looked, tally.first),
            "last": _shown(looked, tally.last),
            "digest": _digest(looked),
            "season": looked.config.check_drift.seasonal,
        },
        "engine": looked.config.check_drift.engine,
        "level": looked.config.check_drift.level,
        "findings": [finding.as_record() for finding in _all_findings(looked)],
    }


def _all_findings(looked: _Looked) -> list[Finding]:
    """Add what seasons the reference does not know: there the whole of it is compared with."""
    asked = {season for found in looked.tally.seasons.values() for season in found}
    unknown = sorted(asked - looked.reference.profile.seasons.keys()) if looked.config.check_drift.seasonal else []
    if not unknown:
        return list(looked.findings)
    what = f"the reference has no rows of {looked.config.check_drift.seasonal} {', '.join(map(str, unknown))}"
    told = Finding(rule="season", where=_HERE, what=what, examples=unknown, level="warning")
    return [*looked.findings, told]


def _shown(looked: _Looked, tick: float | None) -> str | float | None:
    if tick is None or looked.work.time is None:
        return None
    if family(looked.rows.types[looked.work.time]) == "number":
        return tick
    return (_EPOCH + timedelta(microseconds=tick)).isoformat(timespec="milliseconds")


def _digest(looked: _Looked) -> str:
    """Tell windows apart by what was counted in them, so that one that is looked at again is not counted again."""
    found = [
        [name, sketch.as_record()] for _, counted in looked.windows for name, sketch in sorted(counted.sketches.items())
    ]
    text = json.dumps([looked.tally.first, looked.tally.last, found], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _leave(folder: Path, looked: _Looked) -> dict[str, str]:
    """Leave the window's own profile, and Evidently's report where it is asked for."""
    made = {**looked.reference.profile.made, "of": looked.rows.location}
    if looked.windows:
        profile = Profile(
            columns=looked.work.columns,
            counted=looked.tally.whole(),
            span=(looked.tally.first, looked.tally.last),
            made=made,
        )
        (folder / FILE).write_bytes(profile.to_bytes())
    if looked.config.check_drift.evidently_report and looked.windows:
        from model_ci.drift import evidently_report, joint

        wanted, table = looked.config.check_drift, looked.reference.table
        names = [c.name for c in looked.work.columns if c.role in ("feature", "target")]
        if table is not None:
            sides = (
                joint.sample(table.arrow(names), wanted.report_rows, 0),
                joint.sample(_inside(looked, names), wanted.report_rows, 0),
            )
            evidently_report.write(folder / "evidently.html", *sides, looked.work.columns)
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(folder.iterdir())}


def _verdict(section: Mapping[str, Any], config: CheckDrift) -> str:
    match section["state"]:
        case "no drift":
            return "passed"
        case "not judged" if config.inconclusive == "pass" and section["window"]["rows"]:
            return "done"
        case _:
            return "failed"
