"""A cheap look at which version is champion: a value that changes when another one may be."""

import base64
import json
import os
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from model_ci import web
from model_ci.config import Config
from model_ci.errors import ServiceError
from model_ci.files import write_atomically
from model_ci.git import Branch
from model_ci.registry import champion
from model_ci.registry.branch import read_message
from model_ci.registry.champion import champions_in, identify
from model_ci.registry.file import DATABASE
from model_ci.registry.registration import holder
from model_ci.registry.server import ServerStore
from model_ci.registry.store import FOLDER, TRACKING_URI, kind_of
from model_ci.registry.version import CHAMPION, RUN_TAG
from model_ci.terms import StoreKind

if TYPE_CHECKING:
    import ssl

_TIMEOUT_S: Final = 10
_TIP: Final = "branch-tip.json"


def peek(config: Config, root: Path, *, in_ci: bool) -> str | None:
    """Identify the present champion, None when there is none; without MLflow where that is possible."""
    name = config.model.name
    match kind_of(config, in_ci=in_ci):
        case StoreKind.FILE:
            return champions_in(root / FOLDER / DATABASE).get(name)
        case StoreKind.BRANCH:
            branch = Branch(root=root, name=config.register.branch, remote=config.register.remote)
            return _on_branch(branch, root / FOLDER / _TIP).get(name)
    return _on_server(name)


def has_version(config: Config, root: Path, number: str, *, in_ci: bool) -> bool:
    """Whether the store has a version of the model; without MLflow where it is a folder."""
    from model_ci.registry import open_registry

    if kind_of(config, in_ci=in_ci) == StoreKind.FILE:
        return champion.has_version(root / FOLDER / DATABASE, config.model.name, number)
    with open_registry(config, root, in_ci=in_ci) as store:
        return store.version(number) is not None


def _on_branch(branch: Branch, note: Path) -> dict[str, str]:
    """Read the champions from the message of the branch's commit, or from what that said the last time."""
    commit = branch.tip()
    if commit is None:
        return {}
    try:
        known = json.loads(note.read_bytes())
    except (OSError, ValueError):
        known = {}
    if known.get("commit") != commit:
        commit, message = branch.message() or (commit, "")
        known = {"commit": commit, "champions": read_message(message)}
        note.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(note, json.dumps(known).encode())
    return known["champions"]  # type: ignore[no-any-return]


def _on_server(name: str) -> str | None:
    uri = os.environ[TRACKING_URI]
    if uri.startswith("sqlite:///"):
        return champions_in(Path(urllib.parse.urlsplit(uri).path[1:])).get(name)
    if uri.startswith(("http://", "https://")):
        try:
            return _by_rest(uri, name)
        except (ServiceError, ValueError, KeyError, AttributeError):
            pass  # asked again below, with MLflow's ways to log in and our patience
    store = ServerStore(name)
    version = store.read(lambda access: holder(access.client, name, CHAMPION))
    return identify(version.number, version.run_id) if version else None


def _by_rest(uri: str, name: str) -> str | None:
    parts = urllib.parse.urlsplit(uri)
    address = urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))
    query = urllib.parse.urlencode({"name": name, "alias": CHAMPION})
    url = f"{address.rstrip('/')}/api/2.0/mlflow/registered-models/alias?{query}"
    answer = web.Client(tries=1, timeout_s=_TIMEOUT_S, tls=_tls()).ask("GET", url, _login(parts))
    content = json.loads(answer.body)
    if answer.status != 200 and content.get("error_code") in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
        return None
    version = content["model_version"]
    tags = {tag["key"]: tag.get("value", "") for tag in version.get("tags", [])}
    return identify(version["version"], tags.get(RUN_TAG))


def _login(parts: urllib.parse.SplitResult) -> dict[str, str]:
    token, user = os.environ.get("MLFLOW_TRACKING_TOKEN"), os.environ.get("MLFLOW_TRACKING_USERNAME") or parts.username
    if user:
        password = os.environ.get("MLFLOW_TRACKING_PASSWORD") or urllib.parse.unquote(parts.password or "")
        return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}
    return {"Authorization": f"Bearer {token}"} if token else {}


def _tls() -> "ssl.SSLContext":
    import ssl

    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() == "true":
        return ssl._create_unverified_context()  # noqa: S323 - the user asked MLflow, and so us, for it
    return ssl.create_default_context(cafile=os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH"))
