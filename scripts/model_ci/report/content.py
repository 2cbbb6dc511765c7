"""What a report says, whatever it is rendered as: verdict first, then the gates, then what was found and made."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Record = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Heading:
    """The verdict in one line; `state` is passed, failed or not judged."""

    state: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Paragraph:
    """A sentence or two; what is `essential` stands even where there is little room."""

    text: str
    essential: bool = False


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A value to be drawn against its limit, with its bounds where it has any."""

    value: float
    bounds: Sequence[float] | None
    limit: float
    above: bool  # whether the good side of the limit is above it
    difference: bool  # whether it is one, so that nothing stands for no change


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of text below a title; `folded` is detail that a reader opens when wanted.

    `bars` are what a page draws, one a row or none; what is `essential` stands even where there is little room.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    folded: bool = False
    essential: bool = False
    bars: Sequence[Bar | None] = ()


Block = Heading | Paragraph | Table
_COLUMNS: Final = 10
_WORDS = {"passed": "passed", "failed": "refused", "not judged": "not judged yet"}


def content(record: Record) -> list[Block]:
    """Return the report's blocks in their order."""
    stages = record["stages"]
    blocks: list[Block] = [
        Heading(state=record["verdict"], text=f"{record['model']['name']}: {_WORDS[record['verdict']]}"),
    ]
    if data := stages.get("check-data"):
        blocks += _check_data(data)
    if evaluation := stages.get("evaluate"):
        blocks += _evaluate(evaluation)
    if explanation := stages.get("explain"):
        blocks += _explain(explanation)
    if registration := stages.get("register"):
        blocks += _register(registration)
    if comparison := stages.get("compare-variants"):
        blocks += _compare_variants(comparison)
    if watched := stages.get("monitor"):
        blocks += _monitor(watched)
    if recorded := stages.get("record"):
        blocks += _record(recorded)
    blocks += [_stages(stages), _facts(record)]
    return blocks


def number(value: float | None) -> str:
    """Write a number so that figures of one table can be compared."""
    if value is None:
        return "-"
    if isinstance(value, int) or (abs(value) >= 1000 and value == int(value)):
        return f"{int(value):,}"
    return f"{value:.4f}" if 0.001 <= abs(value) < 1000 or value == 0 else f"{value:.4g}"


def _check_data(section: Record) -> Iterator[Block]:
    problems = section.get("findings", [])
    for problem in problems if section["verdict"] != "failed" else ():
        yield Paragraph(text=f"Data: {describe_finding(problem)}")
    if section["verdict"] == "failed":
        yield Paragraph(
            text=f"The data broke its contract: {len(problems)} {'finding' if len(problems) == 1 else 'findings'}."
        )
        rows = [[describe_finding(problem)] for problem in problems]
        yield Table(title="Data", columns=["finding"], rows=rows)


def describe_finding(finding: Any) -> str:
    """Return what check-data found, in a sentence."""
    if not isinstance(finding, Mapping):
        return str(finding)
    return ": ".join(str(finding[key]) for key in ("where", "what", "message", "detail") if finding.get(key))


def _evaluate(section: Record) -> Iterator[Block]:
    champion = section["champion"]
    against = f"Champion is version {champion['version']}." if champion else (
        "There is no champion yet: judged by the absolute gates only."
    )  # fmt: skip
    why = f"{_sentence(section['why'])} {against} Judged on {number(section['rows'])} held-out rows."
    yield Paragraph(text=why, essential=True)
    if drawn := section["comparison"]:
        yield Paragraph(text=_how_sure(drawn, _compared(section["gates"])))
    yield Table(
        title="Gates",
        columns=["metric", "champion", "challenger", "difference", "gate", "result"],
        rows=[_gate(gate) for gate in section["gates"]],
        bars=[_bar(gate, section["metrics"]) for gate in section["gates"]],
        essential=True,
    )
    yield from (_slices(gate) for gate in section["gates"] if gate["slices"] and gate["state"] != "no champion")
    gated = {gate["metric"] for gate in section["gates"]}
    others = {name: m for name, m in section["metrics"].items() if name not in gated}
    if others:
        rows = [
            [name, number(m["champion"]), number(m["challenger"]), m["problem"] or ""] for name, m in others.items()
        ]
        yield Table(title="Other metrics", columns=["metric", "champion", "challenger", ""], rows=rows)


def _slices(gate: Record) -> Table:
    """Return every slice of a gate, the worst first; the small ones stand last and are no less shown."""
    order = ("failed", "inconclusive", "passed", "no champion", "measured", "too small")
    slices = sorted(gate["slices"], key=lambda part: order.index(part["state"]))
    return Table(
        title=f"Slices of {describe_gate(gate)}",
        columns=["slice", "rows", "champion", "challenger", "difference", "result"],
        rows=[_slice(part) for part in slices],
        folded=True,
    )


def _slice(part: Record) -> list[str]:
    value = number(part["challenger"])
    if part["difference"] is None and part["interval"]:
        value += f" [{number(part['interval'][0])}, {number(part['interval'][1])}]"
    rows, champion = number(part["rows"]), number(part["champion"])
    return [part["slice"], rows, champion, value, _difference(part), _result(part)]


def _compared(gates: Sequence[Record]) -> int:
    """Count the tests: each slice that is judged is one, and so is a gap between slices."""
    tests = [test for gate in gates for test in ([gate] if _is_one_test(gate) else gate["slices"])]
    return sum(bool(test["interval"]) for test in tests)


def _is_one_test(gate: Record) -> bool:
    """Tell whether a gate is judged itself, and not but the worst of its slices."""
    return not gate["slices"] or any(part["state"] == "measured" for part in gate["slices"])


def _how_sure(drawn: Record, compared: int) -> str:
    """Say what the bounds mean; silence would let them be read as more than they are."""
    blocks = f" of {number(drawn['blocks'])} blocks" if drawn["blocks"] else ""
    several = (
        f" Of the {compared} comparisons, none is called worse by chance more often than that (Holm)."
        if compared > 1
        else ""
    )
    return (
        f"Bounds of a difference are from {number(drawn['resamples'])} paired resamples{blocks}; "
        f"each holds with {drawn['confidence']:.0%} confidence.{several}"
    )


def _gate(gate: Record) -> list[str]:
    return [
        f"{gate['metric']} by {gate['by']}" if gate["by"] else gate["metric"],
        number(gate["champion"]),
        number(gate["challenger"]),
        _difference(gate),
        _condition(gate),
        _result(gate),
    ]


def describe_gate(gate: Record) -> str:
    """Name a gate's condition so that it can be told from the others."""
    by = f" by {gate['by']}" if gate["by"] else ""
    return f"{gate['metric']}{by} {_condition(gate)}"


def _condition(gate: Record) -> str:
    return "your own" if gate["limit"] is None else f"{gate['condition']} {gate['limit']:g}"


def _bar(gate: Record, metrics: Record) -> Bar | None:
    """Return what is compared with the limit: the value itself, or the difference to the champion."""
    condition, limit = gate["condition"], gate["limit"]
    difference = condition in ("max_drop", "max_rise", "min_gain")
    value = gate["difference" if difference else "challenger"]
    if value is None or limit is None:
        return None
    falls = condition == "max_drop" or (
        condition == "min_gain" and metrics.get(gate["metric"], {}).get("greater_is_better") is False
    )
    return Bar(
        value=value,
        bounds=gate["interval"],
        limit=-limit if falls else limit,
        above=condition in ("min", "max_drop") or (condition == "min_gain" and not falls),
        difference=difference,
    )


def _result(gate: Record) -> str:
    if gate["state"] == "failed" and gate["comparison"]:
        return f"failed: {gate['comparison']}, {gate['reason']}"
    if gate["state"] != "passed":
        return f"{gate['state']}: {gate['reason']}"
    return f"passed: {gate['comparison']}" if gate["comparison"] else "passed"


def _difference(gate: Record) -> str:
    if gate["difference"] is None:
        return "-"
    bounds = f" [{gate['interval'][0]:+.4f}, {gate['interval'][1]:+.4f}]" if gate["interval"] else ""
    return f"{gate['difference']:+.4f}{bounds}"


def _explain(section: Record) -> Iterator[Block]:
    """Say what the model looks at, by which explainer, and whether the figures can be relied on."""
    of = f" of {section['target_class']}" if section["target_class"] else ""
    how = f"{section['explainer']} explainer, {section['scale']}{of}, {number(section['rows'])} held-out rows"
    yield Paragraph(text=f"Attributions: {section['why']} ({how}).")
    if section["note"]:
        yield Paragraph(text=f"Attributions were sampled: {section['note']}.")
    sums = section["additivity"]
    if not sums["holds"] and section["verdict"] != "failed":
        yield Paragraph(text=f"Attributions do not add up to the output: off by up to {number(sums['error'])}.")
    champion = section["champion"]
    if champion is None:
        yield Paragraph(text="There is no champion whose attributions could be compared.")
    elif champion["problem"]:
        yield Paragraph(text=_sentence(champion["problem"]))
    if section["new_top"]:
        before = champion["columns"][0]["name"]
        yield Paragraph(text=f"{section['new_top']} counts most now; for the champion it was {before}.")
    if section["gates"]:
        yield Table(
            title="Gates on attributions",
            columns=["column", "gate", "found", "result"],
            rows=[_explain_gate(gate) for gate in section["gates"]],
        )
    shifts = {change["name"]: change for change in section["changes"] or ()}
    yield Table(
        title="What the model looks at",
        columns=["column", "share", "champion", "change"],
        rows=[_column(column, shifts.get(column["name"])) for column in section["columns"][:_COLUMNS]],
        folded=True,
    )


def _explain_gate(gate: Record) -> list[str]:
    result = gate["state"] if gate["state"] == "passed" else f"{gate['state']}: {gate['reason']}"
    return [gate["column"] or "-", f"{gate['condition']} {gate['limit']:.1%}", _percent(gate["value"]), result]


def _column(column: Record, change: Record | None) -> list[str]:
    if change is None:
        return [column["name"], _percent(column["share"]), "-", "-"]
    share = _percent(change["champion_share"] if change["champion_rank"] else None)
    return [column["name"], _percent(column["share"]), share, f"{change['shift']:+.1%}"]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _register(section: Record) -> Iterator[Block]:
    words = f"Registered as {section['name']} version {section['version']}"
    if section["promoted"]:
        before = f", the champion before it was version {section['previous']}" if section["previous"] else ""
        yield Paragraph(text=f"{words}, which is the champion now{before}.")
    else:
        kept = f"version {section['champion']} stays the champion" if section["champion"] else "there is no champion"
        again = section["rejudged"]
        why = f" It was judged again, because somebody else became champion meanwhile: {again['why']}." if again else ""
        yield Paragraph(text=f"{words}, a challenger; {kept}.{why}")


def _compare_variants(section: Record) -> Iterator[Block]:
    """Say what was decided about two variants, and by which figures."""
    carried = " It was carried out." if section["acted"] else ""
    yield Paragraph(text=f"{_sentence(section['decision'])} {_sentence(section['why'])}{carried}", essential=True)
    yield Table(
        title="Variants",
        columns=["metric", section["control"], section["treatment"], "bounds", "condition", "result"],
        rows=[
            _judged(section["metric"], f"gain above {section['metric']['min_gain']:g}"),
            *(_judged(rail, f"{rail['condition']} {rail['value']:g}") for rail in section["guard_rails"]),
        ],
        essential=True,
    )
    ratio, units = section["sample_ratio"], section["metric"]["units"]
    yield Paragraph(
        text=f"{section['treatment']} has {ratio['found']:.1%} of the {section['unit']}s, {ratio['expected']:.1%} were meant; "
        f"the metric is known of {number(units[0])} and {number(units[1])}. No decision is false with "
        f"{section['confidence']:.0%} confidence, however often the test is looked at."
    )
    for finding in section["findings"]:
        if finding["level"] == "warning":
            yield Paragraph(text=f"Variants: {describe_finding(finding)}")


def _judged(judged: Record, condition: str) -> list[str]:
    bounds = judged["interval"]
    drawn = f"[{number(bounds[0])}, {number(bounds[1])}]" if bounds else "-"
    state = judged["state"] if judged["state"] == "passed" else f"{judged['state']}: {judged['reason']}"
    return [judged["name"], number(judged["control"]), number(judged["treatment"]), drawn, condition, state]


def _monitor(section: Record) -> Iterator[Block]:
    """Say how the service fares: what broke a limit or is missing, then the figures."""
    yield Paragraph(text=f"Service: {section['why']}.", essential=True)
    for finding in section["findings"]:
        if finding["level"] == "warning":
            yield Paragraph(text=f"Service: {describe_finding(finding)}")
    limits = [_limit(limit) for limit in section["limits"]] + [_over_spans(gate) for gate in section["gates"]]
    if limits:
        columns = ["what", "limit", "oldest to newest", "result"]
        yield Table(title="Limits of the service", columns=columns, rows=limits, essential=True)
    if newest := {window["source"]: window["figures"] for window in section["windows"]}:
        names = dict.fromkeys(n for figures in newest.values() for n, value in figures.items() if value is not None)
        rows = [[name, *(number(figures[name]) for figures in newest.values())] for name in names]
        yield Table(title="Service, newest window", columns=["figure", *newest], rows=rows, folded=True)
    if section["quality"]:
        yield Table(
            title="Quality over time",
            columns=["from", "to", "predicted", "known", "metrics", "result"],
            rows=[_span(span) for span in section["quality"]],
            folded=True,
        )


def _limit(limit: Record) -> list[str]:
    named = f"{limit['metric']} ({limit['source']})" if limit["source"] else limit["metric"]
    values = ", ".join(number(value) for value in limit["values"]) or "-"
    return [named, f"{limit['condition']} {limit['limit']:g}", values, f"{limit['state']}: {limit['reason']}"]


def _over_spans(gate: Record) -> list[str]:
    named = f"{gate['metric']} by {gate['by']}" if gate["by"] else gate["metric"]
    values = ", ".join(number(value) for value in gate["values"])
    return [named, f"{gate['condition']} {gate['limit']:g}", values, f"{gate['state']}: {gate['reason']}"]


def _span(span: Record) -> list[str]:
    measured = [
        f"{name} {number(m['value'])}"
        + (f" [{number(m['interval'][0])}, {number(m['interval'][1])}]" if m["interval"] else "")
        for name, m in span["metrics"].items()
    ]
    dates = [span[key][:16].replace("T", " ") for key in ("begin", "end")]
    return [*dates, number(span["predicted"]), number(span["rows"]), ", ".join(measured) or "-", span["verdict"]]


def _record(section: Record) -> Iterator[Block]:
    if not section["pushed"]:
        yield Paragraph(text=f"The record was not pushed to {section['branch']}: {section['problem']}")


def _stages(stages: Mapping[str, Record]) -> Table:
    rows = [
        [name, s["verdict"], f"{s['duration_s']:.1f} s", f"from run {s['reused_from']}" if s.get("reused_from") else ""]
        for name, s in stages.items()
    ]
    return Table(title="Stages", columns=["stage", "verdict", "time", ""], rows=rows, folded=True)


def _facts(record: Record) -> Table:
    code, train, ci = record["code"], record["stages"].get("train"), record["ci"]
    commit = f"{code['commit'] or 'no commit'}{' with uncommitted changes' if code['dirty'] else ''}"
    rows = [["run", record["run_id"]], ["started", record["start"]], ["code", commit]]
    if data := (train or record["stages"].get("check-data") or {}).get("data"):
        rows += [
            ["data", data["location"]],
            ["data version", f"sha256 {data['sha256'][:16]}, {number(data['rows'])} rows"],
        ]
    if train:
        rows += [["parameters", ", ".join(f"{k}={v}" for k, v in train["parameters"].items()) or "defaults"]]
        rows += [
            ["seed", str(train["seed"])],
            ["model", f"{train['model']['flavor']}, {train['model']['size_mb']:.2f} MiB"],
        ]
    rows += [["trigger", record["trigger"]["reason"] or record["trigger"]["event"]]]
    if ci["run_url"]:
        rows += [["job", ci["run_url"]]]
    return Table(title="Run", columns=["", ""], rows=rows, folded=True)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
