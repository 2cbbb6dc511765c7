"""MLflow's client, quiet, and its errors in our words."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from model_ci.errors import ConfigError, ModelCIError, ServiceError

if TYPE_CHECKING:
    from mlflow import MlflowClient


ENVIRONMENT: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # A request that is repeated by MLflow itself may create a version twice; we repeat the whole, which looks first.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
}
_AWAY: Final = re.compile(
    r"failed with (timeout )?exception|Max retries exceeded|Connection(Error| refused| reset| aborted)|error code 5\d\d"
    r"|RemoteDisconnected|database is locked|Read timed out"
)
_AWAY_CODES: Final = ("TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED")
_LATER: Final = "the run folder is kept, run `model-ci register` again later"


class AwayError(ServiceError):
    """The registry did not answer; it may the next time."""


def connect(uri: str) -> "MlflowClient":
    """Return a client of the store at `uri`; MLflow is imported here, once, and without a word on the console."""
    with quiet():
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=uri, registry_uri=uri)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep MLflow from telling what it does, and from trying again by itself, while we use it and no longer."""
    ours = {name: value for name, value in ENVIRONMENT.items() if name not in os.environ}
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    levels = [logger.level for logger in loggers]
    os.environ.update(ours)
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        for name in ours:
            os.environ.pop(name, None)


def dispose(client: "MlflowClient") -> None:
    """Close a client's connections to a database; MLflow keeps them open and has no public way to close them."""
    for part in (client._tracking_client, client._get_registry_client()):
        getattr(part.store, "_dispose_engine", lambda: None)()


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn what MLflow raises into AwayError, ServiceError or ConfigError, without secrets."""
    try:
        with quiet():
            yield
    except ModelCIError:
        raise
    except Exception as error:
        from mlflow.exceptions import MlflowException
        from requests.exceptions import RequestException

        if not isinstance(error, (MlflowException, RequestException, OSError)):
            raise
        raise _in_our_words(where, error) from None


def is_code(error: Exception, *codes: str) -> bool:
    """Tell whether an MLflow error carries one of these codes."""
    return getattr(error, "error_code", None) in codes


def without_secrets(text: str) -> str:
    """Remove passwords and tokens: those in addresses, and those that the environment holds."""
    for name in ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_PASSWORD"):
        if os.environ.get(name):
            text = text.replace(os.environ[name], "***")
    return re.sub(r"(\w+://)[^/@\s]+@", r"\1", text)


def _in_our_words(where: str, error: Exception) -> ModelCIError:
    message = " ".join(without_secrets(str(error)).split())[:500]
    code = getattr(error, "error_code", "")
    status = re.search(r"(?:error code |Error: |^)(40[13])\b", message)
    if code in ("UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED") or (status and status[1] == "401"):
        return ServiceError(
            f"{where}: the server does not accept the credentials (401); check MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    if code == "PERMISSION_DENIED" or status:
        return ServiceError(
            f"{where}: the server refuses access (403): {message}; give the identity of this job the right to write models and experiments"
        )
    if code in _AWAY_CODES or _AWAY.search(message):
        return AwayError(f"{where}: cannot be reached: {message}; {_LATER}")
    if code == "INVALID_PARAMETER_VALUE":
        return ConfigError(f"{where}: MLflow does not take this: {message}; change the name or value it speaks of")
    return ServiceError(f"{where}: MLflow failed: {message}; {_LATER}")
