"""The tags `champion` and `previous` of a repository of images, which say what serves since a promotion."""

from collections.abc import Mapping
from typing import Final

from model_ci.config import Config
from model_ci.frozen import dataclass
from model_ci.image import repository
from model_ci.image.repository import Name, Repository

_CHAMPION: Final = "champion"
_PREVIOUS: Final = "previous"


@dataclass(frozen=True, kw_only=True)
class Move:
    """Where the tags of a repository are to go: digests of images in it."""

    repository: Repository
    champion: str
    previous: str | None  # None leaves it

    @classmethod
    def of(cls, config: Config, image: str, before: str | None) -> "Move | None":
        """Return what makes an image the champion, and the one before `previous`, where that lies in the same repository.

        None for an image that was never pushed.
        """
        name, old = pushed(image), pushed(before or "")
        if name is None:
            return None
        there = Repository(name, repository.login(name, config.build_image))
        beside = old is not None and old.repository == name.repository and old.digest != name.digest
        return cls(repository=there, champion=str(name.digest), previous=old.digest if old and beside else None)

    def require(self) -> None:
        """Raise ServiceError where a tag would have to move and the login may not."""
        if self.repository.digest(_CHAMPION) != self.champion:
            self.repository.require_push()

    def make(self) -> Mapping[str, str | None]:
        """Move them, `previous` first, each unless it is there already; return the digests that they have since.

        An image before that the registry has no more stays without a name. Raises ServiceError.
        """
        if self.previous and self.repository.digest(self.previous):
            self._point(_PREVIOUS, self.previous)
        self._point(_CHAMPION, self.champion)
        return {"champion": self.champion, "previous": self.repository.digest(_PREVIOUS)}

    def _point(self, tag: str, digest: str) -> None:
        if self.repository.digest(tag) != digest:
            self.repository.tag(digest, tag)


def pushed(image: str) -> Name | None:
    """Return the name, with its digest, of an image that lies in a registry; None for one that an engine alone has."""
    name = Name.parse(image, "image") if "@" in image else None
    return name if name and name.digest else None
