"""What each store offers, and which one the configuration chooses."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from model_ci.config import Config
from model_ci.errors import ConfigError
from model_ci.frozen import dataclass
from model_ci.registry import recorded
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
    """Return server, file or branch.

    A missing address is not taken for "there is no server": raises ConfigError when the configuration or the records
    name one, and when the variable is there but empty and nothing else tells where the models are.
    """
    kind, address = config.register.store, os.environ.get(TRACKING_URI)
    if kind == StoreKind.SERVER and not address:
        raise ConfigError(f"{config.file}: register.store: is server, but {_missing(address)}")
    if kind != StoreKind.AUTO:
        return kind
    if address:
        return StoreKind.SERVER
    before = recorded.store(config, in_ci=in_ci)
    if before == StoreKind.SERVER:
        raise ConfigError(
            f"{config.file}: register.store: the records name an MLflow server, but {_missing(address)}; "
            "or set register.store to file or branch to leave the server"
        )
    if address is not None and before is None:
        raise ConfigError(
            f"{config.file}: register.store: is auto, but {_missing(address)}; or set register.store to branch"
        )
    return StoreKind.BRANCH if in_ci else StoreKind.FILE


def _missing(address: str | None) -> str:
    state = "is empty" if address is not None else "is not set"
    return (
        f"{TRACKING_URI} {state}; a platform gives no secret to a pull request from a fork, and a protected variable to "
        "protected branches only: give this job the server's address"
    )


def local_uri(database: Path) -> str:
    """Return the address of a SQLite store."""
    return f"sqlite:///{database.absolute()}"
