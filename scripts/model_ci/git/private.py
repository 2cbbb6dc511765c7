"""A bare repository of our own, in which commits are made and from which they are pushed."""

import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from model_ci.errors import ServiceError
from model_ci.git import program
from model_ci.git.destination import Destination
from model_ci.git.program import GitFailed
from model_ci.git.refusal import lost_race

SKIP: Final = "[skip ci]"
_TIP: Final = "refs/heads/tip"


@contextmanager
def opened(there: Destination) -> Iterator["Private"]:
    """Make one for a while."""
    import tempfile  # takes longer to import than most commands take

    with tempfile.TemporaryDirectory(prefix="model-ci-git-", ignore_cleanup_errors=True) as folder:
        yield Private(Path(folder), there)


class Private:
    """A bare repository of our own that fetches from and pushes to the destination."""

    def __init__(self, folder: Path, there: Destination) -> None:
        self._there = there
        self._environment = there.environment() | {"GIT_DIR": str(folder)}
        self._options: Sequence[str] = ("--push-option=ci.skip",)
        known = {key: value for _, key, value in there.settings}
        self._object_format = known.get("extensions.objectformat", "sha1")
        self.git("init", "--quiet", "--bare", "--template=", f"--object-format={self._object_format}")

    def git(self, *arguments: str, stdin: Iterable[bytes] | None = None) -> bytes:
        """Run git in it, as `program.run` does."""
        return program.run(*arguments, at=self._there.folder, environment=self._environment, stdin=stdin)

    def fetch(self, *options: str) -> str | None:
        """Bring the branch's last commit here and return it, None when there is no such branch."""
        refs = f"+{self._there.ref}:{_TIP}"
        try:
            self.git(
                "fetch",
                "--quiet",
                "--depth=1",
                "--no-tags",
                "--no-write-fetch-head",
                *options,
                self._there.address,
                refs,
            )
        except GitFailed as failed:
            if "couldn't find remote ref" in failed.complaint:
                return None
            raise ServiceError(self._there.explain(failed.complaint)) from None
        return self.git("rev-parse", "--verify", _TIP).decode().strip()

    def holds(self, commit: str, files: Mapping[str, bytes]) -> bool:
        """Tell whether the commit's tree has these very files."""
        listed = self.git("--literal-pathspecs", "ls-tree", "-r", "-z", commit, "--", *files).decode().split("\0")
        there = {path: entry.split()[2] for entry, _, path in (line.partition("\t") for line in listed if line)}
        return all(there.get(path) == self._blob(content) for path, content in files.items())

    def content(self, commit: str, file: str) -> bytes | None:
        """Return a file of a commit, None when there is none."""
        if not self.git("--literal-pathspecs", "ls-tree", commit, "--", file):
            return None
        return self.git("cat-file", "blob", f"{commit}:{file}")

    def search(self, commit: str, text: str, under: str) -> list[bytes]:
        """Return the files below a folder of a commit that hold a text."""
        try:
            listed = self.git("grep", "-l", "-z", "-F", "-e", text, commit, "--", under)
        except GitFailed as failed:
            if failed.complaint:
                raise
            return []  # grep that matches nothing ends with 1 and prints nothing
        return [self.git("cat-file", "blob", name.decode()) for name in listed.split(b"\0") if name]

    def _blob(self, content: bytes) -> str:
        return hashlib.new(
            self._object_format, b"blob %d\0" % len(content) + content, usedforsecurity=False
        ).hexdigest()

    def commit(self, files: Iterable[tuple[str, bytes | Path]], message: str, parent: str | None) -> str:
        """Make a commit of `parent`'s tree with `files` put into it."""
        text = f"{message}\n\n{SKIP}\n".encode()
        printed = self.git(
            "fast-import", "--quiet", "--force", "--done", stdin=_stream(files, text, parent, self._there.identity())
        )
        return printed.decode().strip()

    def push(self, sha: str, *options: str) -> bool:
        """Push a commit; return False when the branch had moved meanwhile, raise ServiceError when it is refused."""
        target = f"{sha}:{self._there.ref}"
        try:
            self.git("push", "--porcelain", *options, *self._options, self._there.address, target)
        except GitFailed as failed:
            if self._options and "push option" in failed.complaint:
                self._options = ()
                return self.push(sha, *options)
            if lost_race(failed.complaint):
                return False
            raise ServiceError(self._there.explain(failed.complaint)) from None
        return True

    def export(self, commit: str, into: Path) -> None:
        """Write the commit's files byte for byte, whatever attributes and line ends git would apply."""
        into.mkdir(parents=True, exist_ok=True)
        attributes = Path(self._environment["GIT_DIR"]) / "info" / "attributes"
        attributes.parent.mkdir(exist_ok=True)
        attributes.write_text("* -text -ident !eol !filter !working-tree-encoding\n", encoding="utf-8")
        self.git("read-tree", commit)
        plain = ("-c", "core.bare=false", "-c", "core.symlinks=false", "-c", "core.autocrlf=false")
        self.git(*plain, f"--work-tree={into.absolute()}", "checkout-index", "--all", "--force")


def _stream(
    files: Iterable[tuple[str, bytes | Path]], message: bytes, parent: str | None, identity: str
) -> Iterator[bytes]:
    """Yield the commit in fast-import's language."""
    yield b"commit refs/heads/made\nmark :1\ncommitter %s %d +0000\n" % (identity.encode(), time.time())
    yield b"data %d\n%s\n" % (len(message), message)
    if parent:
        yield b"from %s\n" % parent.encode()
    for path, content in files:
        quoted = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        yield b'M 100644 inline "%s"\n' % quoted.encode()
        yield from _data(content)
    yield b"get-mark :1\ndone\n"


def _data(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield b"data %d\n%s\n" % (len(content), content)
        return
    with content.open("rb") as handle:
        yield b"data %d\n" % os.fstat(handle.fileno()).st_size
        while chunk := handle.read(1 << 20):
            yield chunk
    yield b"\n"
