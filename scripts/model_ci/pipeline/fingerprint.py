"""What the result of a stage depends on, as digests."""

import hashlib
import json
from collections.abc import Mapping

from model_ci import __version__


def digests(inputs: Mapping[str, object]) -> dict[str, str]:
    """Return each input's digest."""
    return {name: sha256(value)[:16] for name, value in inputs.items()}


def of(inputs: Mapping[str, str]) -> str:
    """Return the digest of all, and of this model-ci."""
    return sha256([__version__, dict(inputs)])


def sha256(value: object) -> str:
    """Return the digest of a value as JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
