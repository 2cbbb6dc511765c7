"""Which builder makes the image: the one that is asked for, or what this machine has."""

import shutil

from model_ci.errors import ConfigError
from model_ci.stages.build_image.buildah import Buildah
from model_ci.stages.build_image.builder import Builder
from model_ci.stages.build_image.docker import DockerBuilder, engine


def choose(builder: str) -> Builder:
    """Return the builder that is asked for; `auto` is Docker where an engine answers, else buildah.

    Raises ConfigError when there is neither.
    """
    if builder in ("auto", "docker"):
        client, why = engine()
        if client is not None:
            return DockerBuilder(client)
        if builder == "docker":
            raise ConfigError(
                f"build-image.builder: docker: no engine answers: {why}; start it, or write builder: buildah"
            )
    if not shutil.which("buildah"):
        raise ConfigError(
            f"build-image.builder: {builder}: "
            + ("there is no buildah; install it, or write builder: docker" if builder == "buildah" else
               "there is neither a Docker engine nor buildah; start or install one of them")
        )  # fmt: skip
    return Buildah()
