"""The only caller of git: what the code is, and branches that are written without touching the user's repository.

Commits are made in a private bare repository in a temporary folder and pushed from there, so the working tree, the
index, the refs, the locks and the objects of the user's checkout stay as they are, whenever we are killed. The
private repository borrows what the checkout knows about reaching its remotes (addresses, credentials, proxies) by
environment, so no secret is written down.
"""

import hashlib
import os
import random
import re
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from model_ci.errors import ConfigError, ServiceError
from model_ci.git_refusal import explain, lost_race, without_credentials

SKIP: Final = "[skip ci]"
_SETTINGS: Final = (
    "core.hooksPath=/dev/null",
    "maintenance.auto=false",
    "gc.auto=0",
    "push.recurseSubmodules=no",
    "push.gpgSign=false",
)
_ALWAYS: Final = tuple(argument for setting in _SETTINGS for argument in ("-c", setting))
_BORROWED: Final = re.compile(
    r"(http|https|credential|url|ssh|protocol|user)\..+|core\.(sshcommand|askpass|gitproxy)|"
    r"remote\..+\.(url|pushurl|proxy|proxyauthmethod|receivepack|uploadpack)|extensions\.objectformat",
    re.IGNORECASE,
)
_OURS: Final = ":(exclude,top,glob)**/.model-ci/**"
_TIMEOUT_S: Final = 900
_TRIES: Final = 100
_TIP: Final = "refs/heads/tip"
_TOKENS: Final = ("MODEL_CI_GIT_TOKEN",)
_withheld: dict[str, str] = {}


@dataclass(frozen=True, kw_only=True)
class Commit:
    """A commit on a branch: `changed` when it is new, `pushed` when a remote has it."""

    sha: str
    changed: bool
    pushed: bool


def withhold_tokens() -> None:
    """Take the tokens that git alone needs out of the environment, before code of the user runs in it."""
    for name in _TOKENS:
        if name in os.environ:
            _withheld[name] = os.environ.pop(name)


def describe(root: Path) -> dict[str, Any]:
    """Tell which code `root` holds; outside a repository every value is null and `problem` says why."""
    nothing: dict[str, Any] = dict.fromkeys(("repository", "commit", "branch", "dirty", "diff_sha256", "problem"))
    try:
        status = _git(
            "status", "--porcelain=v2", "--branch", "-z", "--untracked-files=normal", "--", ":/", _OURS, at=root
        )
        diff = b""
        if re.search(rb"(^|\0)[12u] ", status):
            diff = _git(
                "diff", "HEAD", "--no-ext-diff", "--no-textconv", "--full-index", "--binary", "--", ":/", _OURS, at=root
            )
    except _GitFailed as failed:
        return nothing | {"problem": f"{root}: {explain(failed.said)}"}
    lines = status.split(b"\0")
    head = {key: value for _, key, value in (line.decode().split(" ", 2) for line in lines if line.startswith(b"# "))}
    changes = [line for line in lines if line and not line.startswith(b"# ")]
    return nothing | {
        "repository": _address(root),
        "commit": None if head["branch.oid"] == "(initial)" else head["branch.oid"],
        "branch": None if head["branch.head"] == "(detached)" else head["branch.head"],
        "dirty": bool(changes),
        "diff_sha256": hashlib.sha256(b"\0".join([diff, *changes])).hexdigest() if changes else None,
    }


@dataclass(frozen=True, kw_only=True)
class Branch:
    """A branch of a remote that `root`'s repository knows, or of that repository itself when it has no remote."""

    root: Path
    name: str
    remote: str

    def tip(self) -> str | None:
        """Return the commit the branch is at, None when there is no such branch."""
        there = _destination(self)
        try:
            listed = _git("ls-remote", there.address, there.ref, at=there.folder)
        except _GitFailed as failed:
            raise ServiceError(there.explain(failed.said)) from None
        return listed.split()[0].decode() if listed.strip() else None

    def append(self, files: Mapping[str, bytes], message: str) -> Commit:
        """Add `files` as one commit on top of whatever the branch is at, and push it without force.

        Nothing is committed when the branch holds these very files. When somebody else was faster the commit is
        made again on top of theirs.
        """
        there = _destination(self)
        with _private(there) as repository:
            for attempt in range(_TRIES):
                parent = repository.fetch()
                if parent and repository.holds(parent, files):
                    return Commit(sha=parent, changed=False, pushed=there.remote)
                sha = repository.commit(files.items(), message, parent)
                if repository.push(sha):
                    return Commit(sha=sha, changed=True, pushed=there.remote)
                wait(attempt)
        raise ServiceError(f"{there.where}: {_TRIES} times another run was faster; run this again later")

    def extend(self, file: str, content: bytes, message: str) -> Commit:
        """Add `content` at the end of a file, whoever else does so at the same time; the file need not exist."""
        there = _destination(self)
        with _private(there) as repository:
            for attempt in range(_TRIES):
                parent = repository.fetch()
                before = repository.content(parent, file) if parent else None
                sha = repository.commit([(file, (before or b"") + content)], message, parent)
                if repository.push(sha):
                    return Commit(sha=sha, changed=True, pushed=there.remote)
                wait(attempt)
        raise ServiceError(f"{there.where}: {_TRIES} times another run was faster; run this again later")

    def read(self, file: str) -> bytes | None:
        """Return a file's content, None when there is no such branch or no such file on it."""
        with _private(_destination(self)) as repository:
            sha = repository.fetch()
            return repository.content(sha, file) if sha else None

    def replace(self, folder: Path, expected: str | None, message: str) -> str | None:
        """Make the branch one parentless commit of `folder`; return it, or None when somebody else was faster.

        `expected` is the commit the branch must still be at, None when it must not exist.
        """
        files = ((file.relative_to(folder).as_posix(), file) for file in sorted(folder.rglob("*")) if file.is_file())
        there = _destination(self)
        with _private(there) as repository:
            sha = repository.commit(files, message, None)
            return sha if repository.push(sha, f"--force-with-lease={there.ref}:{expected or ''}") else None

    def fetch(self, into: Path) -> str | None:
        """Write the branch's files into a folder; return its commit, None when there is no such branch."""
        with _private(_destination(self)) as repository:
            sha = repository.fetch()
            if sha:
                repository.export(sha, into)
            return sha

    def message(self) -> tuple[str, str] | None:
        """Return the branch's last commit and its message, without the files where the remote can leave them out."""
        with _private(_destination(self)) as repository:
            sha = repository.fetch("--filter=tree:0")
            return (sha, repository.git("log", "-1", "--format=%B", sha).decode()) if sha else None


def wait(attempt: int) -> None:
    """Pause before the next try: longer each time, and by chance, so that those who collided spread out."""
    time.sleep(random.uniform(0, min(2.0, 0.05 * 1.5**attempt)))  # noqa: S311 - spreads tries, keeps no secret


class _GitFailed(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, said: str) -> None:
        self.said = said


def _git(
    *arguments: str, at: Path, environment: Mapping[str, str] | None = None, stdin: Iterable[bytes] | None = None
) -> bytes:
    """Run git in a clean environment and return what it prints; raise _GitFailed with what it complains."""
    try:
        process = subprocess.Popen(
            ["git", "--no-optional-locks", *_ALWAYS, *arguments],
            cwd=at,
            env=_clean_environment() if environment is None else dict(environment),
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except FileNotFoundError:
        raise _GitFailed("git: command not found" if at.is_dir() else f"{at}: no such folder") from None
    with process:
        try:
            if stdin is not None and process.stdin is not None:
                with process.stdin as pipe:
                    pipe.writelines(stdin)
                process.stdin = None
            out, err = process.communicate(timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise _GitFailed(f"git {arguments[0]}: timed out after {_TIMEOUT_S} s") from None
        except BrokenPipeError:
            process.stdin = None
            out, err = process.communicate()
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise _GitFailed("\n".join(text.decode(errors="replace").strip() for text in (out, err)).strip())
    return out


def _clean_environment() -> dict[str, str]:
    """Return the environment without what points git elsewhere, in English, and without questions to a terminal."""
    kept = ("GIT_SSH", "GIT_SSL", "GIT_ASKPASS", "GIT_PROXY", "GIT_CONFIG_", "GIT_HTTP", "GIT_TRACE", "GIT_CURL")
    clean = {key: value for key, value in os.environ.items() if not key.startswith("GIT_") or key.startswith(kept)}
    return clean | _withheld | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "LANGUAGE": "C"}


def _address(root: Path) -> str | None:
    """Return where the repository lives, without credentials: its origin, or else its first remote."""
    addresses = _remotes(_configuration(root))
    address = addresses.get("origin") or next(iter(addresses.values()), None)
    return without_credentials(address) if address else None


def _configuration(root: Path) -> Sequence[tuple[str, str, str]]:
    """Return every setting as (scope, key, value), in order."""
    fields = _git("config", "--list", "--show-scope", "--includes", "-z", at=root).decode(errors="replace").split("\0")
    pairs = zip(fields[::2], fields[1::2], strict=False)
    return [(scope, *_key_and_value(text)) for scope, text in pairs]


def _key_and_value(text: str) -> tuple[str, str]:
    key, newline, value = text.partition("\n")
    return key, value if newline else "true"


def _remotes(settings: Sequence[tuple[str, str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for _, key, value in settings:
        if key.startswith("remote.") and key.endswith(".url"):
            found.setdefault(key.removeprefix("remote.").removesuffix(".url"), value)
    return found


@dataclass(frozen=True, kw_only=True)
class _Destination:
    """Where a branch lives: a remote, or the checkout's own repository when it has no remote at all."""

    name: str
    address: str  # what git push is given
    ref: str
    remote: bool
    folder: Path  # relative addresses count from here
    settings: Sequence[tuple[str, str, str]]

    @property
    def where(self) -> str:
        return f"branch '{self.ref.removeprefix('refs/heads/')}' of {self.name}"

    def explain(self, said: str) -> str:
        url = _remotes(self.settings).get(self.address, "")
        return f"{self.where}: {explain(said, host=without_credentials(url))}"

    def identity(self) -> str:
        known = {key: value for _, key, value in self.settings}
        name = os.environ.get("GIT_COMMITTER_NAME") or known.get("user.name") or "model-ci"
        email = os.environ.get("GIT_COMMITTER_EMAIL") or known.get("user.email") or "model-ci@localhost"
        return re.sub(r"[<>\s]+", " ", name).strip() + " <" + re.sub(r"[<>\s]+", "", email) + ">"

    def environment(self) -> dict[str, str]:
        """Give the private repository the checkout's own way to the remote.

        Settings of the user and the machine are read by every git anyway; those of the checkout are not.
        """
        borrowed = [
            (key, value)
            for scope, key, value in self.settings
            if scope in ("local", "worktree", "command") and _BORROWED.fullmatch(key)
        ]
        clean = {k: v for k, v in _clean_environment().items() if not k.startswith("GIT_CONFIG_")}
        clean |= {
            k: v
            for k, v in os.environ.items()
            if k in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")
        }
        if "GIT_SSH_COMMAND" not in clean and "core.sshcommand" not in {key for _, key, _ in self.settings}:
            clean["GIT_SSH_COMMAND"] = "ssh -o BatchMode=yes"
        clean["GIT_CONFIG_COUNT"] = str(len(borrowed))
        for i, (key, value) in enumerate(borrowed):
            clean |= {f"GIT_CONFIG_KEY_{i}": key, f"GIT_CONFIG_VALUE_{i}": value}
        return clean


def _destination(branch: Branch) -> _Destination:
    root, remote = branch.root, branch.remote
    try:
        common = _git("rev-parse", "--path-format=absolute", "--git-common-dir", at=root).decode().strip()
        folder = Path(_git("rev-parse", "--show-toplevel", at=root).decode().strip())
        settings = _configuration(root)
    except _GitFailed as failed:
        raise ConfigError(f"{root}: {explain(failed.said)}") from None
    remotes = _remotes(settings)
    if remotes and remote not in remotes:
        raise ConfigError(f"{root}: git has no remote '{remote}'; name one of {', '.join(remotes)}")
    return _Destination(
        name=f"remote '{remote}'" if remotes else "this repository",
        address=remote if remotes else common,
        ref=f"refs/heads/{branch.name}",
        remote=bool(remotes),
        folder=folder,
        settings=settings,
    )


@contextmanager
def _private(there: _Destination) -> Iterator["_Private"]:
    with tempfile.TemporaryDirectory(prefix="model-ci-git-", ignore_cleanup_errors=True) as folder:
        yield _Private(Path(folder), there)


class _Private:
    """A bare repository of our own that fetches from and pushes to the destination."""

    def __init__(self, folder: Path, there: _Destination) -> None:
        self._there = there
        self._environment = there.environment() | {"GIT_DIR": str(folder)}
        self._options: Sequence[str] = ("--push-option=ci.skip",)
        known = {key: value for _, key, value in there.settings}
        self._object_format = known.get("extensions.objectformat", "sha1")
        self.git("init", "--quiet", "--bare", "--template=", f"--object-format={self._object_format}")

    def git(self, *arguments: str, stdin: Iterable[bytes] | None = None) -> bytes:
        return _git(*arguments, at=self._there.folder, environment=self._environment, stdin=stdin)

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
        except _GitFailed as failed:
            if "couldn't find remote ref" in failed.said:
                return None
            raise ServiceError(self._there.explain(failed.said)) from None
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
        except _GitFailed as failed:
            if self._options and "push option" in failed.said:
                self._options = ()
                return self.push(sha, *options)
            if lost_race(failed.said):
                return False
            raise ServiceError(self._there.explain(failed.said)) from None
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
