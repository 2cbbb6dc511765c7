"""What is to run in an environment, what really runs there, and what every target can do about it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from model_ci.errors import ModelCIError
from model_ci.frozen import dataclass
from model_ci.types import Document

if TYPE_CHECKING:
    from model_ci.types import Settings


CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"


class RolloutError(ModelCIError):
    """A deployment that did not come up, or not right; what ran before runs again."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One of the images that share an environment's traffic: `weight` in percent, `replicas` how often it runs."""

    name: str  # champion or challenger
    image: str  # what the target is told to run: repository@digest, or the id of a local image
    digest: str  # sha256:...
    version: str | None  # in the registry; None when it is not registered
    run_id: str | None
    weight: int
    replicas: int


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """All that serves in an environment; the weights sum to 100."""

    environment: str
    variants: tuple[Variant, ...]

    def __post_init__(self) -> None:
        names = [variant.name for variant in self.variants]
        if sum(variant.weight for variant in self.variants) != 100 or len(set(names)) != len(names):
            raise ValueError(f"not a deployment: {self.variants}")

    def variant(self, name: str) -> Variant | None:
        """Return the variant of that name."""
        return next((variant for variant in self.variants if variant.name == name), None)

    def as_record(self) -> Document:
        """Return it as JSON."""
        return {"environment": self.environment, "variants": [asdict(variant) for variant in self.variants]}

    @classmethod
    def from_record(cls, record: "Settings") -> "Deployment":
        """Read what `as_record` wrote; keys of a later version are left out."""
        known = [field.name for field in fields(Variant)]
        variants = (Variant(**{key: each[key] for key in known}) for each in record["variants"])
        return cls(environment=record["environment"], variants=tuple(variants))


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a service said over HTTP, how long it took, and which variant it says it is."""

    status: int
    body: bytes
    seconds: float
    variant: str | None = None


# Sends a body (None: a GET) to a path of the service.
Ask = Callable[[str, bytes | None], Answer]
# Tries a variant before it gets any traffic; raises RolloutError when it will not do.
Trial = Callable[[Variant, Ask], None]


class Target(Protocol):
    """A place where services run."""

    def current(self) -> Deployment | None:
        """Return what really runs now, read from the target and never from a file; None when nothing does."""

    def plan(self, desired: Deployment) -> Sequence[str]:
        """Say in words what `apply` would do; nothing when there is nothing to do."""

    def apply(self, desired: Deployment, say: Callable[[str], None]) -> None:
        """Make it run and wait until it is healthy; on failure restore what ran before and raise RolloutError."""

    def address(self) -> str | None:
        """Return the base URL that the service answers at; None when it cannot be reached from here."""

    def asking(self, deployment: Deployment) -> Ask | None:
        """Return what asks the service where it has no address for us; None when nothing can, or nothing serves."""

    def lock(self, owner: str) -> AbstractContextManager[None]:
        """Keep others from deploying to this environment; raise ServiceError with who holds it, and since when."""

    def remove(self) -> None:
        """Stop and remove everything that was deployed."""


@runtime_checkable
class Renders(Protocol):
    """A target whose wishes can be written down as files, for tools that apply them themselves."""

    def render(self, desired: Deployment) -> Mapping[str, str]:
        """Return the text of each file by its name."""


@runtime_checkable
class Reads(Protocol):
    """A target that can look into an image."""

    def manifest(self, variant: Variant) -> bytes | None:
        """Return the manifest inside a variant's image, None when there is none."""
