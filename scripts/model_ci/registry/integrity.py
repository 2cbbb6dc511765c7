"""The files of a model folder, told apart by their sha256."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path


def differences(folder: Path, expected: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with each file that is not the one `expected` says."""
    for name, sha256 in expected.items():
        file = folder / name
        if not file.resolve().is_relative_to(folder.resolve()):
            yield f"{name}: leads out of the model's folder"
        elif not file.is_file():
            yield f"{name}: is missing"
        elif (got := _sha256(file)) != sha256:
            yield f"{name}: has the hash {got[:12]}, expected {sha256[:12]}"


def keep_only(folder: Path, expected: Mapping[str, str]) -> None:
    """Remove every file that `expected` does not name."""
    for file in folder.rglob("*"):
        if (file.is_file() or file.is_symlink()) and file.relative_to(folder).as_posix() not in expected:
            file.unlink()


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
