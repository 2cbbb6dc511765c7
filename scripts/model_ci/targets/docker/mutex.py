"""One deployment at a time: a container whose name can be given only once, and which lives as long as its holder.

Its only process reads from a connection that the holder keeps open. However the holder ends, the connection ends with
it, then the process, and the engine removes the container.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Final

from model_ci.errors import ServiceError
from model_ci.targets.docker.engine import ROLE, Container, Engine, translated

LOCK: Final = "lock"
_OWNER: Final = "model-ci.owner"
_SINCE: Final = "model-ci.since"
_PATIENCE_S: Final = 10.0


@contextmanager
def held(engine: Engine, image: str, owner: str) -> Iterator[None]:
    """Hold the environment's lock; raise ServiceError with who holds it and since when."""
    from docker.errors import NotFound

    name = f"{engine.prefix}-{LOCK}"
    engine.require(image)
    container = _create(engine, name, image, owner)
    with translated(f"holding {name}"):
        connection = engine.client.api.attach_socket(container, params={"stdin": 1, "stream": 1})
        engine.client.api.start(container)
    try:
        yield
    finally:
        connection.close()
        with suppress(NotFound, ServiceError), translated(f"giving {name} back"):
            engine.client.api.remove_container(container, force=True)


def _create(engine: Engine, name: str, image: str, owner: str) -> str:
    from docker.errors import APIError

    deadline = time.monotonic() + _PATIENCE_S
    labels = {**engine.labels, ROLE: LOCK, _OWNER: owner, _SINCE: datetime.now(UTC).isoformat(timespec="seconds")}
    while True:
        try:
            made = engine.client.api.create_container(
                image,
                entrypoint=["cat"],
                command=[],
                name=name,
                labels=labels,
                stdin_open=True,
                network_disabled=True,
                host_config=engine.client.api.create_host_config(auto_remove=True),
            )
            return str(made["Id"])
        except APIError as error:
            if error.status_code != 409:
                raise ServiceError(f"docker: {name}: {error.explanation}; see the engine's log") from None
        if time.monotonic() > deadline:
            _give_up(engine, name)
            deadline += _PATIENCE_S
        time.sleep(0.2)


def _give_up(engine: Engine, name: str) -> None:
    """Say who holds the lock, unless it never got as far as holding it: then it is out of the way."""
    existing = next((container for container in engine.containers() if container.name == name), None)
    if existing and not existing.running:
        engine.remove(existing)
    elif existing:
        raise ServiceError(_held_by(existing))


def _held_by(existing: Container) -> str:
    who, since = existing.labels.get(_OWNER, "somebody"), existing.labels.get(_SINCE, "a while")
    return (
        f"docker: {who} has been deploying here since {since}; wait until that is done, or, "
        f"when it is certain that nobody is, remove the lock with `docker rm --force {existing.name}`"
    )
