"""What the service says no to, and why: the caller's mistakes, and a start that must not be."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from model_ci.serving.types import Document

SHOWN: Final = 100  # problems in one answer; the rest is counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with a request: in which column and row (from 0), where that can be said, and why."""

    reason: str
    column: str | None = None
    row: int | None = None

    def as_record(self) -> Document:
        """Return it as JSON."""
        return {"column": self.column, "row": self.row, "reason": self.reason}


class Refusal(Exception):  # noqa: N818 - it is no error of ours
    """A request that is not answered; `kind` is the label that it is counted under."""

    def __init__(self, status: int, kind: str, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.problems = problems
        self.headers: list[tuple[bytes, bytes]] = []

    def as_record(self) -> Document:
        """Return the body of the answer."""
        document: Document = {"error": self.message}
        if self.problems:
            document["problems"] = [problem.as_record() for problem in self.problems[:SHOWN]]
            document["problem_count"] = len(self.problems)
        return document


class StartError(Exception):
    """The service must not start: every reason found, each as `where: what is wrong; what to do`."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems: Sequence[str] = problems
