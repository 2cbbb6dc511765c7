"""The user's checkout: which code it holds, its settings, and the remotes that it knows."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from model_ci.errors import ConfigError
from model_ci.git import listing
from model_ci.git.program import GitFailed, run
from model_ci.git.refusal import explain, without_credentials

if TYPE_CHECKING:
    from model_ci.record_types import RecordCode


class Checkout:
    """What `root` holds, asked of git once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files: dict[str, str] | None = None
        self._by_content: set[str] = set()
        try:
            self._status: listing.Status | None = listing.status(root)
            self._problem = None
        except GitFailed as failed:
            self._status, self._problem = None, f"{root}: {explain(failed.complaint)}"

    @property
    def top(self) -> Path:
        """The folder that the files' paths start from."""
        return self._status.top if self._status else self.root

    @property
    def commit(self) -> str | None:
        """What is checked out; None outside a repository."""
        return self._status.commit if self._status else None

    def files(self) -> dict[str, str]:
        """Return the content's hash of each file that is not ignored; outside a repository of each file at all."""
        if self._files is None:
            if self._status:
                try:
                    self._files, self._by_content = listing.files(self._status)
                except GitFailed as failed:
                    raise ConfigError(f"{self.root}: {explain(failed.complaint)}") from None
            else:
                self._files = listing.tree(self.root)
        return self._files

    def uncommitted(self) -> dict[str, str | None]:
        """Return the files that may not be as the commit has them, by their content's hash; None for one that is gone."""
        files = self.files()
        if self._status is None or self._status.commit is None:
            return dict(files)
        return {path: files.get(path) for path in sorted(self._by_content) if not path.endswith("/")}

    def changed_since(self, commit: str | None, uncommitted: Mapping[str, str | None]) -> set[str]:
        """Name the files that are not as they were at a commit with these changes; none where nobody knows."""
        now = self.uncommitted()
        names = uncommitted.keys() | now.keys()
        if commit != self.commit:
            if commit is None or self.commit is None:
                return set()
            try:
                listed = run("diff", "--name-only", "-z", "--no-renames", commit, self.commit, at=self.root)
            except GitFailed:  # a shallow clone does not have the commit
                return set()
            names |= set(filter(None, os.fsdecode(listed).split("\0")))
        return {name for name in names if name not in uncommitted or uncommitted[name] != self.files().get(name)}

    def describe(self) -> "RecordCode":
        """Return what a record keeps; outside a repository every value is null and `problem` says why."""
        code: RecordCode = {
            "repository": None, "commit": None, "branch": None, "dirty": None, "diff_sha256": None, "problem": None,
        }  # fmt: skip
        if self._status is None:
            return code | {"problem": self._problem}
        dirty = bool(self._status.changed or self._status.untracked)
        differences = json.dumps(self.uncommitted(), sort_keys=True).encode() if dirty else b""
        return code | {
            "repository": _address(self.root),
            "commit": self._status.commit,
            "branch": self._status.branch,
            "dirty": dirty,
            "diff_sha256": hashlib.sha256(differences).hexdigest() if dirty else None,
        }


def describe(root: Path) -> "RecordCode":
    """Return which code `root` holds; outside a repository every value is null and `problem` says why."""
    return Checkout(root).describe()


def _address(root: Path) -> str | None:
    """Return where the repository lives, without credentials: its origin, or else its first remote."""
    addresses = remotes(configuration(root))
    address = addresses.get("origin") or next(iter(addresses.values()), None)
    return without_credentials(address) if address else None


def configuration(root: Path) -> Sequence[tuple[str, str, str]]:
    """Return every setting as (scope, key, value), in order."""
    fields = run("config", "--list", "--show-scope", "--includes", "-z", at=root).decode(errors="replace").split("\0")
    pairs = zip(fields[::2], fields[1::2], strict=False)
    return [(scope, *_key_and_value(text)) for scope, text in pairs]


def _key_and_value(text: str) -> tuple[str, str]:
    key, newline, value = text.partition("\n")
    return key, value if newline else "true"


def remotes(settings: Sequence[tuple[str, str, str]]) -> dict[str, str]:
    """Return the address of each remote by its name."""
    addresses: dict[str, str] = {}
    for _, key, value in settings:
        if key.startswith("remote.") and key.endswith(".url"):
            addresses.setdefault(key.removeprefix("remote.").removesuffix(".url"), value)
    return addresses
