"""Branches that are read and written beside the checkout."""

import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from model_ci.errors import ServiceError
from model_ci.frozen import dataclass
from model_ci.git import destination, private, program
from model_ci.git.destination import Destination
from model_ci.git.private import Private
from model_ci.git.program import GitFailed

_TRIES: Final = 100


@dataclass(frozen=True, kw_only=True)
class Commit:
    """A commit on a branch: `changed` when it is new, `pushed` when a remote has it."""

    sha: str
    changed: bool
    pushed: bool


@dataclass(frozen=True, kw_only=True)
class Branch:
    """A branch of a remote that `root`'s repository knows, or of that repository itself when it has no remote."""

    root: Path
    name: str
    remote: str

    def tip(self) -> str | None:
        """Return the commit the branch is at, None when there is no such branch."""
        there = self._there()
        try:
            listed = program.run("ls-remote", there.address, there.ref, at=there.folder)
        except GitFailed as failed:
            raise ServiceError(there.explain(failed.complaint)) from None
        return listed.split()[0].decode() if listed.strip() else None

    def append(self, files: Mapping[str, bytes], message: str) -> Commit:
        """Add `files` as one commit on top of whatever the branch is at, and push it without force.

        Nothing is committed when the branch holds these very files.
        """
        return self._add(lambda repository, parent: files, message)

    def extend(self, file: str, content: bytes, message: str) -> Commit:
        """Add `content` at the end of a file, whoever else does so at the same time; the file need not exist."""

        def extended(repository: Private, parent: str | None) -> Mapping[str, bytes]:
            before = repository.content(parent, file) if parent else None
            return {file: (before or b"") + content}

        return self._add(extended, message)

    def _add(self, make: Callable[[Private, str | None], Mapping[str, bytes]], message: str) -> Commit:
        """Commit the files that `make` makes of the branch's tip; again, of the new tip, when somebody else was faster."""
        there = self._there()
        with private.opened(there) as repository:
            for attempt in range(_TRIES):
                parent = repository.fetch()
                files = make(repository, parent)
                if parent and repository.holds(parent, files):
                    return Commit(sha=parent, changed=False, pushed=there.remote)
                sha = repository.commit(files.items(), message, parent)
                if repository.push(sha):
                    return Commit(sha=sha, changed=True, pushed=there.remote)
                wait(attempt)
        raise ServiceError(f"{there.where}: {_TRIES} times another run was faster; run this again later")

    def read(self, file: str) -> bytes | None:
        """Return a file's content, None when there is no such branch or no such file on it."""
        with private.opened(self._there()) as repository:
            sha = repository.fetch()
            return repository.content(sha, file) if sha else None

    def search(self, text: str, under: str) -> list[bytes]:
        """Return the files below a folder of the branch that hold a text; none when there is no such branch."""
        with private.opened(self._there()) as repository:
            sha = repository.fetch()
            return repository.search(sha, text, under) if sha else []

    def is_local(self) -> bool:
        """Whether the repository has no remote, so that the branch is read without a network."""
        return not self._there().remote

    def replace(self, folder: Path, expected: str | None, message: str) -> str | None:
        """Make the branch one parentless commit of `folder`; return it, or None when somebody else was faster.

        `expected` is the commit the branch must still be at, None when it must not exist.
        """
        files = ((file.relative_to(folder).as_posix(), file) for file in sorted(folder.rglob("*")) if file.is_file())
        there = self._there()
        with private.opened(there) as repository:
            sha = repository.commit(files, message, None)
            return sha if repository.push(sha, f"--force-with-lease={there.ref}:{expected or ''}") else None

    def fetch(self, into: Path) -> str | None:
        """Write the branch's files into a folder; return its commit, None when there is no such branch."""
        with private.opened(self._there()) as repository:
            sha = repository.fetch()
            if sha:
                repository.export(sha, into)
            return sha

    def message(self) -> tuple[str, str] | None:
        """Return the branch's last commit and its message, without the files where the remote can leave them out."""
        with private.opened(self._there()) as repository:
            sha = repository.fetch("--filter=tree:0")
            return (sha, repository.git("log", "-1", "--format=%B", sha).decode()) if sha else None

    def _there(self) -> Destination:
        return destination.find(self.root, self.name, self.remote)


def wait(attempt: int) -> None:
    """Pause before the next try: longer each time, and by chance, so that those who collided spread out."""
    time.sleep(random.uniform(0, min(2.0, 0.05 * 1.5**attempt)))  # noqa: S311 - spreads tries, keeps no secret
