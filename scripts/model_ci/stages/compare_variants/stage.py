"""Compare-variants: which of two variants of a service is better, as often looked at as one likes."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypedDict

from model_ci.config import CompareVariants, Config, GuardRail
from model_ci.data import times
from model_ci.errors import ConfigError
from model_ci.run import Result, Run
from model_ci.stages.compare_variants import measures
from model_ci.stages.compare_variants.exposures import Exposures, Sought
from model_ci.terms import Verdict

if TYPE_CHECKING:
    from model_ci.record_types import CompareVariantsAct, CompareVariantsResult
    from model_ci.stages.compare_variants.decision import Plan, Rail
    from model_ci.stages.compare_variants.measures import Measure

_HERE = "compare-variants"
_VERDICTS = {"promote": Verdict.PASSED, "keep running": Verdict.DONE}


def inputs(config: Config, run: Run) -> Mapping[str, object]:
    """The settings; what the logs hold is read anew each time."""
    return {"compare-variants section": config.values[_HERE]}


def check(config: Config) -> None:
    """Find what is not set or contradicts itself."""
    _sought(config)
    _rails(config.compare_variants)
    if config.compare_variants.act:
        _check_act(config)


def run(config: Config, run: Run) -> Result:
    """Read both variants' rows and decide; the verdict is failed for a roll-back, an open end, or a test not to be trusted."""
    from model_ci.stages.compare_variants import decision, exposures

    settings = config.compare_variants
    exposed = _allowed(exposures.read(_sought(config), config.root), settings)
    judged = decision.decide(exposed, _plan(config), ended=_ended(exposed, settings))
    act = _act(config, run, judged["decision"], exposed.versions) if settings.act else None
    section: CompareVariantsResult = {
        "decision": judged["decision"],
        "why": judged["why"],
        "sample_ratio": judged["sample_ratio"],
        "findings": judged["findings"],
        "act": act,
        "control": settings.control,
        "treatment": settings.treatment,
        "unit": exposed.unit,
        "span": {"first": _written(exposed.first), "last": _written(exposed.last)},
        "metric": {
            "name": str(settings.metric),
            "greater_is_better": _plan(config).greater_is_better,
            "min_gain": settings.min_gain,
            **judged["metric"],
        },
        "guard_rails": [
            {**_named(rail), **outcome}
            for rail, outcome in zip(settings.guard_rails, judged["guard_rails"], strict=True)
        ],
        "confidence": settings.confidence,
    }
    verdict = _VERDICTS.get(section["decision"], Verdict.FAILED)
    return Result(section=section, verdict=Verdict.FAILED if act and act["verdict"] == Verdict.FAILED else verdict)


def _sought(config: Config) -> Sought:
    settings, problems = config.compare_variants, []
    for key, words in {"predictions": "name the folder of the prediction log", "metric": "name what decides"}.items():
        if getattr(settings, key) is None:
            problems.append(f"{_HERE}.{key}: is not set; {words}")
    if problems:
        raise ConfigError(*problems)
    return Sought(
        predictions=str(settings.predictions),
        outcomes=settings.outcomes,
        truth=config.data.target,
        control=settings.control,
        treatment=settings.treatment,
        since=_moment(settings.since, "since"),
        until=_moment(settings.until, "until"),
        unit=settings.unit,
        measures=_measures(settings),
        csv=config.data.csv,
    )


def _measures(settings: CompareVariants) -> "list[Measure]":
    first = measures.resolve(str(settings.metric), settings.better, f"{_HERE}.metric")
    rails = enumerate(settings.guard_rails)
    return [first, *(measures.resolve(r.metric, r.better, f"{_HERE}.guard_rails[{i}]") for i, r in rails)]


def _rails(settings: CompareVariants) -> "list[Rail]":
    from model_ci.stages.compare_variants.decision import Rail

    guards = []
    for i, (rail, measure) in enumerate(zip(settings.guard_rails, _measures(settings)[1:], strict=True)):
        quantile = None if rail.statistic == "mean" else float(rail.statistic[1:]) / 100
        if quantile and measure.greater_is_better:
            raise ConfigError(f"{_HERE}.guard_rails[{i}].statistic: quantiles are for what is better when it is less")
        guards.append(
            Rail(
                name=_named(rail)["name"],
                greater_is_better=measure.greater_is_better,
                quantile=quantile,
                limit=rail.limit,
                margin=rail.margin,
            )
        )
    return guards


def _plan(config: Config) -> "Plan":
    from model_ci.stages.compare_variants.decision import Plan

    settings = config.compare_variants
    return Plan(
        greater_is_better=_measures(settings)[0].greater_is_better,
        min_gain=settings.min_gain,
        rails=_rails(settings),
        level=1 - settings.confidence,
        mismatch_level=1 - settings.mismatch_confidence,
        share=settings.share,
        min_units=settings.min_units,
        sharpest=settings.sharpest_at,
    )


class _Named(TypedDict):
    name: str
    condition: str
    value: float


def _named(rail: GuardRail) -> _Named:
    limited = rail.limit is not None
    return {
        "name": rail.metric if rail.statistic == "mean" else f"{rail.metric} {rail.statistic}",
        "condition": "limit" if limited else "margin",
        "value": float((rail.limit if limited else rail.margin) or 0),
    }


def _moment(text: str | None, key: str) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{_HERE}.{key}: {text!r} is no time; write it in ISO 8601, as 2026-03-01T12:00:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _allowed(exposed: Exposures, settings: CompareVariants) -> Exposures:
    """Let what is allowed be a warning."""
    findings = (replace(f, level="warning") if f.rule in settings.allow else f for f in exposed.findings)
    return replace(exposed, findings=tuple(findings))


def _ended(exposed: Exposures, settings: CompareVariants) -> bool:
    if settings.stop_after is None or exposed.first is None:
        return False
    if isinstance(settings.stop_after, int):
        return exposed.assigned.len() >= settings.stop_after
    now = _moment(settings.until, "until") or datetime.now(UTC)
    return (now - exposed.first).total_seconds() >= times.seconds(settings.stop_after)


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _check_act(config: Config) -> None:
    from model_ci.targets import CHALLENGER, CHAMPION, settings

    variants = (config.compare_variants.control, config.compare_variants.treatment)
    if variants != (CHAMPION, CHALLENGER):
        raise ConfigError(
            f"{_HERE}.act: only {CHAMPION} and {CHALLENGER} can be promoted or rolled back; leave act out"
        )
    settings(config, _environment(config))


def _environment(config: Config) -> str:
    return config.compare_variants.environment or config.promote.to


def _act(config: Config, run: Run, decision: str, versions: Mapping[str, str | None]) -> "CompareVariantsAct | None":
    """Carry the decision out, unless it was already: what was tried must be what serves beside the champion now."""
    from model_ci.release import promotion, reversal
    from model_ci.targets import open_target

    environment, treatment = _environment(config), config.compare_variants.treatment
    if decision not in ("promote", "roll back"):
        return None
    deployment = open_target(config, environment).current()
    serving = deployment.variant(treatment) if deployment else None
    act: CompareVariantsAct = {"environment": environment, "carried_out": False, "verdict": Verdict.DONE, "why": ""}
    if serving is None:
        return act | {"why": f"{environment} serves no {treatment} now, so there is nothing to {decision}"}
    tried = versions.get(treatment)
    if tried is None or serving.version is None or tried != serving.version:
        why = f"version {tried} was tried, and version {serving.version} serves as the {treatment} now"
        return act | {"verdict": Verdict.FAILED, "why": f"{why}; set {_HERE}.since to when it was deployed"}
    if decision == "promote":
        wish = replace(config.promote, to=environment, source=environment, version=tried)
        result = promotion.make(replace(config, promote=wish), run)
    else:
        result = reversal.make(replace(config, rollback=replace(config.rollback, environment=environment)), run)
    failed = result.verdict == Verdict.FAILED
    return act | {"carried_out": not failed, "verdict": result.verdict, "why": str(result.section.get("why") or "")}
