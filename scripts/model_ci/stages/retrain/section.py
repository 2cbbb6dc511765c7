"""Whether the model is trained again, and why."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from model_ci.report.blocks import Block, Paragraph, Table, describe_finding

if TYPE_CHECKING:
    from model_ci.record_types import RetrainHeld, RetrainSection


def blocks(section: "RetrainSection") -> Iterator[Block]:
    """Say what was decided, then what it rests on."""
    word = "Train again" if section["retrain"] else "Not trained again"
    yield Paragraph(text=f"{word}: {section['why']}.", essential=True)
    for finding in section["findings"]:
        yield Paragraph(text=f"Retraining: {describe_finding(finding)}", essential=True)
    rows = [["for it", cause["kind"], cause["what"]] for cause in section["causes"]]
    rows += [["against it", held["by"], _until(held)] for held in section["held"]]
    rows += [["retrainings without gain", str(section["without_gain"]), "in a row"]]
    rows += [["retrainings of the budget", str(section["in_budget"]), "before this decision"]]
    yield Table(title="Retraining", columns=["", "what", "detail"], rows=rows, folded=True)


def _until(held: "RetrainHeld") -> str:
    return f"{held['what']}; until {held['until'][:16].replace('T', ' ')}" if held["until"] else held["what"]
