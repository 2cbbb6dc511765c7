"""What was found in the data."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from model_ci.report.blocks import Block, Paragraph, Table, describe_finding
from model_ci.terms import Verdict

if TYPE_CHECKING:
    from model_ci.record_types import CheckDataSection


def blocks(section: "CheckDataSection") -> Iterator[Block]:
    """Tell of each finding."""
    problems = section["findings"]
    for problem in problems if section["verdict"] != Verdict.FAILED else ():
        yield Paragraph(text=f"Data: {describe_finding(problem)}")
    if section["verdict"] == Verdict.FAILED:
        yield Paragraph(
            text=f"The data broke its contract: {len(problems)} {'finding' if len(problems) == 1 else 'findings'}."
        )
        rows = [[describe_finding(problem)] for problem in problems]
        yield Table(title="Data", columns=["finding"], rows=rows)
