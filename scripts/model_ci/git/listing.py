"""Which files a checkout holds, each by its content: git's index has the hashes of all that did not change."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Final

from model_ci.errors import ConfigError
from model_ci.frozen import dataclass
from model_ci.git.program import GitFailed, run

_OURS: Final = ":(exclude,top,glob)**/.model-ci/**"
# What tools leave beside the code, and the environments that are counted by what is installed in them.
_NO_CODE: Final = frozenset(
    (".git", ".hg", ".svn", ".model-ci", "__pycache__", ".ipynb_checkpoints", ".pytest_cache", ".mypy_cache",
     ".ruff_cache", ".hypothesis", ".tox", ".nox", "node_modules")
)  # fmt: skip
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Status:
    """What git says of a work tree: its head, and what is not as the index has it."""

    top: Path
    commit: str | None = None
    branch: str | None = None
    changed: Sequence[str] = field(default=())  # tracked, with other content than the commit's
    untracked: Sequence[str] = field(default=())
    submodules: frozenset[str] = frozenset()  # those among `changed`


def status(root: Path) -> Status:
    """Ask git; raise GitFailed where it has no answer."""
    top = next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), None)
    if top is None:
        top = Path(run("rev-parse", "--show-toplevel", at=root).decode().strip())
    printed = run("status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all", "--", ":/", _OURS, at=root)
    head: dict[str, str] = {}
    changed, untracked, submodules = [], [], set()
    fields = iter(os.fsdecode(printed).split("\0"))
    for line in fields:
        kind, _, rest = line.partition(" ")
        if kind == "#":
            name, _, value = rest.partition(" ")
            head[name] = value
        elif kind == "?":
            untracked.append(rest)
        elif kind in ("1", "2", "u"):
            *details, path = rest.split(" ", {"1": 7, "2": 8, "u": 9}[kind])
            changed.append(path)
            if details[1].startswith("S"):
                submodules.add(path)
            if kind == "2":
                changed.append(next(fields))
    return Status(
        top=top,
        commit=None if head["branch.oid"] == "(initial)" else head["branch.oid"],
        branch=None if head["branch.head"] == "(detached)" else head["branch.head"],
        changed=changed,
        untracked=_without_environments([name for name in untracked if _is_code(Path(name))]),
        submodules=frozenset(submodules),
    )


def _without_environments(names: Sequence[str]) -> list[str]:
    """Leave out virtual environments that git does not ignore: what is installed in the one that counts is counted."""
    environments = tuple(name.removesuffix("pyvenv.cfg") for name in names if name.endswith("/pyvenv.cfg"))
    return [name for name in names if not name.startswith(environments)] if environments else list(names)


def files(state: Status) -> tuple[dict[str, str], set[str]]:
    """Return the content's hash of each file that git does not ignore, by its path, and which of them the index does not tell.

    A file has the same hash before and after it is committed. Raises ConfigError for one that cannot be read.
    """
    listed = os.fsdecode(run("ls-files", "-s", "-v", "-z", "--full-name", "--", ":/", _OURS, at=state.top)).split("\0")
    known: dict[str, str] = {}
    by_content = {*state.changed, *state.untracked}
    for line in listed:
        details, _, path = line.partition("\t")
        if not path:
            continue
        tag, mode, oid, _ = details.split(" ")
        known[path] = oid
        if tag != "H" or mode == "120000":  # git was told not to look, or it names a place and not what is there
            by_content.add(path)
    algorithm = "sha256" if any(len(oid) == 64 for oid in known.values()) else "sha1"
    for path in [*by_content]:
        known.pop(path, None)
        file = state.top / path
        if path in state.submodules or (path.endswith("/") and file.is_dir()):
            known |= {f"{path.rstrip('/')}/{name}": value for name, value in tree(file).items()}
            by_content |= {name for name in known if name.startswith(f"{path.rstrip('/')}/")}
        elif digest := _content(file, algorithm):
            known[path] = digest
    return {path: oid for path, oid in known.items() if _is_code(Path(path))}, by_content


def tree(root: Path) -> dict[str, str]:
    """Return the content's hash of each file below `root`'s repository, or below `root` where there is none."""
    try:
        return files(status(root))[0]
    except GitFailed:
        hashes = ((file, _content(file, "sha1")) for file in walk(root))  # None for what is no file, such as a pipe
        return {file.relative_to(root).as_posix(): digest for file, digest in hashes if digest}


def walk(root: Path) -> Iterator[Path]:
    """Yield every file below a folder but for environments and what tools leave; raise ConfigError where it may not look."""
    for folder, folders, names in os.walk(root, onerror=_unreadable):
        here = Path(folder)
        folders[:] = sorted(n for n in folders if n not in _NO_CODE and not (here / n / "pyvenv.cfg").exists())
        yield from (here / name for name in sorted(names) if _is_code(Path(name)))


def hash_of(file: Path) -> str | None:
    """Return the content's hash of one file; None when there is none."""
    return _content(file, "sha1")


def _content(file: Path, algorithm: str) -> str | None:
    """Hash as git does, so that a commit changes nothing; what a link leads to counts as well."""
    try:
        if file.is_symlink():
            target = os.fsencode(file.readlink())
            behind = _blob(file, algorithm) if file.is_file() else ""
            return hashlib.new(algorithm, target + behind.encode(), usedforsecurity=False).hexdigest()
        return _blob(file, algorithm) if file.is_file() else None
    except OSError as error:
        _unreadable(error)
        raise  # never reached


def _blob(file: Path, algorithm: str) -> str:
    with file.open("rb") as handle:
        digest = hashlib.new(algorithm, b"blob %d\0" % os.fstat(handle.fileno()).st_size, usedforsecurity=False)
        while chunk := handle.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _is_code(path: Path) -> bool:
    return path.suffix not in (".pyc", ".pyo") and _NO_CODE.isdisjoint(path.parts)


def _unreadable(error: OSError) -> None:
    raise ConfigError(
        f"{error.filename}: cannot be read: {error.strerror}; every file may change the result: make it readable, have "
        "git ignore it, or name the files that count in train.code and evaluate.code"
    ) from None


def changes(before: Mapping[str, str | None], now: Mapping[str, str]) -> list[str]:
    """Name the files that differ, came or went."""
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
