"""The probe of a manifest: real rows, and what the model itself answers to them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from model_ci.serving.comparison import AnswerComparison, Answers, compare
from model_ci.serving.types import Record, Values

_ROWS: Final = 8  # of a request


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Rows with the answers that are expected; `classes` where the labels name classes."""

    columns: Sequence[str]
    rows: Sequence[Values]
    expected: Answers
    tolerance: float
    classes: bool

    @classmethod
    def read(cls, manifest: Record) -> "Probe":
        """Take the probe from a manifest; raise ValueError when it has none, or one without rows."""
        try:
            probe = manifest["probe"]
            read = cls(
                columns=probe["inputs"]["columns"], rows=probe["inputs"]["data"],
                expected=Answers(labels=probe["outputs"], probabilities=probe.get("probabilities")),
                tolerance=float(probe.get("tolerance") or 0), classes=bool(manifest.get("classes")),
            )  # fmt: skip
            rows, outputs = len(read.rows), len(read.expected.labels)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"has no probe rows ({error!r})") from None
        if not rows or rows != outputs:
            raise ValueError(f"has {rows} probe rows and {outputs} outputs")
        return read

    def requests(self) -> list[tuple[slice, bytes]]:
        """Return the bodies of requests that together send every row, each with the rows that it sends."""
        parts = [slice(start, start + _ROWS) for start in range(0, len(self.rows), _ROWS)]
        return [(part, self.request(part)) for part in parts]

    def request(self, part: slice) -> bytes:
        """Return the body of a request with some of the rows."""
        return json.dumps({"dataframe_split": {"columns": self.columns, "data": self.rows[part]}}).encode()

    def compare(self, answers: Answers, part: slice = slice(None), tolerance: float = 0.0) -> AnswerComparison:
        """Compare answers to some of the rows with those expected; a larger tolerance than the probe's own counts."""
        return compare(answers, self.expected.part(part), max(tolerance, self.tolerance), classes=self.classes)
