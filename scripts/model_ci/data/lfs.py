"""Git LFS: its pointer files, which stand in the place of data that was not fetched."""

from pathlib import Path
from typing import Final

from model_ci.errors import ConfigError

_FIRST: Final = b"version https://git-lfs.github.com/spec/"


def refuse(file: Path, name: str) -> None:
    """Raise ConfigError when a file is a pointer of Git LFS and not the data itself."""
    try:
        with file.open("rb") as content:
            pointer = content.read(len(_FIRST)) == _FIRST
    except OSError:
        return  # whoever reads the file tells why it cannot be read
    if pointer:
        raise ConfigError(
            f"{name}: is a pointer of Git LFS, not the data; fetch the data with `git lfs pull`, and in CI check out with "
            "LFS (GitHub: `lfs: true` of actions/checkout; GitLab: an image with git-lfs)"
        )
