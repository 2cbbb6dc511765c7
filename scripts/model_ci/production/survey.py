"""A prediction log read through once: its types, classes and times, and what is wrong with it."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model_ci.data.finding import MAX_EXAMPLES, Finding, such_as
from model_ci.production import lines

if TYPE_CHECKING:
    from model_ci.types import Array

# Requests that are answered at the same time are logged in the order in which they end.
_DISORDER: Final = timedelta(seconds=60)


@dataclass(kw_only=True)
class _Count:
    """How often something was found, and a few places where."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, example: str, count: int = 1) -> None:
        self.count += count
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(example)


class Survey:
    """What was seen so far."""

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
        for number, line in enumerate(lines.lines(file), start=1):
            if broken is not None:
                self._damaged.add(f"{file.name}:{broken}")
                broken = None
            if not line.strip():
                continue
            request = lines.request(line)
            if request is None:
                broken = number
                continue
            if latest and request["time"] < latest - _DISORDER:
                self._backwards.add(f"{file.name}:{number}")
            latest = max(latest or request["time"], request["time"])
            self._take(request)
        if broken is not None:
            (self._damaged if lines.ends_whole(file) else self._torn).add(f"{file.name}:{broken}")

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

    def sorted_ids(self) -> "Array":
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
            count = _Count()
            for request in filter(None, map(lines.request, (line for file in files for line in lines.lines(file)))):
                if hash(request["request_id"]) in doubled and request["request_id"] not in count.examples:
                    count.add(request["request_id"])
                if len(count.examples) == min(len(doubled), MAX_EXAMPLES):
                    break
            count.count = len(doubled)
            what = (
                "request ids stand there more than once, so what came of them cannot be told; send a new id each time"
            )
            yield _finding("duplicate-requests", location, count, what)

    def _changes(self, location: str) -> Iterator[Finding]:
        sets = {frozenset(names) for names in self._shapes}
        if len(sets) > 1:
            changed = sorted(frozenset.union(*sets) - frozenset.intersection(*sets))
            what = f"not every request has the columns{such_as(changed)}; they are empty where they are not"
            yield Finding(
                rule="columns", where=location, what=what, count=len(changed), examples=changed, level="warning"
            )
        for name, kinds in [*self.kinds.items(), ("the prediction", self.outputs)]:
            if len(families(kinds)) > 1:
                what = f"changes its type: {' and '.join(sorted(families(kinds)))}; is it one model's log?"
                yield Finding(rule="types", where=f"{location}: {name}", what=what)
        if len(self._probabilities) > 1:
            numbers = sorted(self._probabilities)
            what = f"predictions have {' or '.join(map(str, numbers))} probabilities; is it one model's log?"
            yield Finding(rule="types", where=location, what=what)


def _finding(rule: str, where: str, count: _Count, what: str, level: str = "failure") -> Finding:
    text = f"{count.count} {what}{such_as(count.examples)}"
    return Finding(rule=rule, where=where, what=text, count=count.count, examples=count.examples, level=level)


def families(kinds: set[type]) -> set[str]:
    """Return the kinds of values that are told apart."""
    names = {bool: "boolean", int: "number", float: "number", str: "text"}
    return {names.get(kind, "structure") for kind in kinds - {type(None)}}
