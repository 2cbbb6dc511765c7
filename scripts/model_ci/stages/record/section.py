"""Whether the record got to its branch, and what the branch says of the scheduled check."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from model_ci.report.blocks import Block, Paragraph, describe_finding

if TYPE_CHECKING:
    from model_ci.record_types import RecordSection


def blocks(section: "RecordSection") -> Iterator[Block]:
    """Say only what went wrong."""
    for finding in section["findings"]:
        yield Paragraph(text=f"Retraining: {describe_finding(finding)}", essential=True)
    if section["problem"]:
        yield Paragraph(text=f"The record was not pushed to {section['branch']}: {section['problem']}")
