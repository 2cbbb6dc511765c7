"""What all workers of a test session have in common, made by the one that needs it first."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def folder(factory: pytest.TempPathFactory) -> Path:
    """Return the folder that all workers of the session share."""
    base = factory.getbasetemp()
    return base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base


def made(name: str, factory: pytest.TempPathFactory, make: Callable[[Path], None]) -> Path:
    """Return the shared folder of that name; the first caller makes it, and the others wait."""
    path = folder(factory) / f"shared-{name}"
    with path.with_suffix(".lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.is_dir():
            partial = path.with_suffix(".partial")
            make(partial)
            partial.rename(path)
    return path
