"""The prediction log: JSON lines in a folder, written behind the requests' back, bounded in memory and on disk."""

import fcntl
import os
import re
import socket
import threading
import zlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from model_ci.serving import body
from model_ci.serving.predictions import Predictions
from model_ci.serving.signature import Rows

FILES: Final = "predictions-*.jsonl"
QUEUED_ROWS: Final = 50_000  # what a kill may cost, and how much memory a stuck disk
_PERIOD_S: Final = 0.1
_BATCH: Final = 2**20  # bytes, about, of one write
_PARTS: Final = 8  # files within the bound on disk


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRequest:
    """One answered request."""

    time: float
    request_id: str
    user: str | None
    route: str
    rows: Rows
    answers: Predictions
    duration_s: float


class PredictionLog:
    """Lines wait in a queue until a thread writes them; what does not fit is counted and left out."""

    def __init__(self, folder: Path, columns: Sequence[str], labels: tuple[str, str | None], sample: float, max_mb: float) -> None:  # fmt: skip
        self.folder = folder
        self.columns = columns
        self.variant, self.version = labels
        self.dropped = 0
        self._below = int(sample * 2**32)
        self._limit = int(max_mb * 2**20)
        self._queue: deque[LoggedRequest] = deque()
        self._queued = 0
        self._written = 0  # rows that left the queue; each counter has one writer
        self._stop = threading.Event()
        self._file: _File | None = None
        self._number = 0
        self._thread = threading.Thread(target=self._work, name="prediction-log", daemon=True)

    def start(self) -> None:
        """Make the folder and begin to write; raises OSError when that cannot be."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._open()
        self._prune(0)
        self._thread.start()

    def add(self, entry: LoggedRequest) -> None:
        """Queue a line, or count it as dropped; never waits. The same request id is in every sample or in none."""
        if zlib.crc32(entry.request_id.encode()) >= self._below:
            return
        if self._queued - self._written + entry.rows.count > QUEUED_ROWS:
            self.dropped += 1
            return
        self._queued += entry.rows.count
        self._queue.append(entry)

    def close(self) -> None:
        """Write what is queued and end."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        while not self._stop.wait(_PERIOD_S):
            self._flush()
        self._flush()
        if self._file:
            self._file.close()

    def _flush(self) -> None:
        while self._queue:
            lines, rows, requests, size = [], 0, 0, 0
            while self._queue and size < min(self._limit / _PARTS, _BATCH):
                entry = self._queue.popleft()
                line = self._line(entry)
                lines.append(line)
                rows, requests, size = rows + entry.rows.count, requests + 1, size + len(line)
            try:
                self._write(b"".join(lines), size)
            except OSError:
                self.dropped += requests  # a full or broken disk costs lines, never answers
            self._written += rows

    def _line(self, entry: LoggedRequest) -> bytes:
        answers = entry.answers
        return body.write({
            "time": datetime.fromtimestamp(entry.time, UTC).isoformat(timespec="milliseconds"),
            "request_id": entry.request_id, "variant": self.variant, "version": self.version, "user": entry.user,
            "route": entry.route, "columns": self.columns, "inputs": list(zip(*entry.rows.values, strict=True)),
            "outputs": answers.listed, "probabilities": answers.probabilities,
            "duration_ms": round(entry.duration_s * 1000, 3),
        }) + b"\n"  # fmt: skip

    def _write(self, lines: bytes, size: int) -> None:
        if self._file is None or self._file.size + size > self._limit / _PARTS:
            self._open()
            self._prune(size)
        if self._file:
            self._file.write(lines)

    def _open(self) -> None:
        if self._file:
            self._file.close()
            self._file = None
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        host = re.sub(r"[^A-Za-z0-9_.]", "_", socket.gethostname())
        name = f"predictions-{now}-{host}-{os.getpid()}-{self._number:06}.jsonl"  # sorts by time
        self._number += 1
        self._file = _File(self.folder / name)

    def _prune(self, size: int) -> None:
        """Delete the oldest files of the folder that nobody writes to, until the next ones fit."""
        files = sorted(self.folder.glob(FILES), key=lambda file: file.name)
        sizes = {file: file.stat().st_size for file in files}
        for file in files:
            if sum(sizes.values()) + size + self._limit / _PARTS <= self._limit:
                return
            if delete_unless_open(file):
                del sizes[file]


class _File:
    """A file that its writer holds locked, so that no other service deletes it."""

    def __init__(self, path: Path) -> None:
        self.size = 0
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def write(self, lines: bytes) -> None:
        """Hand the lines to the kernel: from then on a kill of the process loses none of them."""
        rest = memoryview(lines)
        while rest:
            rest = rest[os.write(self._handle, rest) :]
        self.size += len(lines)

    def close(self) -> None:
        os.fsync(self._handle)
        os.close(self._handle)


def delete_unless_open(file: Path) -> bool:
    """Delete a log that no service writes to; return whether it is gone."""
    try:
        handle = os.open(file, os.O_RDONLY)
    except OSError:
        return not file.exists()
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.unlink()
    except OSError:
        return False
    finally:
        os.close(handle)
    return True
