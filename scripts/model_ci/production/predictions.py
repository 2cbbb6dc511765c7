"""The prediction log of a service: JSON lines, one a request, read as one table of predicted rows."""

import glob
import gzip
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model_ci.data.finding import MAX_EXAMPLES, Finding, such_as
from model_ci.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

BATCH_ROWS: Final = 50_000
_NEEDED: Final = ("time", "request_id", "variant", "columns", "inputs", "outputs")
# Requests that are answered at the same time are logged in the order in which they end.
_DISORDER: Final = timedelta(seconds=60)


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
    ids: "NDArray[Any]"

    def batches(self, columns: Sequence[str] | None = None) -> "Iterator[pl.DataFrame]":
        """Yield the rows in the order of the files, at least BATCH_ROWS at a time; `columns` of the inputs, or all."""
        rows = _Rows(self, self.columns if columns is None else [c for c in self.columns if c in columns])
        for file in self.files:
            for line in _lines(file):
                if (request := _request(line)) is not None:
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
        frames = [batch.filter(inside) for batch in self.batches(columns)] or [_Rows(self, columns or ()).take()]
        return pl.concat(frames).sort("_time", maintain_order=True)

    def knows(self, request_ids: Iterable[str]) -> "NDArray[Any]":
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
    survey = _Survey()
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
    wanted = root / location
    if wanted.is_dir():
        files = sorted([*wanted.rglob("predictions-*.jsonl"), *wanted.rglob("predictions-*.jsonl.gz")])
        absent = "the folder has no file predictions-*.jsonl; is the service's prediction log switched on?"
    else:
        files = sorted(Path(name) for name in glob.glob(str(wanted), recursive=True) if Path(name).is_file())  # noqa: PTH207
        absent = "no such prediction log; name the folder, the file or a glob"
    if not files:
        raise ConfigError(f"{location}: {absent}")
    return tuple(files)


def _lines(file: Path) -> Iterator[bytes]:
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as handle:
            yield from handle
    except (OSError, EOFError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}; make it a readable file of JSON lines") from None


def _request(line: bytes) -> dict[str, Any] | None:
    """Return the request of a line, or None when it is not a whole one."""
    import orjson

    try:
        request = orjson.loads(line)
        if not all(name in request for name in _NEEDED) or not _fits(request):
            return None
        request["time"] = _time(request["time"])
        request["request_id"] = str(request["request_id"])
    except (ValueError, TypeError, AttributeError, OverflowError):
        return None
    return request  # type: ignore[no-any-return]


def _fits(request: Mapping[str, Any]) -> bool:
    """Tell whether each row has a value for each column, and a prediction."""
    columns, inputs, outputs = request["columns"], request["inputs"], request["outputs"]
    chances = request.get("probabilities")
    if not all(isinstance(part, list) for part in (columns, inputs, outputs, outputs if chances is None else chances)):
        return False
    return (
        all(isinstance(row, list) and len(row) == len(columns) for row in inputs)
        and len(inputs) == len(outputs)
        and (chances is None or (len(chances) == len(outputs) and all(map(_numbers, chances))))
        and _numbers([request.get("duration_ms")])
        and len(set(map(str, columns))) == len(columns)
        and request["request_id"] is not None
    )


def _numbers(row: object) -> bool:
    return isinstance(row, list) and all(value is None or isinstance(value, (int, float)) for value in row)


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@dataclass(kw_only=True)
class _Count:
    """How often something was found, and a few places where."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, example: str, count: int = 1) -> None:
        self.count += count
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(example)


class _Survey:
    """The first pass: types, classes, times, and what is wrong."""

    def __init__(self) -> None:
        self.kinds: dict[str, set[type]] = {}
        self.outputs: set[type] = set()
        self.classes = self.rows = 0
        self.first: datetime | None = None
        self.last: datetime | None = None
        self.ids = array("q")
        self._shapes: dict[tuple[str, ...], int] = {}
        self._probabilities: set[int] = set()
        self._torn, self._damaged, self._backwards = _Count(), _Count(), _Count()

    def read(self, file: Path) -> None:
        """Take every line of a file."""
        latest: datetime | None = None
        broken: int | None = None
        for number, line in enumerate(_lines(file), start=1):
            if broken is not None:
                self._damaged.add(f"{file.name}:{broken}")
                broken = None
            if not line.strip():
                continue
            request = _request(line)
            if request is None:
                broken = number
                continue
            if latest and request["time"] < latest - _DISORDER:
                self._backwards.add(f"{file.name}:{number}")
            latest = max(latest or request["time"], request["time"])
            self._take(request)
        if broken is not None:
            (self._damaged if _ends_whole(file) else self._torn).add(f"{file.name}:{broken}")

    def _take(self, request: Mapping[str, Any]) -> None:
        time, names = request["time"], tuple(map(str, request["columns"]))
        self.first, self.last = min(self.first or time, time), max(self.last or time, time)
        self.ids.append(hash(request["request_id"]))
        self.rows += len(request["inputs"])
        if names not in self._shapes:
            self.kinds.update({name: set() for name in names if name not in self.kinds})
        self._shapes[names] = self._shapes.get(names, 0) + 1
        for row in request["inputs"]:
            for name, value in zip(names, row, strict=True):
                self.kinds[name].add(type(value))
        self.outputs.update(map(type, request["outputs"]))
        self._probabilities.update(len(row) for row in request.get("probabilities") or ())
        self.classes = max(self._probabilities, default=0)

    def sorted_ids(self) -> "NDArray[Any]":
        """Return each hash of a request id once."""
        import numpy as np

        return np.unique(np.frombuffer(self.ids, dtype=np.int64)) if self.ids else np.zeros(0, dtype=np.int64)

    def findings(self, location: str, files: Sequence[Path]) -> Iterator[Finding]:
        """Tell what is wrong, and what merely strikes."""
        if not self.rows:
            what = "has no predicted row; wait until the service has answered something, or name another log"
            yield Finding(rule="empty", where=location, what=what, count=0)
        if self._damaged.count:
            yield _finding("damaged", location, self._damaged, "lines are not whole requests; restore the files")
        if self._torn.count:
            what = "last lines are torn, as a killed service leaves them, and are left out"
            yield _finding("torn", location, self._torn, what, level="warning")
        if self._backwards.count:
            what = "lines are more than a minute older than those before them; set the service's clock right"
            yield _finding("time", location, self._backwards, what)
        yield from self._duplicates(location, files)
        yield from self._changes(location)

    def _duplicates(self, location: str, files: Sequence[Path]) -> Iterator[Finding]:
        import numpy as np

        hashes, counts = np.unique(np.frombuffer(self.ids, dtype=np.int64), return_counts=True)
        doubled = set(hashes[counts > 1].tolist())
        if doubled:
            found = _Count()
            for request in filter(None, map(_request, (line for file in files for line in _lines(file)))):
                if hash(request["request_id"]) in doubled and request["request_id"] not in found.examples:
                    found.add(request["request_id"])
                if len(found.examples) == min(len(doubled), MAX_EXAMPLES):
                    break
            found.count = len(doubled)
            what = (
                "request ids stand there more than once, so what came of them cannot be told; send a new id each time"
            )
            yield _finding("duplicate-requests", location, found, what)

    def _changes(self, location: str) -> Iterator[Finding]:
        sets = {frozenset(names) for names in self._shapes}
        if len(sets) > 1:
            changed = sorted(frozenset.union(*sets) - frozenset.intersection(*sets))
            what = f"not every request has the columns{such_as(changed)}; they are empty where they are not"
            yield Finding(
                rule="columns", where=location, what=what, count=len(changed), examples=changed, level="warning"
            )
        for name, kinds in [*self.kinds.items(), ("the prediction", self.outputs)]:
            if len(_families(kinds)) > 1:
                what = f"changes its type: {' and '.join(sorted(_families(kinds)))}; is it one model's log?"
                yield Finding(rule="types", where=f"{location}: {name}", what=what)
        if len(self._probabilities) > 1:
            numbers = sorted(self._probabilities)
            what = f"predictions have {' or '.join(map(str, numbers))} probabilities; is it one model's log?"
            yield Finding(rule="types", where=location, what=what)


def _finding(rule: str, where: str, found: _Count, what: str, level: str = "failure") -> Finding:
    text = f"{found.count} {what}{such_as(found.examples)}"
    return Finding(rule=rule, where=where, what=text, count=found.count, examples=found.examples, level=level)


def _ends_whole(file: Path) -> bool:
    last = b""
    for line in _lines(file):
        last = line
    return last.endswith(b"\n")


def _families(kinds: set[type]) -> set[str]:
    names = {bool: "boolean", int: "number", float: "number", str: "text"}
    return {names.get(kind, "structure") for kind in kinds - {type(None)}}


def _dtype(kinds: set[type]) -> "type[pl.DataType]":
    import polars as pl

    families = _families(kinds)
    if families == {"boolean"}:
        return pl.Boolean
    if families <= {"number"}:
        return pl.Int64 if float not in kinds and int in kinds else pl.Float64
    return pl.String


class _Rows:
    """Rows on their way to a frame."""

    def __init__(self, log: Predictions, columns: Iterable[str]) -> None:
        import polars as pl

        self._columns = tuple(columns)
        self._classes = len(log.classes)
        self._schema = {name: log.columns[name] for name in self._columns} | {
            "_time": pl.Datetime("ms", "UTC"),
            "_request_id": pl.String(),
            "_row": pl.Int64(),
            "_variant": pl.String(),
            "_version": pl.String(),
            "_user": pl.String(),
            "_prediction": log.prediction,
            **{f"_probability_{name}": pl.Float64() for name in log.classes},
            "_duration_ms": pl.Float64(),
        }
        self._values: list[list[Any]] = [[] for _ in self._schema]

    def __len__(self) -> int:
        return len(self._values[-1])

    def add(self, request: Mapping[str, Any]) -> None:
        """Take the rows of a request."""
        at = {name: i for i, name in enumerate(map(str, request["columns"]))}
        order = [at.get(name) for name in self._columns]
        version, user = request.get("version"), request.get("user")
        probabilities = request.get("probabilities") or [[]] * len(request["inputs"])
        empty = [None] * self._classes
        head = (request["time"], request["request_id"])
        middle = (_text(request["variant"]), _text(version), _text(user))
        for index, (row, said) in enumerate(zip(request["inputs"], request["outputs"], strict=True)):
            chances = (list(probabilities[index]) + empty)[: self._classes]
            values = [None if i is None else row[i] for i in order]
            values += [*head, index, *middle, said, *chances, request.get("duration_ms")]
            for column, value in zip(self._values, values, strict=True):
                column.append(value)

    def take(self) -> "pl.DataFrame":
        """Return what was added as a frame, and begin anew."""
        import polars as pl

        named = zip(self._schema.items(), self._values, strict=True)
        frame = pl.DataFrame(
            [_series(name, [*map(_text, v)] if dtype == pl.String else v, dtype) for (name, dtype), v in named]
        )
        self._values = [[] for _ in self._schema]
        return frame


def _series(name: str, values: Sequence[Any], dtype: Any) -> "pl.Series":
    import polars as pl

    return pl.Series(name, values, dtype=dtype, strict=False)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
