"""What earlier runs recorded of a stage: those of this folder, and those on the records branch."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from model_ci.config import Config
from model_ci.errors import ServiceError
from model_ci.git import Branch
from model_ci.run import RECORD, Run, run_folders


def sections(config: Config, run: Run, stage: str) -> list[dict[str, Any]]:
    """Return the sections of a stage in earlier runs, the oldest first; raise ServiceError when the branch is away."""
    found = {folder.name: _section(folder / RECORD, stage) for folder in run_folders(config.root)}
    with tempfile.TemporaryDirectory(prefix="model-ci-history-") as scratch:
        branch = Branch(root=config.root, name=config.record.branch, remote=config.record.remote)
        try:
            branch.fetch(Path(scratch))
        except ServiceError:
            if run.in_ci:
                raise
        for file in _recorded(Path(scratch)):
            found.setdefault(file.parent.name, _section(file, stage))
    return [section for name, section in sorted(found.items()) if section and name != run.id]


def _recorded(folder: Path) -> Iterator[Path]:
    yield from sorted((folder / "runs").glob(f"*/{RECORD}"))


def _section(file: Path, stage: str) -> dict[str, Any] | None:
    try:
        section = json.loads(file.read_bytes())["stages"].get(stage)
    except (OSError, ValueError, KeyError, AttributeError):
        return None
    return section if isinstance(section, dict) else None
