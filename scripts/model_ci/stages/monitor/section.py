"""How the service fares."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, cast

from model_ci.report.blocks import Block, Paragraph, Table, describe_finding, number

if TYPE_CHECKING:
    from model_ci.record_types import MonitorGate, MonitorLimit, MonitorQuality, MonitorSection


def blocks(section: "MonitorSection") -> Iterator[Block]:
    """Say how the service fares: what broke a limit or is missing, then the figures."""
    yield Paragraph(text=f"Service: {section['why']}.", essential=True)
    for finding in section["findings"]:
        if finding["level"] == "warning":
            yield Paragraph(text=f"Service: {describe_finding(finding)}")
    if section.get("positive") is not None:
        yield Paragraph(text=f"The positive class is {section['positive']}.")
    limits = [_limit(limit) for limit in section["limits"]] + [_over_spans(gate) for gate in section["gates"]]
    if limits:
        columns = ["what", "limit", "oldest to newest", "result"]
        yield Table(title="Limits of the service", columns=columns, rows=limits, essential=True)
    if held_to := section["reference"]:
        text = f"Quality is held to version {held_to['version']} on its {number(held_to['rows'])} held-out rows."
        yield Paragraph(text=text)
    newest = {w["source"]: cast("Mapping[str, float | None]", w["figures"]) for w in section["windows"]}
    if newest:
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


def _limit(limit: "MonitorLimit") -> list[str]:
    named = f"{limit['metric']} ({limit['source']})" if limit["source"] else limit["metric"]
    values = ", ".join(number(value) for value in limit["values"]) or "-"
    return [named, f"{limit['condition']} {limit['limit']:g}", values, f"{limit['state']}: {limit['reason']}"]


def _over_spans(gate: "MonitorGate") -> list[str]:
    named = f"{gate['metric']} by {gate['by']}" if gate["by"] else gate["metric"]
    values = ", ".join(number(value) for value in gate["values"])
    of = f" from the champion's {number(gate['champion'])}" if gate["champion"] is not None else ""
    return [named, f"{gate['condition']} {gate['limit']:g}{of}", values, f"{gate['state']}: {gate['reason']}"]


def _span(span: "MonitorQuality") -> list[str]:
    measured = [
        f"{name} {number(m['value'])}"
        + (f" [{number(m['interval'][0])}, {number(m['interval'][1])}]" if m["interval"] else "")
        for name, m in span["metrics"].items()
    ]
    dates = [span[key][:16].replace("T", " ") for key in ("begin", "end")]
    return [*dates, number(span["predicted"]), number(span["rows"]), ", ".join(measured) or "-", span["verdict"]]
