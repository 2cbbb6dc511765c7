"""What all workers of a test session have in common, made by the one that needs it first."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


def folder(factory: pytest.TempPathFactory) -> Path:
    """Return the folder that all workers of the session share."""
    base = factory.getbasetemp()
    return base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base


def made(name: str, factory: pytest.TempPathFactory, make: Callable[[Path], None]) -> Path:
    """Return the shared folder of that name; the first caller makes it, and the others wait."""
    path = folder(factory) / f"shared-{name}"
    with _locked(path):
        if not path.is_dir():
            partial = path.with_suffix(".partial")
            make(partial)
            partial.rename(path)
    return path


@contextmanager
def running(
    name: str,
    factory: pytest.TempPathFactory,
    start: Callable[[], dict[str, Any]],
    stop: Callable[[dict[str, Any]], None],
) -> Iterator[dict[str, Any]]:
    """Yield what describes the server of that name; the first worker starts it, and the last one to leave stops it."""
    state = folder(factory) / f"running-{name}"
    with _locked(state):
        server = json.loads(state.read_text()) if state.is_file() else {"users": 0, **start()}
        state.write_text(json.dumps(server | {"users": server["users"] + 1}))
    try:
        yield server
    finally:
        with _locked(state):
            server = json.loads(state.read_text())
            state.write_text(json.dumps(server | {"users": server["users"] - 1}))
            if server["users"] == 1:
                state.unlink()
                stop(server)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.with_suffix(".lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
