"""The store on an MLflow server."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from model_ci import web
from model_ci.registry.client import AwayError, connect, translated, without_secrets
from model_ci.registry.lease import LEASE_S, Lease
from model_ci.registry.store import TRACKING_URI, Access, T
from model_ci.terms import StoreKind

if TYPE_CHECKING:
    from mlflow import MlflowClient

TRIES: Final = 6


class ServerStore:
    """The server of MLFLOW_TRACKING_URI; asked again when it is away."""

    kind = StoreKind.SERVER

    def __init__(self, model: str) -> None:
        self._uri = os.environ[TRACKING_URI]
        self.where = f"registry {without_secrets(self._uri)}"
        self._model = model
        self._client: MlflowClient | None = None
        self._changing = False

    def read(self, work: Callable[[Access], T]) -> T | None:
        """Call `work`, again when the server is away; within a change the change is what is tried again."""
        return web.repeat(lambda: self._once(work), AwayError, 1 if self._changing else TRIES, web.sleep)

    def change(self, prepare: Callable[[Access], None], work: Callable[[Access], T]) -> T:
        """Call `prepare` at once and `work` under the server's lock, both again when the server is away."""

        leases: list[Lease] = []

        def locked(access: Access) -> T:
            if not leases:
                leases.append(Lease(access.client, self._model, self.where, LEASE_S))
            with leases[0].held() as guard:
                return work(Access(client=access.client, guard=guard))

        def once() -> T:
            self._once(prepare)
            return self._once(locked)

        self._changing = True
        try:
            return web.repeat(once, AwayError, TRIES, web.sleep)
        finally:
            self._changing = False

    def close(self) -> None:
        """Nothing stays open."""

    def _once(self, work: Callable[[Access], T]) -> T:
        with translated(self.where):
            if self._client is None:
                self._client = connect(self._uri)
            return work(Access(client=self._client))
