"""What earlier runs found of drift: those of this folder, and those on the records branch."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from model_ci.config import Config
from model_ci.errors import ServiceError
from model_ci.git import Branch
from model_ci.run import RECORD, Run, run_folders

if TYPE_CHECKING:
    from model_ci.record_types import CheckDriftReference, CheckDriftSection


_STAGE: Final = "check-drift"


def drifted(config: Config, run: Run, reference: "CheckDriftReference", digest: str) -> list[dict[str, bool]]:
    """Return which columns drifted in earlier windows, oldest first: each window once, and none of another reference.

    The window of `digest` is the one that is looked at now. Raises ServiceError when the branch is away.
    """
    windows: dict[str, dict[str, bool]] = {}
    for section in _sections(config, run):
        window, against = section.get("window") or {}, section.get("reference") or {}
        same = all(against.get(k) == reference[k] for k in ("kind", "name", "rows"))
        if same and section.get("state") != "broken" and window.get("digest") != digest:
            windows.pop(str(window.get("digest")), None)
            windows[str(window.get("digest"))] = {c["name"]: c["drifted_now"] for c in section.get("columns", ())}
    return [*windows.values()]


def _sections(config: Config, run: Run) -> "list[CheckDriftSection]":
    sections = {folder.name: _section(folder / RECORD, config.model.name) for folder in run_folders(config.root)}
    with tempfile.TemporaryDirectory(prefix="model-ci-history-") as scratch:
        branch = Branch(root=config.root, name=config.record.branch, remote=config.record.remote)
        try:
            branch.fetch(Path(scratch))
        except ServiceError:
            if run.in_ci:
                raise
        for file in _recorded(Path(scratch)):
            sections.setdefault(file.parent.name, _section(file, config.model.name))
    return [section for name, section in sorted(sections.items()) if section and name != run.id]


def _recorded(folder: Path) -> Iterator[Path]:
    yield from sorted((folder / "runs").glob(f"*/{RECORD}"))


def _section(file: Path, model: str) -> "CheckDriftSection | None":
    try:
        record = json.loads(file.read_bytes())
        if record["model"]["name"] != model:
            return None
        section = record["stages"].get(_STAGE)
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None
    return cast("CheckDriftSection", section) if isinstance(section, dict) else None
