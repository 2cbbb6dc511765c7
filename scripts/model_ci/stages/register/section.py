"""Which version the model became."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from model_ci.report.blocks import Block, Paragraph

if TYPE_CHECKING:
    from model_ci.record_types import RegisterSection


def blocks(section: "RegisterSection") -> Iterator[Block]:
    """Say what the aliases point to now."""
    words = f"Registered as {section['name']} version {section['version']}"
    if section["champion"] == section["version"]:
        before = f", the champion before it was version {section['previous']}" if section["previous"] else ""
        yield Paragraph(text=f"{words}, which is the champion now{before}.")
    else:
        verb = "is" if section["promoted"] else "stays"
        kept = f"version {section['champion']} {verb} the champion" if section["champion"] else "there is no champion"
        again = section["rejudged"]
        why = f" It was judged again, because somebody else became champion meanwhile: {again['why']}." if again else ""
        role = ", which was the champion" if section["promoted"] else ", a challenger"
        yield Paragraph(text=f"{words}{role}; {kept}.{why}")
