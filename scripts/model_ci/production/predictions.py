"""The prediction log of a service: JSON lines, one a request, read as one table of predicted rows."""

import glob
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from model_ci.data.finding import Finding
from model_ci.errors import ConfigError
from model_ci.frozen import dataclass
from model_ci.production import lines
from model_ci.production.frame import FrameBuilder
from model_ci.production.survey import Survey, families

if TYPE_CHECKING:
    import polars as pl

    from model_ci.types import Array

BATCH_ROWS: Final = 50_000


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """A prediction log that was read once: what is in it, and what is wrong with it.

    A frame has the model's input columns, and `_time` (UTC), `_request_id`, `_row` (its index in the request),
    `_variant`, `_version`, `_user`, `_prediction`, `_probability_<class>` for each class, `_duration_ms` (of the request).
    `ids` are the hashes of all request ids, sorted.
    """

    location: str
    files: tuple[Path, ...]
    columns: "Mapping[str, type[pl.DataType]]"
    prediction: "type[pl.DataType]"
    classes: tuple[str, ...]
    requests: int
    rows: int
    first: datetime | None
    last: datetime | None
    findings: tuple[Finding, ...]
    ids: "Array"

    def batches(self, columns: Sequence[str] | None = None) -> "Iterator[pl.DataFrame]":
        """Yield the rows in the order of the files, at least BATCH_ROWS at a time; `columns` of the inputs, or all."""
        rows = self._empty(columns)
        for file in self.files:
            for line in lines.lines(file):
                if (request := lines.request(line)) is not None:
                    rows.add(request)
                if len(rows) >= BATCH_ROWS:
                    yield rows.take()
        if len(rows):
            yield rows.take()

    def collect(
        self, columns: Sequence[str] | None = None, since: datetime | None = None, until: datetime | None = None
    ) -> "pl.DataFrame":
        """Return the rows from `since` to before `until` in one frame, ordered by time."""
        import polars as pl

        inside = pl.lit(value=True)
        inside = inside if since is None else inside & (pl.col("_time") >= since)
        inside = inside if until is None else inside & (pl.col("_time") < until)
        frames = [batch.filter(inside) for batch in self.batches(columns)] or [self._empty(columns).take()]
        return pl.concat(frames).sort("_time", maintain_order=True)

    def _empty(self, columns: Sequence[str] | None) -> FrameBuilder:
        kept = {name: dtype for name, dtype in self.columns.items() if columns is None or name in columns}
        return FrameBuilder(kept, self.prediction, self.classes)

    def knows(self, request_ids: Iterable[str]) -> "Array":
        """Tell of each request id whether the log has it."""
        import numpy as np

        asked = np.fromiter((hash(i) for i in request_ids), dtype=np.int64)
        at = np.minimum(np.searchsorted(self.ids, asked), max(len(self.ids) - 1, 0))
        return self.ids[at] == asked if len(self.ids) else np.zeros(len(asked), dtype=bool)


def scan(location: str, root: Path, classes: Sequence[str] = ()) -> Predictions:
    """Read a log through once, without keeping it: a folder, a glob or a file, `.gz` or not, relative to `root`.

    `classes` names the columns of the probabilities; without it they are numbered. A last line that a killed service did
    not finish is no mistake. Raises ConfigError when there is no log.
    """
    files = find(location, root)
    survey = Survey()
    for file in files:
        survey.read(file)
    if classes and survey.classes and len(classes) != survey.classes:
        raise ConfigError(
            f"{location}: its predictions have {survey.classes} probabilities, the model has {len(classes)} classes; "
            "read the log of this model"
        )
    named = tuple(classes) if classes else tuple(str(i) for i in range(survey.classes))
    return Predictions(
        location=location,
        files=files,
        columns={name: _dtype(kinds) for name, kinds in survey.kinds.items()},
        prediction=_dtype(survey.outputs),
        classes=named if survey.classes else (),
        requests=len(survey.ids),
        rows=survey.rows,
        first=survey.first,
        last=survey.last,
        findings=tuple(survey.findings(location, files)),
        ids=survey.sorted_ids(),
    )


def find(location: str, root: Path) -> tuple[Path, ...]:
    """Return the files of a log in their order; raise ConfigError when there is none."""
    place = root / location
    if place.is_dir():
        files = sorted([*place.rglob("predictions-*.jsonl"), *place.rglob("predictions-*.jsonl.gz")])
        absent = "the folder has no file predictions-*.jsonl; is the service's prediction log switched on?"
    else:
        files = sorted(Path(name) for name in glob.glob(str(place), recursive=True) if Path(name).is_file())  # noqa: PTH207
        absent = "no such prediction log; name the folder, the file or a glob"
    if not files:
        raise ConfigError(f"{location}: {absent}")
    return tuple(files)


def _dtype(kinds: set[type]) -> "type[pl.DataType]":
    import polars as pl

    kinds_seen = families(kinds)
    if kinds_seen == {"boolean"}:
        return pl.Boolean
    if kinds_seen <= {"number"}:
        return pl.Int64 if float not in kinds and int in kinds else pl.Float64
    return pl.String
