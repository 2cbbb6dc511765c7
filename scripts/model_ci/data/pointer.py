"""What DVC says about data: its pointer files, read directly, and the pull of what is absent."""

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from model_ci.data.hashes import Hashes
from model_ci.errors import ConfigError, ServiceError
from model_ci.frozen import dataclass

if TYPE_CHECKING:
    from model_ci.types import Settings


@dataclass(frozen=True, kw_only=True)
class Pointer:
    """One output that DVC tracks: where it belongs and the MD5 that it must have (`.dir` for a folder)."""

    path: Path
    md5: str
    file: Path

    def matches(self, hashes: Hashes) -> bool:
        """Whether the bytes on the disk are those that the pointer names."""
        if not self.md5.endswith(".dir"):
            return self.path.is_file() and hashes.of(self.path, "md5")[1]["md5"] == self.md5
        entries = [
            {"md5": hashes.of(file, "md5")[1]["md5"], "relpath": file.relative_to(self.path).as_posix()}
            for file in sorted(self.path.rglob("*"))
            if file.is_file()
        ]
        listing = json.dumps(sorted(entries, key=lambda entry: entry["relpath"])).encode()
        return hashlib.md5(listing, usedforsecurity=False).hexdigest() + ".dir" == self.md5

    def concerns(self, place: Path) -> bool:
        """Whether this output is, or holds, a file that `wanted`, a path or glob, may name."""
        return _match(self.path.parts, place.parts, folder=self.md5.endswith(".dir"))


def find(place: Path) -> list[Pointer]:
    """Return the pointers that concern `wanted`, an absolute path or glob."""
    base = place.parent
    while any(letter in str(base) for letter in "*?["):
        base = base.parent
    folders = [base, *_ancestors(base), *(file.parent for file in _beside(place, base))]
    pointers = {p.path: p for folder in dict.fromkeys(folders) for p in _in_folder(folder) if p.concerns(place)}
    return [pointers[path] for path in sorted(pointers)]


def pull(pointers: Sequence[Pointer], root: Path) -> None:
    """Fetch the outputs from the DVC remote."""
    names = ", ".join(os.path.relpath(p.path, root) for p in pointers)
    if importlib.util.find_spec("dvc") is None:
        raise ConfigError(
            f"{names}: absent here and tracked by DVC, which is not installed; "
            "pip install 'model-ci[dvc]', or 'model-ci[s3]' for a remote on S3"
        )
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "pull", *(str(p.path) for p in pointers)],
        cwd=root,
        env=os.environ | {"DVC_NO_ANALYTICS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise _refused(names, done.stdout + done.stderr)


def _refused(names: str, output: str) -> ConfigError | ServiceError:
    errors = [line.removeprefix("ERROR: ") for line in output.splitlines() if line.startswith("ERROR: ")]
    where = f"{names}: `dvc pull` failed: {', '.join(errors) or output.strip()}"
    if "requires" in output and "to be installed" in output:
        return ConfigError(f"{where}; install what it names: pip install 'model-ci[s3]' for a remote on S3")
    if "not inside of a DVC repository" in output:
        return ConfigError(f"{where}; commit the .dvc folder beside the pointers, or run `dvc init`")
    if "no remote" in output.lower():
        return ConfigError(f"{where}; name the remote with `dvc remote add --default`, and commit .dvc/config")
    if "missing-files" in output or "cache up to date" in output:
        return ServiceError(f"{where}; the remote does not hold it: run `dvc push` where the data is, then run again")
    return ServiceError(f"{where}; see that the remote is up and that its credentials are set here, then run again")


def _ancestors(base: Path) -> list[Path]:
    """Return the folders above `base` up to the DVC repository's; none when there is no repository."""
    above: list[Path] = []
    for folder in (base, *base.parents):
        above.append(folder)
        if (folder / ".dvc").is_dir():
            return above
    return []


def _beside(place: Path, base: Path) -> list[Path]:
    pattern = place.relative_to(base).as_posix() + ".dvc"
    return sorted(base.glob(pattern)) if base.is_dir() else []


def _in_folder(folder: Path) -> Iterator[Pointer]:
    for file in sorted(folder.glob("*.dvc")):
        if file.is_file():
            content = _load(file)
            yield from _outputs(content.get("outs"), folder / str(content.get("wdir", ".")), file)
    if (folder / "dvc.lock").is_file():
        yield from _locked(folder)


def _locked(folder: Path) -> Iterator[Pointer]:
    lock = folder / "dvc.lock"
    declared = _load(folder / "dvc.yaml").get("stages") if (folder / "dvc.yaml").is_file() else None
    for name, stage in (_load(lock).get("stages") or {}).items():
        own = (declared or {}).get(name.partition("@")[0]) or {}
        yield from _outputs(stage.get("outs"), folder / str(own.get("wdir", ".")), lock)


def _outputs(outs: Any, folder: Path, file: Path) -> Iterator[Pointer]:
    for out in outs or ():
        if isinstance(out, dict) and isinstance(out.get("md5"), str) and "path" in out:
            yield Pointer(path=Path(os.path.normpath(folder / out["path"])), md5=out["md5"], file=file)


def _load(file: Path) -> "Settings":
    try:
        content = yaml.load(file.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{file}: DVC's file cannot be read: {error}; restore it from git") from None
    return content if isinstance(content, dict) else {}


def _match(path: Sequence[str], pattern: Sequence[str], *, folder: bool) -> bool:
    """Whether the parts match the pattern's, or are the start of a match when they are a folder's."""
    if not path:
        return folder or all(part == "**" for part in pattern)
    if not pattern:
        return False
    if pattern[0] == "**":
        return _match(path, pattern[1:], folder=folder) or _match(path[1:], pattern, folder=folder)
    same = path[0] == pattern[0] or fnmatchcase(path[0], pattern[0])
    return same and _match(path[1:], pattern[1:], folder=folder)
