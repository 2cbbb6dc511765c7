"""Files that are replaced whole, so that a crash leaves the old content or the new, never a part."""

import os
from pathlib import Path


def write_atomically(file: Path, content: bytes) -> None:
    """Write a file so that readers, and a crash at any instant, see the old content or the new, never a part."""
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    with partial.open("wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
    partial.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
