"""GitHub workflows, executed by act on this machine, without docker and without a network."""

import json
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.ci import github_log, github_tree, process, repository

STAND_INS: Final = Path(__file__).parent / "standins"
_SERVER: Final = "https://github.com"


@dataclass(frozen=True, kw_only=True)
class Event:
    """What starts a workflow."""

    name: str = "push"
    payload: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    branch: str = "main"

    def as_payload(self, repository: str) -> dict[str, Any]:
        """Return the whole payload, as GitHub would send it."""
        known = {"default_branch": "main", "full_name": repository, "name": repository.split("/")[1]}
        inputs = {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in self.inputs.items()}
        return {"repository": known, **({"inputs": inputs} if inputs else {}), **self.payload}


@dataclass(frozen=True, kw_only=True)
class GitHub:
    """A GitHub of one repository; `folder` holds everything of its runs, `repositories` are what it may use."""

    folder: Path
    repositories: Mapping[str, Path] = field(default_factory=dict)  # owner/repository@ref -> files
    variables: Mapping[str, str] = field(default_factory=dict)  # in the environment of every step
    repository: str = "acme/demo"

    def run(self, tree: Path, workflow: str, event: Event | None = None, timeout_s: float = 300) -> github_log.Outcome:
        """Execute a workflow of the repository whose files are in `tree`."""
        event = event or Event()
        paths = _Paths(self.folder)
        mapped = self._prepare(tree, paths)
        file = paths.repository / ".github" / "workflows" / workflow
        document = github_tree.add_probe(file)
        github_tree.check_event(document, event.name, event.payload, event.inputs)
        self._serve(paths, event)
        # not by the environment, which act hands on to every step
        paths.secrets.write_text("".join(f'{name}="{value}"\n' for name, value in event.secrets.items()))
        paths.event.write_text(json.dumps(event.as_payload(self.repository)))
        # what act itself would set, it takes from its arguments alone
        ours = [f"{name}={value}" for name, value in self.variables.items() if name.startswith("GITHUB_")]
        command = [*_command(paths, event, file), *_pairs("--local-repository", mapped), *_pairs("--env", ours)]
        env = {**process.environment(paths.home, paths.folder), "XDG_CACHE_HOME": str(paths.folder / "xdg")}
        done = process.run(command, env={**env, **self.variables}, cwd=paths.repository, timeout_s=timeout_s)
        outcome = github_log.Outcome(done.returncode, paths.origin, output=done.stdout + done.stderr)
        github_log.read(outcome, document.get("name") or workflow)
        outcome.artifacts = {a.stem: a for a in paths.artifacts.glob("*/*/*.zip")}
        return outcome

    def _prepare(self, tree: Path, paths: "_Paths") -> dict[str, Path]:
        """Copy the repository and all it uses, transitively; return reference -> folder."""
        mapped = {f"{self.repository}@self": paths.repository}
        wanted = github_tree.prepare(tree, paths.repository, self.repository, "self")
        while wanted:
            reference = wanted.pop()
            if reference in mapped:
                continue
            name, _, ref = reference.partition("@")
            if reference in self.repositories:
                mapped[reference] = paths.folder / "repositories" / reference.replace("/", "+")
                wanted |= github_tree.prepare(self.repositories[reference], mapped[reference], name, ref)
            else:
                mapped[reference] = _stand_in(name, paths.folder / "stand-ins" / name)
        return mapped

    def _serve(self, paths: "_Paths", event: Event) -> None:
        """Put the prepared repository behind its address; what is pushed there stays for the next run."""
        address = f"{_SERVER}/{self.repository}"
        repository.create(paths.repository, f"{address}.git", event.branch)
        if not paths.origin.exists():
            repository.serve(paths.repository, paths.origin)
        repository.git(paths.repository, "push", "-q", "--force", str(paths.origin), f"HEAD:refs/heads/{event.branch}")
        repository.redirect(paths.home / ".gitconfig", {address: paths.origin})


def _stand_in(name: str, copy: Path) -> Path:
    """Copy what stands in for a third-party action, with the client that two of them share."""
    original = STAND_INS / name.removeprefix("actions/")
    assert original.is_dir(), f"nothing stands in for {name}"
    shutil.copytree(original, copy, dirs_exist_ok=True)
    shutil.copy(STAND_INS / "artifact.py", copy)
    return copy


class _Paths:
    """The places of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / f"act-{len(list(folder.glob('act-*')))}"
        self.repository = self.folder / "repository"
        self.home = self.folder / "home"
        self.artifacts = self.folder / "artifacts"
        self.cache = self.folder / "cache"
        self.origin = folder / "origin.git"
        self.event = self.folder / "event.json"
        self.secrets = self.folder / "secrets"
        self.nothing = self.folder / "nothing"
        for place in (self.repository, self.home, self.artifacts, self.cache):
            place.mkdir(parents=True)
        self.nothing.touch()


def _command(paths: _Paths, event: Event, file: Path) -> list[str]:
    return [
        "act",
        event.name,
        *_pairs("-W", [file.relative_to(paths.repository)]),
        *("-e", str(paths.event), "--json", "--rm", "--pull=false", "--no-skip-checkout"),
        *_pairs("-P", [f"{label}=-self-hosted" for label in ("ubuntu-latest", "ubuntu-24.04", "self-hosted", "gpu")]),
        *("--defaultbranch", "main"),
        *("--action-cache-path", str(paths.cache)),
        *("--cache-server-path", str(paths.folder / "act-cache"), "--cache-server-addr", "127.0.0.1"),
        *("--artifact-server-path", str(paths.artifacts), "--artifact-server-addr", "127.0.0.1"),
        *("--artifact-server-port", str(_free_port())),
        # without these it would read .env, .secrets, .vars and .input of the folder
        *_pairs("--env-file", [paths.nothing]),
        *_pairs("--secret-file", [paths.secrets]),
        *_pairs("--var-file", [paths.nothing]),
        *_pairs("--input-file", [paths.nothing]),
    ]


def _pairs(option: str, values: Any) -> list[str]:
    items = [f"{k}={v}" for k, v in values.items()] if option == "--local-repository" else [str(v) for v in values]
    return [word for item in items for word in (option, item)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
