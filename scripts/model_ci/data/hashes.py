"""Hashes of files, each file read once: an unchanged file's hashes come from a cache."""

import hashlib
import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from model_ci.errors import ConfigError
from model_ci.files import write_atomically

CACHE: Final = Path(".model-ci") / "cache" / "hashes.json"
_CHUNK: Final = 1 << 20

Stamp = tuple[int, ...]  # what changes whenever a file's content does


def stamp(file: Path) -> Stamp:
    """Return size, times and inode of a file."""
    try:
        status = file.stat()
    except OSError as error:
        raise _unreadable(file, error) from None
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


class Hashes:
    """The hashes of files below `root`, remembered in its cache folder."""

    def __init__(self, root: Path) -> None:
        self._cache = root / CACHE
        self._entries: dict[str, Mapping[str, Any]] = {}
        with suppress(OSError, ValueError):
            known = json.loads(self._cache.read_bytes())
            self._entries = known if isinstance(known, dict) else {}
        self._changed = False

    def of(self, file: Path, *algorithms: str) -> tuple[Stamp, dict[str, str]]:
        """Return the file's stamp and its hashes by algorithm; read it only when the cache does not know them."""
        before = stamp(file)
        entry = self._entries.get(str(file), {})
        known: dict[str, str] = entry.get("hashes", {}) if entry.get("stamp") == list(before) else {}
        if all(name in known for name in algorithms):
            return before, {name: known[name] for name in algorithms}
        began_ns = time.time_ns()
        digests = _read(file, algorithms)
        if stamp(file) != before:
            raise ConfigError(f"{file}: changed while its hash was taken; run again when nothing writes to it")
        if _settled(before, began_ns):
            self._entries[str(file)] = {"stamp": list(before), "hashes": known | digests}
            self._changed = True
        return before, digests

    def save(self) -> None:
        """Write the cache; without it the next run is only slower, so a folder that cannot be written is no error."""
        if not self._changed:
            return
        present = {name: entry for name, entry in self._entries.items() if os.path.lexists(name)}
        with suppress(OSError):
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._cache, json.dumps(present).encode())


def _read(file: Path, algorithms: tuple[str, ...]) -> dict[str, str]:
    digests = [hashlib.new(name, usedforsecurity=False) for name in algorithms]
    try:
        with file.open("rb") as handle:
            while chunk := handle.read(_CHUNK):
                for digest in digests:
                    digest.update(chunk)
    except OSError as error:
        raise _unreadable(file, error) from None
    return {name: digest.hexdigest() for name, digest in zip(algorithms, digests, strict=True)}


def _settled(stamp: Stamp, began_ns: int) -> bool:
    """Whether a later change of the file must show in its stamp.

    A file system's clock ticks: a second write in the tick of the first leaves the same times.
    """
    _, modified_ns, changed_ns, _ = stamp
    tick_ns = 2_000_000_000 if modified_ns % 1_000_000_000 == 0 else 100_000_000
    return began_ns - max(modified_ns, changed_ns) > tick_ns


def _unreadable(file: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{file}: cannot be read: {error.strerror}; make it a readable file")
