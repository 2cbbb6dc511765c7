"""The lines of a prediction log: a request each, or not a whole one."""

import gzip
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from model_ci.errors import ConfigError

_NEEDED: Final = ("time", "request_id", "variant", "columns", "inputs", "outputs")


def lines(file: Path) -> Iterator[bytes]:
    """Yield the lines of a file, `.gz` or not; raise ConfigError when it cannot be read."""
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as handle:
            yield from handle
    except (OSError, EOFError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}; make it a readable file of JSON lines") from None


def request(line: bytes) -> dict[str, Any] | None:
    """Return the request of a line, or None when it is not a whole one."""
    import orjson

    try:
        document = orjson.loads(line)
        if not all(name in document for name in _NEEDED) or not _fits(document):
            return None
        document["time"] = _time(document["time"])
        document["request_id"] = str(document["request_id"])
    except (ValueError, TypeError, AttributeError, OverflowError):
        return None
    return document  # type: ignore[no-any-return]


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


def ends_whole(file: Path) -> bool:
    """Tell whether the last line is ended."""
    last = b""
    for line in lines(file):
        last = line
    return last.endswith(b"\n")
