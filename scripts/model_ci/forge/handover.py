"""What an untrusted job hands over: a record in an archive, either of which anybody may have made.

Nothing is unpacked and no path from it is opened: one entry is read into memory, up to a limit, and must be a record.
"""

import io
import json
import math
import stat
import zipfile
import zlib
from typing import TYPE_CHECKING, Final, cast

from model_ci.errors import ConfigError
from model_ci.schema import dotted_path, problems

if TYPE_CHECKING:
    from model_ci.record_types import Record


PREFIX: Final = "model-ci-record-"
ARCHIVE_LIMIT: Final = 8 * 1024 * 1024
_RECORD: Final = "run.json"
_RECORD_LIMIT: Final = 4 * 1024 * 1024
_MOST_ENTRIES: Final = 10
_MOST_TOLD: Final = 5


def from_archive(archive: bytes, name: str) -> "Record":
    """Return the record in a zip archive; raise ConfigError for anything that is not one, or is more than one."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            return parse(_read(opened, name), name)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError) as error:
        raise ConfigError(_sentence(name, f"cannot be read as a zip archive: {error}")) from None


def parse(text: bytes, name: str) -> "Record":
    """Return a record; raise ConfigError for one that is too large, is not by the schema, or has numbers that are none."""
    if len(text) > _RECORD_LIMIT:
        raise ConfigError(_sentence(name, f"has more than {_RECORD_LIMIT:,} bytes"))
    try:
        record = json.loads(text.decode(), parse_constant=_refuse, parse_float=_finite)
        violations = [f"{dotted_path(path)}: {message}" for path, message in problems(record, "run")]
    except (ValueError, RecursionError) as error:
        raise ConfigError(_sentence(name, f"is not JSON: {error or 'too deep'}")) from None
    if violations:
        raise ConfigError(*(_sentence(name, text) for text in violations[:_MOST_TOLD]))
    return cast("Record", record)


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    entries = archive.infolist()
    if len(entries) > _MOST_ENTRIES or [entry.filename for entry in entries].count(_RECORD) != 1:
        raise ConfigError(_sentence(name, f"must hold {_RECORD} once, and little else"))
    for entry in entries:
        if not _is_plain(entry):
            raise ConfigError(_sentence(name, f"holds what is no plain file of that folder: {entry.filename!r}"))
    with archive.open(_RECORD) as file:
        return file.read(_RECORD_LIMIT + 1)  # whatever size the archive claims


def _is_plain(entry: zipfile.ZipInfo) -> bool:
    mode = entry.external_attr >> 16
    return (
        stat.S_IFMT(mode) in (0, stat.S_IFREG)
        and not entry.is_dir()
        and not set(entry.filename) & set("/\\:\0")
        and entry.filename not in (".", "..")
    )


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        _refuse(text)
    return value


def _refuse(text: str) -> float:
    raise ValueError(f"{text[:40]} is no number that a record may hold")


def _sentence(name: str, problem: str) -> str:
    """Write a problem in one short line: a log takes a line that begins with colons for an order."""
    return " ".join(f"{name}: {problem}; it is not shown".split())[:400]
