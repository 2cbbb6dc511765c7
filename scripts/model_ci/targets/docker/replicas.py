"""The replicas of an environment: which there are, which version each is, and whether it will do."""

import json
import secrets
from collections.abc import Iterable
from dataclasses import asdict, replace
from hashlib import sha256
from typing import Final

from model_ci.config import Docker
from model_ci.frozen import dataclass
from model_ci.targets.deployment import Variant
from model_ci.targets.docker.engine import Container, Engine
from model_ci.types import Document

REPLICA: Final = "replica"
LOG_FOLDER: Final = "/var/log/model-ci"
_VARIANT: Final = "model-ci.variant"
_SETTINGS: Final = "model-ci.settings"
_ALIAS: Final = "model-ci.alias"
_PROCESSES: Final = 512


@dataclass(frozen=True, kw_only=True)
class Replica:
    """A container of the service: `alias` is its name in the network."""

    container: Container
    alias: str
    variant: Variant
    settings: str

    def serves(self, desired: Variant, settings: Docker) -> bool:
        """Tell whether it is what is wanted, whatever its weight and however many there are."""
        same = replace(self.variant, weight=desired.weight, replicas=desired.replicas) == desired
        return same and self.settings == _digest(settings)


def find(engine: Engine) -> list[Replica]:
    """Return all replicas, oldest first, running or not."""
    return [_read(container) for container in engine.containers() if container.role == REPLICA]


def start(engine: Engine, desired: Variant, settings: Docker) -> Replica:
    """Start one more replica; it is not ready yet."""
    alias = f"{desired.name}-{secrets.token_hex(4)}"
    labels = {_VARIANT: json.dumps(asdict(desired)), _SETTINGS: _digest(settings), _ALIAS: alias}
    made = engine.create(REPLICA, alias, desired.image, labels, **_limits(settings), **_run(desired, settings))
    engine.start(made)
    return _read(made)


def _read(container: Container) -> Replica:
    return Replica(
        container=container,
        alias=container.labels[_ALIAS],
        variant=Variant(**json.loads(container.labels[_VARIANT])),
        settings=container.labels[_SETTINGS],
    )


def _run(desired: Variant, settings: Docker) -> Document:
    """Return what the service is told, and where it may write."""
    log = settings.prediction_log
    variables = {"MODEL_CI_VARIANT": desired.name, "MODEL_CI_PREDICTION_LOG": LOG_FOLDER if log else ""}
    return {
        "environment": {**variables, **settings.variables},
        "read_only": True,
        "tmpfs": {"/tmp": "mode=1777"},  # noqa: S108 - of the container
        "volumes": {log: {"bind": LOG_FOLDER, "mode": "rw"}} if log else {},
        "pids_limit": _PROCESSES,
    }


def _limits(settings: Docker) -> Document:
    given = {"mem_limit": settings.memory, "nano_cpus": int(settings.cpus * 1e9) if settings.cpus else None}
    return {name: value for name, value in given.items() if value}


def _digest(settings: Docker) -> str:
    """Identify the settings that a running replica cannot be told."""
    parts = [settings.memory, settings.cpus, settings.prediction_log, dict(settings.variables)]
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def aliases(replicas: Iterable[Replica]) -> list[str]:
    """Return the names that the network knows them by."""
    return [replica.alias for replica in replicas]
