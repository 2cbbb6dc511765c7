"""Retrain: whether the model is trained again now, and why, or what holds it back."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from model_ci import registry
from model_ci.config import Config, Retrain
from model_ci.data import source, times
from model_ci.data.scan import Scan
from model_ci.data.times import Clock
from model_ci.errors import ConfigError
from model_ci.git import Branch
from model_ci.origin import training_rows
from model_ci.records import history, overdue
from model_ci.run import Result, Run, timestamp
from model_ci.stages.retrain import causes, decision
from model_ci.terms import Trigger

if TYPE_CHECKING:
    from model_ci.records.history import History
    from model_ci.registry import Version
    from model_ci.stages.retrain.decision import Cause, Decided

_BY_A_PERSON: Final = ("manual", "local")
_BY_AN_EVENT: Final = ("manual", "repository_dispatch", "api", "trigger", "pipeline")
_LONGEST: Final = 300  # of a reason, in characters


def inputs(config: Config, run: Run) -> Mapping[str, object]:
    """The settings; the past and the present are read anew each time."""
    return {"retrain section": config.values["retrain"]}


def check(config: Config) -> None:
    """Find what is not set or contradicts itself."""
    settings, problems = config.retrain, []
    if (settings.new_rows or settings.new_span) and config.data.time_column is None:
        problems.append("retrain.new_rows, new_span: need data.time_column to tell what is new")
    if not (settings.on or settings.every or settings.new_rows or settings.new_span):
        problems.append("retrain: nothing can cause a training; set on, every, new_rows or new_span")
    if problems:
        raise ConfigError(*problems)
    history.now(settings)


def run(config: Config, run: Run) -> Result:
    """Decide, with reasons; it never fails for what it finds, only for what it cannot know."""
    check(config)
    settings, now = config.retrain, history.now(config.retrain)
    past = _past(config, run)
    with registry.open_registry(config, config.root, in_ci=run.in_ci) as store:
        champion = store.champion()
    state = _state(config, run, past, champion)
    present = causes.find(state, _conditions(settings), now)
    resets = bool(run.record["trigger"]["event"] in _BY_A_PERSON and state.demand and Trigger.DEMAND in settings.on)
    decided = decision.decide(present, past, now, _rules(settings), go_on=resets)
    section = {
        "at": timestamp(now),
        "retrain": decided.retrain,
        "reason": _reason(run, decided) if decided.retrain else "",
        "approval": "required" if decided.retrain and settings.approval else "none",
        "why": _why(decided, settings),
        "causes": [vars(cause) for cause in decided.causes],
        "held": [{"by": h.by, "what": h.what, "until": timestamp(h.until) if h.until else None} for h in decided.held],
        "resets": resets,
        "without_gain": decided.without_gain,
        "in_budget": decided.in_budget,
        "champion": {"version": champion.number, "run_id": champion.run_id} if champion else None,
        "data": vars(state.data),
        "decisions": len(past.decisions),
        "findings": [finding.as_record() for finding in overdue.find(settings, past, now)],
    }
    return Result(section=section)


def _past(config: Config, run: Run) -> "History":
    branch = Branch(root=config.root, name=config.record.branch, remote=config.record.remote)
    return history.read(config, run, branch, remote_needed=run.in_ci)


def _state(config: Config, run: Run, past: "History", champion: "Version | None") -> causes.Situation:
    return causes.Situation(
        champion=f"{champion.number} {champion.run_id}".strip() if champion else None,
        data=_data(config, champion),
        trained=max((training.at for training in past.trainings), default=None),
        drift=run.section("check-drift"),
        monitor=run.section("monitor"),
        demand=_demand(run),
    )


def _demand(run: Run) -> str | None:
    """Return who asks for it: a person who gives a reason or starts a job, or an event from outside; no schedule does."""
    event, reason = run.record["trigger"]["event"], run.record["trigger"]["reason"]
    if event in _BY_AN_EVENT or (event == "local" and reason):
        return str(reason or f"started by {event}")
    return None


def _data(config: Config, champion: "Version | None") -> causes.NewData:
    """Count what the data holds that is newer than the champion's newest row."""
    import polars as pl

    resolved = source.resolve(config.data, config.root)
    sha256 = source.version(resolved).sha256
    learnt = training_rows.read(champion.tags) if champion else None
    scan = Scan(resolved, config.data.time_column)
    if config.data.time_column is None:
        return causes.NewData(sha256=sha256, newest=None, new_rows=None, new_s=None)
    if config.data.time_column not in scan.schema:
        there = ", ".join(scan.schema)
        raise ConfigError(
            f"data.time_column: {config.data.path} has no column {config.data.time_column!r}; there are {there}"
        )
    clock = Clock(config.data.time_column, scan.schema[config.data.time_column])
    ticks = scan.lazy().select(clock.ticks().alias("ticks"))
    if config.data.until:
        ticks = ticks.filter(pl.col("ticks") < clock.at(config.data.until, "data.until"))
    last = clock.at(str(learnt["last"]), "the champion's newest row") if learnt and learnt.get("last") else None
    counts = scan.collect(
        ticks.select(pl.col("ticks").max().alias("newest"), (pl.col("ticks") > (last or 0)).sum().alias("new"))
    )
    newest, new = counts["newest"].item(), counts["new"].item()
    known = last is not None and newest is not None
    return causes.NewData(
        sha256=sha256,
        newest=None if newest is None else clock.shown(newest),
        new_rows=int(new) if known else None,
        new_s=max(float(newest - last), 0.0) / 1e6 if known and not clock.numbers else None,
    )


def _conditions(settings: Retrain) -> causes.Conditions:
    return causes.Conditions(
        on=frozenset(settings.on),
        every_s=times.seconds(settings.every) if settings.every else None,
        new_rows=settings.new_rows,
        new_s=times.seconds(settings.new_span) if settings.new_span else None,
    )


def _rules(settings: Retrain) -> decision.Rules:
    return decision.Rules(
        cooldown_s=times.seconds(settings.cooldown),
        budget=settings.budget,
        per_s=times.seconds(settings.per),
        patience=settings.patience,
    )


def _reason(run: Run, decided: "Decided") -> str:
    """Write one line for the record of the training that follows; it names this run, by which it is known again."""
    reasons = "; ".join(f"{cause.kind}: {cause.what}" for cause in decided.causes)
    line = " ".join(f"retrain {run.id}: {reasons}".split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."


def _why(decided: "Decided", settings: Retrain) -> str:
    reasons = "; ".join(_worded(cause) for cause in decided.causes)
    if decided.retrain:
        return f"{reasons}{', once a person approves' if settings.approval else ''}"
    if not decided.causes:
        return "nothing speaks for it"
    return f"{reasons}, but {'; '.join(f'{held.by}: {held.what}' for held in decided.held)}"


def _worded(cause: "Cause") -> str:
    return f"{cause.kind} ({cause.what})"
