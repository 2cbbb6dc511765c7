"""What each store offers, and which one the configuration chooses."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from model_ci.config import Config
from model_ci.errors import ConfigError
from model_ci.terms import StoreKind

if TYPE_CHECKING:
    from mlflow import MlflowClient


T = TypeVar("T")
FOLDER: Final = Path(".model-ci") / "store"
TRACKING_URI: Final = "MLFLOW_TRACKING_URI"


@dataclass(frozen=True, kw_only=True)
class Access:
    """A client, and where a new experiment's artifacts go: an address, or None when the server decides."""

    client: "MlflowClient"
    artifacts: str | None = None
    guard: Callable[[], None] = lambda: None  # raises when the store is no longer ours alone


class Store(Protocol):
    """A place where MLflow keeps runs and models."""

    kind: StoreKind
    where: str

    def read(self, work: Callable[[Access], T]) -> T | None:
        """Call `work` with access for reading; return None when the store does not exist yet."""

    def change(self, prepare: Callable[[Access], None], work: Callable[[Access], T]) -> T:
        """Call `prepare`, then `work` while nobody else changes the store; perhaps more than once.

        What `prepare` writes is the caller's own, so other changes may happen at the same time.
        """

    def close(self) -> None:
        """Let go of connections and temporary folders."""


def kind_of(config: Config, *, in_ci: bool) -> StoreKind:
    """Return server, file or branch."""
    wanted = config.register.store
    if wanted == StoreKind.SERVER and not os.environ.get(TRACKING_URI):
        raise ConfigError(
            f"{config.file}: register.store: is server, but the environment has no {TRACKING_URI}; set it to the server's address"
        )
    if wanted != StoreKind.AUTO:
        return wanted
    return StoreKind.SERVER if os.environ.get(TRACKING_URI) else StoreKind.BRANCH if in_ci else StoreKind.FILE


def local_uri(database: Path) -> str:
    """Return the address of a SQLite store."""
    return f"sqlite:///{database.absolute()}"
