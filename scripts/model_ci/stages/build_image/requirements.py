"""What is installed in the image: everything the service needs, locked by hash, for the image's own Python."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from model_ci.errors import ServiceError

PLATFORMS: Final = {"amd64": "x86_64-manylinux_2_28", "arm64": "aarch64-manylinux_2_28"}
# Tests that ship in wheels: a third of some. numpy.testing, which others import, opens one of its own.
_PRUNED: Final = ("numpy", "pandas", "scipy", "sklearn")
_KEPT: Final = "_natype.py"


def resolve(requirements: Sequence[str], python: str, architecture: str, folder: Path) -> Path:
    """Write the lock, with hashes, for Python `python` on `architecture`; raise ServiceError when nothing fits.

    What is installed here, and was compared with here, decides the versions: the image gets the same ones.
    """
    direct, known, lock = folder / "direct.txt", folder / "installed.txt", folder / "requirements.txt"
    direct.write_text("".join(f"{line}\n" for line in requirements), encoding="utf-8")
    known.write_text("".join(f"{line}\n" for line in installed(requirements)), encoding="utf-8")
    _uv(
        "compile", str(direct), "--constraints", str(known), "--generate-hashes", "--no-header", "--no-annotate",
        "--no-emit-index-url", "--no-emit-find-links", "-o", str(lock), *_target(python, architecture),
    )  # fmt: skip
    direct.unlink()
    known.unlink()
    return lock


def install(lock: Path, python: str, architecture: str, folder: Path) -> None:
    """Install the locked wheels into `folder`, for an image that need not run here; raise ServiceError when one is amiss."""
    _uv(
        "install", "--target", str(folder), "--require-hashes", "--no-deps", "--link-mode", "copy",
        "-r", str(lock), *_target(python, architecture),
    )  # fmt: skip
    shutil.rmtree(folder / "bin", ignore_errors=True)  # scripts of another Python
    (folder / ".lock").unlink(missing_ok=True)
    for package in _PRUNED:
        for tests in sorted((folder / package).rglob("tests")):
            _prune(tests)


def installed(requirements: Sequence[str]) -> list[str]:
    """Pin all that the requirements lead to, as it is installed here; what is not installed is left open."""
    from importlib.metadata import PackageNotFoundError, distribution

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    direct = {canonicalize_name(Requirement(line).name) for line in requirements}
    pinned: dict[str, str] = {}
    waiting = [Requirement(line) for line in requirements]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in pinned or not _applies(requirement):
            continue
        try:
            distribution_found = distribution(name)
        except PackageNotFoundError:
            continue
        pinned[name] = f"{name}=={distribution_found.version}"
        waiting += [Requirement(line) for line in distribution_found.requires or () if "extra ==" not in line]
    return sorted(line for name, line in pinned.items() if name not in direct)


def _applies(requirement: object) -> bool:
    marker = getattr(requirement, "marker", None)
    return marker is None or bool(marker.evaluate())


def _target(python: str, architecture: str) -> Sequence[str]:
    return ("--python-version", python, "--python-platform", PLATFORMS[architecture], "--only-binary", ":all:")


def _prune(tests: Path) -> None:
    for file in sorted(tests.rglob("*"), reverse=True):
        if file.is_dir():
            if not any(file.iterdir()):
                file.rmdir()
        elif file.name not in (_KEPT, "__init__.py") or file.parent != tests:
            file.unlink()


def _uv(*arguments: str) -> None:
    environment = {**os.environ, "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}
    command = [_program(), "pip", *arguments, "--quiet", "--no-config"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        output = re.sub(r"://[^/@\s]+@", "://", " ".join(done.stderr.split()))  # an index's address may hold a password
        raise ServiceError(
            f"build-image: the image's packages cannot be had: {output}; see that the index is reachable and has wheels "
            "for the Python of build-image.base"
        )


def _program() -> str:
    if program := shutil.which("uv"):
        return program
    import uv

    return str(uv.find_uv_bin())
