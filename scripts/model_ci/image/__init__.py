"""The serving image: what goes into it, how it is built, tried, pushed and signed."""

from collections.abc import Sequence

from model_ci.config import Config
from model_ci.types import Document


def verify(config: Config, reference: str) -> Sequence[Document]:
    """Check that whom `build-image.signature` names has signed an image; `reference` is its repository and digest.

    Returns what the signatures say. Raises image.signature.UnsignedError where there is none that is valid, ConfigError
    when nobody is named, ServiceError when the registry cannot be asked.
    """
    from model_ci.image import repository, signing

    name = repository.Name.parse(reference, "image")
    login = repository.login(name, config.build_image)
    return signing.verify(reference, config.build_image.signature, config.root, login)
