"""Whether the record got to its branch."""

from collections.abc import Iterator

from model_ci.report.blocks import Block, Paragraph, Record


def blocks(section: Record) -> Iterator[Block]:
    """Say only what went wrong."""
    if not section["pushed"]:
        yield Paragraph(text=f"The record was not pushed to {section['branch']}: {section['problem']}")
