"""What was decided about two variants, and by which figures."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from model_ci.report.blocks import Block, Paragraph, Table, describe_finding, number, sentence
from model_ci.terms import Evidence

if TYPE_CHECKING:
    from model_ci.record_types import CompareVariantsGuardRail, CompareVariantsMetric, CompareVariantsSection


def blocks(section: "CompareVariantsSection") -> Iterator[Block]:
    """Say what was decided about two variants, and by which figures."""
    yield Paragraph(text=f"{sentence(section['decision'])} {sentence(section['why'])}", essential=True)
    if act := section["act"]:
        what = "it was carried out" if act["carried_out"] else "nothing was changed"
        why = f": {act['why']}" if act["why"] else ""
        yield Paragraph(text=sentence(f"in {act['environment']} {what}{why}"), essential=True)
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


def _judged(judged: "CompareVariantsMetric | CompareVariantsGuardRail", condition: str) -> list[str]:
    bounds = judged["interval"]
    drawn = f"[{number(bounds[0])}, {number(bounds[1])}]" if bounds else "-"
    state = judged["state"] if judged["state"] == Evidence.PASSED else f"{judged['state']}: {judged['reason']}"
    return [judged["name"], number(judged["control"]), number(judged["treatment"]), drawn, condition, state]
