"""Which store the records of this repository name: an address that is missing now may have been there before."""

import json
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from model_ci.config import Config
from model_ci.errors import ConfigError
from model_ci.git import Branch
from model_ci.run import RECORD, RUNS


def store(config: Config, *, in_ci: bool) -> str | None:
    """Return the store that the model was registered in last; None where no record names one.

    In CI the records branch is asked too; raises ServiceError when it cannot be reached.
    """
    here = next(_registrations(config.root / RUNS, config.model.name), None)
    if here:
        return str(here["store"])
    return _on_branch(config.root, config.record.branch, config.record.remote, config.model.name) if in_ci else None


@cache
def _on_branch(root: Path, name: str, remote: str, model: str) -> str | None:
    with tempfile.TemporaryDirectory(prefix="model-ci-records-") as scratch:
        try:
            Branch(root=root, name=name, remote=remote).fetch(Path(scratch))
        except ConfigError:  # no repository, so no records
            return None
        return next((str(s["store"]) for s in _registrations(Path(scratch) / "runs", model)), None)


def _registrations(folder: Path, model: str) -> Iterator[Any]:
    """Yield the sections of `register`, the newest first."""
    for file in sorted(folder.glob(f"*/{RECORD}"), reverse=True):
        try:
            record = json.loads(file.read_bytes())
            if record["model"]["name"] == model and (section := record["stages"].get("register")):
                yield section
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
