"""The files that GitLab shows in a merge request: gates as test cases, metrics as numbers, refusals beside their line."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from html import escape
from typing import TYPE_CHECKING, Final, cast

from model_ci.frozen import dataclass
from model_ci.report.blocks import describe_finding, describe_gate
from model_ci.terms import State, Verdict

if TYPE_CHECKING:
    from model_ci.record_types import (
        CheckDriftSection,
        CompareVariantsSection,
        Gate,
        MonitorSection,
        Record,
        Section,
        Sections,
    )
    from model_ci.types import Settings


Path_ = tuple[str | int, ...]
_NO: Final = (State.FAILED, State.INCONCLUSIVE)


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """What said no, and the place in the configuration that asked for it."""

    check: str
    message: str
    path: Path_


def refusals(record: "Record") -> Iterator[Refusal]:
    """Yield each finding and each gate that said no."""
    stages = record["stages"]
    data, evaluation = stages.get("check-data"), stages.get("evaluate")
    for finding in data["findings"] if data and data["verdict"] == Verdict.FAILED else []:
        yield Refusal(check="check-data", message=describe_finding(finding), path=("data", "path"))
    for gate in evaluation["gates"] if evaluation and evaluation["verdict"] == Verdict.FAILED else []:
        if gate["state"] in _NO:
            yield Refusal(
                check="evaluate", message=f"{describe_gate(gate)}: {gate['reason']}", path=_asked(record, gate)
            )
    for name, section in _of_the_service(stages):
        if section["verdict"] == Verdict.FAILED:
            failures = [describe_finding(finding) for finding in section["findings"] if finding["level"] == "failure"]
            yield from (Refusal(check=name, message=m, path=(name,)) for m in failures or [section["why"]])


def _of_the_service(
    stages: "Sections",
) -> "Iterator[tuple[str, CompareVariantsSection | CheckDriftSection | MonitorSection]]":
    if variants := stages.get("compare-variants"):
        yield "compare-variants", variants
    if drift := stages.get("check-drift"):
        yield "check-drift", drift
    if monitor := stages.get("monitor"):
        yield "monitor", monitor


def quality(record: "Record", file: str, line: Callable[[Path_], int]) -> str:
    """Return the refusals as GitLab's code quality report; `line` finds a place in the configuration `file`."""
    return json.dumps(
        [
            {
                "description": f"{record['model']['name']}: {refusal.message}",
                "check_name": f"model-ci {refusal.check}",
                "fingerprint": hashlib.sha256(f"{record['model']['name']} {refusal}".encode()).hexdigest(),
                "severity": "blocker",
                "location": {"path": file, "lines": {"begin": line(refusal.path)}},
            }
            for refusal in refusals(record)
        ],
        indent=2,
    )


def _asked(record: "Record", gate: "Gate") -> Path_:
    evaluate = cast("Settings", record["config"]["values"]).get("evaluate", {})
    if gate["metric"] in evaluate.get("own_gates", []):
        return ("evaluate", "own_gates", evaluate["own_gates"].index(gate["metric"]))
    for i, asked in enumerate(evaluate.get("gates", [])):
        by = asked.get("by") or []
        alike = asked["metric"] == gate["metric"] and " and ".join([by] if isinstance(by, str) else by) == (
            gate["by"] or ""
        )
        if alike and asked.get(gate["condition"]) is not None:
            return ("evaluate", "gates", i, gate["condition"])
    return ("evaluate",)


def junit(record: "Record") -> str:
    """Return the stages' checks as JUnit XML: one test case a gate, and one a stage that says yes or no by itself."""
    cases = []
    for name, section in cast("Mapping[str, Section]", record["stages"]).items():
        if name == "evaluate":
            cases += [_gate(gate) for gate in record["stages"]["evaluate"]["gates"]]
        if section["verdict"] != Verdict.DONE:
            failure = None if section["verdict"] == Verdict.PASSED else str(section.get("why", f"{name} failed"))
            cases.append(_case("stage", name, failure))
    failures = sum("<failure" in case for case in cases)
    title = _attribute(record["model"]["name"])
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<testsuites><testsuite name={title} tests="{len(cases)}" failures="{failures}">\n'
        + "".join(f"  {case}\n" for case in cases)
        + "</testsuite></testsuites>\n"
    )


def metrics(record: "Record") -> str:
    """Return the challenger's metrics as OpenMetrics text."""
    evaluation = record["stages"].get("evaluate")
    measured = evaluation["metrics"] if evaluation else {}
    lines = [
        f"{re.sub(r'[^a-zA-Z0-9_]', '_', name)} {metric['challenger']!r}"
        for name, metric in measured.items()
        if metric["challenger"] is not None
    ]
    return "".join(f"{line}\n" for line in [*lines, "# EOF"])


def _gate(gate: "Gate") -> str:
    failure = gate["reason"] if gate["state"] in _NO else None
    return _case("gate", describe_gate(gate), failure, gate["state"] == State.NO_CHAMPION)


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
