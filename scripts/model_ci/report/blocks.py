"""What a report is made of, whatever it is rendered as, and how figures stand in it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from model_ci.frozen import dataclass

if TYPE_CHECKING:
    from model_ci.record_types import Finding, Gate


@dataclass(frozen=True, kw_only=True)
class Heading:
    """The verdict in one line; `state` is passed, failed or not judged."""

    state: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Paragraph:
    """A sentence or two; what is `essential` stands even where there is little room."""

    text: str
    essential: bool = False


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A value to be drawn against its limit, with its bounds where it has any."""

    value: float
    bounds: Sequence[float] | None
    limit: float
    above: bool  # whether the good side of the limit is above it
    difference: bool  # whether it is one, so that nothing stands for no change


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """Shares of rows before and now, to be drawn over one another: in equal cells from `begin` to `end`, or by label."""

    reference: Sequence[float]
    window: Sequence[float]
    labels: Sequence[str] | None
    begin: float | None
    end: float | None


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of text below a title; `folded` is detail that a reader opens when wanted.

    `bars` are what a page draws, one a row or none; what is `essential` stands even where there is little room.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    folded: bool = False
    essential: bool = False
    bars: Sequence[Bar | Distribution | None] = ()


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Horizontal bars of one value each, from 0 on; what else is drawn beside them is `before`, where it is known."""

    title: str
    labels: Sequence[str]
    values: Sequence[float]
    before: Sequence[float | None] = ()
    shares: bool = False  # so that they are written in percent


Block = Heading | Paragraph | Table | Chart


def number(value: float | None) -> str:
    """Write a number so that figures of one table can be compared."""
    if value is None:
        return "-"
    if isinstance(value, int) or (abs(value) >= 1000 and value == int(value)):
        return f"{int(value):,}"
    return f"{value:.4f}" if 0.001 <= abs(value) < 1000 or value == 0 else f"{value:.4g}"


def ordinal(value: int) -> str:
    """Write a rank: 1st, 2nd, 11th."""
    last = value % 100
    ending = "th" if last in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")
    return f"{value:,}{ending}"


def describe_finding(finding: "Finding") -> str:
    """Return where a finding is and what is wrong, in a sentence."""
    return ": ".join(text for text in (finding["where"], finding["what"]) if text)


def describe_gate(gate: "Gate") -> str:
    """Name a gate's condition so that it can be told from the others."""
    by = f" by {gate['by']}" if gate["by"] else ""
    return f"{gate['metric']}{by} {describe_condition(gate)}"


def describe_condition(gate: "Gate") -> str:
    """Return the condition and its limit; a gate of the user's own has neither."""
    return "your own" if gate["limit"] is None else f"{gate['condition']} {gate['limit']:g}"


def percent(share: float | None) -> str:
    """Write a share, a dash for one that is not known."""
    return "-" if share is None else f"{share:.1%}"


def sentence(text: str) -> str:
    """Make a sentence of a reason."""
    return text[:1].upper() + text[1:] + "."
