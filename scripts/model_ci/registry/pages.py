"""MLflow's own pages on whichever store it is."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from model_ci.config import Config
from model_ci.errors import ConfigError
from model_ci.git import Branch
from model_ci.registry.client import ENVIRONMENT, without_secrets
from model_ci.registry.file import FileStore
from model_ci.registry.location import artifacts_uri
from model_ci.registry.store import FOLDER, TRACKING_URI, kind_of, local_uri
from model_ci.terms import StoreKind


def ui_command(
    config: Config, root: Path, *, in_ci: bool, folder: Path, port: int
) -> tuple[Sequence[str], Mapping[str, str]]:
    """Return the command that serves the pages on this machine, and its environment; `folder` takes a copy.

    A server has its pages already, so for it the command says where.
    """
    match kind_of(config, in_ci=in_ci):
        case StoreKind.SERVER:
            uri = without_secrets(os.environ[TRACKING_URI])
            return [sys.executable, "-c", "import sys; print(sys.argv[1])", f"MLflow's pages are at {uri}"], {}
        case StoreKind.BRANCH:
            branch = Branch(root=root, name=config.register.branch, remote=config.register.remote)
            store = FileStore(folder)
            branch.fetch(folder)
        case _:
            store = FileStore(root / FOLDER)
    if not store.database.is_file():
        raise ConfigError(f"{store.where}: nothing was registered yet; run `model-ci run` first")
    store.settle()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        local_uri(store.database),
        "--default-artifact-root",
        artifacts_uri(store.folder),
    ]
    return command, {**ENVIRONMENT, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
