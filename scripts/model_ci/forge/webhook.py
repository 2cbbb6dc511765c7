"""Secret addresses that take a message: a chat's webhook in Slack's format, and the heartbeat of a watcher outside.

Mattermost, Discord (at /slack) and Google Chat take Slack's format too; a watcher is one that raises the alarm when
it hears nothing, as healthchecks.io does.
"""

from collections.abc import Callable
from urllib.parse import urlsplit

from model_ci.errors import ConfigError
from model_ci.forge.api import Api, until_answered

WEBHOOK = "MODEL_CI_WEBHOOK_URL"
HEARTBEAT = "MODEL_CI_HEARTBEAT_URL"


def tell(address: str, text: str, wait: Callable[[float], None] | None = None) -> None:
    """Send `text` to a chat; the address is a secret, and no message has more of it than the host.

    Raises ConfigError for an address that is none, ServiceError when it does not take the message.
    """
    _post(WEBHOOK, address, "", {"text": text}, wait)


def beat(address: str, *, well: bool, wait: Callable[[float], None] | None = None) -> None:
    """Tell a watcher that the check ran: at `address` itself when all is well, else at its `/fail`.

    It may be told twice, so it is asked again where it did not answer. Raises as `tell` does.
    """

    def once() -> str:
        _post(HEARTBEAT, address, "" if well else "/fail", {}, wait)
        return "told"

    until_answered(once, wait)


def _post(name: str, address: str, below: str, content: object, wait: Callable[[float], None] | None) -> None:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ConfigError(f"{name}: is no address that begins with https://; give the whole address")
    path = parts.path.rstrip("/") + below if below else parts.path
    query = f"?{parts.query}" if parts.query else ""
    hidden = (parts.path.strip("/"), parts.query)
    api = Api(name=name, base=f"{parts.scheme}://{parts.netloc}", secret={}, hidden=hidden, wait=wait)
    api.send("POST", path + query, "to be the whole address", content)
