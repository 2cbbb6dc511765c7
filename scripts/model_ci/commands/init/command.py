"""`model-ci init`: look at a repository and write its first files."""

import argparse
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from model_ci import git
from model_ci.commands.init import columns, files, tables
from model_ci.config import DEFAULT_FILE
from model_ci.errors import ConfigError, Exit
from model_ci.frozen import dataclass

PLATFORMS: Final = ("github", "gitlab", "none")
_FEWEST_ROWS: Final = 20


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """What init decided, with its reasons."""

    root: Path
    top: Path  # of the repository; where the platform looks for its file
    table: tables.Table
    rows: int
    others: tuple[str, ...]
    roles: columns.Roles
    entrypoint: columns.Choice | None  # None: a starter module is written
    platform: columns.Choice

    @property
    def name(self) -> str:
        """Return the model's name, made of the folder's."""
        words = re.findall(r"[A-Za-z0-9]+", self.root.name)
        return "-".join(words).lower()[:128].rstrip("-") or "model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--data", metavar="PATH", help="CSV or Parquet: one file or a glob, relative to the new file")
    parser.add_argument("--target", metavar="COLUMN", help="column that is predicted")
    parser.add_argument("--time-column", metavar="COLUMN", help="column that orders the rows in time")
    parser.add_argument("--task", choices=("binary", "multiclass", "regression"), help="what is predicted")
    parser.add_argument(
        "--platform", choices=PLATFORMS, help="whose pipeline is written; default: by the remote origin"
    )
    parser.add_argument("--force", action="store_true", help="replace files that are there (never .gitlab-ci.yml)")


def main(args: argparse.Namespace) -> int:
    """Propose, write, and tell what was decided and why."""
    file = Path(getattr(args, "config", None) or DEFAULT_FILE)
    root = file.resolve().parent
    if not root.is_dir():
        raise ConfigError(f"--config {file}: no such folder; name one that is there")
    given = columns.Given(target=args.target, time_column=args.time_column, task=args.task)
    proposal = propose(root, given, data=args.data, platform=args.platform)
    texts = plan(proposal, file.name)
    written = write(proposal, root, file.name, force=args.force)
    print(_summary(proposal, texts, written), end="")
    return Exit.YES


def propose(
    root: Path, given: columns.Given | None = None, *, data: str | None = None, platform: str | None = None
) -> Proposal:
    """Look at the repository and decide; what is given is kept.

    Data that only DVC's remote has is pulled. Raises ConfigError when there is no data, or none that can be learnt from.
    """
    candidates = [tables.named(root, data)] if data else tables.find(root)
    if not candidates:
        raise ConfigError(
            f"{root}: no CSV or Parquet file here; put the data into data/, or name it with --data (hidden folders are not searched)"
        )
    table = tables.present(candidates[0], root)
    rows, frame = table.read(root)
    if rows < _FEWEST_ROWS or frame.width < 2:
        raise ConfigError(
            f"{table.pattern}: {rows} rows of {frame.width} columns are too little to learn from; name other data with --data"
        )
    top = next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), root)
    return Proposal(
        root=root,
        top=top,
        table=table,
        rows=rows,
        others=tuple(other.pattern for other in candidates[1:]),
        roles=columns.assign(frame, given or columns.Given()),
        entrypoint=files.existing_entrypoint(root),
        platform=columns.Choice(value=platform, why="as told") if platform else _platform(root, top),
    )


def plan(proposal: Proposal, config_file: str = DEFAULT_FILE) -> dict[Path, str]:
    """Return the files that belong to the proposal, with their texts."""
    root, roles = proposal.root, proposal.roles
    module = None if proposal.entrypoint else files.free_module(root)
    entrypoint = proposal.entrypoint.value if proposal.entrypoint else f"{module}:build"
    texts = {
        root / config_file: files.configuration(
            name=proposal.name,
            data=proposal.table.pattern,
            rows=proposal.rows,
            roles=roles,
            entrypoint=entrypoint,
            store=_store(proposal),
        )
    }
    if module:
        texts[root / f"{module}.py"] = files.training_module(roles.task.value)
    folder = root.relative_to(proposal.top).as_posix()
    if not (root / ".gitignore").exists():
        texts[root / ".gitignore"] = ".model-ci/\n__pycache__/\n"
    for place, text in files.workflows(proposal.platform.value, folder).items():
        texts[proposal.top / place] = text
    return texts


def write(proposal: Proposal, root: Path, config_file: str = DEFAULT_FILE, *, force: bool = False) -> list[Path]:
    """Write the files that are not there yet (with `force`, all but .gitlab-ci.yml); return what was written."""
    texts = plan(proposal, config_file)
    if (root / config_file).exists() and not force:
        texts = {file: text for file, text in texts.items() if root != file.parent or file.name == ".gitlab-ci.yml"}
    written = []
    for file, text in texts.items():
        if file.exists() and (not force or file.name == ".gitlab-ci.yml"):
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        written.append(file)
    return written


def _store(proposal: Proposal) -> columns.Choice:
    """Say where models are kept, so that a missing variable is never taken for another place."""
    if os.environ.get("MLFLOW_TRACKING_URI"):
        return columns.Choice(value="server", why="MLFLOW_TRACKING_URI is set here; CI needs it too")
    if proposal.platform.value == "none":
        return columns.Choice(value="file", why="in .model-ci/store; branch or server once CI runs this")
    return columns.Choice(value="branch", why="kept on the branch model-ci/store; server: on an MLflow server")


def _platform(root: Path, top: Path) -> columns.Choice:
    address = str(git.describe(root)["repository"] or "")
    for name in ("github", "gitlab"):
        if name in address.lower():
            return columns.Choice(value=name, why=f"origin is {address}")
    if (top / ".gitlab-ci.yml").exists():
        return columns.Choice(value="gitlab", why=".gitlab-ci.yml is there")
    if (top / ".github").is_dir():
        return columns.Choice(value="github", why=".github/ is there")
    return columns.Choice(value="none", why="no remote says which; choose with --platform")


def _summary(proposal: Proposal, texts: Mapping[Path, str], written: list[Path]) -> str:
    lines = [f"{label:<12} {value:<28} {why}" for label, value, why in _decisions(proposal)]
    kept = [file for file in texts if file not in written]
    lines += ["", *(f"wrote        {_shown(file, proposal.top)}" for file in written)]
    for file in kept:
        there = file.exists()
        lines.append(f"{'kept' if there else 'not written':<12} {_shown(file, proposal.top)}: {_why_kept(file, there)}")
        if file.name == ".gitlab-ci.yml":
            lines += ["", "Add to .gitlab-ci.yml:", "", texts[file].rstrip()]
    return "\n".join([*lines, "", "Next: model-ci run", ""])


def _why_kept(file: Path, there: bool) -> str:
    if not there:
        return "the configuration that is there names its own"
    return "is never replaced" if file.name == ".gitlab-ci.yml" else "is there already; --force replaces it"


def _decisions(proposal: Proposal) -> list[tuple[str, str, str]]:
    roles, count = proposal.roles, len(proposal.table.files)
    size = f"{proposal.rows:,} rows" if count == 1 else f"{proposal.rows:,} rows in {count} files"
    others = f"; there are also {', '.join(proposal.others[:3])}: choose with --data" if proposal.others else ""
    decisions = [
        ("data", proposal.table.pattern, f"{size}{others}"),
        ("target", roles.target.value, roles.target.why),
        ("task", roles.task.value, roles.task.why),
    ]
    if roles.time_column:
        decisions.append(
            ("time column", roles.time_column.value, f"{roles.time_column.why}; the newest rows judge the model")
        )
    else:
        decisions.append(("time column", "-", "none that orders the rows; rows drawn at random judge the model"))
    decisions += [("left out", name, why) for name, why in roles.excluded.items()]
    entrypoint = proposal.entrypoint
    decisions.append(
        (
            "entry point",
            *(
                (entrypoint.value, entrypoint.why)
                if entrypoint
                else ("build", "a starter module; change it to your own")
            ),
        )
    )
    return [*decisions, ("platform", proposal.platform.value, proposal.platform.why)]


def _shown(file: Path, top: Path) -> str:
    return file.relative_to(top).as_posix() if file.is_relative_to(top) else str(file)
