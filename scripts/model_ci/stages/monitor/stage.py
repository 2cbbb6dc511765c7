"""Monitor: how a service fares, by what it counts, and by what came of its predictions."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from model_ci import judgement, model
from model_ci.config import Config, Monitor
from model_ci.config.conditions import CONDITIONS
from model_ci.data import times
from model_ci.data.finding import Finding
from model_ci.errors import ConfigError
from model_ci.frozen import dataclass
from model_ci.gates.metrics import MEASURED
from model_ci.production import outcomes, predictions
from model_ci.run import Result, Run
from model_ci.serving import classes as naming
from model_ci.stages.monitor import cloudwatch, limits, over_time, prometheus, quality, reference, scrape
from model_ci.stages.monitor.reference import Reference
from model_ci.stages.monitor.window import Spans, Window, written
from model_ci.terms import State, Verdict

if TYPE_CHECKING:
    import polars as pl

    from model_ci.gates.metrics import Metric
    from model_ci.gates.outputs import Outputs
    from model_ci.record_types import MonitorGate, MonitorQuality, MonitorQualityMetric, MonitorResult
    from model_ci.stages.monitor.quality import Span

_DAY_S = 86400


def inputs(config: Config, run: Run) -> Mapping[str, object]:
    """The settings; what the sources say is asked anew each time."""
    return {"monitor section": config.values["monitor"]}


def check(config: Config) -> None:
    """Find what is not set or contradicts itself."""
    wrong = [*_wrong(config.monitor)]
    if wrong:
        raise ConfigError(*wrong)
    _end(config.monitor)
    judgement.metrics(judgement.monitored(config), "monitor.quality")


def run(config: Config, run: Run) -> Result:
    """Look at every source and judge; the verdict is failed when a limit is broken, or what it needs is missing."""
    check(config)
    settings = config.monitor
    end = _end(settings)
    windows, findings_so_far = _windows(settings, end)
    judged = [one for limit in settings.limits for one in limits.judge(limit, windows, settings.breaches)]
    busiest = next((limit.max for limit in settings.limits if limit.metric == "utilisation" and limit.max), None)
    findings_so_far += limits.findings(judged, windows, busiest)
    held_to, lacking = _reference(config, run)
    measured = _quality(config, end, held_to) if settings.predictions else Measured()
    spans, gates, more = measured.spans, measured.gates, measured.findings
    findings = [
        replace(f, level="warning") if f.rule in settings.allow else f for f in (*findings_so_far, *lacking, *more)
    ]
    broken = [f for f in findings if f.level == "failure"]
    states = Counter([*(one.state for one in judged), *(gate["state"] for gate in gates)])
    sure = states[State.PASSED] and not states[State.INCONCLUSIVE]
    section: MonitorResult = {
        "why": _why(broken, states),
        "windows": [window.as_record() for window in windows],
        "limits": [one.as_record() for one in judged],
        "positive": measured.positive,
        "reference": held_to.as_record() if held_to else None,
        "quality": spans,
        "gates": gates,
        "findings": [finding.as_record() for finding in findings],
    }
    return Result(section=section, verdict=Verdict.FAILED if broken else Verdict.PASSED if sure else Verdict.DONE)


def _why(broken: Sequence[Finding], states: Mapping[str, int]) -> str:
    if broken:
        return "; ".join(f"{finding.where}: {finding.what}" for finding in broken)
    if not any(states.values()):
        return "no limit was judged"
    others = [f"{count} {state}" for state, count in states.items() if count and state != State.PASSED]
    return "; ".join([f"{states['passed']} of {sum(states.values())} limits hold", *others])


def _wrong(settings: Monitor) -> Iterator[str]:
    sources = settings.endpoints or settings.prometheus or settings.cloudwatch
    if not sources and not settings.predictions:
        yield "monitor: there is nothing to watch; set endpoints, prometheus, cloudwatch or predictions"
    if settings.limits and not sources:
        yield "monitor.limits: no source tells them; set endpoints, prometheus or cloudwatch"
    for i, limit in enumerate(settings.limits):
        if limit.min is not None and limit.max is not None and limit.min > limit.max:
            yield f"monitor.limits[{i}]: min {limit.min:g} is above max {limit.max:g}; nothing can hold"
    if settings.breaches > settings.windows:
        yield f"monitor.breaches: {settings.breaches} of {settings.windows} windows can never break a limit; set it lower"
    if settings.endpoints and not settings.gap_s and settings.windows > 1:
        yield "monitor.windows: endpoints without gap_s have one window, since their start; set gap_s"
    if settings.cloudwatch and (times.seconds(settings.window) % 60 or times.seconds(settings.window) > _DAY_S):
        yield f"monitor.window: CloudWatch counts by whole minutes up to 1d. Got {settings.window!r}."
    yield from _wrong_quality(settings)


def _wrong_quality(settings: Monitor) -> Iterator[str]:
    judged = settings.quality
    if judged.gates and not settings.predictions:
        yield "monitor.predictions: is not set, and quality.gates need it; name the folder of the prediction log"
    if settings.predictions and not settings.outcomes:
        yield "monitor.outcomes: is not set; name the table of what came of the predictions, by request_id"
    if judged.breaches > judged.windows:
        yield f"monitor.quality.breaches: {judged.breaches} of {judged.windows} windows can never fail; set it lower"
    for i, gate in enumerate(judged.gates):
        for condition in gate.conditions:
            if condition.gain:
                others = " or ".join(c.name for c in CONDITIONS.values() if c.tolerates and not c.share)
                yield f"monitor.quality.gates[{i}].{condition.name}: a model does not gain on itself; use {others}"
        if gate.metric in MEASURED:
            yield f"monitor.quality.gates[{i}]: {gate.metric} is not of rows; set it in monitor.limits"


def _end(settings: Monitor) -> datetime:
    if settings.until is None:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(settings.until)
    except ValueError:
        raise ConfigError(
            f"monitor.until: {settings.until!r} is no time; write it in ISO 8601, as 2026-03-01T12:00:00"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _windows(settings: Monitor, end: datetime) -> tuple[list[Window], list[Finding]]:
    windows: list[Window] = []
    findings: list[Finding] = []
    spans = Spans(end=end, seconds=times.seconds(settings.window), count=settings.windows)
    if settings.endpoints:
        seen, findings = scrape.windows(
            settings.endpoints,
            windows=settings.windows,
            gap_s=settings.gap_s,
            variant=settings.variant,
            threads=settings.threads,
        )
        windows += seen
    if settings.prometheus:
        variant = f'variant="{settings.variant}"' if settings.variant else ""
        selector = ",".join(part for part in (settings.selector, variant) if part)
        windows += prometheus.windows(settings.prometheus, selector, spans, threads=settings.threads)
    if settings.cloudwatch:
        windows += cloudwatch.windows(settings.cloudwatch, settings.variant, settings.region, spans)
    return windows, findings


def _reference(config: Config, run: Run) -> tuple[Reference | None, list[Finding]]:
    """Find what gates against the champion are held to, where there are any."""
    if not any(gate.compares for gate in config.monitor.quality.gates):
        return None, []
    held_to = reference.find(config, run)
    if isinstance(held_to, str):
        return None, [Finding(rule="reference", where="quality", what=held_to)]
    return held_to, []


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The spans, what became of each gate over them, what is wrong, and the class that counted as positive."""

    spans: "Sequence[MonitorQuality]" = ()
    gates: "Sequence[MonitorGate]" = ()
    findings: Sequence[Finding] = ()
    positive: str | None = None


def _quality(config: Config, end: datetime, held_to: Reference | None) -> Measured:
    """Judge each span by the gates."""
    judged = config.monitor.quality
    last = end - timedelta(seconds=times.seconds(judged.delay))
    asked = Spans(end=last, seconds=times.seconds(judged.window), count=judged.windows)
    try:
        frame, findings = _rows(config, asked)
        known = quality.named(frame, config.data.target, config.model.task)
        model.require_positive(config, known)
    except ConfigError as error:
        # A log, a label or a class that is not there is what monitoring is to notice.
        return Measured(findings=[Finding(rule="missing", where="quality", what=problem) for problem in error.problems])
    place = naming.positive(known, config.model.positive) if config.model.task == "binary" else None
    metrics = judgement.metrics(judgement.monitored(config), "monitor.quality")
    spans = quality.cut(frame, config.data.target, asked)
    records = [
        _span(config, span, metrics, quality.outputs(span.rows, config.data.target, known, place), held_to)
        for span in spans
    ]
    for span, record in zip(spans, records, strict=True):
        if record["verdict"] == State.TOO_FEW:
            what = f"{span.rows.height} of {span.predicted} predicted rows have an outcome, at least {judged.min_rows} are needed"
            findings.append(Finding(rule="missing", where=f"quality {_named(span)}", what=what, count=span.rows.height))
    judged_gates = [record["gates"] for record in records if record["gates"]]
    over_spans = [*over_time.judge(judged_gates, judged.breaches)]
    findings += [finding for _, finding in over_spans if finding]
    return Measured(
        spans=records,
        gates=[gate for gate, _ in over_spans],
        findings=findings,
        positive=None if place is None else known[place],
    )


def _rows(config: Config, spans: Spans) -> "tuple[pl.DataFrame, list[Finding]]":
    settings = config.monitor
    log = predictions.scan(str(settings.predictions), config.root)
    columns = sorted({name for gate in settings.quality.gates for name in gate.columns})
    absent = [name for name in columns if name not in log.columns]
    if absent and log.rows:
        there = ", ".join(log.columns)
        raise ConfigError(*(f"monitor.quality.gates: by: no column {name!r} in the log; there are {there}" for name in absent))  # fmt: skip
    rows = log.collect(columns, since=spans.each()[0][0], until=spans.end)
    if settings.variant:
        import polars as pl

        rows = rows.filter(pl.col("_variant") == settings.variant)
    came = outcomes.read(str(settings.outcomes), config.root, [config.data.target], config.data.csv)
    joined = outcomes.join(log, rows, came)
    # Rows without an outcome are counted span by span; late ones are no mistake.
    notes = [f for f in joined.findings if f.rule != "predictions-without-outcomes"]
    return joined.frame, [*log.findings, *came.findings, *notes]


def _span(
    config: Config, span: "Span", metrics_asked: "Mapping[str, Metric]", outputs: "Outputs", held_to: Reference | None
) -> "MonitorQuality":
    from model_ci.gates.comparison import Resampling

    record: MonitorQuality = {
        "begin": written(span.begin),
        "end": written(span.end),
        "predicted": span.predicted,
        "rows": span.rows.height,
        "verdict": State.TOO_FEW,
        "metrics": {},
        "gates": [],
    }
    if span.rows.height < config.monitor.quality.min_rows:
        return record
    judging = judgement.monitored(config)
    sure = judging.evaluate.uncertainty
    side = judgement.side(metrics_asked, outputs, {})
    champion = judgement.of_quality(held_to.quality, metrics_asked) if held_to else None
    judged = judgement.weigh(judging, span.rows.to_pandas(), metrics_asked, side, champion, held_out=False)
    plan = Resampling(resamples=sure.resamples, seed=sure.seed)
    bounds = {name: quality.interval(metric, outputs, plan, sure.confidence) for name, metric in metrics_asked.items()}
    metrics: dict[str, MonitorQualityMetric] = {
        name: {
            "value": measured["challenger"],
            "interval": list(b) if (b := bounds.get(name)) else None,
            "problem": measured["problem"],
        }
        for name, measured in judged["metrics"].items()
    }
    gates = [over_time.sure(gate, bounds.get(gate["metric"])) for gate in judged["gates"]]
    return {
        **record,
        "verdict": State.FAILED if any(g["state"] == State.FAILED for g in gates) else State.PASSED,
        "metrics": metrics,
        "gates": gates,
    }


def _named(span: "Span") -> str:
    return f"{span.begin:%Y-%m-%d %H:%M} to {span.end:%Y-%m-%d %H:%M}"
