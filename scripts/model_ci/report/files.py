"""The files that GitLab shows in a merge request: gates as test cases, metrics as numbers to compare."""

import re
from collections.abc import Mapping
from html import escape
from typing import Any

Record = Mapping[str, Any]


def junit(record: Record) -> str:
    """Return the stages' checks as JUnit XML: one test case a gate, and one a stage that says yes or no by itself."""
    cases = []
    for name, section in record["stages"].items():
        if name == "evaluate":
            cases += [_gate(gate) for gate in section["gates"]]
        if section["verdict"] != "done":
            failure = None if section["verdict"] == "passed" else section.get("why", f"{name} said no")
            cases.append(_case("stage", name, failure))
    failures = sum("<failure" in case for case in cases)
    title = _attribute(record["model"]["name"])
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<testsuites><testsuite name={title} tests="{len(cases)}" failures="{failures}">\n'
        + "".join(f"  {case}\n" for case in cases)
        + "</testsuite></testsuites>\n"
    )


def metrics(record: Record) -> str:
    """Return the challenger's metrics as OpenMetrics text."""
    measured = record["stages"].get("evaluate", {}).get("metrics", {})
    lines = [
        f"{re.sub(r'[^a-zA-Z0-9_]', '_', name)} {metric['challenger']!r}"
        for name, metric in measured.items()
        if metric["challenger"] is not None
    ]
    return "".join(f"{line}\n" for line in [*lines, "# EOF"])


def _gate(gate: Record) -> str:
    failure = gate["reason"] if gate["state"] in ("failed", "inconclusive") else None
    return _case(
        "gate", f"{gate['metric']} {gate['condition']} {gate['limit']:g}", failure, gate["state"] == "no champion"
    )


def _case(group: str, name: str, failure: str | None, skipped: bool = False) -> str:
    inner = (
        "<skipped/>"
        if skipped
        else f"<failure message={_attribute(failure)}>{escape(failure)}</failure>"
        if failure
        else ""
    )
    return f"<testcase classname={_attribute(group)} name={_attribute(name)}>{inner}</testcase>"


def _attribute(value: str) -> str:
    return f'"{escape(value)}"'
