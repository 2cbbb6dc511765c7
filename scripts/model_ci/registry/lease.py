"""One writer at a time on an MLflow server, which has no lock and no compare-and-swap.

What a server does have is names of registered models that cannot be given twice. So the lock is an entry
`<model>.model-ci-lock`: whoever creates it holds it, and says so by a tag with a word of its own. While it works it
keeps changing another tag. Those who wait watch both, each by its own clock: an entry that has not changed for the
whole length of the lease belongs to somebody who died.

Taking such an entry over must not hit one that was made a moment ago by somebody else who took it over first. It is
therefore not deleted but renamed, to a name made of the dead owner's word. That name, too, can be given only once: of
all who saw the same dead owner one succeeds. The renamed entries stay for an hour, longer than anybody hesitates
between looking and renaming, and are then deleted by whoever holds the lock.
"""

import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from model_ci.errors import ServiceError
from model_ci.registry.client import AwayError, is_code

if TYPE_CHECKING:
    from mlflow import MlflowClient


LEASE_S: Final = 60.0
PATIENCE_S: Final = 900.0
_OWNER: Final = "model_ci.owner"
_BEAT: Final = "model_ci.beat"
_KEEP_MS: Final = 3_600_000
_ABOUT: Final = "model-ci is registering a version of this model; the entry goes away by itself."


class Lease:
    """The right to change one model on a server."""

    def __init__(self, client: "MlflowClient", model: str, where: str, lease_s: float = LEASE_S) -> None:
        self._client = client
        self._name = f"{model}.model-ci-lock"
        self._where = where
        self._lease_s = lease_s
        self._word = ""
        self._since_s: dict[str, float] = {}  # of each word that was ours: when its entry was made, if it was

    @contextmanager
    def held(self) -> Iterator[Callable[[], None]]:
        """Wait for the lock and hold it; gives a function that raises when it is no longer ours.

        May be held again after a failure: an entry that could not be given back is ours still.
        """
        self._acquire()
        done = threading.Event()
        beating = threading.Thread(target=self._beat, args=(done,), daemon=True)
        beating.start()
        try:
            yield self._check
        finally:
            done.set()
            beating.join()
            self._release(quick=time.monotonic() - self._since_s[self._word] < self._lease_s / 2)

    def _acquire(self) -> None:
        begin = seen_at = time.monotonic()
        seen: object = None
        self._word = secrets.token_hex(8)  # a word is used once, for an entry that was taken over keeps its name taken
        while not self._create():
            state = self._state()
            now = time.monotonic()
            if state.get(_OWNER) in self._since_s:  # created after all, only the answer was lost
                self._word = state[_OWNER]
                return
            if state != seen:
                seen, seen_at = state, now
            elif state and now - seen_at > self._lease_s:
                self._rename(state.get(_OWNER, "nobody"))
            if now - begin > PATIENCE_S:
                raise ServiceError(
                    f"{self._where}: other runs have held {self._name} for {PATIENCE_S:.0f} s; try again later"
                )
            time.sleep(random.uniform(0.05, 0.4))  # noqa: S311 - spreads tries, keeps no secret

    def _create(self) -> bool:
        self._since_s[self._word] = time.monotonic()
        try:
            made = self._client.create_registered_model(self._name, {_OWNER: self._word}, _ABOUT)
        except Exception as error:
            # The second, when its holder gave it back between MLflow's finding it and looking at it.
            if is_code(error, "RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST"):
                return False
            raise
        self._sweep(made.creation_timestamp)
        return True

    def _state(self) -> dict[str, str]:
        """Return the entry's tags; none when it is gone."""
        try:
            return dict(self._client.get_registered_model(self._name).tags)
        except Exception as error:
            if is_code(error, "RESOURCE_DOES_NOT_EXIST"):
                return {}
            raise

    def _rename(self, owner: str) -> bool:
        """Retire the entry under its owner's word; of many who try one succeeds."""
        try:
            self._client.rename_registered_model(self._name, f"{self._name}.{owner}")
        except Exception as error:
            if is_code(error, "RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST", "BAD_REQUEST"):
                return False
            raise
        return True

    def _check(self) -> None:
        if self._state().get(_OWNER) != self._word:
            raise AwayError(
                f"{self._where}: another run took {self._name} over, for this one was silent too long; try again"
            )

    def _beat(self, done: threading.Event) -> None:
        beats = 0
        while not done.wait(self._lease_s / 4):
            beats += 1
            try:
                self._client.set_registered_model_tag(self._name, f"{_BEAT}.{self._word}", str(beats))
            except Exception:  # noqa: BLE001, S112 - a beat may be missed; the check before each step tells when it matters
                continue

    def _release(self, *, quick: bool) -> None:
        """Give the lock back; what was held so briefly that nobody can have taken it for dead leaves no trace."""
        try:
            if self._rename(self._word) and quick:
                self._client.delete_registered_model(f"{self._name}.{self._word}")
        except Exception:  # noqa: BLE001, S110 - the work is done; an entry that stays expires
            pass

    def _sweep(self, now_ms: int) -> None:
        """Delete retired entries of an hour ago, by the server's clock."""
        for entry in self._client.search_registered_models(f"name LIKE '{self._name}.%'"):
            if now_ms - entry.last_updated_timestamp > _KEEP_MS:
                self._client.delete_registered_model(entry.name)
