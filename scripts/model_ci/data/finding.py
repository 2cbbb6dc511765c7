"""What is wrong with the data, as it is told and recorded."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from model_ci.frozen import dataclass

if TYPE_CHECKING:
    from model_ci import record_types
    from model_ci.types import JSON

MAX_EXAMPLES: Final = 5


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong: where, what and what to do about it; a warning alone fails nothing."""

    rule: str
    where: str
    what: str
    count: int | None = None
    examples: "Sequence[JSON]" = ()
    level: str = "failure"  # or warning

    def as_record(self) -> "record_types.Finding":
        """Return the finding as it stands in a run's record."""
        return {
            "rule": self.rule,
            "where": self.where,
            "what": self.what,
            "count": self.count,
            "examples": list(self.examples),
            "level": self.level,
        }


def such_as(examples: Sequence[object]) -> str:
    """List a few examples for the end of a sentence."""
    shown = [repr(example) if isinstance(example, str) else str(example) for example in examples[:3]]
    return f", such as {', '.join(shown)}" if shown else ""


def share(count: int, rows: int) -> str:
    """Say how many of how many, and which share that is."""
    return f"{count} of {rows} rows ({count / max(rows, 1):.2%})"
