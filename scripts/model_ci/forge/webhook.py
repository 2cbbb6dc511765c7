"""A message to a chat: Slack's format, which Mattermost, Discord (at /slack) and Google Chat take too."""

import time
from collections.abc import Callable
from urllib.parse import urlsplit

from model_ci.errors import ConfigError
from model_ci.forge.api import Api

NAME = "MODEL_CI_WEBHOOK_URL"


def tell(address: str, text: str, wait: Callable[[float], None] = time.sleep) -> None:
    """Send `text`; the address is a secret, and no message has more of it than the host.

    Raises ConfigError for an address that is none, ServiceError when it does not take the message.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ConfigError(f"{NAME}: is no address that begins with https://; give the whole address of the webhook")
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    base = f"{parts.scheme}://{parts.netloc}"
    Api(name=NAME, base=base, secret={}, wait=wait).send(
        "POST", path, "to be the webhook's whole address", {"text": text}
    )
