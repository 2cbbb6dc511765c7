"""What makes images: one small protocol, for Docker's engine and for buildah, which needs none."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Protocol

from model_ci.errors import ConfigError
from model_ci.frozen import dataclass
from model_ci.image.repository import Login, Name
from model_ci.stages.build_image.context import Base

TRIAL: Final = "model-ci.trial"  # the label of a container that is only tried
ARCHITECTURES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
ASK_PYTHON: Final = ("-c", "import platform, sys; print('%d.%d' % sys.version_info[:2], platform.machine())")


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image as it lies here: its id, its size in MiB, unpacked."""

    id: str
    size_mb: float
    layers: int


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A service on trial: where it listens, how it is locked up, whether it still runs."""

    host: str
    port: int
    isolation: str
    read_only: bool
    alive: Callable[[], bool]


class Builder(Protocol):
    """A way to make, try and push an image; everything raises ServiceError when it cannot."""

    name: str

    def version(self) -> str:
        """Return the builder's version."""
        ...

    def base(self, reference: str) -> Base:
        """Fetch the base image where it is not here, and read_base at it."""
        ...

    def build(self, context: Path, tag: str, cache: Name | None, login: Login | None) -> Image:
        """Build the context's Containerfile; `cache` is an earlier image, whose layers may be used."""
        ...

    def trial(self, image: Image, run_id: str, environment: Mapping[str, str]) -> AbstractContextManager[Trial]:
        """Run the image, locked up; it is gone after the block."""
        ...

    def last_words(self) -> str:
        """Return the end of what the service on trial printed, in one line."""
        ...

    def push(self, image: Image, name: Name, tag: str, login: Login | None) -> str:
        """Push under a tag and return the digest."""
        ...

    def scan(self, image: Image, folder: Path) -> str:
        """Return what syft is to read, made in `folder` where it must be."""
        ...


def read_base(reference: str, digest: str, output: str) -> Base:
    """Return what a base says of itself when it is asked by ASK_PYTHON; raise ConfigError when we cannot stand on it."""
    python, _, machine = output.strip().partition(" ")
    if machine not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ConfigError(
            f"build-image.base: {reference}: wheels are fetched for {known} alone. Got {machine or output!r}."
        )
    return Base(reference, digest, python, ARCHITECTURES[machine])
